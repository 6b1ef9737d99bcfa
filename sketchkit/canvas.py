"""The canvas a drawing is rasterized on, and where the drawing lies on it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property, lru_cache
from numbers import Real
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from sketchkit.blocks import as_block
from sketchkit.errors import ParameterError
from sketchkit.ragged import finite_extents
from sketchkit.rectangles import places_of, rectangles_of, require_cuttable
from sketchkit.sketch import Sketch
from sketchkit.sketch_set import SketchSet

__all__ = ["CHANNELS", "Canvas", "Fit", "canvas_of", "one_shape", "placements", "sizes_of"]

Fit = Literal["tight", "keep"]

CHANNELS = {"ink": 1, "orientation": 2, "order": 1, "time": 1, "part": 1, "phases": 4}
"""What a pixel can hold, and in how many planes; see `Canvas`."""

_MAX_SIZE = 16384
_LINE_WIDTH = 2.5 / 256


@dataclass(frozen=True)
class Canvas:
    """A raster and how drawings lie on it. Immutable and hashable.

    `line_width` and `margin` are shares of the side, so that a drawing looks alike on every size and a large canvas,
    averaged down, IS the small one. The side of a canvas (height, width) is its shorter one.

    Channels, each uint8, in the order named:

    - "ink": 1 plane, ink 255 on 0.
    - "orientation": 2 planes, 128 + 127 cos 2a and 128 + 127 sin 2a, a the angle of the segment from the x axis to
      the y axis (down); 128 both for a dot and where no ink is. Twice the angle, because a line has no direction.
    - "order": how much of the drawing's ink was drawn before this place, 1 + 254 times its share; 0 where no ink is.
    - "time": the place's time between the drawing's first and last, encoded alike; needs the point column "time".
    - "part": 1 + the label of the segment's nearer end, in the point column "part" (whole numbers, 0 to 254);
      0 where no ink is.
    - "phases": 4 planes, the ink at twice the size, space to depth: plane `2 * i + j` holds its rows `i::2` and
      columns `j::2`, as `torch.nn.PixelUnshuffle(2)` orders them.

    All but "ink" and "phases" are those of one segment: of the darkest in the pixel, or, where thin lines are drawn
    larger and averaged down, in any of the smaller pixels within it. Of equally dark ones the last drawn counts.

    Args:
        size: side in pixels, 1 to 16384, or (height, width).
        fit: "tight" scales the drawing to the canvas less its margins, as large as it fits, and centers it; "keep"
            maps the square from (0, 0) to (extent, extent) onto the canvas's square at the upper left, and cuts off
            what lies outside the canvas.
        margin: free share of the side on each edge under "tight", 0 to below 0.5; None is half the line's width, so
            that the ink just touches the edges.
        line_width: share of the side, above 0 and below 1.
        extent: side of the square that "keep" maps, in the drawing's units.
        min_line_px: lines are never thinner than this many pixels. 0 keeps all canvases alike; 0.6 makes thin lines
            darker on small canvases (at 32 px the default line would be 0.31 px), and these are then drawn by
            themselves, not averaged down.
        line_width_px: width in pixels of this canvas, below its side, instead of `line_width`. A line of so many
            pixels on every canvas looks unlike on each, so that each is drawn by itself.
        channels: "ink" gives images (sketches, height, width); another name, or a sequence of names,
            (sketches, planes, height, width).
        rectangular: whether the ground beside a drawing is cut off, which saves a network the work on it. The picture
            is that of the square of this size, of which only one side stays; the other is the least multiple of 32 px
            (of 16 px below 96, from 32 on) that holds the ink with its margins. Squares below 64 px stay squares. For
            "tight" and an even number as the size; `fitted` tells the shape of each drawing.

    Raises:
        ParameterError: a value is out of its range.

    Example:
        >>> Canvas(64).line_share
        0.009765625
        >>> Canvas.of(64) == Canvas.of({"size": 64, "fit": "tight"})
        True
        >>> Canvas((32, 48), channels=("ink", "orientation")).shape_of(10)
        (10, 3, 32, 48)
        >>> Canvas(192, rectangular=True).fitted(Sketch.from_strokes([[(0, 0), (3, 9)]]))[0][0].size
        (192, 96)
    """

    # A whole number, else (height, width): loosely typed, because most who ask for it know of squares alone.
    size: Any
    fit: Fit = "tight"
    margin: float | None = None
    line_width: float = _LINE_WIDTH
    extent: float = 256.0
    min_line_px: float = 0.0
    line_width_px: float | None = None
    channels: str | Sequence[str] = "ink"
    rectangular: bool = False

    def __post_init__(self) -> None:
        self._set("size", _pixels(self.size))
        self._set("channels", _channels(self.channels))
        if self.fit not in get_args(Fit):
            raise ParameterError(f"fit must be one of {', '.join(get_args(Fit))}, not {self.fit!r}")
        for name in ("line_width", "extent", "min_line_px"):
            self._set(name, _finite(name, getattr(self, name)))
        if not 0 < self.line_width < 1:
            raise ParameterError(f"line_width is a share of the side, above 0 and below 1, not {self.line_width}")
        if self.extent <= 0:
            raise ParameterError(f"extent must be above 0, not {self.extent}")
        if not 0 <= self.min_line_px < self.side:
            raise ParameterError(f"min_line_px must be at least 0 and below size, {self.side}, not {self.min_line_px}")
        if self.margin is not None:
            self._set("margin", _finite("margin", self.margin))
            if not 0 <= self.margin < 0.5:
                raise ParameterError(f"margin is a share of the side, at least 0 and below 0.5, not {self.margin}")
        if self.line_width_px is not None:
            self._set("line_width_px", _finite("line_width_px", self.line_width_px))
            if not 0 < self.line_width_px < self.side:
                raise ParameterError(
                    f"line_width_px must be above 0 and below size, {self.side}, not {self.line_width_px}"
                )
            if self.line_width != _LINE_WIDTH:
                raise ParameterError("line_width and line_width_px are two names of one thing: give one of them")
        self._set("rectangular", _flag("rectangular", self.rectangular))
        if self.rectangular:
            require_cuttable(self.size, self.fit)

    @classmethod
    def of(cls, value: int | tuple[int, int] | Canvas | Mapping[str, Any]) -> Canvas:
        """A canvas from its size, from the mapping that `to_dict` gives, or from itself.

        Args:
            value: a side in pixels, a height and a width in pixels, a mapping, or a canvas.

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

    @cached_property
    def height(self) -> int:
        """Rows of pixels; of a `rectangular` canvas the most."""
        return int(self.size if isinstance(self.size, int) else self.size[0])

    @cached_property
    def width(self) -> int:
        """Columns of pixels; of a `rectangular` canvas the most."""
        return int(self.size if isinstance(self.size, int) else self.size[1])

    @cached_property
    def side(self) -> int:
        """The shorter side in pixels, of which `line_width` and `margin` are shares."""
        return min(self.height, self.width)

    @property
    def oblong(self) -> bool:
        """Whether height and width differ on every drawing; `size` is then (height, width), else a whole number."""
        return self.height != self.width

    @cached_property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """(height, width) of all images that drawings may get, smallest first; one, unless it is `rectangular`."""
        return rectangles_of(self.side, self._edge) if self.rectangular else ((self.height, self.width),)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The channels, always as a tuple."""
        return (self.channels,) if isinstance(self.channels, str) else tuple(self.channels)

    @cached_property
    def line_share(self) -> float:
        """Width of the line that is drawn, as a share of the side: the one given, or more if `min_line_px` asks."""
        given = self.line_width if self.line_width_px is None else self.line_width_px / self.side
        return max(given, self.min_line_px / self.side)

    @cached_property
    def margin_share(self) -> float:
        """The margin that is used: `margin`, or half the width of the line."""
        return self.line_share / 2 if self.margin is None else self.margin

    def shape_of(self, sketches: int) -> tuple[int, ...]:
        """Shape of the images of so many sketches: (sketches, height, width), or with planes as the second axis.

        On a `rectangular` canvas it is the most that they can take; those of `fitted` have their own.

        Args:
            sketches: how many.
        """
        if self.channels == "ink":
            return (sketches, self.height, self.width)
        return (sketches, sum(CHANNELS[name] for name in self.names), self.height, self.width)

    def enlarged(self, times: int) -> Canvas:
        """The same picture, in ink, `times` as large: each of its pixels in `times * times`.

        Args:
            times: a whole number, by how much the sides grow.

        Raises:
            ParameterError: it is larger than a canvas can be.
        """
        pixels = self.line_share * self.side * times
        line: dict[str, Any] = {"line_width": _LINE_WIDTH, "line_width_px": pixels, "min_line_px": 0.0}
        size = (self.height * times, self.width * times)
        return replace(self, size=size, margin=self.margin_share, channels="ink", **line)

    def fitted(self, drawings: Sketch | SketchSet | Iterable[Sketch]) -> tuple[list[Canvas], NDArray[np.int64]]:
        """The canvas that each drawing is really drawn on: itself, or where it is `rectangular`, one of its `shapes`.

        On these a drawing has the scale, line and margins of the square, less whole pixels at two sides.

        Args:
            drawings: one or many; for none the answer is one canvas, the square.

        Returns:
            Distinct canvases that are not `rectangular`, smallest first, and for each drawing which one, (drawings,).

        Example:
            >>> tall, wide = Sketch.from_strokes([[(0, 0), (1, 9)]]), Sketch.from_strokes([[(0, 0), (9, 5)]])
            >>> canvases, which = Canvas(128, rectangular=True).fitted([wide, tall, wide])
            >>> [canvas.size for canvas in canvases], which.tolist()
            ([(128, 32), (96, 128)], [1, 0, 1])
        """
        return self._fitted(as_block(drawings))

    def _fitted(self, block: SketchSet) -> tuple[list[Canvas], NDArray[np.int64]]:
        if not self.rectangular:
            return [self], np.zeros(len(block), np.int64)
        if not len(block):
            return [self._of_shape(self.shapes[-1])], np.zeros(0, np.int64)
        least, greatest = _extents(block)
        extents = (greatest - least) * _tight_scale(greatest - least, self)[:, None]
        places, which = np.unique(places_of(extents, self._edge, self.shapes), return_inverse=True)
        return [self._of_shape(self.shapes[place]) for place in places], which.astype(np.int64)

    @property
    def _edge(self) -> float:
        """Pixels that a drawing takes beyond its points, at both sides together."""
        return max(2 * self.margin_share, self.line_share) * self.side

    def _of_shape(self, shape: tuple[int, int]) -> Canvas:
        """The one of a rectangular canvas's fixed canvases that has this shape."""
        if shape == (self.side, self.side):
            return replace(self, rectangular=False)
        return replace(
            self,
            size=shape,
            rectangular=False,
            line_width=_LINE_WIDTH,
            line_width_px=self.line_share * self.side,
            margin=self.margin_share * self.side / min(shape),
            min_line_px=0.0,
        )

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)


def canvas_of(size: int | tuple[int, int] | Canvas, geometry: Mapping[str, Any]) -> Canvas:
    """The canvas of this `size`, or the one given as it, with `geometry`'s values; None there stands for a default.

    Raises:
        ParameterError: a value is out of its range, or one is given beside a `Canvas`.
    """
    given = {name: value for name, value in geometry.items() if value is not None}
    if not isinstance(size, Canvas):
        try:
            return _made(size, **given) if type(size) is int else Canvas(size, **given)
        except TypeError:  # a list, say, which cannot be remembered
            return Canvas(size, **given)
    if given:
        raise ParameterError(f"{', '.join(given)} cannot be given beside a Canvas, which holds them itself")
    return size


@lru_cache(maxsize=256, typed=True)
def _made(size: int, **geometry: Any) -> Canvas:
    """A canvas, remembered: for one small drawing a call, checking its values again would take a while."""
    return Canvas(size, **geometry)


def placements(drawings: SketchSet, canvas: Canvas) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scale (sketches,) and offset (sketches, 2) of `drawings` on `canvas`: `point * scale + offset` is in pixels.

    The center of the first pixel is (0.5, 0.5). Points that are not finite do not count for the extent; a drawing
    without any extent (one point, none) lies in the center. A rectangular canvas counts as its square: place drawings
    on what `Canvas.fitted` gives.
    """
    if canvas.fit == "keep":
        return np.full(len(drawings), canvas.side / canvas.extent), np.zeros((len(drawings), 2))
    least, greatest = _extents(drawings)
    scale = _tight_scale(greatest - least, canvas)
    return scale, np.array([canvas.width, canvas.height]) / 2 - (least / 2 + greatest / 2) * scale[:, None]


def one_shape(drawings: SketchSet, canvas: Canvas) -> Canvas:
    """The `canvas`, or the part of a rectangular one, that all `drawings` are drawn on: their images are one array.

    Raises:
        ParameterError: the canvas is rectangular, and gives them several shapes.
    """
    # Unchecked: torch's drawings may have their points in float64.
    canvases, _ = canvas._fitted(drawings)
    if len(canvases) > 1:
        shapes = ", ".join(f"{each.height} x {each.width}" for each in canvases)
        raise ParameterError(
            f"on this rectangular canvas the drawings get images of {len(canvases)} shapes ({shapes} px), which are no "
            "one array: group the drawings by Canvas.fitted, and draw each group on its canvas"
        )
    return canvases[0]


def _tight_scale(extents: NDArray[np.float64], canvas: Canvas) -> NDArray[np.float64]:
    """(sketches,) pixels a unit, for extents (sketches, 2) in x and y."""
    margins = 2 * canvas.margin_share * canvas.side
    # A drawing is scaled until it fills the room in one direction; in a square that is its longer side's.
    taken = extents / np.array([canvas.width - margins, canvas.height - margins])
    most = np.maximum(taken[:, 0], taken[:, 1])
    # Scale 0 puts a point exactly into the center however large its coordinates are.
    scale: NDArray[np.float64] = np.divide(1.0, most, out=np.zeros_like(most), where=most > 0)
    return scale


def _extents(drawings: SketchSet) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return finite_extents(drawings.points, drawings.stroke_offsets[drawings.sketch_offsets])


def _pixels(size: Any) -> int | tuple[int, int]:
    """The size, checked: a whole number for a square, else (height, width)."""
    if isinstance(size, (tuple, list)) and len(size) == 2:
        height, width = (_whole_number(side) for side in size)
        return height if height == width else (height, width)
    return _whole_number(size)


def _whole_number(size: Any) -> int:
    if isinstance(size, bool) or not isinstance(size, (int, np.integer)):
        raise ParameterError(
            f"a canvas is a Canvas or its size as a whole number, or as two: (height, width); not {size!r}"
        )
    if not 1 <= size <= _MAX_SIZE:
        raise ParameterError(f"size must be 1 to {_MAX_SIZE} pixels, not {size}")
    return int(size)


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        raise ParameterError(f"{name} must be True or False, not {value!r}")
    return bool(value)


def _channels(channels: Any) -> str | tuple[str, ...]:
    """The channels, checked: "ink" alone as the word, which means no axis for planes, all else as a tuple."""
    names = (channels,) if isinstance(channels, str) else channels
    if not isinstance(names, (tuple, list)) or not names:
        raise ParameterError(f"channels must be a name or a sequence of names, not {channels!r}")
    unknown = [repr(name) for name in names if not isinstance(name, str) or name not in CHANNELS]
    if unknown:
        raise ParameterError(f"channels must be of {', '.join(CHANNELS)}, not {', '.join(unknown)}")
    if len(set(names)) < len(names):
        raise ParameterError(f"channels must differ, not {', '.join(names)}")
    return "ink" if channels == "ink" else tuple(names)


def _finite(name: str, value: Any) -> float:
    if type(value) is float and math.isfinite(value):  # the usual case, and the faster test
        return value
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise ParameterError(f"{name} must be a finite number, not {value!r}")
    return float(value)


def sizes_of(canvases: Sequence[Canvas]) -> NDArray[np.int64]:
    """(canvases,) sides in pixels of `canvases`; (canvases, 2) heights and widths where one of them is `oblong`.

    Sizes are as declared: a rectangular canvas is the number that it was made with.

    Example:
        >>> sizes_of([Canvas(32), Canvas(64)]), sizes_of([Canvas((32, 48)), Canvas(64)]).tolist()
        (array([32, 64]), [[32, 48], [64, 64]])
    """
    if any(canvas.oblong for canvas in canvases):
        return np.array([(canvas.height, canvas.width) for canvas in canvases], np.int64)
    return np.array([canvas.size for canvas in canvases], np.int64)
