"""Measures of where the ink is, and of how much there is to tell. Sources are listed in `sketchkit.measures`.

Each takes a `block` (sketches; a `Geometry` of them computes only once what several measures need) and gives one
number a drawing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sketchkit.geometry import CELLS, Geometry
from sketchkit.ragged import group_of, group_sums
from sketchkit.sketch_set import SketchSet

__all__ = ["box_dimension", "coverage", "description_length", "diagonal_angle", "ink_entropy", "off_center", "overlap"]

Values = NDArray[np.float64]

# Less ink than this, in sides of a cell, does not count as touching it: it is rounding at the border.
_TOUCH = 1e-3
_ENTROPY_CELLS = 8
_LEVELS = 255


def diagonal_angle(block: SketchSet) -> Values:
    """Angle of the bounding box's diagonal: 0 flat, pi/4 square, pi/2 upright.

    Unit: radians
    Same under: place, scale, sampling
    Degenerate: empty or no extent pi/4.
    Source: feature 4 of Rubine 1991
    """
    width, height = Geometry.of(block).sides.T
    return np.where((width == 0) & (height == 0), np.pi / 4, np.arctan2(height, width))


def off_center(block: SketchSet) -> Values:
    """Distance of the ink's center of mass from the middle of the bounding box.

    Unit: diagonals of the bounding box
    Same under: place, scale, sampling
    Degenerate: empty or no length 0.
    Source: Willems et al. 2009, centroid offset; here of the line, not of its points
    """
    drawn = Geometry.of(block)
    least, greatest = drawn.box
    middle = (least + greatest) / 2
    away = drawn.points.astype(np.float64) - np.repeat(middle, np.diff(drawn.point_offsets), axis=0)
    halfway = away.copy()
    halfway[1:] = (away[1:] + away[:-1]) / 2
    # A stroke's first point has no step, and what is before it may be NaN.
    moved = drawn.steps != 0
    moments = [group_sums(np.where(moved, drawn.steps * halfway[:, axis], 0.0), drawn.point_offsets) for axis in (0, 1)]
    distance = np.zeros(len(drawn))
    np.divide(np.hypot(*moments), drawn.total_ink, out=distance, where=drawn.total_ink != 0)
    return drawn.if_finite(drawn.in_diagonals(distance))


def coverage(block: SketchSet) -> Values:
    """Share of the cells with ink, of 32 x 32 on the square around the drawing.

    Unit: share
    Same under: place, scale, sampling
    Degenerate: empty or no length 0; a dot has no ink.
    Source: Delaye and Anquetil 2013, ink by cells; the share with any is box counting (Mandelbrot 1982) at one scale
    """
    drawn = Geometry.of(block)
    return drawn.if_finite(_touched(drawn).mean(axis=(1, 2)))


def ink_entropy(block: SketchSet) -> Values:
    """Shannon entropy of the ink's share in each of 8 x 8 cells on the square around the drawing: 0 to 6.

    0 if all ink is in one cell, 6 if it is spread evenly.

    Unit: bits
    Same under: place, scale, sampling
    Degenerate: empty or no length 0.
    Source: Shannon 1948, over cells (Delaye and Anquetil 2013); Donderi 2006 for information as complexity
    """
    drawn = Geometry.of(block)
    fold = CELLS // _ENTROPY_CELLS
    mass = drawn.cells[0].reshape(len(drawn), _ENTROPY_CELLS, fold, _ENTROPY_CELLS, fold).sum(axis=(2, 4))
    total = mass.sum(axis=(1, 2), keepdims=True)
    share = mass / np.where(total == 0, 1.0, total)
    # 0 log 0 is 0, and 0 - 0 no minus nought.
    values: Values = 0.0 - (share * np.log2(np.where(share > 0, share, 1.0))).sum(axis=(1, 2))
    return drawn.if_finite(values)


def box_dimension(block: SketchSet) -> Values:
    """Slope of log cells with ink over log cells a side, at 4, 8, 16 and 32 a side: 1 for a line, 2 for a filled page.

    Unit: none
    Same under: place, scale, sampling
    Degenerate: empty or no length 0.
    Source: Mandelbrot 1982, the box-counting dimension, here of one range of scales
    """
    drawn = Geometry.of(block)
    level = _touched(drawn)
    slope = np.zeros(len(drawn))
    # Least squares over log2 of 32, 16, 8, 4: the distances from their mean, by the sum of their squares.
    for weight in (0.3, 0.1, -0.1, -0.3):
        slope += weight * np.log2(np.maximum(level.sum(axis=(1, 2)), 1))
        level = level[:, ::2] | level[:, 1::2]
        level = level[:, :, ::2] | level[:, :, 1::2]
    return drawn.if_finite(slope)


def overlap(block: SketchSet) -> Values:
    """Share of the ink that lies where an earlier stroke has been, in the same of 32 x 32 cells: shading, drawing over.

    Unit: share
    Same under: place, scale, sampling
    Degenerate: empty, one stroke or no length 0.
    Source: Ku et al. 2006, overtracing; here by cells
    """
    drawn = Geometry.of(block)
    mass, again = drawn.cells
    total = mass.sum(axis=(1, 2))
    values = drawn.if_finite(np.zeros(len(drawn)))
    np.divide(again, total, out=values, where=total > 0)
    return values


def description_length(block: SketchSet) -> Values:
    """Bits that tell the `corners`, in steps of 1/255 of the longer side, by Elias' gamma code.

    A stroke tells how many corners it has, then the step to each, its first one from where the pen was (at first the
    top left of the square around the drawing). A signed number n is coded as 2n for n > 0 and 1 - 2n else.

    Unit: bits
    Same under: place, scale, sampling
    Degenerate: empty 0; one point 3.
    Source: Rissanen 1978, Elias 1975 for the code; Donderi 2006 for compressed length as visual complexity
    """
    drawn = Geometry.of(block)
    kept = drawn.cornered
    origin, side = drawn.placing
    sketch = group_of(kept.stroke_offsets[kept.sketch_offsets])
    unit = np.where(side > 0, side, 1.0)
    placed = np.rint((kept.points - origin[sketch]) / unit[sketch, None] * _LEVELS)
    step = placed.copy()
    step[1:] -= np.where((sketch[1:] == sketch[:-1])[:, None], placed[:-1], 0.0)
    bits = _gamma_bits(np.where(step > 0, 2 * step, 1 - 2 * step)).sum(axis=1)
    counts = np.diff(kept.stroke_offsets)
    stroke_bits = np.where(counts > 0, _gamma_bits(np.maximum(counts, 1).astype(np.float64)), 0.0)
    told = group_sums(bits, kept.stroke_offsets[kept.sketch_offsets]) + group_sums(stroke_bits, kept.sketch_offsets)
    return drawn.if_finite(told)


def _touched(drawn: Geometry) -> NDArray[np.bool_]:
    return drawn.cells[0] > _TOUCH


def _gamma_bits(numbers: Values) -> Values:
    """Bits of Elias' gamma code for whole numbers from 1."""
    # A mantissa's exponent, unlike a rounded logarithm, is exact at powers of two.
    return 2.0 * np.frexp(numbers)[1] - 1.0
