"""What a pixel can hold beside ink: how the line in it runs, when it was drawn, to which part it belongs."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sketchkit.canvas import CHANNELS, Canvas, placements
from sketchkit.errors import DataError
from sketchkit.ragged import group_extents, group_of, group_sums, step_lengths
from sketchkit.sketch_set import SketchSet

__all__ = ["SEGMENT_CHANNELS", "SegmentPainter", "fold_phases", "needs_segments"]

Images = NDArray[np.uint8]

SEGMENT_CHANNELS = ("orientation", "order", "time", "part")
"""The channels of `Canvas` that are those of one segment a pixel."""

# Pixels looked at together, to bound memory.
_CHUNK_PIXELS = 1 << 18

# Part labels are stored plus 1 in 8 bits.
_MAX_PART = 254


def needs_segments(canvas: Canvas) -> bool:
    """Whether any channel of `canvas` is that of one segment a pixel."""
    return any(name in SEGMENT_CHANNELS for name in canvas.names)


def fold_phases(images: Images) -> Images:
    """`images` (sketches, 2 * height, 2 * width) folded to (sketches, 4, height, width).

    Plane `2 * i + j` is `[i::2, j::2]`.
    """
    count, height, width = images.shape
    parted = images.reshape(count, height // 2, 2, width // 2, 2)
    folded: Images = parted.transpose(0, 2, 4, 1, 3).reshape(count, 4, height // 2, width // 2)
    return folded


class SegmentPainter:
    """Fills the planes of a canvas that come from segments; see `Canvas` for what they hold.

    Args:
        drawings: the drawings, their arrays contiguous.
        canvas: where they lie, and the channels.
        times: how many times as large they are drawn, as for ink.

    Raises:
        DataError: the drawings lack the point column that a channel shows, or it holds what cannot be shown.
    """

    def __init__(self, drawings: SketchSet, canvas: Canvas, times: int) -> None:
        self._drawings, self._canvas, self._times = drawings, canvas, times
        self._scale, self._offset = placements(drawings, canvas)
        makers = {"order": _order, "time": _time, "part": _part}
        self._values = {name: makers[name](drawings) for name in canvas.names if name in makers}

    def paint(self, ink: Images, images: Images, bounds: tuple[int, int]) -> None:
        """Fill the segments' planes of the sketches from the first to before the last of `bounds`.

        Args:
            ink: (sketches, height, width), what is drawn; where there is none, no segment is shown.
            images: (sketches, planes, height, width) to fill.
            bounds: the first sketch, and the one after the last.
        """
        from sketchkit.kernels.owners import owners

        canvas, drawings, times = self._canvas, self._drawings, self._times
        first, last = bounds
        chunk = max(_CHUNK_PIXELS // (canvas.height * canvas.width * times**2), 1)
        for start in range(first, last, chunk):
            stop = min(start + chunk, last)
            found = np.empty((stop - start, canvas.height, canvas.width), np.int64)
            arrays = drawings.points, drawings.stroke_offsets, drawings.sketch_offsets
            width = canvas.line_share * canvas.side * times
            owners(*arrays, self._scale * times, self._offset * times, width, start, times, found)
            self._fill(found, ink[start:stop], images[start:stop], start)

    def _fill(self, found: NDArray[np.int64], ink: Images, images: Images, first: int) -> None:
        inked = (found >= 0) & (ink > 0)
        sketch, row, column = np.nonzero(inked)
        segment = found[inked]
        start = segment >> 1
        end = start + 1 - (segment & 1)
        plane = 0
        for name in self._canvas.names:
            if name in SEGMENT_CHANNELS:
                images[:, plane : plane + CHANNELS[name]] = 128 if name == "orientation" else 0
            if name == "orientation":
                images[sketch, plane, row, column], images[sketch, plane + 1, row, column] = self._angle(start, end)
            elif name in SEGMENT_CHANNELS:
                share = self._share(start, end, sketch + first, row, column)
                images[sketch, plane, row, column] = self._level(name, start, end, share)
            plane += CHANNELS[name]

    def _angle(self, start: NDArray[np.int64], end: NDArray[np.int64]) -> tuple[Images, Images]:
        """Cosine and sine of twice the segments' angles, as levels around 128."""
        points = self._drawings.points
        (x, y) = (points[end].astype(np.float64) - points[start].astype(np.float64)).T
        length = np.hypot(x, y)
        x, y = (np.divide(part, length, out=np.zeros_like(part), where=length > 0) for part in (x, y))
        return _rounded(128 + 127 * (x * x - y * y)), _rounded(128 + 127 * (2 * x * y))

    def _share(self, start: Any, end: Any, sketch: Any, row: Any, column: Any) -> NDArray[np.float64]:
        """How far along its segment the point nearest to each pixel's center is, 0 to 1; 0 for a dot."""
        grow, shift = self._scale[sketch, None], self._offset[sketch]
        from_, to = (self._drawings.points[index].astype(np.float64) * grow + shift for index in (start, end))
        step = to - from_
        squared = (step * step).sum(axis=1)
        center = np.stack([column, row], axis=1) + 0.5
        along = ((center - from_) * step).sum(axis=1)
        share = np.zeros(len(along))
        np.divide(along, squared, out=share, where=squared > 0)
        return share.clip(0, 1)

    def _level(self, name: str, start: Any, end: Any, share: NDArray[np.float64]) -> Images:
        values = self._values[name]
        if name == "part":
            nearer = np.where(share < 0.5, start, end)
            labels: Images = (values[nearer] + 1).astype(np.uint8)
            return labels
        return _rounded(1 + 254 * (values[start] + share * (values[end] - values[start])))


def _rounded(levels: NDArray[np.float64]) -> Images:
    return np.floor(levels + 0.5).astype(np.uint8)


def _order(drawings: SketchSet) -> NDArray[np.float64]:
    """For each point, the share of its drawing's ink drawn before it; 0 where a drawing has no length."""
    steps = step_lengths(drawings.points, drawings.stroke_offsets)
    steps[~np.isfinite(steps)] = 0
    offsets = drawings.stroke_offsets[drawings.sketch_offsets]
    total = group_sums(steps, offsets)[group_of(offsets)]
    shares = np.divide(steps, total, out=np.zeros_like(steps), where=total > 0)
    # A sum a drawing, so that a drawing comes out alike in every set.
    for start, stop in pairwise(offsets.tolist()):
        np.cumsum(shares[start:stop], out=shares[start:stop])
    return shares.clip(0, 1)


def _time(drawings: SketchSet) -> NDArray[np.float64]:
    """For each point, its time between the drawing's first and last, 0 to 1; 0 where all times are equal or unknown."""
    times = _column(drawings, "time").astype(np.float64)
    known = np.isfinite(times)
    offsets = drawings.stroke_offsets[drawings.sketch_offsets]
    group = group_of(offsets)
    counts = np.concatenate([[0], np.cumsum(known)])
    least, greatest = (values[group] for values in group_extents(times[known], counts[offsets]))
    passed = np.where(known, times - least, 0.0)
    return np.divide(passed, greatest - least, out=np.zeros_like(passed), where=greatest > least)


def _part(drawings: SketchSet) -> NDArray[np.int64]:
    """For each point its part's label."""
    parts = _column(drawings, "part")
    if parts.dtype.kind not in "iubf" or not np.isin(parts, np.arange(_MAX_PART + 1)).all():
        raise DataError(f'the point column "part" must hold whole numbers from 0 to {_MAX_PART} to be drawn')
    return parts.astype(np.int64)


def _column(drawings: SketchSet, name: str) -> NDArray[Any]:
    if name not in drawings.point_columns:
        raise DataError(f'the channel "{name}" shows the point column "{name}", which the drawings do not have')
    return np.asarray(drawings.point_columns[name])
