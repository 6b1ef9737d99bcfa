"""SVG's transform attribute as a matrix.

Serial, hence cached. Agrees bit for bit with `sketchkit.formats.svg_tree`, whose order of operations this is.
Source: https://www.w3.org/TR/SVG11/coords.html#TransformAttribute.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from sketchkit.kernels.svg_numbers import read_number, skip_separators
from sketchkit.kernels.svg_xml import WORDS, skip_space, word_of
from sketchkit.kernels.uncounted import uncounted

__all__ = ["read_transform"]

_MATRIX, _TRANSLATE, _SCALE, _ROTATE, _SKEW_X, _SKEW_Y = (
    WORDS.index(word) for word in ("matrix", "translate", "scale", "rotate", "skewX", "skewY")
)


@uncounted
def read_transform(
    data: NDArray[np.uint8], at: int, end: int, matrix: NDArray[np.float64], scratch: NDArray[np.float64]
) -> bool:
    """Compose `matrix` (6,) a, b, c, d, e, f with the transforms of `data[at:end]`; False when they are not known.

    What is in `scratch` (3, 6) is lost.
    """
    own, inner, values = scratch[0], scratch[1], scratch[2]
    _set_identity(own)
    while True:
        at = skip_separators(data, at, end)
        if at == end:
            _compose(matrix, own)
            return True
        start = at
        while at < end and (65 <= data[at] <= 90 or 97 <= data[at] <= 122):
            at += 1
        name = word_of(data, start, at)
        at = skip_space(data, at, end)
        if at >= end or data[at] != 40:
            return False
        at = skip_separators(data, at + 1, end)
        count = 0
        while at < end and data[at] != 41:
            if count == 6:
                return False
            values[count], at = read_number(data, at, end)
            if at < 0:
                return False
            count += 1
            at = skip_separators(data, at, end)
        if at >= end or not _one_transform(name, values, count, inner):
            return False
        at += 1
        _compose(own, inner)


@uncounted
def _one_transform(name: int, values: NDArray[np.float64], count: int, matrix: NDArray[np.float64]) -> bool:
    """Set `matrix` to a transform of WORDS; False when there is none of this name and number of values."""
    _set_identity(matrix)
    if name == _MATRIX:
        for index in range(6):
            matrix[index] = values[index]
        return count == 6
    if name == _TRANSLATE:
        matrix[4] = values[0]
        matrix[5] = values[1] if count == 2 else 0
        return count == 1 or count == 2
    if name == _SCALE:
        matrix[0] = values[0]
        matrix[3] = values[1] if count == 2 else values[0]
        return count == 1 or count == 2
    angle = math.radians(values[0])
    if name == _ROTATE:
        sine, cosine = math.sin(angle), math.cos(angle)
        x, y = (values[1], values[2]) if count == 3 else (0.0, 0.0)
        matrix[0], matrix[1], matrix[2], matrix[3] = cosine, sine, -sine, cosine
        matrix[4], matrix[5] = x - cosine * x + sine * y, y - sine * x - cosine * y
        return count == 1 or count == 3
    if name == _SKEW_X:
        matrix[2] = math.tan(angle)
        return count == 1
    matrix[1] = math.tan(angle)
    return count == 1 and name == _SKEW_Y


@uncounted
def _compose(outer: NDArray[np.float64], inner: NDArray[np.float64]) -> None:
    """Make `outer` the map that applies `inner` first."""
    a, b, c, d = outer[0], outer[1], outer[2], outer[3]
    for column in range(2):
        x, y = inner[2 * column], inner[2 * column + 1]
        outer[2 * column], outer[2 * column + 1] = a * x + c * y, b * x + d * y
    x, y = inner[4], inner[5]
    outer[4], outer[5] = a * x + c * y + outer[4], b * x + d * y + outer[5]


@uncounted
def _set_identity(matrix: NDArray[np.float64]) -> None:
    # By loops: an assignment to a slice takes a second to compile.
    for index in range(6):
        matrix[index] = 1 if index in (0, 3) else 0
