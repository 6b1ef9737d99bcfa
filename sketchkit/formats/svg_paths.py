"""SVG path data and basic shapes as pieces of curves, and curves as polylines.

Source: https://www.w3.org/TR/SVG11/paths.html and https://www.w3.org/TR/SVG11/shapes.html. A point is a complex number
here, x + iy: so svgpathtools gives it, and so numpy takes it fast.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sketchkit.errors import DataError
from sketchkit.kernels.svg_curves import count_shares, fill_cubics
from sketchkit.ragged import offsets_of

__all__ = ["MOST_POINTS", "Curves", "flatten", "join", "length", "numbers", "read_path", "shape_path", "transformed"]

Complex = NDArray[np.complex128]

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_FLAG = re.compile("[01]")
_COMMAND = re.compile("[MmZzLlHhVvCcSsQqTtAa][^MmZzLlHhVvCcSsQqTtAa]*")
_SEPARATORS = " \t\n\r\f,"
_NUMBERS_OF = {"M": 2, "L": 2, "H": 1, "V": 1, "C": 6, "S": 4, "Q": 4, "T": 2, "Z": 0, "A": 7}
_NOT_FINITE = "has a coordinate that is not finite or beyond what float32 holds (3.4e38)"
MOST_POINTS = 4_000_000


@dataclass(frozen=True)
class Curves:
    """Strokes made of pieces: cubic Beziers and elliptic arcs, in order.

    Args:
        control: (pieces, 4) complex; a line is its start and its end, each twice, and so is what stands here for an
            arc. A stroke's first piece is a point, its start, four times.
        counts: (strokes,) int64, how many pieces a stroke has.
        arcs: piece -> ((3,) complex: center, a, b; start angle; swept angle): center + a cos(angle) + b sin(angle).
    """

    control: Complex
    counts: NDArray[np.int64]
    arcs: Mapping[int, tuple[Complex, float, float]]


def flatten(curves: Curves, tolerance: float) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Points (points, 2) float32 and offsets (strokes + 1,) of polylines that stay within `tolerance` of the curves.

    A cubic becomes as many chords, of equal shares of the parameter, as `kernels.svg_curves.cubic_shares` says; an arc
    sqrt(r angle^2 / (8 tolerance)), rounded up, where r is its longer half axis.

    Raises:
        DataError: a coordinate is not finite or beyond float32, or the points would be more than 4,000,000.
    """
    control = np.ascontiguousarray(curves.control).view(np.float64)
    shares = np.empty(len(control))
    count_shares(control, tolerance, shares)
    for piece, ((_, a, b), _, swept) in curves.arcs.items():
        shares[piece] = max(np.ceil(np.sqrt(_longer_half_axis(a, b) * swept**2 / (8 * tolerance))), 1)
    if not np.isfinite(shares).all():
        raise DataError(_NOT_FINITE)
    if shares.sum() > MOST_POINTS:
        raise DataError(f"needs {shares.sum():.3g} points at a tolerance of {tolerance:g}; a greater one would do")
    starts = offsets_of(shares.astype(np.int64))
    points = np.empty((starts[-1], 2), np.float32)
    fill_cubics(control, starts, points)
    for piece, ((center, a, b), start, swept) in curves.arcs.items():
        # Its last point is where the path says that it ends, and stands there already.
        inside = points[starts[piece] : starts[piece + 1] - 1]
        angle = start + np.arange(1, len(inside) + 1) / (len(inside) + 1) * swept
        curve = center + a * np.cos(angle) + b * np.sin(angle)
        inside[:, 0], inside[:, 1] = curve.real, curve.imag
    if not np.isfinite(points).all():
        raise DataError(_NOT_FINITE)
    return points, starts[offsets_of(curves.counts)]


def transformed(curves: Curves, matrix: NDArray[np.float64]) -> Curves:
    """The `curves` under an affine map, `matrix` (2, 3): exact, also for arcs."""
    (a, c, e), (b, d, f) = matrix.tolist()

    def vector(z: Complex) -> Complex:
        # In parts, because the product of complex numbers may be rounded differently on each processor.
        moved = np.empty_like(z)
        moved.real, moved.imag = a * z.real + c * z.imag, b * z.real + d * z.imag
        return moved

    moves = np.array([complex(e, f), 0, 0])
    arcs = {piece: (vector(ellipse) + moves, start, swept) for piece, (ellipse, start, swept) in curves.arcs.items()}
    return Curves(vector(curves.control) + complex(e, f), curves.counts, arcs)


def join(parts: Sequence[Curves]) -> Curves:
    """All strokes of several `parts` of a drawing, in order; at least one part."""
    before = offsets_of(np.array([len(part.control) for part in parts], np.int64)).tolist()
    arcs = {
        first + piece: arc for first, part in zip(before[:-1], parts, strict=True) for piece, arc in part.arcs.items()
    }
    return Curves(
        np.concatenate([part.control for part in parts]), np.concatenate([part.counts for part in parts]), arcs
    )


def read_path(data: str) -> Curves:
    """The strokes of path `data`, what an attribute `d` holds.

    A subpath is a stroke, and `Z` appends its start unless the pen is there already.
    A subpath of nothing but a move draws nothing; `M 5 5 Z` and `M 5 5 l 0 0` are dots, two equal points.

    Raises:
        DataError: the data are not SVG path data.
    """
    from svgpathtools import Arc, parse_path

    control: list[tuple[complex, complex, complex, complex]] = []
    counts: list[int] = []
    arcs: dict[int, tuple[Complex, float, float]] = {}
    pen = 0j
    for subpath, arcs_of_subpath in _subpaths(data):
        # Without a move, a subpath begins where the one before was closed.
        moved = subpath if subpath[0] in "Mm" else f"M {pen.real!r} {pen.imag!r} {subpath}"
        try:
            # The step of length zero tells where the pen is at the end, also after Z and after a mere move.
            *segments, stop = parse_path(f"{moved} l 0 0", current_pos=pen)
            for index, (radius, rotation, large, sweep) in arcs_of_subpath.items():
                start, end = segments[index].start, segments[index].end
                # An arc that ends where it begins, or has no radius, is the line that stands for it here.
                if start != end and radius.real and radius.imag:
                    segments[index] = Arc(start, radius, rotation, large, sweep, end)
        except (ValueError, ArithmeticError, AssertionError, IndexError) as error:
            raise DataError(f"has path data that cannot be read: {error}") from error
        pen = stop.start
        if not segments and subpath.rstrip(_SEPARATORS)[-1] in "Zz":
            segments = [stop]
        if not segments:
            continue
        start = segments[0].start
        control.append((start, start, start, start))
        for segment in segments:
            if isinstance(segment, Arc):
                turn, radius = segment.rot_matrix, segment.radius
                ellipse = np.array([segment.center, turn * radius.real, turn * 1j * radius.imag], np.complex128)
                arcs[len(control)] = (ellipse, np.radians(segment.theta), np.radians(segment.delta))
            control.append(_cubic(segment))
        counts.append(1 + len(segments))
    return Curves(np.array(control, np.complex128).reshape(-1, 4), np.array(counts, np.int64), arcs)


def shape_path(name: str, attributes: Mapping[str, str]) -> str:
    """Path data of an element with these `attributes`; empty when it draws nothing.

    Its `name` is `path`, `line`, `polyline`, `polygon`, `circle`, `ellipse` or `rect`.

    Raises:
        DataError: a length or a list of points cannot be read.
    """
    if name == "path":
        return attributes.get("d", "")
    if name in ("polyline", "polygon"):
        values = numbers(name, attributes.get("points", ""))
        if len(values) % 2:
            raise DataError(f"has a {name} of {len(values)} coordinates; there must be as many y as x")
        return f"M {' '.join(values)}{' Z' if name == 'polygon' else ''}" if values else ""
    if name == "line":
        x1, y1, x2, y2 = (length(attributes, side) for side in ("x1", "y1", "x2", "y2"))
        return f"M {x1!r} {y1!r} L {x2!r} {y2!r}"
    if name == "rect":
        return _rect_path(attributes)
    cx, cy = length(attributes, "cx"), length(attributes, "cy")
    rx, ry = (length(attributes, "r" if name == "circle" else side) for side in ("rx", "ry"))
    if rx <= 0 or ry <= 0:
        return ""
    half = f"A {rx!r} {ry!r} 0 0 1"
    return f"M {cx + rx!r} {cy!r} {half} {cx - rx!r} {cy!r} {half} {cx + rx!r} {cy!r} Z"


def _rect_path(attributes: Mapping[str, str]) -> str:
    x, y, width, height = (length(attributes, side) for side in ("x", "y", "width", "height"))
    if width <= 0 or height <= 0:
        return ""
    rx = length(attributes, "rx" if _given(attributes, "rx") else "ry")
    ry = length(attributes, "ry" if _given(attributes, "ry") else "rx")
    rx, ry = min(max(rx, 0.0), width / 2), min(max(ry, 0.0), height / 2)
    right, bottom = x + width, y + height
    if not rx or not ry:
        return f"M {x!r} {y!r} H {right!r} V {bottom!r} H {x!r} Z"
    corner = f"A {rx!r} {ry!r} 0 0 1"
    return (
        f"M {x + rx!r} {y!r} H {right - rx!r} {corner} {right!r} {y + ry!r} V {bottom - ry!r} "
        f"{corner} {right - rx!r} {bottom!r} H {x + rx!r} {corner} {x!r} {bottom - ry!r} "
        f"V {y + ry!r} {corner} {x + rx!r} {y!r} Z"
    )


def _given(attributes: Mapping[str, str], name: str) -> bool:
    return attributes.get(name, "auto").strip() != "auto"


# CSS pixels, which are user units, in one of each: https://www.w3.org/TR/css-values-3/#absolute-lengths.
_UNITS = {"": 1.0, "px": 1.0, "in": 96.0, "cm": 96 / 2.54, "mm": 96 / 25.4, "pt": 96 / 72, "pc": 16.0}


def length(attributes: Mapping[str, str], name: str) -> float:
    """The attribute `name` of an element's `attributes` in user units; 0 when absent or `auto`.

    Raises:
        DataError: it is no number, or one in a unit that depends on the page.
    """
    text = attributes.get(name, "0").strip()
    if text == "auto":
        return 0.0
    number = _NUMBER.match(text)
    unit = text[number.end() :].strip() if number else ""
    if not number or unit not in _UNITS:
        raise DataError(f"has the length {name}={text[:20]!r}; it must be a number, or one in {', '.join(_UNITS)[2:]}")
    return float(number.group()) * _UNITS[unit]


def numbers(name: str, text: str) -> list[str]:
    """The numbers in `text`, as they are written there; `name` says in an error what the text is of.

    Raises:
        DataError: there is anything but numbers, spaces and commas.
    """
    if _NUMBER.sub("", text).strip(_SEPARATORS):
        raise DataError(f"has a {name} with something among its numbers: {text[:40]!r}")
    return _NUMBER.findall(text)


# Radii, rotation in degrees, whether the arc is the large one, whether it sweeps to greater angles.
_ArcSettings: TypeAlias = tuple[complex, float, bool, bool]


def _subpaths(data: str) -> Iterator[tuple[str, dict[int, _ArcSettings]]]:
    """Path data cut before every move and after every close, their numbers checked; lines stand for the arcs.

    Yields:
        The path data of a subpath, and for those of its segments that are arcs, by number, what they are.
    """
    if not data.strip(_SEPARATORS):
        return
    if data.lstrip()[:1] not in ("M", "m"):
        raise DataError(f"has path data that do not begin with a move (M): {data[:40]!r}")
    pieces: list[str] = []
    arcs: dict[int, _ArcSettings] = {}
    segments = 0
    for piece in _COMMAND.findall(data):
        if pieces and (piece[0] in "Mm" or pieces[-1][0] in "Zz"):
            yield " ".join(pieces), arcs
            pieces, arcs, segments = [], {}, 0
        command, is_arc, wanted = piece[0], piece[0] in "Aa", _NUMBERS_OF[piece[0].upper()]
        values = list(_arc_values(piece[1:])) if is_arc else numbers("path", piece[1:])
        if (len(values) % wanted or not values) if wanted else values:
            raise DataError(f"has a path with {len(values)} numbers after {command}; it takes {wanted} at a time")
        # As Python writes them: svgpathtools takes "1.e5" for two numbers.
        values = [repr(float(value)) for value in values]
        if not np.isfinite([float(value) for value in values]).all():
            raise DataError(_NOT_FINITE)
        if is_arc:
            for index in range(0, len(values), wanted):
                rx, ry, rotation, large, sweep = map(float, values[index : index + 5])
                # The sign of a radius means nothing: https://www.w3.org/TR/SVG11/implnote.html#ArcOutOfRangeParameters.
                arcs[segments + index // wanted] = (complex(abs(rx), abs(ry)), rotation, large > 0, sweep > 0)
            command = "l" if command == "a" else "L"
            ends = [value for index, value in enumerate(values) if index % wanted > 4]
            pieces.append(f"{command} {' '.join(ends)}")
        else:
            pieces.append(f"{command} {' '.join(values)}")
        segments += len(values) // max(wanted, 1) - (command in "Mm")
    yield " ".join(pieces), arcs


def _arc_values(text: str) -> Iterator[str]:
    # The two flags are one digit each and need no separator: "0 01-19,0" is 0 0 1 -19 0.
    position = 0
    for pattern in cycle((_NUMBER, _NUMBER, _NUMBER, _FLAG, _FLAG, _NUMBER, _NUMBER)):
        while position < len(text) and text[position] in _SEPARATORS:
            position += 1
        if position == len(text):
            return
        match = pattern.match(text, position)
        if match is None:
            raise DataError(f"has something among an arc's numbers: {text[position : position + 20]!r}")
        position = match.end()
        yield match.group()


def _cubic(segment: Any) -> tuple[complex, complex, complex, complex]:
    from svgpathtools import CubicBezier, QuadraticBezier

    start, end = segment.start, segment.end
    if isinstance(segment, CubicBezier):
        return start, segment.control1, segment.control2, end
    if isinstance(segment, QuadraticBezier):
        return start, start + (segment.control - start) * 2 / 3, end + (segment.control - end) * 2 / 3, end
    return start, start, end, end


def _longer_half_axis(a: np.complex128, b: np.complex128) -> float:
    """The greatest singular value of the matrix whose columns are a and b."""
    squares, difference = abs(a) ** 2 + abs(b) ** 2, abs(a) ** 2 - abs(b) ** 2
    inner = a.real * b.real + a.imag * b.imag
    return float(np.sqrt((squares + np.hypot(difference, 2 * inner)) / 2))
