"""A Gaussian mean along each stroke. Serial, hence `cache=True`."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["gaussian"]

# The Gaussian is cut off at so many standard deviations, as scipy.ndimage does, and lowered to be 0 there.
_REACH = 4.0
_LOWEST = math.exp(-0.5 * _REACH * _REACH)


@njit(cache=True, nogil=True)
def gaussian(
    points: NDArray[np.float32],
    steps: NDArray[np.float64],
    stroke_offsets: NDArray[np.int64],
    sigma: float,
    smoothed: NDArray[np.float64],
) -> None:
    """Each point's mean of the stroke around it, `smoothed` (points, 2); `steps` (points,): distances from the last.

    The Gaussian's standard deviation is `sigma`, in the unit of the points along the line; above the stroke's length it
    counts as that, at 0 points stay. A point weighs as much as the line it stands for (half of its two steps). Beyond
    an end the stroke goes on as its own image, turned by half about that end: the ends stay.
    """
    for stroke in range(len(stroke_offsets) - 1):
        first, last = stroke_offsets[stroke], stroke_offsets[stroke + 1] - 1
        length = 0.0
        for point in range(first + 1, last + 1):
            length += steps[point]
        own = min(sigma, length)
        for point in range(first, last + 1):
            smoothed[point, 0], smoothed[point, 1] = points[point, 0], points[point, 1]
            if first < point < last and own > 0.0:
                _place(points, steps, first, last, point, own, smoothed[point])


@njit(cache=True, nogil=True)
def _place(
    points: NDArray[np.float32],
    steps: NDArray[np.float64],
    first: int,
    last: int,
    point: int,
    sigma: float,
    place: NDArray[np.float64],
) -> None:
    """Move `place`, which holds the point, to the mean around it."""
    x, y = place[0], place[1]
    total = (1.0 - _LOWEST) * (steps[point] + steps[point + 1])
    # Sums of offsets from the point: where nothing else is in reach it does not move by a rounding error.
    sum_x, sum_y = 0.0, 0.0
    for side in (-1, 1):
        at, way, distance = point, side, 0.0
        # What is walked on is `sign` times the stroke plus `move`.
        sign, move_x, move_y = 1.0, 0.0, 0.0
        while True:
            if at == (first if way < 0 else last):
                move_x += 2.0 * sign * points[at, 0]
                move_y += 2.0 * sign * points[at, 1]
                sign, way = -sign, -way
            distance += steps[at] if way < 0 else steps[at + 1]
            if distance >= _REACH * sigma:
                break
            at += way
            line = (steps[at] if at > first else steps[at + 1]) + (steps[at + 1] if at < last else steps[at])
            share = distance / sigma
            weight = (math.exp(-0.5 * share * share) - _LOWEST) * line
            total += weight
            sum_x += weight * (sign * points[at, 0] + move_x - x)
            sum_y += weight * (sign * points[at, 1] + move_y - y)
    if total > 0.0:
        place[0], place[1] = x + sum_x / total, y + sum_y / total
