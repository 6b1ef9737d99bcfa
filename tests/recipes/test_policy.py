import math

import numpy as np
import pytest
import torch

from sketchkit import Sketch, SketchSet
from sketchkit.adapters.selector import CanvasSelector
from sketchkit.recipes.config import SelectorConfig
from sketchkit.recipes.policy import canvas_outcomes, policy_batches


def unit(degrees):
    return [math.cos(math.radians(degrees)), math.sin(math.radians(degrees))]


def test_outcomes_by_hand():
    """Photos at 0, 60 and 180 degrees; the drawing of the first lies at 10 degrees on one canvas, else at 50."""
    photos = torch.tensor([unit(0), unit(60), unit(180)])
    embeddings = {32: torch.tensor([unit(50)]), 64: torch.tensor([unit(10)])}
    found = canvas_outcomes(embeddings, photos, np.array([0]), [1.0, 4.0], margin=0.3)
    assert found.ranks.tolist() == [[2, 1]]

    def chord(degrees):
        return 2 * math.sin(math.radians(degrees) / 2)

    small = 0.3 + chord(50) - chord(10)
    assert found.triplet_losses[0].tolist() == [pytest.approx(small, abs=1e-5), 0]
    rewards = found.rewards(SelectorConfig(lambda_F=0.5))[0].tolist()
    assert rewards == [pytest.approx(0.5 * (0.5 - small), abs=1e-5), pytest.approx(0.5 * 1 - 0.5 * 1)]
    assert found.rewards(SelectorConfig(), lambda_F=1.0)[0].tolist() == [0, -1]


def test_an_epoch_has_every_drawing_once_and_is_the_same_each_time():
    drawings = SketchSet.from_sketches(Sketch.from_strokes([[(0, 0), (n + 1, 1)]]) for n in range(10))
    rewards = torch.arange(10.0)[:, None].expand(10, 2)
    steps, batches = policy_batches(CanvasSelector(2), drawings, rewards, batch=4, epochs=3, seed=0)
    first, again, other = (list(batches(epoch)) for epoch in (0, 0, 1))
    assert len(first) == steps
    seen = torch.cat([batch["rewards"][:, 0] for batch in first])
    assert sorted(seen.tolist()) == list(range(10))
    assert torch.equal(seen, torch.cat([batch["rewards"][:, 0] for batch in again]))
    assert not torch.equal(seen, torch.cat([batch["rewards"][:, 0] for batch in other]))
    assert [batch["seed"] for batch in first] == [batch["seed"] for batch in again]
    assert {batch["done"] for batch in other} == {1 / 3}
