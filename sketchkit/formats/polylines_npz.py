"""One drawing as an `.npz` of polylines: `arr_0`, `arr_1`, ..., what `numpy.savez(file, *strokes)` writes.

Source: the TU-Berlin drawings in https://github.com/JoeyPoel/Sketch-RNN. Each array is one stroke, (points, 2) x and y,
absolute, y down, in drawing order by number (not by text: arr_10 comes after arr_9). There is nothing else in the file.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from sketchkit.errors import DataError
from sketchkit.formats.npz_archive import NpzArchive, first_name, open_npz
from sketchkit.formats.registry import Format
from sketchkit.formats.source import Problems, Source
from sketchkit.sketch import Sketch
from sketchkit.sketch_set import SketchSet

__all__ = ["FORMAT"]

_NAME = re.compile(r"arr_(0|[1-9][0-9]{0,8})")


def sniff(head: bytes, path: Path) -> bool:
    """Whether the first member of a zip archive is `arr_<number>.npy`."""
    return re.fullmatch(r"arr_[0-9]+\.npy", first_name(head)) is not None


def scan(source: Source, *, chunk: int, problems: Problems) -> Iterator[SketchSet]:
    """The one drawing of the file."""
    with open_npz(source) as archive:
        sketch = problems.attempt("record 0", _sketch, archive)
    if sketch is not None:
        yield SketchSet.from_sketches([sketch])


def write(sketches: SketchSet, stream: BinaryIO) -> None:
    """Write float64 polylines, as upstream does.

    Raises:
        DataError: there is not exactly one drawing, or it has no stroke.
    """
    if len(sketches) != 1:
        raise DataError(f"there are {len(sketches)} drawings; a file of this format holds one")
    strokes = [stroke.astype(np.float64) for stroke in sketches[0].strokes]
    if not strokes:
        raise DataError("the drawing has no stroke; a file of this format holds at least one")
    # A zip archive differs with what can be sought in: a packed file must unpack to the same bytes.
    archive = io.BytesIO()
    np.savez(archive, *strokes)
    stream.write(archive.getbuffer())


# Without a suffix of its own: a path that ends in .npz is written as sketch-rnn's.
FORMAT = Format("polylines-npz", (), sniff, scan, write, columns=frozenset())


def _sketch(archive: NpzArchive) -> Sketch:
    numbered = {}
    for name in archive.names:
        match = _NAME.fullmatch(name)
        if match is None:
            raise DataError(f"holds {name[:80]!r}; strokes are named arr_0, arr_1, and so on")
        numbered[int(match[1])] = name
    missing = set(range(len(numbered))) - numbered.keys()
    if missing:
        raise DataError(f"arr_{min(missing)} is missing; arrays of {len(numbered)} strokes are numbered from 0")
    return Sketch.from_strokes(_stroke(archive, numbered[number]) for number in range(len(numbered)))


def _stroke(archive: NpzArchive, name: str) -> NDArray[np.float32]:
    given = archive.read(name).numbers()
    if given.shape == (0,):
        return np.zeros((0, 2), np.float32)
    if given.ndim != 2 or given.shape[1] != 2:
        raise DataError(f"{name} has the shape {given.shape}; it must be (points, 2): x, y")
    with np.errstate(over="ignore"):
        points = given.astype(np.float32)
    if np.any(np.isinf(points) & np.isfinite(given)):
        raise DataError(f"{name} has a coordinate beyond what float32 holds (3.4e38)")
    return points
