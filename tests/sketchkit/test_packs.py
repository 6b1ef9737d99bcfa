"""Every pack of real drawings: the counts that its README states, and the points of an independent, obvious parser."""

import csv
import hashlib
import json
import pickle
import re
import statistics
import struct
from xml.etree import ElementTree

import numpy as np
import pytest
import svgpathtools

import sketchkit
from sketchkit import SketchSet
from sketchkit.formats import registry


def needs(name):
    return pytest.mark.skipif(name not in registry.names(), reason=f"format {name} is not there")


def read_all(paths):
    return SketchSet.concat(sketchkit.read(path) for path in paths)


def assert_strokes(sketch, strokes):
    """The strokes of a drawing, as float32, are exactly these."""
    assert [len(stroke) for stroke in sketch.strokes] == [len(stroke) for stroke in strokes]
    np.testing.assert_array_equal(
        sketch.points, np.concatenate([np.reshape(s, (-1, 2)) for s in strokes]), strict=False
    )


def float32_strokes(strokes):
    return [np.float32(stroke).reshape(-1, 2) for stroke in strokes]


def lines_of(paths):
    return [json.loads(line) for path in paths for line in path.read_text(encoding="utf-8").splitlines()]


def strokes_of_json(record):
    return [np.float32(np.array(stroke[:2], float).T) for stroke in record["drawing"]]


def lifted(rows, absolute):
    """Strokes of rows x, y, pen (1: lift after this point)."""
    points = rows[:, :2] if absolute else np.cumsum(rows[:, :2].astype(float), axis=0)
    return float32_strokes(part for part in np.split(points, np.flatnonzero(rows[:, 2] == 1) + 1) if len(part))


# ChairV2


def test_chairv2(shared_data):
    pack = shared_data / "chairv2"
    chairs = sketchkit.read(pack / "ChairV2_Coordinate")
    keys, photos = chairs.columns["key"].tolist(), chairs.columns["photo"].tolist()
    assert (len(chairs), len(set(photos)), set(chairs.columns["split"])) == (952, 300, {"train"})
    digest = hashlib.sha256("\n".join(sorted(keys)).encode()).hexdigest()
    assert digest == "f8604c0a3156a6d605914bd1e5ceea20512c5d7f8c084b9e63bc246dc0461a49"
    assert set(photos) == {path.stem for path in (pack / "photo").iterdir()}
    points = [len(chair.points) for chair in chairs]
    assert (min(points), statistics.median(points), max(points)) == (40, 107, 519)
    strokes = np.diff(chairs.sketch_offsets)
    assert (strokes.min(), strokes.max(), np.diff(chairs.stroke_offsets).min()) == (1, 15, 2)
    assert (chairs.points.min().round(), chairs.points.max().round()) == (33, 223)

    with (pack / "ChairV2_Coordinate").open("rb") as file:
        expected = pickle.load(file)
    assert keys == list(expected)
    for chair, rows in zip(chairs, expected.values(), strict=True):
        assert_strokes(chair, lifted(rows, absolute=True))


# Sketchy


def test_sketchy_airplane(shared_data):
    pack = shared_data / "sketchy_airplane"
    airplanes = sketchkit.read(pack / "stroke_dataframe.csv")
    photos = airplanes.columns["photo"]
    assert len(airplanes) == 568
    assert (len(airplanes.points), len(airplanes.stroke_offsets) - 1) == (46_703, 9_296)
    there = {path.stem for path in (pack / "photo").iterdir()}
    assert (len(set(photos)), len(there), sum(photo in there for photo in photos)) == (85, 19, 123)
    pictures = {path.stem for path in (pack / "raster_sketch").iterdir()}
    assert len(pictures) == 18
    assert pictures - set(airplanes.columns["key"]) == {"n02691156_10151-8"}, "a picture of a drawing without strokes"
    corners = [airplanes.points.min(axis=0), airplanes.points.max(axis=0)]
    assert np.abs(np.array(corners) - [(-14, -70), (646, 475)]).max() < 1

    drawings = {}
    with (pack / "stroke_dataframe.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            strokes = drawings.setdefault((row["photoID"], int(row["sketchID"])), {})
            strokes.setdefault(row["strokeID"], []).append((float(row["x"]), float(row["y"])))
    assert list(zip(photos, airplanes.columns["sketch"], strict=True)) == list(drawings)
    for airplane, strokes in zip(airplanes, drawings.values(), strict=True):
        assert_strokes(airplane, float32_strokes(strokes.values()))


# The drawing game


def test_refgame_chairs(shared_data):
    pack = shared_data / "refgame_chairs"
    chairs = sketchkit.read(pack / "sketchpad_basic_chairs.csv")
    columns, strokes = chairs.columns, np.diff(chairs.sketch_offsets)
    closer, further = columns["condition"] == "closer", columns["condition"] == "further"
    assert (len(chairs), closer.sum(), further.sum()) == (632, 316, 316)
    assert len(set(columns["gameID"])) == 79
    assert set(columns["label"]) == {*("inlay", "knob", "leather", "sling", "squat", "straight", "waiting", "woven")}
    assert {f"{label}.png" for label in columns["label"]} <= {path.name for path in (pack / "objects").iterdir()}
    assert (round(strokes[closer].mean(), 1), round(strokes[further].mean(), 1)) == (12.0, 8.7)
    seconds = columns["drawDuration"]
    assert (round(np.median(seconds[closer]), 1), round(np.median(seconds[further]), 1)) == (25.0, 14.6)

    with (pack / "sketchpad_basic_chairs.csv").open(newline="") as file:
        records = list(csv.DictReader(file))
    for chair, record in zip(chairs, records, strict=True):
        assert (chair.label, chair.key) == (record["target"], f"{record['gameID']}_{record['trialNum']}")
        paths = json.loads(record["svg"])
        assert len(chair.strokes) == len(paths) == int(record["numStrokes"])
        for stroke, path in zip(chair.strokes, paths, strict=True):
            assert_goes_through(stroke, ends_of_pieces(path))


def ends_of_pieces(path):
    """Where the pieces of path data of M, c, l, v end: the pen alone, no curves."""
    pen, ends = np.zeros(2), []
    for command, text in re.findall("([Mclv])([^Mclv]*)", path):
        values = [float(number) for number in re.findall(r"-?[0-9.]+(?:e-?[0-9]+)?", text)]
        steps = {"M": 2, "c": 6, "l": 2, "v": 1}[command]
        for start in range(0, len(values), steps):
            last = values[start : start + steps]
            pen = np.array(last) if command == "M" else pen + ([0, last[0]] if command == "v" else last[-2:])
            ends.append(pen)
    return np.array(ends)


def assert_goes_through(stroke, ends):
    """A flattened curve has the ends of the curve's pieces among its points, in order, first and last among them."""
    np.testing.assert_allclose(stroke[[0, -1]], ends[[0, -1]], atol=2e-3)
    at = 0
    for end in ends:
        near = np.flatnonzero(np.abs(stroke[at:] - end).max(axis=1) < 2e-3)
        assert len(near), f"no point at {end}"
        at += int(near[0])


# Quick, Draw!


@pytest.mark.parametrize(
    ("files", "counts"),
    [("simplified", (295, 7375, 6802)), ("simplified_1000", (1, 850, None)), ("raw", (100, 2862, 2630))],
)
def test_quickdraw(shared_data, files, counts):
    paths = sorted((shared_data / "quickdraw" / files).glob("*.ndjson"))
    drawings, records = read_all(paths), lines_of(paths)
    assert (len(paths), len(drawings)) == counts[:2]
    assert int(drawings.columns["recognized"].sum()) == counts[2] if counts[2] else True
    for name, field in [("label", "word"), ("key", "key_id"), *((n, n) for n in ("countrycode", "recognized"))]:
        assert drawings.columns[name].tolist() == [record[field] for record in records], name
    for drawing, record in zip(drawings, records, strict=True):
        assert_strokes(drawing, strokes_of_json(record))
        if files == "raw":
            expected = np.float32([time for stroke in record["drawing"] for time in stroke[2]])
            np.testing.assert_array_equal(drawing.time, expected)


def test_quickdraw_s_quirks(shared_data):
    pack = shared_data / "quickdraw"
    raw = read_all(sorted((pack / "raw").glob("*.ndjson")))
    simplified = read_all(sorted((pack / "simplified").glob("*.ndjson")))
    assert (raw.points.min().round(), raw.points.max().round()) == (-730, 2755)
    # The README says 514; a parser of the standard library counts 712 too.
    assert sum(bool(np.any(drawing.points % 1)) for drawing in raw) == 712
    records = lines_of(sorted((pack / "raw").glob("*.ndjson")))
    floats = [
        any(isinstance(x, float) for stroke in record["drawing"] for x in stroke[0] + stroke[1]) for record in records
    ]
    assert sum(floats) == 712
    assert sum(bool(drawing.time[0]) for drawing in raw) == 153
    within = np.ones(len(raw.points) - 1, bool)
    within[raw.stroke_offsets[1:-1] - 1] = False
    backwards = np.flatnonzero((np.diff(raw.point_columns["time"]) < 0) & within)
    # The README says never.
    assert len(set(np.searchsorted(raw.stroke_offsets, backwards, side="right"))) == 3
    assert len(set(raw.columns["key"]) & set(simplified.columns["key"])) == 2294


def test_quickdraw_binary(shared_data):
    pack = shared_data / "quickdraw" / "binary"
    (bed,), (raw,) = sketchkit.read(pack / "bed.bin"), sketchkit.read(pack / "bed_raw.ndjson")
    assert (bed.key, raw.key) == (4897919444451328, "4897919444451328")
    assert len(bed.strokes) == len(raw.strokes)
    data = (pack / "bed.bin").read_bytes()
    assert len(data) == 79
    (count,), at = struct.unpack_from("<H", data, 15), 17
    strokes = []
    for _ in range(count):
        (points,) = struct.unpack_from("<H", data, at)
        strokes.append(np.frombuffer(data, np.uint8, 2 * points, at + 2).reshape(2, points).T)
        at += 2 + 2 * points
    assert at == 79
    assert_strokes(bed, strokes)


@pytest.mark.skipif(
    "spg" not in registry.names() and "part" not in (registry.lookup("quickdraw").point_columns or ()),
    reason="part labels are not read",
)
def test_spg(shared_data):
    paths = sorted((shared_data / "quickdraw" / "spg").glob("*.ndjson"))
    sets = [sketchkit.read(path) for path in paths]
    assert [len(drawings) for drawings in sets] == [680] * 6
    drawings, records = SketchSet.concat(sets), lines_of(paths)
    assert round(statistics.median(len(drawing.points) for drawing in drawings)) == 180
    assert (drawings.points.min().round(), drawings.points.max().round()) == (-1, 261)
    assert "time" not in drawings.point_columns
    assert drawings.columns["key"].tolist() == [record["key_id"] for record in records]
    for drawing, record in zip(drawings, records, strict=True):
        assert_strokes(drawing, strokes_of_json(record))
        assert drawing.point_columns["part"].tolist() == [part for stroke in record["drawing"] for part in stroke[2]]


# sketch-rnn


@needs("sketch-rnn")
@pytest.mark.parametrize(
    ("name", "splits", "points"),
    [("aaron_sheep", (7400, 300, 300), (20, 250)), ("omniglot", (30_000, 1000, 1000), (2, 157))],
)
def test_sketchrnn(shared_data, name, splits, points):
    path = shared_data / "sketchrnn" / f"{name}.npz"
    drawings = sketchkit.read(path)
    names = [split for split, count in zip(("train", "valid", "test"), splits, strict=True) for _ in range(count)]
    assert drawings.columns["split"].tolist() == names
    lengths = np.diff(drawings.stroke_offsets[drawings.sketch_offsets])
    assert (lengths.min(), lengths.max()) == points
    with np.load(path, allow_pickle=True, encoding="latin1") as arrays:
        expected = [rows for split in ("train", "valid", "test") for rows in arrays[split]]
    assert len(expected) == len(drawings)
    for drawing, rows in list(zip(drawings, expected, strict=True))[::7]:
        assert_strokes(drawing, lifted(rows, absolute=False))


# TU-Berlin


def nested_paths(element, matrix):
    """Path data and the product of all transforms around it, in document order."""
    for kind, text in re.findall(r"(\w+)\(([^)]*)\)", element.get("transform", "")):
        a, *b = [float(value) for value in re.split(r"[\s,]+", text.strip())]
        y = b[0] if b else (a if kind == "scale" else 0.0)
        step = {"translate": [[1, 0, a], [0, 1, y], [0, 0, 1]], "scale": [[a, 0, 0], [0, y, 0], [0, 0, 1]]}[kind]
        matrix = matrix @ np.array(step)
    if element.tag.endswith("}path"):
        yield element.get("d"), matrix
    for child in element:
        yield from nested_paths(child, matrix)


def test_tuberlin(shared_data):
    pack = shared_data / "tuberlin" / "svg"
    drawings = sketchkit.read(pack)
    names = [("airplane", 1, 5), ("alarm clock", 81, 85), ("angel", 161, 165)]
    assert sorted(drawings.columns["key"]) == sorted(f"{name}/{n}" for name, a, b in names for n in range(a, b))
    for drawing in drawings:
        root = ElementTree.parse(pack / f"{drawing.key}.svg").getroot()
        curves = [
            (curve, matrix)
            for data, matrix in nested_paths(root, np.eye(3))
            for curve in svgpathtools.parse_path(data).continuous_subpaths()
        ]
        assert drawing.label == drawing.key.partition("/")[0]
        for stroke, (curve, matrix) in zip(drawing.strokes, curves, strict=True):
            ends = np.array([curve.start, *(piece.end for piece in curve)])
            ends = (np.stack([ends.real, ends.imag, np.ones(len(ends))]).T @ matrix.T)[:, :2]
            assert_goes_through(stroke, ends)


@needs("polylines-npz")
def test_octopuses(shared_data):
    paths = sorted((shared_data / "tuberlin" / "octopus_npz").glob("*.npz"), key=lambda path: int(path.stem))
    assert len(paths) == 68
    for path in paths:
        (octopus,) = sketchkit.read(path)
        with np.load(path) as arrays:
            strokes = [arrays[f"arr_{index}"] for index in range(len(arrays.files))]
        assert_strokes(octopus, float32_strokes(strokes))


# Arrow and Parquet


@pytest.mark.parametrize(
    "suffix",
    [pytest.param(".arrow", marks=needs("arrow")), pytest.param(".parquet", marks=needs("parquet"))],
)
def test_packs_survive_arrow(shared_data, suffix, tmp_path):
    for source in (
        "chairv2/ChairV2_Coordinate",
        "quickdraw/raw/cat.ndjson",
        "quickdraw/binary/bed.bin",
        "refgame_chairs/sketchpad_basic_chairs.csv",
    ):
        drawings = sketchkit.read(shared_data / source)
        path = tmp_path / f"drawings{suffix}"
        sketchkit.write(drawings, path)
        found = sketchkit.read(path)
        np.testing.assert_array_equal(found.points, drawings.points)
        np.testing.assert_array_equal(found.stroke_offsets, drawings.stroke_offsets)
        np.testing.assert_array_equal(found.sketch_offsets, drawings.sketch_offsets)
        for name, values in drawings.columns.items():
            assert found.columns[name].tolist() == values.tolist(), name
        for name, values in drawings.point_columns.items():
            np.testing.assert_array_equal(found.point_columns[name], values)
