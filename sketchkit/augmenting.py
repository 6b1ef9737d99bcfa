"""Drawings varied by chance, beyond `jitter` and `drop_strokes`: bent a little, strokes reversed or in another order.

The same seed gives the same result for the same set. The first drawings of a set are varied the same however many
follow; split into other chunks, with one generator drawn from, they are too, since draws are made drawing by drawing.
"""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from sketchkit.blocks import like_input, require_finite
from sketchkit.errors import ParameterError
from sketchkit.ragged import group_extents, group_of, offsets_of, ranges
from sketchkit.sketch import Sketch
from sketchkit.sketch_set import SketchSet

__all__ = ["deform_locally", "reverse_strokes", "shuffle_strokes"]

Sketches = TypeVar("Sketches", Sketch, SketchSet)

# So many nodes are drawn at a time (16 MiB), for as many drawings as that does.
_MOST_DRAWS = 2**21


def deform_locally(
    sketches: Sketches, *, seed: int | np.random.Generator, amplitude: float = 0.1, cells: int = 3
) -> Sketches:
    """Bend each drawing by its own smooth random field: parts shift, stretch and turn against each other.

    Over the drawing's box lies a lattice of square cells, `cells` along the longer side; each node is shifted by a
    uniform draw, and a point moves by the cubic B-spline of the nodes around it. The field has two continuous
    derivatives, so that a smooth line stays smooth; lines are bent at their points only, so resample long segments.

    Source: free-form deformation, Rueckert et al. 1999, https://doi.org/10.1109/42.796284 (equation 1). Yu et al. 2017
    (Sketch-a-Net, https://doi.org/10.1007/s11263-016-0932-3) showed that such deformations help to recognize sketches;
    theirs moves the ends of strokes, by moving least squares.

    Args:
        sketches: one drawing or many.
        seed: the same seed gives the same result; a generator is drawn from.
        amplitude: the most a node moves along x and along y, as a share of the drawing's longer side; no point moves
            farther, half of them less than a fifth of it.
        cells: fewer bend the drawing as a whole, more bend its parts; 1 to 64.

    Raises:
        ParameterError: `amplitude` or `cells` is out of range.
        DataError: a coordinate is NaN or infinite.

    Example:
        >>> line = Sketch.from_strokes([[(x, 0) for x in range(11)]])
        >>> bent = deform_locally(line, seed=0, amplitude=0.1)
        >>> 0 < float(abs(bent.points - line.points).max()) <= 1
        True
    """
    if not (math.isfinite(amplitude) and amplitude >= 0):
        raise ParameterError(f"amplitude must be 0 or more, not {amplitude}")
    if cells != int(cells) or not 1 <= cells <= 64:
        raise ParameterError(f"cells must be a whole number from 1 to 64, not {cells}")
    generator = np.random.default_rng(seed)

    lattice: tuple[int, int, int] = (int(cells) + 3, int(cells) + 3, 2)

    def bent(block: SketchSet) -> SketchSet:
        require_finite(block)
        moved = [np.zeros((0, 2), np.float32)]
        some = max(_MOST_DRAWS // math.prod(lattice), 1)
        for start in range(0, len(block), some):
            part = block[start : start + some]
            moved.append(_bent(part, generator.uniform(-amplitude, amplitude, (len(part), *lattice))))
        return block.with_points(np.concatenate(moved))

    return like_input(sketches, bent)


def reverse_strokes(sketches: Sketches, *, seed: int | np.random.Generator, probability: float = 0.5) -> Sketches:
    """Draw each stroke from its other end, with this probability.

    Point columns go with their points, so in a stroke reversed `time` runs backward.

    Args:
        sketches: one drawing or many.
        seed: the same seed gives the same result; a generator is drawn from.
        probability: 0 to 1; at 1 every stroke is reversed.

    Raises:
        ParameterError: `probability` is out of range.

    Example:
        >>> reverse_strokes(Sketch.from_strokes([[(0, 0), (4, 3)]]), seed=0, probability=1).points.tolist()
        [[4.0, 3.0], [0.0, 0.0]]
    """
    if not 0 <= probability <= 1:
        raise ParameterError(f"probability must be 0 to 1, not {probability}")
    generator = np.random.default_rng(seed)

    def reversed_(block: SketchSet) -> SketchSet:
        stroke = group_of(block.stroke_offsets)
        turned = generator.uniform(size=len(block.stroke_offsets) - 1) < probability
        mirrored = block.stroke_offsets[:-1] + block.stroke_offsets[1:] - 1
        index = np.arange(len(stroke))
        index = np.where(turned[stroke], mirrored[stroke] - index, index)
        return _taken(block, index, block.stroke_offsets)

    return like_input(sketches, reversed_)


def shuffle_strokes(sketches: Sketches, *, seed: int | np.random.Generator) -> Sketches:
    """The strokes of each drawing in a random order.

    Point columns go with their points, so `time` no longer runs from the first stroke to the last.

    Args:
        sketches: one drawing or many.
        seed: the same seed gives the same result; a generator is drawn from.
    """
    generator = np.random.default_rng(seed)

    def shuffled(block: SketchSet) -> SketchSet:
        draws = generator.uniform(size=len(block.stroke_offsets) - 1)
        order = np.lexsort((draws, group_of(block.sketch_offsets)))
        lengths = np.diff(block.stroke_offsets)[order]
        return _taken(block, ranges(block.stroke_offsets[:-1][order], lengths), offsets_of(lengths))

    return like_input(sketches, shuffled)


def _taken(block: SketchSet, index: NDArray[np.int64], stroke_offsets: NDArray[np.int64]) -> SketchSet:
    columns = {name: values[index] for name, values in block.point_columns.items()}
    return SketchSet(block.points[index], stroke_offsets, block.sketch_offsets, block.columns, columns)


def _bent(block: SketchSet, nodes: NDArray[np.float64]) -> NDArray[np.float32]:
    """The points moved by `nodes` (sketches, cells + 3, cells + 3, 2), in shares of each drawing's longer side."""
    cells = nodes.shape[1] - 3
    point_offsets = block.stroke_offsets[block.sketch_offsets]
    sketch = group_of(point_offsets)
    points = block.points.astype(np.float64)
    least, greatest = group_extents(points, point_offsets)
    side = (greatest - least).max(axis=1, initial=0.0)
    # A drawing without extent does not move, whatever its place in the lattice.
    place = (points - least[sketch]) * (cells / np.where(side > 0, side, 1.0))[sketch, None]
    cell = np.clip(place.astype(np.int64), 0, cells - 1)
    weights = _cubic_spline(place - cell)
    moved = np.zeros_like(points)
    for i in range(4):
        for j in range(4):
            share = weights[:, 0, i] * weights[:, 1, j]
            moved += share[:, None] * nodes[sketch, cell[:, 0] + i, cell[:, 1] + j]
    bent: NDArray[np.float32] = (points + moved * side[sketch, None]).astype(np.float32)
    return bent


def _cubic_spline(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """The four basis functions of the uniform cubic B-spline at (..., ) in 0 to 1, as (..., 4); they sum to 1."""
    rest = 1 - share
    cubes = [
        rest**3,
        3 * share**3 - 6 * share**2 + 4,
        3 * rest**3 - 6 * rest**2 + 4,
        share**3,
    ]
    return np.stack(cubes, axis=-1) / 6
