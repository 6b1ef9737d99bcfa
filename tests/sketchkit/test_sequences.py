from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

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


STEPS = st.integers(-500, 500)


@given(st.lists(st.tuples(STEPS, STEPS, st.integers(0, 1)), max_size=40))
def test_any_stroke3_rows_come_back_with_the_last_pen_lifted(rows):
    found = sequences.to_stroke3(*sequences.from_stroke3(rows))
    expected = [list(row) for row in rows]
    if expected:
        expected[-1][2] = 1
    assert found.tolist() == expected


@given(whole_drawings, st.integers(0, 9), st.booleans())
def test_padded_stroke5_comes_back_and_says_what_stroke3_says(sketch, padding, absolute):
    length = len(sketch.points) + 1 + padding
    rows = sequences.to_stroke5(sketch.points, sketch.offsets, length, absolute=absolute)
    assert rows.shape == (length, 5)
    points, offsets = sequences.from_stroke5(rows, absolute=absolute)
    from_three = sequences.from_stroke3(sequences.to_stroke3(sketch.points, sketch.offsets))
    np.testing.assert_array_equal(points, from_three[0])
    np.testing.assert_array_equal(offsets, from_three[1])
    again = sequences.to_stroke5(points, offsets, length, absolute=absolute)
    np.testing.assert_array_equal(again, rows)


@given(drawings)
def test_steps_add_up_within_what_float32_holds(sketch):
    points, _ = sequences.from_stroke3(sequences.to_stroke3(sketch.points, sketch.offsets))
    # Each of n steps, at most 2e6 long, is rounded to float32 once (2^-24 of it), and so is the sum.
    bound = (len(points) + 1) * 2e6 * 2.0**-24
    assert np.abs(points.astype(float) - sketch.points).max(initial=0) <= bound
