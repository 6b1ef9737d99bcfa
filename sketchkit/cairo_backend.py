"""The reference: strokes drawn by cairo, all of a drawing's strokes as one path, so that crossings add no ink."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sketchkit.errors import MissingDependencyError
from sketchkit.kernels.raster import clip

__all__ = ["draw"]

# Cairo's coordinates are 24.8 fixed point: beyond 2**23 they wrap around.
_FAR = 1e6

_REMEDY = (
    "cairo cannot be used: {reason}. Install the system library (Debian, Ubuntu: apt-get install libcairo2; macOS: "
    'brew install cairo) and the package (pip install cairocffi), or use backend="numba", which needs neither'
)


def draw(
    points: NDArray[np.float32],
    stroke_offsets: NDArray[np.int64],
    sketch_offsets: NDArray[np.int64],
    scale: NDArray[np.float64],
    offset: NDArray[np.float64],
    line_width: float,
    first: int,
    images: NDArray[np.uint8],
) -> None:
    """Draw the sketches `first`, `first + 1`, ... into images (sketches, height, width); ink 255 on 0.

    `points * scale + offset` are pixels, and so is `line_width`. Caps and joins are round, dots and breaks those of the
    numba kernel, and so are the arguments: see `sketchkit.kernels.raster.draw`.

    Raises:
        MissingDependencyError: cairocffi or the system's cairo library is not installed.
    """
    cairo = _cairo()
    height, width = images.shape[1:]
    surface = cairo.ImageSurface(cairo.FORMAT_A8, width, height)
    pixels = np.frombuffer(surface.get_data(), np.uint8).reshape(height, surface.get_stride())
    for index, image in enumerate(images):
        pixels[:] = 0
        surface.mark_dirty()
        context = cairo.Context(surface)
        context.set_line_width(line_width)
        context.set_line_cap(cairo.LINE_CAP_ROUND)
        context.set_line_join(cairo.LINE_JOIN_ROUND)
        sketch = first + index
        for stroke in range(sketch_offsets[sketch], sketch_offsets[sketch + 1]):
            drawn = points[stroke_offsets[stroke] : stroke_offsets[stroke + 1]].astype(np.float64)
            with np.errstate(invalid="ignore"):  # an infinite point times scale 0; it breaks the stroke below
                places = drawn * scale[sketch] + offset[sketch]
            for run in _runs(places):
                _trace(context, run, (width, height), line_width)
        context.stroke()
        surface.flush()
        image[:] = pixels[:, :width]


def _cairo() -> Any:
    try:
        import cairocffi
    except (ImportError, OSError) as error:  # OSError: the package is there, the library it opens is not
        raise MissingDependencyError(_REMEDY.format(reason=str(error).partition("\n")[0])) from error
    return cairocffi


def _runs(places: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """The stretches of finite points, as the numba kernel breaks strokes."""
    finite = np.isfinite(places).all(axis=1)
    if finite.all():
        return [places] if len(places) else []
    parts = np.split(places, np.flatnonzero(~finite))
    return [kept for part in parts if len(kept := part[np.isfinite(part).all(axis=1)])]


def _trace(context: Any, run: NDArray[np.float64], sides: tuple[int, int], line_width: float) -> None:
    if np.abs(run).max() > _FAR:
        for (ax, ay), (bx, by) in zip(run[:-1].tolist(), run[1:].tolist(), strict=True):
            visible, *ends = clip(ax, ay, bx, by, 2 * line_width + 2, *sides)
            if visible:
                context.move_to(*ends[:2])
                context.line_to(*ends[2:])
        return
    context.move_to(*run[0])
    # A dot is a line to its own point: cairo gives it a cap.
    for point in run[1:].tolist() or [run[0]]:
        context.line_to(*point)
