"""The rectangles that a rectangular canvas cuts out of its square, and which of them holds a drawing's ink."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sketchkit.errors import ParameterError

__all__ = ["STRIDE", "places_of", "rectangles_of", "require_cuttable"]

STRIDE = 32
"""Sides that are cut are multiples of it: MobileNetV2, VGG and EfficientNet halve their maps five times."""


def require_cuttable(size: Any, fit: str) -> None:
    """Refuse a canvas whose ground cannot be cut off by whole pixels, alike at two sides.

    Raises:
        ParameterError: its `fit` is not "tight", or its `size`, the longer side in pixels, no even number.
    """
    if fit != "tight":
        raise ParameterError(f'a rectangular canvas is cut to the ink, so its fit is "tight", not {fit!r}')
    if not isinstance(size, int):
        raise ParameterError(
            f"the size of a rectangular canvas is the longer side, a whole number, not {size}; Canvas({size}) without "
            "rectangular has this height and width for every drawing"
        )
    if size % 2:
        raise ParameterError(f"the size of a rectangular canvas must be even, not {size}: it is cut alike at two sides")


def rectangles_of(size: int, edge: float) -> tuple[tuple[int, int], ...]:
    """(height, width) of all rectangles, smallest first: a wide and a high one by turns, at last the square.

    Steps are half a stride where whole ones would leave next to no choice; below two strides there is the square alone.

    Args:
        size: the longer side.
        edge: pixels that the ink takes beyond the points; the shorter side has more.

    Example:
        >>> rectangles_of(64, 1.0)
        ((32, 64), (64, 32), (48, 64), (64, 48), (64, 64))
    """
    step = STRIDE if size >= 3 * STRIDE else STRIDE // 2
    others = [side for side in range(STRIDE, size, step) if side > edge] if size >= 2 * STRIDE else []
    return (*(shape for other in others for shape in ((other, size), (size, other))), (size, size))


def places_of(extents: NDArray[np.float64], edge: float, rectangles: tuple[tuple[int, int], ...]) -> NDArray[np.int64]:
    """For each drawing the place of the least of `rectangles_of` that holds it, (drawings,).

    Args:
        extents: (drawings, 2) of the points, in x and y, in pixels on the square.
        edge: pixels that the ink takes beyond the points.
        rectangles: what `rectangles_of` gives.

    Example:
        >>> places_of(np.array([[20.0, 63.0], [63.0, 40.0], [63.0, 60.0]]), 1.0, rectangles_of(64, 1.0))
        array([1, 2, 4])
    """
    sides = [min(shape) for shape in rectangles[:-1:2]]
    held = np.searchsorted(sides, extents.min(axis=1) + edge)
    upright = extents[:, 1] >= extents[:, 0]
    places: NDArray[np.int64] = np.minimum(2 * held + upright, len(rectangles) - 1).astype(np.int64)
    return places
