import csv
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sketchkit import ParameterError, Sketch, SketchSet
from sketchkit.measures import MEASURES, measure
from sketchkit.transforms import jitter, normalize

import naive
from zoo import FINITE, NOT_FINITE, ZOO, drawings, zoo_set

NAN = math.nan
QUARTER = math.pi / 4
# strokes, corners, ink, stroke_length, turning, straightness, diagonal_angle, duration, speed
BY_HAND = {
    "empty": (0, 0, 0, 0, 0, 1, QUARTER, NAN, NAN),
    "one empty stroke": (0, 0, 0, 0, 0, 1, QUARTER, NAN, NAN),
    "one point": (1, 1, 0, 0, 0, 1, QUARTER, NAN, NAN),
    "two equal points": (1, 2, 0, 0, 0, 1, QUARTER, NAN, NAN),
    "dots": (3, 3, 0, 0, 0, 1, math.atan2(8, 7), NAN, NAN),
    "empty stroke first": (1, 2, 1, 1, 0, 1, math.atan2(3, 4), NAN, NAN),
    "vertical line": (1, 2, 1, 1, 0, 1, math.pi / 2, NAN, NAN),
    "horizontal line": (1, 2, 1, 1, 0, 1, 0, NAN, NAN),
    "there and back": (1, 3, 2, 2, math.pi, 0, 0, NAN, NAN),
    "closed stroke": (1, 5, 4 / math.sqrt(2), 4 / math.sqrt(2), 1.5 * math.pi, 0, QUARTER, NAN, NAN),
    "repeated points": (1, 3, math.sqrt(2), math.sqrt(2), math.pi / 2, math.sqrt(0.5), QUARTER, NAN, NAN),
    "timed one point": (1, 1, 0, 0, 0, 1, QUARTER, 0, NAN),
    "timed standing still": (1, 2, 0, 0, 0, 1, QUARTER, 250, 0),
    "timed empty": (0, 0, 0, 0, 0, 1, QUARTER, 0, NAN),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_measures_by_hand(name):
    got = measure(ZOO[name])
    np.testing.assert_allclose(list(got.values()), np.reshape(BY_HAND[name], (-1, 1)), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", FINITE)
def test_measures_of_the_zoo_are_float64_and_finite_but_for_time(name):
    before = ZOO[name].points.copy()
    got = measure(ZOO[name])
    assert list(got) == list(MEASURES)
    for measured, values in got.items():
        assert values.dtype == np.float64
        assert values.shape == (1,)
        assert np.isfinite(values).all() or measured in ("duration", "speed")
    np.testing.assert_array_equal(ZOO[name].points, before)


@pytest.mark.parametrize("timed", [False, True])
def test_a_set_gives_the_measures_of_its_drawings(timed):
    drawings = zoo_set(timed=timed, finite=False)
    together = measure(drawings)
    alone = [measure(sketch) for sketch in drawings]
    for name, values in together.items():
        expected = np.concatenate([values_of_one[name] for values_of_one in alone])
        np.testing.assert_allclose(values, expected, rtol=1e-12, err_msg=name)


@pytest.mark.parametrize("name", NOT_FINITE)
def test_coordinates_that_are_not_finite_give_nan_there_and_nowhere_else(name):
    timed = Sketch.from_strokes([[(0, 0), (3, 4)]], time=[[0, 500]])
    bad = Sketch(ZOO[name].points, ZOO[name].offsets, point_columns={"time": np.arange(len(ZOO[name].points)) * 1.0})
    got = measure([timed, bad, timed])
    for measured, values in got.items():
        assert np.isfinite(values[[0, 2]]).all(), measured
        assert np.isnan(values[1]) == (measured != "strokes"), measured


def test_no_drawings_have_no_measures():
    assert all(values.shape == (0,) for values in measure(SketchSet.from_sketches([])).values())


def test_names_choose_measures_in_order():
    assert list(measure(ZOO["hook"], ["turning", "ink"])) == ["turning", "ink"]
    with pytest.raises(ParameterError, match="no measure is called 'inks'; there are strokes, corners, ink"):
        measure(ZOO["hook"], ["inks"])


@given(st.lists(drawings, max_size=4))
def test_twins_agree(sketches):
    got = measure(sketches)
    for index, sketch in enumerate(sketches):
        assert got["ink"][index] == pytest.approx(naive.ink(sketch), rel=1e-9)
        assert got["straightness"][index] == pytest.approx(naive.straightness(sketch), rel=1e-9)
        # The twin's arc cosine loses half the digits near a straight line.
        assert got["turning"][index] == pytest.approx(naive.turning(sketch), abs=1e-5)
        assert got["strokes"][index] == sum(len(stroke) > 0 for stroke in sketch.strokes)


@given(drawings, st.floats(0.1, 10), st.integers(0, 100))
def test_measures_do_not_depend_on_scale_or_place(sketch, factor, seed):
    sketch = normalize(sketch)
    moved = jitter(Sketch(sketch.points * np.float32(factor), sketch.offsets), seed=seed, rotation=0, scale=0)
    before, after = measure(sketch), measure(moved)
    for name in ("strokes", "ink", "stroke_length", "straightness", "diagonal_angle"):
        np.testing.assert_allclose(after[name], before[name], rtol=1e-3, atol=1e-4, err_msg=name)


def test_duration_and_speed_by_hand():
    sketch = Sketch.from_strokes([[(0, 0), (3, 4)], [(3, 0), (0, 4)]], time=[[100, 600], [1500, 2100]])
    got = measure(sketch, ["duration", "speed"])
    assert got["duration"].tolist() == [2000]
    assert got["speed"].tolist() == pytest.approx([1.0])


def test_denser_sampling_does_not_add_corners():
    sparse = Sketch.from_strokes([[(0, 0), (100, 0), (100, 80)]])
    dense = Sketch.from_strokes([[*((x, 0) for x in range(100)), *((100, y) for y in range(81))]])
    assert measure([sparse, dense], ["corners"])["corners"].tolist() == [3, 3]


def test_every_measure_has_a_source_and_says_what_is_degenerate():
    for name, function in MEASURES.items():
        assert function.__name__ == name
        assert "Source:" in function.__doc__
        assert "mpty" in function.__doc__ or "none passed" in function.__doc__


def test_detailed_drawings_measure_as_less_abstract(shared_data):
    svgpathtools = pytest.importorskip("svgpathtools")
    file = shared_data / "refgame_chairs" / "sketchpad_basic_chairs.csv"
    if not file.is_file():
        pytest.skip(f"no file {file}")
    csv.field_size_limit(10**8)
    with file.open(newline="") as rows:
        records = list(csv.DictReader(rows))[::4]
    sketches = []
    for record in records:
        curves = [svgpathtools.parse_path(path) for path in json.loads(record["svg"])]
        ends = [[curve.start, *(piece.end for piece in curve)] for curve in curves if len(curve)]
        sketches.append(Sketch.from_strokes([[(z.real, z.imag) for z in stroke] for stroke in ends]))
    got = measure(sketches)
    detailed = np.array([record["condition"] == "closer" for record in records])
    # The finding of Fan et al. 2020: more strokes and more ink where detail is needed.
    for name in ("strokes", "corners", "ink"):
        assert got[name][detailed].mean() > got[name][~detailed].mean(), name
