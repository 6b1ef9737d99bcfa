import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import ConvexHull

from sketchkit.recipes.policies.blind import best_mixture
from sketchkit.recipes.policies.budgets import first_by, price_for

seeds = st.integers(0, 2**31)


def upper_hull(found, costs, budget):
    """By qhull: the highest point of the hull of all (cost, accuracy) whose cost is within the budget."""
    points = np.stack([costs, found], axis=1)
    floor = np.array([[costs.min(), -1.0], [costs.max(), -1.0]])  # so that the lower side is below all
    corners = ConvexHull(np.concatenate([points, floor])).vertices
    upper = sorted(tuple(points[index]) for index in corners if index < len(points))
    x, y = np.array(upper).T
    grid = np.unique(np.append(x[x <= budget], budget))
    return np.interp(grid, x, y).max()


@given(seeds, st.integers(2, 6))
def test_the_best_mixture_lies_on_the_upper_hull(seed, count):
    generator = np.random.default_rng(seed)
    costs = np.sort(generator.uniform(1, 20, count)) * 1e7
    found = generator.uniform(size=count)
    budget = generator.uniform(costs[0], costs[-1])
    shares = best_mixture(found, costs, budget)
    assert shares.min() >= 0
    assert shares.sum() == pytest.approx(1)
    assert shares @ costs <= budget * (1 + 1e-6)
    assert shares @ found == pytest.approx(upper_hull(found, costs, budget), abs=1e-6)


def test_too_small_a_budget_gives_the_cheapest():
    assert best_mixture(np.array([0.1, 0.9]), np.array([2.0, 3.0]), 1.0).tolist() == [1, 0]


@given(seeds, st.integers(1, 40), st.integers(1, 5), st.booleans())
def test_a_price_spends_the_budget(seed, count, canvases, alike):
    """Also where all sketches are alike and would all move at one price."""
    generator = np.random.default_rng(seed)
    costs = np.sort(generator.uniform(1, 9, (count, canvases)), axis=1)
    expected = np.tile(generator.uniform(size=canvases), (count, 1)) if alike else generator.uniform(size=costs.shape)
    if alike:
        costs = np.tile(costs[0], (count, 1))
    budget = generator.uniform(0.5, 10)
    chances = price_for(expected, costs, budget).chances(expected, costs)
    assert np.allclose(chances.sum(axis=1), 1)
    spent = (chances * costs).sum(axis=1).mean()
    most = costs[np.arange(count), expected.argmax(axis=1)].mean()
    assert spent == pytest.approx(np.clip(budget, costs[:, 0].mean(), most), rel=1e-6)


@given(seeds)
def test_a_price_finds_as_much_as_any_choice_of_that_cost(seed):
    """Expected success at a price cannot be beaten: every way to spread three sketches is tried."""
    generator = np.random.default_rng(seed)
    expected, costs = generator.uniform(size=(3, 3)), np.array([1.0, 2.0, 4.0])
    budget = generator.uniform(1, 4)
    chances = price_for(expected, costs, budget).chances(expected, costs)
    found = (chances * expected).sum()
    for picked in np.ndindex(3, 3, 3):
        if costs[list(picked)].mean() <= budget:
            assert expected[range(3), picked].sum() <= found + 1e-6


@given(seeds, st.integers(1, 20), st.integers(1, 4))
def test_a_threshold_pays_for_as_many_as_it_can(seed, count, levels):
    generator = np.random.default_rng(seed)
    order = generator.integers(0, levels * 3, count).astype(float)
    costs = generator.uniform(0.1, 2, count)
    budget = generator.uniform(0, costs.sum() * 1.2)
    threshold = first_by(order, costs, budget)
    assert costs[order < threshold].sum() <= budget
    if np.isfinite(threshold):  # those of the threshold's own value cannot all be paid for
        assert costs[order <= threshold].sum() > budget
