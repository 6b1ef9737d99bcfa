"""What the canvas selector reads of drawings, in one pass: their most significant points as absolute stroke-5 rows.

Serial, hence `cache=True`; no fastmath, because a row must be the same however many drawings come with it.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from sketchkit.kernels.simplify import cut, rank

__all__ = ["NEEDS_INK", "NOT_FINITE", "pen_rows"]

NOT_FINITE, NEEDS_INK = -1, -2
"""What `pen_rows` answers instead of a number of rows."""


@njit(cache=True, nogil=True)
def pen_rows(
    points: NDArray[np.float32],
    stroke_offsets: NDArray[np.int64],
    sketch_offsets: NDArray[np.int64],
    ink: NDArray[np.float64],
    max_points: int,
    rows: NDArray[np.float32],
    row_offsets: NDArray[np.int64],
) -> int:
    """Rows (x, y, p1, p2, p3) of the points that `simplify(max_points=...)` keeps, scaled to 0..1 over the longer side.

    Each drawing's end row repeats its last position, (0, 0) where it has none.

    Args:
        points: (points, 2).
        stroke_offsets: (strokes + 1,)
        sketch_offsets: (sketches + 1,)
        ink: (strokes,) length of each, or nothing: it counts only where the strokes' ends alone are too many.
        max_points: the most points of a drawing.
        rows: (rows, 5), room for as many as points stay, and one more a drawing; filled.
        row_offsets: (sketches + 1,), filled.

    Returns:
        How many rows there are; `NOT_FINITE` where a coordinate is not, `NEEDS_INK` where `ink` is needed.
    """
    for point in range(len(points)):
        if not (np.isfinite(points[point, 0]) and np.isfinite(points[point, 1])):
            return NOT_FINITE
    significance, depth = np.empty(len(points), np.float64), np.empty(len(points), np.int64)
    for sketch in range(len(sketch_offsets) - 1):
        first, last = sketch_offsets[sketch], sketch_offsets[sketch + 1]
        if stroke_offsets[last] - stroke_offsets[first] > max_points:
            if len(ink) == 0 and _ends(stroke_offsets, first, last) > max_points:
                return NEEDS_INK
            rank(points, stroke_offsets[first : last + 1], 0.0, False, significance, depth)
    keep_points, keep_strokes = np.ones(len(points), np.bool_), np.ones(len(stroke_offsets) - 1, np.bool_)
    cut(significance, depth, ink, stroke_offsets, sketch_offsets, max_points, keep_points, keep_strokes)
    row = 0
    row_offsets[0] = 0
    for sketch in range(len(sketch_offsets) - 1):
        first, last = sketch_offsets[sketch], sketch_offsets[sketch + 1]
        row = _write(points, keep_points, stroke_offsets, first, last, rows, row)
        row_offsets[sketch + 1] = row
    return row


@njit(cache=True, nogil=True)
def _ends(stroke_offsets: NDArray[np.int64], first: int, last: int) -> int:
    ends = 0
    for stroke in range(first, last):
        ends += min(stroke_offsets[stroke + 1] - stroke_offsets[stroke], 2)
    return ends


@njit(cache=True, nogil=True)
def _write(
    points: NDArray[np.float32],
    keep: NDArray[np.bool_],
    stroke_offsets: NDArray[np.int64],
    first: int,
    last: int,
    rows: NDArray[np.float32],
    row: int,
) -> int:
    """Write the rows of one drawing, its strokes from the first to before the last; the row after them."""
    least_x, least_y, greatest_x, greatest_y = np.inf, np.inf, -np.inf, -np.inf
    for point in range(stroke_offsets[first], stroke_offsets[last]):
        if keep[point]:
            x, y = np.float64(points[point, 0]), np.float64(points[point, 1])
            least_x, greatest_x = min(least_x, x), max(greatest_x, x)
            least_y, greatest_y = min(least_y, y), max(greatest_y, y)
    side = max(greatest_x - least_x, greatest_y - least_y)
    if not side > 0:
        side = 1.0
    begin = row
    for stroke in range(first, last):
        before = row
        for point in range(stroke_offsets[stroke], stroke_offsets[stroke + 1]):
            if keep[point]:
                rows[row, 0] = (np.float64(points[point, 0]) - least_x) / side
                rows[row, 1] = (np.float64(points[point, 1]) - least_y) / side
                rows[row, 2], rows[row, 3], rows[row, 4] = 1, 0, 0
                row += 1
        if row > before:
            rows[row - 1, 2], rows[row - 1, 3] = 0, 1
    rows[row] = 0
    if row > begin:
        rows[row, 0], rows[row, 1] = rows[row - 1, 0], rows[row - 1, 1]
    rows[row, 4] = 1
    return row + 1
