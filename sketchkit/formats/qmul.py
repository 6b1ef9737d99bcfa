"""QMUL coordinates: ShoeV2 and ChairV2, one pickle named `ShoeV2_Coordinate` or `ChairV2_Coordinate`.

Source: https://github.com/AyanKumarBhunia/on-the-fly-FGSBIR, `Dataset/ChairV2/ChairV2_Coordinate`.

    key     text, `/train/<photo id>_<n>` or `/test/<photo id>_<n>` -> columns `key` (whole), `split`, `photo`
    value   (points, 3) float64: x, y (absolute, y down, 256 x 256), pen: 1 on the LAST point of a stroke, else 0

The photo id is the last part of the key less its last `_` field. Nothing is unpickled: see `plain_pickle`.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from sketchkit.blocks import require_finite
from sketchkit.errors import DataError
from sketchkit.formats.plain_pickle import load_plain
from sketchkit.formats.registry import Format
from sketchkit.formats.source import Problems, Source, in_chunks
from sketchkit.ragged import offsets_of
from sketchkit.sketch import Sketch
from sketchkit.sketch_set import SketchSet

__all__ = ["FORMAT"]


def sniff(head: bytes, path: Path) -> bool:
    """Whether this is a pickle of protocol 2 to 5."""
    return len(head) > 1 and head[0] == 0x80 and 2 <= head[1] <= 5


def scan(source: Source, *, chunk: int, problems: Problems) -> Iterator[SketchSet]:
    """Read the whole pickle, then make its drawings chunk by chunk."""
    with source.open() as stream:
        drawings = load_plain(stream.read())
    if not isinstance(drawings, dict):
        raise DataError(f"holds a {type(drawings).__name__}; a QMUL coordinate file holds a dictionary of arrays")
    yield from in_chunks(_sketches(drawings, problems), chunk)


def write(sketches: SketchSet, stream: BinaryIO) -> None:
    """Write upstream's dictionary, protocol 3; empty strokes have no place in it and vanish.

    Raises:
        DataError: a key is missing, no text, or not unique; a coordinate is not finite.
    """
    require_finite(sketches)
    drawings = {}
    for index, sketch in enumerate(sketches):
        if not isinstance(sketch.key, str) or sketch.key in drawings:
            fault = "is no text" if not isinstance(sketch.key, str) else "is there twice"
            raise DataError(f"sketch {index} has the key {sketch.key!r}, which {fault}; this format needs unique keys")
        rows = np.zeros((len(sketch.points), 3))
        rows[:, :2] = sketch.points
        rows[sketch.offsets[1:][np.diff(sketch.offsets) > 0] - 1, 2] = 1
        drawings[sketch.key] = rows
    pickle.dump(drawings, stream, protocol=3)


FORMAT = Format("qmul", (".pkl", ".pickle"), sniff, scan, write, columns=frozenset({"key", "split", "photo"}))


def _sketches(drawings: dict[Any, Any], problems: Problems) -> Iterator[Sketch]:
    for record, (key, rows) in enumerate(drawings.items()):
        sketch = problems.attempt(f"record {record} ({key!r})", _sketch, key, rows)
        if sketch is not None:
            yield sketch


def _sketch(key: Any, rows: Any) -> Sketch:
    if not isinstance(key, str):
        raise DataError("the key is no text")
    if not isinstance(rows, np.ndarray):
        raise DataError(f"holds a {type(rows).__name__}, not an array (points, 3): x, y, pen")
    if rows.ndim != 2 or rows.shape[1] != 3:
        raise DataError(f"has the shape {rows.shape}; it must be (points, 3): x, y, pen")
    if not np.isfinite(rows).all():
        raise DataError("has a number that is not finite")
    pen = rows[:, 2]
    others = pen[~np.isin(pen, (0, 1))]
    if len(others):
        raise DataError(f"has the pen {others[0]}; it must be 0, or 1 on the last point of a stroke")
    with np.errstate(over="ignore"):
        points = rows[:, :2].astype(np.float32)
    if not np.isfinite(points).all():
        raise DataError("has a coordinate beyond what float32 holds (3.4e38)")
    ends = np.flatnonzero(pen == 1) + 1
    if len(pen) and (not len(ends) or ends[-1] != len(pen)):
        ends = np.append(ends, len(pen))
    folder, _, name = key.rpartition("/")
    meta = {"split": folder.rpartition("/")[2], "photo": name.rpartition("_")[0] or name}
    return Sketch(points, offsets_of(np.diff(ends, prepend=0)), key=key, meta=meta)
