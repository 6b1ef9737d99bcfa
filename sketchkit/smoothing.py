"""Smoother strokes: a Gaussian along the line, and cut corners. Both ends of a stroke stay where they are."""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np

from sketchkit.blocks import like_input, require_finite
from sketchkit.errors import ParameterError
from sketchkit.places import interpolated, require_room
from sketchkit.ragged import group_of, offsets_of, step_lengths
from sketchkit.sketch import Sketch
from sketchkit.sketch_set import SketchSet

__all__ = ["cut_corners", "smooth"]

Sketches = TypeVar("Sketches", Sketch, SketchSet)

# Each round doubles the points; after ten the line is a curve to the eye, at any size.
_MOST_ROUNDS = 10


def smooth(sketches: Sketches, sigma: float) -> Sketches:
    """Replace each point by the Gaussian mean of the stroke around it, with distance taken along the stroke.

    As many points as before, so every column stays as it is. The mean is over the line, not over its points: how
    densely it was sampled matters little. Beyond its ends a stroke is taken to go on as its own image turned by half
    about the end (odd extension, as in `scipy.signal.filtfilt`), so that the ends stay and a straight line stays
    straight. A closed stroke is not treated as a loop.

    Args:
        sketches: one drawing or many.
        sigma: the standard deviation, in the drawing's units; 0 changes nothing, and more than a stroke's length counts
            as its length (it is then nearly straight).

    Raises:
        ParameterError: `sigma` is negative or not finite.
        DataError: a coordinate is NaN or infinite.

    Example:
        >>> tremor = Sketch.from_strokes([[(0, 0), (1, 1), (2, -1), (3, 1), (4, -1), (5, 0)]])
        >>> [round(float(y), 2) for y in smooth(tremor, 2).points[:, 1]]
        [0.0, 0.04, -0.06, 0.06, -0.04, 0.0]
    """
    if not (math.isfinite(sigma) and sigma >= 0):
        raise ParameterError(f"sigma must be 0 or more, not {sigma}")
    return like_input(sketches, lambda block: _smoothed(require_finite(block), float(sigma)))


def cut_corners(sketches: Sketches, rounds: int = 1) -> Sketches:
    """Cut off each corner a quarter of the way along its two sides; more rounds come near a quadratic B-spline.

    A stroke of n points has 2n - 2 after a round (n of 3 or more). Time and other float columns are interpolated; other
    point columns take the value of the point before.

    Source: Chaikin 1974, https://doi.org/10.1016/0146-664X(74)90028-8; the ends kept, as is usual for open lines.

    Args:
        sketches: one drawing or many.
        rounds: how often, 0 to 10.

    Raises:
        ParameterError: `rounds` is out of range, or the points would not fit in memory.
        DataError: a coordinate is NaN or infinite.

    Example:
        >>> cut_corners(Sketch.from_strokes([[(0, 0), (4, 0), (4, 4)]])).points.tolist()
        [[0.0, 0.0], [3.0, 0.0], [4.0, 1.0], [4.0, 4.0]]
    """
    if rounds != int(rounds) or not 0 <= rounds <= _MOST_ROUNDS:
        raise ParameterError(f"rounds must be a whole number from 0 to {_MOST_ROUNDS}, not {rounds}")

    def cut(block: SketchSet) -> SketchSet:
        way_out = "take fewer rounds, or fewer drawings at a time"
        require_room(len(block.points) * 2.0**rounds, len(block.points), f"{rounds} rounds", way_out)
        for _ in range(int(rounds)):
            block = _without_corners(block)
        return block

    return like_input(sketches, lambda block: cut(require_finite(block)))


def _smoothed(block: SketchSet, sigma: float) -> SketchSet:
    from sketchkit.kernels.smooth import gaussian

    steps = step_lengths(block.points, block.stroke_offsets)
    smoothed = np.empty((len(block.points), 2))
    gaussian(block.points, steps, block.stroke_offsets, sigma, smoothed)
    return block.with_points(smoothed.astype(np.float32))


def _without_corners(block: SketchSet) -> SketchSet:
    lengths = np.diff(block.stroke_offsets)
    offsets = offsets_of(np.where(lengths > 2, 2 * lengths - 2, lengths))
    stroke = group_of(offsets)
    place = np.arange(len(stroke)) - offsets[stroke]
    cornered = lengths[stroke] > 2
    # The start, then three quarters along the first segment, a quarter along the second, ..., and the end.
    left = block.stroke_offsets[stroke] + np.where(cornered, place // 2, place)
    weight = np.where(cornered, np.where(place % 2 == 1, 0.75, 0.25), 0.0)
    filled = lengths > 0
    starts, ends = offsets[:-1][filled], offsets[1:][filled] - 1
    weight[starts], weight[ends] = 0.0, 0.0
    left[ends] = block.stroke_offsets[1:][filled] - 1
    return interpolated(block, left, weight, offsets, block.sketch_offsets)
