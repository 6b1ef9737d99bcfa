import gzip
import json
import struct

import numpy as np
import pytest

import sketchkit
from sketchkit import Sketch, SketchSet
from sketchkit.errors import DataError
from sketchkit.formats.quickdraw_binary import sniff
from sketchkit.reading import SketchkitWarning

from format_samples import SAMPLES, assert_same


def upstream(file):
    """The reader of Google's examples (quickdraw-dataset, examples/binary_file_parser.py)."""
    while True:
        header = file.read(15)
        if not header:
            return
        key, country, recognized, timestamp = struct.unpack("<Q2sbI", header)
        (count,) = struct.unpack("<H", file.read(2))
        image = []
        for _ in range(count):
            (points,) = struct.unpack("<H", file.read(2))
            image.append([struct.unpack(f"{points}B", file.read(points)) for _ in "xy"])
        yield key, country, recognized, timestamp, image


def record(key=7, country=b"CH", recognized=1, timestamp=9, strokes=([(1, 2), (3, 4)],)):
    body = b"".join(struct.pack("<H", len(x)) + bytes(x) + bytes(y) for x, y in strokes)
    return struct.pack("<Q2sbIH", key, country, recognized, timestamp, len(strokes)) + body


def random_drawings(count, seed=1):
    generator = np.random.default_rng(seed)
    strokes = generator.integers(0, 5, count)
    drawings = [
        Sketch.from_strokes([generator.integers(0, 256, (generator.integers(0, 9), 2)) for _ in range(strokes[index])])
        for index in range(count)
    ]
    return SketchSet.from_sketches(drawings).with_columns(
        key=generator.integers(0, 2**64, count, dtype=np.uint64),
        countrycode=np.array(["CH", "US"], object)[generator.integers(0, 2, count)],
        recognized=generator.random(count) < 0.5,
        timestamp=generator.integers(0, 2**32, count, dtype=np.uint32),
    )


def test_a_plain_parser_and_ours_agree(tmp_path):
    drawings = random_drawings(300)
    path = tmp_path / "all.bin"
    sketchkit.write(drawings, path)
    with path.open("rb") as file:
        records = list(upstream(file))
    found = sketchkit.read(path)
    assert_same(found, drawings)
    assert found.columns["key"].tolist() == [key for key, *_ in records]
    assert found.columns["countrycode"].tolist() == [country.decode() for _, country, *_ in records]
    assert found.columns["recognized"].tolist() == [flag == 1 for _, _, flag, *_ in records]
    assert found.columns["timestamp"].tolist() == [record[3] for record in records]
    for sketch, (*_, image) in zip(found, records, strict=True):
        assert [stroke.T.tolist() for stroke in sketch.strokes] == [[list(x), list(y)] for x, y in image]


def test_strokes_of_all_lengths_up_to_the_last_byte(tmp_path):
    generator = np.random.default_rng(2)
    path = tmp_path / "lengths.bin"
    for last in range(40):
        strokes = [generator.integers(0, 256, (2, count)).tolist() for count in (*generator.permutation(40), last)]
        path.write_bytes(record(strokes=strokes) + record(strokes=strokes[::-1]))
        found = sketchkit.read(path, format="quickdraw-binary")
        assert [stroke.T.tolist() for sketch in found for stroke in sketch.strokes] == strokes + strokes[::-1]


@pytest.mark.parametrize("block", [1, 7, 64, 1000])
def test_blocks_and_chunks_do_not_matter(tmp_path, block, monkeypatch):
    monkeypatch.setattr("sketchkit.formats.quickdraw_binary._BLOCK", block)
    drawings = random_drawings(60)
    path = tmp_path / "all.bin"
    sketchkit.write(drawings, path)
    assert_same(sketchkit.read(path), drawings)
    monkeypatch.setattr("sketchkit.formats.quickdraw_binary._READ_AT_ONCE", 7)
    assert_same(sketchkit.read(path), drawings)
    for chunk in (1, 8, 59, 1000):
        parts = list(sketchkit.scan(path, chunk=chunk))
        assert all(len(part) == chunk for part in parts[:-1])
        assert_same(SketchSet.concat(parts), drawings)


def test_a_truncated_record_is_named_by_its_number_and_byte(tmp_path):
    whole = record()
    path = tmp_path / "cut.bin"
    for length in range(1, len(whole)):
        path.write_bytes(whole * 3 + whole[:length])
        words = rf"cut\.bin: record 3 \(byte {3 * len(whole)}\): is cut short: the file ends {length} bytes after"
        with pytest.raises(DataError, match=words):
            sketchkit.read(path, format="quickdraw-binary")
        with pytest.warns(SketchkitWarning, match=r"skipped 1 bad records; the first: .*record 3"):
            assert len(sketchkit.read(path, format="quickdraw-binary", on_error="skip")) == 3


@pytest.mark.parametrize("wrong", [{"recognized": 2}, {"recognized": -1}, {"country": b"\xc3\x84"}])
def test_a_bad_field_is_told_and_the_rest_can_be_read(tmp_path, wrong):
    path = tmp_path / "bad.bin"
    path.write_bytes(record(1) + record(2, **wrong) + record(3))
    size = len(record())
    with pytest.raises(DataError, match=rf"record 1 \(byte {size}\): has the country .* must be ASCII, and 0 or 1"):
        sketchkit.read(path)
    with pytest.warns(SketchkitWarning, match="skipped 1 bad records"):
        assert sketchkit.read(path, on_error="skip").columns["key"].tolist() == [1, 3]


def test_a_claim_is_not_believed_before_its_bytes_are_there(tmp_path, monkeypatch):
    claim = struct.pack("<Q2sbIH", 1, b"CH", 1, 0, 65535) + struct.pack("<H", 65535)
    path = tmp_path / "claims.bin"
    path.write_bytes(claim)
    with pytest.raises(DataError, match=r"record 0 \(byte 0\): is cut short"):
        sketchkit.read(path)
    monkeypatch.setattr("sketchkit.formats.quickdraw_binary._LARGEST_RECORD", 1 << 21)
    path.write_bytes(gzip.compress(claim + b"\xff" * (1 << 24), 1))
    with pytest.raises(DataError, match=r"record 0 \(byte 0\) claims more than 2097152 bytes"):
        sketchkit.read(path, format="quickdraw-binary")
    path.write_bytes(gzip.compress(record() * 3 + claim + b"\xff" * (1 << 24), 1))
    with pytest.raises(DataError, match=rf"record 3 \(byte {3 * len(record())}\) claims more than 2097152 bytes"):
        sketchkit.read(path, format="quickdraw-binary")


@pytest.mark.parametrize(
    ("strokes", "words"),
    [
        (
            [[(0, 0), (256, 0)]],
            r"sketch 1 has the point \(256\.0, 0\.0\); this format holds whole numbers from 0 to 255",
        ),
        ([[(0, -1)]], r"the point \(0\.0, -1\.0\)"),
        ([[(0.5, 1)]], r"the point \(0\.5, 1\.0\)"),
        ([[(np.nan, 1)]], "coordinates must be finite"),
        ([np.zeros((65536, 2))], "there are 65536 points in a stroke; this format holds at most 65535"),
        ([[]] * 65536, "there are 65536 strokes"),
    ],
)
def test_what_the_format_cannot_hold_is_refused(tmp_path, strokes, words):
    drawings = [Sketch.from_strokes([[(1, 2)]], key=1), Sketch.from_strokes(strokes, key=2)]
    with pytest.raises(DataError, match=words):
        sketchkit.write(drawings, tmp_path / "odd.bin")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({}, "there is no column 'key'"),
        ({"key": ["a"]}, "sketch 0 has 'a' as 'key'; it must be a whole number from 0 to"),
        ({"key": [-1]}, "sketch 0 has -1 as 'key'"),
        ({"key": [1.5]}, "sketch 0 has 1.5 as 'key'"),
        ({"key": [str(2**64)]}, "as 'key'"),
        ({"key": [1], "countrycode": ["CHE"]}, "sketch 0 has 'CHE' as 'countrycode'; it must be two letters"),
        ({"key": [1], "countrycode": ["ÄÖ"]}, "as 'countrycode'"),
        ({"key": [1], "recognized": ["yes"]}, "sketch 0 has 'yes' as 'recognized'; it must be true or false"),
        ({"key": [1], "timestamp": ["today"]}, "sketch 0 has 'today' as 'timestamp'; it must be seconds since 1970"),
        ({"key": [1], "timestamp": [2**32]}, "as 'timestamp'"),
    ],
)
def test_columns_that_do_not_fit_are_refused(tmp_path, columns, words):
    drawing = SketchSet.from_sketches([Sketch.from_strokes([[(1, 2)]])])
    columns = {name: np.array(values, object) for name, values in columns.items()}
    with pytest.raises(DataError, match=words):
        sketchkit.write(drawing.with_columns(**columns), tmp_path / "odd.bin")


def test_ndjson_becomes_binary(tmp_path):
    line = {"word": "cat", "key_id": "18446744073709551615", "countrycode": "US", "recognized": True}
    line |= {"timestamp": "2017-03-02 23:25:10.07453 UTC", "drawing": [[[0, 255], [3, 4]]]}
    (tmp_path / "cat.ndjson").write_text(json.dumps(line))
    with pytest.warns(SketchkitWarning, match="no place for label"):
        sketchkit.write(sketchkit.read(tmp_path / "cat.ndjson"), tmp_path / "cat.bin")
    with (tmp_path / "cat.bin").open("rb") as file:
        # 1488497110: `date -u -d "2017-03-02 23:25:10" +%s`.
        assert list(upstream(file)) == [(2**64 - 1, b"US", 1, 1488497110, [[(0, 255), (3, 4)]])]


def test_what_is_not_known_is_written_as_such(tmp_path):
    sketchkit.write(Sketch.from_strokes([[(1, 2)]], key=3), tmp_path / "one.bin")
    assert (tmp_path / "one.bin").read_bytes() == record(3, b"ZZ", 0, 0, [[(1,), (2,)]])


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (record(), True),
        (record() + record()[:9], True),
        (record() + record(country=b"\0\0"), True),
        (record(country=b"\0\0"), False),
        (record()[:12], False),
        (record(country=b"ch"), False),
        (record(recognized=3), False),
        (record() + record(country=b"\1\2"), False),
        (b'{"word":"CH', False),
        (b"", False),
    ],
)
def test_records_are_told_from_other_bytes(head, expected, tmp_path):
    assert sniff(head, tmp_path) is expected


def test_the_real_record(shared_data):
    bed = sketchkit.read(shared_data / "quickdraw" / "binary" / "bed.bin")
    raw = sketchkit.read(shared_data / "quickdraw" / "binary" / "bed_raw.ndjson")
    assert bed.columns["key"].tolist() == [4897919444451328]
    assert raw.columns["key"].tolist() == ["4897919444451328"]
    assert bed.columns["countrycode"].tolist() == raw.columns["countrycode"].tolist()
    assert bed.columns["recognized"].tolist() == raw.columns["recognized"].tolist()
    assert len(bed[0].strokes) == len(raw[0].strokes)
    # The simplified points lie on the raw ones, moved to 0 and scaled to 255.
    moved = raw.points - raw.points.min(axis=0)
    moved *= 255 / moved.max()
    distances = np.hypot(*(bed.points[:, None] - moved[None]).transpose(2, 0, 1)).min(axis=1)
    assert distances.max() < 2
    with (shared_data / "quickdraw" / "binary" / "bed.bin").open("rb") as file:
        ((*_, image),) = upstream(file)
    assert [stroke.T.tolist() for stroke in bed[0].strokes] == [[list(x), list(y)] for x, y in image]


def test_a_real_simplified_file_goes_through(shared_data, tmp_path):
    monkeys = sketchkit.read(shared_data / "quickdraw" / "simplified_1000" / "monkey.ndjson")
    with pytest.warns(SketchkitWarning, match="no place for label"):
        sketchkit.write(monkeys, tmp_path / "monkey.bin.gz")
    found = sketchkit.read(tmp_path / "monkey.bin.gz")
    assert found.points.tobytes() == monkeys.points.tobytes()
    np.testing.assert_array_equal(found.stroke_offsets, monkeys.stroke_offsets)
    np.testing.assert_array_equal(found.sketch_offsets, monkeys.sketch_offsets)
    assert [str(key) for key in found.columns["key"]] == monkeys.columns["key"].tolist()


def test_the_sample_is_what_the_plain_parser_reads(tmp_path):
    sample = SAMPLES["quickdraw-binary"].sketches
    sketchkit.write(sample, tmp_path / "house.bin")
    with (tmp_path / "house.bin").open("rb") as file:
        assert [len(image) for *_, image in upstream(file)] == np.diff(sample.sketch_offsets).tolist()
