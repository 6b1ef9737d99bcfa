"""Rows of a table of strokes in CSV: plain numbers and names, or nothing at all.

Serial, hence `cache=True`. What is not plain (a quote, an exponent, a space, a sign before a whole number, more than 15
digits, a byte beyond ASCII, another number of columns) is not looked into: the caller has another way for such tables.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["DECIMAL_X", "DECIMAL_Y", "NAME", "OTHER", "WHOLE", "parse_rows"]

OTHER, DECIMAL_X, DECIMAL_Y, NAME, WHOLE = 0, 1, 2, 3, 4

_COMMA, _NEWLINE, _RETURN, _MINUS, _POINT, _ZERO, _QUOTE, _SPACE, _DELETE = 44, 10, 13, 45, 46, 48, 34, 32, 127
# Up to 15 digits, numerator and denominator are exact, and their quotient is the nearest float64.
_MOST_DIGITS = 15
_POWERS = 10.0 ** np.arange(_MOST_DIGITS + 1)


@njit(cache=True)
def parse_rows(
    data: NDArray[np.uint8],
    kinds: NDArray[np.int64],
    points: NDArray[np.float64],
    whole: NDArray[np.int64],
    name: NDArray[np.int64],
    spans: NDArray[np.int64],
) -> int:
    """How many rows (bytes,) data hold, or -1 where one is not plain; fills the arrays, one row each.

    Args:
        data: (bytes,), whole lines.
        kinds: (columns,), DECIMAL_X, DECIMAL_Y, NAME, OTHER, or WHOLE plus the column of `whole`.
        points: (rows, 2).
        whole: (rows, whole columns).
        name: (rows,), a name's number: names are counted where they differ from the one in the row before.
        spans: (rows, 2), where each counted name starts and stops in the data.
    """
    at, row, names = 0, 0, 0
    while at < len(data):
        if row == len(points):
            return -1
        for column in range(len(kinds)):
            kind, start = kinds[column], at
            if kind in (DECIMAL_X, DECIMAL_Y):
                value, at = _decimal(data, at)
                points[row, kind - DECIMAL_X] = value
            elif kind >= WHOLE:
                number, at = _whole(data, at)
                whole[row, kind - WHOLE] = number
            else:
                at = _text(data, at)
                if kind == NAME and at >= 0:
                    if names == 0 or not _same(data, spans[names - 1, 0], spans[names - 1, 1], start, at):
                        spans[names, 0], spans[names, 1] = start, at
                        names += 1
                    name[row] = names - 1
            if at < 0:
                return -1
            if column < len(kinds) - 1:
                if at == len(data) or data[at] != _COMMA:
                    return -1
                at += 1
        if at < len(data) and data[at] == _RETURN:
            at += 1
        if at < len(data):
            if data[at] != _NEWLINE:
                return -1
            at += 1
        row += 1
    return row


@njit(cache=True)
def _decimal(data: NDArray[np.uint8], at: int) -> tuple[float, int]:
    """The number that starts here and where it stops; -1 where there is no plain one."""
    negative = at < len(data) and data[at] == _MINUS
    if negative:
        at += 1
    mantissa, digits, decimals, point = 0, 0, 0, False
    while at < len(data):
        digit = np.int64(data[at]) - _ZERO
        if 0 <= digit <= 9:
            mantissa, digits = 10 * mantissa + digit, digits + 1
            if digits > _MOST_DIGITS:
                return 0.0, -1
            if point:
                decimals += 1
        elif data[at] == _POINT and not point:
            point = True
        else:
            break
        at += 1
    if digits == 0:
        return 0.0, -1
    value = mantissa / _POWERS[decimals]
    return (-value if negative else value), at


@njit(cache=True)
def _whole(data: NDArray[np.uint8], at: int) -> tuple[int, int]:
    number, start = 0, at
    while at < len(data):
        digit = np.int64(data[at]) - _ZERO
        if digit < 0 or digit > 9:
            break
        number, at = 10 * number + digit, at + 1
        if at - start > _MOST_DIGITS:
            return 0, -1
    return number, (at if at > start else -1)


@njit(cache=True)
def _text(data: NDArray[np.uint8], at: int) -> int:
    while at < len(data) and data[at] != _COMMA and data[at] != _NEWLINE and data[at] != _RETURN:
        if data[at] < _SPACE or data[at] >= _DELETE or data[at] == _QUOTE:
            return -1
        at += 1
    return at


@njit(cache=True)
def _same(data: NDArray[np.uint8], first: int, stop: int, other: int, other_stop: int) -> bool:
    if stop - first != other_stop - other:
        return False
    step = 0
    while first + step < stop and data[first + step] == data[other + step]:
        step += 1
    return first + step == stop
