"""Cubic Beziers as polylines: how many equal shares of the parameter are enough, and the points between them.

Serial, hence cached. Every reader of SVG flattens by these, so that all give the same points, bit for bit.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from sketchkit.kernels.uncounted import uncounted

__all__ = ["count_shares", "cubic_shares", "fill_cubic", "fill_cubics"]


@uncounted
def cubic_shares(
    x0: float, y0: float, x1: float, y1: float, x2: float, y2: float, x3: float, y3: float, tolerance: float
) -> float:
    """How many chords keep within `tolerance` of the curve; 1 for a line, infinite or NaN where a coordinate is.

    The curve goes from (`x0`, `y0`) to (`x3`, `y3`); (`x1`, `y1`) and (`x2`, `y2`) are its inner control points.
    A chord over a share h of the parameter lies within h^2 / 8 max |B''| of its curve B, and |B''| of a cubic is at
    most 6 max(|p0 - 2 p1 + p2|, |p1 - 2 p2 + p3|).
    """
    if x0 == x1 and y0 == y1 and x2 == x3 and y2 == y3:
        return 1.0
    first_x, first_y = x0 - 2 * x1 + x2, y0 - 2 * y1 + y2
    last_x, last_y = x1 - 2 * x2 + x3, y1 - 2 * y2 + y3
    first, last = first_x * first_x + first_y * first_y, last_x * last_x + last_y * last_y
    # Written so that NaN in either stays.
    squared = last if first <= last else first + 0 * last
    shares = math.ceil(math.sqrt(6 * math.sqrt(squared) / (8 * tolerance))) if squared < math.inf else squared
    return 1.0 if shares < 1 else float(shares)


@uncounted
def fill_cubic(
    x0: float,
    y0: float,
    x1: float,
    y1: float,
    x2: float,
    y2: float,
    x3: float,
    y3: float,
    points: NDArray[np.float32],
    start: int,
    shares: int,
) -> None:
    """The ends of the chords, `points[start : start + shares]` (shares, 2); the curve's own start is not among them.

    The curve's coordinates are as in `cubic_shares`, and `shares`, 1 or more, the number that it gives. `start` is the
    place among the points of the first end.
    """
    linear_x, linear_y = 3 * (x1 - x0), 3 * (y1 - y0)
    square_x, square_y = 3 * (x2 - x1) - linear_x, 3 * (y2 - y1) - linear_y
    cube_x, cube_y = x3 - x0 - linear_x - square_x, y3 - y0 - linear_y - square_y
    step = 1.0 / shares
    for share in range(1, shares):
        t = share * step
        points[start + share - 1, 0] = ((cube_x * t + square_x) * t + linear_x) * t + x0
        points[start + share - 1, 1] = ((cube_y * t + square_y) * t + linear_y) * t + y0
    points[start + shares - 1, 0] = x3
    points[start + shares - 1, 1] = y3


@uncounted
def count_shares(control: NDArray[np.float64], tolerance: float, shares: NDArray[np.float64]) -> None:
    """`cubic_shares` of each curve, at the same `tolerance`, into `shares` (curves,).

    `control` (curves, 8) has the control points x0, y0 .. x3, y3.
    """
    for curve in range(len(control)):
        p = control[curve]
        shares[curve] = cubic_shares(p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7], tolerance)


@uncounted
def fill_cubics(control: NDArray[np.float64], starts: NDArray[np.int64], points: NDArray[np.float32]) -> None:
    """`fill_cubic` of each curve, `control` (curves, 8): into `points[starts[curve] : starts[curve + 1]]`.

    So `starts` (curves + 1,) says how many shares each curve has.
    """
    for curve in range(len(control)):
        p, start = control[curve], starts[curve]
        fill_cubic(p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7], points, start, starts[curve + 1] - start)
