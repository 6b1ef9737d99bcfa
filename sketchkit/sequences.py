"""Drawings as pen sequences: stroke-3 and stroke-5.

Both are sketch-rnn's (https://arxiv.org/abs/1704.03477): steps from point to point and the state of the pen. In
stroke-3, pen 1 means "lift AFTER this point"; in stroke-5 the pen state is one-hot: p1 stays down, p2 lifts after
this point, p3 the drawing has ended.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sketchkit.errors import DataError, ParameterError

__all__ = ["from_stroke3", "from_stroke5", "to_stroke3", "to_stroke5"]

Ragged = tuple[NDArray[np.float32], NDArray[np.int64]]


def from_stroke3(array: ArrayLike) -> Ragged:
    """Points (n, 2) and offsets of `array`'s rows `(dx, dy, pen)`; a last stroke without a lift is closed at the end.

    Raises:
        DataError: the array is not (n, 3).
    """
    rows = _rows(array, 3)
    return _split(np.cumsum(rows[:, :2], axis=0), rows[:, 2] > 0.5)


def from_stroke5(array: ArrayLike, *, absolute: bool = False) -> Ragged:
    """Points (n, 2) and offsets of `array`'s rows `(x, y, p1, p2, p3)` before the first p3 = 1.

    x and y are the step from the point before, or with `absolute` the point itself.

    Raises:
        DataError: the array is not (n, 5).
    """
    rows = _rows(array, 5)
    ended = np.flatnonzero(rows[:, 4] > 0.5)
    if len(ended):
        rows = rows[: ended[0]]
    positions = rows[:, :2] if absolute else np.cumsum(rows[:, :2], axis=0)
    return _split(positions, rows[:, 3] > 0.5)


def to_stroke3(points: NDArray[np.float32], offsets: NDArray[np.int64]) -> NDArray[np.float32]:
    """Rows `(dx, dy, pen)`, (points, 3) float32; the first step is from the origin; empty strokes vanish.

    `points` (points, 2) are those of one drawing, `offsets` (strokes + 1,) where its strokes start among them.
    """
    rows = np.zeros((len(points), 3), np.float32)
    rows[:, :2] = np.diff(points.astype(np.float64), axis=0, prepend=0.0)
    rows[_last_points(offsets), 2] = 1
    return rows


def to_stroke5(
    points: NDArray[np.float32],
    offsets: NDArray[np.int64],
    length: int | None = None,
    *,
    absolute: bool = False,
) -> NDArray[np.float32]:
    """Rows `(x, y, p1, p2, p3)`, (length or points + 1, 5) float32, ended and padded by end rows.

    Args:
        points: (points, 2), those of one drawing.
        offsets: (strokes + 1,), where its strokes start among them.
        length: the number of rows; None for as few as it takes.
        absolute: x and y are the point itself, in end rows the last one, and not the step from the one before.

    Raises:
        ParameterError: there are more than `length - 1` points.
    """
    rows_needed = len(points) + 1
    if length is not None and length < rows_needed:
        raise ParameterError(
            f"{len(points)} points need {rows_needed} rows of stroke-5, length is {length}; "
            f"simplify(max_points={length - 1}) makes it fit"
        )
    rows = np.zeros((length or rows_needed, 5), np.float32)
    rows[: len(points), :2] = points if absolute else np.diff(points.astype(np.float64), axis=0, prepend=0.0)
    if absolute and len(points):
        rows[len(points) :, :2] = points[-1]
    lifted = _last_points(offsets)
    rows[: len(points), 2] = 1
    rows[lifted, 2], rows[lifted, 3] = 0, 1
    rows[len(points) :, 4] = 1
    return rows


def _rows(array: ArrayLike, width: int) -> NDArray[np.float64]:
    try:
        rows = np.asarray(array, np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"stroke-{width} must be (n, {width}) numbers: {error}") from None
    if rows.size == 0:
        return np.zeros((0, width))
    if rows.ndim != 2 or rows.shape[1] != width:
        raise DataError(f"stroke-{width} must be (n, {width}), not {rows.shape}")
    return rows


def _last_points(offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    return offsets[1:][np.diff(offsets) > 0] - 1


def _split(positions: NDArray[np.float64], lift: NDArray[np.bool_]) -> Ragged:
    ends = np.flatnonzero(lift) + 1
    if len(positions) and (not len(ends) or ends[-1] != len(positions)):
        ends = np.append(ends, len(positions))
    return positions.astype(np.float32), np.concatenate([[0], ends]).astype(np.int64)
