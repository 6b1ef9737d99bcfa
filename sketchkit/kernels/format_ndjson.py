"""Drawings of whole numbers as JSON lists. Serial, hence `cache=True`."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["BYTES_OF_NUMBER", "BYTES_OF_SKETCH", "BYTES_OF_STROKE", "format_drawings"]

# What one of each takes at most: a sign, eight digits and a comma; "[[],[],[]],"; "[]".
BYTES_OF_NUMBER, BYTES_OF_STROKE, BYTES_OF_SKETCH = 10, 11, 2

_COMMA, _MINUS, _ZERO, _OPEN, _CLOSE = 44, 45, 48, 91, 93


@njit(cache=True, nogil=True)
def format_drawings(
    numbers: NDArray[np.int32],
    stroke_offsets: NDArray[np.int64],
    sketch_offsets: NDArray[np.int64],
    out: NDArray[np.uint8],
    ends: NDArray[np.int64],
) -> None:
    """Write each drawing as `[[[x,...],[y,...]],...]`, one after the other, without anything between.

    Args:
        numbers: (lists of a stroke, points), of at most eight digits.
        stroke_offsets: (strokes + 1,)
        sketch_offsets: (sketches + 1,)
        out: (bytes,), as many as the constants above tell, filled.
        ends: (sketches,), filled: where the text of each drawing ends.
    """
    at = 0
    for sketch in range(len(ends)):
        out[at] = _OPEN
        at += 1
        for stroke in range(sketch_offsets[sketch], sketch_offsets[sketch + 1]):
            if stroke > sketch_offsets[sketch]:
                out[at] = _COMMA
                at += 1
            out[at] = _OPEN
            at += 1
            for column in range(len(numbers)):
                if column > 0:
                    out[at] = _COMMA
                    at += 1
                at = _list(numbers, column, stroke_offsets[stroke], stroke_offsets[stroke + 1], out, at)
            out[at] = _CLOSE
            at += 1
        out[at] = _CLOSE
        at += 1
        ends[sketch] = at


@njit(cache=True, nogil=True)
def _list(numbers: NDArray[np.int32], column: int, first: int, last: int, out: NDArray[np.uint8], at: int) -> int:
    out[at] = _OPEN
    at += 1
    for index in range(first, last):
        if index > first:
            out[at] = _COMMA
            at += 1
        value = int(numbers[column, index])
        if value < 0:
            out[at] = _MINUS
            at, value = at + 1, -value
        digits, rest = 1, value
        while rest > 9:
            digits, rest = digits + 1, rest // 10
        for place in range(at + digits - 1, at - 1, -1):
            out[place] = _ZERO + value % 10
            value //= 10
        at += digits
    out[at] = _CLOSE
    return at + 1
