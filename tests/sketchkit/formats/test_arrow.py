"""Arrow IPC; the independent readers and writers are pyarrow's own, and shapely."""

import io
import pickle
import re
import struct

import numpy as np
import pyarrow as pa
import pytest
import shapely

import sketchkit
from sketchkit import Sketch, SketchSet
from sketchkit.errors import DataError
from sketchkit.formats import arrow, arrow_spool, arrow_table
from sketchkit.reading import SketchkitWarning

from format_samples import SAMPLES, assert_same
from zoo import ZOO, zoo_set

SAMPLE = SAMPLES["arrow, timed"].sketches
POINT = pa.list_(pa.float32(), 2)
DRAWING = pa.list_(pa.list_(POINT))
PLAIN = [[[[0, 1], [2, 3]], [[4, 5]]], [], [[[6, 7]], []]]


def written(tmp_path, sketches=SAMPLE):
    path = tmp_path / "all.arrow"
    sketchkit.write(sketches, path)
    return path


def saved(tmp_path, table, *, kind="file", compression=None, most=None):
    path = tmp_path / "other.arrow"
    new = pa.ipc.new_stream if kind == "stream" else pa.ipc.new_file
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with new(str(path), table.schema, options=options) as writer:
        writer.write_table(table, most)
    return path


def strokes_of(drawings):
    return [[stroke.tolist() for stroke in sketch.strokes] for sketch in drawings.validate()]


def many(strokes):
    """Drawings of two strokes of one point each, with all that grows with their number."""
    points = np.arange(2 * strokes, dtype=np.float32).reshape(-1, 2)
    label = np.full(strokes // 2, "cat", dtype=object)
    offsets = (np.arange(strokes + 1), np.arange(0, strokes + 1, 2))
    return SketchSet(points, *offsets, {"label": label}, {"time": points[:, 0].copy()})


def mapped_memory(path):
    """Kilobytes of a mapped file that are in this process's memory, and where it is mapped."""
    with open("/proc/self/smaps") as maps:  # noqa: PTH123 - no regular file
        text = maps.read()
    found = re.search(rf"^([0-9a-f]+)-([0-9a-f]+) .* {re.escape(str(path))}\n(?:.*\n)*?Rss: +([0-9]+)", text, re.M)
    return int(found[3]), range(int(found[1], 16), int(found[2], 16))


# What is written


def test_pyarrow_reads_the_drawings_as_plain_lists(tmp_path):
    table = pa.ipc.open_file(written(tmp_path)).read_all()
    assert table.column("drawing").to_pylist() == [[stroke.tolist() for stroke in sketch.strokes] for sketch in SAMPLE]
    assert table.column("label").to_pylist() == SAMPLE.columns["label"].tolist()
    assert table.column("time").to_pylist()[1] == [SAMPLE[1].time.tolist()]
    field = table.schema.field("drawing")
    assert str(field.type) == "large_list<item: large_list<item: fixed_size_list<item: float>[2]>>"
    assert field.metadata[b"ARROW:extension:name"] == b"geoarrow.multilinestring"


def test_text_that_repeats_is_a_dictionary(tmp_path):
    label = np.array(["cat", "dog", None, "cat"] * 4, dtype=object)
    key = np.array([str(number) for number in range(16)], dtype=object)
    drawings = SketchSet.from_sketches([ZOO["hook"]] * 16).with_columns(label=label, key=key)
    path = written(tmp_path, drawings)
    schema = pa.ipc.open_file(path).schema
    assert pa.types.is_dictionary(schema.field("label").type)
    assert pa.types.is_string(schema.field("key").type)
    assert_same(sketchkit.read(path), drawings)


def test_shapely_takes_the_arrays_as_they_are(tmp_path):
    drawings = sketchkit.read(written(tmp_path))
    offsets = (drawings.stroke_offsets, drawings.sketch_offsets)
    lines = shapely.from_ragged_array(shapely.GeometryType.MULTILINESTRING, drawings.points, offsets)
    assert [len(line.geoms) for line in lines] == np.diff(SAMPLE.sketch_offsets).tolist()
    assert shapely.get_coordinates(lines).tolist() == drawings.points.tolist()


@pytest.mark.parametrize("timed", [False, True])
def test_the_zoo_comes_back(tmp_path, timed):
    drawings = zoo_set(timed=timed, finite=False)
    path = written(tmp_path, drawings)
    assert_same(sketchkit.read(path), drawings)
    assert_same(SketchSet.concat(sketchkit.scan(path, chunk=5)), drawings)


@pytest.mark.parametrize("sketches", [SAMPLE[:0], SketchSet.from_sketches([])])
def test_a_set_of_no_drawings_comes_back(tmp_path, sketches):
    path = written(tmp_path, sketches)
    assert_same(sketchkit.read(path), sketches)
    assert list(sketchkit.scan(path)) == []


@pytest.mark.parametrize(
    "values",
    [
        *(np.array([0, 1, 100], kind) for kind in ("i1", "u2", "i8", "u8", "f2", "f4", "f8", "?", ">i4", ">f8")),
        *(np.array(["2020-01-01", "NaT", "2100-01-01"], f"M8[{unit}]") for unit in ("D", "s", "ms", "us", "ns")),
        np.array([1, 2, 3], "m8[s]"),
        np.array([1.5, np.nan, -np.inf]),
        np.array(["a", "", "äö"]),
        np.array([b"a", b"", b"xyz"]),
        np.array(["a", None, "ä"], object),
        np.array([b"\xff", None, b""], object),
        np.array([1, None, 2**40], object),
        np.array([1, 2, 3], object),
        np.array([True, None, False], object),
        np.array([None, None, None], object),
        np.arange(6, dtype=np.int16).reshape(3, 2),
        np.fromiter([(1, 2), None, ()], object, 3),
        np.fromiter([["a"], None, []], object, 3),
    ],
    ids=lambda values: values.dtype.str,
)
def test_columns_keep_their_types(tmp_path, values):
    drawings = SAMPLE.with_columns(given=values)
    found = sketchkit.read(written(tmp_path, drawings)).columns["given"]
    assert found.dtype == values.dtype
    np.testing.assert_array_equal(found, values)
    for one, other in zip(found.tolist(), values.tolist(), strict=True):
        assert type(one) is type(other)


def test_columns_that_arrow_has_no_type_for_are_refused(tmp_path):
    for odd, words in (
        ({"odd": np.array([1, "a", None], object)}, "column 'odd' is of no type that Arrow has: it holds int, str"),
        ({"odd": np.array([1, True, None], object)}, "column 'odd' is of no type that Arrow has: it holds bool, int"),
        ({"odd": np.array([{"a": 1}] * 3, object)}, "column 'odd' is of no type that Arrow has: it holds dict"),
        ({"odd": np.array([object()] * 3, object)}, r"column 'odd' \(object\) is of no type that Arrow has"),
        ({"odd": np.array([1j] * 3)}, r"column 'odd' \(complex128\) is of no type that Arrow has"),
        ({"odd": np.zeros((3, 2, 2))}, r"column 'odd' has the shape \(3, 2, 2\)"),
        ({"drawing": np.zeros(3)}, "names of their own; drawing is there twice"),
        ({"time": np.zeros(3)}, "names of their own; time is there twice"),
    ):
        with pytest.raises(DataError, match=words):
            written(tmp_path, SAMPLE.with_columns(**odd))
    assert list(tmp_path.iterdir()) == []


# Opened memory-mapped


def test_what_is_read_lies_in_the_mapped_file(tmp_path):
    path = written(tmp_path)
    found = sketchkit.read(path)
    _, addresses = mapped_memory(path)
    for array in (found.points, found.stroke_offsets, found.sketch_offsets, *found.point_columns.values()):
        assert array.ctypes.data in addresses
        assert not array.flags.writeable
    # A new file takes the old one's place; the set still has the old one.
    sketchkit.write(SAMPLE[:1], path)
    assert_same(found, SAMPLE)


def test_a_file_a_hundred_times_as_large_is_opened_by_touching_no_more_of_it(tmp_path):
    touched = []
    for strokes in (12_000, 1_200_000):
        path = tmp_path / f"{strokes}.arrow"
        sketchkit.write(many(strokes), path)
        before = pa.total_allocated_bytes()
        found = sketchkit.read(path)
        assert pa.total_allocated_bytes() - before < 10_000
        touched.append(mapped_memory(path)[0])
        assert found[strokes // 2 - 1].label == "cat"
        del found
    assert path.stat().st_size > 30_000_000
    # The system maps the pages around the one that is touched, 64 KiB at a time.
    assert touched[1] < touched[0] + 1024


def test_columns_are_made_when_they_are_asked_for(tmp_path, monkeypatch):
    made = []
    original = arrow_table.to_numpy
    monkeypatch.setattr(arrow_table, "to_numpy", lambda array, dtype: made.append(len(array)) or original(array, dtype))
    drawings = many(200)
    found = sketchkit.read(written(tmp_path, drawings))
    assert made == [200], "the point column alone"
    assert found[7].label == "cat"
    assert made == [200, 1], "one drawing needs one value"
    part = found[10:20]
    assert part.validate().columns["label"].tolist() == ["cat"] * 10
    assert made == [200, 1, 10]
    assert found.columns["label"] is found.columns["label"]
    assert made == [200, 1, 10, 100]
    assert_same(pickle.loads(pickle.dumps(part)), drawings[10:20])


def test_scanning_a_large_file_keeps_no_more_of_it_than_asked(tmp_path, monkeypatch):
    monkeypatch.setattr(arrow, "_MAPPED_AT_ONCE", 1 << 20)
    monkeypatch.setattr(arrow, "_ORDERED_AT_ONCE", 1 << 16)
    drawings = many(1_200_000)
    path = written(tmp_path, drawings)
    most, total = 0, 0
    for part in sketchkit.scan(path, chunk=20_000):
        total += float(part.points.sum(dtype=np.float64)) + float(part.point_columns["time"].sum(dtype=np.float64))
        most = max(most, mapped_memory(path)[0])
    assert total == drawings.points.sum(dtype=np.float64) + drawings.point_columns["time"].sum(dtype=np.float64)
    assert most * 1024 < path.stat().st_size / 2


# Written piece by piece


def test_chunks_are_one_record_batch(tmp_path):
    path = tmp_path / "chunks.arrow"
    pieces = [SAMPLE[:1], SAMPLE[1:1], SAMPLE[1:], SAMPLE]
    with path.open("wb") as stream:
        arrow.write_chunks(iter(pieces), stream)
        assert not stream.closed
    assert list(tmp_path.iterdir()) == [path]
    assert pa.ipc.open_file(path).num_record_batches == 1
    assert_same(sketchkit.read(path), SketchSet.concat(pieces))


def test_columns_beyond_memory_begin_a_further_batch(tmp_path, monkeypatch):
    monkeypatch.setattr(arrow_spool, "_COLUMN_BYTES", 1500)
    labels = [f"label {number // 40}" for number in range(400)]
    drawings = SketchSet.from_sketches(
        Sketch.from_strokes([[(number, 0)]], label=label, key=str(number)) for number, label in enumerate(labels)
    )
    path = tmp_path / "chunks.arrow"
    with path.open("wb") as stream:
        arrow.write_chunks((drawings[start : start + 50] for start in range(0, 400, 50)), stream)
    reader = pa.ipc.open_file(path)
    assert reader.num_record_batches > 2
    assert pa.types.is_dictionary(reader.schema.field("label").type)
    assert reader.read_all().column("label").to_pylist() == labels
    assert_same(sketchkit.read(path), drawings)
    assert_same(SketchSet.concat(sketchkit.scan(path, chunk=7)), drawings)


def test_no_chunks_are_a_file_of_no_drawings():
    stream = io.BytesIO()
    arrow.write_chunks([], stream)
    assert pa.ipc.open_file(stream.getvalue()).read_all().num_rows == 0


def test_chunks_with_other_columns_are_joined_as_sets_are(tmp_path):
    pieces = [
        SAMPLE.with_columns(more=np.arange(3)),
        SAMPLE,
        SAMPLE.with_columns(more=np.array(["a", None, "b"], object)),
    ]
    for some in (pieces[:2], pieces[1:]):
        with (tmp_path / "chunks.arrow").open("wb") as stream:
            arrow.write_chunks(some, stream)
        assert_same(sketchkit.read(tmp_path / "chunks.arrow"), SketchSet.concat(some))
    for some, words in (
        (pieces, "column 'more' is of no type that Arrow has"),
        ([SAMPLE, SAMPLES["arrow"].sketches], r"lack a point column that others carry \(part, time\)"),
    ):
        with pytest.raises(DataError, match=words):
            arrow.write_chunks(some, io.BytesIO())


# Files of others


@pytest.mark.parametrize("kind", ["file", "stream"])
@pytest.mark.parametrize("make", [pa.list_, pa.large_list])
@pytest.mark.parametrize("number", [pa.float32(), pa.float64(), pa.int16()])
def test_tables_of_others_are_read(tmp_path, kind, make, number):
    column = pa.array(PLAIN, make(make(pa.list_(number, 2))))
    label = pa.array(["a", "b", "a"]).dictionary_encode()
    table = pa.table({"strokes": column, "label": label})
    path = saved(tmp_path, pa.concat_tables([table, table.slice(1)]), kind=kind)
    found = sketchkit.read(path)
    assert strokes_of(found) == [*PLAIN, *PLAIN[1:]]
    assert found.columns["label"].tolist() == ["a", "b", "a", "b", "a"]
    assert [len(part) for part in sketchkit.scan(path, chunk=2)] == [2, 2, 1]


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
def test_packed_files_are_read(tmp_path, compression):
    table = pa.table({"drawing": pa.array(PLAIN * 50, DRAWING), "label": pa.array(["a", "b", "c"] * 50)})
    path = saved(tmp_path, table, compression=compression, most=40)
    assert strokes_of(sketchkit.read(path)) == PLAIN * 50


def test_files_of_polars_are_read(tmp_path):
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"drawing": PLAIN, "label": ["a", None, "c"]})
    frame.write_ipc(tmp_path / "frame.arrow")
    frame.write_ipc_stream(tmp_path / "frame.arrows")
    for path in tmp_path.iterdir():
        found = sketchkit.read(path)
        assert strokes_of(found) == PLAIN
        assert found.columns["label"].tolist() == ["a", None, "c"]


def test_points_in_other_layouts_are_read(tmp_path):
    points = pa.struct([("x", pa.float64()), ("y", pa.float64())])
    as_structs = [[[{"x": x, "y": y} for x, y in stroke] for stroke in strokes] for strokes in PLAIN]
    for column in (
        pa.array(as_structs, pa.list_(pa.list_(points))),
        pa.array(PLAIN, pa.list_(pa.list_(pa.list_(pa.float64())))),
        pa.array([[[[9, 9]]], *PLAIN, []], DRAWING).slice(1, 3),
    ):
        batch = pa.record_batch({"geometry": column})
        assert strokes_of(arrow_table.from_batch(batch, arrow_table.Problems())) == PLAIN
        assert strokes_of(sketchkit.read(saved(tmp_path, pa.table({"geometry": column})))) == PLAIN


def test_a_column_is_found_by_its_mark(tmp_path):
    marked = pa.field("lines", DRAWING, metadata={"ARROW:extension:name": "geoarrow.multilinestring"})
    table = pa.table([pa.array(PLAIN, DRAWING), pa.array([1, None, 3])], pa.schema([marked, pa.field("n", pa.int64())]))
    found = sketchkit.read(saved(tmp_path, table))
    assert strokes_of(found) == PLAIN
    assert found.columns["n"].tolist() == [1, None, 3]


def test_unmarked_lists_of_the_drawings_shape_are_point_columns(tmp_path):
    shaped = [[[1, 2], [3]], [], [[4], []]]
    other = [[[1]], [], None]
    table = pa.table({"drawing": pa.array(PLAIN, DRAWING), "time": pa.array(shaped), "other": pa.array(other)})
    found = sketchkit.read(saved(tmp_path, table))
    assert found.point_columns["time"].tolist() == [1, 2, 3, 4]
    assert found.columns["other"].tolist() == other


@pytest.mark.parametrize("kind", [DRAWING, pa.list_(pa.list_(pa.struct([("x", pa.int8()), ("y", pa.int8())])))])
@pytest.mark.parametrize("place", ["drawing", "stroke", "point", "coordinate"])
def test_a_null_is_a_bad_record(tmp_path, kind, place):
    if place == "coordinate" and pa.types.is_struct(kind.value_type.value_type):
        point = {"x": 1, "y": None}
    else:
        point = [1, None] if place == "coordinate" else None
    bad = {"drawing": None, "stroke": [None], "point": [[None]], "coordinate": [[point]]}[place]
    good = [[]]
    path = saved(tmp_path, pa.table({"drawing": pa.array([good, bad, good], kind), "n": [0, 1, 2]}))
    with pytest.raises(DataError, match=r"other\.arrow: record 1: has no drawing \(null\), or a null among"):
        sketchkit.read(path)
    with pytest.warns(SketchkitWarning, match="skipped 1 bad records"):
        found = sketchkit.read(path, on_error="skip")
    assert found.columns["n"].tolist() == [0, 2]


def test_extension_types_that_are_registered_are_seen_through():
    class Lines(pa.ExtensionType):
        def __init__(self):
            super().__init__(DRAWING, "geoarrow.multilinestring")

        def __arrow_ext_serialize__(self):
            return b""

        @classmethod
        def __arrow_ext_deserialize__(cls, storage, serialized):
            return cls()

    batch = pa.record_batch({"drawing": pa.ExtensionArray.from_storage(Lines(), pa.array(PLAIN, DRAWING))})
    assert strokes_of(arrow_table.from_batch(batch, arrow_table.Problems())) == PLAIN


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"a": [1]}, "has the columns a; one must be 'drawing', list<list<fixed_size_list<float>"),
        ({"drawing": ["a"]}, "has 'drawing' of the type string; it must be list<list<"),
        (
            {"drawing": pa.array([[[[1, 2, 3]]]], pa.list_(pa.list_(pa.list_(pa.int8(), 3))))},
            "has 'drawing' of the type",
        ),
        (
            {"drawing": pa.array([[[[1]]]], pa.list_(pa.list_(pa.list_(pa.int8()))))},
            "points that are not of two numbers",
        ),
        ({"drawing": pa.array([[[[1e300, 0]]]], pa.list_(pa.list_(pa.list_(pa.float64(), 2))))}, "beyond what float32"),
    ],
)
def test_other_tables_are_refused(tmp_path, columns, words):
    with pytest.raises(DataError, match=rf"other\.arrow: .*{words}"):
        sketchkit.read(saved(tmp_path, pa.table(columns)))


def test_a_marked_point_column_of_another_shape_is_refused(tmp_path):
    marked = pa.field("time", pa.list_(pa.list_(pa.int64())), metadata={"sketchkit.role": "point"})
    schema = pa.schema([pa.field("drawing", DRAWING), marked])
    table = pa.table([pa.array(PLAIN[:1], DRAWING), pa.array([[[1], [2, 3]]], marked.type)], schema)
    with pytest.raises(DataError, match="the point column 'time' has other strokes than the drawings"):
        sketchkit.read(saved(tmp_path, table))


# Damage


def test_offsets_that_lie_are_refused(tmp_path):
    path = written(tmp_path, Sketch.from_strokes([np.zeros((77, 2)), np.zeros((1, 2))]))
    data = path.read_bytes()
    for wrong in (1 << 40, -1 & (1 << 64) - 1):
        path.unlink()
        path.write_bytes(data.replace(struct.pack("<q", 77), struct.pack("<Q", wrong)))
        with pytest.raises(DataError, match=r"all\.arrow: "):
            sketchkit.read(path)


def test_offsets_of_large_files_are_checked_before_kernels_use_them(tmp_path):
    path = written(tmp_path, many(1_200_000))
    data = bytearray(path.read_bytes())
    at = data.find(struct.pack("<qqq", 1000, 1001, 1002))
    data[at : at + 8] = struct.pack("<q", 1 << 40)
    path.unlink()
    path.write_bytes(data)
    opened = sketchkit.read(path)
    with pytest.raises(DataError, match="never decrease"):
        sketchkit.simplify(opened, 1)
    with pytest.raises(DataError, match=r"all\.arrow: stroke_offsets decrease"):
        list(sketchkit.scan(path))


def test_a_packed_batch_that_claims_too_much_is_not_unpacked(tmp_path):
    table = pa.table({"drawing": pa.array([[[[1, 2]] * 5000]], DRAWING)})
    path = saved(tmp_path, table, compression="zstd")
    data = path.read_bytes()
    size = struct.pack("<q", 40_000)
    assert data.count(size) == 1
    path.write_bytes(data.replace(size, struct.pack("<q", 1 << 40)))
    with pytest.raises(DataError, match=r"a record batch of \d+ bytes claims 1099511\d+ unpacked; it is not unpacked"):
        sketchkit.read(path)


def test_text_that_is_damaged_is_told_when_it_is_asked_for(tmp_path):
    path = written(tmp_path, SAMPLE.with_columns(word=np.array(["abcdefgh", "b", "c"], dtype=object)))
    path.write_bytes(path.read_bytes().replace(b"abcdefgh", b"abc\xff\xfefgh"))
    found = sketchkit.read(path)
    with pytest.raises(DataError, match=r"all\.arrow: the column 'word' is damaged: .*UTF8"):
        found.columns["word"]
    assert found.columns["label"].tolist() == SAMPLE.columns["label"].tolist()


def test_a_file_cut_short_is_told_so(tmp_path):
    path = written(tmp_path)
    data = path.read_bytes()
    for cut, words in ((data[:-1], "is cut short"), (data[:7], "is cut short"), (data[:8] + data[-6:], "is cut short")):
        path.write_bytes(cut)
        with pytest.raises(DataError, match=words):
            sketchkit.read(path)
    footer = struct.unpack("<i", data[-10:-6])[0] + 10
    path.write_bytes(data[:-footer][:200] + data[-footer:])
    with pytest.raises(DataError, match=r"the footer names a batch of \d+ and \d+ bytes at \d+, in 200"):
        sketchkit.read(path)
    path.write_bytes(data[:-10] + struct.pack("<i", 1 << 30) + data[-6:])
    with pytest.raises(DataError, match="has a footer of 1073741824 bytes"):
        sketchkit.read(path)
