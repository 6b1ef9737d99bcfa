"""Columns of drawings out of the fields that the kernel found, without a loop over the records where it can be had."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from sketchkit.kernels.parse_ndjson import FALSE, INTEGER, NULL, TEXT, TRUE
from sketchkit.kernels.texts import gather_texts, parse_integers
from sketchkit.sketch import Sketch
from sketchkit.sketch_set import SketchSet

__all__ = ["Part", "column_of_field", "joined"]


class Part(NamedTuple):
    """`sketches` that follow each other, and `texts`, the names of those columns that are known to hold texts alone."""

    sketches: SketchSet
    texts: frozenset[str]

    @classmethod
    def of(cls, sketches: SketchSet) -> Part:
        """`sketches` whose columns have been made value by value: each column is searched for what is no text."""
        objects = {name: values for name, values in sketches.columns.items() if values.dtype == object}
        return cls(sketches, frozenset(name for name, values in objects.items() if _all_texts(values)))

    def cut(self, first: int, last: int) -> Part:
        """The drawings from `first` to before `last`."""
        return Part(self.sketches[first:last], self.texts)


def column_of_field(
    data: NDArray[np.uint8], kinds: NDArray[np.uint8], spans: NDArray[np.int32]
) -> tuple[NDArray[Any], bool]:
    """One field of all records as (records,), and whether it holds texts alone; None where a record lacks it.

    Args:
        data: (bytes,), the file or a piece of it.
        kinds: (records,), what the field holds: `TEXT` and the others of `sketchkit.kernels.parse_ndjson`.
        spans: (records, 2), where its value starts and ends; of a text, within the quotes.
    """
    if (kinds == TEXT).all():
        return _texts(data, spans), True
    if (kinds == INTEGER).all():
        integers = np.empty(len(kinds), np.int64)
        parse_integers(data, spans, integers)
        return integers, False
    if ((kinds == TRUE) | (kinds == FALSE)).all():
        return kinds == TRUE, False
    values = np.empty(len(kinds), object)
    for index in np.flatnonzero((kinds != 0) & (kinds != NULL)).tolist():
        first, last = spans[index].tolist()
        quotes = int(kinds[index] == TEXT)
        values[index] = orjson.loads(data[first - quotes : last + quotes].tobytes())
    return values, False


def joined(parts: Sequence[Part]) -> SketchSet:
    """What `SketchSet.from_sketches` makes of the drawings of all `parts` together."""
    names = dict.fromkeys(name for part in parts for name in part.sketches.columns)
    columns: dict[str, NDArray[Any]] = {}
    for name in names:
        columns.update(_column(name, parts))
    bare = [
        SketchSet(block.points, block.stroke_offsets, block.sketch_offsets, {}, block.point_columns)
        for block in (part.sketches for part in parts)
    ]
    block = SketchSet.concat(bare)
    return SketchSet(block.points, block.stroke_offsets, block.sketch_offsets, columns, block.point_columns)


def _texts(data: NDArray[np.uint8], spans: NDArray[np.int32]) -> NDArray[Any]:
    size = int((spans[:, 1] - spans[:, 0]).sum()) + len(spans)
    buffer, index = np.empty(size, np.uint8), np.empty(len(spans), np.int32)
    count, used = gather_texts(data, spans, buffer, index)
    distinct = np.empty(count, object)
    # No text holds a newline: it would have ended the line.
    distinct[:] = buffer[: max(used - 1, 0)].tobytes().decode("ascii").split("\n")[:count]
    return distinct if count == len(spans) else distinct[index]


def _column(name: str, parts: Sequence[Part]) -> dict[str, NDArray[Any]]:
    found = [part.sketches.columns.get(name) for part in parts]
    present = [values for values in found if values is not None]
    dtypes = {values.dtype for values in present}
    texts = all(name in part.texts for part in parts)
    if len(present) == len(parts) and (texts or dtypes == {np.dtype(bool)} or dtypes == {np.dtype(np.int64)}):
        return {name: present[0] if len(present) == 1 else np.concatenate(present)}
    # Values of several types, or some are missing: their common type is what a set makes of them.
    rows: list[Any] = []
    for part, values in zip(parts, found, strict=True):
        rows += [None] * len(part.sketches) if values is None else values.tolist()
    none, offsets = np.zeros((0, 2), np.float32), np.zeros(1, np.int64)
    drawings = [Sketch(none, offsets, meta={} if value is None else {name: value}) for value in rows]
    return dict(SketchSet.from_sketches(drawings).columns)


def _all_texts(values: NDArray[Any]) -> bool:
    return all(type(value) is str for value in values.tolist())
