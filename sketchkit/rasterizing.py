"""From strokes to pixels: one size, or a pyramid of sizes drawn once."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import cast

import numpy as np
from numpy.typing import NDArray

from sketchkit.blocks import as_block
from sketchkit.canvas import Canvas, Fit, canvas_of, placements
from sketchkit.errors import ParameterError
from sketchkit.sketch import Sketch
from sketchkit.sketch_set import SketchSet

__all__ = ["BACKENDS", "Backend", "rasterize", "rasterize_pyramid"]

Images = NDArray[np.uint8]

# The arguments of `sketchkit.kernels.raster.draw`: a block's three arrays, scale and offset of each drawing, the line's
# width in pixels, the first drawing, and the images to fill.
Draw = Callable[
    [
        NDArray[np.float32],
        NDArray[np.int64],
        NDArray[np.int64],
        NDArray[np.float64],
        NDArray[np.float64],
        float,
        int,
        Images,
    ],
    None,
]

# Lines are drawn larger only up to this side; a larger canvas is drawn as it is.
_LARGEST_DRAWN = 1024

# Bytes of the images that are drawn together and averaged down while the cache still holds them.
_CHUNK_BYTES = 1 << 19

# Fewer drawings than this are not worth a thread.
_DRAWINGS_PER_THREAD = 32


@dataclass(frozen=True)
class Backend:
    """One way of drawing.

    Args:
        load: gives the function that draws; what it needs is imported only then.
        least_line_px: thinner lines are inaccurate: they are drawn larger and averaged down.
        least_side: smaller images likewise.
    """

    load: Callable[[], Draw]
    least_line_px: float = 0.0
    least_side: int = 1

    def drawn_side(self, canvas: Canvas) -> int:
        """The side in pixels, a power of two times the canvas's own, at which it is drawn accurately."""
        side = canvas.size
        while side < self.least_side or (canvas.line_share * side < self.least_line_px and side * 2 <= _LARGEST_DRAWN):
            side *= 2
        return side


def rasterize(
    sketches: Sketch | SketchSet | Iterable[Sketch],
    size: int | Canvas,
    *,
    line_width: float | None = None,
    fit: Fit | None = None,
    margin: float | None = None,
    extent: float | None = None,
    min_line_px: float | None = None,
    backend: str = "auto",
    threads: int | None = None,
    out: Images | None = None,
) -> Images:
    """Draw sketches as images (sketches, size, size) uint8: ink 255 on 0, round caps and joins, anti-aliased.

    A stroke of one point is a dot, an empty stroke nothing; a point that is not finite is left out with the segments
    that touch it. Where lines cross, the darker one shows.

    Args:
        sketches: a drawing, a set, or any iterable of drawings.
        size: side in pixels, or a `Canvas`, which then says all of the next five.
        line_width: share of the side; default 2.5 / 256.
        fit: "tight" (default) or "keep"; see `Canvas`.
        margin: share of the side; default half the line's width.
        extent: for "keep"; default 256.
        min_line_px: least width of lines in pixels; default 0.
        backend: "numba", "cairo" (needs the system's libcairo), "torch" (on torch's default device; see
            `sketchkit.torch_backend.rasterize_torch` for gradients), or "auto", which is "numba".
        threads: at most so many; default one a core for large sets. Never changes the result.
        out: an array to draw into, C-contiguous; it is returned.

    Raises:
        ParameterError: an argument is out of its range, or geometry is given beside a `Canvas`.
        MissingDependencyError: the backend's library is not installed.

    Example:
        >>> import sketchkit
        >>> cross = sketchkit.Sketch.from_strokes([[(0, 0), (9, 9)], [(0, 9), (9, 0)]])
        >>> sketchkit.rasterize(cross, 5, line_width=0.2)[0]
        array([[222,  64,   0,  64, 222],
               [ 64, 233, 117, 233,  64],
               [  0, 117, 255, 117,   0],
               [ 64, 233, 117, 233,  64],
               [222,  64,   0,  64, 222]], dtype=uint8)
    """
    geometry = {"line_width": line_width, "fit": fit, "margin": margin, "extent": extent, "min_line_px": min_line_px}
    canvas = canvas_of(size, geometry)
    drawings = as_block(sketches)
    images = _output(out, (len(drawings), canvas.size, canvas.size))
    _render(drawings, {canvas: images}, _backend(backend), _thread_count(threads))
    return images


def rasterize_pyramid(
    sketches: Sketch | SketchSet | Iterable[Sketch],
    sizes: Sequence[int | Canvas] = (32, 64, 128, 256),
    *,
    line_width: float | None = None,
    fit: Fit | None = None,
    margin: float | None = None,
    extent: float | None = None,
    min_line_px: float | None = None,
    backend: str = "auto",
    threads: int | None = None,
    out: Mapping[int, Images] | None = None,
) -> dict[int, Images]:
    """Draw sketches at several sizes: {size: (sketches, size, size) uint8}, in the order of `sizes`.

    Sizes that differ by a power of two are drawn once, at the largest, and averaged down. That is exact: a pixel is
    the mean of what lies in it, and geometry scales with the canvas. Others, and those whose line `min_line_px`
    thickens, are drawn by themselves.

    Args:
        sketches: a drawing, a set, or any iterable of drawings.
        sizes: sides in pixels, or canvases; no size twice.
        line_width: as for `rasterize`, and so all that follow.
        fit: see `rasterize`.
        margin: see `rasterize`.
        extent: see `rasterize`.
        min_line_px: see `rasterize`.
        backend: see `rasterize`.
        threads: see `rasterize`.
        out: {size: array to draw into} for every size.

    Raises:
        ParameterError: an argument is out of its range, or geometry is given beside a `Canvas`.
        MissingDependencyError: the backend's library is not installed.

    Example:
        >>> import sketchkit
        >>> roof = sketchkit.Sketch.from_strokes([[(0, 9), (5, 0), (9, 9)]])
        >>> {size: images.shape for size, images in sketchkit.rasterize_pyramid(roof).items()}
        {32: (1, 32, 32), 64: (1, 64, 64), 128: (1, 128, 128), 256: (1, 256, 256)}
    """
    geometry = {"line_width": line_width, "fit": fit, "margin": margin, "extent": extent, "min_line_px": min_line_px}
    canvases = [canvas_of(size, geometry) for size in sizes]
    order = [canvas.size for canvas in canvases]
    if len(set(order)) < len(order):
        raise ParameterError(f"sizes must differ, not {order}")
    if out is not None and set(out) != set(order):
        raise ParameterError(f"out must hold one array for each of the sizes {order}, not for {list(out)}")
    drawings = as_block(sketches)
    images = {
        canvas: _output(None if out is None else out[canvas.size], (len(drawings), canvas.size, canvas.size))
        for canvas in canvases
    }
    _render(drawings, images, _backend(backend), _thread_count(threads))
    return {canvas.size: array for canvas, array in images.items()}


def _numba() -> Draw:
    from sketchkit.kernels.raster import draw

    return cast(Draw, draw)


def _cairo() -> Draw:
    from sketchkit.cairo_backend import draw

    return draw


def _torch() -> Draw:
    import torch

    from sketchkit.torch_backend import draw

    # Threads do not inherit the default device, so it is asked for here.
    return partial(draw, device=torch.get_default_device())


BACKENDS = {
    "numba": Backend(_numba, least_line_px=1.5, least_side=8),
    "cairo": Backend(_cairo),
    "torch": Backend(_torch, least_line_px=1.5),
}
"""Every backend by its name; "auto" is the first."""


@dataclass(frozen=True)
class _Plan:
    """Canvases that one drawing serves: `images` is what `halvings` of the drawn side give."""

    canvas: Canvas
    side: int
    images: dict[int, Images]


def _plans(images: Mapping[Canvas, Images], backend: Backend) -> Iterator[_Plan]:
    alike: dict[tuple[object, ...], list[Canvas]] = defaultdict(list)
    for canvas in images:
        odd_part = canvas.size // (canvas.size & -canvas.size)
        alike[canvas.fit, canvas.extent, canvas.line_share, canvas.margin_share, odd_part].append(canvas)
    for canvases in alike.values():
        side = max(backend.drawn_side(canvas) for canvas in canvases)
        halvings = {(side // canvas.size).bit_length() - 1: images[canvas] for canvas in canvases}
        yield _Plan(canvases[0], side, halvings)


def _render(drawings: SketchSet, images: Mapping[Canvas, Images], backend: Backend, threads: int | None) -> None:
    if not len(drawings):
        return
    # The compiled kernel takes one kind of array; a memory-mapped, read-only one is of another kind.
    ready = SketchSet(
        np.require(drawings.points, np.float32, ["C", "W"]),
        np.require(drawings.stroke_offsets, np.int64, ["C", "W"]),
        np.require(drawings.sketch_offsets, np.int64, ["C", "W"]),
    )
    if threads is None:
        threads = min(_cores(), len(drawings) // _DRAWINGS_PER_THREAD)
    threads = max(min(threads, len(drawings)), 1)
    draw = backend.load()
    for plan in _plans(images, backend):
        scale, offset = placements(ready, plan.canvas)
        growth = plan.side / plan.canvas.size
        work = partial(_draw_run, draw, plan, ready, scale * growth, offset * growth)
        if threads == 1:
            work((0, len(ready)))
            continue
        # Four runs a thread, because drawings differ in how much ink they have.
        bounds = np.linspace(0, len(ready), min(4 * threads, len(ready)) + 1).astype(int).tolist()
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(work, pairwise(bounds)))


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
    chunk = min(max(_CHUNK_BYTES // plan.side**2, 1), last - first)
    levels = range(max(plan.images) + 1)
    spare = {
        level: np.empty((chunk, plan.side >> level, plan.side >> level), np.uint8)
        for level in levels
        if level not in plan.images
    }
    sums = [np.empty((chunk, plan.side >> level, plan.side >> level), np.uint16) for level in levels[1:]]
    for start in range(first, last, chunk):
        stop = min(start + chunk, last)
        images = [
            plan.images[level][start:stop] if level in plan.images else spare[level][: stop - start] for level in levels
        ]
        draw(
            drawings.points,
            drawings.stroke_offsets,
            drawings.sketch_offsets,
            scale,
            offset,
            plan.canvas.line_share * plan.side,
            start,
            images[0],
        )
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


def _backend(name: str) -> Backend:
    if name == "auto":
        return next(iter(BACKENDS.values()))
    if name not in BACKENDS:
        raise ParameterError(f"backend must be one of auto, {', '.join(BACKENDS)}, not {name!r}")
    return BACKENDS[name]


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


def _output(out: Images | None, shape: tuple[int, int, int]) -> Images:
    if out is None:
        return np.empty(shape, np.uint8)
    if not isinstance(out, np.ndarray) or out.dtype != np.uint8 or out.shape != shape:
        found = f"{out.shape} {out.dtype}" if isinstance(out, np.ndarray) else type(out).__name__
        raise ParameterError(f"out must be an array {shape} uint8, not {found}")
    if not out.flags.c_contiguous or not out.flags.writeable:
        raise ParameterError("out must be C-contiguous and writable")
    return out
