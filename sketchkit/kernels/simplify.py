"""Douglas-Peucker over a ragged block: every point's rank in one pass, and the cut to a budget of points.

Serial, hence `cache=True`; no fastmath, because coordinates may be NaN and results must equal shapely's to the bit.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["cut", "rank"]

# The larger half waits on the stack and the smaller one is split further, so the depth is at most log2(points).
_STACK = 64
# From so many points on a quick first pass pays.
_LONG = 16
# Two ways to compute one distance differ by far less than this share of the lengths involved.
_ROUNDING = 1e-14


@njit(cache=True)
def rank(
    points: NDArray[np.float32],
    stroke_offsets: NDArray[np.int64],
    floor: float,
    significance: NDArray[np.float64],
    depth: NDArray[np.int64],
) -> None:
    """For each point, the epsilon at which it vanishes, and how many splits came before its own.

    Ends of strokes get infinity. A point's value is at most that of the split it came from. A stretch whose value is
    at most `floor` is not split further: its points all get that value.
    """
    longest = 0
    for stroke in range(len(stroke_offsets) - 1):
        longest = max(longest, stroke_offsets[stroke + 1] - stroke_offsets[stroke])
    xs, ys = np.empty(longest, np.float64), np.empty(longest, np.float64)
    squares = np.empty(longest, np.float64)
    stack, bounds = np.empty((_STACK, 3), np.int64), np.empty(_STACK, np.float64)
    for stroke in range(len(stroke_offsets) - 1):
        start, stop = stroke_offsets[stroke], stroke_offsets[stroke + 1]
        if stop == start:
            continue
        for point in range(start, stop):
            xs[point - start], ys[point - start] = points[point, 0], points[point, 1]
        significance[start], depth[start] = np.inf, 0
        significance[stop - 1], depth[stop - 1] = np.inf, 0
        stack[0, 0], stack[0, 1], stack[0, 2], bounds[0] = 0, stop - 1 - start, 1, np.inf
        waiting = 1
        while waiting > 0:
            waiting -= 1
            a, b, splits, most = stack[waiting, 0], stack[waiting, 1], stack[waiting, 2], bounds[waiting]
            while b - a > 1:
                farthest, distance = _farthest(xs, ys, a, b, squares)
                most = min(most, distance)
                if most <= floor:
                    significance[start + a + 1 : start + b] = most
                    depth[start + a + 1 : start + b] = splits
                    break
                significance[start + farthest], depth[start + farthest] = most, splits
                splits += 1
                stack[waiting, 2], bounds[waiting] = splits, most
                if farthest - a > b - farthest:
                    stack[waiting, 0], stack[waiting, 1] = a, farthest
                    a = farthest
                else:
                    stack[waiting, 0], stack[waiting, 1] = farthest, b
                    b = farthest
                waiting += 1


@njit(cache=True)
def _farthest(
    xs: NDArray[np.float64], ys: NDArray[np.float64], a: int, b: int, squares: NDArray[np.float64]
) -> tuple[int, float]:
    """The point between a and b that is farthest from the segment a-b, the first of equals, and its distance.

    On a long stretch a first pass fills `squares` with quick squared distances, without root or branch, so that it
    vectorizes; only points that may then be the farthest are measured as GEOS does.
    """
    ax, ay = xs[a], ys[a]
    farthest, most = a + 1, -1.0
    if b - a < _LONG:
        for point in range(a + 1, b):
            distance = _distance(xs[point], ys[point], ax, ay, xs[b], ys[b])
            if distance > most:
                farthest, most = point, distance
        return farthest, most
    dx, dy = xs[b] - ax, ys[b] - ay
    squared = dx * dx + dy * dy
    length = np.sqrt(squared)
    inverse = 1.0 / squared if squared > 0.0 else 0.0
    between_x, between_y = xs[a + 1 : b], ys[a + 1 : b]
    for i in range(len(between_x)):
        x, y = between_x[i] - ax, between_y[i] - ay
        share = (x * dx + y * dy) * inverse
        share = share if share > 0.0 else 0.0
        share = share if share < 1.0 else 1.0
        off_x, off_y = x - share * dx, y - share * dy
        squares[i] = off_x * off_x + off_y * off_y
    greatest = 0.0
    for i in range(len(between_x)):
        greatest = squares[i] if squares[i] > greatest else greatest
    surely = np.sqrt(greatest) - _ROUNDING * (np.sqrt(greatest) + length)
    enough = surely * surely if surely > 0.0 else 0.0
    for i in range(len(between_x)):
        if squares[i] >= enough:
            distance = _distance(between_x[i], between_y[i], ax, ay, xs[b], ys[b])
            if distance > most:
                farthest, most = a + 1 + i, distance
    return farthest, most


@njit(cache=True)
def _distance(x: float, y: float, ax: float, ay: float, bx: float, by: float) -> float:
    """Distance to the segment by the operations of GEOS's `Distance::pointToSegment`, in its order.

    Where two points are equally far in real arithmetic (frequent with whole coordinates), rounding decides which one
    splits the stroke, and it must decide as in shapely.
    """
    squared: float = (bx - ax) * (bx - ax) + (by - ay) * (by - ay)
    along = (x - ax) * (bx - ax) + (y - ay) * (by - ay)
    if along <= 0.0 or squared == 0.0:
        return math.sqrt((x - ax) * (x - ax) + (y - ay) * (y - ay))
    if along >= squared:
        return math.sqrt((x - bx) * (x - bx) + (y - by) * (y - by))
    return abs(((ay - y) * (bx - ax) - (ax - x) * (by - ay)) / squared) * math.sqrt(squared)


@njit(cache=True)
def cut(
    significance: NDArray[np.float64],
    depth: NDArray[np.int64],
    ink: NDArray[np.float64],
    stroke_offsets: NDArray[np.int64],
    sketch_offsets: NDArray[np.int64],
    max_points: int,
    keep_points: NDArray[np.bool_],
    keep_strokes: NDArray[np.bool_],
) -> None:
    """Mark, for each drawing, its at most `max_points` most significant points; see `simplifying.simplify`.

    Both masks come in all true. Among equally significant points the one split off first stays, then the first drawn.
    """
    for sketch in range(len(sketch_offsets) - 1):
        first, last = sketch_offsets[sketch], sketch_offsets[sketch + 1]
        start, stop = stroke_offsets[first], stroke_offsets[last]
        if stop - start <= max_points:
            continue
        ends = 0
        for stroke in range(first, last):
            ends += min(stroke_offsets[stroke + 1] - stroke_offsets[stroke], 2)
        if ends > max_points:
            # Backwards, so that of strokes with equal ink the one drawn last goes first.
            shortest = last - 1 - np.argsort(ink[first:last][::-1], kind="mergesort")
            for stroke in shortest:
                length = stroke_offsets[stroke + 1] - stroke_offsets[stroke]
                if ends <= max_points:
                    break
                if length > 0:
                    ends -= min(length, 2)
                    keep_strokes[stroke] = False
                    keep_points[stroke_offsets[stroke] : stroke_offsets[stroke + 1]] = False
        left = start + np.flatnonzero(keep_points[start:stop])
        surplus = len(left) - max_points
        if surplus > 0:
            values = significance[left]
            threshold = np.partition(values, surplus)[surplus]
            keep_points[left[values < threshold]] = False
            equal = left[values == threshold]
            room = max_points - np.sum(values > threshold)
            keep_points[equal[np.argsort(depth[equal], kind="mergesort")][room:]] = False
