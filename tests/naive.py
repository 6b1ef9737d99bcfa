"""Slow and obvious twins of the kernels and measures, in plain Python loops."""

from __future__ import annotations

import math
from itertools import pairwise

from sketchkit import Sketch

__all__ = [
    "cut",
    "effective_areas",
    "ink",
    "resample",
    "significance",
    "simplify",
    "smooth",
    "straightness",
    "truncate",
    "truncate_by_time",
    "turning",
]

Point = tuple[float, float]


def points_of(stroke) -> list[Point]:
    return [(float(x), float(y)) for x, y in stroke]


def length(stroke: list[Point]) -> float:
    return sum(math.dist(a, b) for a, b in pairwise(stroke))


def root_of_squares(x: float, y: float) -> float:
    # Neither `**` nor `hypot`: they may round another way than a product does.
    return math.sqrt(x * x + y * y)


def distance_to_segment(p: Point, a: Point, b: Point) -> float:
    dx, dy = b[0] - a[0], b[1] - a[1]
    squared = dx * dx + dy * dy
    along = (p[0] - a[0]) * dx + (p[1] - a[1]) * dy
    if squared == 0 or along <= 0:
        return root_of_squares(p[0] - a[0], p[1] - a[1])
    if along >= squared:
        return root_of_squares(p[0] - b[0], p[1] - b[1])
    return abs(((a[1] - p[1]) * dx - (a[0] - p[0]) * dy) / squared) * math.sqrt(squared)


def distance_to_line(p: Point, a: Point, b: Point) -> float:
    dx, dy = b[0] - a[0], b[1] - a[1]
    if dx == dy == 0:
        return root_of_squares(p[0] - a[0], p[1] - a[1])
    return abs(dx * (a[1] - p[1]) - dy * (a[0] - p[0])) / root_of_squares(dx, dy)


def significance(stroke: list[Point], distance=distance_to_segment) -> list[float]:
    """The epsilon at which each point vanishes, by the textbook recursion."""
    values = [math.inf] * len(stroke)

    def split(first: int, last: int, most: float) -> None:
        if last - first < 2:
            return
        distances = [distance(stroke[i], stroke[first], stroke[last]) for i in range(first + 1, last)]
        farthest = first + 1 + distances.index(max(distances))
        values[farthest] = min(most, max(distances))
        split(first, farthest, values[farthest])
        split(farthest, last, values[farthest])

    split(0, len(stroke) - 1, math.inf)
    return values


def simplify(sketch: Sketch, epsilon: float, distance=distance_to_segment) -> list[list[Point]]:
    strokes = [points_of(stroke) for stroke in sketch.strokes]
    return [
        [point for point, value in zip(stroke, significance(stroke, distance), strict=True) if value > epsilon]
        for stroke in strokes
    ]


def cut(sketch: Sketch, max_points: int) -> tuple[int, list[float]]:
    """How many strokes stay under a budget, and the significances that do, greatest first."""
    strokes = [points_of(stroke) for stroke in sketch.strokes]
    if sum(len(stroke) for stroke in strokes) <= max_points:
        return len(strokes), sorted((v for s in strokes for v in significance(s)), reverse=True)
    while sum(min(len(stroke), 2) for stroke in strokes) > max_points:
        filled = [index for index, stroke in enumerate(strokes) if stroke]
        del strokes[min(filled, key=lambda index: (length(strokes[index]), -index))]
    values = sorted((value for stroke in strokes for value in significance(stroke)), reverse=True)
    return len(strokes), values[:max_points]


def resample(stroke: list[Point], step: float) -> list[Point]:
    """Walk along the stroke and set a point every `step`."""
    if len(stroke) < 2:
        return stroke
    placed, target = [stroke[0]], step
    behind, end = 0.0, length(stroke)
    for a, b in pairwise(stroke):
        far = math.dist(a, b)
        while target <= behind + far and target < end - 1e-6 * step:
            share = (target - behind) / far
            placed.append((a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share))
            target = len(placed) * step
        behind += far
    return [*placed, stroke[-1]]


def truncate(sketch: Sketch, fraction: float) -> list[list[Point]]:
    """Draw until the ink is used up."""
    strokes = [points_of(stroke) for stroke in sketch.strokes]
    left = fraction * sum(length(stroke) for stroke in strokes)
    drawn: list[list[Point]] = []
    for stroke in strokes:
        if left < 0 or (left == 0 and length(stroke) > 0):
            break
        part = stroke[:1]
        for a, b in pairwise(stroke):
            far = math.dist(a, b)
            if far > left:
                if left > 0:
                    part.append((a[0] + (b[0] - a[0]) * left / far, a[1] + (b[1] - a[1]) * left / far))
                left = -1.0
                break
            part.append(b)
            left -= far
        drawn.append(part)
    return drawn


def diagonal(sketch: Sketch) -> float:
    points = points_of(sketch.points)
    if not points:
        return 0.0
    xs, ys = zip(*points, strict=True)
    return math.hypot(max(xs) - min(xs), max(ys) - min(ys))


def ink(sketch: Sketch) -> float:
    size = diagonal(sketch)
    return sum(length(points_of(stroke)) for stroke in sketch.strokes) / size if size else 0.0


def straightness(sketch: Sketch) -> float:
    strokes = [points_of(stroke) for stroke in sketch.strokes if len(stroke)]
    drawn = sum(length(stroke) for stroke in strokes)
    return sum(math.dist(stroke[0], stroke[-1]) for stroke in strokes) / drawn if drawn else 1.0


def turning(sketch: Sketch) -> float:
    total = 0.0
    for stroke in sketch.strokes:
        points = points_of(stroke)
        steps = [(b[0] - a[0], b[1] - a[1]) for a, b in pairwise(points) if a != b]
        for (ax, ay), (bx, by) in pairwise(steps):
            cosine = (ax * bx + ay * by) / (math.hypot(ax, ay) * math.hypot(bx, by))
            total += math.acos(max(-1.0, min(1.0, cosine)))
    return total


def triangle(a: Point, b: Point, c: Point) -> float:
    return abs((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])) / 2


def effective_areas(stroke: list[Point]) -> list[float]:
    """Visvalingam-Whyatt as its authors tell it: remove the least triangle, look again."""
    values = [math.inf] * len(stroke)
    left, least = list(range(len(stroke))), 0.0
    effective = {i: triangle(*(stroke[j] for j in (i - 1, i, i + 1))) for i in left[1:-1]}
    while len(left) > 2:
        gone = min(left[1:-1], key=lambda i: (effective[i], i))
        values[gone] = least = effective.pop(gone)
        at = left.index(gone)
        del left[at]
        for k in (at - 1, at):
            if 0 < k < len(left) - 1:
                effective[left[k]] = max(least, triangle(*(stroke[j] for j in left[k - 1 : k + 2])))
    return values


def smooth(stroke: list[Point], sigma: float) -> list[Point]:
    """The mean by a Gaussian lowered to 0 at four sigma, over the stroke continued by half-turned images of itself."""
    total = length(stroke)
    if total == 0 or sigma == 0:
        return stroke
    sigma = min(sigma, total)
    line = list(stroke)
    start = 0
    for _ in range(2):  # three times as long, then nine times: four lengths either way
        before = [(2 * line[0][0] - x, 2 * line[0][1] - y) for x, y in line[:0:-1]]
        after = [(2 * line[-1][0] - x, 2 * line[-1][1] - y) for x, y in line[-2::-1]]
        start += len(before)
        line = [*before, *line, *after]
    along = [0.0]
    for a, b in pairwise(line):
        along.append(along[-1] + math.dist(a, b))
    result = []
    for i, point in enumerate(stroke, start):
        weights, sums = 0.0, [0.0, 0.0]
        for j in range(1, len(line) - 1):
            share = abs(along[j] - along[i]) / sigma
            if share < 4:
                weight = (math.exp(-(share**2) / 2) - math.exp(-8)) * (along[j + 1] - along[j - 1]) / 2
                weights += weight
                sums = [sums[0] + weight * line[j][0], sums[1] + weight * line[j][1]]
        result.append(point if weights == 0 else (sums[0] / weights, sums[1] / weights))
    return result


def truncate_by_time(sketch: Sketch, fraction: float) -> list[list[Point]]:
    """Draw until the clock says stop."""
    times = [float(t) for t in sketch.time]
    stop = min(times, default=0.0) + fraction * (max(times, default=0.0) - min(times, default=0.0))
    drawn, clock = [], iter(times)
    for stroke in sketch.strokes:
        part, before = [], 0.0
        for x, y in points_of(stroke):
            now = next(clock)
            if now > stop:
                if part:
                    share = (stop - before) / (now - before)
                    a = part[-1]
                    if share > 0:
                        part.append((a[0] + (x - a[0]) * share, a[1] + (y - a[1]) * share))
                    drawn.append(part)
                while drawn and not drawn[-1]:
                    drawn.pop()  # an empty stroke that stands where the clock stopped has not begun
                return drawn
            part.append((x, y))
            before = now
        drawn.append(part)
    return drawn
