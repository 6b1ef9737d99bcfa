"""Places along strokes: on which segment, and how far along it.

A place is `(left, weight)`: the point `left` moved by `weight` (0 to 1) toward the next one.
Serial, hence `cache=True`.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["every", "until"]


@njit(cache=True)
def every(
    steps: NDArray[np.float64],
    stroke_offsets: NDArray[np.int64],
    new_offsets: NDArray[np.int64],
    spacing: float,
    left: NDArray[np.int64],
    weight: NDArray[np.float64],
) -> None:
    """Places every `spacing` along each stroke, and its last point; `left` and `weight` (places,) are filled.

    `steps` (points,) is each point's distance from the last; `new_offsets` (strokes + 1,) says how many places a stroke
    gets.
    """
    for stroke in range(len(stroke_offsets) - 1):
        first, last = stroke_offsets[stroke], stroke_offsets[stroke + 1] - 1
        start, stop = new_offsets[stroke], new_offsets[stroke + 1]
        point, behind = first, 0.0
        for place in range(start, stop - 1):
            target = (place - start) * spacing
            while point + 1 < last and behind + steps[point + 1] <= target:
                point += 1
                behind += steps[point]
            left[place] = point
            weight[place] = 0.0
            if point < last and steps[point + 1] > 0.0:
                weight[place] = min(max((target - behind) / steps[point + 1], 0.0), 1.0)
        if stop > start:
            left[stop - 1], weight[stop - 1] = last, 0.0


@njit(cache=True)
def until(
    steps: NDArray[np.float64],
    ink: NDArray[np.float64],
    stroke_offsets: NDArray[np.int64],
    sketch_offsets: NDArray[np.int64],
    fraction: float,
    counts: NDArray[np.int64],
    weight: NDArray[np.float64],
) -> None:
    """For each stroke, how many of its points lie within the first `fraction` of its drawing's ink, and the rest.

    Where the pen is between two points when the ink is used up, `weight` says how far along; else it is 0. A stroke
    that is not begun by then counts -1. `steps` (points,) is each point's distance from the last, `ink` (strokes,) is
    each stroke's length; `counts` and `weight` (strokes,) are filled.
    """
    for sketch in range(len(sketch_offsets) - 1):
        strokes = range(sketch_offsets[sketch], sketch_offsets[sketch + 1])
        total = 0.0
        for stroke in strokes:
            total += ink[stroke]
        left, drawn = fraction * total, 0.0
        for stroke in strokes:
            first, stop = stroke_offsets[stroke], stroke_offsets[stroke + 1]
            budget = left - drawn
            counts[stroke], weight[stroke] = -1, 0.0
            if budget > 0.0 or (budget == 0.0 and ink[stroke] == 0.0):
                counts[stroke] = stop - first
                behind = 0.0
                for point in range(first + 1, stop):
                    if behind + steps[point] > budget:
                        counts[stroke] = point - first
                        weight[stroke] = (budget - behind) / steps[point]
                        break
                    behind += steps[point]
            drawn += ink[stroke]
