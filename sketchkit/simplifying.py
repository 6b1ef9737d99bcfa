"""Fewer points: Douglas-Peucker by a tolerance or by a budget."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from sketchkit.blocks import as_block, like_input, require_finite
from sketchkit.errors import ParameterError
from sketchkit.ragged import group_sums, step_lengths
from sketchkit.sketch import Sketch
from sketchkit.sketch_set import SketchSet
from sketchkit.transforms import fit, resample

__all__ = ["quickdraw_simplify", "rank_points", "significance", "simplify"]

Sketches = TypeVar("Sketches", Sketch, SketchSet)


def simplify(
    sketches: Sketches,
    epsilon: float | None = None,
    *,
    max_points: int | None = None,
    metric: Literal["segment", "line"] = "segment",
) -> Sketches:
    """Leave out the points that matter least, by Douglas-Peucker.

    Both ends of a stroke stay. With `epsilon` the result equals shapely's `simplify(preserve_topology=False)`. With
    `max_points` each drawing keeps its most significant points, whatever stroke they are in; where even the ends of
    the strokes are more than that, whole strokes are removed, those with the least ink first.

    Peers differ in what they measure: shapely, simplification and pybind11-rdp the distance to the segment between two
    points kept, which is right for hooked and closed strokes; rdp and fastrdp that to the whole line through them.

    Source: Douglas and Peucker 1973, https://doi.org/10.3138/FM57-6770-U75U-7727.

    Args:
        sketches: one drawing or many.
        epsilon: how far a point left out may lie from the line, in the drawing's units; 0 or more.
        max_points: the most points a drawing may have; 2 or more.
        metric: "segment", or "line" as in rdp; the line lets points beyond the ends of a segment go.

    Raises:
        ParameterError: not exactly one of `epsilon` and `max_points` is given, or it is out of range.
        DataError: a coordinate is NaN or infinite.

    Example:
        >>> bump = Sketch.from_strokes([[(0, 0), (5, 1), (9, 0), (9, 7)]])
        >>> simplify(bump, 2).points.tolist()
        [[0.0, 0.0], [9.0, 0.0], [9.0, 7.0]]
        >>> len(simplify(bump, max_points=2).points)
        2
    """
    if (epsilon is None) == (max_points is None):
        raise ParameterError("give exactly one of epsilon and max_points")
    if metric not in ("segment", "line"):
        raise ParameterError(f"metric must be 'segment' or 'line', not {metric!r}")
    line = metric == "line"
    if epsilon is not None:
        if not (epsilon >= 0 and math.isfinite(epsilon)):
            raise ParameterError(f"epsilon must be 0 or more, not {epsilon}")
        tolerance = float(epsilon)
        return like_input(sketches, lambda block: _within(require_finite(block), tolerance, line))
    if max_points is None or max_points != int(max_points) or max_points < 2:
        raise ParameterError(f"max_points must be a whole number of at least 2, a stroke's two ends, not {max_points}")
    budget = int(max_points)
    return like_input(sketches, lambda block: _at_most(require_finite(block), budget, line))


def significance(sketches: Sketch | SketchSet | Iterable[Sketch]) -> NDArray[np.float64]:
    """For each point, (points,), the epsilon at which `simplify` drops it; infinity for both ends of a stroke.

    Never more than that of the point which split the stroke before it, so any threshold is a valid simplification.

    Raises:
        DataError: a coordinate is NaN or infinite.
    """
    return rank_points(require_finite(as_block(sketches)))[0]


def quickdraw_simplify(sketches: Sketches) -> Sketches:
    """Make raw Quick, Draw! drawings like the published simplified ones.

    Minimum to 0, longer side to 255, points every 1 unit, Douglas-Peucker at 2. The published files then hold whole
    numbers and no time; here neither is taken away.

    Source: https://github.com/googlecreativelab/quickdraw-dataset, "Simplified Drawing files".

    Raises:
        DataError: a coordinate is NaN or infinite.
    """
    return like_input(sketches, lambda block: simplify(resample(fit(block, 255.0, align="corner"), 1.0), 2.0))


def rank_points(
    block: SketchSet, floor: float = 0.0, *, line: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Significance and depth of each point, (points,) both; points of at most `floor` may share one value.

    Coordinates that are not finite give values without meaning in their own stroke, nowhere else.
    """
    from sketchkit.kernels.simplify import rank

    values = np.empty(len(block.points))
    depth = np.empty(len(block.points), np.int64)
    rank(block.points, block.stroke_offsets, floor, line, values, depth)
    return values, depth


def _within(block: SketchSet, epsilon: float, line: bool) -> SketchSet:
    from sketchkit.kernels.simplify import within

    # Pages of memory that are never written to cost nothing.
    points = np.empty_like(block.points)
    offsets = np.empty_like(block.stroke_offsets)
    kept = np.empty(len(points) if block.point_columns else 0, np.int64)
    within(block.points, block.stroke_offsets, epsilon, line, points, offsets, kept)
    count = int(offsets[-1])
    columns = {name: values[kept[:count]] for name, values in block.point_columns.items()}
    return SketchSet(points[:count].copy(), offsets, block.sketch_offsets, block.columns, columns)


def _at_most(block: SketchSet, max_points: int, line: bool) -> SketchSet:
    from sketchkit.kernels.simplify import cut

    values, depth = rank_points(block, line=line)
    keep_points = np.ones(len(block.points), bool)
    keep_strokes = np.ones(len(block.stroke_offsets) - 1, bool)
    ink = group_sums(step_lengths(block.points, block.stroke_offsets), block.stroke_offsets)
    cut(values, depth, ink, block.stroke_offsets, block.sketch_offsets, max_points, keep_points, keep_strokes)
    return block.keep_points(keep_points).keep_strokes(keep_strokes)
