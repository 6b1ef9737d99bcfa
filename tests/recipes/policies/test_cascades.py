from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from sketchkit.recipes.policies.cascades import Chain, LearnedCascade, LookThenChoose, MarginCascade
from sketchkit.recipes.policies.looks import AfterLooks, look_features


def with_margins(outcomes, margins):
    drops = np.arange(6) * np.asarray(margins, float)[..., None]
    return replace(outcomes, similarities=(0.9 - drops).astype(np.float32))


class Given(MarginCascade):
    """A cascade along a chain that was not learned."""

    def __init__(self, chain):
        self.given = chain

    def chain(self, budget):
        return self.given


def test_what_a_chain_costs_by_hand(made):
    """Costs 1, 4 and 16 MFLOPs, each search after the first 1 kFLOP; thresholds .10 and .20."""
    outcomes = made(photos=4, per_photo=1)
    margins = [[0.2, 0.0, 0.0], [0.05, 0.3, 0.0], [0.05, 0.1, 0.0], [0.1, 0.0, 0.0]]
    outcomes = with_margins(outcomes, margins)
    choice = Given(Chain((0, 1, 2), (0.0999, 0.2))).choose(outcomes, 0)
    assert choice.canvas.tolist() == [0, 1, 2, 0]
    assert choice.flops.tolist() == [1e6, 5e6 + 1e3, 21e6 + 2e3, 1e6]
    assert choice.hits(outcomes).tolist() == outcomes.right[range(4), [0, 1, 2, 0]].tolist()
    skipping = Given(Chain((0, 2), (0.0999,))).choose(outcomes, 0)
    assert skipping.canvas.tolist() == [0, 2, 2, 0]
    assert skipping.flops.tolist() == [1e6, 17e6 + 1e3, 17e6 + 1e3, 1e6]
    assert Given(Chain((1,), ())).choose(outcomes, 0).flops.tolist() == [4e6] * 4


def test_the_pair_found_is_the_best_of_all_thresholds(made):
    """Every pair and every threshold, by a slow search; chains of three are found by a grid and can only be better."""
    training = made("margin", photos=12, per_photo=1)
    cascade = MarginCascade()
    cascade.fit([training], 0)
    for budget in (1e6, 3e6, 6e6, 12e6, 30e6):
        best = max(training.right[:, k].mean() for k in range(3) if training.flops[0, k] <= budget or k == 0)
        for (first, second), row in product(((0, 1), (0, 2), (1, 2)), range(12)):
            chain = Chain((first, second), (float(training.margins[row, first]),))
            choice = Given(chain).choose(training, 0)
            if choice.flops.mean() <= budget:
                best = max(best, choice.hits(training).mean())
        choice = cascade.choose(training, budget)
        assert choice.flops.mean() <= max(budget, 1e6)
        assert choice.hits(training).mean() >= best


@pytest.mark.parametrize("policy", [MarginCascade(), LearnedCascade(), LookThenChoose(embedding=False)])
def test_a_budget_is_met_on_other_photos(made, policy):
    policy.fit([made("margin", fold=0), made("margin", fold=1)], 0)
    for budget in (2e6, 5e6, 10e6):
        spent = policy.choose(made("margin", fold=2), budget).flops.mean()
        assert spent == pytest.approx(budget, rel=0.15)


def test_what_a_look_shows_by_hand(made):
    outcomes = with_margins(made(photos=2, per_photo=1), [[0.1, 0.2, 0.3], [0.0, 0.0, 0.0]])
    outcomes = replace(outcomes, nearest=np.array([[1, 0, 1], [0, 1, 1]]))
    found = look_features(outcomes, (0, 2))
    assert found.shape == (2, 11)
    assert found[0, :4].tolist() == pytest.approx([0.9, 0.1, 0.2, 0.4], abs=1e-6)
    assert found[0, 4] == pytest.approx(1 / sum(np.exp(-0.1 * step / 0.05) for step in range(6)), abs=1e-5)
    assert found[1, 4] == pytest.approx(1 / 6)
    assert found[:, 10].tolist() == [1, 0]


def test_embeddings_are_asked_for_by_name(made):
    bare = replace(made(photos=5), embeddings=None)
    with pytest.raises(ValueError, match="keep_embeddings=True"):
        AfterLooks((0,), [bare], 0, embedding=True)
