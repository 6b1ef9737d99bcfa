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
_LONG = 24
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

    No point left out is farther than `epsilon` from the segment beside it, or with `line` from the line through its
    ends.
    `new_points` (points, 2) has room for all; `new_offsets` (strokes + 1,) says at its end how many there are. `kept`
    (points,) takes their old indices, unless it is empty.
    """
    longest = _longest(stroke_offsets)
    xs, ys = np.empty(longest, np.float64), np.empty(longest, np.float64)
    squares = np.empty(longest, np.float64)
    ends = np.empty(longest, np.uint64)
    index = len(kept) > 0
    # An index without a sign needs no test whether it counts from the end: a sixth of the time.
    none, one, count = np.uint64(0), np.uint64(1), np.uint64(0)
    new_offsets[0] = 0
    for stroke in range(np.uint64(len(stroke_offsets) - 1)):
        start = np.uint64(stroke_offsets[stroke])
        length = np.uint64(stroke_offsets[stroke + one]) - start
        for point in range(length):
            xs[point], ys[point] = points[start + point, 0], points[start + point, 1]
        extent = _extent(xs, ys, length) if line else 0.0
        # Left to right, so that points come out in order: the ends of the stretches to the right wait on the stack.
        a, b, waiting = none, none, none
        if length > one:
            ends[none], waiting = length - one, one
        while length > none:
            if b - a > one:
                if b - a < np.uint64(_LONG):
                    farthest, greatest, rival, slack, unit = _of_few(xs, ys, a, b, line, extent)
                else:
                    farthest, greatest, rival, slack, unit = _of_many(xs, ys, a, b, line, extent, squares)
                enough = epsilon * epsilon * unit
                if greatest + slack > enough:
                    surely = greatest - slack
                    distance = np.inf
                    if rival >= surely or surely <= enough:
                        farthest, distance = _exactly(xs, ys, a, b, line)
                    if distance > epsilon:
                        ends[waiting], b = b, farthest
                        waiting += one
                        continue
            new_points[count, 0], new_points[count, 1] = points[start + b, 0], points[start + b, 1]
            if index:
                kept[count] = start + b
            count += one
            if waiting == none:
                break
            waiting -= one
            a, b = b, ends[waiting]
        new_offsets[stroke + one] = count


@njit(cache=True, nogil=True)
def rank(
    points: NDArray[np.float32],
    stroke_offsets: NDArray[np.int64],
    floor: float,
    line: bool,
    significance: NDArray[np.float64],
    depth: NDArray[np.int64],
) -> None:
    """For each point, (points,) both, the epsilon at which it vanishes, and how many splits came before its own.

    `significance` takes the former, of distances to the segment or with `line` to the line through its ends, `depth`
    the latter. Ends of strokes get infinity. A point's value is at most that of the split it came from. A stretch whose
    value is at most `floor` is not split further: its points all get that value.
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
        extent = _extent(xs, ys, stop - start) if line else 0.0
        significance[start], depth[start] = np.inf, 0
        significance[stop - 1], depth[stop - 1] = np.inf, 0
        stack[0, 0], stack[0, 1], stack[0, 2], bounds[0] = 0, stop - 1 - start, 1, np.inf
        waiting = 1
        while waiting > 0:
            waiting -= 1
            a, b, splits, most = stack[waiting, 0], stack[waiting, 1], stack[waiting, 2], bounds[waiting]
            while b - a > 1:
                farthest, distance = _farthest(xs, ys, a, b, line, extent, squares)
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
def _extent(xs: NDArray[np.float64], ys: NDArray[np.float64], length: int) -> float:
    """At least the greatest squared distance of two points: a point may lie so far along the line from both ends."""
    greatest = 0.0
    for point in range(length):
        x, y = xs[point] - xs[0], ys[point] - ys[0]
        greatest = max(greatest, x * x + y * y)
    return 4.0 * greatest


@njit(cache=True, nogil=True)
def _longest(offsets: NDArray[np.int64]) -> int:
    longest = 0
    for stroke in range(len(offsets) - 1):
        longest = max(longest, offsets[stroke + 1] - offsets[stroke])
    return longest


@njit(cache=True, nogil=True)
def _farthest(
    xs: NDArray[np.float64],
    ys: NDArray[np.float64],
    a: int,
    b: int,
    line: bool,
    extent: float,
    squares: NDArray[np.float64],
) -> tuple[int, float]:
    """The point between a and b that is farthest from a-b, the first of equals, and its distance."""
    begin, end = np.uint64(a), np.uint64(b)
    if b - a < _LONG:
        farthest, greatest, rival, slack, _ = _of_few(xs, ys, begin, end, line, extent)
    else:
        farthest, greatest, rival, slack, _ = _of_many(xs, ys, begin, end, line, extent, squares)
    if rival < greatest - slack:
        distance = _distance(xs[farthest], ys[farthest], xs[a], ys[a], xs[b], ys[b], line)
    else:
        farthest, distance = _exactly(xs, ys, begin, end, line)
    return np.int64(farthest), distance


@njit(cache=True, nogil=True)
def _of_few(
    xs: NDArray[np.float64], ys: NDArray[np.float64], a: np.uint64, b: np.uint64, line: bool, extent: float
) -> tuple[np.uint64, float, float, float, float]:
    """The farthest point between a and b, its squared distance, a rival's, how far these may be wrong, their unit.

    The rival's is at least that of any other point which may be as far. The unit is what 1 is in these squares: here
    the squared length of a-b, which saves a division.

    All three distances of a point are computed and one is selected: a branch that cannot be foretold costs more.
    """
    ax, ay = xs[a], ys[a]
    dx, dy = xs[b] - ax, ys[b] - ay
    squared = dx * dx + dy * dy
    begin, end = (-np.inf, np.inf) if line else (0.0, squared)
    one = np.uint64(1)
    farthest, greatest, rival = a + one, -1.0, -1.0
    for point in range(a + one, b):
        x, y = xs[point] - ax, ys[point] - ay
        off_x, off_y = x - dx, y - dy
        along = x * dx + y * dy
        across = x * dy - y * dx
        before, beside, after = (x * x + y * y) * squared, across * across, (off_x * off_x + off_y * off_y) * squared
        square = before if along < begin else beside
        square = after if along > end else square
        lower = greatest if greatest < square else square
        rival = lower if lower > rival else rival
        farthest = point if square > greatest else farthest
        greatest = square if square > greatest else greatest
    # Where the ends are one point these squares are all 0: they tell nothing.
    slack = _ROUNDING * (greatest + (squared + extent) * squared) if squared > 0.0 else np.inf
    return farthest, greatest, rival, slack, squared


@njit(cache=True, nogil=True, error_model="numpy")
def _of_many(
    xs: NDArray[np.float64],
    ys: NDArray[np.float64],
    a: np.uint64,
    b: np.uint64,
    line: bool,
    extent: float,
    squares: NDArray[np.float64],
) -> tuple[np.uint64, float, float, float, float]:
    """As `_of_few`, in passes that vectorize: all squares, the greatest of them, how many may be as great."""
    ax, ay = xs[a], ys[a]
    dx, dy = xs[b] - ax, ys[b] - ay
    squared = dx * dx + dy * dy
    inverse = 1.0 / squared if squared > 0.0 else 0.0
    least, most = (-np.inf, np.inf) if line else (0.0, 1.0)
    between_x, between_y = xs[np.int64(a) + 1 : np.int64(b)], ys[np.int64(a) + 1 : np.int64(b)]
    count = len(between_x)
    for i in range(count):
        x, y = between_x[i] - ax, between_y[i] - ay
        share = min(max((x * dx + y * dy) * inverse, least), most)
        off_x, off_y = x - share * dx, y - share * dy
        squares[i] = off_x * off_x + off_y * off_y
    # Numbers that are not negative are in the order of their bits, and a greatest integer is found by vectors.
    bits = squares.view(np.int64)
    highest = bits[0]
    for i in range(count):
        highest = bits[i] if bits[i] > highest else highest
    bits[count] = highest
    greatest = squares[count]
    slack = _ROUNDING * (greatest + squared + extent)
    hits, last = 0, 0
    for i in range(count):
        hit = squares[i] >= greatest - slack
        hits += 1 if hit else 0
        last = max(last, i if hit else 0)
    return a + np.uint64(1 + last), greatest, greatest if hits > 1 else -1.0, slack, 1.0


@njit(cache=True, nogil=True)
def _exactly(
    xs: NDArray[np.float64], ys: NDArray[np.float64], a: np.uint64, b: np.uint64, line: bool
) -> tuple[np.uint64, float]:
    """The point between a and b that is farthest from a-b, the first of equals, by `_distance`."""
    farthest, most = a + np.uint64(1), -1.0
    for point in range(a + np.uint64(1), b):
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
