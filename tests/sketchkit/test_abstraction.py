import subprocess
import sys

import numpy as np
import pytest
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


def test_weights_and_page_are_what_the_benchmark_makes(shared_data):
    if not (shared_data / "refgame_chairs" / "sketchpad_basic_chairs.csv").is_file():
        pytest.skip("no drawing-game pack in the shared data")
    command = [sys.executable, "benchmarks/abstraction.py", "--check", "--data", str(shared_data)]
    run = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
