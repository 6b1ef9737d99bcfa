from __future__ import annotations

import numpy as np
import pytest

from sketchkit import ParameterError, Sketch, SketchSet, adapt
from sketchkit.adapters import AdaptedModel

from models import pooled

POINTS = 12


def drawings() -> SketchSet:
    """Of few points, of many (the selector reads at most POINTS), of none."""
    generator = np.random.default_rng(0)
    walks = [generator.normal(0, 9, (count, 2)).cumsum(axis=0) for count in (3, 8, 200, 500, 5)]
    return SketchSet.from_sketches([*(Sketch.from_strokes([walk]) for walk in walks), Sketch.from_strokes([])])


@pytest.fixture
def adapted(monkeypatch: pytest.MonkeyPatch) -> AdaptedModel:
    model = adapt(pooled(), canvases=(16, 32, 64), photo_size=32, selector_hidden=8, embedding_dim=5)
    model.canvas_selector.points = POINTS
    monkeypatch.setattr(model.canvas_selector, "select", lambda block: np.arange(len(block)) % 3)
    return model


def by_hand(model: AdaptedModel, size: int, steps: int) -> int:
    """Convolutions 3 x 3 of strides 2 and 4, batch norm, two activations, pooling, projection; a GRU and its logits."""
    first, second = 4 * (size // 2) ** 2, 8 * (size // 8) ** 2
    network = first * 27 + second * 36 + 8 * 5
    network += (first + second + 5) + 2 * first + (first + second) + second
    hidden, canvases = model.canvas_selector.hidden, len(model.canvases)
    step = 3 * hidden * (5 + hidden) + 9 * hidden
    return 2 * (network + steps * step + hidden * canvases + canvases)


def test_each_drawing_costs_its_canvas_and_its_steps(adapted: AdaptedModel) -> None:
    lengths = [4, 9, POINTS + 1, POINTS + 1, 6, 1]
    found = adapted.cost(drawings())
    assert adapted.canvas_selector.encode(drawings())[1].tolist() == lengths
    expected = [by_hand(adapted, size, steps) for size, steps in zip((16, 32, 64, 16, 32, 64), lengths, strict=True)]
    assert found.flops_per_drawing is not None
    assert found.flops_per_drawing.tolist() == expected
    assert found.mean_flops == np.mean(expected)
    assert found.shares == {16: 1 / 3, 32: 1 / 3, 64: 1 / 3}


def test_the_order_and_company_of_drawings_does_not_matter(adapted: AdaptedModel) -> None:
    one_by_one = [adapted.cost(drawing).flops_per_drawing for drawing in drawings()]
    smallest = {len(found) for found in one_by_one if found is not None}
    assert smallest == {1}
    together = adapted.cost(drawings()).flops_per_drawing
    assert together is not None
    assert together[0] == one_by_one[0][0]  # type: ignore[index]  # the stand-in sends the first to the first canvas


def test_no_drawing_has_no_mean(adapted: AdaptedModel) -> None:
    with pytest.raises(ParameterError, match="no drawing"):
        adapted.cost([])
    assert adapted.cost().flops_per_drawing is None


def test_a_table_for_people(adapted: AdaptedModel) -> None:
    plain, meant = adapted.cost(), adapted.cost(drawings())
    assert plain._repr_html_().count("canvas ") == 4
    assert meant._repr_html_().count("33.3%") == 3
    assert "mean of the drawings" in meant._repr_html_()
    assert "mean" not in plain._repr_html_()
