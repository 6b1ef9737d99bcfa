"""Slow and obvious twins of the abstraction measures."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import combinations, pairwise

import numpy as np
import shapely

from sketchkit import Sketch

import naive

__all__ = [
    "cells",
    "closed_strokes",
    "corners",
    "crossings",
    "described",
    "hardly_closed",
    "longest_stroke",
    "of_cells",
    "off_center",
    "told",
    "travel",
]

SIDE_CELLS = 32


def box(sketch: Sketch) -> tuple[float, float, float, float]:
    xs, ys = [float(x) for x, _ in sketch.points], [float(y) for _, y in sketch.points]
    return (min(xs), min(ys), max(xs), max(ys)) if xs else (0.0, 0.0, 0.0, 0.0)


def longer_side(sketch: Sketch) -> float:
    left, top, right, bottom = box(sketch)
    return max(right - left, bottom - top)


def filled(sketch: Sketch) -> list[list[naive.Point]]:
    return [naive.points_of(stroke) for stroke in sketch.strokes if len(stroke)]


def simplified(sketch: Sketch) -> list[list[naive.Point]]:
    return naive.simplify(sketch, longer_side(sketch) * (2 / 255))


def corners(sketch: Sketch) -> int:
    return sum(len(stroke) for stroke in simplified(sketch))


def longest_stroke(sketch: Sketch) -> float:
    lengths = [naive.length(stroke) for stroke in filled(sketch)]
    return max(lengths) / sum(lengths) if sum(lengths) else 1.0


def travel(sketch: Sketch) -> float:
    size = naive.diagonal(sketch)
    return sum(math.dist(a[-1], b[0]) for a, b in pairwise(filled(sketch))) / size if size else 0.0


def closed_strokes(sketch: Sketch) -> int:
    return sum(math.dist(stroke[0], stroke[-1]) < 0.1 * naive.length(stroke) for stroke in filled(sketch))


def hardly_closed(sketch: Sketch) -> bool:
    """Whether rounding decides if some stroke is closed."""
    pairs = [(math.dist(stroke[0], stroke[-1]), 0.1 * naive.length(stroke)) for stroke in filled(sketch)]
    return any(length and math.isclose(reach, length, rel_tol=1e-9) for reach, length in pairs)


def off_center(sketch: Sketch) -> float:
    left, top, right, bottom = box(sketch)
    mass, x, y = 0.0, 0.0, 0.0
    for stroke in filled(sketch):
        for a, b in pairwise(stroke):
            step = math.dist(a, b)
            mass += step
            x += step * ((a[0] + b[0]) / 2 - (left + right) / 2)
            y += step * ((a[1] + b[1]) / 2 - (top + bottom) / 2)
    return math.hypot(x, y) / mass / naive.diagonal(sketch) if mass else 0.0


def crossings(sketch: Sketch) -> int:
    """Every pair of segments, in exact arithmetic."""

    def side(a, b, p) -> int:
        turn = (b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0])
        return (turn > 0) - (turn < 0)

    strokes = [[(Fraction(x), Fraction(y)) for x, y in stroke] for stroke in simplified(sketch)]
    segments = [segment for stroke in strokes for segment in pairwise(stroke)]
    return sum(
        side(a, b, c) * side(a, b, d) < 0 and side(c, d, a) * side(c, d, b) < 0
        for (a, b), (c, d) in combinations(segments, 2)
    )


def square(sketch: Sketch) -> tuple[float, float, float]:
    left, top, right, bottom = box(sketch)
    side = longer_side(sketch)
    return (left + right - side) / 2, (top + bottom - side) / 2, side


def gamma(number: int) -> str:
    digits = f"{number:b}"
    return "0" * (len(digits) - 1) + digits


def described(sketch: Sketch) -> tuple[str, list[list[tuple[int, int]]]]:
    """The bits, and the corners in levels that they tell."""
    left, top, side = square(sketch)
    bits, strokes, pen = "", [], (0, 0)
    for stroke in simplified(sketch):
        if not stroke:
            continue
        placed = [(round((x - left) / (side or 1) * 255), round((y - top) / (side or 1) * 255)) for x, y in stroke]
        bits += gamma(len(placed))
        for point in placed:
            for step in (point[0] - pen[0], point[1] - pen[1]):
                bits += gamma(2 * step if step > 0 else 1 - 2 * step)
            pen = point
        strokes.append(placed)
    return bits, strokes


def told(bits: str) -> list[list[tuple[int, int]]]:
    """The corners that the bits tell: it is a code, nothing is missing."""
    at = 0

    def read() -> int:
        nonlocal at
        zeros = bits.index("1", at) - at
        number = int(bits[at + zeros : at + 2 * zeros + 1], 2)
        at += 2 * zeros + 1
        return number

    strokes, pen = [], [0, 0]
    while at < len(bits):
        strokes.append([])
        for _ in range(read()):
            for axis in (0, 1):
                code = read()
                pen[axis] += code // 2 if code % 2 == 0 else -(code // 2)
            strokes[-1].append((pen[0], pen[1]))
    return strokes


def cells(sketch: Sketch) -> tuple[np.ndarray, float]:
    """Ink in each cell, and ink in cells that an earlier stroke had first, by clipping the strokes to the cells."""
    left, top, side = square(sketch)
    corner = np.arange(SIDE_CELLS) * side / SIDE_CELLS
    x, y = np.meshgrid(left + corner, top + corner)
    boxes = shapely.box(x, y, x + side / SIDE_CELLS, y + side / SIDE_CELLS)
    total, again = np.zeros(boxes.shape), 0.0
    for stroke in filled(sketch):
        ink = sum(shapely.length(shapely.intersection(boxes, shapely.LineString(piece))) for piece in pairwise(stroke))
        again += ink[total > 0].sum()
        total += ink
    return total / side * SIDE_CELLS, again / side * SIDE_CELLS


def of_cells(ink: np.ndarray, again: float) -> dict[str, float]:
    touched = [(row, column) for row in range(SIDE_CELLS) for column in range(SIDE_CELLS) if ink[row, column] > 1e-3]
    counts = [len({(row // size, column // size) for row, column in touched}) for size in (8, 4, 2, 1)]
    shares = [
        ink[row : row + 4, column : column + 4].sum() / ink.sum()
        for row in range(0, 32, 4)
        for column in range(0, 32, 4)
    ]
    return {
        "coverage": len(touched) / SIDE_CELLS**2,
        "ink_entropy": sum(-share * math.log2(share) for share in shares if share > 0),
        "box_dimension": float(np.polyfit([2, 3, 4, 5], np.log2(counts), 1)[0]),
        "overlap": again / ink.sum(),
    }
