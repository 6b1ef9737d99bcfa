"""How abstract a drawing is: one number a drawing and measure, comparable between drawings of any size.

Lengths are in diagonals of the drawing's bounding box, so that scaling a drawing changes none of them. A coordinate
that is NaN or infinite makes the measures of its own drawing NaN (except `strokes`), and of no other.

Sources named below:
    Fan et al. 2020, "Pragmatic inference and visual abstraction enable contextual flexibility during visual
        communication", https://doi.org/10.1007/s42113-019-00058-7: where the viewer needs less detail, drawers use
        fewer strokes, less ink and less time.
    Muhammad et al. 2018, "Learning deep sketch abstraction", https://arxiv.org/abs/1804.04804: abstraction trades
        recognizability against the number of strokes.
    Rubine 1991, "Specifying gestures by example", https://doi.org/10.1145/122718.122753: geometric features of a
        pen stroke.
    Willems et al. 2009, "Iconic and multi-stroke gesture recognition", Pattern Recognition 42, 3303-3312: such
        features as means over the strokes of a drawing.
    Benhamou 2004, "How to reliably estimate the tortuosity of an animal's path",
        https://doi.org/10.1016/j.jtbi.2004.03.016: straightness, after Batschelet 1981.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from sketchkit.blocks import as_block
from sketchkit.errors import ParameterError
from sketchkit.ragged import group_extents, group_of, group_sums, step_lengths
from sketchkit.sketch import Sketch
from sketchkit.sketch_set import SketchSet

__all__ = ["MEASURES", "measure"]

Values = NDArray[np.float64]
Measure = Callable[[SketchSet], Values]

# Quick, Draw!'s own tolerance: 2 of 255 (https://github.com/googlecreativelab/quickdraw-dataset).
_CORNER_TOLERANCE = 2 / 255


def measure(sketches: Sketch | SketchSet | Iterable[Sketch], names: Iterable[str] | None = None) -> dict[str, Values]:
    """Measure the abstraction of drawings: name -> (sketches,) float64; `MEASURES[name].__doc__` defines each.

    Args:
        sketches: one drawing (then each array has one value) or many.
        names: which measures, in this order; all by default.

    Raises:
        ParameterError: a name is not in `MEASURES`.

    Example:
        >>> roof = Sketch.from_strokes([[(0, 4), (3, 0), (6, 4)], [(0, 4), (6, 4)]])
        >>> measure(roof, ["strokes", "corners"])
        {'strokes': array([2.]), 'corners': array([5.])}
    """
    chosen = list(MEASURES if names is None else names)
    unknown = [name for name in chosen if name not in MEASURES]
    if unknown:
        raise ParameterError(f"no measure is called {unknown[0]!r}; there are {', '.join(MEASURES)}")
    block = as_block(sketches)
    finite = np.isfinite(block.points).all(axis=1, keepdims=True)
    if not finite.all():
        # Infinity minus infinity and the like: as NaN, it stays NaN in silence through every measure.
        block = block.with_points(np.where(finite, block.points, np.float32(np.nan)))
    return {name: MEASURES[name](block) for name in chosen}


def strokes(block: SketchSet) -> Values:
    """Number of strokes that have points. Empty drawing: 0.

    Source: Fan et al. 2020; Muhammad et al. 2018.
    """
    filled = np.diff(block.stroke_offsets) > 0
    return group_sums(filled.astype(np.float64), block.sketch_offsets)


def corners(block: SketchSet) -> Values:
    """Number of points left by Douglas-Peucker at 2/255 of the longer side: how much shape there is.

    Unlike the number of points in the file it does not depend on how densely the pen was sampled. One point: 1. Empty
    drawing: 0.

    Source: the tolerance is that of Quick, Draw!'s simplified files.
    """
    from sketchkit.simplifying import rank_points

    point_offsets = block.stroke_offsets[block.sketch_offsets]
    tolerance = _sides(block).max(axis=1, initial=0.0) * _CORNER_TOLERANCE
    significance, _ = rank_points(block)
    counts = group_sums((significance > tolerance[group_of(point_offsets)]).astype(np.float64), point_offsets)
    return np.where(np.isnan(tolerance), np.nan, counts)


def ink(block: SketchSet) -> Values:
    """Length of line, in diagonals of the bounding box. No length, or empty: 0.

    Source: Fan et al. 2020 for ink as a sign of detail; length and diagonal are features 8 and 3 of Rubine 1991.
    """
    return _per_diagonal(block, group_sums(_stroke_lengths(block), block.sketch_offsets))


def stroke_length(block: SketchSet) -> Values:
    """Mean length of a stroke, in diagonals of the bounding box. No length, or empty: 0.

    Source: Willems et al. 2009 for means over strokes; length and diagonal as in `ink`.
    """
    return ink(block) / np.maximum(strokes(block), 1)


def turning(block: SketchSet) -> Values:
    """Total of the absolute angles by which the line turns within strokes, radians. No turn, or empty: 0.

    A repeated point is no turn.

    Source: feature 10 of Rubine 1991, summed over strokes.
    """
    lengths = step_lengths(block.points, block.stroke_offsets)
    # Only steps with a direction count; NaN does, so that it shows.
    moved = np.flatnonzero(lengths != 0)
    steps = block.points[moved].astype(np.float64) - block.points[moved - 1]
    heading = np.arctan2(steps[:, 1], steps[:, 0])
    stroke = group_of(block.stroke_offsets)[moved]
    turns = np.zeros(len(block.points))
    turned = np.remainder(np.diff(heading) + np.pi, 2 * np.pi) - np.pi
    turns[moved[1:]] = np.where(stroke[1:] == stroke[:-1], np.abs(turned), 0.0)
    turns[np.isnan(lengths)] = np.nan
    return group_sums(turns, block.stroke_offsets[block.sketch_offsets])


def straightness(block: SketchSet) -> Values:
    """From first to last point of each stroke as the crow flies, summed, by the length drawn: 0 to 1.

    1 if every stroke is a straight line, 0 if every stroke ends where it began. No length, or empty: 1.

    Source: the straightness index of Benhamou 2004, its numerator and denominator summed over strokes.
    """
    drawn = group_sums(_stroke_lengths(block), block.sketch_offsets)
    filled = np.diff(block.stroke_offsets) > 0
    across = np.zeros(len(filled))
    first, last = block.stroke_offsets[:-1][filled], block.stroke_offsets[1:][filled] - 1
    reach = block.points[last].astype(np.float64) - block.points[first]
    across[filled] = np.hypot(reach[:, 0], reach[:, 1])
    direct = group_sums(across, block.sketch_offsets)
    values = np.ones(len(block))
    np.divide(direct, drawn, out=values, where=drawn != 0)
    return values


def diagonal_angle(block: SketchSet) -> Values:
    """Angle of the bounding box's diagonal, radians: 0 flat, pi/4 square, pi/2 upright. No extent, or empty: pi/4.

    Source: feature 4 of Rubine 1991.
    """
    width, height = _sides(block).T
    return np.where((width == 0) & (height == 0), np.pi / 4, np.arctan2(height, width))


def duration(block: SketchSet) -> Values:
    """Time from the first to the last point, milliseconds. One point, or empty: 0. No time in the file: NaN.

    Source: Fan et al. 2020; feature 13 of Rubine 1991.
    """
    if "time" not in block.point_columns:
        return np.full(len(block), np.nan)
    time = block.point_columns["time"].astype(np.float64)
    first, last = group_extents(time, block.stroke_offsets[block.sketch_offsets])
    return np.where(np.isnan(_sides(block)[:, 0]), np.nan, last - first)


def speed(block: SketchSet) -> Values:
    """Ink per second, in diagonals of the bounding box, pauses between strokes included. No time, or none passed: NaN.

    Source: `ink` by `duration`.
    """
    seconds = duration(block) / 1000
    values = np.full(len(block), np.nan)
    np.divide(ink(block), seconds, out=values, where=seconds > 0)
    return values


# Every public measure by name; add one of your own to have `measure` compute it.
MEASURES: dict[str, Measure] = {
    function.__name__: function
    for function in (
        strokes,
        corners,
        ink,
        stroke_length,
        turning,
        straightness,
        diagonal_angle,
        duration,
        speed,
    )
}


def _sides(block: SketchSet) -> Values:
    """Width and height of each drawing's bounding box, (sketches, 2)."""
    point_offsets = block.stroke_offsets[block.sketch_offsets]
    least, greatest = group_extents(block.points.astype(np.float64), point_offsets)
    return greatest - least


def _stroke_lengths(block: SketchSet) -> Values:
    return group_sums(step_lengths(block.points, block.stroke_offsets), block.stroke_offsets)


def _per_diagonal(block: SketchSet, lengths: Values) -> Values:
    diagonal = np.hypot(*_sides(block).T)
    values = np.zeros(len(block))
    np.divide(lengths, diagonal, out=values, where=diagonal != 0)
    return values
