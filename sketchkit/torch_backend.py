"""Strokes drawn by torch: a whole batch at once, on any device, differentiable in the points.

A pixel's value is the share of its square within the darkest capsule that touches it, a capsule's edge taken for
straight at the segment's angle, as in the numba kernel; see `sketchkit.kernels.raster`. That one also counts what other
capsules add to the darkest, so that here crossings and sharp joins are a little fainter. Only pixels near a line are
looked at. Each segment is cut into rows of pixels, the rows of the whole batch into pairs of a segment and a pixel, and
the greatest value of a pixel stays. Gradients need those greatest pairs alone, which are computed once more.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from sketchkit.backends import BACKENDS
from sketchkit.canvas import Canvas, Fit, canvas_of, one_shape, placements
from sketchkit.errors import DataError, ParameterError
from sketchkit.sketch_set import SketchSet

__all__ = ["draw", "rasterize_torch"]

Offsets = Tensor | NDArray[np.int64] | Sequence[int]

# A segment shorter than this many pixels is a dot.
_POINT = 1e-6

# The trapezoid of an upright edge has sides of no width; this keeps the division by it finite.
_UPRIGHT = 1e-3

# Thinner lines come out this wide in pixels, and as much fainter.
_LEAST_LINE_PX = 1.5

# Pairs of a segment and a pixel at a time: on a CPU few enough to stay in the cache, elsewhere enough to keep it busy.
_PAIRS = {"cpu": 1 << 15}
_PAIRS_ELSEWHERE = 1 << 22


def rasterize_torch(
    points: Tensor,
    stroke_offsets: Offsets,
    sketch_offsets: Offsets,
    size: int | tuple[int, int] | Canvas,
    *,
    line_width: float | None = None,
    fit: Fit | None = None,
    margin: float | None = None,
    extent: float | None = None,
    min_line_px: float | None = None,
    line_width_px: float | None = None,
) -> Tensor:
    """Draw a ragged batch as images (sketches, height, width), ink 1 on 0, in the dtype and on the device of `points`.

    Geometry, dots and points that are not finite are as in `sketchkit.rasterize`; thin lines are drawn larger and
    averaged down, as there. Differentiable in `points`: the derivative is that of a pixel's darkest line, hence zero
    more than a pixel away from all lines; wide lines see farther. Where each drawing lies on its canvas counts as
    given, so under "tight" the derivative is that for a fixed scale and offset; "keep" is for moving and growing.
    Images are the same at every run; gradients on CUDA differ in the last digits unless
    `torch.use_deterministic_algorithms(True)`.

    Args:
        points: (points, 2) float32 or float64, in the drawings' units.
        stroke_offsets: (strokes + 1,) whole numbers, as in `SketchSet`.
        sketch_offsets: (sketches + 1,) whole numbers, as in `SketchSet`.
        size: side in pixels, (height, width), or a `Canvas`, which then says all of the rest.
        line_width: share of the side; default 2.5 / 256.
        fit: "tight" (default) or "keep"; see `Canvas`.
        margin: share of the side; default half the line's width.
        extent: for "keep"; default 256.
        min_line_px: least width of lines in pixels; default 0.
        line_width_px: width of lines in pixels, instead of `line_width`.

    Raises:
        ParameterError: an argument is out of its range, geometry is given beside a `Canvas`, the canvas has other
            channels than ink, or it is rectangular and the drawings have several shapes (see `Canvas.fitted`).
        DataError: the offsets do not fit the points.

    Example:
        A stroke moves onto another one, by the pixels alone:

        >>> import torch
        >>> def picture(stroke):
        ...     return rasterize_torch(stroke, [0, 3], [0, 1], 32, fit="keep", extent=32, line_width=0.2)
        >>> goal = torch.tensor([[6.0, 24.0], [16.0, 8.0], [26.0, 24.0]])
        >>> stroke = torch.tensor([[9.0, 20.0], [16.0, 16.0], [23.0, 20.0]], requires_grad=True)
        >>> descent = torch.optim.Adam([stroke], lr=0.5)
        >>> for step in range(100):
        ...     descent.zero_grad()
        ...     (picture(stroke) - picture(goal)).square().sum().backward()
        ...     descent.step()
        >>> bool((stroke - goal).abs().max() < 0.2)
        True
    """
    geometry = {
        "line_width": line_width,
        "fit": fit,
        "margin": margin,
        "extent": extent,
        "min_line_px": min_line_px,
        "line_width_px": line_width_px,
    }
    canvas = canvas_of(size, geometry)
    if canvas.channels != "ink":
        raise ParameterError(f"rasterize_torch draws ink alone, not {', '.join(canvas.names)}; `rasterize` draws all")
    drawings = _block(points, stroke_offsets, sketch_offsets)
    canvas = one_shape(drawings, canvas)
    times = BACKENDS["torch"].enlargement(canvas)
    sides, width = (canvas.height * times, canvas.width * times), canvas.line_share * canvas.side * times
    scale, offset = placements(drawings, canvas)
    lines = _segments(*_placed(points, drawings, scale * times, offset * times), _reach(width), sides)
    images = _painted(lines.to(points.device, points.dtype), len(drawings), sides, width)
    if times == 1:
        return images
    return F.avg_pool2d(images[:, None], times)[:, 0]


def draw(
    points: NDArray[np.float32],
    stroke_offsets: NDArray[np.int64],
    sketch_offsets: NDArray[np.int64],
    scale: NDArray[np.float64],
    offset: NDArray[np.float64],
    line_width: float,
    first: int,
    images: NDArray[np.uint8],
    *,
    device: torch.device | str = "cpu",
) -> None:
    """Draw the sketches `first`, `first + 1`, ... into images (sketches, height, width); ink 255 on 0.

    `points * scale + offset` are pixels, and so is `line_width`. The arguments are those of the numba kernel (see
    `sketchkit.kernels.raster.draw`), and `device`, where to draw; the images come back from there.
    """
    count, height, width = images.shape
    strokes = slice(sketch_offsets[first], sketch_offsets[first + count])
    start, stop = stroke_offsets[strokes.start], stroke_offsets[strokes.stop]
    drawings = SketchSet(
        points[start:stop],
        stroke_offsets[strokes.start : strokes.stop + 1] - start,
        sketch_offsets[first : first + count + 1] - strokes.start,
    )
    chosen = slice(first, first + count)
    with torch.no_grad():
        placed = _placed(torch.from_numpy(drawings.points), drawings, scale[chosen], offset[chosen])
        lines = _segments(*placed, _reach(line_width), (height, width)).to(device, torch.float32)
        levels = _painted(lines, count, (height, width), line_width).mul_(255).round_().to(torch.uint8)
    images[:] = levels.cpu().numpy()


def _block(points: Tensor, stroke_offsets: Offsets, sketch_offsets: Offsets) -> SketchSet:
    """The drawings, detached and on the CPU, once they are known to be such."""
    if not isinstance(points, Tensor) or points.dtype not in (torch.float32, torch.float64):
        found = points.dtype if isinstance(points, Tensor) else type(points).__name__
        raise ParameterError(f"points must be a float32 or float64 tensor, not {found}")
    if points.ndim != 2 or points.shape[1] != 2:
        raise ParameterError(f"points must be (points, 2), not {tuple(points.shape)}")
    strokes = _offsets("stroke_offsets", stroke_offsets, len(points))
    return SketchSet(
        points.detach().cpu().numpy(), strokes, _offsets("sketch_offsets", sketch_offsets, len(strokes) - 1)
    )


def _offsets(name: str, given: Offsets, count: int) -> NDArray[np.int64]:
    offsets = np.asarray(given.cpu() if isinstance(given, Tensor) else given)
    if offsets.ndim != 1 or offsets.dtype.kind not in "iu":
        raise ParameterError(f"{name} must be a row of whole numbers, not {offsets.shape} {offsets.dtype}")
    if not len(offsets) or offsets[0] != 0 or offsets[-1] != count or (np.diff(offsets) < 0).any():
        raise DataError(f"{name} must start at 0, never decrease, and end at {count}, which is what they index")
    return offsets.astype(np.int64)


def _reach(line_width: float) -> float:
    """Twice the farthest reach of a line beyond its own points: what is cut off there leaves no trace."""
    return 2 * (max(line_width, _LEAST_LINE_PX) / 2 + 1)


def _placed(
    points: Tensor, drawings: SketchSet, scale: NDArray[np.float64], offset: NDArray[np.float64]
) -> tuple[Tensor, Tensor, Tensor]:
    """Points in pixels, (points, 2), and for each its stroke and its drawing, (points,)."""
    # As exact as the other backends are; Apple's devices alone have no float64.
    dtype = torch.float32 if points.device.type == "mps" else torch.float64
    stroke = np.repeat(np.arange(len(drawings.stroke_offsets) - 1), np.diff(drawings.stroke_offsets))
    sketch = np.repeat(np.arange(len(drawings)), np.diff(drawings.stroke_offsets[drawings.sketch_offsets]))
    grow, shift, stroke_of, sketch_of = (
        torch.from_numpy(values).to(points.device)
        for values in (_cast(scale, dtype), _cast(offset, dtype), stroke, sketch)
    )
    return points.to(dtype) * grow[sketch_of, None] + shift[sketch_of], stroke_of, sketch_of


def _cast(values: NDArray[np.float64], dtype: torch.dtype) -> NDArray[Any]:
    return values.astype(np.float32 if dtype == torch.float32 else np.float64)


@dataclass(frozen=True)
class _Segments:
    """Lines in pixels: (segments, 2) from `start` to `end`, and each one's drawing; a dot ends where it starts."""

    start: Tensor
    end: Tensor
    sketch: Tensor

    def to(self, device: torch.device | str, dtype: torch.dtype) -> _Segments:
        return _Segments(self.start.to(device, dtype), self.end.to(device, dtype), self.sketch.to(device))


def _segments(places: Tensor, stroke: Tensor, sketch: Tensor, reach: float, sides: tuple[int, int]) -> _Segments:
    """What there is to draw near the canvas. A point that is not finite ends a run; a run of one point is a dot."""
    finite = places.isfinite().all(dim=1)
    joined = finite[1:] & finite[:-1] & (stroke[1:] == stroke[:-1])
    alone = finite & ~F.pad(joined, (1, 0)) & ~F.pad(joined, (0, 1))
    first, dots = joined.nonzero()[:, 0], alone.nonzero()[:, 0]
    start, end = places[torch.cat([first, dots])], places[torch.cat([first + 1, dots])]
    height, width = sides
    for axis, side in enumerate((width, height)):
        start, end = _cut(start, end, axis, -reach, side + reach)
    least, greatest = torch.minimum(start, end).detach(), torch.maximum(start, end).detach()
    farthest = least.new_tensor([width, height]) + reach
    near = ((greatest >= -reach) & (least <= farthest)).all(dim=1).nonzero()[:, 0]
    return _Segments(start[near], end[near], sketch[torch.cat([first, dots])][near])


def _cut(start: Tensor, end: Tensor, axis: int, low: float, high: float) -> tuple[Tensor, Tensor]:
    """Move the ends of segments along them until one of their coordinates is between low and high."""
    from_here, to_there = start[:, axis], end[:, axis]
    run = torch.where(to_there == from_here, 1, to_there - from_here)
    slope = (end - start)[:, 1 - axis] / run
    crossing = (torch.maximum(from_here, to_there) >= low) & (torch.minimum(from_here, to_there) <= high)
    moved = []
    for place in (start, end):
        inside = place[:, axis].clamp(low, high)
        cut = [inside, place[:, 1 - axis] + slope * (inside - place[:, axis])]
        outside = crossing & (inside != place[:, axis])
        moved.append(torch.where(outside[:, None], torch.stack(cut if axis == 0 else cut[::-1], dim=1), place))
    return moved[0], moved[1]


@dataclass(frozen=True)
class _Capsules:
    """Segments as `_coverage` takes them, (segments,) each; `along_*` and `length` are 0 for a dot."""

    x: Tensor
    y: Tensor
    along_x: Tensor
    along_y: Tensor
    length: Tensor
    wide: Tensor
    narrow: Tensor

    @classmethod
    def of(cls, lines: _Segments) -> _Capsules:
        step = lines.end - lines.start
        squared = step.square().sum(dim=1)
        dot = squared < _POINT**2
        length = torch.where(dot, 1, squared).sqrt()
        along = torch.where(dot[:, None], 0, step / length[:, None])
        start = torch.where(dot[:, None], (lines.start + lines.end) / 2, lines.start)
        wide, narrow = along.abs().amax(dim=1), along.abs().amin(dim=1).clamp_min(_UPRIGHT)
        (x, y), (along_x, along_y) = start.unbind(1), along.unbind(1)
        return cls(x, y, along_x, along_y, torch.where(dot, 0, length), wide, narrow)

    def detach(self) -> _Capsules:
        return _Capsules(*(getattr(self, field.name).detach() for field in fields(self)))

    def at(self, chosen: Tensor) -> _Capsules:
        return _Capsules(*(getattr(self, field.name)[chosen] for field in fields(self)))


def _painted(lines: _Segments, count: int, sides: tuple[int, int], line_width: float) -> Tensor:
    """Images (count, height, width), ink 1 on 0."""
    height, width = sides
    capsules = _Capsules.of(lines)
    radius, ink = max(line_width, _LEAST_LINE_PX) / 2, min(line_width / _LEAST_LINE_PX, 1.0)
    dots = bool((capsules.wide == 0).any())
    differentiable = capsules.x.requires_grad and torch.is_grad_enabled()
    with torch.no_grad():
        fixed = capsules.detach()
        images = fixed.x.new_zeros(count * height * width)
        darkest = torch.full_like(images, len(fixed.x), dtype=torch.int64) if differentiable else None
        for segment, column, row in _pairs(fixed, radius, sides):
            value = _coverage(fixed.at(segment), column, row, radius, dots)
            pixel = (lines.sketch[segment] * height + row) * width + column
            if darkest is None:
                images.scatter_reduce_(0, pixel, value, "amax")
                continue
            before = images[pixel]
            images.scatter_reduce_(0, pixel, value, "amax")
            won = ((value > before) & (value == images[pixel])).nonzero()[:, 0]
            # Of segments that are equally dark the first one counts.
            darkest[pixel[won]] = len(fixed.x)
            darkest.scatter_reduce_(0, pixel[won], segment[won], "amin")
    if darkest is not None:
        pixel = (darkest < len(fixed.x)).nonzero()[:, 0]
        row, column = pixel // width % height, pixel % width
        value = _coverage(capsules.at(darkest[pixel]), column, row, radius, dots)
        images = torch.zeros_like(images).index_put((pixel,), value)
    return (images * ink).reshape(count, height, width)


def _pairs(capsules: _Capsules, radius: float, sides: tuple[int, int]) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Every segment with every pixel near it, (pairs,) each: segment, column and row; some thousands at a time."""
    device, (height, width) = capsules.x.device, sides
    end_x = capsules.x + capsules.length * capsules.along_x
    end_y = capsules.y + capsules.length * capsules.along_y
    # A dot's edge has every angle.
    reach = radius + torch.where(capsules.wide == 0, 0.7072, (capsules.wide + capsules.narrow) / 2)
    left, right = torch.minimum(capsules.x, end_x) - reach, torch.maximum(capsules.x, end_x) + reach
    top = (torch.minimum(capsules.y, end_y) - reach).floor().clamp(0, height).long()
    bottom = (torch.maximum(capsules.y, end_y) + reach).ceil().clamp(0, height).long()
    segment, row = _expanded(top, bottom - top)
    # Per row, a capsule lies in its box and within `span` of the segment's own line.
    level = capsules.along_y.abs() < _UPRIGHT
    rise = torch.where(level, 1, capsules.along_y)
    slope, span = capsules.along_x / rise, torch.where(level, math.inf, reach / rise.abs())
    middle = capsules.x[segment] + (row + 0.5 - capsules.y[segment]) * slope[segment]
    begin = torch.maximum(left[segment], middle - span[segment]).floor().clamp(0, width).long()
    stop = torch.minimum(right[segment], middle + span[segment]).ceil().clamp(0, width).long()
    pixels = (stop - begin).clamp_min(0)
    ends = pixels.cumsum(0)
    total = int(ends[-1]) if len(ends) else 0
    some = _PAIRS.get(device.type, _PAIRS_ELSEWHERE)
    bounds = torch.searchsorted(ends, torch.arange(some, max(total, some), some, device=device), right=True).tolist()
    for first, last in pairwise([0, *bounds, len(ends)]):
        index, column = _expanded(begin[first:last], pixels[first:last])
        index += first
        yield segment[index], column, row[index]


def _expanded(starts: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """For each element of the ranges from `starts`: which range it is in, and what it is."""
    index = torch.repeat_interleave(lengths)
    shift = starts - lengths.cumsum(0) + lengths
    return index, torch.arange(len(index), device=index.device) + shift[index]


def _coverage(capsules: _Capsules, column: Tensor, row: Tensor, radius: float, dots: bool) -> Tensor:
    """The share (pairs,) of each pixel that lies within its capsule; `dots` says whether any of them may be a dot."""
    x, y = column + 0.5 - capsules.x, row + 0.5 - capsules.y
    nearest = torch.minimum((x * capsules.along_x + y * capsules.along_y).clamp_min(0), capsules.length)
    away_x, away_y = x - nearest * capsules.along_x, y - nearest * capsules.along_y
    # A root has no derivative at 0.
    distance = (away_x * away_x + away_y * away_y).clamp_min(_POINT**2).sqrt()
    depth = radius - distance
    wide, narrow = capsules.wide, capsules.narrow
    if dots:  # their edge is taken afresh at each pixel
        dot = wide == 0
        across_x, across_y = away_x.abs() / distance, away_y.abs() / distance
        # In the middle of a dot there is no direction; any will do.
        wide = torch.where(dot, torch.maximum(across_x, across_y).clamp_min(0.5), wide)
        narrow = torch.where(dot, torch.minimum(across_x, across_y).clamp_min(_UPRIGHT), narrow)
    outer, inner = (wide + narrow) / 2, (wide - narrow) / 2
    beyond = torch.minimum(torch.where(depth < 0, -depth, depth), outer)
    sloped = torch.minimum(outer - beyond, narrow)
    tail = (sloped * sloped * 0.5 / narrow + (inner - beyond).clamp_min(0)) / wide
    return torch.where(depth < 0, tail, 1 - tail)
