"""A Gaussian mean along each stroke. Serial, hence `cache=True`."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["gaussian"]

# The Gaussian is cut off at so many standard deviations, as scipy.ndimage does.
_REACH = 4.0


@njit(cache=True, nogil=True)
def gaussian(
    points: NDArray[np.float32],
    steps: NDArray[np.float64],
    stroke_offsets: NDArray[np.int64],
    sigma: float,
    smoothed: NDArray[np.float64],
) -> None:
    """Each point's mean of the stroke around it; `steps` is each point's distance from the last along the stroke.

    A point weighs as much as the line it stands for (half of its two steps). Toward an end of the stroke sigma shrinks,
    so that the reach ends there: the ends themselves stay.
    """
    for stroke in range(len(stroke_offsets) - 1):
        first, last = stroke_offsets[stroke], stroke_offsets[stroke + 1] - 1
        length = 0.0
        for point in range(first + 1, last + 1):
            length += steps[point]
        along = 0.0
        for point in range(first, last + 1):
            if point > first:
                along += steps[point]
            own = min(sigma, along / _REACH, (length - along) / _REACH)
            x, y = np.float64(points[point, 0]), np.float64(points[point, 1])
            smoothed[point, 0], smoothed[point, 1] = x, y
            if point in (first, last) or not own > 0.0:
                continue
            weight = _line(steps, first, last, point)
            # Offsets from the point itself: where nothing else is in reach it does not move by a rounding error.
            total, sum_x, sum_y = weight, 0.0, 0.0
            for way in (-1, 1):
                other, distance = point, 0.0
                while first <= other + way <= last:
                    distance += steps[other] if way < 0 else steps[other + 1]
                    other += way
                    if distance > _REACH * own:
                        break
                    share = distance / own
                    weight = _line(steps, first, last, other) * math.exp(-0.5 * share * share)
                    total += weight
                    sum_x += weight * (points[other, 0] - x)
                    sum_y += weight * (points[other, 1] - y)
            if total > 0.0:
                smoothed[point, 0], smoothed[point, 1] = x + sum_x / total, y + sum_y / total


@njit(cache=True, nogil=True)
def _line(steps: NDArray[np.float64], first: int, last: int, point: int) -> float:
    """The length of line a point stands for."""
    behind = steps[point] if point > first else 0.0
    ahead = steps[point + 1] if point < last else 0.0
    half: float = (behind + ahead) / 2
    return half
