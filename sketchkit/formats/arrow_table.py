"""Drawings as an Arrow table, in GeoArrow's layout of multilinestrings; Arrow IPC and Parquet hold the same.

Source: https://geoarrow.org/format.html (interleaved coordinates), https://arrow.apache.org/docs/format/Columnar.html.

    drawing     list<list<fixed_size_list<float32>[2]>>: strokes of points x, y; "geoarrow.multilinestring"
    columns     one each, of Arrow's own types; a null is None
    points      `time` and other point columns as list<list<T>> of the drawings' own shape, "sketchkit.role": "point"

Read are, too: the name `strokes`, `geometry`, or any that is marked as multilinestrings; other numbers; points as
struct<x, y> or as lists of two; large lists; and point columns that are not marked but have the drawings' shape.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sketchkit.columns import LazyColumns
from sketchkit.errors import DataError
from sketchkit.formats.arrow_columns import storage, to_arrow, to_numpy
from sketchkit.formats.source import Problems
from sketchkit.ragged import group_of
from sketchkit.sketch_set import SketchSet

__all__ = [
    "CHECKED_AT_ONCE",
    "array_of",
    "conformed",
    "drawing_field",
    "from_batch",
    "nested",
    "opened",
    "rechunked",
    "to_batch",
    "with_dictionary",
]

# Up to this many offsets are checked when a file is opened: that takes a few milliseconds. Of more, the ends are; the
# rest is checked where it is used (`SketchSet.validate`).
CHECKED_AT_ONCE = 1 << 20

Offsets = NDArray[np.int64]
_NAMES = ("drawing", "strokes", "geometry")
_MULTILINESTRING = b"geoarrow.multilinestring"
_EXTENSION = {b"ARROW:extension:name": _MULTILINESTRING, b"ARROW:extension:metadata": b"{}"}
_DTYPE, _ROLE = b"sketchkit.dtype", b"sketchkit.role"
_INT32_END = 2**31
_WANTED = "list<list<fixed_size_list<float>[2]>>: strokes of points x, y"


def to_batch(sketches: SketchSet, *, large: bool, dictionaries: bool) -> pa.RecordBatch:
    """The drawings as one record batch; the points are not copied.

    Args:
        sketches: any set.
        large: offsets of 64 bits, which the set has, or of 32, which every reader takes.
        dictionaries: text that repeats is written once each.

    Raises:
        DataError: Arrow has no type for a column, or two columns share a name.
    """
    shape = (sketches.stroke_offsets, sketches.sketch_offsets)
    points = pa.FixedSizeListArray.from_arrays(array_of(np.ascontiguousarray(sketches.points).reshape(-1)), 2)
    arrays, fields = [nested(points, *shape, large=large)], []
    fields.append(drawing_field(arrays[0].type))
    _require_own_names(sketches)
    for name, values in sketches.point_columns.items():
        arrays.append(nested(to_arrow(name, values), *shape, large=large))
        fields.append(pa.field(name, arrays[-1].type, metadata={_ROLE: b"point", _DTYPE: _dtype(values)}))
    for name, values in sketches.columns.items():
        array = to_arrow(name, values)
        arrays.append(with_dictionary(array) if dictionaries else array)
        fields.append(pa.field(name, arrays[-1].type, metadata={_DTYPE: _dtype(values)}))
    return pa.record_batch(arrays, schema=pa.schema(fields))


def conformed(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """A later `batch` in the types of the first one, its `schema`; a column that it lacks is null.

    Raises:
        DataError: it has a column that the first one has not, or of a type that does not fit.
    """
    for name in batch.schema.names:
        if name not in schema.names:
            raise DataError(
                f"the column {name!r} is not in the first drawings, which decided the columns of the file; "
                "write() of all drawings as one set takes it"
            )
    arrays = []
    for field in schema:
        if field.name not in batch.schema.names:
            arrays.append(pa.nulls(len(batch), field.type))
            continue
        array = batch.column(field.name)
        try:
            arrays.append(array if array.type == field.type else array.cast(field.type))
        except pa.ArrowException as error:
            raise DataError(
                f"the column {field.name!r} is {array.type} here and {field.type} in the first drawings, which decided "
                "the columns of the file; write() of all drawings as one set finds a type for both"
            ) from error
    return pa.record_batch(arrays, schema=schema)


def drawing_field(kind: pa.DataType) -> pa.Field:
    """The field that the drawings are in, `kind` being their type: nested lists of points."""
    return pa.field("drawing", kind, metadata=_EXTENSION)


def array_of(values: NDArray[Any]) -> pa.Array:
    """Plain numbers, `values` (rows,), as an Arrow array over the same memory."""
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), [None, pa.py_buffer(values)])


def nested(values: pa.Array, stroke_offsets: Offsets, sketch_offsets: Offsets, *, large: bool) -> pa.Array:
    """One of the `values` a point as a list of strokes for each drawing.

    `stroke_offsets` (strokes + 1,) and `sketch_offsets` (sketches + 1,) are as in `SketchSet`; a `large` list holds
    them as int64, another one as int32.

    Raises:
        DataError: they do not fit int32.
    """
    for offsets in (stroke_offsets, sketch_offsets):
        values = _listed(values, offsets, large)
    return values


def from_batch(
    batch: pa.RecordBatch, problems: Problems, *, record: int = 0, where: str = "", checked: bool = True
) -> SketchSet:
    """The drawings of a record batch: views of its memory where the types are ours.

    Args:
        batch: not validated yet; its columns are, when they are first asked for.
        problems: takes the drawings that have nulls.
        record: the number of the first drawing.
        where: goes before a complaint about a column that is found later.
        checked: check all offsets; else only their ends, when there are more than `CHECKED_AT_ONCE`.

    Raises:
        DataError: there is no column of drawings, or the batch is damaged.
    """
    batch.validate()
    name = _drawing_name(batch.schema)
    bad = _nulls(_column(batch, name), name)
    if bad.any():
        batch.validate(full=True)
        for row in np.flatnonzero(bad).tolist():
            problems.add(
                DataError("has no drawing (null), or a null among its strokes or points"), f"record {record + row}"
            )
        batch = batch.filter(pa.array(~bad))
    sketch_offsets, strokes = opened(_column(batch, name))
    stroke_offsets, vertices = opened(strokes)
    points = _points(vertices, name)
    full = checked or len(sketch_offsets) + len(stroke_offsets) <= CHECKED_AT_ONCE
    others = [field for field in batch.schema if field.name != name]
    point_columns, makers = {}, {}
    for field in others:
        array = _column(batch, field.name)
        values = _point_values(field, array, (sketch_offsets, stroke_offsets), full)
        if values is None:
            makers[field.name] = partial(_made, array, field, where)
        else:
            point_columns[field.name] = values
    columns = LazyColumns(makers, 0, len(batch))
    drawings = SketchSet(points, stroke_offsets, sketch_offsets, columns, point_columns)
    return drawings.validate() if full else drawings


def rechunked(sets: Iterable[SketchSet], chunk: int) -> Iterator[SketchSet]:
    """The drawings of `sets` in sets of `chunk`; the last one may be smaller, none is empty."""
    waiting: list[SketchSet] = []
    missing = chunk
    for drawings in sets:
        start = 0
        while len(drawings) - start >= missing:
            yield SketchSet.concat([*waiting, drawings[start : start + missing]])
            start, missing, waiting = start + missing, chunk, []
        if start < len(drawings):
            waiting.append(drawings[start:])
            missing -= len(drawings) - start
    if waiting:
        yield SketchSet.concat(waiting)


def opened(array: pa.Array) -> tuple[Offsets, pa.Array]:
    """The offsets (n + 1,) of a list `array`, from 0, and the values that they divide.

    Raises:
        DataError: the offsets lie outside of the values.
    """
    if len(array) == 0:
        return np.zeros(1, np.int64), array.values.slice(0, 0)
    offsets = array.offsets.to_numpy()
    first, last = int(offsets[0]), int(offsets[-1])
    if not 0 <= first <= last <= len(array.values):
        raise DataError(f"offsets from {first} to {last} do not fit {len(array.values)} values")
    if first:
        offsets = offsets - first
    return offsets.astype(np.int64, copy=False), array.values.slice(first, last - first)


def _listed(values: pa.Array, offsets: Offsets, large: bool) -> pa.Array:
    if large:
        return pa.LargeListArray.from_arrays(array_of(np.ascontiguousarray(offsets)), values)
    if offsets[-1] >= _INT32_END:
        raise DataError(f"{offsets[-1]} points are more than offsets of 32 bits take; write fewer drawings at a time")
    return pa.ListArray.from_arrays(array_of(offsets.astype(np.int32)), values)


def _require_own_names(sketches: SketchSet) -> None:
    names = ["drawing", *sketches.point_columns, *sketches.columns]
    if len(set(names)) != len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise DataError(f"columns need names of their own; {', '.join(twice)} is there twice ('drawing' is taken)")


def _dtype(values: NDArray[Any]) -> bytes:
    if values.dtype != object:
        return bytes(values.dtype.str, "ascii")
    return b"tuple" if any(isinstance(value, tuple) for value in values.tolist()) else b"object"


def with_dictionary(array: pa.Array) -> pa.Array:
    """An `array` of text that repeats four times or more on average, each written once; any other as it is."""
    if not pa.types.is_string(array.type):
        return array
    encoded = array.dictionary_encode()
    return encoded if 4 * len(encoded.dictionary) <= len(array) else array


def _column(batch: pa.RecordBatch, name: str) -> pa.Array:
    try:
        return storage(batch.column(name))
    # Of some types, such as intervals of months, pyarrow has no arrays in Python.
    except KeyError as error:
        raise DataError(
            f"the column {name!r} is of the type {batch.schema.field(name).type}, which is not read"
        ) from error


def _drawing_name(schema: pa.Schema) -> str:
    marked = [field.name for field in schema if (field.metadata or {}).get(b"ARROW:extension:name") == _MULTILINESTRING]
    for name in (*_NAMES, *marked):
        if schema.names.count(name) == 1 and _is_drawing(_plain(schema.field(name).type)):
            return str(name)
    for name in (*_NAMES, *marked):
        if name in schema.names:
            raise DataError(f"has {name!r} of the type {schema.field(name).type}; it must be {_WANTED}")
    raise DataError(f"has the columns {', '.join(schema.names) or '(none)'}; one must be 'drawing', {_WANTED}")


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _is_drawing(kind: pa.DataType) -> bool:
    if not _is_list(kind) or not _is_list(kind.value_type):
        return False
    point = kind.value_type.value_type
    if pa.types.is_struct(point):
        return {field.name for field in point} == {"x", "y"} and all(_is_number(field.type) for field in point)
    if pa.types.is_fixed_size_list(point):
        return bool(point.list_size == 2) and _is_number(point.value_type)
    return _is_list(point) and _is_number(point.value_type)


def _nulls(array: pa.Array, name: str) -> NDArray[np.bool_]:
    """For each drawing, whether it or anything in it is null."""
    offsets, strokes = opened(array)
    stroke_offsets, points = opened(strokes)
    fields = points.flatten() if pa.types.is_struct(points.type) else [_flat(points)]
    if not any(level.null_count for level in (array, strokes, points, *fields)):
        return np.zeros(len(array), bool)
    array.validate(full=True)
    bad_points = _is_null(points)
    for field in fields:
        within = _is_null(field)
        # Lists of any length are of two numbers here, or refused later.
        bad_points |= within if len(within) == len(points) else within[: 2 * len(points)].reshape(-1, 2).any(axis=1)
    bad_strokes = _is_null(strokes)
    bad_strokes[group_of(stroke_offsets)[bad_points]] = True
    bad = _is_null(array)
    bad[group_of(offsets)[bad_strokes]] = True
    return bad


def _flat(points: pa.Array) -> pa.Array:
    if pa.types.is_fixed_size_list(points.type):
        return points.values.slice(2 * points.offset, 2 * len(points))
    offsets, values = opened(points)
    if not points.null_count and not np.array_equal(offsets, np.arange(0, 2 * len(points) + 1, 2)):
        raise DataError("has points that are not of two numbers, x and y")
    if points.null_count and len(values) != 2 * len(points):
        raise DataError("has a null among the points")
    return values


def _is_null(array: pa.Array) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = array.is_null().to_numpy(zero_copy_only=False).copy()
    return found


def _points(vertices: pa.Array, name: str) -> NDArray[np.float32]:
    if pa.types.is_struct(vertices.type):
        parts = dict(zip((field.name for field in vertices.type), vertices.flatten(), strict=True))
        given = np.stack([parts[axis].to_numpy(zero_copy_only=False) for axis in "xy"], axis=1)
    else:
        given = _flat(vertices).to_numpy(zero_copy_only=False).reshape(-1, 2)
    if given.dtype == np.float32:
        return np.ascontiguousarray(given)
    with np.errstate(over="ignore"):
        points = given.astype(np.float32)
    if np.any(np.isinf(points) & np.isfinite(given)):
        raise DataError(f"{name!r} has a coordinate beyond what float32 holds (3.4e38)")
    return points


def _point_values(field: pa.Field, array: pa.Array, shape: tuple[Offsets, Offsets], full: bool) -> NDArray[Any] | None:
    """The values of a point column, or None for what is an ordinary one."""
    metadata: Mapping[bytes, bytes] = field.metadata or {}
    marked = metadata.get(_ROLE) == b"point"
    kind = array.type
    if not _is_list(kind) or not _is_list(kind.value_type):
        if marked:
            raise DataError(f"the point column {field.name!r} is {kind}; it must be list<list<...>>")
        return None
    if not marked and not _is_number(kind.value_type.value_type):
        return None
    sketch_offsets, strokes = opened(array)
    stroke_offsets, values = opened(strokes)
    found = (sketch_offsets, stroke_offsets)
    same = len(values) == shape[1][-1] and all(len(a) == len(b) for a, b in zip(found, shape, strict=True))
    if same and (full or not marked):
        same = all(np.array_equal(a, b) for a, b in zip(found, shape, strict=True))
    if same and not array.null_count and not strokes.null_count:
        if not _is_number(values.type):
            values.validate(full=True)
        return to_numpy(values, _text(metadata.get(_DTYPE)))
    if marked:
        raise DataError(f"the point column {field.name!r} has other strokes than the drawings")
    return None


def _made(array: pa.Array, field: pa.Field, where: str, start: int, stop: int) -> NDArray[Any]:
    part = array.slice(start, stop - start)
    try:
        part.validate(full=True)
        return to_numpy(part, _text((field.metadata or {}).get(_DTYPE)))
    except (pa.ArrowException, UnicodeError, ValueError, OverflowError, KeyError) as error:
        raise DataError(f"{where}the column {field.name!r} is damaged: {error}") from error


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("ascii", "replace")
