"""Columns of a set: one array a name, or arrays that are made when they are first asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["LazyColumns", "column_lengths", "row_of", "rows_of"]

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
        """The rows `start:stop`, counted within these; what is made already is not made again."""
        part = LazyColumns(self._makers, self._start + start, self._start + stop)
        part._made = {name: values[start:stop] for name, values in self._made.items()}
        return part

    def row(self, index: int) -> dict[str, Any]:
        """The values of one row, without making the whole columns."""
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
    """How many values each column has; makes none."""
    if isinstance(columns, LazyColumns):
        return dict.fromkeys(columns, columns.length)
    return {name: len(values) for name, values in columns.items()}


def rows_of(columns: Mapping[str, NDArray[Any]], start: int, stop: int) -> Mapping[str, NDArray[Any]]:
    """The rows `start:stop` of columns, as views, or lazy as they are."""
    if isinstance(columns, LazyColumns):
        return columns.rows(start, stop)
    return {name: values[start:stop] for name, values in columns.items()}


def row_of(columns: Mapping[str, NDArray[Any]], index: int) -> dict[str, Any]:
    """One row of columns, numpy's scalars as Python's; moments stay numpy's, which know their unit."""
    row = (
        columns.row(index)
        if isinstance(columns, LazyColumns)
        else {name: values[index] for name, values in columns.items()}
    )
    return {name: _scalar(value) for name, value in row.items()}


def _scalar(value: Any) -> Any:
    if isinstance(value, np.generic) and not isinstance(value, (np.datetime64, np.timedelta64)):
        return value.item()
    return value
