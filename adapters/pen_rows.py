"""Drawings as the canvas selector reads them: few points, absolute stroke-5 rows, in 0..1; without torch."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from sketchkit.blocks import as_block, for_kernels, require_finite
from sketchkit.errors import ParameterError
from sketchkit.ragged import group_of, group_sums, ranges, step_lengths
from sketchkit.sketch import Sketch
from sketchkit.sketch_set import SketchSet

__all__ = ["pen_rows", "ragged_pen_rows"]

_NO_INK = np.empty(0)


def pen_rows(
    sketches: Sketch | SketchSet | Iterable[Sketch], points: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Rows (x, y, p1, p2, p3), coordinates in 0..1 over the longer side; see `sketchkit.sequences` for the pen.

    Args:
        sketches: one drawing or many; an empty one is a single end row.
        points: the most of a drawing; Douglas-Peucker leaves out the others.

    Returns:
        (batch, steps, 5) float32, padded with zeros, and (batch,) int64 lengths.

    Raises:
        DataError: a coordinate is NaN or infinite.

    Example:
        >>> from sketchkit import Sketch
        >>> rows, lengths = pen_rows(Sketch.from_strokes([[(0, 0), (4, 2)]]), points=64)
        >>> rows[0].tolist()
        [[0.0, 0.0, 1.0, 0.0, 0.0], [1.0, 0.5, 0.0, 1.0, 0.0], [1.0, 0.5, 0.0, 0.0, 1.0]]
    """
    rows, offsets = ragged_pen_rows(sketches, points)
    lengths = np.diff(offsets)
    if len(lengths) == 1:
        return rows[None], lengths
    padded = np.zeros((len(lengths), int(lengths.max(initial=1)), 5), np.float32)
    padded[group_of(offsets), ranges(np.zeros(len(lengths), np.int64), lengths)] = rows
    return padded, lengths


def ragged_pen_rows(
    sketches: Sketch | SketchSet | Iterable[Sketch], points: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """What `pen_rows` gives of `sketches` and `points`, without padding.

    Returns:
        (rows, 5) float32 of all drawings one after another, and (batch + 1,) int64 offsets.
    """
    from sketchkit.kernels.pen import NEEDS_INK, NOT_FINITE, pen_rows

    if points < 2:
        raise ParameterError(f"points must be at least 2, a stroke's two ends, not {points}")
    block = for_kernels(as_block(sketches))
    drawings = block.points, block.stroke_offsets, block.sketch_offsets
    rows = np.empty((min(len(block.points), points * len(block)) + len(block), 5), np.float32)
    offsets = np.empty(len(block) + 1, np.int64)
    count = pen_rows(*drawings, _NO_INK, points, rows, offsets)
    if count == NOT_FINITE:
        require_finite(block)
    if count == NEEDS_INK:
        ink = group_sums(step_lengths(block.points, block.stroke_offsets), block.stroke_offsets)
        count = pen_rows(*drawings, ink, points, rows, offsets)
    return rows[:count], offsets
