import csv
import gzip
import io
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import sketchkit
from sketchkit import Sketch, SketchSet
from sketchkit.errors import DataError
from sketchkit.formats import registry
from sketchkit.formats.sketchy_rows import REQUIRED, RowReader
from sketchkit.reading import SketchkitWarning

from format_samples import assert_same
from zoo import FINITE, NOT_FINITE, ZOO

HEADER = ",x,y,pen,strokeID,sketchID,photoID"
GOOD = ["0,1.5,2,1,0,0,cat", "1,3,4,2,0,0,cat", "2,5,6,1,1,0,cat", "3,7,8,1,0,1,cat", "4,9,10,2,0,1,cat"]


def table(*rows, header=HEADER, end="\n"):
    return "".join(f"{row}{end}" for row in (header, *rows)).encode()


def read_bytes(tmp_path, data, **options):
    path = tmp_path / "strokes.csv"
    path.write_bytes(data)
    return sketchkit.read(path, **options)


def random_drawings(count, seed=3):
    generator = np.random.default_rng(seed)
    drawings = [
        Sketch.from_strokes(
            [generator.normal(300, 90, (generator.integers(1, 9), 2)) for _ in range(generator.integers(1, 6))],
            key=f"n0{index // 4}-{index % 4 + 1}",
        )
        for index in range(count)
    ]
    return SketchSet.from_sketches(drawings).with_columns(
        photo=np.array([f"n0{index // 4}" for index in range(count)], object), sketch=np.arange(count) % 4
    )


def test_rows_become_drawings(tmp_path):
    cats = read_bytes(tmp_path, table(*GOOD))
    assert cats.columns["key"].tolist() == ["cat-1", "cat-2"]
    assert cats.columns["photo"].tolist() == ["cat", "cat"]
    assert cats.columns["sketch"].tolist() == [0, 1]
    assert "label" not in cats.columns
    assert [[stroke.tolist() for stroke in cat.strokes] for cat in cats] == [
        [[[1.5, 2], [3, 4]], [[5, 6]]],
        [[[7, 8], [9, 10]]],
    ]


@pytest.mark.parametrize(
    "data",
    [
        table(*GOOD, end="\r\n"),
        table(*GOOD)[:-1],
        b"\xef\xbb\xbf" + table(*GOOD),
        table("", *GOOD[:2], "", "  ", *GOOD[2:], ""),
        table(*(f'"{row.replace(",", chr(34) + "," + chr(34))}"' for row in GOOD)),
        table(*(f"{row},more" for row in GOOD), header=HEADER + ",more"),
        table(*(row.partition(",")[2] for row in GOOD), header=HEADER[1:]),
        table(*(",".join(row.split(",")[::-1]) for row in GOOD), header="photoID,sketchID,strokeID,pen,y,x,"),
        table(*(row.replace(",1,0,", ",1.0, 0,") for row in GOOD)),
    ],
    ids=["windows", "no last newline", "mark", "blank lines", "quoted", "more", "no index", "other order", "floats"],
)
def test_the_same_table_written_otherwise_reads_the_same(tmp_path, data):
    expected = read_bytes(tmp_path, table(*GOOD))
    assert_same(read_bytes(tmp_path, data), expected)


def test_a_label_is_read_where_there_is_one_and_written(tmp_path):
    labeled = table(*(f"{row},tabby" for row in GOOD), header=HEADER + ",label")
    cats = read_bytes(tmp_path, labeled)
    assert cats.columns["label"].tolist() == ["tabby", "tabby"]
    sketchkit.write(cats, tmp_path / "again.csv", format="sketchy")
    assert_same(sketchkit.read(tmp_path / "again.csv"), cats)


@pytest.mark.parametrize(
    ("place", "row", "words"),
    [
        (1, "1,abc,4,2,0,0,cat", r"line 3: x is 'abc'; it must be a number"),
        (1, "1,3,,2,0,0,cat", r"line 3: y is ''; it must be a number"),
        (1, "1,3,1_0,2,0,0,cat", r"line 3: y is '1_0'; it must be a number"),
        (1, "1,nan,4,2,0,0,cat", r"line 3: x is nan; it must be a finite number"),
        (1, "1,3,-Infinity,2,0,0,cat", r"line 3: y is -inf; it must be a finite number"),
        (1, "1,3,1e39,2,0,0,cat", r"line 3: y is inf; it must be a finite number that float32 holds"),
        (1, "1,3,4,0,0,0,cat", r"line 3: pen is 0; it must be 1 on the first point of a stroke, 2 on the others"),
        (1, "1,3,4,0x2,0,0,cat", r"line 3: pen is '0x2'; it must be a number"),
        (1, "1,3,4,2.5,0,0,cat", r"line 3: pen is '2.5'; it must be a whole number, at least 0"),
        (1, "1,3,4,1,0,0,cat", r"line 3: pen is 1 where strokeID says that a stroke goes on"),
        (1, "1,3,4,2,1,0,cat", r"line 3: pen is 2 where strokeID says that a stroke begins"),
        (1, "1,3,4,2,7,0,cat", r"line 3: strokeID is 7 after 0; it counts up by one"),
        (1, "1,3,4,2,-1,0,cat", r"line 3: strokeID is '-1'; it must be a whole number, at least 0"),
        (0, "0,1,2,1,1,0,cat", r"line 2: strokeID is 1 on the first row of a drawing; it counts from 0"),
        (0, "0,1,2,2,0,0,cat", r"line 2: pen is 2 where strokeID says that a stroke begins"),
        (1, "1,3,4,2,0,0", r"line 3: has 6 columns; the header has 7"),
        (1, "1,3,4,2,0,0,cat,5", r"line 3: has 8 columns; the header has 7"),
        (1, '1,3,4,2,0,0,"cat', r"line 3: is no row of CSV in UTF-8: unexpected end of data"),
        (1, "1,3,4,2,0,1e300,cat", r"line 3: sketchID is '1e300'; it must be a whole number"),
    ],
)
def test_a_bad_row_is_named_and_costs_its_drawing_alone(tmp_path, place, row, words):
    rows = list(GOOD)
    rows[place] = row
    with pytest.raises(DataError, match=rf"strokes\.csv: record 0 \('cat-1'\), {words}"):
        read_bytes(tmp_path, table(*rows), format="sketchy")
    with pytest.warns(SketchkitWarning, match=rf"skipped 1 bad records; the first: .*{words}"):
        rest = read_bytes(tmp_path, table(*rows), format="sketchy", on_error="skip")
    assert_same(rest, read_bytes(tmp_path, table(*GOOD))[1:])


def test_bytes_that_are_no_utf8_are_told(tmp_path):
    rows = table(*GOOD).replace(b"3,4,2,0,0,cat", b"3,4,2,0,0,c\xfft")
    with pytest.raises(DataError, match=r"record 0 \('cat-1'\), line 3: is no row of CSV in UTF-8"):
        read_bytes(tmp_path, rows)


def test_rows_of_a_drawing_that_do_not_lie_together_are_an_error(tmp_path):
    mixed = [GOOD[0], GOOD[1], *GOOD[3:], GOOD[2]]
    with pytest.raises(DataError, match=r"record 2 \('cat-1'\), line 6: the rows of this drawing do not lie together"):
        read_bytes(tmp_path, table(*mixed))
    with pytest.warns(SketchkitWarning, match="skipped 1 bad records"):
        assert len(read_bytes(tmp_path, table(*mixed), on_error="skip")) == 2


def test_a_label_that_changes_within_a_drawing_is_an_error(tmp_path):
    rows = [f"{row},{'a' if index != 1 else 'b'}" for index, row in enumerate(GOOD)]
    with pytest.raises(DataError, match="line 3: label is not the same on all rows"):
        read_bytes(tmp_path, table(*rows, header=HEADER + ",label"))


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (HEADER.replace(",pen", ",pan"), r"has no column 'pen'; there must be x, y, pen, strokeID, sketchID, photoID"),
        (HEADER + ",x", "has the column 'x' twice"),
        ('"x', "the first line is no header of a CSV table"),
    ],
)
def test_a_header_without_the_columns_is_refused(tmp_path, header, words):
    with pytest.raises(DataError, match=rf"strokes\.csv: {words}"):
        read_bytes(tmp_path, table(*GOOD, header=header), format="sketchy")


def test_a_header_alone_is_a_file_of_no_drawings(tmp_path):
    assert len(read_bytes(tmp_path, HEADER.encode())) == 0
    sketchkit.write(random_drawings(0), tmp_path / "none.csv", format="sketchy")
    assert len(sketchkit.read(tmp_path / "none.csv")) == 0


@pytest.mark.parametrize("block", [1, 7, 64, 999])
def test_blocks_and_chunks_do_not_matter(tmp_path, block, monkeypatch):
    drawings = random_drawings(60)
    path = tmp_path / "all.csv"
    sketchkit.write(drawings, path, format="sketchy")
    monkeypatch.setattr("sketchkit.formats.sketchy._BLOCK", max(block, 60))
    for chunk in (1, 8, 59, 1000):
        parts = list(sketchkit.scan(path, chunk=chunk))
        assert all(len(part) == chunk for part in parts[:-1])
        assert_same(SketchSet.concat(parts), drawings)


@pytest.mark.parametrize("fault", ["1,abc,4,2,0,0,cat", "1,3", '"'])
def test_a_bad_row_in_any_block_is_one_record(tmp_path, fault, monkeypatch):
    monkeypatch.setattr("sketchkit.formats.sketchy._BLOCK", 80)
    drawings = random_drawings(40)
    path = tmp_path / "all.csv"
    sketchkit.write(drawings, path, format="sketchy")
    lines = path.read_text().splitlines()
    for place in range(3, len(lines), 41):
        path.write_text("\n".join([*lines[:place], fault, *lines[place + 1 :]]))
        with pytest.warns(SketchkitWarning) as warned:
            found = sketchkit.read(path, on_error="skip").validate()
        skipped = int(str(warned[0].message).split()[1])
        # A row of another drawing, such as the first fault, is a record of its own and cuts one in two.
        assert 1 <= skipped <= 3
        assert set(found.columns["key"]) <= set(drawings.columns["key"])
        whole = dict(zip(drawings.columns["key"], drawings, strict=True))
        lost = len(drawings) - len(found)
        assert 0 <= lost <= skipped
        for sketch in found:
            same = np.array_equal(sketch.points, whole[sketch.key].points)
            assert same or fault.endswith("cat"), "only foreign rows may cut a drawing, and they are told"


CELLS = [
    "1",
    "-0.5",
    "-0",
    "+1",
    " 1",
    "1 ",
    "\t1",
    "1e3",
    ".5",
    "5.",
    ".",
    "1.2.3",
    "007",
    "1_0",
    "",
    "-",
    "--1",
    "0x1F",
]
CELLS += [
    "inf",
    "nan",
    "\uff11",
    '"1"',
    "999999999999999",
    "9999999999999999",
    "0.100000000000000",
    "123456789.0123456",
]


@pytest.mark.parametrize("column", ["x", "strokeID", "sketchID", "photoID", "other"])
@pytest.mark.parametrize("cell", CELLS)
def test_the_three_ways_of_reading_agree_on_every_kind_of_cell(column, cell):
    row = dict(zip(["other", *REQUIRED], ["0", "1.5", "2", "1", "0", "0", "cat"], strict=True)) | {column: cell}
    block = ",".join(row.values()).encode() + b"\n"
    readers = [RowReader(["other", *REQUIRED]) for _ in range(3)]
    expected = readers[0]._line_by_line(block)
    fault = readers[0].faults.get(2)
    plain, formed = readers[1]._plain(block), readers[2]._well_formed(block)
    assert plain is None or fault is None
    assert (formed is None) == (fault is not None)
    for found, reader in zip((plain, formed), readers[1:], strict=True):
        if found is not None:
            assert found.points.tobytes() == expected.points.tobytes()
            assert [reader.text(code) for code in found.photo] == [readers[0].text(code) for code in expected.photo]
            for name in ("pen", "stroke", "sketch", "line"):
                assert getattr(found, name).tolist() == getattr(expected, name).tolist()


@given(st.lists(st.decimals(-(10**6), 10**6, places=6), min_size=1, max_size=20))
def test_the_kernel_reads_decimals_as_python_does(numbers):
    block = "".join(f"0,{number},0,1,{index},0,cat\n" for index, number in enumerate(numbers)).encode()
    rows = RowReader(["", *REQUIRED])._plain(block)
    assert rows.points[:, 0].tolist() == [float(str(number)) for number in numbers]


def test_tables_as_upstream_writes_them_are_read_by_the_kernel(monkeypatch, tmp_path):
    drawings = random_drawings(50)
    sketchkit.write(drawings, tmp_path / "plain.csv", format="sketchy")
    monkeypatch.delattr(RowReader, "_well_formed")
    assert_same(sketchkit.read(tmp_path / "plain.csv"), drawings)


def test_a_line_or_a_drawing_without_end_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "long.csv"
    monkeypatch.setattr("sketchkit.formats.sketchy._BLOCK", 1000)
    path.write_bytes(gzip.compress(table(*GOOD) + b"9" * 10_000_000))
    with pytest.raises(DataError, match=r"long\.csv: a line has more than 1000 bytes"):
        sketchkit.read(path)
    monkeypatch.setattr("sketchkit.formats.sketchy._MOST_POINTS", 100)
    path.write_bytes(table(GOOD[0], *([GOOD[1]] * 200)))
    with pytest.raises(DataError, match="the drawing that begins on line 2 has more than 100 points"):
        sketchkit.read(path)


def test_what_is_written_is_what_a_plain_csv_reader_expects(tmp_path):
    cats = read_bytes(tmp_path, table(*GOOD))
    sketchkit.write(cats, tmp_path / "again.csv", format="sketchy")
    assert list(csv.reader(io.StringIO((tmp_path / "again.csv").read_text()))) == [
        ["", "x", "y", "pen", "strokeID", "sketchID", "photoID"],
        *(row.split(",") for row in GOOD),
    ]


def test_drawings_are_written_set_by_set_as_at_once(tmp_path):
    drawings = random_drawings(9)
    known = registry.lookup("sketchy")
    once, parts = io.BytesIO(), io.BytesIO()
    known.write(drawings, once)
    known.write_chunks((drawings[i : i + 1] for i in range(len(drawings))), parts)
    assert once.getvalue() == parts.getvalue()


@pytest.mark.parametrize("name", [name for name, sketch in FINITE.items() if len(sketch.points)])
def test_the_zoo_comes_back_less_its_empty_strokes(tmp_path, name):
    drawing = Sketch(ZOO[name].points, ZOO[name].offsets, key="zoo-3")
    sketchkit.write(drawing, tmp_path / "zoo.csv", format="sketchy")
    (found,) = sketchkit.read(tmp_path / "zoo.csv")
    np.testing.assert_array_equal(found.points, drawing.points)
    assert [len(stroke) for stroke in found.strokes] == [len(stroke) for stroke in drawing.strokes if len(stroke)]
    assert (found.key, found.meta) == ("zoo-3", {"photo": "zoo", "sketch": 2})


@pytest.mark.parametrize(
    ("drawings", "words"),
    [
        ([Sketch.from_strokes([[(1, 2)]])], "sketch 0 tells no photo and number"),
        ([Sketch.from_strokes([[(1, 2)]], key="cat-0")], "sketch 0 tells no photo and number"),
        ([Sketch.from_strokes([[(1, 2)]], key="cat-01")], "sketch 0 tells no photo and number"),
        ([Sketch.from_strokes([[(1, 2)]], key="c\nat-1")], r"'c\\nat' as 'photo'; it must be text on one line"),
        ([Sketch.from_strokes([[(1, 2)]], key="cat-1")] * 2, "sketch 1 has the photo 'cat' and the number 0 of one"),
        ([Sketch.from_strokes([[]], key="cat-1")], "sketch 0 has no points"),
        ([Sketch.from_strokes([[(1, 2)]], key="cat-1", meta={"sketch": 4})], "its photo and number make it 'cat-5'"),
        ([Sketch.from_strokes([[(1, 2)]], key="cat-1", label=3)], "sketch 0 has 3 as 'label'; it must be text"),
        *(([ZOO[name]], "coordinates must be finite") for name in NOT_FINITE),
    ],
)
def test_what_the_format_cannot_hold_is_refused(tmp_path, drawings, words):
    with pytest.raises(DataError, match=words):
        sketchkit.write(drawings, tmp_path / "odd.csv", format="sketchy")
    assert list(tmp_path.iterdir()) == []


def test_the_real_pack_and_a_plain_reader_agree(shared_data, tmp_path):
    path = shared_data / "sketchy_airplane" / "stroke_dataframe.csv"
    drawings = sketchkit.read(path)
    expected = defaultdict(list)
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            strokes = expected[row["photoID"], int(row["sketchID"])]
            if row["pen"] == "1":
                strokes.append([])
            strokes[-1].append((float(row["x"]), float(row["y"])))
    assert [*zip(drawings.columns["photo"], drawings.columns["sketch"], strict=True)] == list(expected)
    for sketch, strokes in zip(drawings, expected.values(), strict=True):
        assert [stroke.tolist() for stroke in sketch.strokes] == [np.float32(stroke).tolist() for stroke in strokes]
    sketchkit.write(drawings, tmp_path / "again.csv.gz", format="sketchy")
    assert_same(sketchkit.read(tmp_path / "again.csv.gz"), drawings)
