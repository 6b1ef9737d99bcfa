"""The arrays in a pickled list of numpy arrays (n, 3) of one type, and the drawings that their rows are.

Serial, hence `cache=True`. Source: the opcodes are those of `pickletools`; what is walked through here is what numpy's
`__reduce__` makes pickle write for one array, in protocols 2 to 4:

    _reconstruct(ndarray, (0,), "b"), then BUILD (1, (n, 3), dtype, False, bytes)

where the functions and the type were named before, and are fetched from the memo.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["BEYOND_FLOAT32", "NOT_FINITE", "NO_PEN", "count_strokes", "fill_strokes", "find_arrays", "gather"]

NO_PEN, NOT_FINITE, BEYOND_FLOAT32 = 1, 2, 3

_LARGEST_FLOAT32 = 3.4028235677973366e38
_UNEXPECTED = -1

Bytes = NDArray[np.uint8]


@njit(cache=True, nogil=True)
def find_arrays(
    data: NDArray[np.uint8],
    at: int,
    memo: NDArray[np.int64],
    itemsize: int,
    first: int,
    starts: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> int:
    """Where the bytes of each array start, and its rows.

    Args:
        data: (bytes,), the pickle.
        at: the byte after an item of the list, within a MARK.
        memo: where `_reconstruct`, `ndarray`, the text "b" (or -1) and the dtype are in the memo, and how many entries
            it has (or -1 when they are not numbered 0, 1, ...).
        itemsize: bytes of a number.
        first: the index of the first array to be found.
        starts: (arrays,), takes the bytes at which the arrays start.
        counts: (arrays,), takes their rows.

    Returns:
        The byte of the TUPLE that ends the list's array, or -1 where anything else is met.
    """
    kept = memo[4]
    marked = True
    for index in range(first, len(starts)):
        at, kept = _skip(data, at, kept, memo)
        if at >= 0 and at < len(data) and marked and data[at] == 0x65:  # APPENDS: pickle writes 1,000 items at once
            at, kept = _skip(data, at + 1, kept, memo)
            marked = False
        if at >= 0 and at < len(data) and not marked and data[at] == 0x28:  # MARK
            at, kept = _skip(data, at + 1, kept, memo)
            marked = True
        at, kept, starts[index], counts[index] = _array(data, at, kept, memo, itemsize)
        if at < 0:
            return _UNEXPECTED
        if not marked:
            at, kept = _after(data, at, kept, memo, 0x61)  # APPEND, of one item without a MARK
            if at < 0:
                return _UNEXPECTED
    if marked:
        at, kept = _after(data, at, kept, memo, 0x65)
    else:
        at, kept = _skip(data, at, kept, memo)
    return at if 0 <= at < len(data) else _UNEXPECTED


@njit(cache=True, nogil=True)
def gather(
    data: NDArray[np.uint8], starts: NDArray[np.int64], lengths: NDArray[np.int64], out: NDArray[np.uint8]
) -> None:
    """Put pieces of data, `starts` and `lengths` (pieces,), behind each other into `out` (bytes of all,)."""
    at = 0
    for index in range(len(starts)):
        start, length = starts[index], lengths[index]
        out[at : at + length] = data[start : start + length]
        at += length


@njit(cache=True, nogil=True)
def count_strokes(rows: NDArray[np.generic], offsets: NDArray[np.int64]) -> int:
    """How many strokes drawings `rows[offsets[i]:offsets[i + 1]]` (rows, 3) have; the last row of one ends a stroke.

    `rows` (rows, 3) are those of all drawings, dx, dy and pen; `offsets` (drawings + 1,) say where each starts.
    """
    count = 0
    for drawing in range(len(offsets) - 1):
        for row in range(offsets[drawing], offsets[drawing + 1]):
            count += rows[row, 2] > 0.5 or row == offsets[drawing + 1] - 1
    return count


@njit(cache=True, nogil=True)
def fill_strokes(
    rows: NDArray[np.generic],
    offsets: NDArray[np.int64],
    points: NDArray[np.float32],
    stroke_offsets: NDArray[np.int64],
    sketch_offsets: NDArray[np.int64],
    faults: NDArray[np.uint8],
) -> None:
    """Places of steps, (rows, 2), the strokes and drawings they make, and what is wrong with each drawing.

    `rows` and `offsets` are as in `count_strokes`. `faults` (drawings,) takes `NO_PEN`, `BEYOND_FLOAT32`, `NOT_FINITE`
    or 0.
    """
    stroke = 0
    stroke_offsets[0], sketch_offsets[0] = 0, 0
    for drawing in range(len(offsets) - 1):
        x, y = 0.0, 0.0
        end = offsets[drawing + 1]
        fault = 0
        for row in range(offsets[drawing], end):
            x += rows[row, 0]
            y += rows[row, 1]
            pen = rows[row, 2]
            if pen != 0 and pen != 1:
                fault = NO_PEN
            if abs(x) > _LARGEST_FLOAT32 or abs(y) > _LARGEST_FLOAT32:
                fault = BEYOND_FLOAT32
            points[row, 0] = x
            points[row, 1] = y
            if pen > 0.5 or row == end - 1:
                stroke += 1
                stroke_offsets[stroke] = row + 1
        # A step that is not finite stays in all sums after it; so does the sum of steps that are too great.
        if np.isnan(x) or np.isnan(y) or np.isinf(x) or np.isinf(y):
            fault = NOT_FINITE
        faults[drawing] = fault
        sketch_offsets[drawing + 1] = stroke


@njit(cache=True, nogil=True)
def _array(data: Bytes, at: int, kept: int, memo: NDArray[np.int64], itemsize: int) -> tuple[int, int, int, int]:
    failed = (_UNEXPECTED, kept, 0, 0)
    at, kept = _fetch(data, at, kept, memo, memo[0])
    at, kept = _fetch(data, at, kept, memo, memo[1])
    at, zero = _integer(data, at)
    at, kept = _after(data, at, kept, memo, 0x85)  # TUPLE1
    at, kept = _skip(data, at, kept, memo)
    if at < 0 or at + 3 > len(data) or zero != 0:
        return failed
    if (data[at] == 0x55 or data[at] == 0x43) and data[at + 1] == 1 and data[at + 2] == 0x62:  # "b", as text or bytes
        at += 3
    else:
        at, kept = _fetch(data, at, kept, memo, memo[2])
    at, kept = _after(data, at, kept, memo, 0x87)  # TUPLE3
    at, kept = _after(data, at, kept, memo, 0x52)  # REDUCE
    at, kept = _after(data, at, kept, memo, 0x28)  # MARK
    at, version = _integer(data, at)
    at, count = _integer(data, at)
    at, width = _integer(data, at)
    at, kept = _after(data, at, kept, memo, 0x86)  # TUPLE2
    at, kept = _fetch(data, at, kept, memo, memo[3])
    at, kept = _after(data, at, kept, memo, 0x89)  # False: not by columns
    at, kept = _skip(data, at, kept, memo)
    if at < 0 or version != 1 or count < 0 or width != 3:
        return failed
    start, length = _bytes(data, at)
    if start < 0 or length != count * width * itemsize or length > len(data) - start:
        return failed
    at, kept = _after(data, start + length, kept, memo, 0x74)  # TUPLE
    at, kept = _after(data, at, kept, memo, 0x62)  # BUILD
    return at, kept, start, count


@njit(cache=True, nogil=True)
def _skip(data: Bytes, at: int, kept: int, memo: NDArray[np.int64]) -> tuple[int, int]:
    """Past what keeps things in the memo, and frames; -1 where that would replace what is fetched later."""
    while 0 <= at < len(data):
        opcode = data[at]
        if opcode == 0x94:  # MEMOIZE, under the next number
            if kept < 0:
                return _UNEXPECTED, kept
            kept += 1
            at += 1
        elif opcode == 0x71 or opcode == 0x72:  # BINPUT, LONG_BINPUT
            size = 1 if opcode == 0x71 else 4
            number = _little(data, at + 1, size)
            if number < 0 or number == memo[0] or number == memo[1] or number == memo[2] or number == memo[3]:
                return _UNEXPECTED, kept
            kept = -1
            at += 1 + size
        elif opcode == 0x95:  # FRAME
            at += 9
        else:
            break
    return at, kept


@njit(cache=True, nogil=True)
def _after(data: Bytes, at: int, kept: int, memo: NDArray[np.int64], opcode: int) -> tuple[int, int]:
    at, kept = _skip(data, at, kept, memo)
    if at < 0 or at >= len(data) or data[at] != opcode:
        return _UNEXPECTED, kept
    return at + 1, kept


@njit(cache=True, nogil=True)
def _fetch(data: Bytes, at: int, kept: int, memo: NDArray[np.int64], wanted: int) -> tuple[int, int]:
    at, kept = _skip(data, at, kept, memo)
    if at < 0 or at >= len(data) or wanted < 0:
        return _UNEXPECTED, kept
    size = 1 if data[at] == 0x68 else 4 if data[at] == 0x6A else 0  # BINGET, LONG_BINGET
    if size == 0 or _little(data, at + 1, size) != wanted:
        return _UNEXPECTED, kept
    return at + 1 + size, kept


@njit(cache=True, nogil=True)
def _integer(data: Bytes, at: int) -> tuple[int, int]:
    if at < 0 or at >= len(data):
        return _UNEXPECTED, 0
    opcode = data[at]
    size = 1 if opcode == 0x4B else 2 if opcode == 0x4D else 4 if opcode == 0x4A else 0  # BININT1, BININT2, BININT
    value = _little(data, at + 1, size) if size else -1
    # BININT has a sign; a negative one is no size.
    if value < 0 or value >= 1 << 31:
        return _UNEXPECTED, 0
    return at + 1 + size, value


@njit(cache=True, nogil=True)
def _bytes(data: Bytes, at: int) -> tuple[int, int]:
    """Where the content of a byte string starts, and its length."""
    if at >= len(data):
        return _UNEXPECTED, 0
    opcode = data[at]
    if opcode == 0x55 or opcode == 0x43:  # SHORT_BINSTRING, SHORT_BINBYTES
        size = 1
    elif opcode == 0x54 or opcode == 0x42:  # BINSTRING, BINBYTES
        size = 4
    else:
        return _UNEXPECTED, 0
    length = _little(data, at + 1, size)
    if length < 0 or (opcode == 0x54 and length >= 1 << 31):
        return _UNEXPECTED, 0
    return at + 1 + size, length


@njit(cache=True, nogil=True)
def _little(data: Bytes, at: int, size: int) -> int:
    """A number of so many bytes, or -1 where they are not there."""
    if at < 0 or at + size > len(data):
        return -1
    value = 0
    for byte in range(size):
        value |= int(data[at + byte]) << (8 * byte)
    return value
