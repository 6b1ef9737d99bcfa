"""Many drawings in one ragged block."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sketchkit.columns import column_lengths, column_of, concat_column, row_of, rows_of
from sketchkit.errors import DataError, ParameterError
from sketchkit.ragged import offsets_of, ranges
from sketchkit.sketch import Sketch

__all__ = ["SketchSet"]

_SHOWN = 24  # drawings that a notebook shows


@dataclass(frozen=True, eq=False, repr=False)
class SketchSet:
    """Many drawings in one ragged block: the layout of a MultiLineString in shapely 2 and GeoArrow.

    Stroke `s` is `points[stroke_offsets[s]:stroke_offsets[s + 1]]`; drawing `b` owns the strokes
    `sketch_offsets[b]:sketch_offsets[b + 1]`. Both offsets start at 0, never decrease and end at the
    number of what they index; `validate()` checks this.

    Args:
        points: (points, 2) float32, x to the right and y down, in the units of the file.
        stroke_offsets: (strokes + 1,) int64 into `points`.
        sketch_offsets: (sketches + 1,) int64 into `stroke_offsets`.
        columns: one value a drawing, for instance `label` and `key`: name -> (sketches,) array.
        point_columns: one value a point, for instance `time` (ms), `pressure`, `part`: name -> (points,) array.

    Example:
        >>> import sketchkit
        >>> house = sketchkit.Sketch.from_strokes([[(0, 9), (5, 0), (9, 9)], [(0, 9), (9, 9)]], label="house")
        >>> drawings = sketchkit.SketchSet.from_sketches([house, house])
        >>> drawings
        SketchSet(2 sketches, 4 strokes, 10 points, columns: label)
        >>> drawings[0].label
        'house'
        >>> len(drawings[drawings.columns["label"] == "house"])
        2
    """

    points: NDArray[np.float32]
    stroke_offsets: NDArray[np.int64]
    sketch_offsets: NDArray[np.int64]
    columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    point_columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    @classmethod
    def from_sketches(cls, sketches: Iterable[Sketch]) -> SketchSet:
        """Gather drawings into one block; a column that some drawings lack is filled with None or NaN.

        Args:
            sketches: any number of drawings, also none.

        Raises:
            DataError: some drawings carry a point column that others lack.
        """
        drawings = list(sketches)
        for sketch in drawings:
            if not isinstance(sketch, Sketch):
                raise ParameterError(
                    f"from_sketches takes Sketch objects, not {type(sketch).__name__}; Sketch.from_strokes makes one "
                    "of lists of points"
                )
            if sketch.offsets[-1] != len(sketch.points):
                raise DataError(f"a sketch has offsets up to {sketch.offsets[-1]} for {len(sketch.points)} points")
        if not drawings:
            return cls(np.zeros((0, 2), np.float32), np.zeros(1, np.int64), np.zeros(1, np.int64))
        counts = np.array([len(sketch.offsets) - 1 for sketch in drawings], np.int64)
        lengths = np.concatenate([np.diff(sketch.offsets) for sketch in drawings])
        return cls(
            np.ascontiguousarray(np.concatenate([sketch.points for sketch in drawings])),
            offsets_of(lengths),
            offsets_of(counts),
            _gather_columns([sketch.fields for sketch in drawings]),
            _concat_point_columns([(sketch.point_columns, len(sketch.points)) for sketch in drawings]),
        )

    @classmethod
    def concat(cls, sets: Iterable[SketchSet]) -> SketchSet:
        """Join sets, in order; a column that some lack is filled with None or NaN.

        Args:
            sets: any number of them, also none.

        Raises:
            DataError: some sets carry a point column that others lack.
        """
        parts = list(sets)
        if not parts:
            return cls.from_sketches([])
        if len(parts) == 1:
            return parts[0]
        names = dict.fromkeys(name for part in parts for name in part.columns)
        columns = {name: concat_column([(part.columns.get(name), len(part)) for part in parts]) for name in names}
        return cls(
            np.concatenate([part.points for part in parts]),
            offsets_of(np.concatenate([np.diff(part.stroke_offsets) for part in parts])),
            offsets_of(np.concatenate([np.diff(part.sketch_offsets) for part in parts])),
            columns,
            _concat_point_columns([(part.point_columns, len(part.points)) for part in parts]),
        )

    @classmethod
    def from_shapely(cls, geometries: Any) -> SketchSet:
        """Drawings from shapely geometries, one each: a line is a stroke, in the order in which shapely holds them.

        A polygon gives its rings, the outer one first; a point a stroke of one point; a collection what is in it; None
        or an empty geometry a drawing without strokes. Coordinates become float32; z is left out.

        Args:
            geometries: an array, a list or a GeoSeries of them; or one.

        Raises:
            ParameterError: something is no shapely geometry.
            MissingDependencyError: shapely is not installed.
        """
        from sketchkit.shapely_exchange import from_shapely

        return from_shapely(geometries)

    def to_shapely(self) -> NDArray[np.object_]:
        """One MultiLineString a drawing, (sketches,) of objects, for shapely 2 and geopandas; columns are left out.

        The offsets go to `shapely.from_ragged_array` as they are. The points are copied twice: to float64, shapely's
        only type, and by GEOS into its own sequences. shapely knows no line of one point: such a stroke (a dot) becomes
        a line of two equal points, and stays that in `from_shapely`, which changes nothing else.

        Raises:
            MissingDependencyError: shapely is not installed.

        Example:
            >>> import sketchkit
            >>> roof = sketchkit.Sketch.from_strokes([[(0, 9), (5, 0), (9, 9)]])
            >>> sketchkit.SketchSet.from_sketches([roof]).to_shapely()[0].wkt
            'MULTILINESTRING ((0 9, 5 0, 9 9))'
        """
        from sketchkit.shapely_exchange import to_shapely

        return to_shapely(self.validate())

    def __len__(self) -> int:
        return len(self.sketch_offsets) - 1

    def __iter__(self) -> Iterator[Sketch]:
        return (self[index] for index in range(len(self)))

    @overload
    def __getitem__(self, index: int | np.integer[Any]) -> Sketch: ...
    @overload
    def __getitem__(self, index: slice | Sequence[int] | NDArray[Any]) -> SketchSet: ...
    def __getitem__(self, index: int | np.integer[Any] | slice | Sequence[int] | NDArray[Any]) -> Sketch | SketchSet:
        if isinstance(index, (int, np.integer)):
            return self._one(int(index))
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            if step == 1:
                return self._run(start, max(start, stop))
            return self._take(np.arange(start, stop, step))
        chosen = np.asarray(index)
        if chosen.dtype == bool:
            if chosen.shape != (len(self),):
                raise IndexError(f"a mask of shape {chosen.shape} does not fit {len(self)} sketches")
            return self._take(np.flatnonzero(chosen))
        if chosen.size == 0:
            return self._take(np.zeros(0, np.int64))
        if chosen.ndim != 1 or not np.issubdtype(chosen.dtype, np.integer):
            raise IndexError("index a SketchSet with an int, a slice, a boolean mask or a list of ints")
        return self._take(np.where(chosen < 0, chosen + len(self), chosen))

    def __repr__(self) -> str:
        names = [*self.columns, *self.point_columns]
        tail = f", columns: {', '.join(names)}" if names else ""
        strokes = len(self.stroke_offsets) - 1
        return f"SketchSet({len(self)} sketches, {strokes} strokes, {len(self.points)} points{tail})"

    def _repr_html_(self) -> str:
        from sketchkit.contact_sheet import sheet_fragment

        shown = self[:_SHOWN]
        finite = np.logical_and.reduce(np.isfinite(shown.points), axis=1)
        more = f"<p>{len(self) - _SHOWN} more</p>" if len(self) > _SHOWN else ""
        return f"<p>{escape(repr(self))}</p>\n{sheet_fragment(shown.keep_points(finite))}{more}"

    def with_points(self, points: NDArray[np.float32]) -> SketchSet:
        """The same strokes and columns over other coordinates of the same shape, (points, 2) float32.

        Args:
            points: (points, 2) float32, x to the right and y down.
        """
        return SketchSet(points, self.stroke_offsets, self.sketch_offsets, self.columns, self.point_columns)

    def with_columns(self, **columns: ArrayLike) -> SketchSet:
        """The same drawings with columns added or replaced; each has one value a drawing.

        Raises:
            ParameterError: a column has another length.
        """
        added = {name: np.asarray(values) for name, values in columns.items()}
        for name, values in added.items():
            if values.shape[:1] != (len(self),):
                raise ParameterError(f"column {name!r} has {values.shape[:1]} values for {len(self)} sketches")
        return SketchSet(
            self.points,
            self.stroke_offsets,
            self.sketch_offsets,
            {**self.columns, **added},
            self.point_columns,
        )

    def keep_points(self, keep: NDArray[np.bool_]) -> SketchSet:
        """The points where `keep` (points,) is true; strokes may become empty, none is removed.

        Args:
            keep: (points,) bool.

        Raises:
            ParameterError: `keep` is no boolean mask of this length.
        """
        _require_mask(keep, len(self.points), "points")
        return SketchSet(
            # On (points, 2) compress is ten times as fast as indexing by a mask.
            self.points.compress(keep, axis=0),
            offsets_of(keep)[self.stroke_offsets],
            self.sketch_offsets,
            self.columns,
            {name: values[keep] for name, values in self.point_columns.items()},
        )

    def keep_strokes(self, keep: NDArray[np.bool_]) -> SketchSet:
        """The strokes where `keep` (strokes,) is true; drawings may become empty, none is removed.

        Args:
            keep: (strokes,) bool.

        Raises:
            ParameterError: `keep` is no boolean mask of this length.
        """
        _require_mask(keep, len(self.stroke_offsets) - 1, "strokes")
        lengths = np.diff(self.stroke_offsets)
        points = np.repeat(keep, lengths)
        return SketchSet(
            self.points.compress(points, axis=0),
            offsets_of(lengths[keep]),
            offsets_of(keep)[self.sketch_offsets],
            self.columns,
            {name: values[points] for name, values in self.point_columns.items()},
        )

    def validate(self) -> SketchSet:
        """Check the invariants named above; returns the set itself.

        Raises:
            DataError: an array has another dtype or shape, or offsets do not fit.
        """
        if self.points.dtype != np.float32 or self.points.ndim != 2 or self.points.shape[1] != 2:
            raise DataError(f"points must be (points, 2) float32, not {self.points.shape} {self.points.dtype}")
        for name, offsets, end in (
            ("stroke_offsets", self.stroke_offsets, len(self.points)),
            ("sketch_offsets", self.sketch_offsets, len(self.stroke_offsets) - 1),
        ):
            if offsets.dtype != np.int64 or offsets.ndim != 1 or len(offsets) == 0:
                raise DataError(f"{name} must be a non-empty (n,) int64 array")
            if offsets[0] != 0 or offsets[-1] != end or (offsets[1:] < offsets[:-1]).any():
                raise DataError(f"{name} must start at 0, never decrease and end at {end}")
        for name, length in column_lengths(self.columns).items():
            if length != len(self):
                raise DataError(f"column {name!r} has {length} values for {len(self)} sketches")
        for name, values in self.point_columns.items():
            if len(values) != len(self.points):
                raise DataError(f"point column {name!r} has {len(values)} values for {len(self.points)} points")
        return self

    def _one(self, index: int) -> Sketch:
        if not -len(self) <= index < len(self):
            raise IndexError(f"sketch {index} of {len(self)}")
        index %= len(self)
        first, last = self.sketch_offsets[index], self.sketch_offsets[index + 1]
        offsets = self.stroke_offsets[first : last + 1]
        span = slice(offsets[0], offsets[-1])
        row = row_of(self.columns, int(index))
        label, key = row.pop("label", None), row.pop("key", None)
        return Sketch(
            self.points[span],
            offsets - offsets[0],
            label=label,
            key=key,
            meta=row,
            point_columns={name: values[span] for name, values in self.point_columns.items()},
        )

    def _run(self, start: int, stop: int) -> SketchSet:
        strokes = slice(self.sketch_offsets[start], self.sketch_offsets[stop])
        stroke_offsets = self.stroke_offsets[strokes.start : strokes.stop + 1]
        points = slice(stroke_offsets[0], stroke_offsets[-1])
        return SketchSet(
            self.points[points],
            stroke_offsets - stroke_offsets[0],
            self.sketch_offsets[start : stop + 1] - self.sketch_offsets[start],
            rows_of(self.columns, start, stop),
            {name: values[points] for name, values in self.point_columns.items()},
        )

    def _take(self, chosen: NDArray[np.int64]) -> SketchSet:
        outside = chosen[(chosen < 0) | (chosen >= len(self))]
        if outside.size:
            raise IndexError(f"sketch {int(outside[0])} of {len(self)}")
        stroke_counts = np.diff(self.sketch_offsets)[chosen]
        strokes = ranges(self.sketch_offsets[chosen], stroke_counts)
        lengths = np.diff(self.stroke_offsets)[strokes]
        points = ranges(self.stroke_offsets[strokes], lengths)
        return SketchSet(
            self.points[points],
            offsets_of(lengths),
            offsets_of(stroke_counts),
            {name: values[chosen] for name, values in self.columns.items()},
            {name: values[points] for name, values in self.point_columns.items()},
        )


def _require_mask(keep: NDArray[np.bool_], count: int, what: str) -> None:
    if keep.dtype != bool or keep.shape != (count,):
        raise ParameterError(
            f"a {keep.dtype} mask of shape {keep.shape} does not fit {count} {what}; it must be boolean"
        )


def _gather_columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, NDArray[Any]]:
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: column_of([row.get(name) for row in rows]) for name in names}


def _concat_point_columns(parts: Sequence[tuple[Mapping[str, NDArray[Any]], int]]) -> dict[str, NDArray[Any]]:
    filled = [columns for columns, points in parts if points]
    if not filled:
        return {name: values for columns, _ in parts for name, values in columns.items()}
    names = set(filled[0])
    if any(set(columns) != names for columns in filled):
        union = sorted(set().union(*filled))
        raise DataError(f"some drawings lack a point column that others carry ({', '.join(union)})")
    return {name: np.concatenate([columns[name] for columns in filled]) for name in filled[0]}
