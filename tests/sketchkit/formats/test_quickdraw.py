import json

import numpy as np
import pytest

import sketchkit
from sketchkit import Sketch, SketchSet
from sketchkit.errors import DataError

from format_samples import assert_same
from zoo import NOT_FINITE, ZOO, zoo_set


def line(drawing, **fields):
    return json.dumps({"word": "cat", "key_id": "1", **fields, "drawing": drawing})


def read_lines(tmp_path, *lines):
    path = tmp_path / "cat.ndjson"
    path.write_text("\n".join(lines))
    return sketchkit.read(path, format="quickdraw")


def test_fields_become_columns(tmp_path):
    cats = read_lines(
        tmp_path,
        line([[[0, 255], [3, 4]]], countrycode="CH", timestamp="2017-03-02", recognized=True),
        line([[[1.5], [2]], [[7, 8, 9], [1, 2, 3]]], countrycode="US", timestamp="2017-03-03", recognized=False),
    )
    assert cats.columns["label"].tolist() == ["cat", "cat"]
    assert cats.columns["key"].tolist() == ["1", "1"]
    assert cats.columns["countrycode"].tolist() == ["CH", "US"]
    assert cats.columns["recognized"].tolist() == [True, False]
    assert cats.columns["recognized"].dtype == bool
    assert [stroke.tolist() for stroke in cats[1].strokes] == [[[1.5, 2]], [[7, 1], [8, 2], [9, 3]]]
    assert cats.points.dtype == np.float32
    assert cats[0].time is None


def test_the_third_list_is_time(tmp_path):
    cats = read_lines(tmp_path, line([[[0, 255], [3, 4], [0, 40]], [[1], [1], [95.5]]]), line([[[1], [1], [7]]]))
    assert cats[0].time.tolist() == [0, 40, 95.5]
    assert cats.point_columns["time"].tolist() == [0, 40, 95.5, 7]
    assert cats.point_columns["time"].dtype == np.float32


def test_blank_lines_windows_newlines_and_a_missing_last_newline_are_fine(tmp_path):
    one = line([[[0, 255], [3, 4]]])
    assert len(read_lines(tmp_path, "", one + "\r", "  ", one)) == 2


def test_empty_drawings_and_strokes_stay(tmp_path):
    cats = read_lines(tmp_path, line([]), line([[[], []], [[1], [2]]]))
    assert [len(cat.strokes) for cat in cats] == [0, 2]
    assert [len(stroke) for stroke in cats[1].strokes] == [0, 1]


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ('{"word": "cat"', "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ('{"drawing": ' + "[" * 100_000 + "]" * 100_000 + "}", "is not JSON"),
        ("[1, 2]", "is a JSON list, not an object with a 'drawing'"),
        ("null", "is a JSON NoneType"),
        ('{"word": "cat"}', "has no 'drawing'"),
        (line(3), "'drawing' is not a list of strokes"),
        (line({"x": [1]}), "'drawing' is not a list of strokes"),
        (line([[1, 2]]), r"stroke 0 is not \[\[x"),
        (line([[[1], [2]], [[3]]]), r"stroke 1 is not \[\[x"),
        (line([[[1], [2], [3], [4]]]), r"stroke 0 is not \[\[x"),
        (line(["ab"]), r"stroke 0 is not \[\[x"),
        (line([[[1], [2]], [[1, 2, 3, 4, 5], [1, 2, 3, 4]]]), "stroke 1 has 5 x but 4 y; they must be equal"),
        (line([[[1], [2], [3, 4]]]), "stroke 0 has 1 x but 1 y but 2 t; they must be equal"),
        (line([[[1], [2]], [[1], [2], [0]]]), "stroke 1 has 3 lists, stroke 0 has 2"),
        (line([[["1"], [2]]]), "has a str among its coordinates; they must be numbers"),
        (line([[[None], [2]]]), "has a NoneType among its coordinates"),
        (line([[[True], [2]]]), "has a bool among its coordinates"),
        (line([[[[1]], [2]]]), "has a list among its coordinates"),
        (line([[[1], [{"y": 2}]]]), "has a dict among its coordinates"),
        (line([[[1], [1e39]]]), "has a number beyond what float32 holds"),
        (line([[[10**30], [10**40]]]), "has a number beyond what float32 holds"),
        ('{"word": "cat", "drawing": [[[NaN], [1]]]}', "is not JSON"),
        ('{"drawing": [[[1], [2], [0]]]}', "has a third list in its strokes but no 'word'"),
    ],
)
def test_a_bad_record_says_what_is_wrong(tmp_path, record, words):
    with pytest.raises(DataError, match=rf"cat\.ndjson: record 0 \(line 1, byte 0\): {words}"):
        read_lines(tmp_path, record)


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ([[[1], [2], [0]]], [[[1], [2]]], "has no times, unlike the drawings before it"),
        ([[[1], [2]]], [[[1], [2], [0]]], "has times, unlike the drawings before it"),
    ],
)
def test_a_file_is_simplified_or_raw_not_both(tmp_path, first, second, words):
    with pytest.raises(DataError, match=f"record 1 .*{words}"):
        read_lines(tmp_path, line(first), line(second))


def test_drawings_without_points_fit_raw_and_simplified_files(tmp_path):
    raw = read_lines(tmp_path, line([]), line([[[1], [2], [0]]]), line([[[], []]]))
    assert [len(cat.strokes) for cat in raw] == [0, 1, 1]
    assert raw.point_columns["time"].tolist() == [0]


@pytest.mark.parametrize("timed", [False, True])
def test_the_zoo_comes_back(tmp_path, timed):
    drawings = zoo_set(timed=timed)
    sketchkit.write(drawings, tmp_path / "zoo.ndjson")
    found = sketchkit.read(tmp_path / "zoo.ndjson")
    assert_same(found, drawings)


@pytest.mark.parametrize("name", NOT_FINITE)
def test_what_json_cannot_hold_is_refused(tmp_path, name):
    with pytest.raises(DataError, match=r"zoo\.ndjson: sketch 0 has the point .*; coordinates must be finite"):
        sketchkit.write(ZOO[name], tmp_path / "zoo.ndjson")
    assert list(tmp_path.iterdir()) == []


def test_times_that_are_not_finite_and_columns_that_are_no_json_are_refused(tmp_path):
    with pytest.raises(DataError, match="a time is not finite"):
        sketchkit.write(Sketch.from_strokes([[(1, 2)]], time=[[np.nan]], label="cat"), tmp_path / "cat.ndjson")
    with pytest.raises(DataError, match="sketch 0 cannot be written as JSON"):
        sketchkit.write(Sketch.from_strokes([[(1, 2)]], meta={"odd": object()}), tmp_path / "cat.ndjson")


def test_what_is_written_is_what_upstream_s_readers_expect(tmp_path):
    cat = Sketch.from_strokes([[(0, 1), (255, 2)], [(3, 4.5)]], label="cat", key="7", meta={"recognized": True})
    sketchkit.write(cat, tmp_path / "cat.ndjson")
    assert json.loads((tmp_path / "cat.ndjson").read_text()) == {
        "word": "cat",
        "key_id": "7",
        "recognized": True,
        "drawing": [[[0, 255], [1, 2]], [[3], [4.5]]],
    }
    assert '"drawing":[[[0,255],' in (tmp_path / "cat.ndjson").read_text(), "whole numbers have no point"


def test_a_gigantic_key_stays_exact(tmp_path):
    cats = read_lines(tmp_path, line([], key_id=2**63 + 1), line([], key_id=2**63 + 3))
    assert cats.columns["key"].tolist() == [2**63 + 1, 2**63 + 3]


def test_the_real_simplified_pack(shared_data):
    files = sorted((shared_data / "quickdraw" / "simplified").glob("*.ndjson"))
    drawings = SketchSet.concat([sketchkit.read(file) for file in files])
    assert len(files) == 295
    assert len(drawings) == 7375
    assert drawings.columns["recognized"].sum() == 6802
    assert drawings.points.min() == 0
    assert drawings.points.max() == 255
    assert sorted(set(drawings.columns["label"])) == sorted({file.stem for file in files})
    # Each drawing against a plain reading of its line by the standard library.
    lines = files[7].read_text().splitlines()
    for sketch, text in zip(sketchkit.read(files[7]), lines, strict=True):
        record = json.loads(text)
        assert [stroke.T.tolist() for stroke in sketch.strokes] == record["drawing"]
        assert (sketch.label, sketch.key) == (record["word"], record["key_id"])


def test_the_real_raw_pack(shared_data):
    files = sorted((shared_data / "quickdraw" / "raw").glob("*.ndjson"))
    drawings = SketchSet.concat([sketchkit.read(file) for file in files])
    assert (len(files), len(drawings)) == (100, 2862)
    assert drawings.columns["recognized"].sum() == 2630
    assert (drawings.points.min().round(), drawings.points.max().round()) == (-730, 2755)
    first_times = [sketch.time[0] for sketch in drawings]
    assert np.count_nonzero(first_times) == 153
    # Time runs backwards within 3 of the 13,912 strokes, in the files themselves: it is given as it stands there.
    strokes = [times for sketch in drawings for times in np.split(sketch.time, sketch.offsets[1:-1])]
    assert (len(strokes), sum(bool(np.any(np.diff(times) < 0)) for times in strokes)) == (13_912, 3)


def test_a_real_raw_file_survives_a_round_trip(shared_data, tmp_path):
    drawings = sketchkit.read(shared_data / "quickdraw" / "raw" / "cat.ndjson")
    sketchkit.write(drawings, tmp_path / "cat.ndjson.gz")
    assert_same(sketchkit.read(tmp_path / "cat.ndjson.gz"), drawings)


def test_part_labels_are_not_taken_for_times(shared_data):
    with pytest.raises(DataError, match="this is not Quick, Draw!'s raw format, whose third list holds times; format="):
        sketchkit.read(shared_data / "quickdraw" / "spg" / "duck_raw.ndjson", format="quickdraw")
