import dataclasses
import importlib
import subprocess
import sys

import numpy as np
import pytest
import scipy.stats
from hypothesis import given

import sketchkit
from sketchkit import Sketch, measure, normalize, resample, simplify, truncate
from sketchkit.abstraction import BIAS, TERMS, features

from rooms import REPOSITORY
from zoo import FINITE, NOT_FINITE, ZOO, drawings


def score(drawn):
    return measure(drawn, "abstraction")["abstraction"]


@pytest.fixture(scope="module")
def chairs(shared_data):
    return sketchkit.read(shared_data / "chairv2" / "ChairV2_Coordinate")


@given(drawings)
def test_the_score_lies_between_0_and_1(sketch):
    assert 0 <= score(sketch)[0] <= 1


def test_the_zoo_has_a_score():
    assert all(0 <= score(sketch)[0] <= 1 for sketch in FINITE.values())
    assert all(np.isnan(score(ZOO[name])[0]) for name in NOT_FINITE)
    assert score(ZOO["10,000 strokes"])[0] < 0.02
    assert min(score(ZOO[name])[0] for name in ("empty", "one point", "vertical line")) > 0.95


def test_the_score_is_a_logistic_regression_on_the_features():
    drawn = [ZOO["named"], ZOO["hook"], ZOO["spiral"]]
    values = features(sketchkit.SketchSet.from_sketches(drawn))
    for index in range(len(drawn)):
        odds = BIAS + sum(t.weight * (values[name][index] - t.mean) / t.deviation for name, t in TERMS.items())
        assert score(drawn)[index] == pytest.approx(1 / (1 + np.exp(-odds)), rel=1e-12)


def test_more_detail_is_never_more_abstract():
    assert all(term.weight < 0 and term.deviation > 0 for term in TERMS.values())
    # Of one box, so that nothing but the number of lines differs.
    lines = [[(0, 0), (90, 90)], *([(0, 10 * row + 3), (90, 10 * row + 7)] for row in range(9))]
    scores = score([Sketch.from_strokes(lines[:count]) for count in range(1, 11)])
    assert (np.diff(scores) < 0).all()


def test_no_feature_needs_time():
    timed = ZOO["timed"]
    assert score(timed) == score(Sketch(timed.points, timed.offsets))


def test_points_added_on_the_line_do_not_change_the_score(chairs):
    unit = normalize(chairs)
    fine = resample(unit, 0.002)
    assert len(fine.points) > 9 * len(unit.points)
    change = np.abs(score(fine) - score(unit))
    assert np.median(change) < 0.002
    assert change.max() < 0.03
    # At 1 % of the longer side the corners themselves are cut.
    change = np.abs(score(resample(unit, 0.01)) - score(unit))
    assert np.median(change) < 0.01
    assert change.max() < 0.08


def test_less_of_a_drawing_is_more_abstract(chairs):
    whole = score(chairs)
    assert (score(truncate(chairs, 0.3)) > whole).all()
    assert (score(simplify(chairs, max_points=10)) > whole).all()
    assert (score(truncate(chairs, 0.6)) >= score(truncate(chairs, 0.9))).mean() > 0.99


def test_quick_drawings_are_more_abstract_than_careful_ones(chairs, shared_data):
    quick = sketchkit.read(shared_data / "quickdraw" / "simplified" / "chair.ndjson")
    assert np.median(score(quick)) > np.median(score(chairs)) + 0.1


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(REPOSITORY / "benchmarks")
    return importlib.import_module("abstraction")


def made_games(benchmark, values):
    generator = np.random.default_rng(3)
    game, sparse = generator.integers(0, 12, len(values)), generator.uniform(size=len(values)) < 0.4
    empty = sketchkit.SketchSet.from_sketches([])
    return benchmark.Games(empty, game, sparse, values)


def test_the_area_is_that_of_mann_and_whitney(benchmark):
    values = np.random.default_rng(4).integers(0, 30, 200).astype(float)
    games = made_games(benchmark, values)
    area = benchmark.telling(values, games)
    u = scipy.stats.mannwhitneyu(values[games.sparse], values[~games.sparse]).statistic
    assert area.value == pytest.approx(u / games.sparse.sum() / (~games.sparse).sum(), rel=1e-12)
    assert np.percentile(area.resampled, 2.5) < area.value < np.percentile(area.resampled, 97.5)
    within = [
        (values[one & games.sparse][:, None] > values[one & ~games.sparse])
        + 0.5 * (values[one & games.sparse][:, None] == values[one & ~games.sparse])
        for one in (games.game == index for index in range(12))
    ]
    expected = sum(pairs.sum() for pairs in within) / sum(pairs.size for pairs in within)
    assert benchmark.telling(values, games, within=True).value == pytest.approx(expected, rel=1e-12)


def test_the_fit_is_where_the_slope_is_nought(benchmark):
    generator = np.random.default_rng(5)
    sparse = generator.uniform(size=300) < 0.5
    values = {
        "less": generator.normal(3, 2, 300) - 2.0 * sparse,
        "more": generator.normal(0, 1, 300) + 1.0 * sparse,  # would get a weight above 0: it must get none
    }
    bias, terms = benchmark.fitted(values, sparse)
    assert list(terms) == ["less"]
    mean, deviation, weight = terms["less"]
    standard = (values["less"] - mean) / deviation
    wrong = 1 / (1 + np.exp(-(bias + weight * standard))) - sparse
    assert wrong.sum() == pytest.approx(0, abs=1e-3)
    assert standard @ wrong + benchmark.PENALTY * weight == pytest.approx(0, abs=1e-3)


def test_no_game_is_on_both_sides_of_a_fold(benchmark, monkeypatch):
    games = made_games(benchmark, np.zeros(100))
    seen = []
    monkeypatch.setattr(benchmark, "features", lambda _: {"index": np.arange(100.0)})
    monkeypatch.setattr(benchmark, "fitted", lambda values, _: (seen.append(values["index"]), (0.0, {}))[1])
    games = dataclasses.replace(games, drawings=sketchkit.SketchSet.from_sketches([ZOO["hook"]] * 100))
    assert benchmark.held_out(games).shape == (benchmark.SEEDS, 100)
    for fold in seen:
        known = set(games.game[fold.astype(int)])
        assert 0 < len(fold) < 100
        assert not known & set(np.delete(games.game, fold.astype(int)))


def test_a_page_is_stale_by_its_words_or_a_number(benchmark):
    assert not benchmark.stale("AUC 0.705 of 12", "AUC 0.706 of 12")
    assert benchmark.stale("AUC 0.705 of 12", "AUC 0.755 of 12")
    assert benchmark.stale("AUC 0.705 of 12", "AUC 0.705 of 13")


def test_weights_and_page_are_what_the_benchmark_makes(shared_data):
    if not (shared_data / "refgame_chairs" / "sketchpad_basic_chairs.csv").is_file():
        pytest.skip("no drawing-game pack in the shared data")
    command = [sys.executable, "benchmarks/abstraction.py", "--check", "--data", str(shared_data)]
    run = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
