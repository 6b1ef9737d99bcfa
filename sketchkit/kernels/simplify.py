"""Douglas-Peucker over a ragged block: thinning in one pass, every point's rank in one pass, the cut to a budget.

Serial, hence `cache=True`; no fastmath, because coordinates may be NaN and results must equal shapely's to the bit.
Which point is farthest is found from quick squared distances, without root, division or branch, so that they vectorize;
only where these cannot tell for sure (two points equally far, or one as far as epsilon) are distances taken as GEOS
takes them.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["cut", "rank", "within"]

# In `rank` the larger half waits on the stack and the smaller one is split further: at most log2(points) wait.
_STACK = 64
# From so many points on a pass for the distances and another for the greatest pay.
_LONG = 12
# Two ways to compute one squared distance differ by less than a tenth of this share of the squares involved.
_ROUNDING = 1e-13


@njit(cache=True, nogil=True)
def within(
    points: NDArray[np.float32],
    stroke_offsets: NDArray[np.int64],
    epsilon: float,
    line: bool,
    new_points: NDArray[np.float32],
    new_offsets: NDArray[np.int64],
    kept: NDArray[np.int64],
) -> None:
    """The points that stay, packed, and the strokes' new offsets; coordinates must be finite.

    `new_points` has room for all; `new_offsets[-1]` says how many there are. `kept` takes their old indices, when it
    has room for them (it may be empty).
    """
    longest = _longest(stroke_offsets)
    xs, ys = np.empty(longest, np.float64), np.empty(longest, np.float64)
    squares = np.empty(longest, np.float64)
    ends = np.empty(longest, np.int64)
    square = epsilon * epsilon
    index = len(kept) > 0
    count = 0
    new_offsets[0] = 0
    for stroke in range(len(stroke_offsets) - 1):
        start, length = stroke_offsets[stroke], stroke_offsets[stroke + 1] - stroke_offsets[stroke]
        for point in range(length):
            xs[point], ys[point] = points[start + point, 0], points[start + point, 1]
        a, waiting = 0, -1
        if length > 0:
            new_points[count, 0], new_points[count, 1] = points[start, 0], points[start, 1]
            if index:
                kept[count] = start
            count += 1
            ends[0], waiting = length - 1, 0 if length > 1 else -1
        # Left to right, so that points come out in order: the ends of the stretches to the right wait on the stack.
        while waiting >= 0:
            b = ends[waiting]
            farthest = _beyond(xs, ys, a, b, line, squares, epsilon, square) if b - a > 1 else -1
            if farthest >= 0:
                waiting += 1
                ends[waiting] = farthest
            else:
                new_points[count, 0], new_points[count, 1] = points[start + b, 0], points[start + b, 1]
                if index:
                    kept[count] = start + b
                count += 1
                a = b
                waiting -= 1
        new_offsets[stroke + 1] = count


@njit(cache=True, nogil=True)
def rank(
    points: NDArray[np.float32],
    stroke_offsets: NDArray[np.int64],
    floor: float,
    line: bool,
    significance: NDArray[np.float64],
    depth: NDArray[np.int64],
) -> None:
    """For each point, the epsilon at which it vanishes, and how many splits came before its own.

    Ends of strokes get infinity. A point's value is at most that of the split it came from. A stretch whose value is
    at most `floor` is not split further: its points all get that value.
    """
    longest = _longest(stroke_offsets)
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
                farthest, distance = _farthest(xs, ys, a, b, line, squares)
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


@njit(cache=True, nogil=True)
def _longest(offsets: NDArray[np.int64]) -> int:
    longest = 0
    for stroke in range(len(offsets) - 1):
        longest = max(longest, offsets[stroke + 1] - offsets[stroke])
    return longest


@njit(cache=True, nogil=True)
def _beyond(
    xs: NDArray[np.float64],
    ys: NDArray[np.float64],
    a: int,
    b: int,
    line: bool,
    squares: NDArray[np.float64],
    epsilon: float,
    square: float,
) -> int:
    """The point between a and b that is farthest from a-b, or -1 when it is at most epsilon away."""
    farthest, greatest, rival, slack = _quickly(xs, ys, a, b, line, squares)
    if greatest + slack <= square:
        return -1
    if greatest - slack > square and rival < greatest - slack:
        return farthest
    farthest, distance = _exactly(xs, ys, a, b, line)
    return farthest if distance > epsilon else -1


@njit(cache=True, nogil=True)
def _farthest(
    xs: NDArray[np.float64], ys: NDArray[np.float64], a: int, b: int, line: bool, squares: NDArray[np.float64]
) -> tuple[int, float]:
    """The point between a and b that is farthest from a-b, the first of equals, and its distance."""
    farthest, greatest, rival, slack = _quickly(xs, ys, a, b, line, squares)
    if rival < greatest - slack:
        return farthest, _distance(xs[farthest], ys[farthest], xs[a], ys[a], xs[b], ys[b], line)
    return _exactly(xs, ys, a, b, line)


@njit(cache=True, nogil=True, error_model="numpy")
def _quickly(
    xs: NDArray[np.float64], ys: NDArray[np.float64], a: int, b: int, line: bool, squares: NDArray[np.float64]
) -> tuple[int, float, float, float]:
    """The farthest point between a and b, its squared distance, the next greatest, and how far these may be wrong.

    On a long stretch the next greatest is the greatest itself when some other point may be as far, else 0.
    """
    ax, ay = xs[a], ys[a]
    dx, dy = xs[b] - ax, ys[b] - ay
    squared = dx * dx + dy * dy
    inverse = 1.0 / squared if squared > 0.0 else 0.0
    least, most = (-np.inf, np.inf) if line else (0.0, 1.0)
    between_x, between_y = xs[a + 1 : b], ys[a + 1 : b]
    farthest, greatest, rival = 0, -1.0, -1.0
    if len(between_x) < _LONG:
        for i in range(len(between_x)):
            x, y = between_x[i] - ax, between_y[i] - ay
            share = min(max((x * dx + y * dy) * inverse, least), most)
            off_x, off_y = x - share * dx, y - share * dy
            square = off_x * off_x + off_y * off_y
            if square > greatest:
                farthest, greatest, rival = i, square, greatest
            else:
                rival = max(rival, square)
        return a + 1 + farthest, greatest, rival, _ROUNDING * (greatest + squared)
    for i in range(len(between_x)):
        x, y = between_x[i] - ax, between_y[i] - ay
        share = min(max((x * dx + y * dy) * inverse, least), most)
        off_x, off_y = x - share * dx, y - share * dy
        squares[i] = off_x * off_x + off_y * off_y
    # Numbers that are not negative are in the order of their bits, and the greatest integer vectorizes.
    bits = squares[: len(between_x)].view(np.int64)
    highest = bits[0]
    for i in range(len(bits)):
        highest = bits[i] if bits[i] > highest else highest
    count = len(bits)
    squares.view(np.int64)[count] = highest
    greatest = squares[count]
    enough = greatest - _ROUNDING * (greatest + squared)
    hits, last = 0, 0
    for i in range(count):
        hit = squares[i] >= enough
        hits += 1 if hit else 0
        last = max(last, i if hit else 0)
    return a + 1 + last, greatest, greatest if hits > 1 else -1.0, _ROUNDING * (greatest + squared)


@njit(cache=True, nogil=True)
def _exactly(xs: NDArray[np.float64], ys: NDArray[np.float64], a: int, b: int, line: bool) -> tuple[int, float]:
    """The point between a and b that is farthest from a-b, the first of equals, by `_distance`."""
    farthest, most = a + 1, -1.0
    for point in range(a + 1, b):
        distance = _distance(xs[point], ys[point], xs[a], ys[a], xs[b], ys[b], line)
        if distance > most:
            farthest, most = point, distance
    return farthest, most


@njit(cache=True, nogil=True, error_model="numpy")
def _distance(x: float, y: float, ax: float, ay: float, bx: float, by: float, line: bool) -> float:
    """Distance to the segment by the operations of GEOS's `Distance::pointToSegment`, in its order; or to the line.

    Where two points are equally far in real arithmetic (frequent with whole coordinates), rounding decides which one
    splits the stroke, and it must decide as in shapely (segment) and in rdp (line).
    """
    squared: float = (bx - ax) * (bx - ax) + (by - ay) * (by - ay)
    along = (x - ax) * (bx - ax) + (y - ay) * (by - ay)
    if squared == 0.0 or (along <= 0.0 and not line):
        return math.sqrt((x - ax) * (x - ax) + (y - ay) * (y - ay))
    if line:
        return abs((bx - ax) * (ay - y) - (by - ay) * (ax - x)) / math.sqrt(squared)
    if along >= squared:
        return math.sqrt((x - bx) * (x - bx) + (y - by) * (y - by))
    return abs(((ay - y) * (bx - ax) - (ax - x) * (by - ay)) / squared) * math.sqrt(squared)


@njit(cache=True, nogil=True)
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
