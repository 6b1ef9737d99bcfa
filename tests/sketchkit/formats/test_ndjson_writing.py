import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import sketchkit
from sketchkit import Sketch, SketchSet
from sketchkit.errors import DataError
from sketchkit.formats import quickdraw

from format_samples import SAMPLES
from zoo import zoo_set

whole = st.integers(-(2**24) + 1, 2**24 - 1)
numbers = st.one_of(whole, st.floats(width=32, allow_nan=False, allow_infinity=False))


def written(*sets):
    stream = io.BytesIO()
    quickdraw.write_chunks(sets, stream)
    return stream.getvalue()


@given(st.lists(st.lists(st.lists(st.tuples(numbers, numbers, numbers), max_size=5), max_size=3), max_size=4))
def test_every_number_is_written_exactly(drawings):
    block = SketchSet.from_sketches(
        Sketch.from_strokes(
            [[point[:2] for point in stroke] for stroke in drawing],
            time=[[point[2] for point in stroke] for stroke in drawing],
        )
        for drawing in drawings
    )
    records = [json.loads(line) for line in written(block).splitlines() if line]
    found = [[np.array(stroke, np.float32).T.tolist() for stroke in record["drawing"]] for record in records]
    expected = [[np.array(stroke, np.float32).reshape(-1, 3).tolist() for stroke in drawing] for drawing in drawings]
    assert found == expected


@given(st.lists(st.lists(st.tuples(whole, whole), max_size=4), max_size=3))
def test_whole_numbers_are_written_as_the_standard_library_does(strokes):
    drawing = [[list(column) for column in zip(*stroke, strict=True)] or [[], []] for stroke in strokes]
    expected = json.dumps({"word": "cat", "drawing": drawing}, separators=(",", ":")) + "\n"
    assert written(SketchSet.from_sketches([Sketch.from_strokes(strokes, label="cat")])).decode() == expected


def test_a_negative_zero_keeps_its_sign(tmp_path):
    sketchkit.write(Sketch.from_strokes([[(-0.0, 0.0)]]), tmp_path / "zero.ndjson")
    assert np.signbit(sketchkit.read(tmp_path / "zero.ndjson").points).tolist() == [[True, False]]


@pytest.mark.parametrize("name", ["quickdraw", "quickdraw, raw", "spg"])
@pytest.mark.parametrize("chunk", [1, 2])
def test_chunks_give_the_bytes_of_the_whole(name, chunk):
    block = SAMPLES[name].sketches
    assert written(*(block[first : first + chunk] for first in range(0, len(block), chunk))) == written(block)


def test_the_zoo_is_written_alike_by_itself_and_among_others():
    for timed in (False, True):
        zoo = zoo_set(timed=timed)
        assert b"".join(written(zoo[index : index + 1]) for index in range(len(zoo))) == written(zoo)


def test_nothing_at_all_is_a_blank_line():
    assert written() == written(zoo_set()[:0]) == b"\n"


def test_chunks_must_all_have_times_or_none():
    timed = SketchSet.from_sketches([Sketch.from_strokes([[(1, 2)]], time=[[3]], label="cat")])
    plain = SketchSet.from_sketches([Sketch.from_strokes([[(1, 2)]], label="cat")])
    with pytest.raises(DataError, match="sketch 2 and those after it have None, those before it time"):
        written(timed, timed, plain)
    assert written(SketchSet.from_sketches([Sketch.from_strokes([])]), timed).count(b"\n") == 2


def test_an_error_counts_from_the_first_chunk_on():
    good = SketchSet.from_sketches([Sketch.from_strokes([[(1, 2)]])] * 3)
    odd = SketchSet.from_sketches([Sketch.from_strokes([[(1, 2)]], meta={"odd": object()})])
    with pytest.raises(DataError, match="sketch 3 cannot be written as JSON"):
        written(good, odd)


def test_the_label_and_the_key_win_over_columns_of_the_same_name():
    cats = [Sketch.from_strokes([], label="cat", key="1", meta={"word": "dog", "key_id": "2"})]
    cats.append(Sketch.from_strokes([], meta={"word": "dog", "key_id": "2"}))
    records = [json.loads(line) for line in written(SketchSet.from_sketches(cats)).splitlines()]
    assert [(record["word"], record["key_id"]) for record in records] == [("cat", "1"), ("dog", "2")]


def test_a_column_may_not_be_called_as_the_strokes():
    with pytest.raises(DataError, match="there is a column 'drawing'"):
        written(SketchSet.from_sketches([Sketch.from_strokes([], meta={"drawing": 1})]))
