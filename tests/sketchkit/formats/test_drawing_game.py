import csv
import gzip
import json

import numpy as np
import pytest
import shapely
import svgpathtools

import sketchkit
from sketchkit import Sketch
from sketchkit.errors import DataError
from sketchkit.formats.csv_columns import Kind, kinds_of, value_of
from sketchkit.reading import SketchkitWarning

from format_samples import assert_same
from zoo import FINITE, NOT_FINITE, ZOO, zoo_set

FIELDS = {"gameID": "7004", "trialNum": "3", "target": "knob", "numStrokes": "2", "drawDuration": "18.5"}
PATHS = ["M1,2l3,0v4", "M0 0c0,4 4,4 4,0"]


def game(tmp_path, *records, header=None, name="game.csv"):
    """A file of records: FIELDS and PATHS, with some replaced."""
    path = tmp_path / name
    with path.open("w", newline="") as file:
        rows = [{**FIELDS, "svg": json.dumps(PATHS), **record} for record in records]
        table = csv.DictWriter(file, header or list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    return path


def test_fields_become_columns(tmp_path):
    path = game(
        tmp_path,
        {
            "outcome": "TRUE",
            "condition": "closer",
            "note": 'he said "no",\nthen drew',
            "rt": "NA",
            "n": "4",
            "seen": "",
        },
        {
            "outcome": "FALSE",
            "condition": "further",
            "note": "",
            "rt": "2.5",
            "n": "NA",
            "seen": "TRUE",
            "trialNum": "9",
        },
    )
    chairs = sketchkit.read(path)
    columns = {name: values.tolist() for name, values in chairs.columns.items()}
    assert columns["label"] == ["knob", "knob"]
    assert columns["key"] == ["7004_3", "7004_9"]
    assert columns["gameID"] == ["7004", "7004"]
    assert columns["trialNum"] == [3, 9]
    assert columns["drawDuration"] == [18.5, 18.5]
    assert columns["outcome"] == [True, False]
    assert columns["condition"] == ["closer", "further"]
    assert columns["note"] == ['he said "no",\nthen drew', ""]
    np.testing.assert_array_equal(columns["rt"], [np.nan, 2.5])
    np.testing.assert_array_equal(columns["n"], [4, np.nan])
    assert columns["seen"] == [None, True]
    assert columns["numStrokes"] == [2, 2]
    assert not {"target", "svg"} & set(columns)


def test_a_string_is_a_stroke(tmp_path):
    record = {"svg": json.dumps(["M1,2l3,0v4", "M5 5", "", "M 0 0 H 2 Z"]), "numStrokes": "4"}
    (chair,) = sketchkit.read(game(tmp_path, record))
    assert [stroke.tolist() for stroke in chair.strokes] == [
        [[1, 2], [4, 2], [4, 6]],
        [[5, 5]],
        [],
        [[0, 0], [2, 0], [0, 0]],
    ]


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({"svg": "[]", "numStrokes": "1"}, "numStrokes is '1', but svg holds 0 strokes"),
        ({"numStrokes": "two"}, "numStrokes is 'two', but svg holds 2 strokes"),
        ({"svg": "M0 0"}, "svg is not JSON"),
        ({"svg": ""}, "svg is not JSON"),
        ({"svg": "[" * 50_000}, "svg is not JSON"),
        ({"svg": "{}"}, "svg is no JSON list of strings"),
        ({"svg": '["M0 0l1 1", 5]'}, "svg is no JSON list of strings"),
        ({"svg": '["M0 0l1 1", "L1 1"]'}, r"svg string 1 has path data that do not begin with a move"),
        ({"svg": '["M0 0l1", ""]'}, "svg string 0 has a path with 1 numbers after l; it takes 2 at a time"),
        ({"svg": '["M0 0l1 1M2 2l1 1", ""]'}, "svg string 0 has 2 subpaths; each string is one stroke"),
        ({"svg": '["M0 0l1e39 1", ""]'}, "has a coordinate that is not finite or beyond what float32 holds"),
        ({"svg": '["M0 0c1e30 1e30 1e30 0 0 0", ""]'}, "needs .* points at a tolerance of 0.1"),
    ],
)
def test_a_bad_record_is_named_and_can_be_skipped(tmp_path, record, words):
    path = game(tmp_path, {}, record, {"trialNum": "5"})
    with pytest.raises(DataError, match=rf"game\.csv: record 1 \(line 3\): {words}"):
        sketchkit.read(path)
    with pytest.warns(SketchkitWarning, match=rf"skipped 1 bad records; the first: .*{words}"):
        found = sketchkit.read(path, on_error="skip")
    assert found.columns["key"].tolist() == ["7004_3", "7004_5"]
    assert found.columns["numStrokes"].dtype == np.int64, "a bad record decides no dtype"


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (b"1,2\n", "has 2 columns; the header has 6"),
        (b'7,1,knob,0,"1"x,[]\n', "is no CSV: ',' expected after '\"'"),
        (b"7,1,kn\xffb,0,1,[]\n", "has bytes that are no UTF-8"),
        (b"7,1,kn\rb,0,1,[]\n", "is no CSV: new-line character seen in unquoted field"),
    ],
)
def test_a_row_that_is_no_csv_is_named_and_can_be_skipped(tmp_path, row, words):
    path = game(tmp_path, {}, {})
    first, second, third = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + second + row + third)
    with pytest.raises(DataError, match=rf"record 1 \(line 3\): {words}"):
        sketchkit.read(path)
    with pytest.warns(SketchkitWarning, match="skipped 1 bad records"):
        assert len(sketchkit.read(path, on_error="skip")) == 2


def test_an_open_quote_is_told(tmp_path):
    path = game(tmp_path, {}, {})
    path.write_bytes(path.read_bytes()[:-6])
    with pytest.raises(DataError, match=r"record 1 \(line 3\): is no CSV: unexpected end of data"):
        sketchkit.read(path)


def test_blank_lines_a_mark_and_windows_newlines_are_fine(tmp_path):
    path = game(tmp_path, {}, {"trialNum": "4"})
    expected = sketchkit.read(path)
    data = path.read_bytes()
    assert b"\r\n" in data
    for other in (b"\xef\xbb\xbf" + data, data.replace(b"\r\n", b"\n"), data.replace(b"\r\n", b"\r\n\r\n")):
        path.write_bytes(other)
        assert_same(sketchkit.read(path), expected)


@pytest.mark.parametrize("header", ["a,b", "svg,svg", "svg,a,a", '"svg'])
def test_a_header_that_names_no_single_svg_is_refused(tmp_path, header):
    (tmp_path / "odd.csv").write_text(f"{header}\n1,2\n")
    with pytest.raises(DataError, match=r"odd\.csv: (has not one column 'svg'|the first line is no header)"):
        sketchkit.read(tmp_path / "odd.csv", format="drawing-game")


@pytest.fixture
def csv_limit():
    """The csv module's own limit, whatever was set before in this process."""
    before = csv.field_size_limit(131_072)
    yield csv.field_size_limit()
    csv.field_size_limit(before)


def test_a_record_longer_than_the_csv_module_s_limit_is_read_and_one_without_end_is_not(
    tmp_path, monkeypatch, csv_limit
):
    long = json.dumps(["M0 0" + "l1 1" * 50_000])
    assert len(long) > csv_limit
    (chair,) = sketchkit.read(game(tmp_path, {"svg": long, "numStrokes": "1"}))
    assert len(chair.points) == 50_001
    assert csv.field_size_limit() == csv_limit
    monkeypatch.setattr("sketchkit.formats.drawing_game._LARGEST_RECORD", 100_000)
    path = tmp_path / "bomb.csv"
    for filling in (b"1" * 10_000_000, b'"a\n",' * 1_000_000):
        path.write_bytes(gzip.compress(b"svg,a\n[],1\n[]," + filling))
        with pytest.raises(DataError, match=r"bomb\.csv: a record has more than 100000 bytes"):
            sketchkit.read(path)


def test_chunks_decide_no_dtype(tmp_path):
    path = game(tmp_path, {"a": "1", "b": "7"}, {"a": "1.5", "b": "x"}, {"a": "2", "b": "TRUE"})
    whole = sketchkit.read(path)
    assert whole.columns["a"].tolist() == [1.0, 1.5, 2.0]
    assert whole.columns["b"].tolist() == ["7", "x", "TRUE"]
    for chunk in (1, 2):
        assert_same(sketchkit.SketchSet.concat(sketchkit.scan(path, chunk=chunk)), whole)


@pytest.mark.parametrize(
    ("texts", "kind", "values"),
    [
        (["1", "-20", "0"], Kind.INTEGER, [1, -20, 0]),
        (["1", "2.5", "-.5e3", "-Inf"], Kind.FLOAT, [1, 2.5, -500, -np.inf]),
        (["TRUE", "False", "NA"], Kind.TRUTH, [True, False, None]),
        (["007", "1"], Kind.TEXT, ["007", "1"]),
        (["1", "TRUE"], Kind.TEXT, ["1", "TRUE"]),
        (["12345678901234567890123"], Kind.TEXT, ["12345678901234567890123"]),
        (["1_0", "\uff11"], Kind.TEXT, ["1_0", "\uff11"]),
        (["", "NA"], Kind.TEXT, ["", None]),
        (["a", "NA", ""], Kind.TEXT, ["a", None, ""]),
    ],
)
def test_the_kind_of_a_column(texts, kind, values):
    assert kinds_of([text] for text in texts) == [kind]
    assert [value_of(text, kind) for text in texts] == values


@pytest.mark.parametrize("timed", [False, True])
@pytest.mark.filterwarnings("ignore:.*no place for time")
def test_the_zoo_comes_back(tmp_path, timed):
    drawings = zoo_set(timed=timed)
    sketchkit.write(drawings, tmp_path / "zoo.csv", format="drawing-game")
    found = sketchkit.read(tmp_path / "zoo.csv")
    np.testing.assert_array_equal(found.points, drawings.points)
    np.testing.assert_array_equal(found.stroke_offsets, drawings.stroke_offsets)
    np.testing.assert_array_equal(found.sketch_offsets, drawings.sketch_offsets)
    assert {name: values.tolist() for name, values in found.columns.items()} == {
        name: values.tolist() for name, values in drawings.columns.items()
    }


def test_the_number_of_strokes_is_counted_anew(tmp_path):
    chairs = sketchkit.read(game(tmp_path, {}, {"trialNum": "4"}))
    fewer = chairs.keep_strokes(np.array([True, False, True, True]))
    sketchkit.write(fewer, tmp_path / "fewer.csv", format="drawing-game")
    assert sketchkit.read(tmp_path / "fewer.csv").columns["numStrokes"].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("drawing", "words"),
    [
        (
            Sketch.from_strokes([], label="NA"),
            "sketch 0 has 'NA' as 'target'; in this format that means a missing value",
        ),
        (Sketch.from_strokes([], meta={"a": [1]}), "sketch 0 has a list as 'a'; it must be text or a number"),
        (Sketch.from_strokes([], meta={"svg": "x"}), "has columns 'svg'"),
        (Sketch.from_strokes([], label="a", meta={"target": "b"}), "'target' beside 'label'"),
        (Sketch.from_strokes([], label="\udc80"), "a text cannot be written as UTF-8"),
        *((ZOO[name], "coordinates must be finite") for name in NOT_FINITE),
    ],
)
def test_what_the_format_cannot_hold_is_refused(tmp_path, drawing, words):
    with pytest.raises(DataError, match=words):
        sketchkit.write(drawing, tmp_path / "odd.csv", format="drawing-game")
    assert list(tmp_path.iterdir()) == []


def test_any_drawing_may_be_written_as_csv_by_its_suffix(tmp_path):
    sketchkit.write(FINITE["named"], tmp_path / "house.csv")
    (found,) = sketchkit.read(tmp_path / "house.csv")
    assert (found.label, found.key, found.meta) == ("house", "h-1", {"countrycode": "CH", "recognized": True})


def test_the_real_pack_and_svgpathtools_agree(shared_data, tmp_path):
    path = shared_data / "refgame_chairs" / "sketchpad_basic_chairs.csv"
    drawings = sketchkit.read(path)
    with path.open(newline="") as file:
        records = list(csv.DictReader(file))
    assert drawings.columns["label"].tolist() == [record["target"] for record in records]
    assert drawings.columns["condition"].tolist() == [record["condition"] for record in records]
    assert drawings.columns["drawDuration"].tolist() == [float(record["drawDuration"]) for record in records]
    assert drawings.columns["outcome"].tolist() == [record["outcome"] == "TRUE" for record in records]
    assert drawings.columns["numStrokes"].tolist() == np.diff(drawings.sketch_offsets).tolist()
    for sketch, record in list(zip(drawings, records, strict=True))[::20]:
        for stroke, text in zip(sketch.strokes, json.loads(record["svg"]), strict=True):
            curve = svgpathtools.parse_path(text)
            true = np.array([segment.point(t) for segment in curve for t in np.linspace(0, 1, 50)])
            line = shapely.LineString(stroke)
            assert shapely.distance(line, shapely.points(true.real, true.imag)).max() <= 0.1 + 1e-4
            assert np.allclose(stroke[[0, -1]], [[z.real, z.imag] for z in (curve.start, curve.end)], atol=1e-4)
    sketchkit.write(drawings, tmp_path / "again.csv.gz", format="drawing-game")
    assert_same(sketchkit.read(tmp_path / "again.csv.gz"), drawings)
