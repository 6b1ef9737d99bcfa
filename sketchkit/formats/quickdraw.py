"""Quick, Draw! as ndjson: one JSON object a line, simplified or raw.

Source: https://github.com/googlecreativelab/quickdraw-dataset, "The raw moderated dataset".

    word         string      -> column `label`
    key_id       string      -> column `key`
    countrycode, timestamp, recognized, and any other number, string or boolean -> a column of that name
    drawing      list of strokes: [[x...], [y...]] (simplified) or [[x...], [y...], [t...]] (raw; t in ms -> `time`)

The first line with a stroke says which of the two a file is. A third list without a `word` is refused: in files
such as SPG's (https://github.com/KeLi-SketchX/SketchX-PRIS-Dataset) it holds part labels, not times.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import orjson
from numpy.typing import NDArray

from sketchkit.blocks import require_finite
from sketchkit.errors import DataError
from sketchkit.formats.registry import Format
from sketchkit.formats.source import Problems, Source, bare_suffix, in_chunks
from sketchkit.sketch import Sketch
from sketchkit.sketch_set import SketchSet

__all__ = ["FORMAT"]

_SUFFIXES = (".ndjson", ".jsonl")
_COLUMN_OF = {"word": "label", "key_id": "key"}
_FIELD_OF = {column: name for name, column in _COLUMN_OF.items()}


def sniff(head: bytes, path: Path) -> bool:
    """Whether the first line is a JSON object with a drawing."""
    start = head.lstrip()
    by_name = bare_suffix(path) in _SUFFIXES
    return (start.startswith(b"{") and (b'"drawing"' in start or by_name)) or (not start and bool(head) and by_name)


def scan(source: Source, *, chunk: int, problems: Problems) -> Iterator[SketchSet]:
    """Read line by line; blank lines are no records."""
    with source.open() as stream:
        yield from in_chunks(_sketches(stream, problems), chunk)


def write(sketches: SketchSet, stream: BinaryIO) -> None:
    """Write raw lines when the drawings have a `time`, else simplified ones; whole numbers without a point.

    Raises:
        DataError: a coordinate is not finite, or a column holds what JSON cannot.
    """
    require_finite(sketches)
    if not np.isfinite(sketches.point_columns.get("time", 0)).all():
        raise DataError("a time is not finite; JSON has no such number")
    for index, sketch in enumerate(sketches):
        record = {_FIELD_OF.get(name, name): value for name, value in sketch.fields.items()}
        if sketch.time is not None:
            # Without a word, a third list would be refused as part labels.
            record.setdefault("word", None)
        record["drawing"] = _lists(sketch)
        try:
            stream.write(orjson.dumps(record, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE))
        except TypeError as error:
            raise DataError(f"sketch {index} cannot be written as JSON: {error}") from None
    if not len(sketches):
        # A file of no bytes is taken for a broken download.
        stream.write(b"\n")


FORMAT = Format(
    "quickdraw",
    _SUFFIXES,
    sniff,
    scan,
    write,
    point_columns=frozenset({"time"}),
)


@dataclass(frozen=True)
class _Drawing:
    points: NDArray[np.float32]
    offsets: NDArray[np.int64]
    time: NDArray[np.float32] | None


def _sketches(stream: BinaryIO, problems: Problems) -> Iterator[Sketch]:
    timed: bool | None = None
    record = byte = 0
    for number, line in enumerate(stream, start=1):
        start, byte = byte, byte + len(line)
        if not line.strip():
            continue
        sketch = problems.attempt(f"record {record} (line {number}, byte {start})", _sketch, line, timed)
        record += 1
        if sketch is None:
            continue
        if len(sketch.points):
            timed = sketch.time is not None
        yield sketch


def _sketch(line: bytes, timed: bool | None) -> Sketch:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise DataError(f"is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise DataError(f"is a JSON {type(value).__name__}, not an object with a 'drawing'")
    record: dict[str, Any] = value
    if "drawing" not in record:
        raise DataError("has no 'drawing'")
    drawing = _drawing(record.pop("drawing"))
    if drawing.time is not None and "word" not in record:
        raise DataError(
            "has a third list in its strokes but no 'word': this is not Quick, Draw!'s raw format, "
            "whose third list holds times"
        )
    if timed is not None and len(drawing.points) and timed != (drawing.time is not None):
        raise DataError(f"has {'no times' if timed else 'times'}, unlike the drawings before it")
    fields = {
        _COLUMN_OF.get(name, name): value
        for name, value in record.items()
        if isinstance(value, (str, int, float)) and name not in _FIELD_OF
    }
    label, key = fields.pop("label", None), fields.pop("key", None)
    point_columns = {} if drawing.time is None else {"time": drawing.time}
    return Sketch(drawing.points, drawing.offsets, label, key, fields, point_columns)


def _drawing(strokes: Any) -> _Drawing:
    if not isinstance(strokes, list):
        raise DataError("'drawing' is not a list of strokes")
    columns: tuple[list[Any], list[Any], list[Any]] = ([], [], [])
    width = len(strokes[0]) if strokes and isinstance(strokes[0], list) else 2
    offsets = [0]
    for index, stroke in enumerate(strokes):
        _check_stroke(index, stroke, width)
        for column, values in zip(columns, stroke, strict=False):
            column.extend(values)
        offsets.append(len(columns[0]))
    arrays = [_numbers(column) for column in columns[:width]]
    time = arrays[2] if width == 3 else None
    return _Drawing(np.stack(arrays[:2], axis=1), np.array(offsets, np.int64), time)


def _check_stroke(index: int, stroke: Any, width: int) -> None:
    if not isinstance(stroke, list) or len(stroke) not in (2, 3) or not all(isinstance(part, list) for part in stroke):
        raise DataError(f"stroke {index} is not [[x...], [y...]] or [[x...], [y...], [t...]]")
    if len(stroke) != width:
        raise DataError(f"stroke {index} has {len(stroke)} lists, stroke 0 has {width}; all must have the same number")
    counts = [len(part) for part in stroke]
    if len(set(counts)) != 1:
        named = " but ".join(f"{count} {name}" for count, name in zip(counts, "xyt", strict=False))
        raise DataError(f"stroke {index} has {named}; they must be equal")


def _numbers(values: list[Any]) -> NDArray[np.float32]:
    # numpy would read None as NaN, "1" as 1 and true as 1.
    others = set(map(type, values)) - {int, float}
    if others:
        raise DataError(f"has a {others.pop().__name__} among its coordinates; they must be numbers")
    with np.errstate(over="ignore"):
        array = np.array(values, np.float64).astype(np.float32)
    if not np.isfinite(array).all():
        raise DataError("has a number beyond what float32 holds (3.4e38)")
    return array


def _lists(sketch: Sketch) -> list[list[NDArray[Any]]]:
    x, y = (_as_written(column) for column in sketch.points.T)
    columns = [x, y] if sketch.time is None else [x, y, _as_written(sketch.time)]
    bounds = sketch.offsets.tolist()
    return [[column[a:b] for column in columns] for a, b in pairwise(bounds)]


def _as_written(values: NDArray[np.float32]) -> NDArray[Any]:
    # Within 2^24 float32 holds every whole number.
    whole = bool(np.all((np.rint(values) == values) & (np.abs(values) < 2**24)))
    return np.ascontiguousarray(values, np.int32 if whole else np.float32)
