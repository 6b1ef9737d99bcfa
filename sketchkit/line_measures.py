"""Measures of the line itself: strokes, their length, shape and time. Sources are listed in `sketchkit.measures`.

Each takes a `block` (sketches; a `Geometry` of them computes only once what several measures need) and gives one
number a drawing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sketchkit.geometry import Geometry
from sketchkit.ragged import group_extents, group_of, group_sums, offsets_of
from sketchkit.sketch_set import SketchSet

__all__ = [
    "closed_strokes",
    "corners",
    "crossings",
    "curvature",
    "duration",
    "ink",
    "longest_stroke",
    "pauses",
    "points",
    "speed",
    "straightness",
    "stroke_length",
    "strokes",
    "travel",
    "turning",
]

Values = NDArray[np.float64]

# A stroke is closed when its ends are nearer to each other than this share of its length.
_CLOSED = 0.1


def strokes(block: SketchSet) -> Values:
    """Number of strokes that have points.

    Unit: strokes
    Same under: place, scale, rotation, sampling
    Degenerate: empty 0; a dot is a stroke; coordinates that are not finite count too.
    Source: Fan et al. 2020; Muhammad et al. 2018
    """
    filled = np.diff(block.stroke_offsets) > 0
    return group_sums(filled.astype(np.float64), block.sketch_offsets)


def points(block: SketchSet) -> Values:
    """Number of points in the file: the length of the sequence that a network reads.

    How densely the pen was sampled is in it; `corners` is without.

    Unit: points
    Same under: place, scale, rotation
    Degenerate: empty 0; coordinates that are not finite count too.
    Source: Ha and Eck 2017
    """
    return np.diff(block.stroke_offsets[block.sketch_offsets]).astype(np.float64)


def corners(block: SketchSet) -> Values:
    """Number of points left by Douglas-Peucker at 2/255 of the longer side: how much shape there is.

    Unit: points
    Same under: place, scale, sampling
    Degenerate: empty 0; one point 1; points that are all equal 2 a stroke.
    Source: Douglas and Peucker 1973; the tolerance is that of Quick, Draw!'s simplified files
    """
    drawn = Geometry.of(block)
    return drawn.if_finite(np.diff(drawn.cornered.stroke_offsets[drawn.sketch_offsets]).astype(np.float64))


def ink(block: SketchSet) -> Values:
    """Length of line.

    Unit: diagonals of the bounding box
    Same under: place, scale, sampling
    Degenerate: empty or no length 0.
    Source: Fan et al. 2020 for ink as a sign of detail; features 8 and 3 of Rubine 1991 for length and diagonal
    """
    drawn = Geometry.of(block)
    return drawn.in_diagonals(drawn.total_ink)


def stroke_length(block: SketchSet) -> Values:
    """Mean length of a stroke.

    Unit: diagonals of the bounding box
    Same under: place, scale, sampling
    Degenerate: empty or no length 0.
    Source: Willems et al. 2009, means over strokes; Berger et al. 2013, the stroke as what abstraction changes
    """
    drawn = Geometry.of(block)
    return ink(drawn) / np.maximum(strokes(drawn), 1)


def longest_stroke(block: SketchSet) -> Values:
    """Share of the ink that is in the longest stroke, 0 to 1.

    Unit: share
    Same under: place, scale, rotation, sampling
    Degenerate: empty or no length 1.
    Source: Muhammad et al. 2018, who rank strokes by what they carry; here by their ink
    """
    drawn = Geometry.of(block)
    _, longest = group_extents(drawn.stroke_ink, drawn.sketch_offsets)
    values = np.ones(len(drawn))
    np.divide(longest, drawn.total_ink, out=values, where=drawn.total_ink != 0)
    return values


def turning(block: SketchSet) -> Values:
    """Total of the absolute angles by which the line turns within strokes; a repeated point is no turn.

    Every tremor of a densely sampled pen is in it: compare only drawings that were sampled alike.

    Unit: radians
    Same under: place, scale, rotation, sampling
    Degenerate: empty or no turn 0.
    Source: feature 10 of Rubine 1991, summed over strokes
    """
    drawn = Geometry.of(block)
    # Only steps with a direction count; NaN does, so that it shows.
    moved = np.flatnonzero(drawn.steps != 0)
    steps = drawn.points[moved].astype(np.float64) - drawn.points[moved - 1]
    heading = np.arctan2(steps[:, 1], steps[:, 0])
    stroke = group_of(drawn.stroke_offsets)[moved]
    turns = np.zeros(len(drawn.points))
    turned = np.remainder(np.diff(heading) + np.pi, 2 * np.pi) - np.pi
    turns[moved[1:]] = np.where(stroke[1:] == stroke[:-1], np.abs(turned), 0.0)
    turns[np.isnan(drawn.steps)] = np.nan
    return group_sums(turns, drawn.point_offsets)


def curvature(block: SketchSet) -> Values:
    """`turning` by `ink`: how much the line turns on its way; compare only drawings that were sampled alike.

    Unit: radians a diagonal of the bounding box
    Same under: place, scale, sampling
    Degenerate: empty or no length 0.
    Source: Willems et al. 2009, curvature; turning and ink as above
    """
    drawn = Geometry.of(block)
    length = ink(drawn)
    values = np.zeros(len(drawn))
    np.divide(turning(drawn), length, out=values, where=length != 0)
    return drawn.if_finite(values)


def straightness(block: SketchSet) -> Values:
    """From first to last point of each stroke as the crow flies, summed, by the length drawn: 0 to 1.

    1 if every stroke is a straight line, 0 if every stroke ends where it began.

    Unit: share
    Same under: place, scale, rotation, sampling
    Degenerate: empty or no length 1.
    Source: the straightness index of Benhamou 2004, its numerator and denominator summed over strokes
    """
    drawn = Geometry.of(block)
    reach = _reach(drawn)
    direct = group_sums(reach, drawn.sketch_offsets)
    values = np.ones(len(drawn))
    np.divide(direct, drawn.total_ink, out=values, where=drawn.total_ink != 0)
    return values


def closed_strokes(block: SketchSet) -> Values:
    """Number of strokes that come back: their ends are nearer to each other than a tenth of their length.

    Unit: strokes
    Same under: place, scale, rotation, sampling
    Degenerate: empty 0; a stroke without length is not closed.
    Source: Willems et al. 2009, closure: distance of the ends by length; here cut at a tenth and counted
    """
    drawn = Geometry.of(block)
    closed = _reach(drawn) < _CLOSED * drawn.stroke_ink
    return drawn.if_finite(group_sums(closed.astype(np.float64), drawn.sketch_offsets))


def crossings(block: SketchSet) -> Values:
    """How often the line crosses itself: pairs of segments between `corners` that share a point inside both.

    The time grows with the pairs of segments that lie above one another: half a minute for 60,000 random long ones.

    Unit: crossings
    Same under: place, scale, sampling
    Degenerate: empty, one line, lines that only touch 0.
    Source: Willems et al. 2009, number of crossings
    """
    from sketchkit.kernels.measure import count_crossings

    drawn = Geometry.of(block)
    values = np.zeros(len(drawn))
    count_crossings(drawn.cornered.points, drawn.cornered.stroke_offsets, drawn.sketch_offsets, values)
    return drawn.if_finite(values)


def travel(block: SketchSet) -> Values:
    """Way of the pen in the air, from the end of each stroke straight to the start of the next one.

    Unit: diagonals of the bounding box
    Same under: place, scale, sampling
    Degenerate: empty, one stroke or no extent 0.
    Source: Willems et al. 2009, pen up against pen down; here the way
    """
    drawn = Geometry.of(block)
    first, last = drawn.ends
    moves = drawn.points[first[1:]].astype(np.float64) - drawn.points[last[:-1]]
    within = drawn.filled_sketch[1:] == drawn.filled_sketch[:-1]
    ways = np.zeros(len(first))
    ways[1:] = np.where(within, np.hypot(moves[:, 0], moves[:, 1]), 0.0)
    return drawn.in_diagonals(group_sums(ways, _filled_offsets(drawn)))


def duration(block: SketchSet) -> Values:
    """Time from the first to the last point.

    Unit: milliseconds
    Same under: place, scale, rotation
    Degenerate: empty or one point 0; no time in the file NaN.
    Source: Fan et al. 2020; Mukherjee et al. 2023 and Berger et al. 2013, who bound it; feature 13 of Rubine 1991
    """
    drawn = Geometry.of(block)
    if "time" not in drawn.point_columns:
        return np.full(len(drawn), np.nan)
    first, last = group_extents(drawn.point_columns["time"].astype(np.float64), drawn.point_offsets)
    return drawn.if_finite(last - first)


def speed(block: SketchSet) -> Values:
    """Ink a second, pauses between strokes included.

    Unit: diagonals of the bounding box a second
    Same under: place, scale
    Degenerate: no time in the file, or none passed, NaN; so for empty and one point.
    Source: `ink` by `duration`; Willems et al. 2009, average velocity
    """
    drawn = Geometry.of(block)
    seconds = duration(drawn) / 1000
    values = np.full(len(drawn), np.nan)
    np.divide(ink(drawn), seconds, out=values, where=seconds > 0)
    return values


def pauses(block: SketchSet) -> Values:
    """Share of the time that passes between strokes, the pen in the air.

    Unit: share
    Same under: place, scale, rotation
    Degenerate: no time in the file, or none passed, NaN; so for empty and one point.
    Source: Willems et al. 2009, pen up against pen down; here the share of the time
    """
    drawn = Geometry.of(block)
    total = duration(drawn)
    values = np.full(len(drawn), np.nan)
    if "time" in drawn.point_columns:
        time = drawn.point_columns["time"].astype(np.float64)
        first, last = drawn.ends
        waits = np.zeros(len(first))
        within = drawn.filled_sketch[1:] == drawn.filled_sketch[:-1]
        waits[1:] = np.where(within, time[first[1:]] - time[last[:-1]], 0.0)
        np.divide(group_sums(waits, _filled_offsets(drawn)), total, out=values, where=total > 0)
    return values


def _reach(drawn: Geometry) -> Values:
    """(strokes,), the distance from the first to the last point."""
    first, last = drawn.ends
    reach = np.zeros(len(drawn.stroke_offsets) - 1)
    across = drawn.points[last].astype(np.float64) - drawn.points[first]
    reach[drawn.filled] = np.hypot(across[:, 0], across[:, 1])
    return reach


def _filled_offsets(drawn: Geometry) -> NDArray[np.int64]:
    return offsets_of(np.bincount(drawn.filled_sketch, minlength=len(drawn)))
