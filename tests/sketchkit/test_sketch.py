import dataclasses

import numpy as np
import pytest

from sketchkit import DataError, Sketch

from zoo import FINITE, ZOO


@pytest.mark.parametrize("name", ZOO)
def test_strokes_are_views_that_cover_the_points(name):
    sketch = ZOO[name]
    assert len(sketch.strokes) == len(sketch.offsets) - 1
    assert all(np.shares_memory(stroke, sketch.points) for stroke in sketch.strokes if len(stroke))
    np.testing.assert_array_equal(np.concatenate([*sketch.strokes, np.zeros((0, 2))]), sketch.points)


@pytest.mark.parametrize("name", ZOO)
def test_from_strokes_gives_row_major_float32_and_int64(name):
    sketch = ZOO[name]
    assert sketch.points.dtype == np.float32
    assert sketch.points.flags.c_contiguous
    assert sketch.offsets.dtype == np.int64


def test_transposed_strokes_become_row_major():
    sketch = Sketch.from_strokes([np.array([[0, 1, 2], [5, 6, 7]], np.float32).T])
    assert sketch.points.flags.c_contiguous
    assert sketch.points.tolist() == [[0, 5], [1, 6], [2, 7]]


def test_from_strokes_copies():
    given = np.zeros((3, 2), np.float32)
    sketch = Sketch.from_strokes([given])
    given[:] = 9
    assert not sketch.points.any()


def test_sketch_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        ZOO["named"].label = "other"


@pytest.mark.parametrize(
    ("strokes", "time", "message"),
    [
        ([[(0, 0, 0)]], None, r"stroke 0 has shape \(1, 3\); it must be \(n, 2\): x, y"),
        ([[(0, 0)], [0, 1]], None, r"stroke 1 has shape \(2,\)"),
        ([[("a", "b")]], None, "stroke 0 is not an array of numbers"),
        ([[(0, 0), (1,)]], None, "stroke 0 is not an array of numbers"),
        ([[(0, 0), (1, 1)]], [[0]], r"times have \[1\] values a stroke, strokes have \[2\] points"),
        ([[(0, 0)], [(1, 1)]], [[0]], r"times have \[1\] values a stroke"),
    ],
)
def test_bad_strokes_are_named(strokes, time, message):
    with pytest.raises(DataError, match=message):
        Sketch.from_strokes(strokes, time=time)


def test_time_is_none_or_one_value_a_point():
    assert ZOO["named"].time is None
    assert ZOO["timed"].time.tolist() == [0, 40, 90, 120, 200, 310, 700, 720, 780, 800]
    assert len(ZOO["timed empty"].time) == 0


def test_fields_are_label_key_and_meta_in_that_order():
    sketch = Sketch.from_strokes([], label="cat", key=7, meta={"label": "dog", "country": "AT"})
    assert list(sketch.fields.items()) == [("label", "cat"), ("key", 7), ("country", "AT")]
    assert Sketch.from_strokes([]).fields == {}


def test_repr_shows_what_is_known():
    assert repr(ZOO["named"]) == "Sketch(2 strokes, 10 points, label='house', key='h-1')"
    assert repr(ZOO["empty"]) == "Sketch(0 strokes, 0 points)"


@pytest.mark.parametrize("name", FINITE)
def test_stroke3_and_stroke5_give_the_drawing_back(name):
    sketch = FINITE[name]
    filled = [stroke for stroke in sketch.strokes if len(stroke)]
    tolerance = 1e-5 * max(1e-20, float(np.abs(sketch.points).max(initial=0)))
    for back in (
        Sketch.from_stroke3(sketch.to_stroke3()),
        Sketch.from_stroke5(sketch.to_stroke5()),
        Sketch.from_stroke5(sketch.to_stroke5(len(sketch.points) + 4)),
        Sketch.from_stroke5(sketch.to_stroke5(absolute=True), absolute=True),
    ):
        assert [len(stroke) for stroke in back.strokes] == [len(stroke) for stroke in filled]
        np.testing.assert_allclose(back.points, sketch.points, rtol=0, atol=tolerance)


def test_constructors_of_sequences_carry_label_and_key():
    rows3, rows5 = ZOO["named"].to_stroke3(), ZOO["named"].to_stroke5()
    assert Sketch.from_stroke3(rows3, label="house", key=1).fields == {"label": "house", "key": 1}
    assert Sketch.from_stroke5(rows5, label="house", key=1).fields == {"label": "house", "key": 1}


def test_a_drawing_cannot_be_written_to():
    points, offsets, time = np.zeros((3, 2), np.float32), np.array([0, 3]), np.arange(3.0)
    sketch = Sketch(points, offsets, point_columns={"time": time})
    for array in (sketch.points, sketch.offsets, sketch.time, sketch.strokes[0]):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    points[0] = time[0] = 5  # whoever made the arrays may still write to them
    assert np.shares_memory(sketch.points, points)


def test_a_notebook_shows_dark_ink_on_white_whatever_its_ground():
    shown = Sketch.from_strokes([[(0, 9), (5, 0), (9, 9)]], label='style="color:red"')._repr_svg_()
    root = shown[: shown.index(">")]
    assert "color:black;background:white;" in root.partition(" data-label=")[0]
    assert shown.count("background:white") == 1
