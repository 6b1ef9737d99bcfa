"""Arithmetic on ragged arrays: values in a row, and offsets that say where each group starts and ends.

`np.ufunc.reduceat` gives a wrong value for an empty group (the element that follows it); what is here does not.

- `offsets` (groups + 1,): where each group starts among the elements; the last is how many elements there are.
- `lengths` (groups,): how many elements each group has.
- `values` (elements, ...): what belongs to each element.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "finite_extents",
    "group_extents",
    "group_of",
    "group_sums",
    "joined",
    "offsets_of",
    "ranges",
    "step_lengths",
]


def offsets_of(lengths: NDArray[Any]) -> NDArray[np.int64]:
    """Offsets (groups + 1,) of groups of these `lengths`."""
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def ranges(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """(sum of lengths,): `concatenate([arange(s, s + n) for s, n in zip(starts, lengths)])` without the loop.

    `starts` (groups,) is the first number of each group.
    """
    offsets = offsets_of(lengths)
    return np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)


def group_of(offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each element, (offsets[-1],), the group it is in."""
    return np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))


def group_sums(values: NDArray[np.float64], offsets: NDArray[np.int64]) -> NDArray[np.float64]:
    """The sum of the `values` (elements,) of each group, (groups,); 0 for an empty one. NaN stays within its group."""
    sums = np.zeros(len(offsets) - 1)
    filled = np.flatnonzero(np.diff(offsets))
    if len(filled):
        # The empty groups left out take no elements, so each start that stays runs up to the next one.
        sums[filled] = np.add.reduceat(values, offsets[filled])
    return sums


def group_extents(
    values: NDArray[np.float64], offsets: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The least and the greatest value of each group, (groups, ...) both; 0 and 0 for an empty one."""
    if len(offsets) == 2 and offsets[0] < offsets[1]:  # one drawing, where calls count and not the values
        group = values[offsets[0] : offsets[1]]
        return group.min(axis=0, keepdims=True), group.max(axis=0, keepdims=True)
    least = np.zeros((len(offsets) - 1, *values.shape[1:]))
    greatest = np.zeros_like(least)
    filled = np.flatnonzero(np.diff(offsets))
    if len(filled):
        least[filled] = np.minimum.reduceat(values, offsets[filled], axis=0)
        greatest[filled] = np.maximum.reduceat(values, offsets[filled], axis=0)
    return least, greatest


def finite_extents(points: NDArray[Any], offsets: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """`group_extents` of `points` (n, 2), in float64, without those that have a coordinate that is not finite."""
    if not np.isfinite(points).all():
        finite = np.isfinite(points[:, 0]) & np.isfinite(points[:, 1])
        points, offsets = points[finite], offsets_of(finite)[offsets]
    return group_extents(points.astype(np.float64), offsets)


def joined(offsets: NDArray[np.int64]) -> NDArray[np.bool_]:
    """For each element but the last, (offsets[-1] - 1,), whether the next one is in the same group."""
    inside = np.ones(max(int(offsets[-1]) - 1, 0), bool)
    starts = offsets[1:-1]
    starts = starts[(starts > 0) & (starts < offsets[-1])]
    inside[starts - 1] = False
    return inside


def step_lengths(points: NDArray[Any], offsets: NDArray[np.int64]) -> NDArray[np.float64]:
    """For each of `points` (points, 2) the distance, (points,), from the point before it in its group.

    It is 0 for the first.
    """
    lengths = np.zeros(len(points))
    if len(points) > 1:
        steps = np.diff(points.astype(np.float64), axis=0)
        lengths[1:] = np.where(joined(offsets), np.hypot(steps[:, 0], steps[:, 1]), 0.0)
    return lengths
