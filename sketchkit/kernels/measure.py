"""Where the ink of a drawing is on a grid, and how often its lines cross.

Serial, hence `cache=True`; no fastmath, because coordinates may be NaN.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["count_crossings", "ink_in_cells"]


@njit(cache=True, nogil=True)
def ink_in_cells(
    points: NDArray[np.float32],
    stroke_offsets: NDArray[np.int64],
    sketch_offsets: NDArray[np.int64],
    origin: NDArray[np.float64],
    side: NDArray[np.float64],
    ink: NDArray[np.float64],
    again: NDArray[np.float64],
) -> None:
    """Length of line in each cell of a square, and what of it lies in cells where an earlier stroke has been.

    A drawing's square starts at its `origin` (sketches, 2) and is as wide and high as its `side` (sketches,), in the
    unit of the points; lengths are in sides of a cell. `ink` (sketches, cells, cells) and `again` (sketches,) come in
    zero; a side that is not finite makes both NaN, a side of 0 leaves them.
    """
    cells = ink.shape[1]
    owner = np.empty((cells, cells), np.int64)
    for sketch in range(len(sketch_offsets) - 1):
        if not np.isfinite(side[sketch]):
            ink[sketch], again[sketch] = np.nan, np.nan
            continue
        if side[sketch] == 0.0:
            continue
        owner[:] = -1
        left, top = origin[sketch, 0], origin[sketch, 1]
        for stroke in range(sketch_offsets[sketch], sketch_offsets[sketch + 1]):
            for point in range(stroke_offsets[stroke] + 1, stroke_offsets[stroke + 1]):
                # Divided first: cells / side would overflow where a drawing is tiny.
                ax = (points[point - 1, 0] - left) / side[sketch] * cells
                ay = (points[point - 1, 1] - top) / side[sketch] * cells
                bx = (points[point, 0] - left) / side[sketch] * cells
                by = (points[point, 1] - top) / side[sketch] * cells
                again[sketch] += _walk(ax, ay, bx, by, stroke, owner, ink[sketch])


@njit(cache=True, nogil=True)
def _walk(
    ax: float,
    ay: float,
    bx: float,
    by: float,
    stroke: int,
    owner: NDArray[np.int64],
    ink: NDArray[np.float64],
) -> float:
    """Add one segment to the cells it passes; returns its length in cells that another stroke had first."""
    cells = len(ink)
    dx, dy = bx - ax, by - ay
    length = np.sqrt(dx * dx + dy * dy)
    if length == 0.0:
        return 0.0
    column, row = min(max(int(ax), 0), cells - 1), min(max(int(ay), 0), cells - 1)
    right, down = 1 if dx > 0.0 else -1, 1 if dy > 0.0 else -1
    # The share of the segment at which it comes to the next column and to the next row.
    next_x = (column + (right > 0) - ax) / dx if dx != 0.0 else np.inf
    next_y = (row + (down > 0) - ay) / dy if dy != 0.0 else np.inf
    every_x = abs(1.0 / dx) if dx != 0.0 else np.inf
    every_y = abs(1.0 / dy) if dy != 0.0 else np.inf
    at, again = 0.0, 0.0
    # Each turn leaves a column or a row for good; the last cells take what rounding leaves.
    for _ in range(2 * cells + 2):
        to = min(next_x, next_y, 1.0)
        piece = (to - at) * length
        if piece > 0.0:
            ink[row, column] += piece
            if owner[row, column] < 0:
                owner[row, column] = stroke
            elif owner[row, column] != stroke:
                again += piece
            at = to
        if to >= 1.0:
            break
        if next_x <= next_y:
            column = min(max(column + right, 0), cells - 1)
            next_x += every_x
        else:
            row = min(max(row + down, 0), cells - 1)
            next_y += every_y
    return again


@njit(cache=True, nogil=True)
def count_crossings(
    points: NDArray[np.float32],
    stroke_offsets: NDArray[np.int64],
    sketch_offsets: NDArray[np.int64],
    crossings: NDArray[np.float64],
) -> None:
    """For each drawing, how many pairs of its segments cross in a point inside both: `crossings` (sketches,).

    Segments are taken by their left ends, and each is held against those that begin before it ends.
    """
    for sketch in range(len(sketch_offsets) - 1):
        first, last = sketch_offsets[sketch], sketch_offsets[sketch + 1]
        ends = np.empty((stroke_offsets[last] - stroke_offsets[first], 4), np.float64)
        segments = 0
        for stroke in range(first, last):
            for point in range(stroke_offsets[stroke] + 1, stroke_offsets[stroke + 1]):
                a = point - 1 if points[point - 1, 0] <= points[point, 0] else point
                b = 2 * point - 1 - a
                ends[segments, 0], ends[segments, 1] = points[a, 0], points[a, 1]
                ends[segments, 2], ends[segments, 3] = points[b, 0], points[b, 1]
                segments += 1
        ends = ends[np.argsort(ends[:segments, 0])]
        found = 0
        for i in range(segments):
            low, high = min(ends[i, 1], ends[i, 3]), max(ends[i, 1], ends[i, 3])
            for j in range(i + 1, segments):
                if ends[j, 0] >= ends[i, 2]:
                    break
                if min(ends[j, 1], ends[j, 3]) < high and max(ends[j, 1], ends[j, 3]) > low:
                    found += _cross(ends[i], ends[j])
        crossings[sketch] = found


@njit(cache=True, nogil=True)
def _cross(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    apart: bool = _side(one, other[0], other[1]) * _side(one, other[2], other[3]) < 0.0
    return apart and _side(other, one[0], one[1]) * _side(other, one[2], one[3]) < 0.0


@njit(cache=True, nogil=True)
def _side(segment: NDArray[np.float64], x: float, y: float) -> float:
    """1 or -1 by the side of the segment's line that a point is on, 0 on it."""
    dx, dy = segment[2] - segment[0], segment[3] - segment[1]
    turn = dx * (y - segment[1]) - dy * (x - segment[0])
    return 1.0 if turn > 0.0 else (-1.0 if turn < 0.0 else 0.0)
