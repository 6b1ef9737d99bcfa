"""One line of JSON, one drawing: the plain way, which knows every line and says what is wrong with one.

`ndjson_lines` reads lines of the common shape faster; whatever it does not know comes here, and what comes here and
there is the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from sketchkit.errors import DataError
from sketchkit.sketch import Sketch

__all__ = ["COLUMN_OF", "FIELD_OF", "PART", "TIME", "Dialect", "is_label", "parse_record"]

# The files' names of two columns.
COLUMN_OF = {"word": "label", "key_id": "key"}
FIELD_OF = {column: name for name, column in COLUMN_OF.items()}
# Up to here float32 holds every whole number.
_MOST_LABEL = 1 << 24


@dataclass(frozen=True)
class Dialect:
    """What the third list of a stroke is.

    Args:
        column: the point column that it becomes.
        dtype: of that column.
    """

    column: str
    dtype: type[np.generic]


TIME = Dialect("time", np.float32)
PART = Dialect("part", np.int32)


@dataclass(frozen=True)
class _Drawing:
    points: NDArray[np.float32]
    offsets: NDArray[np.int64]
    third: NDArray[np.float32] | None


def parse_record(line: bytes, dialect: Dialect, expected: bool | None) -> Sketch:
    """The drawing of one line.

    Args:
        line: the whole line.
        dialect: what a third list is.
        expected: whether the file's strokes have a third list; None while that is not known.

    Raises:
        DataError: the line is not such a record.
    """
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise DataError(f"is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise DataError(f"is a JSON {type(value).__name__}, not an object with a 'drawing'")
    record: dict[str, Any] = value
    if "drawing" not in record:
        raise DataError("has no 'drawing'")
    strokes = record.pop("drawing")
    drawing = _drawing(_once(strokes) if dialect is PART and isinstance(strokes, list) else strokes)
    (_check_times if dialect is TIME else _check_parts)(drawing, "word" in record, expected)
    fields = {name: value for name, value in record.items() if value is not None}
    # A field that is called as a column is that column, unless the column has come from its own field.
    label = fields.pop("label", None)
    label = fields.pop("word", label)
    key = fields.pop("key", None)
    key = fields.pop("key_id", key)
    point_columns = {} if drawing.third is None else {dialect.column: drawing.third.astype(dialect.dtype)}
    return Sketch(drawing.points, drawing.offsets, label, key, fields, point_columns)


def is_label(values: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which of `values`, of any shape, are whole numbers that float32 holds exactly, as part labels have to be."""
    whole: NDArray[np.bool_] = (np.rint(values) == values) & (np.abs(values) < _MOST_LABEL)
    return whole


def _once(strokes: list[Any]) -> list[Any]:
    """The strokes without a fourth list that repeats the third, as some of SPG's files have it."""
    return [
        stroke[:3] if isinstance(stroke, list) and len(stroke) == 4 and stroke[2] == stroke[3] else stroke
        for stroke in strokes
    ]


def _check_times(drawing: _Drawing, has_word: bool, expected: bool | None) -> None:
    timed = drawing.third is not None
    if timed and not has_word:
        raise DataError(
            "has a third list in its strokes but no 'word': this is not Quick, Draw!'s raw format, "
            'whose third list holds times; format="spg" reads the third list as part labels'
        )
    if expected is not None and len(drawing.points) and expected != timed:
        raise DataError(f"has {'no times' if expected else 'times'}, unlike the drawings before it")


def _check_parts(drawing: _Drawing, has_word: bool, _: bool | None) -> None:
    if has_word:
        raise DataError(
            "has a 'word', so it is one of Quick, Draw!'s own files, whose third list holds no part labels; "
            'format="quickdraw" reads it'
        )
    if drawing.third is None:
        if len(drawing.points):
            raise DataError("has no third list of part labels in its strokes")
    elif not is_label(drawing.third).all():
        wrong = float(drawing.third[~is_label(drawing.third)][0])
        raise DataError(f"has the part label {wrong:g}; labels must be whole numbers below 2^24")


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
    third = arrays[2] if width == 3 else None
    return _Drawing(np.stack(arrays[:2], axis=1), np.array(offsets, np.int64), third)


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
