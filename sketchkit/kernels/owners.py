"""Which segment a pixel shows: the one that covers most of it, and of those that cover as much the last drawn.

Serial, hence `cache=True`; the caller's threads each take their own images.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from sketchkit.kernels.raster import POINT, UPRIGHT, clip, disk_share

__all__ = ["NOBODY", "owners"]

# A pixel without ink.
NOBODY = -1

# Less than this, of 255, is no ink; the caller looks at the ink itself.
_LEAST_LEVEL = 0.25


@njit(cache=True, nogil=True, error_model="numpy")
def owners(
    points: NDArray[np.float32],
    stroke_offsets: NDArray[np.int64],
    sketch_offsets: NDArray[np.int64],
    scale: NDArray[np.float64],
    offset: NDArray[np.float64],
    line_width: float,
    first: int,
    times: int,
    found: NDArray[np.int64],
) -> None:
    """The segment in each pixel of the sketches `first`, `first + 1`, ...

    Args:
        points: (points, 2), and so the other arrays of a block.
        stroke_offsets: (strokes + 1,).
        sketch_offsets: (sketches + 1,).
        scale: (sketches,); `points * scale + offset` are pixels of the image that is drawn.
        offset: (sketches, 2).
        line_width: in pixels of the image that is drawn, at least 1.5.
        first: the sketch of the first image.
        times: that image is so many times as large as `found`; of the pixels in one of `found`, the darkest counts.
        found: (sketches, height, width), filled with twice the index of the segment's first point, plus 1 if it is a
            dot; or `NOBODY`.
    """
    height, width = found.shape[1], found.shape[2]
    levels = np.empty((height * times, width * times), np.uint8)
    segments = np.empty((height * times, width * times), np.int64)
    radius = max(line_width, 1.5) / 2.0
    for index in range(found.shape[0]):
        levels[:] = 0
        segments[:] = NOBODY
        sketch = first + index
        grow, shift_x, shift_y = scale[sketch], offset[sketch, 0], offset[sketch, 1]
        for stroke in range(sketch_offsets[sketch], sketch_offsets[sketch + 1]):
            run = 0
            ax, ay = 0.0, 0.0
            for point in range(stroke_offsets[stroke], stroke_offsets[stroke + 1]):
                bx = np.float64(points[point, 0]) * grow + shift_x
                by = np.float64(points[point, 1]) * grow + shift_y
                if not (np.isfinite(bx) and np.isfinite(by)):
                    if run == 1:
                        _mark(levels, segments, 2 * (point - 1) + 1, ax, ay, ax, ay, radius)
                    run = 0
                    continue
                if run > 0:
                    _mark(levels, segments, 2 * (point - 1), ax, ay, bx, by, radius)
                run += 1
                ax, ay = bx, by
            if run == 1:
                _mark(levels, segments, 2 * (stroke_offsets[stroke + 1] - 1) + 1, ax, ay, ax, ay, radius)
        _fold(levels, segments, times, found[index])


@njit(cache=True, nogil=True, error_model="numpy")
def _mark(levels: Any, segments: Any, segment: int, ax: float, ay: float, bx: float, by: float, radius: float) -> None:
    """Give a segment the pixels of which it covers at least as much as those before it."""
    height, width = levels.shape
    visible, ax, ay, bx, by = clip(ax, ay, bx, by, 2.0 * (radius + 1.0), width, height)
    if not visible:
        return
    length = np.sqrt((bx - ax) * (bx - ax) + (by - ay) * (by - ay))
    dot = length < POINT
    ux, uy = (0.0, 0.0) if dot else ((bx - ax) / length, (by - ay) / length)
    wide, narrow = max(abs(ux), abs(uy)), max(min(abs(ux), abs(uy)), UPRIGHT)
    reach = radius + (0.7072 if dot else (wide + narrow) / 2.0)
    top, bottom = max(int(min(ay, by) - reach), 0), min(int(np.ceil(max(ay, by) + reach)), height)
    sloped = abs(uy) >= UPRIGHT
    for row in range(top, bottom):
        y = row + 0.5 - ay
        begin, stop = min(ax, bx) - reach, max(ax, bx) + reach
        if sloped:
            middle = ax + y * (ux / uy)
            begin, stop = max(begin, middle - reach / abs(uy)), min(stop, middle + reach / abs(uy))
        for column in range(max(int(begin), 0), min(int(np.ceil(stop)), width)):
            x = column + 0.5 - ax
            if dot:
                share = disk_share(x, y, radius)
            else:
                nearest = min(max(x * ux + y * uy, 0.0), length)
                away_x, away_y = x - nearest * ux, y - nearest * uy
                depth = radius - np.sqrt(away_x * away_x + away_y * away_y)
                beyond = min(abs(depth), (wide + narrow) / 2.0)
                ramp = min((wide + narrow) / 2.0 - beyond, narrow)
                tail = (ramp * ramp * 0.5 / narrow + max((wide - narrow) / 2.0 - beyond, 0.0)) / wide
                share = tail if depth < 0.0 else 1.0 - tail
            level = np.uint8(255.0 * share + 0.5)
            if 255.0 * share >= _LEAST_LEVEL and level >= levels[row, column]:
                levels[row, column] = level
                segments[row, column] = segment


@njit(cache=True, nogil=True, error_model="numpy")
def _fold(levels: Any, segments: Any, times: int, found: Any) -> None:
    """Of every `times * times` pixels the darkest one's segment; of equal ones the last drawn."""
    for row in range(found.shape[0]):
        for column in range(found.shape[1]):
            most, owner = np.uint8(0), np.int64(NOBODY)
            for y in range(row * times, (row + 1) * times):
                for x in range(column * times, (column + 1) * times):
                    level, segment = levels[y, x], segments[y, x]
                    if level > most or (level == most and segment > owner):
                        most, owner = level, segment
            found[row, column] = owner
