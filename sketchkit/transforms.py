"""Drawings to drawings: place, resample, cut off, vary.

Every transform takes one drawing or many and returns the same kind; label, key, columns and point columns go along, and
the input stays as it was. Coordinates must be finite (`DataError`), except in `drop_strokes`, which does not look.
"""

from __future__ import annotations

import math
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from sketchkit.blocks import like_input, require_finite
from sketchkit.errors import DataError, ParameterError
from sketchkit.places import every_step, interpolated
from sketchkit.ragged import group_extents, group_of, group_sums, offsets_of, step_lengths
from sketchkit.sketch import Sketch
from sketchkit.sketch_set import SketchSet

__all__ = ["drop_strokes", "fit", "jitter", "normalize", "resample", "truncate"]

Sketches = TypeVar("Sketches", Sketch, SketchSet)


def normalize(sketches: Sketches) -> Sketches:
    """Center each drawing on the origin and scale it so that its longer side is 1, aspect kept.

    A drawing without extent (a point) is only moved.

    Args:
        sketches: in any units.

    Raises:
        DataError: a coordinate is NaN or infinite.

    Example:
        >>> normalize(Sketch.from_strokes([[(10, 10), (14, 12)]])).points.tolist()
        [[-0.5, -0.25], [0.5, 0.25]]
    """
    return like_input(sketches, lambda block: _placed(block, 1.0, np.zeros(2)))


def fit(
    sketches: Sketches, size: float, margin: float = 0.0, *, align: Literal["center", "corner"] = "center"
) -> Sketches:
    """Scale each drawing into the square from 0 to `size`, aspect kept, so that its longer side fills it.

    A drawing without extent (a point) is only moved.

    Args:
        sketches: one drawing or many.
        size: the side of the square, in the units that points get.
        margin: what stays free on each side, as a share of `size`, as in `Canvas`; 0 to below 0.5.
        align: "center" puts the drawing in the middle, "corner" at the top left.

    Raises:
        ParameterError: an argument is out of range.
        DataError: a coordinate is NaN or infinite.

    Example:
        >>> fit(Sketch.from_strokes([[(0, 0), (4, 2)]]), 100, margin=0.1).points.tolist()
        [[10.0, 30.0], [90.0, 70.0]]
    """
    _require(math.isfinite(size) and size > 0, f"size must be positive, not {size}")
    _require(0 <= margin < 0.5, f"margin is a share of the size, from 0 to below 0.5, not {margin}")
    _require(align in ("center", "corner"), f"align must be 'center' or 'corner', not {align!r}")
    side = size * (1 - 2 * margin)
    if align == "corner":
        return like_input(sketches, lambda block: _placed(block, side, np.full(2, size * margin), corner=True))
    return like_input(sketches, lambda block: _placed(block, side, np.full(2, size / 2)))


def resample(sketches: Sketches, step: float) -> Sketches:
    """Points every `step` along each stroke; both ends stay, so the last step may be shorter.

    Time and other float columns are interpolated; other point columns take the value of the point before.

    Args:
        sketches: one drawing or many.
        step: the distance along the stroke, in the drawing's units.

    Raises:
        ParameterError: `step` is not positive, or so short that the points would not fit in memory.
        DataError: a coordinate is NaN or infinite.

    Example:
        >>> resample(Sketch.from_strokes([[(0, 0), (3, 0), (3, 2)]]), 2).points.tolist()
        [[0.0, 0.0], [2.0, 0.0], [3.0, 1.0], [3.0, 2.0]]
    """
    _require(math.isfinite(step) and step > 0, f"step must be positive, not {step}")
    return like_input(sketches, lambda block: _resampled(require_finite(block), float(step)))


def truncate(sketches: Sketches, fraction: float, *, by: Literal["ink", "time"] = "ink") -> Sketches:
    """The first part of each drawing, in drawing order, in ink (length of line) or in time.

    The segment on which the share is reached is cut there; strokes not yet begun are removed. A stroke without length
    (a dot) costs no ink: it is there when all strokes before it are. Time runs from a drawing's first moment to its
    last, with the pauses between strokes.

    Args:
        sketches: one drawing or many.
        fraction: the share of the drawing's ink or time; above 0, at most 1.
        by: "ink", or "time", which needs the point column `time`.

    Raises:
        ParameterError: `fraction` is out of range, or `by` is neither.
        DataError: a coordinate is NaN or infinite; or, by time, the drawings carry no time or one that is not finite.

    Example:
        >>> truncate(Sketch.from_strokes([[(0, 0), (6, 0)], [(0, 5), (2, 5)]]), 0.5).points.tolist()
        [[0.0, 0.0], [4.0, 0.0]]
        >>> slow_start = Sketch.from_strokes([[(0, 0), (2, 0), (6, 0)]], time=[[0, 50, 100]])
        >>> truncate(slow_start, 0.5, by="time").points.tolist()
        [[0.0, 0.0], [2.0, 0.0]]
    """
    _require(0 < fraction <= 1, f"fraction must be above 0 and at most 1, not {fraction}")
    _require(by in ("ink", "time"), f"by must be 'ink' or 'time', not {by!r}")
    first = _first_by_ink if by == "ink" else _first_by_time
    return like_input(sketches, lambda block: first(require_finite(block), float(fraction)))


def jitter(
    sketches: Sketches,
    *,
    seed: int | np.random.Generator,
    rotation: float = 10.0,
    scale: float = 0.1,
    shift: float = 0.05,
) -> Sketches:
    """Rotate, scale and shift each drawing a little, each by its own draw, uniform in the ranges given.

    The first drawings of a set are varied the same however many follow.

    Args:
        sketches: one drawing or many.
        seed: the same seed gives the same result; a generator is drawn from.
        rotation: at most so many degrees either way, about the middle of the drawing's box.
        scale: by a factor between 1 - `scale` and 1 + `scale`, about the same point; 0 to below 1.
        shift: along x and along y, at most this share of the drawing's longer side.

    Raises:
        ParameterError: a range is out of range.
        DataError: a coordinate is NaN or infinite.
    """
    _require(math.isfinite(rotation) and rotation >= 0, f"rotation must be 0 or more degrees, not {rotation}")
    _require(0 <= scale < 1, f"scale must be 0 or more and below 1, not {scale}")
    _require(math.isfinite(shift) and shift >= 0, f"shift must be 0 or more, not {shift}")
    generator = np.random.default_rng(seed)
    ranges = np.array([math.radians(rotation), scale, shift, shift])

    def varied(block: SketchSet) -> SketchSet:
        return _moved(require_finite(block), generator.uniform(-1, 1, (len(block), 4)) * ranges)

    return like_input(sketches, varied)


def drop_strokes(sketches: Sketches, *, seed: int | np.random.Generator, probability: float = 0.1) -> Sketches:
    """Remove each stroke with this probability, but never all that a drawing has.

    The first drawings of a set lose the same strokes however many follow.

    Args:
        sketches: one drawing or many.
        seed: the same seed gives the same result; a generator is drawn from.
        probability: 0 to 1; at 1 one stroke stays.

    Raises:
        ParameterError: `probability` is out of range.
    """
    _require(0 <= probability <= 1, f"probability must be 0 to 1, not {probability}")
    generator = np.random.default_rng(seed)

    def thinned(block: SketchSet) -> SketchSet:
        draws = generator.uniform(size=len(block.stroke_offsets) - 1)
        # The stroke with the greatest draw would be the last to go: it always stays. An empty one cannot stand in.
        standing = np.where(np.diff(block.stroke_offsets) > 0, draws, -1.0)
        _, greatest = group_extents(standing, block.sketch_offsets)
        stays = (standing >= 0) & (standing == greatest[group_of(block.sketch_offsets)])
        return block.keep_strokes((draws >= probability) | stays)

    return like_input(sketches, thinned)


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ParameterError(otherwise)


def _placed(block: SketchSet, side: float, anchor: NDArray[np.float64], *, corner: bool = False) -> SketchSet:
    """Longer side to `side`; the middle of each box (or its top left corner) to `anchor`."""
    point_offsets = block.stroke_offsets[require_finite(block).sketch_offsets]
    points = block.points.astype(np.float64)
    least, greatest = group_extents(points, point_offsets)
    longer = (greatest - least).max(axis=1, initial=0.0)
    factor = side / np.where(longer > 0, longer, side)
    origin = least if corner else (least + greatest) / 2
    sketch = group_of(point_offsets)
    return block.with_points(((points - origin[sketch]) * factor[sketch, None] + anchor).astype(np.float32))


def _moved(block: SketchSet, draws: NDArray[np.float64]) -> SketchSet:
    """Each drawing turned by draws[:, 0] radians, scaled by 1 + draws[:, 1], shifted by draws[:, 2:] of its side."""
    point_offsets = block.stroke_offsets[block.sketch_offsets]
    points = block.points.astype(np.float64)
    least, greatest = group_extents(points, point_offsets)
    middle = (least + greatest) / 2
    shift = draws[:, 2:] * (greatest - least).max(axis=1, initial=0.0)[:, None]
    factor = 1 + draws[:, 1]
    cosine, sine = np.cos(draws[:, 0]) * factor, np.sin(draws[:, 0]) * factor
    sketch = group_of(point_offsets)
    x, y = (points - middle[sketch]).T
    turned = np.stack([cosine[sketch] * x - sine[sketch] * y, sine[sketch] * x + cosine[sketch] * y], axis=1)
    return block.with_points((turned + (middle + shift)[sketch]).astype(np.float32))


def _resampled(block: SketchSet, step: float) -> SketchSet:
    left, weight, offsets = every_step(block.points, block.stroke_offsets, step)
    return interpolated(block, left, weight, offsets, block.sketch_offsets)


def _first_by_ink(block: SketchSet, fraction: float) -> SketchSet:
    from sketchkit.kernels.resample import until

    if fraction == 1:
        return block.keep_strokes(np.ones(len(block.stroke_offsets) - 1, bool))
    steps = step_lengths(block.points, block.stroke_offsets)
    ink = group_sums(steps, block.stroke_offsets)
    counts = np.empty(len(ink), np.int64)
    beyond = np.empty(len(ink))
    until(steps, ink, block.stroke_offsets, block.sketch_offsets, fraction, counts, beyond)
    return _cut(block, counts, beyond)


def _first_by_time(block: SketchSet, fraction: float) -> SketchSet:
    if "time" not in block.point_columns:
        raise DataError(
            'the drawings carry no time; cut them by="ink", or read a format that has it (raw Quick, Draw!)'
        )
    time = block.point_columns["time"].astype(np.float64)
    sketch_points = block.stroke_offsets[block.sketch_offsets]
    sketch = group_of(sketch_points)
    if not np.isfinite(time).all():
        point = int(np.flatnonzero(~np.isfinite(time))[0])
        raise DataError(f"sketch {sketch[point]} has a point at time {time[point]}; times must be finite")
    least, greatest = group_extents(time, sketch_points)
    # Rounding must not take the last moment away.
    limit = greatest if fraction == 1 else least + fraction * (greatest - least)
    # In drawing order, from the first point that is too late on, nothing is left, whatever time later points claim.
    late = np.flatnonzero(time > limit[sketch])
    end = sketch_points[1:].copy()
    np.minimum.at(end, sketch[late], late)
    starts, stops = block.stroke_offsets[:-1], block.stroke_offsets[1:]
    stroke_end = end[group_of(block.sketch_offsets)]
    begun = (starts < stroke_end) | (stroke_end == sketch_points[1:][group_of(block.sketch_offsets)])
    counts = np.where(begun, np.clip(stroke_end, starts, stops) - starts, -1)
    beyond = np.zeros(len(counts))
    inside = np.flatnonzero((counts > 0) & (stroke_end < stops))
    next_point = stroke_end[inside]
    before, after = time[next_point - 1], time[next_point]
    beyond[inside] = (limit[group_of(block.sketch_offsets)][inside] - before) / (after - before)
    return _cut(block, counts, beyond)


def _cut(block: SketchSet, counts: NDArray[np.int64], beyond: NDArray[np.float64]) -> SketchSet:
    """The first `counts` points of each stroke and a last one `beyond` of the way to the next; none of those at -1."""
    cut = beyond > 0
    offsets = offsets_of(np.maximum(counts, 0) + cut)
    stroke = group_of(offsets)
    left = block.stroke_offsets[stroke] + np.arange(len(stroke)) - offsets[stroke]
    weight = np.zeros(len(left))
    ends = offsets[1:][cut] - 1
    left[ends] -= 1
    weight[ends] = beyond[cut]
    return interpolated(block, left, weight, offsets, block.sketch_offsets).keep_strokes(counts >= 0)
