import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sketchkit import DataError, ParameterError, Sketch
from sketchkit.simplifying import significance, simplify

import naive
from zoo import FINITE, ZOO, drawings, whole_drawings, zoo_set

SMALL = [name for name, sketch in FINITE.items() if len(sketch.points) < 50]


@pytest.mark.parametrize("name", SMALL)
def test_twin_significance(name):
    expected = [value for stroke in FINITE[name].strokes for value in naive.significance(naive.points_of(stroke))]
    np.testing.assert_array_equal(significance(FINITE[name]), expected)


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("max_points", [2, 3, 5, 8])
def test_twin_budget(name, max_points):
    sketch = FINITE[name]
    result = simplify(sketch, max_points=max_points)
    strokes, kept = naive.cut(sketch, max_points)
    assert len(result.strokes) == strokes
    assert len(result.points) == len(kept)
    rows = [tuple(point) for point in sketch.points.tolist()]
    least = {}
    for point, value in zip(rows, significance(sketch).tolist(), strict=True):
        least[point] = max(value, least.get(point, 0))
    assert all(least[tuple(point)] >= min(kept) for point in result.points.tolist())


@given(st.one_of(drawings, whole_drawings))
def test_significance_agrees_with_the_recursion(sketch):
    expected = [value for stroke in sketch.strokes for value in naive.significance(naive.points_of(stroke))]
    np.testing.assert_array_equal(significance(sketch), expected)


@given(st.one_of(drawings, whole_drawings), st.one_of(st.floats(0, 10), st.integers(0, 5)))
def test_epsilon_agrees_with_the_recursion(sketch, epsilon):
    got = [[tuple(point) for point in stroke.tolist()] for stroke in simplify(sketch, epsilon).strokes]
    assert got == naive.simplify(sketch, epsilon)


@given(st.one_of(drawings, whole_drawings), st.one_of(st.floats(0, 10), st.integers(0, 5), st.floats(10, 1e5)))
def test_epsilon_agrees_with_shapely(sketch, epsilon):
    shapely = pytest.importorskip("shapely")
    for before, after in zip(sketch.strokes, simplify(sketch, epsilon).strokes, strict=True):
        # shapely knows no line of one point, and makes none of a line that stands still.
        if len(before) < 2 or (before == before[0]).all():
            assert len(after) == min(len(before), 2)
            continue
        line = shapely.LineString(before.astype(float)).simplify(epsilon, preserve_topology=False)
        np.testing.assert_array_equal(after, shapely.get_coordinates(line))


def test_epsilon_agrees_with_shapely_on_long_strokes():
    shapely = pytest.importorskip("shapely")
    walk = np.cumsum(np.random.default_rng(0).normal(size=(20, 500, 2)), axis=1).astype(np.float32)
    whole = np.rint(walk)
    for strokes in (walk, whole):
        for epsilon in (0, 0.5, 1, 2, 10):
            got = simplify(Sketch.from_strokes(strokes), epsilon).strokes
            lines = shapely.simplify(shapely.linestrings(strokes.astype(float)), epsilon, preserve_topology=False)
            for after, line in zip(got, lines, strict=True):
                np.testing.assert_array_equal(after, shapely.get_coordinates(line))


def test_distance_is_to_the_segment_not_to_the_line():
    # The second point is on the line through the ends, but 5 beyond them.
    beyond = Sketch.from_strokes([[(0, 0), (15, 0), (10, 0)]])
    assert len(simplify(beyond, 4).points) == 3
    assert significance(beyond)[1] == 5


@given(st.one_of(drawings, whole_drawings), st.integers(2, 40))
def test_a_budget_is_kept_and_used(sketch, max_points):
    result = simplify(sketch, max_points=max_points)
    assert len(result.points) <= max_points
    if len(sketch.points) <= max_points:
        np.testing.assert_array_equal(result.points, sketch.points)
        np.testing.assert_array_equal(result.offsets, sketch.offsets)
    strokes, kept = naive.cut(sketch, max_points)
    assert (len(result.strokes), len(result.points)) == (strokes, len(kept))
    ends = sum(min(len(stroke), 2) for stroke in sketch.strokes)
    if ends <= max_points < len(sketch.points):
        assert len(result.points) == max_points
        for before, after in zip(sketch.strokes, result.strokes, strict=True):
            np.testing.assert_array_equal(before[:1], after[:1])
            np.testing.assert_array_equal(before[-1:], after[-1:])


@given(drawings, st.integers(2, 40))
def test_a_budget_is_a_cut_at_some_epsilon(sketch, max_points):
    values = np.unique(significance(sketch))
    if not len(values) or len(sketch.points) <= max_points:
        return
    for epsilon in values[np.isfinite(values)]:
        by_epsilon = simplify(sketch, float(epsilon))
        if len(by_epsilon.points) == max_points:
            np.testing.assert_array_equal(simplify(sketch, max_points=max_points).points, by_epsilon.points)


@given(drawings, st.integers(2, 20), st.integers(2, 20))
def test_smaller_budgets_keep_fewer_points(sketch, one, other):
    ends = sum(min(len(stroke), 2) for stroke in sketch.strokes)
    # Below the number of ends whole strokes make room, also for points that a larger budget has no room for.
    small, large = sorted((max(one, ends), max(other, ends)))
    few = simplify(sketch, max_points=small).points.tolist()
    many = iter(simplify(sketch, max_points=large).points.tolist())
    assert all(point in many for point in few), "not a subsequence"


def test_too_many_strokes_lose_the_shortest_first():
    sketch = Sketch.from_strokes([[(0, 0), (9, 0)], [(5, 5)], [(0, 0), (3, 0)], [], [(0, 0), (3, 0)], [(1, 1), (1, 9)]])
    assert [stroke.tolist() for stroke in simplify(sketch, max_points=6).strokes] == [
        [[0, 0], [9, 0]],
        [[0, 0], [3, 0]],
        [],
        [[1, 1], [1, 9]],
    ]
    assert simplify(sketch, max_points=3).offsets.tolist() == [0, 2, 2]


def test_a_budget_counts_each_drawing_of_a_set():
    result = simplify(zoo_set(), max_points=7).validate()
    assert np.diff(result.stroke_offsets[result.sketch_offsets]).max() == 7


def test_time_goes_with_its_points():
    result = simplify(ZOO["timed"], max_points=6)
    times = {tuple(p): t for p, t in zip(ZOO["timed"].points.tolist(), ZOO["timed"].time.tolist(), strict=True)}
    assert len(result.time) == 6
    # The house is closed: its first and last point are the same place at two times.
    assert result.time.tolist()[1:] == [times[tuple(p)] for p in result.points.tolist()][1:]


def test_a_straight_stroke_of_many_points_is_quick_and_deep_strokes_do_not_recurse():
    line = np.stack([np.arange(100_000), np.zeros(100_000)], axis=1)
    assert len(simplify(Sketch.from_strokes([line]), 0).points) == 2
    assert len(simplify(Sketch.from_strokes([line]), max_points=10).points) == 10
    # Each split takes off one end: the worst case for depth.
    comb = np.stack([np.arange(2000.0), np.arange(2000.0, 0, -1) ** 2 * (-1.0) ** np.arange(2000)], axis=1)
    assert len(simplify(Sketch.from_strokes([comb]), 0).points) == 2000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "exactly one of epsilon and max_points"),
        ({"epsilon": 1, "max_points": 5}, "exactly one of epsilon and max_points"),
        ({"epsilon": -1}, "epsilon must be 0 or more, not -1"),
        ({"epsilon": float("nan")}, "epsilon must be 0 or more, not nan"),
        ({"epsilon": float("inf")}, "epsilon must be 0 or more, not inf"),
        ({"max_points": 1}, "max_points must be a whole number of at least 2"),
        ({"max_points": 2.5}, "max_points must be a whole number of at least 2"),
    ],
)
def test_arguments_out_of_range_are_named(arguments, message):
    with pytest.raises(ParameterError, match=message):
        simplify(ZOO["hook"], **arguments)


def test_significance_refuses_nan():
    with pytest.raises(DataError, match="finite"):
        significance(ZOO["NaN"])
