"""Parquet; the independent readers and writers are pyarrow's own and duckdb's."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import sketchkit
from sketchkit import SketchSet
from sketchkit.errors import DataError
from sketchkit.formats import parquet
from sketchkit.formats.parquet_footer import claimed_sizes
from sketchkit.reading import SketchkitWarning

from format_samples import SAMPLES, assert_same
from zoo import zoo_set

SAMPLE = SAMPLES["parquet, timed"].sketches
DRAWING = pa.list_(pa.list_(pa.list_(pa.float32(), 2)))


def written(tmp_path, sketches=SAMPLE):
    path = tmp_path / "all.parquet"
    sketchkit.write(sketches, path)
    return path


def test_the_types_are_those_that_every_reader_knows(tmp_path):
    schema = pq.read_schema(written(tmp_path, SAMPLE.with_columns(word=np.array(["a", None, "a"], object))))
    assert str(schema.field("time").type) == "list<element: list<element: float>>"
    assert str(schema.field("drawing").type) == "list<element: list<element: fixed_size_list<element: float>[2]>>"
    # Of dictionaries and extension types, `datasets` makes an error.
    assert schema.field("label").type == schema.field("word").type == pa.string()
    assert not any(isinstance(field.type, pa.BaseExtensionType) for field in schema)


def test_other_engines_read_the_drawings_as_plain_lists(tmp_path):
    path = written(tmp_path)
    expected = [[stroke.tolist() for stroke in sketch.strokes] for sketch in SAMPLE]
    assert pq.read_table(path).column("drawing").to_pylist() == expected
    duckdb = pytest.importorskip("duckdb")
    rows = duckdb.sql(f"select drawing, label from '{path}'").fetchall()
    assert [([[list(point) for point in stroke] for stroke in drawing]) for drawing, _ in rows] == expected
    assert [label for _, label in rows] == SAMPLE.columns["label"].tolist()
    copy = tmp_path / "copy.parquet"
    duckdb.sql(f"copy (select * from '{path}') to '{copy}' (format parquet)")
    assert_same(sketchkit.read(copy), SAMPLE)


@pytest.mark.parametrize("timed", [False, True])
def test_the_zoo_comes_back(tmp_path, timed):
    drawings = zoo_set(timed=timed, finite=False)
    path = written(tmp_path, drawings)
    assert_same(sketchkit.read(path), drawings)
    assert_same(SketchSet.concat(sketchkit.scan(path, chunk=5)), drawings)


@pytest.mark.parametrize("sketches", [SAMPLE[:0], SketchSet.from_sketches([])])
def test_a_set_of_no_drawings_comes_back(tmp_path, sketches):
    assert_same(sketchkit.read(written(tmp_path, sketches)), sketches)


@pytest.mark.parametrize(
    "values",
    [
        *(np.array([0, 1, 100], kind) for kind in ("i1", "u2", "u4", "i8", "u8", "f2", "f4", "f8", "?", ">i4")),
        *(np.array(["2020-01-01", "NaT", "2100-01-01"], f"M8[{unit}]") for unit in ("D", "s", "ms", "us", "ns")),
        np.array([1, 2, 3], "m8[s]"),
        np.array([1.5, np.nan, -np.inf]),
        np.array(["a", "", "äö"]),
        np.array(["a", None, "ä"], object),
        np.array([1, None, 2**40], object),
        np.array([True, None, False], object),
        np.array([None, None, None], object),
        np.arange(6, dtype=np.int16).reshape(3, 2),
    ],
    ids=lambda values: values.dtype.str,
)
def test_columns_keep_their_types(tmp_path, values):
    found = sketchkit.read(written(tmp_path, SAMPLE.with_columns(given=values))).columns["given"]
    assert found.dtype == values.dtype
    np.testing.assert_array_equal(found, values)


def test_many_row_groups_are_one_set(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "_GROUP", 2)
    drawings = SketchSet.concat([SAMPLE] * 3)
    path = written(tmp_path, drawings)
    assert pq.ParquetFile(path).num_row_groups == 5
    assert_same(sketchkit.read(path), drawings)
    assert [len(part) for part in sketchkit.scan(path, chunk=4)] == [4, 4, 1]


def test_chunks_of_any_size_are_row_groups_of_one(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "_GROUP", 4)
    path = tmp_path / "chunks.parquet"
    pieces = [SAMPLE[:0], SAMPLE, SAMPLE[:1], SAMPLE, SAMPLE]
    with path.open("wb") as stream:
        parquet.write_chunks(iter(pieces), stream)
        assert not stream.closed
    assert [pq.ParquetFile(path).metadata.row_group(index).num_rows for index in range(3)] == [4, 4, 2]
    assert_same(sketchkit.read(path), SketchSet.concat(pieces))


def test_the_first_row_group_decides_the_columns(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "_GROUP", 3)
    more = SAMPLE.with_columns(more=np.arange(3))
    with (tmp_path / "chunks.parquet").open("wb") as stream:
        parquet.write_chunks([more, SAMPLE], stream)
    assert sketchkit.read(tmp_path / "chunks.parquet").columns["more"].tolist() == [0, 1, 2, None, None, None]
    for some, words in (
        ([SAMPLE, more], "the column 'more' is not in the first drawings"),
        ([more, SAMPLE.with_columns(more=np.array(["a", "b", "c"], object))], "'more' is string here and int64 in the"),
    ):
        with pytest.raises(DataError, match=words):
            parquet.write_chunks(some, io.BytesIO())


def test_a_null_drawing_is_a_bad_record(tmp_path):
    table = pa.table({"drawing": pa.array([[[[0, 1]]], None, []], DRAWING), "n": [0, 1, 2]})
    pq.write_table(table, tmp_path / "other.parquet")
    with pytest.raises(DataError, match=r"other\.parquet: record 1: has no drawing"):
        sketchkit.read(tmp_path / "other.parquet")
    with pytest.warns(SketchkitWarning, match="skipped 1 bad records"):
        assert sketchkit.read(tmp_path / "other.parquet", on_error="skip").columns["n"].tolist() == [0, 2]


def test_a_table_without_drawings_is_refused(tmp_path):
    pq.write_table(pa.table({"a": [1]}), tmp_path / "other.parquet")
    with pytest.raises(DataError, match=r"other\.parquet: has the columns a; one must be 'drawing'"):
        sketchkit.read(tmp_path / "other.parquet")


def test_a_page_that_is_damaged_is_told_by_its_checksum(tmp_path):
    path = written(tmp_path, SAMPLE.with_columns(word=np.array(["abcdefgh", "b", "c"], dtype=object)))
    data = path.read_bytes()
    path.write_bytes(data.replace(b"abcdefgh", b"abcdefgi", 1))
    with pytest.raises(DataError, match="CRC"):
        sketchkit.read(path)


@pytest.mark.parametrize("rows", [1, 1000])
def test_the_footer_is_read_as_pyarrow_reads_it(tmp_path, rows):
    drawings = SketchSet.concat([SAMPLE] * rows)
    data = written(tmp_path, drawings).read_bytes()
    group = pq.ParquetFile(io.BytesIO(data)).metadata.row_group(0)
    columns = [group.column(index) for index in range(group.num_columns)]
    sizes = [max(8 * column.num_values, column.total_uncompressed_size) for column in columns]
    assert claimed_sizes(data) == [len(drawings) + sum(sizes)]


@pytest.mark.parametrize(
    ("footer", "words"),
    [
        (b"\x49\x1c" + b"\x19\x1c" * 40, "nested too deep"),
        (b"\x49\xfc\xff\xff\xff\xff\x0f", "claims more than it holds"),
        (b"\x46" + b"\xff" * 11, "a number does not end"),
        (b"\x4d\x00", "a value of no known type"),
        (b"\x49\x18\x01a\x00", "the footer is damaged"),
        (b"\x49", "the footer is damaged"),
    ],
)
def test_a_footer_that_lies_is_refused(tmp_path, footer, words):
    path = tmp_path / "lie.parquet"
    path.write_bytes(b"PAR1" + footer + len(footer).to_bytes(4, "little") + b"PAR1")
    with pytest.raises(DataError, match=rf"lie\.parquet: .*{words}"):
        sketchkit.read(path)


def test_a_row_group_that_claims_too_much_is_not_unpacked(tmp_path, monkeypatch):
    path = written(tmp_path)
    monkeypatch.setattr(parquet, "_SPARE", 0)
    monkeypatch.setattr(parquet, "_MOST_UNPACKED", 0)
    with pytest.raises(DataError, match=r"row group 0 claims \d+ bytes, in a file of \d+; it is not unpacked"):
        sketchkit.read(path)
