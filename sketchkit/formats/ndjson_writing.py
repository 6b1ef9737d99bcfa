"""Drawings as one JSON object a line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any, BinaryIO

import numpy as np
import orjson
from numpy.typing import NDArray

from sketchkit.blocks import require_finite
from sketchkit.errors import DataError
from sketchkit.formats.ndjson_records import PART, TIME, Dialect
from sketchkit.sketch import Sketch
from sketchkit.sketch_set import SketchSet

__all__ = ["write_lines"]

_AT_ONCE = 4096
# Within 2^24 float32 holds every whole number.
_WHOLE_BELOW = 1 << 24


def write_lines(sets: Iterable[SketchSet], stream: BinaryIO, dialect: Dialect | None = None) -> None:
    """Write sets of drawings one after the other; whole numbers without a point, others in their shortest form.

    Args:
        sets: all with a third list or all without; those without points do not count.
        stream: where to.
        dialect: what the third list is; None for the one that the drawings have.

    Raises:
        DataError: a number is not finite, a column holds what JSON cannot, or only some sets have a third list.
    """
    count, drawn, first = 0, False, None
    for sketches in sets:
        chosen = _dialect_of(sketches) if dialect is None else dialect
        third = chosen.column if chosen.column in sketches.point_columns else None
        if len(sketches.points):
            if drawn and first != third:
                raise DataError(f"sketch {count} and those after it have {third}, those before it {first}")
            drawn, first = True, third
        require_finite(sketches)
        if third and not np.isfinite(sketches.point_columns[third]).all():
            raise DataError(f"a {third} is not finite; JSON has no such number")
        for start in range(0, len(sketches), _AT_ONCE):
            part = sketches[start : start + _AT_ONCE]
            heads = _heads(part, chosen, timed=third == "time", before=count + start)
            stream.write(b"".join(_joined(heads, _drawings(part, third))))
        count += len(sketches)
    if not count:
        # A file of no bytes is taken for a broken download.
        stream.write(b"\n")


def _dialect_of(sketches: SketchSet) -> Dialect:
    if PART.column not in sketches.point_columns:
        return TIME
    if TIME.column in sketches.point_columns:
        raise DataError(
            "the drawings have both 'time' and 'part', and a stroke has room for one of them: "
            'format="spg" writes the parts alone'
        )
    return PART


def _joined(heads: Iterable[bytes], drawings: Iterable[bytes]) -> Iterator[bytes]:
    for head, drawing in zip(heads, drawings, strict=True):
        yield head[:-1]
        yield b'"drawing":' if len(head) == 2 else b',"drawing":'
        yield drawing
        yield b"}\n"


def _heads(sketches: SketchSet, dialect: Dialect, *, timed: bool, before: int) -> Iterator[bytes]:
    """The fields of each drawing as a JSON object."""
    columns = _fields(sketches, dialect)
    if timed:
        # Without a word, a third list would be refused as part labels.
        columns.setdefault("word", [None] * len(sketches))
    # A name or a key that a drawing lacks is left out, any other value that it lacks is null.
    dropped = [name for name in ("word", "label", "key_id") if None in columns.get(name, [])]
    dropped = [
        name for name in dropped if not (timed and name == "word") and not (dialect is PART and name == "key_id")
    ]
    rows = zip(*columns.values(), strict=True) if columns else ((),) * len(sketches)
    for index, row in enumerate(rows):
        record = dict(zip(columns, row, strict=True))
        for name in dropped:
            if record[name] is None:
                del record[name]
        try:
            yield orjson.dumps(record)
        except TypeError as error:
            raise DataError(f"sketch {before + index} cannot be written as JSON: {error}") from None


def _fields(sketches: SketchSet, dialect: Dialect) -> dict[str, list[Any]]:
    """The columns by the names that the file has for them; of two that become one, the set's own wins."""
    if "drawing" in sketches.columns:
        raise DataError("there is a column 'drawing', which is what the file calls the strokes; rename it")
    word = "label" if dialect is PART else "word"
    named = {"word": word, "label": word, "key_id": "key_id", "key": "key_id"}
    fields: dict[str, list[Any]] = {"i": [], "key_id": []} if dialect is PART else {word: [], "key_id": []}
    for name in sorted(sketches.columns, key=lambda name: name in ("label", "key")):
        values, field = sketches.columns[name].tolist(), named.get(name, name)
        earlier = fields.get(field)
        fields[field] = [b if a is None else a for a, b in zip(values, earlier, strict=True)] if earlier else values
    if dialect is PART:
        return {name: values or [None] * len(sketches) for name, values in fields.items()}
    return {name: values for name, values in fields.items() if values}


def _drawings(sketches: SketchSet, third: str | None) -> Iterator[bytes]:
    """Each drawing as lists of lists."""
    # Loads numba, which only some of the callers need.
    from sketchkit.kernels import format_ndjson

    columns = [*sketches.points.T] + ([sketches.point_columns[third]] if third else [])
    whole = np.logical_and.reduce([_is_whole(column) for column in columns])
    odd = np.flatnonzero(~whole)
    ends = sketches.stroke_offsets[sketches.sketch_offsets[1:]]
    others = set(np.searchsorted(ends, odd, side="right").tolist())
    numbers = np.stack([np.where(whole, column, 0) for column in columns]).astype(np.int32)
    size = numbers.size * format_ndjson.BYTES_OF_NUMBER + len(sketches) * format_ndjson.BYTES_OF_SKETCH
    size += (len(sketches.stroke_offsets) - 1) * format_ndjson.BYTES_OF_STROKE
    out, text_ends = np.empty(size, np.uint8), np.empty(len(sketches), np.int64)
    format_ndjson.format_drawings(numbers, sketches.stroke_offsets, sketches.sketch_offsets, out, text_ends)
    bounds = [0, *text_ends.tolist()]
    text = out[: bounds[-1]].tobytes()
    for index, (start, end) in enumerate(pairwise(bounds)):
        yield _general(sketches[index], third) if index in others else text[start:end]


def _general(sketch: Sketch, third: str | None) -> bytes:
    columns = [_as_written(column) for column in sketch.points.T]
    if third:
        columns.append(_as_written(sketch.point_columns[third]))
    strokes = [[column[a:b] for column in columns] for a, b in pairwise(sketch.offsets.tolist())]
    return orjson.dumps(strokes, option=orjson.OPT_SERIALIZE_NUMPY)


def _as_written(values: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(values, np.int32 if _is_whole(values).all() else np.float32)


def _is_whole(values: NDArray[Any]) -> NDArray[np.bool_]:
    # An integer has no sign at 0.
    whole: NDArray[np.bool_] = (np.rint(values) == values) & (np.abs(values) < _WHOLE_BELOW)
    whole &= ~((values == 0) & np.signbit(values))
    return whole
