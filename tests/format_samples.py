"""Drawings for each format, and what "the same drawings" means: shared by the tests of formats and of reading."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sketchkit import Sketch, SketchSet

__all__ = ["SAMPLES", "Sample", "assert_same", "bytes_of"]

_HOUSE = [[(0, 255), (128.5, 0), (255, 255)], [(0, 255), (255, 255)]]
_DOOR = [[(1.25, -3), (1.25, 4), (2.1, 4)]]
_TIMES = [[0, 40, 90.5], [700, 720]]


@dataclass(frozen=True)
class Sample:
    """Drawings that a format holds whole, and a path to write them to (without a suffix: a folder)."""

    format: str
    path: str
    sketches: SketchSet


def _qmul() -> SketchSet:
    keys = ["/train/CHABRA003GRY-UK_v1_PearlGrey_1", "/train/0014_A1YX", "/test/77_2"]
    drawings = [
        Sketch.from_strokes(strokes, key=key) for strokes, key in zip([_HOUSE, _DOOR, _HOUSE], keys, strict=True)
    ]
    return SketchSet.from_sketches(drawings).with_columns(
        split=np.array(["train", "train", "test"], dtype=object),
        photo=np.array(["CHABRA003GRY-UK_v1_PearlGrey", "0014", "77"], dtype=object),
    )


def _simplified() -> SketchSet:
    meta = {"countrycode": "CH", "timestamp": "2017-03-02 23:25:10.07453 UTC"}
    return SketchSet.from_sketches(
        [
            Sketch.from_strokes(_HOUSE, label="house", key="5201136883597312", meta={**meta, "recognized": True}),
            Sketch.from_strokes(_DOOR, label='"doör"\n', key="2", meta={**meta, "recognized": False}),
            Sketch.from_strokes([], label="nothing", key="3", meta={**meta, "recognized": False}),
        ]
    )


def _raw() -> SketchSet:
    return SketchSet.from_sketches(
        [
            Sketch.from_strokes(_HOUSE, time=_TIMES, label="house", key="1"),
            Sketch.from_strokes(_HOUSE[:1], time=_TIMES[:1], label="roof", key="2"),
            Sketch.from_strokes(_HOUSE, time=_TIMES, label="house", key="3"),
        ]
    )


def _binary() -> SketchSet:
    house = [[(0, 255), (128, 0), (255, 255)], [(0, 255), (255, 255)]]
    drawings = SketchSet.from_sketches(Sketch.from_strokes(strokes) for strokes in [house, [], [[], *house], house])
    return drawings.with_columns(
        key=np.array([2**64 - 1, 0, 5201136883597312, 7], np.uint64),
        countrycode=np.array(["CH", "US", "", "BR"], dtype=object),
        recognized=np.array([True, False, True, True]),
        timestamp=np.array([1488495910, 0, 2**32 - 1, 1], np.uint32),
    )


def _columns() -> SketchSet:
    return _simplified().with_columns(
        hash=np.array([2**64 - 1, 0, 7], np.uint64),
        started=np.array(["2017-03-02T23:25:10", "NaT", "1969-01-01"], "M8[ms]"),
        seconds=np.array([1.5, np.inf, -0.25]),
        word=np.array(["haus", None, ""], dtype=object),
    )


def _timed() -> SketchSet:
    drawings = SketchSet.concat([_raw(), _raw()[:0]])
    part = np.arange(len(drawings.points), dtype=np.int16)
    return SketchSet(
        drawings.points,
        drawings.stroke_offsets,
        drawings.sketch_offsets,
        drawings.columns,
        {**drawings.point_columns, "part": part},
    )


def _steps() -> SketchSet:
    house = [[(0, 255), (128, 0), (255, 255)], [(-300, 255), (255, 255)]]
    drawings = SketchSet.from_sketches(Sketch.from_strokes(strokes) for strokes in [house, house[:1], [], house, house])
    return drawings.with_columns(split=np.array(["train", "train", "train", "valid", "test"], dtype=object))


def _spg() -> SketchSet:
    drawings = SketchSet.from_sketches(
        Sketch.from_strokes(strokes, key=key, meta={"i": index})
        for index, (strokes, key) in enumerate([(_HOUSE, "6577010312740864"), (_DOOR, "2"), (_HOUSE, "3")])
    )
    parts = np.array([0, 1, 1, 0, 2, 1, 1, 3, -1, 0, 0, 0, 12], np.int32)
    return replace(drawings, point_columns={"part": parts})


def _svg() -> SketchSet:
    return SketchSet.from_sketches(
        [
            Sketch.from_strokes(_DOOR, label="door", key="door/1"),
            Sketch.from_strokes(_HOUSE, label="house & <garden>", key="house/a b"),
            Sketch.from_strokes(_HOUSE, label="hut", key="house/c"),
        ]
    )


def _sketchy() -> SketchSet:
    photos, numbers = ["n02691156_10151", "n02691156_10151", 'n02691156_9966, "big"'], [0, 3, 1]
    keys = [f"{photo}-{number + 1}" for photo, number in zip(photos, numbers, strict=True)]
    drawings = [
        Sketch.from_strokes(strokes, key=key) for strokes, key in zip([_HOUSE, _DOOR, _HOUSE], keys, strict=True)
    ]
    return SketchSet.from_sketches(drawings).with_columns(
        photo=np.array(photos, dtype=object), sketch=np.array(numbers, np.int64)
    )


def _drawing_game() -> SketchSet:
    strokes = [_HOUSE, [], [*_DOOR, [], [(7, 7)]]]
    meta = {"gameID": "8f1c", "condition": "closer", "drawDuration": 18.25, "outcome": True, "note": 'a\n"b", c'}
    return SketchSet.from_sketches(
        Sketch.from_strokes(
            drawn, label="knob", key=f"8f1c_{trial}", meta={**meta, "trialNum": trial, "numStrokes": len(drawn)}
        )
        for trial, drawn in enumerate(strokes)
    )


SAMPLES = {
    "arrow": Sample("arrow", "drawings.arrow", _columns()),
    "arrow, timed": Sample("arrow", "timed.arrow", _timed()),
    "parquet": Sample("parquet", "drawings.parquet", _columns()),
    "parquet, timed": Sample("parquet", "timed.parquet", _timed()),
    "polylines-npz": Sample(
        "polylines-npz", "11201.npz", SketchSet.from_sketches([Sketch.from_strokes([*_HOUSE, []])])
    ),
    "drawing-game": Sample("drawing-game", "chairs.csv", _drawing_game()),
    "qmul": Sample("qmul", "ChairV2_Coordinate.pkl", _qmul()),
    "quickdraw": Sample("quickdraw", "house.ndjson", _simplified()),
    "quickdraw, raw": Sample("quickdraw", "raw.ndjson", _raw()),
    "quickdraw-binary": Sample("quickdraw-binary", "house.bin", _binary()),
    "sketch-rnn": Sample("sketch-rnn", "house.npz", _steps()),
    "sketchy": Sample("sketchy", "stroke_dataframe.csv", _sketchy()),
    "spg": Sample("spg", "house_raw.ndjson", _spg()),
    "svg": Sample("svg", "drawn.svg", _svg()[1:2]),
    "svg, folder": Sample("svg", "drawings", _svg()),
}


def assert_same(found: SketchSet, expected: SketchSet, *, also: tuple[str, ...] = ()) -> None:
    """The same points bit for bit, the same strokes, drawings and columns with their dtypes.

    Args:
        found: what was read.
        expected: what was written.
        also: columns that only the file adds.
    """
    found.validate()
    np.testing.assert_array_equal(found.points, expected.points)
    np.testing.assert_array_equal(found.stroke_offsets, expected.stroke_offsets)
    np.testing.assert_array_equal(found.sketch_offsets, expected.sketch_offsets)
    assert set(found.columns) - set(also) == set(expected.columns)
    for name, values in expected.columns.items():
        assert found.columns[name].dtype == values.dtype, name
        np.testing.assert_array_equal(found.columns[name], values, err_msg=name)
    assert set(found.point_columns) == set(expected.point_columns)
    for name, values in expected.point_columns.items():
        assert found.point_columns[name].dtype == values.dtype
        np.testing.assert_array_equal(found.point_columns[name], values)


def bytes_of(sketches: SketchSet) -> list[object]:
    """Everything in a set, to see whether it was changed."""
    arrays = [sketches.points, sketches.stroke_offsets, sketches.sketch_offsets, *sketches.point_columns.values()]
    return [*(array.tobytes() for array in arrays), *(values.tolist() for values in sketches.columns.values())]
