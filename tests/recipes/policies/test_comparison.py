import csv
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from scipy import stats

from sketchkit.errors import ParameterError
from sketchkit.recipes.policies.blind import Fixed, Oracle, UniformRandom
from sketchkit.recipes.policies.cascades import MarginCascade
from sketchkit.recipes.policies.chart import write_comparison
from sketchkit.recipes.policies.comparison import Estimate, best_affordable, compare


@pytest.fixture(scope="module")
def outcomes(made):
    return [made("margin", fold=fold, seed=seed) for fold in range(3) for seed in range(2)]


@pytest.fixture(scope="module")
def points(outcomes):
    policies = [*(Fixed(k, size) for k, size in enumerate((32, 64, 128))), UniformRandom(), MarginCascade(), Oracle()]
    return compare(outcomes, policies, budgets=[2e6, 5e6, 9e6])


def test_means_and_intervals_are_scipys(outcomes, points):
    """Photos are drawn, a ratio of sums is taken; scipy draws the pairs (hits of a photo, its sketches)."""
    right = {}
    for part in outcomes:
        for owner, hit in zip(part.photo_of_sketch, part.right[:, 1], strict=True):
            right.setdefault((part.fold, owner), []).append(hit)
    sums, counts = np.array([[sum(hits), len(hits)] for hits in right.values()]).T
    assert set(counts) == {6}
    expected = stats.bootstrap(
        (sums, counts),
        lambda a, b, axis=-1: a.sum(axis=axis) / b.sum(axis=axis),
        paired=True,
        n_resamples=5000,
        method="percentile",
        random_state=np.random.default_rng(1),
    ).confidence_interval
    found = points[1].accuracy
    assert found.mean == pytest.approx(sums.sum() / counts.sum())
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.004)


def test_differences_are_paired(points):
    fixed, uniform = points[2], points[3]
    assert uniform.over_uniform == (0, 0, 0)
    assert fixed.over_same_mix == (0, 0, 0)
    assert fixed.over_uniform.mean == pytest.approx(fixed.accuracy.mean - uniform.accuracy.mean)
    assert fixed.over_blind.mean == pytest.approx(fixed.accuracy.mean - fixed.blind.mean)
    apart = np.hypot(fixed.accuracy.high - fixed.accuracy.low, uniform.accuracy.high - uniform.accuracy.low)
    assert fixed.over_uniform.high - fixed.over_uniform.low < apart


def test_the_blind_choice_costs_what_the_policy_costs(outcomes, points):
    """Between two neighbors of the hull it is the straight line, here in each fold."""
    cascade = next(point for point in points if point.policy == "margin cascade" and point.value == 9e6)
    right = np.concatenate([part.right for part in outcomes]).mean(axis=0)
    line = np.interp(cascade.flops, [1e6, 4e6, 16e6], right)
    assert cascade.blind.mean == pytest.approx(line, abs=0.01)


def test_a_policy_is_not_judged_on_what_it_was_fitted_on(made):
    with pytest.raises(ParameterError, match="at least two"):
        compare([made(fold=0, seed=0), made(fold=0, seed=1)])

    fits = []

    class Watched(UniformRandom):
        def fit(self, training, seed):
            fits.append({part.fold for part in training})

        def choose(self, outcomes, dial):
            assert outcomes.fold not in fits[-1]
            return super().choose(outcomes, dial)

    compare([made(fold=fold, photos=4) for fold in range(3)], [Watched()], draws=10)
    assert fits == [{1, 2}, {0, 2}, {0, 1}]


def test_the_default_is_the_best_affordable(points):
    best, why = best_affordable(points, 6e6)
    affordable = [point for point in points if point.flops <= 6e6 and point.policy != "oracle"]
    assert best.accuracy.mean == max(point.accuracy.mean for point in affordable)
    assert best.policy == "margin cascade"
    assert best.policy in why
    assert "clear of chance" in why
    unclear = replace(best, over_blind=Estimate(0.01, -0.01, 0.03))
    assert "not clear of chance" in best_affordable([unclear], 6e6)[1]
    with pytest.raises(ParameterError, match="the cheapest takes 1e"):
        best_affordable(points, 1.0)


def test_table_and_figure_say_what_was_found(points, tmp_path):
    write_comparison(points, tmp_path)
    with (tmp_path / "policies.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(points)
    for row, point in zip(rows, points, strict=True):
        assert row["policy"] == point.policy
        assert [float(row[name]) for name in ("acc@1", "low", "high")] == pytest.approx(point.accuracy, abs=1e-5)
        assert float(row["flops"]) == pytest.approx(point.flops, abs=1)
        assert sum(float(row[f"share_{size}"]) for size in (32, 64, 128)) == pytest.approx(1, abs=1e-4)
    assert [row["value"] for row in rows if row["policy"] == "margin cascade"] == ["2e+06", "5e+06", "9e+06"]
    drawing = ElementTree.fromstring((tmp_path / "policies.svg").read_text())
    texts = {"".join(element.itertext()).strip() for element in drawing.iter("{http://www.w3.org/2000/svg}text")}
    assert {"fixed canvases", "random, uniform", "margin cascade", "oracle"} <= texts
