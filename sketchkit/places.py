"""Places along strokes, and the values there: what resampling, cutting off and rounding corners have in common."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sketchkit.errors import ParameterError
from sketchkit.ragged import group_sums, offsets_of, step_lengths
from sketchkit.sketch_set import SketchSet

__all__ = ["between", "every_step", "interpolated", "require_room"]

# Beyond this a result would fill the memory of most machines (4 GiB of places alone).
_MOST_POINTS = 2**28


def require_room(wanted: float, points: int, asked: str, way_out: str) -> None:
    """Refuse a result of more than 2**28 points, which would not fit in the memory of most machines.

    Args:
        wanted: how many points it would have.
        points: how many points it is made of.
        asked: what the user asked for, as the message begins: "step 0.1".
        way_out: what he can do instead, as it ends.

    Raises:
        ParameterError: it would not fit.
    """
    if wanted > _MOST_POINTS:
        raise ParameterError(f"{asked} would make {wanted:.3g} points of {points}; {way_out}")


def every_step(
    points: NDArray[Any], stroke_offsets: NDArray[np.int64], step: float
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """Places every `step` along each stroke, and its end: `left` and `weight` (places,), and the strokes' offsets.

    The step is in the unit of `points` (points, 2). `stroke_offsets` (strokes + 1,) say where strokes start among the
    points, those that come back (strokes + 1,) where they start among the places.

    Raises:
        ParameterError: there would be more places than fit in memory.
    """
    from sketchkit.kernels.resample import every

    steps = step_lengths(points, stroke_offsets)
    ink = group_sums(steps, stroke_offsets)
    # A last step of next to nothing is float32's rounding: no point is set for it.
    segments = np.maximum(np.ceil(ink / step - 1e-6), 1)
    way_out = "take a longer step, or scale the drawings first (normalize, fit)"
    require_room(float(segments.sum()), len(points), f"step {step}", way_out)
    lengths = np.diff(stroke_offsets)
    offsets = offsets_of(np.where(lengths > 1, segments.astype(np.int64) + 1, lengths))
    left = np.empty(offsets[-1], np.int64)
    weight = np.empty(offsets[-1])
    every(steps, stroke_offsets, offsets, step, left, weight)
    return left, weight, offsets


def between(values: NDArray[Any], left: NDArray[np.int64], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """The values (places,) float64 that lie `weight` of the way from the points `left` to the ones after them.

    `values` (points,) are those at the points.
    """
    right = np.where(weight > 0, left + 1, left)
    start = values[left].astype(np.float64)
    return start + (values[right] - start) * weight


def interpolated(
    block: SketchSet,
    left: NDArray[np.int64],
    weight: NDArray[np.float64],
    stroke_offsets: NDArray[np.int64],
    sketch_offsets: NDArray[np.int64],
) -> SketchSet:
    """The drawings at these places; time and float columns lie between, other columns are those of the point before.

    Args:
        block: the drawings whose points the places lie between.
        left: (places,) int64, the point before each place.
        weight: (places,) float64, 0 to 1, how far along to the next point.
        stroke_offsets: (strokes + 1,) int64, of the places.
        sketch_offsets: (sketches + 1,) int64, of the strokes.
    """
    axes = [between(block.points[:, axis], left, weight) for axis in (0, 1)]
    columns: dict[str, NDArray[Any]] = {}
    for name, values in block.point_columns.items():
        if np.issubdtype(values.dtype, np.floating):
            columns[name] = between(values, left, weight).astype(values.dtype)
        elif name == "time" and np.issubdtype(values.dtype, np.integer):
            columns[name] = np.rint(between(values, left, weight)).astype(values.dtype)
        else:
            columns[name] = values[left]
    return SketchSet(np.stack(axes, axis=1).astype(np.float32), stroke_offsets, sketch_offsets, block.columns, columns)
