import json

import numpy as np
import pytest

import sketchkit
from sketchkit import Sketch, SketchSet
from sketchkit.errors import DataError
from sketchkit.formats import quickdraw, spg
from sketchkit.reading import SketchkitWarning

from format_samples import SAMPLES, assert_same

LABELED = {"i": 0, "key_id": "7", "drawing": [[[1, 2, 3], [4, 5, 6], [0, 0, 1]]]}


def read_records(tmp_path, *records, **options):
    path = tmp_path / "duck_raw.ndjson"
    path.write_text("\n".join(map(json.dumps, records)))
    return sketchkit.read(path, **options)


def test_the_third_list_is_a_part(tmp_path):
    ducks = read_records(tmp_path, LABELED, {**LABELED, "i": 1, "drawing": []})
    assert ducks.point_columns["part"].tolist() == [0, 0, 1]
    assert ducks.point_columns["part"].dtype == np.int32
    assert ducks[0].time is None
    assert ducks.columns["i"].tolist() == [0, 1]
    assert ducks.columns["key"].tolist() == ["7", "7"]
    assert "label" not in ducks.columns


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (LABELED, True),
        ({"drawing": [], "key_id": "1", "i": 0}, True),
        ({"word": "cat", **LABELED}, False),
        ({**LABELED, "word": None}, False),
        ({"key_id": "7", "drawing": LABELED["drawing"]}, False),
        ({"i": 7, "drawing": LABELED["drawing"]}, False),
        ([LABELED], False),
    ],
)
def test_a_file_is_told_by_its_names(tmp_path, record, expected):
    for spaces in ((",", ":"), (" , ", " : ")):
        head = b"\n" + json.dumps(record, separators=spaces).encode() + b"\n"
        assert spg.sniff(head, tmp_path / "any") is expected
        assert quickdraw.sniff(head, tmp_path / "any") is (isinstance(record, dict) and not expected)


def test_what_may_be_either_is_refused_until_one_is_named(tmp_path):
    either = {"key_id": "7", "drawing": LABELED["drawing"]}
    with pytest.raises(DataError, match=r"no 'word': .*; format=.spg. reads the third list as part labels"):
        read_records(tmp_path, either)
    assert read_records(tmp_path, either, format="spg").point_columns["part"].tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"word": "duck"}, "has a 'word', .* format=\"quickdraw\" reads it"),
        ({"drawing": [[[1], [2]]]}, "has no third list of part labels"),
        ({"drawing": [[[1], [2], [0.5]]]}, "has the part label 0.5; labels must be whole numbers"),
        ({"drawing": [[[1], [2], [2**24]]]}, r"has the part label 1\.67772e\+07"),
        ({"drawing": [[[1], [2], ["head"]]]}, "has a str among its coordinates"),
    ],
)
def test_what_is_no_part_is_refused(tmp_path, changed, words):
    with pytest.raises(DataError, match=rf"record 1 .*{words}"):
        read_records(tmp_path, LABELED, {**LABELED, **changed}, format="spg")


def test_both_names_write_the_same_and_it_comes_back(tmp_path):
    drawings = SAMPLES["spg"].sketches
    bare = SketchSet(
        drawings.points, drawings.stroke_offsets, drawings.sketch_offsets, {}, drawings.point_columns
    ).with_columns(label=np.array(["house"] * len(drawings), object))
    for index, block in enumerate((drawings, bare, drawings[:0])):
        one, other = tmp_path / f"{index}.ndjson", tmp_path / f"{index}-named"
        sketchkit.write(block, one)
        sketchkit.write(block, other, format="spg")
        assert one.read_bytes() == other.read_bytes()
        if len(block):
            assert_same(sketchkit.read(one), block)


def test_what_cannot_be_written_is_told(tmp_path):
    timed = Sketch.from_strokes([[(1, 2)]], time=[[3]])
    with pytest.raises(DataError, match="there is no point column 'part', which this format needs"):
        sketchkit.write(Sketch.from_strokes([[(1, 2)]]), tmp_path / "a.ndjson", format="spg")
    both = Sketch(timed.points, timed.offsets, point_columns={**timed.point_columns, "part": np.array([1], np.int32)})
    with pytest.raises(DataError, match="have both 'time' and 'part'"):
        sketchkit.write(both, tmp_path / "a.ndjson")
    with pytest.warns(SketchkitWarning, match="no place for time"):
        sketchkit.write(both, tmp_path / "a.ndjson", format="spg")
    assert sketchkit.read(tmp_path / "a.ndjson").point_columns["part"].tolist() == [1]


def test_the_real_files(shared_data, tmp_path):
    files = sorted((shared_data / "quickdraw" / "spg").glob("*.ndjson"))
    doubled = []
    for file in files:
        ducks = sketchkit.read(file)
        records = [json.loads(line) for line in file.read_text().splitlines()]
        doubled += [stroke for record in records for stroke in record["drawing"] if len(stroke) == 4]
        parts = [part for record in records for stroke in record["drawing"] for part in stroke[2]]
        assert (len(ducks), ducks.point_columns["part"].tolist()) == (680, parts)
        sketchkit.write(ducks, tmp_path / "again.ndjson")
        assert_same(sketchkit.read(tmp_path / "again.ndjson"), ducks)
    assert (len(files), len(doubled)) == (6, 20)


def test_labels_that_stand_twice_are_taken_once(tmp_path):
    twice = {**LABELED, "drawing": [[[1], [2], [3], [3]], [[4], [5], [6]]]}
    assert read_records(tmp_path, LABELED, twice).point_columns["part"].tolist() == [0, 0, 1, 3, 6]
    for drawing in ([[[1], [2], [3], [4]]], [[[1], [2], [3], [3], [3]]], [[[1], [2], [3], [3, 3]]]):
        with pytest.raises(DataError, match=r"record 1 .*stroke 0 is not \[\[x"):
            read_records(tmp_path, LABELED, {**LABELED, "drawing": drawing})
