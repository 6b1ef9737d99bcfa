"""What a stream of drawings holds, gathered piece by piece: some 100 bytes a drawing, for the medians."""

from __future__ import annotations

from typing import Any

import numpy as np

from sketchkit import SketchSet, measure

__all__ = ["Summary"]

_EXAMPLES = 3
_DISTINCT = 1000  # more distinct values than this are "many"


class Summary:
    """Counts, extent, columns and measures of the sets that were added."""

    def __init__(self) -> None:
        self._counts = np.zeros(3, np.int64)
        self._low, self._high = np.full(2, np.inf), np.full(2, -np.inf)
        self._columns: dict[str, tuple[set[str], dict[str, None]]] = {}
        self._point_columns: dict[str, set[str]] = {}
        self._measures: dict[str, list[np.ndarray[Any, Any]]] = {}

    def add(self, chunk: SketchSet) -> None:
        """Take the drawings of `chunk` into account; they themselves are not kept."""
        self._counts += (len(chunk), len(chunk.stroke_offsets) - 1, len(chunk.points))
        finite = chunk.points[np.isfinite(chunk.points).all(axis=1)]
        if len(finite):
            self._low = np.minimum(self._low, finite.min(axis=0))
            self._high = np.maximum(self._high, finite.max(axis=0))
        for name, values in chunk.columns.items():
            kinds, distinct = self._columns.setdefault(name, (set(), {}))
            kinds.update(_kinds(values))
            if len(distinct) <= _DISTINCT:
                distinct.update(dict.fromkeys(map(str, np.asarray(values).tolist())))
        for name, values in chunk.point_columns.items():
            self._point_columns.setdefault(name, set()).add(values.dtype.name)
        for name, values in measure(chunk).items():
            self._measures.setdefault(name, []).append(values.astype(np.float32))

    def as_dict(self, *, skipped: int = 0) -> dict[str, Any]:
        """The summary as JSON can hold it; `skipped` is how many bad records were left out on the way."""
        sketches, strokes, points = self._counts.tolist()
        found: dict[str, Any] = {"sketches": sketches, "strokes": strokes, "points": points, "skipped": skipped}
        if np.isfinite(self._low).all():
            corners = zip("xy", self._low.tolist(), self._high.tolist(), strict=True)
            found["extent"] = {axis: [low, high] for axis, low, high in corners}
        found["columns"] = {name: _column(*described) for name, described in self._columns.items()}
        found["point_columns"] = {name: "/".join(sorted(kinds)) for name, kinds in self._point_columns.items()}
        found["measures"] = {name: _median(values) for name, values in self._measures.items()}
        return found

    @staticmethod
    def as_text(name: str, found: dict[str, Any]) -> str:
        """What `as_dict` gave (`found`), for a person to read; the first line begins with `name`."""
        lines = [f"{name}: {found['sketches']} sketches, {found['strokes']} strokes, {found['points']} points"]
        if found["skipped"]:
            lines.append(f"  skipped {found['skipped']} bad records")
        if "extent" in found:
            (left, right), (top, bottom) = found["extent"]["x"], found["extent"]["y"]
            lines.append(f"  x {left:g} .. {right:g}, y {top:g} .. {bottom:g}")
        for column, described in found["columns"].items():
            distinct = described["distinct"]
            several = f"more than {_DISTINCT}" if distinct is None else distinct
            examples = ", ".join(text if text.isprintable() else repr(text) for text in described["examples"])
            lines.append(f"  column {column} ({described['type']}): {several} distinct, such as {examples}")
        lines += [f"  point column {column} ({kind})" for column, kind in found["point_columns"].items()]
        for measured, middle in found["measures"].items():
            lines.append(f"  {measured:<24} median {'-' if middle is None else format(middle, '.4g')}")
        return "\n".join(lines)


def _kinds(values: np.ndarray[Any, Any]) -> set[str]:
    if values.dtype != object:
        return {values.dtype.name}
    return {type(value).__name__ for value in values.tolist() if value is not None}


def _column(kinds: set[str], distinct: dict[str, None]) -> dict[str, Any]:
    return {
        "type": "/".join(sorted(kinds)),
        "distinct": len(distinct) if len(distinct) <= _DISTINCT else None,
        "examples": list(distinct)[:_EXAMPLES],
    }


def _median(parts: list[np.ndarray[Any, Any]]) -> float | None:
    values = np.concatenate(parts)
    values = values[np.isfinite(values)]
    return float(np.median(values)) if len(values) else None
