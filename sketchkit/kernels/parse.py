"""Quick, Draw!'s binary records: how many are whole, and what they hold.

Serial, hence cached. A record is uint64 key, two bytes of country, a flag, uint32 timestamp, uint16 strokes, and
for each stroke uint16 points, uint8 x of each, uint8 y of each; all little-endian.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sketchkit.kernels.digits import word_at
from sketchkit.kernels.uncounted import uncounted

__all__ = ["count_records", "fill_records"]

_HEADER = 15
_BLOCK = 8
_BYTE = np.uint64(255)


@uncounted
def count_records(data: NDArray[np.uint8], most: int) -> tuple[int, int, int, int]:
    """How many records, at most `most`, are whole in (bytes,) data; their strokes, points and bytes."""
    records, strokes, points, used = 0, 0, 0, 0
    while records < most:
        at = used + _HEADER
        if at + 2 > len(data):
            break
        waiting = _uint16(data, at)
        at += 2
        new_strokes, new_points = waiting, 0
        while waiting > 0 and at + 2 <= len(data):
            count = _uint16(data, at)
            at += 2 + 2 * count
            new_points += count
            waiting -= 1
        if waiting > 0 or at > len(data):
            break
        records, strokes, points, used = records + 1, strokes + new_strokes, points + new_points, at
    return records, strokes, points, used


@uncounted
def fill_records(
    data: NDArray[np.uint8],
    starts: NDArray[np.int64],
    keys: NDArray[np.uint64],
    countries: NDArray[np.uint16],
    flags: NDArray[np.int8],
    timestamps: NDArray[np.uint32],
    sketch_offsets: NDArray[np.int64],
    stroke_offsets: NDArray[np.int64],
    points: NDArray[np.float32],
) -> None:
    """Where each record starts, its fields, the offsets of its strokes and points, and x and y in turn.

    The arrays are of the sizes that `count_records` tells: `starts`, `keys`, `countries`, `flags` and `timestamps`
    (records,), `sketch_offsets` (records + 1,), `stroke_offsets` (strokes + 1,), `points` (2 * points,).
    """
    at, stroke, point = 0, 0, 0
    sketch_offsets[0], stroke_offsets[0] = 0, 0
    for record in range(len(starts)):
        starts[record] = at
        keys[record] = word_at(data, np.uint64(at))
        countries[record] = _uint16(data, at + 8)
        flags[record] = data[at + 10]
        timestamps[record] = _uint16(data, at + 11) + 65536 * _uint16(data, at + 13)
        at += _HEADER
        strokes = _uint16(data, at)
        at += 2
        for _ in range(strokes):
            count = _uint16(data, at)
            at += 2
            _fill_stroke(data, np.uint64(at), np.uint64(count), points, np.uint64(2 * point))
            at += 2 * count
            point += count
            stroke += 1
            stroke_offsets[stroke] = point
        sketch_offsets[record + 1] = stroke


@uncounted
def _fill_stroke(
    data: NDArray[np.uint8], at: np.uint64, count: np.uint64, points: NDArray[np.float32], first: np.uint64
) -> None:
    """The x from `data[at]` on and the y behind them, in turn into `points` from `first` on."""
    zero, one, block = np.uint64(0), np.uint64(1), np.uint64(_BLOCK)
    up = (count + block - one) & ~(block - one)
    if first + up + up <= np.uint64(len(points)) and at + count + up <= np.uint64(len(data)):
        # Eight of each at a time, loaded before any is stored; what follows the stroke the next one overwrites.
        for start in range(zero, up, block):
            x, y = word_at(data, at + start), word_at(data, at + count + start)
            to = first + start + start
            for index in range(_BLOCK):
                shift, place = np.uint64(8 * index), to + np.uint64(2 * index)
                points[place] = (x >> shift) & _BYTE
                points[place + one] = (y >> shift) & _BYTE
        return
    for index in range(zero, count):
        points[first + index + index] = data[at + index]
        points[first + index + index + one] = data[at + count + index]


@uncounted
def _uint16(data: NDArray[np.uint8], at: int) -> int:
    return int(data[at]) + 256 * int(data[at + 1])
