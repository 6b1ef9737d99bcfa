"""From strokes to pixels: one size, or a pyramid of sizes drawn once."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sketchkit.backends import Backend, Draw, backend_named
from sketchkit.blocks import as_block, for_kernels
from sketchkit.canvas import CHANNELS, Canvas, Fit, canvas_of, one_shape, placements
from sketchkit.channels import SegmentPainter, fold_phases, needs_segments
from sketchkit.errors import ParameterError
from sketchkit.sketch import Sketch
from sketchkit.sketch_set import SketchSet

__all__ = ["rasterize", "rasterize_pyramid"]

Images = NDArray[np.uint8]

# Bytes of the images that are drawn together and averaged down while the cache still holds them.
_CHUNK_BYTES = 1 << 19

# Fewer drawings than this are not worth a thread.
_DRAWINGS_PER_THREAD = 32


def rasterize(
    sketches: Sketch | SketchSet | Iterable[Sketch],
    size: int | tuple[int, int] | Canvas,
    *,
    line_width: float | None = None,
    fit: Fit | None = None,
    margin: float | None = None,
    extent: float | None = None,
    min_line_px: float | None = None,
    line_width_px: float | None = None,
    channels: str | Sequence[str] | None = None,
    backend: str = "auto",
    threads: int | None = None,
    out: Images | None = None,
) -> Images:
    """Draw sketches as images (sketches, size, size) uint8: ink 255 on 0, round caps and joins, anti-aliased.

    A stroke of one point is a dot, an empty stroke nothing; a point that is not finite is left out with the segments
    that touch it. Crossing lines, and a line drawn twice, have the ink of one path.

    Args:
        sketches: a drawing, a set, or any iterable of drawings.
        size: side in pixels, (height, width), or a `Canvas`, which then says all of the next seven.
        line_width: share of the side; default 2.5 / 256.
        fit: "tight" (default) or "keep"; see `Canvas`.
        margin: share of the side; default half the line's width.
        extent: for "keep": side of the square that is drawn, in the drawings' own units; default 256.
        min_line_px: least width of lines in pixels; default 0.
        line_width_px: width of lines in pixels, instead of `line_width`.
        channels: what a pixel holds; default "ink". Any other, or a sequence of names, gives images (sketches,
            planes, height, width); see `Canvas`. "orientation", "order", "time" and "part" need the numba backend.
        backend: "numba", "cairo" (needs the system's libcairo), "torch" (on torch's default device; see
            `sketchkit.torch_backend.rasterize_torch` for gradients), or "auto", which is "numba".
        threads: at most so many; default one a core for large sets. Never changes the result.
        out: an array to draw into, C-contiguous; it is returned.

    Raises:
        ParameterError: an argument is out of its range, geometry is given beside a `Canvas`, the backend does not draw
            a channel, or on a rectangular canvas the drawings have several shapes (see `Canvas.fitted`).
        DataError: the drawings lack what the channel "time" or "part" shows.
        MissingDependencyError: the backend's library is not installed.

    Example:
        >>> import sketchkit
        >>> cross = sketchkit.Sketch.from_strokes([[(0, 0), (9, 9)], [(0, 9), (9, 0)]])
        >>> sketchkit.rasterize(cross, 5, line_width=0.2)[0]
        array([[222,  64,   0,  64, 222],
               [ 64, 233, 119, 233,  64],
               [  0, 119, 255, 119,   0],
               [ 64, 233, 119, 233,  64],
               [222,  64,   0,  64, 222]], dtype=uint8)
        >>> sketchkit.rasterize(cross, (24, 32), channels=("ink", "orientation", "order")).shape
        (1, 4, 24, 32)
    """
    geometry = {
        "line_width": line_width,
        "fit": fit,
        "margin": margin,
        "extent": extent,
        "min_line_px": min_line_px,
        "line_width_px": line_width_px,
        "channels": channels,
    }
    canvas = canvas_of(size, geometry)
    drawings = as_block(sketches)
    canvas = one_shape(drawings, canvas)
    images = _output(out, canvas.shape_of(len(drawings)))
    _fill(drawings, {canvas: images}, backend_named(backend), _thread_count(threads))
    return images


def rasterize_pyramid(
    sketches: Sketch | SketchSet | Iterable[Sketch],
    sizes: Sequence[int | tuple[int, int] | Canvas] = (32, 64, 128, 256),
    *,
    line_width: float | None = None,
    fit: Fit | None = None,
    margin: float | None = None,
    extent: float | None = None,
    min_line_px: float | None = None,
    line_width_px: float | None = None,
    channels: str | Sequence[str] | None = None,
    backend: str = "auto",
    threads: int | None = None,
    out: Mapping[Any, Images] | None = None,
) -> dict[Any, Images]:
    """Draw sketches at several sizes: {size: (sketches, size, size) uint8}, in the order of `sizes`.

    Sizes that differ by a power of two are drawn once, at the largest, and averaged down. That is exact: a pixel is
    the mean of what lies in it, and geometry scales with the canvas. Others, and those whose line is fixed in pixels
    or thickened by `min_line_px`, are drawn by themselves.

    Args:
        sketches: a drawing, a set, or any iterable of drawings.
        sizes: sides in pixels, (height, width), or canvases; no size twice.
        line_width: as for `rasterize`, and so all that follow.
        fit: see `rasterize`.
        margin: see `rasterize`.
        extent: see `rasterize`.
        min_line_px: see `rasterize`.
        line_width_px: see `rasterize`.
        channels: see `rasterize`.
        backend: see `rasterize`.
        threads: see `rasterize`.
        out: {size: array to draw into} for every size.

    Raises:
        ParameterError: an argument is out of its range, geometry is given beside a `Canvas`, the backend does not draw
            a channel, or a canvas is rectangular.
        DataError: the drawings lack what the channel "time" or "part" shows.
        MissingDependencyError: the backend's library is not installed.

    Example:
        >>> import sketchkit
        >>> roof = sketchkit.Sketch.from_strokes([[(0, 9), (5, 0), (9, 9)]])
        >>> {size: images.shape for size, images in sketchkit.rasterize_pyramid(roof).items()}
        {32: (1, 32, 32), 64: (1, 64, 64), 128: (1, 128, 128), 256: (1, 256, 256)}
    """
    geometry = {
        "line_width": line_width,
        "fit": fit,
        "margin": margin,
        "extent": extent,
        "min_line_px": min_line_px,
        "line_width_px": line_width_px,
        "channels": channels,
    }
    canvases = [canvas_of(size, geometry) for size in sizes]
    order = [canvas.size for canvas in canvases]
    if any(canvas.rectangular for canvas in canvases):
        raise ParameterError(
            "a pyramid has one array a size, and a rectangular canvas gives drawings several shapes; draw its groups "
            "(see Canvas.fitted) by rasterize"
        )
    if len(set(order)) < len(order):
        raise ParameterError(f"sizes must differ, not {order}")
    if out is not None and set(out) != set(order):
        raise ParameterError(f"out must hold one array for each of the sizes {order}, not for {list(out)}")
    drawings = as_block(sketches)
    images = {
        canvas: _output(None if out is None else out[canvas.size], canvas.shape_of(len(drawings)))
        for canvas in canvases
    }
    _fill(drawings, images, backend_named(backend), _thread_count(threads))
    return {canvas.size: array for canvas, array in images.items()}


def _fill(drawings: SketchSet, images: Mapping[Canvas, Images], backend: Backend, threads: int | None) -> None:
    """Draw the ink that is asked for and that other channels need, then the other channels."""
    for canvas in images:
        if needs_segments(canvas) and not backend.segments:
            raise ParameterError(f'only backend="numba" draws the channels {", ".join(canvas.names)}')
    count = len(drawings)
    if threads is None:
        threads = count // _DRAWINGS_PER_THREAD
        threads = min(_cores(), threads) if threads > 1 else 1
    threads = max(min(threads, count), 1)
    ready = for_kernels(drawings)
    plain = {canvas: replace(canvas, channels="ink") for canvas in images if canvas.channels != "ink"}
    needed = [canvas for canvas in plain if canvas.names != ("phases",)]
    inks = {plain[canvas]: np.empty(plain[canvas].shape_of(count), np.uint8) for canvas in needed}
    asked = {canvas: array for canvas, array in images.items() if canvas not in plain}
    _render(ready, {**asked, **inks}, backend, threads)
    for canvas in plain:
        if needs_segments(canvas):
            painter = SegmentPainter(ready, canvas, backend.enlargement(canvas))
            _in_threads(partial(painter.paint, inks[plain[canvas]], images[canvas]), count, threads)
        plane = 0
        for name in canvas.names:
            if name == "ink":
                images[canvas][:, plane] = inks[plain[canvas]]
            elif name == "phases":
                large = canvas.enlarged(2)
                drawn = np.empty(large.shape_of(count), np.uint8)
                _render(ready, {large: drawn}, backend, threads)
                images[canvas][:, plane : plane + 4] = fold_phases(drawn)
            plane += CHANNELS[name]


@dataclass(frozen=True)
class _Plan:
    """Canvases that one drawing serves: one of them, `times` as large; `images` is what `halvings` of that give."""

    canvas: Canvas
    times: int
    images: dict[int, Images]

    @property
    def shape(self) -> tuple[int, int]:
        return self.canvas.height * self.times, self.canvas.width * self.times


def _plans(images: Mapping[Canvas, Images], backend: Backend) -> Iterator[_Plan]:
    alike: dict[tuple[object, ...], list[tuple[int, Canvas]]] = defaultdict(list)
    for canvas in images:
        # The greatest power of two that divides both sides; what is left of them says which canvases are alike.
        power = (canvas.height | canvas.width) & -(canvas.height | canvas.width)
        proportions = canvas.height // power, canvas.width // power
        alike[canvas.fit, canvas.extent, canvas.line_share, canvas.margin_share, proportions].append((power, canvas))
    for canvases in alike.values():
        drawn = max(power * backend.enlargement(canvas) for power, canvas in canvases)
        halvings = {(drawn // power).bit_length() - 1: images[canvas] for power, canvas in canvases}
        power, canvas = canvases[0]
        yield _Plan(canvas, drawn // power, halvings)


def _render(drawings: SketchSet, images: Mapping[Canvas, Images], backend: Backend, threads: int) -> None:
    if not len(drawings):
        return
    draw = backend.load()
    for plan in _plans(images, backend):
        scale, offset = placements(drawings, plan.canvas)
        work = partial(_draw_run, draw, plan, drawings, scale * plan.times, offset * plan.times)
        _in_threads(work, len(drawings), threads)


def _in_threads(work: Callable[[tuple[int, int]], None], count: int, threads: int) -> None:
    """Do the work for `count` drawings in runs from a first to before a last one; this thread takes part."""
    if threads == 1:
        work((0, count))
        return
    # Runs of like length, but several a thread, because drawings differ in how much ink they have.
    bounds = np.linspace(0, count, min(4 * threads, count) + 1).astype(int).tolist()
    runs = iter(list(pairwise(bounds)))

    def share() -> None:
        # One list's iterator gives each run to one thread only: `next` holds the interpreter's lock.
        for run in runs:
            work(run)

    with ThreadPoolExecutor(threads - 1) as pool:
        others = [pool.submit(share) for _ in range(threads - 1)]
        share()
        for other in others:
            other.result()


def _draw_run(
    draw: Draw,
    plan: _Plan,
    drawings: SketchSet,
    scale: NDArray[np.float64],
    offset: NDArray[np.float64],
    bounds: tuple[int, int],
) -> None:
    """Draw the sketches from the first to before the last of `bounds`, and average them down."""
    first, last = bounds
    height, width = plan.shape
    chunk = min(max(_CHUNK_BYTES // (height * width), 1), last - first)
    levels = range(max(plan.images) + 1)
    spare = {
        level: np.empty((chunk, height >> level, width >> level), np.uint8)
        for level in levels
        if level not in plan.images
    }
    sums = [np.empty((chunk, height >> level, width >> level), np.uint16) for level in levels[1:]]
    line_width = plan.canvas.line_share * plan.canvas.side * plan.times
    for start in range(first, last, chunk):
        stop = min(start + chunk, last)
        images = [
            plan.images[level][start:stop] if level in plan.images else spare[level][: stop - start] for level in levels
        ]
        arrays = drawings.points, drawings.stroke_offsets, drawings.sketch_offsets
        draw(*arrays, scale, offset, line_width, start, images[0])
        _average_down(images, [level_sums[: stop - start] for level_sums in sums])


def _average_down(images: Sequence[Images], sums: Sequence[NDArray[np.uint16]]) -> None:
    """Fill every image from the one before it, which is twice as large."""
    if not sums:
        return
    from sketchkit.kernels.halve import MAX_HALVINGS, halve

    for level, level_sums in enumerate(sums):
        halving = level % MAX_HALVINGS + 1
        # Sums do not grow without bound: after some halvings they start again from the rounded pixels.
        source = images[level] if halving == 1 else sums[level - 1]
        halve(source, halving, level_sums, images[level + 1])


def _thread_count(threads: int | None) -> int | None:
    if threads is None:
        return None
    if isinstance(threads, bool) or not isinstance(threads, (int, np.integer)) or threads < 1:
        raise ParameterError(f"threads must be a whole number of at least 1, not {threads!r}")
    return int(threads)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _output(out: Images | None, shape: tuple[int, ...]) -> Images:
    if out is None:
        return np.empty(shape, np.uint8)
    if not isinstance(out, np.ndarray) or out.dtype != np.uint8 or out.shape != shape:
        found = f"{out.shape} {out.dtype}" if isinstance(out, np.ndarray) else type(out).__name__
        raise ParameterError(f"out must be an array {shape} uint8, not {found}")
    if not out.flags.c_contiguous or not out.flags.writeable:
        raise ParameterError("out must be C-contiguous and writable")
    return out
