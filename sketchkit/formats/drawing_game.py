"""A drawing game's records as CSV: one drawing a row, its strokes as SVG path data.

Source: https://github.com/cogtoolslab/semantic_parts, `analysis/sketchpad_basic_chairs.csv`; the game is that of Fan,
Hawkins, Wu and Goodman 2020, "Pragmatic inference and visual abstraction enable contextual flexibility during visual
communication" (https://doi.org/10.1007/s42113-019-00058-7). A header, then one record a row:

    svg               JSON list of path data, in drawing order: one string a stroke, y down, about 300 x 300
    target            what was to be drawn -> column `label`: the class the viewer had to tell
    gameID, trialNum  -> columns of these names, and joined by `_` the column `key`
    key               -> column `key`, in place of these two
    numStrokes        -> a column; must be the number of strokes
    any other         condition, drawDuration (s), outcome, category ... -> a column of that name

Curves become polylines within 0.1 of a unit. A column is int64, float64 or bool where all its values are (TRUE and
FALSE; an empty field or NA: NaN, or None), else text; `label`, `key` and `gameID` are always text.
"""

from __future__ import annotations

import csv
import io
import math
import threading
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import orjson

from sketchkit.blocks import require_finite
from sketchkit.errors import DataError
from sketchkit.formats.csv_columns import Kind, kinds_of, value_of
from sketchkit.formats.registry import Format
from sketchkit.formats.source import Problems, Source, in_chunks
from sketchkit.formats.svg_paths import Curves, flatten, join, read_path
from sketchkit.sketch import Sketch
from sketchkit.sketch_set import SketchSet

__all__ = ["FORMAT"]

_TOLERANCE = 0.1
_LARGEST_RECORD = 1 << 24
_ALWAYS_TEXT = frozenset({"target", "key", "gameID"})
# The limit on a field is the csv module's, not a reader's: it is raised only while a row is read.
_FIELD_LIMIT = threading.Lock()


def sniff(head: bytes, path: Path) -> bool:
    """Whether the first line is a CSV header with a column `svg`."""
    try:
        names = next(csv.reader(head.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "ignore").splitlines()), [])
    except csv.Error:
        return False
    return "svg" in names


def scan(source: Source, *, chunk: int, problems: Problems) -> Iterator[SketchSet]:
    """Read row by row, twice: what kind of values a column has is known at its end."""
    # A pipe cannot be opened twice: asked for its path, it makes a copy of itself.
    _ = source.path
    with source.open() as stream:
        table = _Table(stream)
        kinds = kinds_of(row for _, row in table.rows(Problems(skip=True)) if len(row) == len(table.header))
        named = dict(zip(table.header, kinds, strict=False)) | dict.fromkeys(_ALWAYS_TEXT, Kind.TEXT)
    with source.open() as stream:
        yield from in_chunks(_sketches(_Table(stream), named, problems), chunk)


def write(sketches: SketchSet, stream: BinaryIO) -> None:
    """Write polylines as path data (`M1 2L3 4`): exact for float32; `svg` is the last column.

    A stroke of one point is a mere move, an empty one an empty string. Text that looks like a number is read back as
    one where its whole column does.

    Raises:
        DataError: a coordinate is not finite, a column is called `svg` or `target` beside a `label`, or holds what is
            neither text nor number.
    """
    require_finite(sketches)
    columns = _columns_of(sketches)
    text = io.TextIOWrapper(stream, "utf-8", newline="", write_through=True)
    try:
        table = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
        table.writerow([*columns, "svg"])
        for index, sketch in enumerate(sketches):
            row = [_cell(values[index], name, index) for name, values in columns.items()]
            # str of a float32 is the shortest text that reads back as the same float32.
            written = sketch.points.astype(str).tolist()
            paths = [_path_data(written[a:b]) for a, b in pairwise(sketch.offsets.tolist())]
            table.writerow([*row, orjson.dumps(paths).decode()])
    except UnicodeEncodeError as error:
        raise DataError(f"a text cannot be written as UTF-8: {error}") from None
    finally:
        text.detach()


FORMAT = Format("drawing-game", (".csv",), sniff, scan, write)


class _Lines:
    """Lines of a text; how long a record may become is bounded, for a packed file may deliver any length."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._taken = stream, 0
        self._mark = b"\xef\xbb\xbf"

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._stream.readline(_LARGEST_RECORD + 1)
        self._taken += len(line)
        if self._taken > _LARGEST_RECORD:
            raise DataError(f"a record has more than {_LARGEST_RECORD} bytes; a quote may be left open")
        if not line:
            raise StopIteration
        line, self._mark = line.removeprefix(self._mark), b""
        # Bytes that are no UTF-8 are told record by record.
        return line.decode("utf-8", "surrogateescape")

    def begin_record(self) -> None:
        self._taken = 0


class _Table:
    """The rows of a CSV file, the first of them its header."""

    def __init__(self, stream: BinaryIO) -> None:
        self._lines = _Lines(stream)
        self._reader = csv.reader(self._lines, strict=True)
        try:
            self.header = self._next() or []
        except csv.Error as error:
            raise DataError(f"the first line is no header of a CSV table: {error}") from None
        if self.header.count("svg") != 1 or len(set(self.header)) < len(self.header):
            raise DataError("has not one column 'svg', and others of other names, in its first line")

    def rows(self, problems: Problems) -> Iterator[tuple[str, list[str]]]:
        """Where a row is, and its fields; rows that are no CSV are reported. Blank lines are no rows."""
        record = 0
        while True:
            where = f"record {record} (line {self._reader.line_num + 1})"
            try:
                row = self._next()
            except csv.Error as error:
                problems.add(DataError(f"is no CSV: {error}"), where)
                record += 1
                continue
            if row is None:
                return
            if row:
                yield where, row
                record += 1

    def _next(self) -> list[str] | None:
        self._lines.begin_record()
        with _FIELD_LIMIT:
            before = csv.field_size_limit(_LARGEST_RECORD)
            try:
                return next(self._reader, None)
            finally:
                csv.field_size_limit(before)


def _sketches(table: _Table, kinds: Mapping[str, Kind], problems: Problems) -> Iterator[Sketch]:
    for where, row in table.rows(problems):
        sketch = problems.attempt(where, _sketch, table.header, row, kinds)
        if sketch is not None:
            yield sketch


def _sketch(header: list[str], row: list[str], kinds: Mapping[str, Kind]) -> Sketch:
    if len(row) != len(header):
        raise DataError(f"has {len(row)} columns; the header has {len(header)}")
    if not "".join(row).isprintable():
        _check_encoding(row)
    fields = dict(zip(header, row, strict=True))
    parts = _strokes(fields.pop("svg"))
    counted = fields.get("numStrokes")
    if counted is not None and counted != str(len(parts)):
        raise DataError(f"numStrokes is {counted[:20]!r}, but svg holds {len(parts)} strokes")
    values = {name: value_of(text, kinds[name]) for name, text in fields.items()}
    if counted is not None:
        values["numStrokes"] = len(parts)
    label, key = values.pop("target", None), values.pop("key", None)
    if key is None and "gameID" in fields and "trialNum" in fields:
        key = f"{fields['gameID']}_{fields['trialNum']}"
    with np.errstate(all="ignore"):
        points, offsets = flatten(join(parts or [_NO_STROKE]), _TOLERANCE)
    return Sketch(points, offsets if parts else offsets[:1], label, key, values)


def _check_encoding(row: list[str]) -> None:
    try:
        "".join(row).encode()
    except UnicodeEncodeError:
        raise DataError("has bytes that are no UTF-8") from None


_NO_STROKE = Curves(np.zeros((0, 4), np.complex128), np.zeros(1, np.int64), {})


def _strokes(text: str) -> list[Curves]:
    try:
        paths = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise DataError(f"svg is not JSON: {error}") from None
    if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
        raise DataError("svg is no JSON list of strings")
    return [_stroke(path, index) for index, path in enumerate(paths)]


def _stroke(path: str, index: int) -> Curves:
    try:
        with np.errstate(all="ignore"):
            stroke = read_path(path)
            if not len(stroke.counts) and path.strip():
                # A mere move: elsewhere it draws nothing, here it is a stroke of one point.
                start = read_path(f"{path} l 0 0")
                stroke = Curves(start.control[:1], np.ones(1, np.int64), {})
    except DataError as error:
        raise DataError(f"svg string {index} {error}") from None
    if len(stroke.counts) > 1:
        raise DataError(f"svg string {index} has {len(stroke.counts)} subpaths; each string is one stroke")
    return stroke if len(stroke.counts) else _NO_STROKE


def _columns_of(sketches: SketchSet) -> dict[str, list[Any]]:
    columns = {name: values.tolist() for name, values in sketches.columns.items()}
    if "svg" in columns or ("target" in columns and "label" in columns):
        raise DataError("has columns 'svg', or 'target' beside 'label'; this format has these names for itself")
    if {"gameID", "trialNum"} <= columns.keys() and columns.get("key") == [
        f"{game}_{trial}" for game, trial in zip(columns["gameID"], columns["trialNum"], strict=True)
    ]:
        del columns["key"]
    if "numStrokes" in columns:
        # Counted anew: the drawings may have changed since they were read.
        columns["numStrokes"] = np.diff(sketches.sketch_offsets).tolist()
    return {"target" if name == "label" else name: values for name, values in columns.items()}


def _cell(value: Any, name: str, index: int) -> str:
    if value is None or value == "NA":
        if value == "NA":
            raise DataError(f"sketch {index} has 'NA' as {name!r}; in this format that means a missing value")
        return "NA"
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float):
        return "NA" if math.isnan(value) else repr(value).replace("inf", "Inf")
    if isinstance(value, (str, int)):
        return str(value)
    raise DataError(f"sketch {index} has a {type(value).__name__} as {name!r}; it must be text or a number")


def _path_data(points: list[list[str]]) -> str:
    if not points:
        return ""
    (x, y), *others = points
    return f"M{x} {y}" + (f"L{' '.join(f'{x} {y}' for x, y in others)}" if others else "")
