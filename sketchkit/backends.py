"""The ways of drawing: what each needs, and how large it must draw to be accurate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import cast

import numpy as np
from numpy.typing import NDArray

from sketchkit.canvas import Canvas
from sketchkit.errors import ParameterError

__all__ = ["BACKENDS", "Backend", "Draw", "backend_named"]

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
        NDArray[np.uint8],
    ],
    None,
]

# Lines are drawn larger only up to this side; a larger canvas is drawn as it is.
_LARGEST_DRAWN = 1024


@dataclass(frozen=True)
class Backend:
    """One way of drawing.

    Args:
        load: gives the function that draws; what it needs is imported only then.
        least_line_px: thinner lines are inaccurate: they are drawn larger and averaged down.
        fine_side: smaller images are drawn at least twice as large: many of their lines share pixels.
        segments: whether it tells the segment in a pixel, which most channels of a `Canvas` need.
    """

    load: Callable[[], Draw]
    least_line_px: float = 0.0
    fine_side: int = 0
    segments: bool = False

    def enlargement(self, canvas: Canvas) -> int:
        """How many times as large, a power of two, `canvas` is drawn so that it comes out accurate.

        More than once for lines under `least_line_px`, as long as its longer side stays within 1024 pixels, and for a
        longer side under `fine_side`.
        """
        line, longer = canvas.line_share * canvas.side, max(canvas.height, canvas.width)
        times = 1
        while line * times < self.least_line_px and longer * times * 2 <= _LARGEST_DRAWN:
            times *= 2
        return 2 if times == 1 and longer < self.fine_side else times


def backend_named(name: str) -> Backend:
    """The backend called `name` in `BACKENDS`; "auto" is the first there.

    Raises:
        ParameterError: there is none.
    """
    if name == "auto":
        return next(iter(BACKENDS.values()))
    if name not in BACKENDS:
        raise ParameterError(f"backend must be one of auto, {', '.join(BACKENDS)}, not {name!r}")
    return BACKENDS[name]


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
    "numba": Backend(_numba, least_line_px=1.5, fine_side=256, segments=True),
    "cairo": Backend(_cairo),
    "torch": Backend(_torch, least_line_px=1.5),
}
"""Every backend by its name; "auto" is the first."""
