"""Anti-aliased strokes: each segment a capsule, each pixel what the capsules that touch it cover together.

The share of a pixel that a capsule covers takes the capsule's edge for a straight line at the segment's angle: across
such an edge the square's shadow is a trapezoid, and the share is its integral, in closed form. That is exact along the
segment and off by little at the round ends.

Where capsules meet, what they leave free together follows from the directions in which they leave it free: alike, it is
the lesser of the two (a line drawn twice is no darker); across each other, their product; opposite, what is left beside
both. In between, it is interpolated by the cosine c between the directions, with the weight c (2 - c) where they are
alike. So crossings and sharp joins have the ink that they have when drawn as one path.

Serial, hence `cache=True`; the caller's threads each draw their own images. No fastmath: a pixel must be the same on
every machine.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["LANES", "POINT", "UPRIGHT", "clip", "disk_share", "draw"]

# Pixels drawn at a time: LLVM makes vector instructions of a loop of fixed length.
LANES = 8

# A segment shorter than this many pixels is a dot.
POINT = 1e-6

# The trapezoid of an upright edge has sides of no width; this keeps the division by it finite.
UPRIGHT = 1e-3

_ZERO, _HALF, _ONE, _TWO = np.float32(0.0), np.float32(0.5), np.float32(1.0), np.float32(2.0)

# While an image is drawn, a pixel is 16 bits: its value, then x and y of the direction in which it is free, 4 bits
# each, -7 to 7 and offset by 8.
_STEPS = np.float32(7.0)
_TO_COSINE = np.float32(1.0 / 7.0)
_OFFSET = np.float32(8.0)
_ROUND = np.float32(8.5)
_FOUR, _EIGHT, _LOW4, _LOW8 = np.int32(4), np.int32(8), np.int32(15), np.int32(255)
_LEAST_AWAY = np.float32(1e-3)


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
    """Draw the sketches `first`, `first + 1`, ... into `images` (images, height, width), as many; ink 255 on 0.

    `points * scale + offset` are pixels, with the `scale` (sketches,) and the `offset` (sketches, 2) of each sketch,
    and so is `line_width`, which is at least 1.5 (thinner lines come out 1.5 wide, and as much fainter). A point that
    is not finite ends a run; a run of one point is a dot.
    """
    height, width = images.shape[1], images.shape[2]
    # Groups of pixels may reach beyond the last column.
    state = np.empty((height, width + LANES), np.uint16)
    radius = max(line_width, 1.5) / 2.0
    ink = np.float32(255.0 * min(line_width / 1.5, 1.0))
    # Twice the farthest reach of a line beyond its own points: what is cut off there leaves no trace.
    far = 2.0 * (radius + 1.0)
    for index in range(images.shape[0]):
        state[:] = 0
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
                        _line(state, ax, ay, ax, ay, radius, ink, far)
                    run = 0
                    continue
                if run > 0:
                    _line(state, ax, ay, bx, by, radius, ink, far)
                run += 1
                ax, ay = bx, by
            if run == 1:
                _line(state, ax, ay, ax, ay, radius, ink, far)
        for row in range(height):
            line, image_row = state[row], images[index, row]
            for column in range(np.uint32(width)):
                image_row[column] = np.uint8(line[column] >> np.uint16(8))


@njit(cache=True, nogil=True, error_model="numpy")
def clip(
    ax: float, ay: float, bx: float, by: float, far: float, width: float, height: float
) -> tuple[bool, float, float, float, float]:
    """The part of a segment that is at most `far` outside a canvas; the first value says if there is any.

    The segment is from (`ax`, `ay`) to (`bx`, `by`), the canvas from (0, 0) to (`width`, `height`), all in pixels. Ends
    lie that near however far outside they went in.
    """
    if max(ax, bx) < -far or min(ax, bx) > width + far:
        return False, ax, ay, bx, by
    ax, ay, bx, by = _cut(ax, ay, bx, by, -far, width + far)
    if max(ay, by) < -far or min(ay, by) > height + far:
        return False, ax, ay, bx, by
    ay, ax, by, bx = _cut(ay, ax, by, bx, -far, height + far)
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
def _line(state: Any, ax: float, ay: float, bx: float, by: float, radius: float, ink: Any, far: float) -> None:
    """Draw one segment, wherever it lies."""
    height, width = state.shape[0], state.shape[1] - LANES
    if min(ax, ay, bx, by) < -far or max(ax, bx) > width + far or max(ay, by) > height + far:
        visible, ax, ay, bx, by = clip(ax, ay, bx, by, far, width, height)
        if not visible:
            return
    length = np.sqrt((bx - ax) * (bx - ax) + (by - ay) * (by - ay))
    if length < POINT:
        _dot(state, ax, ay, radius, ink)
    else:
        _capsule(state, ax, ay, (bx - ax) / length, (by - ay) / length, length, radius, ink)


@njit(cache=True, nogil=True, error_model="numpy")
def _capsule(state: Any, ax: float, ay: float, ux: float, uy: float, length: float, radius: float, ink: Any) -> None:
    """Draw the segment of this length from (ax, ay) along the unit vector (ux, uy)."""
    height, width = state.shape[0], state.shape[1] - LANES
    wide, narrow = max(abs(ux), abs(uy)), max(min(abs(ux), abs(uy)), UPRIGHT)
    reach = radius + (wide + narrow) / 2.0
    bx, by = ax + length * ux, ay + length * uy
    left, right = min(ax, bx) - reach, max(ax, bx) + reach
    top, bottom = max(int(min(ay, by) - reach), 0), min(int(np.ceil(max(ay, by) + reach)), height)
    # Per row, the capsule lies in its box and within `span` of the segment's own line.
    level = abs(uy) < UPRIGHT
    span = 0.0 if level else reach / abs(uy)
    slope = 0.0 if level else ux / uy

    along_x, along_y, end, edge = np.float32(ux), np.float32(uy), np.float32(length), np.float32(radius)
    outer, inner = np.float32((wide + narrow) / 2.0), np.float32((wide - narrow) / 2.0)
    ramp, ramp_share = np.float32(narrow), np.float32(0.5 / narrow)
    density, per_ink = np.float32(ink / wide), np.float32(_ONE / ink)
    for row in range(top, bottom):
        y = row + 0.5 - ay
        begin, stop = left, right
        if not level:
            middle = ax + y * slope
            begin, stop = max(left, middle - span), min(right, middle + span)
        column, last = max(int(begin), 0), min(int(np.ceil(stop)), width)
        line = state[row]
        fy = np.float32(y)
        fy_along = fy * along_y
        while column < last:
            base = np.uint32(column)
            fx = np.float32(column + 0.5 - ax)
            touched = np.uint16(0)
            # Signed indices would be tested for wrapping around, and the loops would not vectorize.
            for lane in range(np.uint32(LANES)):
                touched |= line[base + np.uint32(lane)]
            if touched == 0:  # the shorter way, for most
                for lane in range(np.uint32(LANES)):
                    x = fx + np.float32(lane)
                    away_x, away_y, away = _from_line(x, fy, x * along_x + fy_along, along_x, along_y, end)
                    free = _left_free(edge - away, outer, inner, ramp, ramp_share, density, ink)
                    line[base + np.uint32(lane)] = _pixel(ink - free, _direction(away_x, away_y, away))
            else:
                for lane in range(np.uint32(LANES)):
                    x = fx + np.float32(lane)
                    away_x, away_y, away = _from_line(x, fy, x * along_x + fy_along, along_x, along_y, end)
                    free = _left_free(edge - away, outer, inner, ramp, ramp_share, density, ink)
                    pixel = base + np.uint32(lane)
                    line[pixel] = _joined(line[pixel], free, away_x, away_y, away, ink, per_ink)
            column += LANES


@njit(inline="always", error_model="numpy")
def _from_line(x: Any, y: Any, along: Any, along_x: Any, along_y: Any, end: Any) -> Any:
    """The way to a pixel's center from the nearest point of a segment: x, y and length."""
    nearest = min(max(along, _ZERO), end)
    away_x, away_y = x - nearest * along_x, y - nearest * along_y
    return away_x, away_y, np.sqrt(away_x * away_x + away_y * away_y)


@njit(inline="always", error_model="numpy")
def _left_free(depth: Any, outer: Any, inner: Any, ramp: Any, ramp_share: Any, density: Any, ink: Any) -> Any:
    """What a capsule leaves free of a pixel, in ink, whose center is so deep within its edge."""
    beyond = min(abs(depth), outer)
    sloped = min(outer - beyond, ramp)
    tail = density * (sloped * sloped * ramp_share + max(inner - beyond, _ZERO))
    return ink - tail if depth < _ZERO else tail


@njit(inline="always", error_model="numpy")
def _direction(away_x: Any, away_y: Any, away: Any) -> Any:
    to_steps = _STEPS / max(away, _LEAST_AWAY)
    return (np.int32(away_x * to_steps + _ROUND) << _FOUR) | np.int32(away_y * to_steps + _ROUND)


@njit(inline="always", error_model="numpy")
def _pixel(value: Any, direction: Any) -> Any:
    return np.uint16((np.int32(value + _HALF) << _EIGHT) | direction)


@njit(inline="always", error_model="numpy")
def _joined(old: Any, free: Any, away_x: Any, away_y: Any, away: Any, ink: Any, per_ink: Any) -> Any:
    """The pixel once a capsule is drawn that leaves `free` of its ink, in the direction `away`."""
    code = np.int32(old)
    was = ink - np.float32(code >> _EIGHT)
    old_x, old_y = np.float32((code >> _FOUR) & _LOW4) - _OFFSET, np.float32(code & _LOW4) - _OFFSET
    cosine = (away_x * old_x + away_y * old_y) * (_TO_COSINE / max(away, _LEAST_AWAY))
    across = free * was * per_ink
    limit = min(free, was) if cosine > _ZERO else max(free + was - ink, _ZERO)
    weight = cosine * (_TWO - cosine) if cosine > _ZERO else min(-cosine, _ONE)
    both = across + weight * (limit - across)
    # What stays free lies where the darker of the two leaves it.
    direction = _direction(away_x, away_y, away) if free <= was else code & _LOW8
    return _pixel(ink - both, direction)


@njit(cache=True, nogil=True, error_model="numpy")
def _dot(state: Any, ax: float, ay: float, radius: float, ink: Any) -> None:
    """Draw a disk."""
    height, width = state.shape[0], state.shape[1] - LANES
    reach = radius + 0.7072
    per_ink = np.float32(_ONE / ink)
    for row in range(max(int(ay - reach), 0), min(int(np.ceil(ay + reach)), height)):
        for column in range(max(int(ax - reach), 0), min(int(np.ceil(ax + reach)), width)):
            x, y = np.float32(column + 0.5 - ax), np.float32(row + 0.5 - ay)
            free = np.float32(ink * (1.0 - disk_share(x, y, radius)))
            away = np.sqrt(x * x + y * y)
            state[row, column] = _joined(state[row, column], free, x, y, away, ink, per_ink)


@njit(cache=True, nogil=True, error_model="numpy")
def disk_share(x: float, y: float, radius: float) -> float:
    """The share of a pixel within a disk whose center is so far from the pixel's; the edge's angle is taken afresh.

    `x` and `y`, from center to center, and the `radius` are in pixels.
    """
    dx, dy = abs(x), abs(y)
    distance = np.sqrt(dx * dx + dy * dy)
    depth = radius - distance
    if distance < POINT:
        dx, distance = POINT, POINT
    wide, narrow = max(dx, dy) / distance, max(min(dx, dy) / distance, UPRIGHT)
    beyond = min(abs(depth), (wide + narrow) / 2.0)
    sloped = min((wide + narrow) / 2.0 - beyond, narrow)
    tail = (sloped * sloped * 0.5 / narrow + max((wide - narrow) / 2.0 - beyond, 0.0)) / wide
    share: float = tail if depth < 0.0 else 1.0 - tail
    return share
