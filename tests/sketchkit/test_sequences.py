from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given

from sketchkit import DataError, ParameterError, sequences

from zoo import drawings, whole_drawings

# Two strokes: (1, 2) -> (4, 6), then the dot (4, 0).
POINTS = np.array([(1, 2), (4, 6), (4, 0)], np.float32)
OFFSETS = np.array([0, 2, 3], np.int64)


def test_stroke3_by_hand():
    assert sequences.to_stroke3(POINTS, OFFSETS).tolist() == [[1, 2, 0], [3, 4, 1], [0, -6, 1]]


def test_stroke5_by_hand():
    assert sequences.to_stroke5(POINTS, OFFSETS, 5).tolist() == [
        [1, 2, 1, 0, 0],
        [3, 4, 0, 1, 0],
        [0, -6, 0, 1, 0],
        [0, 0, 0, 0, 1],
        [0, 0, 0, 0, 1],
    ]


def test_stroke5_absolute_by_hand():
    rows = sequences.to_stroke5(POINTS, OFFSETS, absolute=True)
    assert rows.tolist() == [[1, 2, 1, 0, 0], [4, 6, 0, 1, 0], [4, 0, 0, 1, 0], [4, 0, 0, 0, 1]]


def test_a_last_stroke_without_lift_is_closed_at_the_end():
    points, offsets = sequences.from_stroke3([(0, 0, 0), (1, 0, 1), (1, 1, 0)])
    assert points.tolist() == [[0, 0], [1, 0], [2, 1]]
    assert offsets.tolist() == [0, 2, 3]


def test_rows_after_the_first_end_are_not_read():
    rows = [(1, 1, 1, 0, 0), (1, 0, 0, 0, 1), (9, 9, 1, 0, 0)]
    points, offsets = sequences.from_stroke5(rows)
    assert points.tolist() == [[1, 1]]
    assert offsets.tolist() == [0, 1]


@pytest.mark.parametrize("read", [sequences.from_stroke3, sequences.from_stroke5])
def test_no_rows_make_no_strokes(read):
    points, offsets = read([])
    assert points.shape == (0, 2)
    assert points.dtype == np.float32
    assert offsets.tolist() == [0]


@pytest.mark.parametrize(
    ("read", "rows", "message"),
    [
        (sequences.from_stroke3, [(1, 2)], r"stroke-3 must be \(n, 3\), not \(1, 2\)"),
        (sequences.from_stroke3, [(1, 2, 0), (1, 2)], r"stroke-3 must be \(n, 3\) numbers"),
        (sequences.from_stroke3, [1, 2, 3], r"not \(3,\)"),
        (sequences.from_stroke5, [(1, 2, 0)], r"stroke-5 must be \(n, 5\), not \(1, 3\)"),
        (sequences.from_stroke5, [("a",) * 5], r"stroke-5 must be \(n, 5\) numbers"),
    ],
)
def test_other_shapes_are_refused(read, rows, message):
    with pytest.raises(DataError, match=message):
        read(rows)


def test_a_length_too_short_says_how_to_fit():
    with pytest.raises(ParameterError, match=r"3 points need 4 rows .* simplify\(max_points=2\)"):
        sequences.to_stroke5(POINTS, OFFSETS, 3)


@given(whole_drawings)
def test_round_trip_is_exact_on_whole_coordinates(sketch):
    filled = [stroke.tolist() for stroke in sketch.strokes if len(stroke)]
    for points, offsets in (
        sequences.from_stroke3(sequences.to_stroke3(sketch.points, sketch.offsets)),
        sequences.from_stroke5(sequences.to_stroke5(sketch.points, sketch.offsets)),
    ):
        assert [points[a:b].tolist() for a, b in pairwise(offsets)] == filled


@given(drawings)
def test_absolute_round_trip_is_exact(sketch):
    rows = sequences.to_stroke5(sketch.points, sketch.offsets, absolute=True)
    points, _ = sequences.from_stroke5(rows, absolute=True)
    np.testing.assert_array_equal(points, sketch.points)


@given(drawings)
def test_pen_states_are_one_hot_and_count_strokes(sketch):
    rows = sequences.to_stroke5(sketch.points, sketch.offsets, len(sketch.points) + 3)
    assert (rows[:, 2:].sum(axis=1) == 1).all()
    assert rows[:, 3].sum() == sum(len(stroke) > 0 for stroke in sketch.strokes)
    assert rows[:, 4].sum() == 3
