"""SVG path data and lists of points as strokes of points, in one pass over the text.

Serial, hence cached. What is not known here (arcs, anything that is no path data) ends the reading without an
answer: then `sketchkit.formats.svg_paths` reads it, or says what is wrong. Where both read, they agree bit for bit.
Source: https://www.w3.org/TR/SVG11/paths.html.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sketchkit.kernels.svg_curves import cubic_shares, fill_cubic
from sketchkit.kernels.svg_numbers import read_number, skip_separators
from sketchkit.kernels.uncounted import uncounted

__all__ = ["FULL", "READ", "UNKNOWN", "add_line", "read_path"]

READ, UNKNOWN, FULL = 0, 1, 2

_MOST_SHARES = 4e6
# What stays finite as float32, with room for the rounding of a curve's points.
_MOST_COORDINATE = 3e38
_MOVE, _LINE, _ACROSS, _DOWN, _CLOSE = (ord(letter) for letter in "mlhvz")
_CUBIC, _SMOOTH, _QUADRATIC, _SMOOTH_QUADRATIC = (ord(letter) for letter in "csqt")
# How many numbers a command takes at a time; -1: it is none.
_NUMBERS_OF = np.full(256, -1)
for _letter, _count in {"m": 2, "l": 2, "h": 1, "v": 1, "z": 0, "c": 6, "s": 4, "q": 4, "t": 2}.items():
    _NUMBERS_OF[ord(_letter)] = _count


@uncounted
def read_path(
    data: NDArray[np.uint8],
    at: int,
    end: int,
    as_points: bool,
    closed: bool,
    matrix: NDArray[np.float64],
    tolerance: float,
    values: NDArray[np.float64],
    points: NDArray[np.float32],
    point: int,
    stroke_ends: NDArray[np.int64],
    stroke: int,
) -> tuple[int, int, int]:
    """Append the strokes of the path data `data[at:end]`.

    Args:
        data: (bytes,) a text.
        at: where the path data begin in it.
        end: where they end.
        as_points: they are the points of a polyline.
        closed: or of a polygon.
        matrix: (6,) a, b, c, d, e, f of SVG's matrix().
        tolerance: as `cubic_shares` takes it.
        values: (6,), scratch.
        points: (capacity, 2), filled from `point` on.
        point: how many points there are.
        stroke_ends: (capacity // 2,) or more, filled from `stroke` on: how many points there are after each stroke.
        stroke: how many strokes there are.

    Returns:
        `READ`, `UNKNOWN` or `FULL` (more points than there is room for), and how many points and strokes there are.
    """
    x, y, start_x, start_y = 0.0, 0.0, 0.0, 0.0
    # The control point that S or T reflects, and after which command.
    control_x, control_y, reflected = 0.0, 0.0, 0
    command, relative, drawing = (_MOVE if as_points else 0), False, False
    if not as_points and at < end and data[at] == 44:
        return UNKNOWN, point, stroke
    while True:
        at = skip_separators(data, at, end)
        if at >= end:
            if not closed or command != _LINE:
                break
            command, closed = _CLOSE, False
        elif data[at] >= 65:
            if as_points or (command == 0 and (data[at] | 32) != _MOVE):
                return UNKNOWN, point, stroke
            command, relative = data[at] | 32, data[at] >= 97
            at += 1
        elif command == _CLOSE or command == 0:
            return UNKNOWN, point, stroke
        numbers = _NUMBERS_OF[command]
        if numbers < 0:
            return UNKNOWN, point, stroke
        for index in range(numbers):
            values[index], at = read_number(data, skip_separators(data, at, end), end)
            if at < 0:
                return UNKNOWN, point, stroke

        if command == _CLOSE:
            status, point = _add_close(matrix, drawing, x, y, start_x, start_y, points, point)
            if status != READ:
                return status, point, stroke
            stroke_ends[stroke] = point
            stroke += 1
            x, y, drawing, reflected = start_x, start_y, False, 0
            continue
        to_x, to_y = x, y
        if command == _DOWN:
            to_y = values[0] + y if relative else values[0]
        elif command == _ACROSS:
            to_x = values[0] + x if relative else values[0]
        else:
            to_x, to_y = values[numbers - 2], values[numbers - 1]
            if relative:
                to_x, to_y = to_x + x, to_y + y
        if command == _MOVE:
            if drawing:
                stroke_ends[stroke] = point
                stroke += 1
            x, y, start_x, start_y, drawing, reflected = to_x, to_y, to_x, to_y, False, 0
            command = _LINE
            continue
        if point + 2 > len(points):
            return FULL, point, stroke
        if not drawing:
            if not _put(matrix, x, y, points, point):
                return UNKNOWN, point, stroke
            point, drawing = point + 1, True
        if command == _LINE or command == _ACROSS or command == _DOWN:  # noqa: SIM109 -- faster when compiled
            if not _put(matrix, to_x, to_y, points, point):
                return UNKNOWN, point, stroke
            x, y, point, reflected = to_x, to_y, point + 1, 0
            continue

        cubic, smooth = command in (_CUBIC, _SMOOTH), command in (_SMOOTH, _SMOOTH_QUADRATIC)
        if smooth:
            values[2], values[3] = values[0], values[1]
            values[0], values[1] = x, y
            if reflected == (_CUBIC if cubic else _QUADRATIC):
                values[0], values[1] = x + x - control_x, y + y - control_y
        if relative:
            for index in range(2 if smooth else 0, 4 if cubic else 2):
                values[index] += x if index % 2 == 0 else y
        control = 2 if cubic else 0
        control_x, control_y, reflected = values[control], values[control + 1], _CUBIC if cubic else _QUADRATIC
        if not cubic:
            # The cubic that is the same curve.
            values[0], values[1] = x + (control_x - x) * 2 / 3, y + (control_y - y) * 2 / 3
            values[2], values[3] = to_x + (control_x - to_x) * 2 / 3, to_y + (control_y - to_y) * 2 / 3
        status, point = _add_curve(matrix, x, y, values, to_x, to_y, tolerance, points, point)
        if status != READ:
            return status, point, stroke
        x, y = to_x, to_y
    if drawing:
        stroke_ends[stroke] = point
        stroke += 1
    return READ, point, stroke


@uncounted
def add_line(
    ends: NDArray[np.float64],
    matrix: NDArray[np.float64],
    points: NDArray[np.float32],
    point: int,
    stroke_ends: NDArray[np.int64],
    stroke: int,
) -> tuple[int, int, int]:
    """Append the stroke from `ends` (4,) x1, y1 to x2, y2; arguments and result as of `read_path`."""
    if point + 2 > len(points):
        return FULL, point, stroke
    for side in range(2):
        if not _put(matrix, ends[2 * side], ends[2 * side + 1], points, point + side):
            return UNKNOWN, point, stroke
    stroke_ends[stroke] = point + 2
    return READ, point + 2, stroke + 1


@uncounted
def _add_close(
    matrix: NDArray[np.float64],
    drawing: bool,
    x: float,
    y: float,
    start_x: float,
    start_y: float,
    points: NDArray[np.float32],
    point: int,
) -> tuple[int, int]:
    """Append the start of the stroke, unless the pen is there; where nothing was drawn, a dot of two points."""
    if drawing and x == start_x and y == start_y:
        return READ, point
    if point + 2 > len(points):
        return FULL, point
    for _ in range(1 if drawing else 2):
        if not _put(matrix, start_x, start_y, points, point):
            return UNKNOWN, point
        point += 1
    return READ, point


@uncounted
def _add_curve(
    matrix: NDArray[np.float64],
    x: float,
    y: float,
    control: NDArray[np.float64],
    to_x: float,
    to_y: float,
    tolerance: float,
    points: NDArray[np.float32],
    point: int,
) -> tuple[int, int]:
    """Append the chords of a cubic from x, y over `control` (4,) to to_x, to_y."""
    x0, y0 = _moved(matrix, x, y)
    x1, y1 = _moved(matrix, control[0], control[1])
    x2, y2 = _moved(matrix, control[2], control[3])
    x3, y3 = _moved(matrix, to_x, to_y)
    if not (_fits(x1, y1) and _fits(x2, y2) and _fits(x3, y3)):
        return UNKNOWN, point
    shares = cubic_shares(x0, y0, x1, y1, x2, y2, x3, y3, tolerance)
    if not shares <= _MOST_SHARES:
        return UNKNOWN, point
    chords = np.int64(shares)
    if point + chords > len(points):
        return FULL, point
    fill_cubic(x0, y0, x1, y1, x2, y2, x3, y3, points, point, chords)
    return READ, point + chords


@uncounted
def _moved(matrix: NDArray[np.float64], x: float, y: float) -> tuple[float, float]:
    return matrix[0] * x + matrix[2] * y + matrix[4], matrix[1] * x + matrix[3] * y + matrix[5]


@uncounted
def _fits(x: float, y: float) -> bool:
    """Whether a point is a finite float32; NaN is not."""
    return abs(x) <= _MOST_COORDINATE and abs(y) <= _MOST_COORDINATE


@uncounted
def _put(matrix: NDArray[np.float64], x: float, y: float, points: NDArray[np.float32], point: int) -> bool:
    x, y = _moved(matrix, x, y)
    points[point, 0] = x
    points[point, 1] = y
    return _fits(x, y)
