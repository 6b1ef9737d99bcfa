"""The canvas a drawing is rasterized on, and where the drawing lies on it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from numbers import Real
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from sketchkit.errors import ParameterError
from sketchkit.ragged import group_extents, offsets_of
from sketchkit.sketch_set import SketchSet

__all__ = ["Canvas", "Fit", "canvas_of", "placements"]

Fit = Literal["tight", "keep"]

_MAX_SIZE = 16384


@dataclass(frozen=True)
class Canvas:
    """A square raster and how drawings lie on it. Immutable and hashable.

    `line_width` and `margin` are shares of the side, so that a drawing looks alike on every size and a large canvas,
    averaged down, IS the small one.

    Args:
        size: side in pixels, 1 to 16384.
        fit: "tight" scales the drawing's longer side to the canvas less its margins, and centers it; "keep" maps the
            square from (0, 0) to (extent, extent) onto the canvas, and cuts off what lies outside.
        margin: free share of the side on each edge under "tight", 0 to below 0.5; None is half the line's width, so
            that the ink just touches the edges.
        line_width: share of the side, above 0 and below 1.
        extent: side of the square that "keep" maps, in the drawing's units.
        min_line_px: lines are never thinner than this many pixels. 0 keeps all canvases alike; 0.6 makes thin lines
            darker on small canvases (at 32 px the default line would be 0.31 px), and these are then drawn by
            themselves, not averaged down.

    Raises:
        ParameterError: a value is out of its range.

    Example:
        >>> Canvas(64)
        Canvas(size=64, fit='tight', margin=None, line_width=0.009765625, extent=256.0, min_line_px=0.0)
        >>> Canvas.of(64) == Canvas.of({"size": 64, "fit": "tight"})
        True
    """

    size: int
    fit: Fit = "tight"
    margin: float | None = None
    line_width: float = 2.5 / 256
    extent: float = 256.0
    min_line_px: float = 0.0

    def __post_init__(self) -> None:
        self._set("size", _whole_number(self.size))
        if self.fit not in get_args(Fit):
            raise ParameterError(f"fit must be one of {', '.join(get_args(Fit))}, not {self.fit!r}")
        for name in ("line_width", "extent", "min_line_px"):
            self._set(name, _finite(name, getattr(self, name)))
        if not 0 < self.line_width < 1:
            raise ParameterError(f"line_width is a share of the side, above 0 and below 1, not {self.line_width}")
        if self.extent <= 0:
            raise ParameterError(f"extent must be above 0, not {self.extent}")
        if not 0 <= self.min_line_px < self.size:
            raise ParameterError(f"min_line_px must be at least 0 and below size, {self.size}, not {self.min_line_px}")
        if self.margin is not None:
            self._set("margin", _finite("margin", self.margin))
            if not 0 <= self.margin < 0.5:
                raise ParameterError(f"margin is a share of the side, at least 0 and below 0.5, not {self.margin}")

    @classmethod
    def of(cls, value: int | Canvas | Mapping[str, Any]) -> Canvas:
        """A canvas from its size, from the mapping that `to_dict` gives, or from itself.

        Raises:
            ParameterError: it is none of these, or the mapping names a field that does not exist.
        """
        if isinstance(value, Canvas):
            return value
        if isinstance(value, Mapping):
            known = [field.name for field in fields(cls)]
            unknown = [str(name) for name in value if name not in known]
            if unknown or "size" not in value:
                fault = f"knows no {', '.join(unknown)}" if unknown else "needs a size"
                raise ParameterError(f"a canvas {fault}; its fields are {', '.join(known)}")
            return cls(**value)
        return cls(value)

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values that JSON can hold; `Canvas.of` takes them back."""
        return asdict(self)

    @property
    def line_share(self) -> float:
        """Width of the line that is drawn, as a share of the side: `line_width`, or more where `min_line_px` asks."""
        return max(self.line_width, self.min_line_px / self.size)

    @property
    def margin_share(self) -> float:
        """The margin that is used: `margin`, or half the width of the line."""
        return self.line_share / 2 if self.margin is None else self.margin

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)


def canvas_of(size: int | Canvas, geometry: Mapping[str, Any]) -> Canvas:
    """The canvas of this size, or the one given, with `geometry`'s values; None stands for a default.

    Raises:
        ParameterError: a value is out of its range, or one is given beside a `Canvas`.
    """
    given = {name: value for name, value in geometry.items() if value is not None}
    if not isinstance(size, Canvas):
        return Canvas(size, **given)
    if given:
        raise ParameterError(f"{', '.join(given)} cannot be given beside a Canvas, which holds them itself")
    return size


def placements(drawings: SketchSet, canvas: Canvas) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scale (sketches,) and offset (sketches, 2) of each drawing: `point * scale + offset` is in pixels.

    The center of the first pixel is (0.5, 0.5). Points that are not finite do not count for the extent; a drawing
    without any extent (one point, none) lies in the center.
    """
    if canvas.fit == "keep":
        return np.full(len(drawings), canvas.size / canvas.extent), np.zeros((len(drawings), 2))
    least, greatest = _extents(drawings)
    longer = (greatest - least).max(axis=1)
    room = canvas.size * (1 - 2 * canvas.margin_share)
    # Scale 0 puts a point exactly into the center however large its coordinates are.
    scale = np.divide(room, longer, out=np.zeros_like(longer), where=longer > 0)
    return scale, canvas.size / 2 - (least / 2 + greatest / 2) * scale[:, None]


def _extents(drawings: SketchSet) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    offsets = drawings.stroke_offsets[drawings.sketch_offsets]
    points = drawings.points
    if not np.isfinite(points).all():
        finite = np.isfinite(points[:, 0]) & np.isfinite(points[:, 1])
        points = points[finite]
        offsets = offsets_of(finite)[offsets]
    return group_extents(points.astype(np.float64), offsets)


def _whole_number(size: Any) -> int:
    if isinstance(size, bool) or not isinstance(size, (int, np.integer)):
        raise ParameterError(f"a canvas is a Canvas or its size as a whole number, not {size!r}")
    if not 1 <= size <= _MAX_SIZE:
        raise ParameterError(f"size must be 1 to {_MAX_SIZE} pixels, not {size}")
    return int(size)


def _finite(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise ParameterError(f"{name} must be a finite number, not {value!r}")
    return float(value)
