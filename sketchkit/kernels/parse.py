"""Quick, Draw!'s binary records: how many are whole, and what they hold.

Serial, hence `cache=True`. A record is uint64 key, two bytes of country, a flag, uint32 timestamp, uint16 strokes, and
for each stroke uint16 points, uint8 x of each, uint8 y of each; all little-endian.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["count_records", "fill_records"]

_HEADER = 15


@njit(cache=True, nogil=True, _nrt=False)
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


@njit(cache=True, nogil=True, _nrt=False)
def fill_records(
    data: NDArray[np.uint8],
    starts: NDArray[np.int64],
    fields: NDArray[np.uint8],
    sketch_offsets: NDArray[np.int64],
    stroke_offsets: NDArray[np.int64],
    points: NDArray[np.float32],
) -> None:
    """Where each record starts, its first 15 bytes as a row of `fields` (records, 15), its strokes and points.

    The arrays are of the sizes that `count_records` tells.
    """
    at, stroke, point = 0, 0, 0
    sketch_offsets[0], stroke_offsets[0] = 0, 0
    for record in range(len(starts)):
        starts[record] = at
        for index in range(_HEADER):
            fields[record, index] = data[at + index]
        at += _HEADER
        strokes = _uint16(data, at)
        at += 2
        for _ in range(strokes):
            count = _uint16(data, at)
            at += 2
            for index in range(count):
                points[point + index, 0] = data[at + index]
                points[point + index, 1] = data[at + count + index]
            at += 2 * count
            point += count
            stroke += 1
            stroke_offsets[stroke] = point
        sketch_offsets[record + 1] = stroke


@njit(cache=True, nogil=True, _nrt=False)
def _uint16(data: NDArray[np.uint8], at: int) -> int:
    return int(data[at]) + 256 * int(data[at + 1])
