"""One verb for one drawing and for many: a `Sketch` is a block of one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import overload

import numpy as np

from sketchkit.errors import DataError, ParameterError
from sketchkit.sketch import Sketch
from sketchkit.sketch_set import SketchSet

__all__ = ["as_block", "for_kernels", "like_input", "require_finite"]


def as_block(sketches: Sketch | SketchSet | Iterable[Sketch]) -> SketchSet:
    """The drawings of `sketches` as a `SketchSet`: itself, a block of one without a copy, or an iterable gathered.

    Raises:
        ParameterError: it is none of these.
        DataError: offsets do not fit the points: compiled kernels would read beyond them.
    """
    if isinstance(sketches, SketchSet):
        return sketches.validate()
    if isinstance(sketches, Sketch):
        sketch_offsets = np.array([0, len(sketches.offsets) - 1], np.int64)
        return SketchSet(sketches.points, sketches.offsets, sketch_offsets, {}, sketches.point_columns).validate()
    if isinstance(sketches, Iterable):
        return SketchSet.from_sketches(sketches).validate()
    raise ParameterError(f"expected a Sketch, a SketchSet or an iterable of Sketch, not {type(sketches).__name__}")


@overload
def like_input(given: Sketch, operation: Callable[[SketchSet], SketchSet]) -> Sketch: ...
@overload
def like_input(given: SketchSet | Iterable[Sketch], operation: Callable[[SketchSet], SketchSet]) -> SketchSet: ...
def like_input(
    given: Sketch | SketchSet | Iterable[Sketch], operation: Callable[[SketchSet], SketchSet]
) -> Sketch | SketchSet:
    """Apply an `operation` on blocks to what is `given`.

    A `Sketch` comes back as a `Sketch` with its label, key and meta, anything else as a `SketchSet`.
    """
    result = operation(as_block(given))
    if not isinstance(given, Sketch):
        return result
    return Sketch(result.points, result.stroke_offsets, given.label, given.key, given.meta, result.point_columns)


def for_kernels(block: SketchSet) -> SketchSet:
    """The drawings of `block` in arrays that a compiled kernel takes; the block itself where it has such.

    To a kernel a memory-mapped, read-only array is of another kind: it is copied.
    """
    if block.points.flags.carray and block.stroke_offsets.flags.carray and block.sketch_offsets.flags.carray:
        return block
    return SketchSet(
        np.require(block.points, np.float32, ["C", "A", "W"]),
        np.require(block.stroke_offsets, np.int64, ["C", "A", "W"]),
        np.require(block.sketch_offsets, np.int64, ["C", "A", "W"]),
        block.columns,
        block.point_columns,
    )


def require_finite(block: SketchSet) -> SketchSet:
    """The `block` itself, when all its coordinates are finite.

    Raises:
        DataError: a point is NaN or infinite; the message names the first one.
    """
    finite = np.isfinite(block.points)
    if finite.all():
        return block
    point = int(np.flatnonzero(~finite.all(axis=1))[0])
    sketch = int(np.searchsorted(block.stroke_offsets[block.sketch_offsets], point, side="right")) - 1
    x, y = block.points[point].tolist()
    raise DataError(
        f"sketch {sketch} has the point ({x}, {y}); coordinates must be finite. "
        "SketchSet.keep_points(np.isfinite(drawings.points).all(axis=1)) drops such points"
    )
