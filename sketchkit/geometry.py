"""What several measures need of the same drawings, computed once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sketchkit.ragged import group_extents, group_of, group_sums, step_lengths
from sketchkit.sketch_set import SketchSet

__all__ = ["CELLS", "Geometry"]

Values = NDArray[np.float64]

# Quick, Draw!'s own tolerance: 2 of 255 (https://github.com/googlecreativelab/quickdraw-dataset).
_CORNER_TOLERANCE = 2 / 255
CELLS = 32


@dataclass(frozen=True, eq=False, repr=False)
class Geometry(SketchSet):
    """A set of drawings with lengths, boxes, corners and cells, each computed when first asked for.

    Points with a coordinate that is infinite are taken as NaN: everything of their drawing is NaN then.
    """

    @classmethod
    def of(cls, block: SketchSet) -> Geometry:
        """The `block` itself when it is a `Geometry` already, else one over the same arrays."""
        if isinstance(block, Geometry):
            return block
        points = block.points
        finite = np.isfinite(points).all(axis=1, keepdims=True)
        if not finite.all():
            # Infinity minus infinity and the like warn; NaN goes through in silence.
            points = np.where(finite, points, np.float32(np.nan))
        return cls(points, block.stroke_offsets, block.sketch_offsets, block.columns, block.point_columns)

    def if_finite(self, values: Values) -> Values:
        """The `values`, (sketches,) both, but NaN for drawings with a coordinate that is not finite."""
        return np.where(np.isnan(self.sides[:, 0]), np.nan, values)

    def in_diagonals(self, lengths: Values) -> Values:
        """The `lengths`, (sketches,) both, in diagonals of each drawing's bounding box; 0 where it has no extent."""
        values = np.zeros(len(self))
        np.divide(lengths, self.diagonal, out=values, where=self.diagonal != 0)
        return values

    @cached_property
    def point_offsets(self) -> NDArray[np.int64]:
        """(sketches + 1,), where each drawing's points start."""
        return self.stroke_offsets[self.sketch_offsets]

    @cached_property
    def box(self) -> tuple[Values, Values]:
        """The least and the greatest x and y of each drawing, (sketches, 2) both."""
        return group_extents(self.points.astype(np.float64), self.point_offsets)

    @cached_property
    def sides(self) -> Values:
        """Width and height of each drawing's bounding box, (sketches, 2)."""
        least, greatest = self.box
        return greatest - least

    @cached_property
    def diagonal(self) -> Values:
        """(sketches,), of the bounding box."""
        diagonal: Values = np.hypot(self.sides[:, 0], self.sides[:, 1])
        return diagonal

    @cached_property
    def steps(self) -> Values:
        """(points,), the distance from the point before in the stroke; 0 for the first."""
        return step_lengths(self.points, self.stroke_offsets)

    @cached_property
    def stroke_ink(self) -> Values:
        """(strokes,), the length of each stroke."""
        return group_sums(self.steps, self.stroke_offsets)

    @cached_property
    def total_ink(self) -> Values:
        """(sketches,), the length of all strokes."""
        return group_sums(self.stroke_ink, self.sketch_offsets)

    @cached_property
    def filled(self) -> NDArray[np.int64]:
        """The strokes that have points, (filled,)."""
        return np.flatnonzero(np.diff(self.stroke_offsets))

    @cached_property
    def ends(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The first and the last point of each stroke that has points, (filled,) both."""
        return self.stroke_offsets[self.filled], self.stroke_offsets[self.filled + 1] - 1

    @cached_property
    def filled_sketch(self) -> NDArray[np.int64]:
        """(filled,), the drawing of each stroke that has points."""
        return group_of(self.sketch_offsets)[self.filled]

    @cached_property
    def cornered(self) -> SketchSet:
        """The drawings with their corners only: Douglas-Peucker at 2/255 of each one's longer side."""
        from sketchkit.simplifying import rank_points

        tolerance = self.sides.max(axis=1, initial=0.0) * _CORNER_TOLERANCE
        significance, _ = rank_points(self)
        return self.keep_points(significance > np.repeat(tolerance, np.diff(self.point_offsets)))

    @cached_property
    def placing(self) -> tuple[Values, Values]:
        """Origin (sketches, 2) and side (sketches,) of the square around each drawing, its box in the middle."""
        least, greatest = self.box
        side = self.sides.max(axis=1, initial=0.0)
        return (least + greatest - side[:, None]) / 2, side

    @cached_property
    def cells(self) -> tuple[Values, Values]:
        """Ink in each cell of the square around a drawing, and ink over earlier strokes.

        The first is (sketches, CELLS, CELLS) by row and column, the second (sketches,), both in sides of a cell: the
        ink that lies in cells where an earlier stroke has been.
        """
        from sketchkit.kernels.measure import ink_in_cells

        origin, side = self.placing
        ink = np.zeros((len(self), CELLS, CELLS))
        again = np.zeros(len(self))
        ink_in_cells(self.points, self.stroke_offsets, self.sketch_offsets, origin, side, ink, again)
        return ink, again
