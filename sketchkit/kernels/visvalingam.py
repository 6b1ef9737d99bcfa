"""Visvalingam-Whyatt over a ragged block: the effective area of every point, by a heap in each stroke.

Serial, hence `cache=True`.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["effective_areas"]


@njit(cache=True, nogil=True)
def effective_areas(
    points: NDArray[np.float32],
    stroke_offsets: NDArray[np.int64],
    enough: float,
    areas: NDArray[np.float64],
    order: NDArray[np.int64],
) -> None:
    """For each point, the area at which it is removed, never less than that of one removed before; infinity for ends.

    Once none of a stroke is below `enough` the rest is not told apart: areas are then of `enough` or more.

    `areas` (points,) takes them. `order` (points,) takes minus the turn at which a point goes, so that of two points
    the one that goes later has the lower.
    """
    longest = 0
    for stroke in range(len(stroke_offsets) - 1):
        longest = max(longest, stroke_offsets[stroke + 1] - stroke_offsets[stroke])
    # The heap holds points, the least area on top; `place` says where in the heap a point is.
    heap, place = np.empty(longest, np.int64), np.empty(longest, np.int64)
    before, after = np.empty(longest, np.int64), np.empty(longest, np.int64)
    for stroke in range(len(stroke_offsets) - 1):
        start, length = stroke_offsets[stroke], stroke_offsets[stroke + 1] - stroke_offsets[stroke]
        own, area = points[start : start + length], areas[start : start + length]
        turn = order[start : start + length]
        for point in range(length):
            before[point], after[point] = point - 1, point + 1
            area[point], turn[point] = np.inf, -length
        size = max(length - 2, 0)
        for point in range(1, size + 1):
            area[point] = _triangle(own, point - 1, point, point + 1)
            heap[point - 1], place[point] = point, point - 1
        for at in range(size // 2 - 1, -1, -1):
            _sink(heap, place, area, at, size)
        while size > 0 and area[heap[0]] < enough:
            gone = heap[0]
            turn[gone] = size - length
            size -= 1
            heap[0] = heap[size]
            place[heap[0]] = 0
            _sink(heap, place, area, 0, size)
            left, right = before[gone], after[gone]
            after[left], before[right] = right, left
            for point in (left, right):
                if 0 < point < length - 1:
                    area[point] = max(area[gone], _triangle(own, before[point], point, after[point]))
                    _rise(heap, place, area, place[point])
                    _sink(heap, place, area, place[point], size)


@njit(cache=True, nogil=True)
def _triangle(points: NDArray[np.float32], a: int, b: int, c: int) -> float:
    ax, ay = np.float64(points[a, 0]), np.float64(points[a, 1])
    ux, uy, vx, vy = points[b, 0] - ax, points[b, 1] - ay, points[c, 0] - ax, points[c, 1] - ay
    area: float = abs(ux * vy - uy * vx) / 2
    return area


@njit(cache=True, nogil=True)
def _less(area: NDArray[np.float64], one: int, other: int) -> bool:
    """Of equal areas the first drawn goes first."""
    return bool(area[one] < area[other] or (area[one] == area[other] and one < other))


@njit(cache=True, nogil=True)
def _sink(heap: NDArray[np.int64], place: NDArray[np.int64], area: NDArray[np.float64], at: int, size: int) -> None:
    """Let what is at this place down to where it belongs."""
    while 2 * at + 1 < size:
        child = 2 * at + 1
        if child + 1 < size and _less(area, heap[child + 1], heap[child]):
            child += 1
        if not _less(area, heap[child], heap[at]):
            break
        heap[at], heap[child] = heap[child], heap[at]
        place[heap[at]], place[heap[child]] = at, child
        at = child


@njit(cache=True, nogil=True)
def _rise(heap: NDArray[np.int64], place: NDArray[np.int64], area: NDArray[np.float64], at: int) -> None:
    """Let what is at this place up to where it belongs."""
    while at > 0 and _less(area, heap[at], heap[(at - 1) // 2]):
        parent = (at - 1) // 2
        heap[at], heap[parent] = heap[parent], heap[at]
        place[heap[at]], place[heap[parent]] = at, parent
        at = parent
