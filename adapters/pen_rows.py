"""Drawings as the canvas selector reads them: few points, absolute stroke-5 rows, in 0..1; without torch."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from sketchkit.blocks import as_block
from sketchkit.ragged import group_extents, group_of, offsets_of, ranges
from sketchkit.simplifying import simplify
from sketchkit.sketch import Sketch
from sketchkit.sketch_set import SketchSet

__all__ = ["pen_rows", "ragged_pen_rows"]


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
    padded = np.zeros((len(lengths), int(lengths.max(initial=1)), 5), np.float32)
    padded[group_of(offsets), ranges(np.zeros(len(lengths), np.int64), lengths)] = rows
    return padded, lengths


def ragged_pen_rows(
    sketches: Sketch | SketchSet | Iterable[Sketch], points: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """As `pen_rows`, without padding: (rows, 5) of all drawings one after another, and (batch + 1,) offsets."""
    block = simplify(as_block(sketches), max_points=points)
    counts = np.diff(block.stroke_offsets[block.sketch_offsets])
    offsets = offsets_of(counts + 1)
    return _rows(block, offsets_of(counts), offsets), offsets


def _rows(block: SketchSet, point_offsets: NDArray[np.int64], row_offsets: NDArray[np.int64]) -> NDArray[np.float32]:
    """All drawings' rows one after another: points, then an end row at the last position (0, 0 when there is none)."""
    least, greatest = group_extents(block.points.astype(np.float64), point_offsets)
    side = (greatest - least).max(axis=1, initial=0)
    sketch = group_of(point_offsets)
    scaled = (block.points - least[sketch]) / np.where(side > 0, side, 1)[sketch, None]
    rows = np.zeros((int(row_offsets[-1]), 5), np.float32)
    place = np.arange(len(scaled)) + sketch
    rows[place, :2] = scaled
    rows[place, 2] = 1
    lifts = place[block.stroke_offsets[1:][np.diff(block.stroke_offsets) > 0] - 1]
    rows[lifts, 2], rows[lifts, 3] = 0, 1
    ends = row_offsets[1:] - 1
    filled = np.diff(point_offsets) > 0
    rows[ends[filled], :2] = rows[ends[filled] - 1, :2]
    rows[ends, 4] = 1
    return rows
