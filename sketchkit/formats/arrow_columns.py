"""Columns of a set as Arrow arrays, and back, with their numpy types kept.

What Arrow has no type for is named beside the array (`sketchkit.dtype` in the field's metadata): `object` for a column
that holds Python's own values, `<U5`, `>i4`, `datetime64[D]` and so on. None is Arrow's null; NaN stays NaN.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sketchkit.errors import DataError

__all__ = ["storage", "to_arrow", "to_numpy"]

# Text padded to the longest one may be far more than the file holds.
_PADDED_TEXT_LIMIT = 1 << 26
_RESTORED = re.compile(r"[<>|=]?[biufMmUS][0-9]*(\[[0-9]*[a-zA-Z]{1,2}\])?")


def to_arrow(name: str, values: NDArray[Any]) -> pa.Array:
    """The `values` of a column, (rows,) or (rows, width), as an Arrow array.

    Raises:
        DataError: Arrow has no type for them; `name` stands in the message.
    """
    if values.ndim == 2 and values.dtype != object and values.shape[1]:
        flat = to_arrow(name, np.ascontiguousarray(values).reshape(-1))
        return pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
    if values.ndim != 1:
        raise DataError(f"column {name!r} has the shape {values.shape}; it must have one value, or one row, a drawing")
    try:
        if values.dtype == object:
            return _of_objects(name, values)
        if values.dtype.kind in "US":
            return pa.array(values.tolist(), pa.string() if values.dtype.kind == "U" else pa.binary())
        return pa.array(np.ascontiguousarray(values.astype(values.dtype.newbyteorder("="), copy=False)))
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"column {name!r} ({values.dtype}) is of no type that Arrow has: {error}") from error


def to_numpy(array: pa.Array, dtype: str | None = None) -> NDArray[Any]:
    """The values (rows, ...) of an Arrow array: numbers and times typed, all else, and what has nulls, as objects.

    Args:
        array: any array whose content has been validated.
        dtype: the numpy type that it had, when that is known.
    """
    array = storage(array)
    if pa.types.is_dictionary(array.type):
        return _of_dictionary(array, dtype)
    kind = array.type
    if dtype in ("object", "tuple"):
        return _objects([tuple(value) if dtype == "tuple" and value is not None else value for value in _list(array)])
    if pa.types.is_fixed_size_list(kind) and not array.null_count and _is_simple(kind.value_type):
        values = array.flatten()
        if not values.null_count:
            return _restored(values.to_numpy(zero_copy_only=False).reshape(len(array), kind.list_size), dtype)
    if _is_text(kind):
        return _restored(array.to_numpy(zero_copy_only=False).astype(object, copy=False), dtype)
    if pa.types.is_timestamp(kind) or pa.types.is_duration(kind) or pa.types.is_date(kind):
        return _restored(array.to_numpy(zero_copy_only=False), dtype)
    if _is_simple(kind) and not array.null_count:
        return _restored(array.to_numpy(zero_copy_only=False), dtype)
    return _objects(_list(array))


def storage(array: pa.Array) -> pa.Array:
    """The `array` beneath an extension type that somebody registered; without one, the array itself."""
    return array.storage if isinstance(array, pa.ExtensionArray) else array


def _of_objects(name: str, values: NDArray[Any]) -> pa.Array:
    given = [value.item() if isinstance(value, np.generic) else value for value in values.tolist()]
    kinds = {type(value) for value in given} - {type(None)}
    # Arrow would make one type of several: true becomes 1, and the keys of one dictionary those of all.
    if len(kinds) > 1 or dict in kinds:
        named = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise DataError(f"column {name!r} is of no type that Arrow has: it holds {named}")
    if kinds == {np.ndarray}:
        given = [None if value is None else value.tolist() for value in given]
    return pa.array(given, from_pandas=False)


def _of_dictionary(array: pa.Array, dtype: str | None) -> NDArray[Any]:
    words = to_numpy(array.dictionary, "object")
    codes = array.indices
    if not codes.null_count:
        return _restored(words[codes.to_numpy(zero_copy_only=False)], dtype)
    values = np.full(len(array), None, dtype=object)
    there = codes.is_valid().to_numpy(zero_copy_only=False)
    values[there] = words[codes.drop_null().to_numpy(zero_copy_only=False)]
    return values


def _list(array: pa.Array) -> list[Any]:
    if _is_text(array.type):
        found: list[Any] = array.to_numpy(zero_copy_only=False).tolist()
        return found
    return list(array.to_pylist())


def _objects(values: list[Any]) -> NDArray[Any]:
    # `column[:] = values` would take lists of one length for rows.
    return np.fromiter(values, dtype=object, count=len(values))


def _is_text(kind: pa.DataType) -> bool:
    types = pa.types
    return any(test(kind) for test in (types.is_string, types.is_large_string, types.is_binary, types.is_large_binary))


def _is_simple(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))


def _restored(values: NDArray[Any], dtype: str | None) -> NDArray[Any]:
    # The name comes from a file: nothing is made of it that is not a plain type, nor of a size the values do not have.
    if dtype is None or dtype == values.dtype.str or not _RESTORED.fullmatch(dtype):
        return values
    try:
        wanted = np.dtype(dtype)
        if wanted.kind in "US":
            return _padded(values, wanted)
        return values.astype(wanted) if values.dtype != object and _is_kept(values.dtype, wanted) else values
    except (TypeError, ValueError, UnicodeError, OverflowError):
        return values


def _is_kept(found: np.dtype[Any], wanted: np.dtype[Any]) -> bool:
    return found.kind == wanted.kind and (found.kind in "Mm" or found.itemsize == wanted.itemsize)


def _padded(values: NDArray[Any], wanted: np.dtype[Any]) -> NDArray[Any]:
    if any(value is None for value in values) or wanted.itemsize * len(values) > _PADDED_TEXT_LIMIT:
        return values
    return np.array(values.tolist(), wanted if len(values) else f"{wanted.kind}1")
