"""Averaging images down: a pixel of the smaller image is the mean of four.

Serial, hence `cache=True`. Sums are kept beside the rounded image, so that halving again starts from what is exact.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["MAX_HALVINGS", "halve"]

# Sums of 4**4 bytes still fit into 16 bits.
MAX_HALVINGS = 4


@njit(cache=True, nogil=True)
def halve(source: NDArray[Any], halving: int, sums: NDArray[np.uint16], images: NDArray[np.uint8]) -> None:
    """Halve images (images, 2 * height, 2 * width): the sums of four into `sums`, their rounded means into `images`.

    Args:
        source: (images, 2 * height, 2 * width), uint8 pixels where `halving` is 1, else `sums` of the halving before.
        halving: 1 to `MAX_HALVINGS`.
        sums: (images, height, width), each the sum of `4**halving` pixels.
        images: (images, height, width), rounded half up.
    """
    # Every sum is cast back: numba widens 16-bit arithmetic to 64 bits, a quarter of the lanes.
    shift = np.uint16(2 * halving)
    half = np.uint16(1 << (2 * halving - 1))
    height, width = images.shape[1], images.shape[2]
    for index in range(images.shape[0]):
        for row in range(height):
            upper, lower = source[index, 2 * row], source[index, 2 * row + 1]
            sums_row, image_row = sums[index, row], images[index, row]
            for column in range(np.uint32(width)):
                even = np.uint32(2 * column)
                odd = np.uint32(even + np.uint32(1))
                above = np.uint16(np.uint16(upper[even]) + np.uint16(upper[odd]))
                below = np.uint16(np.uint16(lower[even]) + np.uint16(lower[odd]))
                total = np.uint16(above + below)
                sums_row[column] = total
                image_row[column] = np.uint8(np.uint16(total + half) >> shift)
