"""Columns of a set: one array a name, or arrays that are made when they are first asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["LazyColumns", "column_lengths", "column_of", "concat_column", "row_of", "rows_of"]

_EXACT = 2**53  # up to this float64 holds every whole number

Make = Callable[[int, int], NDArray[Any]]


class LazyColumns(Mapping[str, NDArray[Any]]):
    """A mapping of names to (rows,) arrays, each made on first use and then kept.

    A file of a million drawings so opens without making a million text objects; slices of it stay lazy.

    Args:
        makers: for each name, what makes its values of the rows `start:stop`.
        start: the first row.
        stop: the row after the last.

    Example:
        >>> columns = LazyColumns({"label": lambda start, stop: np.array(["cat"] * (stop - start), object)}, 0, 3)
        >>> len(columns), columns.rows(1, 3)["label"].tolist()
        (1, ['cat', 'cat'])
    """

    def __init__(self, makers: Mapping[str, Make], start: int, stop: int) -> None:
        self._makers = makers
        self._start, self._stop = start, stop
        self._made: dict[str, NDArray[Any]] = {}

    @property
    def length(self) -> int:
        """How many values each column has."""
        return self._stop - self._start

    def rows(self, start: int, stop: int) -> LazyColumns:
        """The rows from `start` up to `stop`, counted from 0 within these; what is made already is not made again."""
        part = LazyColumns(self._makers, self._start + start, self._start + stop)
        part._made = {name: values[start:stop] for name, values in self._made.items()}
        return part

    def row(self, index: int) -> dict[str, Any]:
        """The values of the row `index`, counted from 0 within these, without making the whole columns."""
        return {name: self._of(name, index)[0] for name in self._makers}

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name not in self._made:
            self._made[name] = self._makers[name](self._start, self._stop)
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)

    def __contains__(self, name: object) -> bool:
        return name in self._makers

    def __repr__(self) -> str:
        return f"LazyColumns({self.length} rows: {', '.join(self)})"

    # What makes the columns may hold a mapped file, which no other process has.
    def __reduce__(self) -> tuple[type[dict[str, NDArray[Any]]], tuple[dict[str, NDArray[Any]]]]:
        return dict, (dict(self),)

    def _of(self, name: str, index: int) -> NDArray[Any]:
        if name in self._made:
            return self._made[name][index : index + 1]
        return self._makers[name](self._start + index, self._start + index + 1)


def column_lengths(columns: Mapping[str, NDArray[Any]]) -> dict[str, int]:
    """How many values each of the `columns` (rows, ...) has; makes none."""
    if isinstance(columns, LazyColumns):
        return dict.fromkeys(columns, columns.length)
    return {name: len(values) for name, values in columns.items()}


def rows_of(columns: Mapping[str, NDArray[Any]], start: int, stop: int) -> Mapping[str, NDArray[Any]]:
    """The rows from `start` up to `stop` of `columns` (rows, ...), as views, or lazy as they are."""
    if isinstance(columns, LazyColumns):
        return columns.rows(start, stop)
    return {name: values[start:stop] for name, values in columns.items()}


def row_of(columns: Mapping[str, NDArray[Any]], index: int) -> dict[str, Any]:
    """The row `index` of `columns` (rows, ...), numpy's scalars as Python's; moments stay numpy's and know their unit.

    A lazy column makes this row alone.
    """
    row = (
        columns.row(index)
        if isinstance(columns, LazyColumns)
        else {name: values[index] for name, values in columns.items()}
    )
    return {name: _scalar(value) for name, value in row.items()}


def column_of(values: Sequence[Any]) -> NDArray[Any]:
    """A typed array (values,) where all `values` share a simple type, else an object array with them as they are."""
    if all(isinstance(value, str) for value in values):
        return np.array(values, dtype=object)
    if all(isinstance(value, bool) for value in values):
        return np.array(values)
    if all(isinstance(value, int) and not isinstance(value, bool) for value in values):
        return _integers(values)
    if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values):
        if all(isinstance(value, float) or abs(value) <= _EXACT for value in values):
            return np.array(values)
        return _objects(values)
    if all(isinstance(value, (np.datetime64, np.timedelta64)) for value in values):
        units = {value.dtype for value in values}
        if len(units) == 1:
            return np.array(values, units.pop())
    return _objects(values)


def concat_column(parts: Sequence[tuple[NDArray[Any] | None, int]]) -> NDArray[Any]:
    """One column of several sets, (rows of all,), one after the other; None or NaN stand for a set that lacks it.

    Args:
        parts: for each set its (rows,) values, or None, and how many rows it has.
    """
    # A set of no drawings must not decide the dtype.
    parts = [part for part in parts if part[1]] or [part for part in parts if part[0] is not None]
    present = [values for values, _ in parts if values is not None]
    if len(present) == len(parts):
        return _joined(present)
    if all(np.issubdtype(values.dtype, np.floating) for values in present):
        return np.concatenate([np.full(n, np.nan) if values is None else values for values, n in parts])
    return np.concatenate(
        [np.full(n, None, dtype=object) if values is None else _as_objects(values) for values, n in parts]
    )


def _scalar(value: Any) -> Any:
    if isinstance(value, np.generic) and not isinstance(value, (np.datetime64, np.timedelta64)):
        return value.item()
    return value


def _integers(values: Sequence[int]) -> NDArray[Any]:
    # numpy makes float64 of a list with a value beyond int64: a 64-bit key would change.
    for kind in (np.int64, np.uint64):
        limits = np.iinfo(kind)
        if limits.min <= min(values) and max(values) <= limits.max:
            return np.array(values, dtype=kind)
    return np.array(values, dtype=object)


def _objects(values: Iterable[Any]) -> NDArray[Any]:
    given = list(values)
    column = np.empty(len(given), dtype=object)
    # One by one: numpy would take lists of one length for rows.
    for index, value in enumerate(given):
        column[index] = value
    return column


def _joined(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """The parts as one array, in a type that changes no value: numpy would make float64 of int64 and uint64."""
    kinds = {part.dtype.kind for part in parts}
    if len(kinds) == 1:
        return np.concatenate(parts)
    if kinds == {"i", "u"}:
        least, greatest = min(int(part.min()) for part in parts), max(int(part.max()) for part in parts)
        for kind in (np.int64, np.uint64):
            if np.iinfo(kind).min <= least and greatest <= np.iinfo(kind).max:
                return np.concatenate([part.astype(kind) for part in parts])
    whole = [part for part in parts if part.dtype.kind in "iu"]
    if kinds <= set("iuf") and all(part.min() >= -_EXACT and part.max() <= _EXACT for part in whole):
        return np.concatenate(parts)
    return np.concatenate([_as_objects(part) for part in parts])


def _as_objects(values: NDArray[Any]) -> NDArray[Any]:
    # Of moments astype makes integers, where datetime has no such unit.
    return _objects(values) if values.dtype.kind in "mM" else values.astype(object)
