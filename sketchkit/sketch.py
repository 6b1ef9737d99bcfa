"""One drawing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sketchkit import sequences
from sketchkit.errors import DataError

__all__ = ["Sketch"]


@dataclass(frozen=True, eq=False, repr=False)
class Sketch:
    """One drawing: strokes in the order they were drawn. Immutable.

    Args:
        points: (points, 2) float32, x to the right and y down.
        offsets: (strokes + 1,) int64, where each stroke starts; the last entry is the number of points.
        label: the class, when known.
        key: what names the drawing in its file.
        meta: whatever else the file said about it.
        point_columns: (points,) each, for instance `time` in milliseconds, `pressure`, `part`.

    Example:
        >>> roof = Sketch.from_strokes([[(0, 9), (5, 0), (9, 9)]], label="roof")
        >>> roof
        Sketch(1 strokes, 3 points, label='roof')
        >>> roof.to_stroke5().shape
        (4, 5)
    """

    points: NDArray[np.float32]
    offsets: NDArray[np.int64]
    label: Any = None
    key: Any = None
    meta: Mapping[str, Any] = field(default_factory=dict)
    point_columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # Views, so that whoever made the arrays may still write to them: it is this drawing that cannot.
        object.__setattr__(self, "points", _read_only(self.points))
        object.__setattr__(self, "offsets", _read_only(self.offsets))
        columns = {name: _read_only(values) for name, values in self.point_columns.items()}
        object.__setattr__(self, "point_columns", columns)

    @classmethod
    def from_strokes(
        cls,
        strokes: Iterable[ArrayLike],
        *,
        time: Iterable[ArrayLike] | None = None,
        label: Any = None,
        key: Any = None,
        meta: Mapping[str, Any] | None = None,
    ) -> Sketch:
        """Build a drawing from its strokes.

        Args:
            strokes: each (n, 2), x to the right and y down; n may be 0.
            time: for each stroke (n,) milliseconds.
            label: the class.
            key: the drawing's name.
            meta: anything else.

        Raises:
            DataError: a stroke is not (n, 2), or its times are not (n,).
        """
        arrays = [_stroke(stroke, index) for index, stroke in enumerate(strokes)]
        offsets = np.zeros(len(arrays) + 1, np.int64)
        offsets[1:] = np.cumsum([len(stroke) for stroke in arrays])
        # Transposed strokes, as in `np.array([xs, ys]).T`, would make the result column-major.
        points = np.ascontiguousarray(np.concatenate(arrays)) if arrays else np.zeros((0, 2), np.float32)
        columns: dict[str, NDArray[Any]] = {}
        if time is not None:
            times = [np.asarray(values, np.float32) for values in time]
            lengths = [len(values) for values in times]
            if lengths != [len(stroke) for stroke in arrays]:
                raise DataError(
                    f"times have {lengths} values a stroke, strokes have {np.diff(offsets).tolist()} points"
                )
            columns["time"] = np.concatenate(times) if times else np.zeros(0, np.float32)
        return cls(points, offsets, label=label, key=key, meta=dict(meta or {}), point_columns=columns)

    @classmethod
    def from_stroke3(cls, array: ArrayLike, *, label: Any = None, key: Any = None) -> Sketch:
        """Build a drawing from stroke-3 rows `(dx, dy, pen)`; pen 1 lifts AFTER that point.

        Source: sketch-rnn's data format, https://github.com/hardmaru/sketch-rnn-datasets.

        Args:
            array: (points, 3), steps in any units.
            label: the class, when known.
            key: what names the drawing.

        Raises:
            DataError: the array is not (n, 3).
        """
        points, offsets = sequences.from_stroke3(array)
        return cls(points, offsets, label=label, key=key)

    @classmethod
    def from_stroke5(cls, array: ArrayLike, *, absolute: bool = False, label: Any = None, key: Any = None) -> Sketch:
        """Build a drawing from stroke-5 rows `(x, y, p1, p2, p3)`; reads up to the first p3 = 1.

        Args:
            array: (n, 5); p1 = pen stays down, p2 = pen lifts after this point, p3 = the drawing has ended.
            absolute: x, y are positions (as the selector of arXiv 2505.23763 takes them), not steps.
            label: the class.
            key: the drawing's name.

        Raises:
            DataError: the array is not (n, 5).
        """
        points, offsets = sequences.from_stroke5(array, absolute=absolute)
        return cls(points, offsets, label=label, key=key)

    @classmethod
    def from_svg(cls, source: str | PathLike[str], *, tolerance: float = 0.1) -> Sketch:
        """Read a drawing from an SVG file, or from SVG text (a string that starts with `<`).

        Args:
            source: a path, or the text itself.
            tolerance: how far a flattened curve may lie from the true one, in the SVG's user units.

        Raises:
            DataError: the file is no SVG or draws nothing.
        """
        from sketchkit.formats.svg import read_svg

        return read_svg(source, tolerance=tolerance)

    @cached_property
    def strokes(self) -> tuple[NDArray[np.float32], ...]:
        """The strokes, each a (n, 2) view of `points`."""
        return tuple(self.points[a:b] for a, b in zip(self.offsets[:-1], self.offsets[1:], strict=True))

    @property
    def time(self) -> NDArray[np.float32] | None:
        """(points,) milliseconds, or None when the file carries none."""
        return self.point_columns.get("time")

    @property
    def fields(self) -> dict[str, Any]:
        """Label, key and meta as one flat mapping: the drawing's row in a `SketchSet`'s columns."""
        named = {"label": self.label, "key": self.key}
        given = {name: value for name, value in named.items() if value is not None}
        return {**given, **self.meta, **given}

    def to_stroke3(self) -> NDArray[np.float32]:
        """Rows `(dx, dy, pen)`, (points, 3) float32; pen 1 on the last point of a stroke, steps from the origin."""
        return sequences.to_stroke3(self.points, self.offsets)

    def to_stroke5(self, length: int | None = None, *, absolute: bool = False) -> NDArray[np.float32]:
        """Rows `(x, y, p1, p2, p3)` with one end row, (length or points + 1, 5) float32.

        Args:
            length: pad with end rows up to this many rows, as sketch-rnn does.
            absolute: x, y are positions, not steps; the end rows repeat the last position.

        Raises:
            ParameterError: the drawing has more than `length - 1` points; `simplify(max_points=)` bounds it.
        """
        return sequences.to_stroke5(self.points, self.offsets, length, absolute=absolute)

    def to_svg(self, *, stroke_width: float | None = None) -> str:
        """SVG text, one path a stroke, in drawing order, on a tight view box.

        Args:
            stroke_width: in the drawing's own units; default 1 % of its longer side.
        """
        from sketchkit.formats.svg import sketch_to_svg

        return sketch_to_svg(self, stroke_width=stroke_width)

    def _repr_svg_(self) -> str:
        # A notebook may have a dark ground, and shows an SVG as an image, which inherits no color.
        return self.to_svg().replace('style="', 'style="color:black;background:white;', 1)

    def __repr__(self) -> str:
        named = "".join(
            f", {name}={value!r}" for name, value in (("label", self.label), ("key", self.key)) if value is not None
        )
        return f"Sketch({len(self.offsets) - 1} strokes, {len(self.points)} points{named})"


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    view: NDArray[Any] = array.view()
    view.flags.writeable = False
    return view


def _stroke(stroke: ArrayLike, index: int) -> NDArray[np.float32]:
    try:
        array = np.asarray(stroke, np.float32)
    except (TypeError, ValueError) as error:
        raise DataError(f"stroke {index} is not an array of numbers: {error}") from None
    if array.size == 0:
        return np.zeros((0, 2), np.float32)
    if array.ndim != 2 or array.shape[1] != 2:
        raise DataError(f"stroke {index} has shape {array.shape}; it must be (n, 2): x, y")
    return array
