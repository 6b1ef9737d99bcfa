"""Anti-aliased strokes: each segment a capsule, each pixel the darkest of the capsules that touch it.

A pixel's value is the share of its square that lies within the capsule, taking the capsule's edge for a straight line
at the segment's angle: across such an edge the square's shadow is a trapezoid, and the share is its integral, in
closed form. That is exact along the segment and off by little at the round ends.

Serial, hence `cache=True`; the caller's threads each draw their own images. No fastmath: a pixel must be the same on
every machine.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["LANES", "clip", "draw"]

# Pixels drawn at a time: LLVM makes vector instructions of a loop of fixed length. Images are at least this wide.
LANES = 8

# A segment shorter than this many pixels is a dot.
_POINT = 1e-6

# The trapezoid of an upright edge has sides of no width; this keeps the division by it finite.
_UPRIGHT = 1e-3

_ZERO, _HALF = np.float32(0.0), np.float32(0.5)


@njit(cache=True, nogil=True, error_model="numpy")
def draw(
    points: NDArray[np.float32],
    stroke_offsets: NDArray[np.int64],
    sketch_offsets: NDArray[np.int64],
    scale: NDArray[np.float64],
    offset: NDArray[np.float64],
    line_width: float,
    first: int,
    images: NDArray[np.uint8],
) -> None:
    """Draw the sketches `first`, `first + 1`, ... into images (sketches, side, side); ink 255 on 0.

    `points * scale + offset` are pixels, and so is `line_width`, which is at least 1.5 (thinner lines come out 1.5
    wide, and as much fainter). A point that is not finite ends a run; a run of one point is a dot.
    """
    side = images.shape[1]
    radius = max(line_width, 1.5) / 2.0
    ink = np.float32(255.0 * min(line_width / 1.5, 1.0))
    # Twice the farthest reach of a line beyond its own points: what is cut off there leaves no trace.
    low, high = -2.0 * (radius + 1.0), side + 2.0 * (radius + 1.0)
    for index in range(images.shape[0]):
        image = images[index]
        image[:] = 0
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
                        _line(image, ax, ay, ax, ay, radius, ink, low, high)
                    run = 0
                    continue
                if run > 0:
                    _line(image, ax, ay, bx, by, radius, ink, low, high)
                run += 1
                ax, ay = bx, by
            if run == 1:
                _line(image, ax, ay, ax, ay, radius, ink, low, high)


@njit(cache=True, nogil=True, error_model="numpy")
def clip(
    ax: float, ay: float, bx: float, by: float, low: float, high: float
) -> tuple[bool, float, float, float, float]:
    """The part of a segment within the square from (low, low) to (high, high); the first value says if there is any.

    Ends lie within the square however far outside they went in.
    """
    if max(ax, bx) < low or min(ax, bx) > high:
        return False, ax, ay, bx, by
    ax, ay, bx, by = _cut(ax, ay, bx, by, low, high)
    if max(ay, by) < low or min(ay, by) > high:
        return False, ax, ay, bx, by
    ay, ax, by, bx = _cut(ay, ax, by, bx, low, high)
    return True, ax, ay, bx, by


@njit(cache=True, nogil=True, error_model="numpy")
def _cut(
    a: float, other_a: float, b: float, other_b: float, low: float, high: float
) -> tuple[float, float, float, float]:
    """Move the ends of a segment along it until their first coordinate is between low and high."""
    step, other_step = b - a, other_b - other_a
    new_a, new_b = min(max(a, low), high), min(max(b, low), high)
    if new_b != b:
        other_b = other_a + other_step * ((new_b - a) / step)
    if new_a != a:
        other_a = other_a + other_step * ((new_a - a) / step)
    return new_a, other_a, new_b, other_b


@njit(cache=True, nogil=True, error_model="numpy")
def _line(
    image: Any, ax: float, ay: float, bx: float, by: float, radius: float, ink: Any, low: float, high: float
) -> None:
    """Draw one segment, wherever it lies."""
    if min(ax, ay, bx, by) < low or max(ax, ay, bx, by) > high:
        visible, ax, ay, bx, by = clip(ax, ay, bx, by, low, high)
        if not visible:
            return
    length = np.sqrt((bx - ax) * (bx - ax) + (by - ay) * (by - ay))
    if length < _POINT:
        _dot(image, ax, ay, radius, ink)
    else:
        _capsule(image, ax, ay, (bx - ax) / length, (by - ay) / length, length, radius, ink)


@njit(cache=True, nogil=True, error_model="numpy")
def _capsule(image: Any, ax: float, ay: float, ux: float, uy: float, length: float, radius: float, ink: Any) -> None:
    """Draw the segment of this length from (ax, ay) along the unit vector (ux, uy)."""
    side = image.shape[0]
    wide, narrow = max(abs(ux), abs(uy)), max(min(abs(ux), abs(uy)), _UPRIGHT)
    reach = radius + (wide + narrow) / 2.0
    bx, by = ax + length * ux, ay + length * uy
    left, right = min(ax, bx) - reach, max(ax, bx) + reach
    top, bottom = max(int(min(ay, by) - reach), 0), min(int(np.ceil(max(ay, by) + reach)), side)
    # Per row, the capsule lies in its box and within `span` of the segment's own line.
    level = abs(uy) < _UPRIGHT
    span = 0.0 if level else reach / abs(uy)
    slope = 0.0 if level else ux / uy

    along_x, along_y, end, edge = np.float32(ux), np.float32(uy), np.float32(length), np.float32(radius)
    outer, inner = np.float32((wide + narrow) / 2.0), np.float32((wide - narrow) / 2.0)
    ramp, ramp_share = np.float32(narrow), np.float32(0.5 / narrow)
    density = np.float32(ink / wide)
    for row in range(top, bottom):
        y = row + 0.5 - ay
        begin, stop = left, right
        if not level:
            middle = ax + y * slope
            begin, stop = max(left, middle - span), min(right, middle + span)
        column, last = max(int(begin), 0), min(int(np.ceil(stop)), side)
        line = image[row]
        fy = np.float32(y)
        fy_along = fy * along_y
        while column < last:
            # The last group moves back into the image: what it draws again comes out the same.
            column = min(column, side - LANES)
            base = np.uint32(column)
            fx = np.float32(column + 0.5 - ax)
            for lane in range(np.uint32(LANES)):
                x = fx + np.float32(lane)
                nearest = min(max(x * along_x + fy_along, _ZERO), end)
                away_x, away_y = x - nearest * along_x, fy - nearest * along_y
                depth = edge - np.sqrt(away_x * away_x + away_y * away_y)
                beyond = min(abs(depth), outer)
                sloped = min(outer - beyond, ramp)
                tail = density * (sloped * sloped * ramp_share + max(inner - beyond, _ZERO))
                value = np.uint8((tail if depth < _ZERO else ink - tail) + _HALF)
                # Signed indices would be tested for wrapping around, and the loop would not vectorize.
                pixel = base + np.uint32(lane)
                line[pixel] = max(line[pixel], value)
            column += LANES


@njit(cache=True, nogil=True, error_model="numpy")
def _dot(image: Any, ax: float, ay: float, radius: float, ink: Any) -> None:
    """Draw a disk; the edge's angle is taken afresh at each pixel."""
    side = image.shape[0]
    reach = radius + 0.7072
    for row in range(max(int(ay - reach), 0), min(int(np.ceil(ay + reach)), side)):
        for column in range(max(int(ax - reach), 0), min(int(np.ceil(ax + reach)), side)):
            dx, dy = abs(column + 0.5 - ax), abs(row + 0.5 - ay)
            distance = np.sqrt(dx * dx + dy * dy)
            depth = radius - distance
            if distance < _POINT:
                dx, distance = _POINT, _POINT
            wide, narrow = max(dx, dy) / distance, max(min(dx, dy) / distance, _UPRIGHT)
            beyond = min(abs(depth), (wide + narrow) / 2.0)
            sloped = min((wide + narrow) / 2.0 - beyond, narrow)
            tail = (sloped * sloped * 0.5 / narrow + max((wide - narrow) / 2.0 - beyond, 0.0)) / wide
            value = np.uint8(ink * (tail if depth < 0.0 else 1.0 - tail) + 0.5)
            image[row, column] = max(image[row, column], value)
