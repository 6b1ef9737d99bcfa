"""The rows of Sketchy's stroke table, as arrays.

Three ways, each for what the one before does not know: a compiled kernel reads rows as upstream writes them, pyarrow
any that are well-formed CSV, and a loop over the lines tells what is wrong with which.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sketchkit.errors import DataError

__all__ = ["OPTIONAL", "REQUIRED", "RowReader", "Rows", "joined_rows"]

REQUIRED = ("x", "y", "pen", "strokeID", "sketchID", "photoID")
OPTIONAL = ("label",)
_NUMBERS = REQUIRED[:5]
_WHOLE = REQUIRED[2:5]
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


@dataclass(frozen=True)
class Rows:
    """Some rows in a row.

    Args:
        points: (rows, 2) float64.
        pen: (rows,) int64.
        stroke: (rows,) int64, the column `strokeID`.
        sketch: (rows,) int64, the column `sketchID`.
        photo: (rows,) int64, what `RowReader.text` knows the photo by.
        line: (rows,) int64, the row's line in the file, counted from 1.
        label: (rows,) int64, what `RowReader.text` knows the label by, or None.
    """

    points: NDArray[np.float64]
    pen: NDArray[np.int64]
    stroke: NDArray[np.int64]
    sketch: NDArray[np.int64]
    photo: NDArray[np.int64]
    line: NDArray[np.int64]
    label: NDArray[np.int64] | None

    def __len__(self) -> int:
        return len(self.points)

    def part(self, start: int, stop: int) -> Rows:
        """The rows from `start` up to `stop`."""
        chosen = slice(start, stop)
        return Rows(
            self.points[chosen],
            self.pen[chosen],
            self.stroke[chosen],
            self.sketch[chosen],
            self.photo[chosen],
            self.line[chosen],
            None if self.label is None else self.label[chosen],
        )

    def starts(self) -> NDArray[np.int64]:
        """Where each run of rows of one drawing begins, (runs,)."""
        if not len(self):
            return np.zeros(0, np.int64)
        changes = (np.diff(self.photo) != 0) | (np.diff(self.sketch) != 0)
        return np.concatenate([[0], np.flatnonzero(changes) + 1])


def joined_rows(first: Rows, second: Rows) -> Rows:
    """The rows of `first`, then those of `second`; labels only where both have them."""
    label = None
    if first.label is not None and second.label is not None:
        label = np.concatenate([first.label, second.label])
    return Rows(
        np.concatenate([first.points, second.points]),
        np.concatenate([first.pen, second.pen]),
        np.concatenate([first.stroke, second.stroke]),
        np.concatenate([first.sketch, second.sketch]),
        np.concatenate([first.photo, second.photo]),
        np.concatenate([first.line, second.line]),
        label,
    )


class RowReader:
    """Turns blocks of whole lines into rows, one block after the other.

    A row that cannot be read stands in for a row of the drawing before it; `faults` says why, line by line.

    Args:
        header: the names of the columns.

    Raises:
        DataError: a column is missing or there twice.
    """

    def __init__(self, header: Sequence[str]) -> None:
        missing = [name for name in REQUIRED if name not in header]
        if missing:
            raise DataError(f"has no column {', '.join(map(repr, missing))}; there must be {', '.join(REQUIRED)}")
        self._texts = [name for name in ("photoID", *OPTIONAL) if name in header]
        twice = [name for name in (*REQUIRED, *OPTIONAL) if header.count(name) > 1]
        if twice:
            raise DataError(f"has the column {twice[0]!r} twice")
        self._place = {name: header.index(name) for name in (*_NUMBERS, *self._texts)}
        self._width = len(header)
        self._codes: dict[str, int] = {}
        self._text_of: list[str] = []
        self._line = 2
        self._before = (0, self._code(""), self._code(""))
        self.faults: dict[int, str] = {}

    def text(self, code: int) -> str:
        """The text that `code`, a number in `Rows.photo` or `Rows.label`, stands for."""
        return self._text_of[code]

    def rows(self, block: bytes) -> Rows:
        """The rows of `block`, whole lines that follow those of the block before; blank lines are no rows."""
        rows = self._plain(block)
        if rows is None:
            rows = self._well_formed(block)
        if rows is None:
            rows = self._line_by_line(block)
        if len(rows):
            label = 0 if rows.label is None else int(rows.label[-1])
            self._before = (int(rows.sketch[-1]), int(rows.photo[-1]), label)
        return rows

    def _code(self, text: str) -> int:
        code = self._codes.setdefault(text, len(self._codes))
        if code == len(self._text_of):
            self._text_of.append(text)
        return code

    def _plain(self, block: bytes) -> Rows | None:
        """The rows of a block as upstream writes them, or None."""
        # Loads numba, which only reading needs.
        from sketchkit.kernels import rows as kernel

        if "label" in self._texts or not block:
            return None
        most = block.count(b"\n") + 1
        kinds = np.full(self._width, kernel.OTHER)
        kinds[[self._place[name] for name in ("x", "y", "photoID")]] = kernel.DECIMAL_X, kernel.DECIMAL_Y, kernel.NAME
        kinds[[self._place[name] for name in _WHOLE]] = kernel.WHOLE + np.arange(len(_WHOLE))
        points, whole = np.empty((most, 2)), np.empty((len(_WHOLE), most), np.int64)
        name, spans = np.empty(most, np.int64), np.empty((most, 2), np.int64)
        count = kernel.parse_rows(np.frombuffer(block, np.uint8), kinds, points, whole.T, name, spans)
        if count < 0:
            return None
        names = [block[start:stop].decode() for start, stop in spans[: name[count - 1] + 1].tolist()]
        photo = np.array(list(map(self._code, names)), np.int64)[name[:count]]
        first, self._line = self._line, self._line + count
        pen, stroke, sketch = whole[:, :count]
        return Rows(points[:count], pen, stroke, sketch, photo, np.arange(first, self._line), None)

    def _well_formed(self, block: bytes) -> Rows | None:
        """The rows of a block in which every line is a row of numbers and text, or None."""
        lines = block.count(b"\n") + (not block.endswith(b"\n"))
        # pyarrow would carry a quote that is left open over the end of its line.
        if not block or block.count(b'"') % 2:
            return None
        import pyarrow as pa
        from pyarrow import csv as arrow_csv

        kinds = dict.fromkeys(_NUMBERS, pa.float64()) | dict.fromkeys(
            self._texts, pa.dictionary(pa.int32(), pa.string())
        )
        names = [f"column {place}" for place in range(self._width)]
        for name, place in self._place.items():
            names[place] = name
        try:
            table = arrow_csv.read_csv(
                pa.py_buffer(block),
                arrow_csv.ReadOptions(column_names=names, use_threads=False, block_size=len(block) + 1),
                arrow_csv.ParseOptions(ignore_empty_lines=False),
                arrow_csv.ConvertOptions(
                    column_types=kinds, include_columns=list(self._place), null_values=[], strings_can_be_null=False
                ),
            ).combine_chunks()
        except pa.ArrowInvalid:
            return None
        values = {name: table[name].chunk(0).to_numpy() for name in _NUMBERS} if len(table) else {}
        if len(table) != lines or not all(_whole(values[name]) for name in _WHOLE):
            return None
        texts = {}
        for name in self._texts:
            column = table[name].chunk(0)
            known = column.dictionary.to_pylist()
            if any("\n" in text or "\r" in text for text in known):
                return None
            texts[name] = np.array(list(map(self._code, known)), np.int64)[column.indices.to_numpy()]
        first, self._line = self._line, self._line + lines
        pen, stroke, sketch = (values[name].astype(np.int64) for name in _WHOLE)
        points = np.stack([values["x"], values["y"]], axis=1)
        line = np.arange(first, self._line)
        return Rows(points, pen, stroke, sketch, texts["photoID"], line, texts.get("label"))

    def _line_by_line(self, block: bytes) -> Rows:
        """The rows of any block; those that cannot be read are among the faults."""
        points, whole, line = [], [], []
        texts = block.split(b"\n")
        for number, text in enumerate(texts[:-1] if block.endswith(b"\n") else texts, start=self._line):
            if not text.strip():
                continue
            try:
                x, y, pen, stroke, sketch, photo, label = self._row(text)
                self._before = (sketch, photo, label)
            except DataError as error:
                self.faults[number] = str(error)
                x = y = 0.0
                pen, stroke, (sketch, photo, label) = 2, 0, self._before
            points.append((x, y))
            whole.append((pen, stroke, sketch, photo, label))
            line.append(number)
        self._line += block.count(b"\n")
        pens, strokes, sketches, photos, labels = np.array(whole, np.int64).reshape(-1, 5).T
        return Rows(
            np.array(points, np.float64).reshape(-1, 2),
            pens,
            strokes,
            sketches,
            photos,
            np.array(line, np.int64),
            labels if "label" in self._texts else None,
        )

    def _row(self, line: bytes) -> tuple[float, float, int, int, int, int, int]:
        cells = _cells(line)
        if len(cells) != self._width:
            raise DataError(f"has {len(cells)} columns; the header has {self._width}")
        named = {name: cells[place] for name, place in self._place.items()}
        sketch, photo = _count("sketchID", named["sketchID"]), self._code(named["photoID"])
        label = self._code(named.get("label", ""))
        # From here on it is known which drawing the row is of.
        self._before = (sketch, photo, label)
        x, y = (_decimal(name, named[name]) for name in ("x", "y"))
        return x, y, _count("pen", named["pen"]), _count("strokeID", named["strokeID"]), sketch, photo, label


def _whole(values: NDArray[np.float64]) -> bool:
    return bool(np.all((values >= 0) & (values <= 2**53) & (np.rint(values) == values)))


def _cells(line: bytes) -> list[str]:
    try:
        text = line.decode().removesuffix("\r")
        (cells,) = csv.reader([text], strict=True) if '"' in text else [text.split(",")]
    except (ValueError, csv.Error) as error:
        raise DataError(f"is no row of CSV in UTF-8: {error}") from None
    if "\r" in text:
        raise DataError("has a carriage return inside")
    return cells


def _decimal(name: str, text: str) -> float:
    if text.strip().lower().lstrip("+-") in ("nan", "inf", "infinity") or _NUMBER.fullmatch(text.strip(" \t")):
        return float(text)
    raise DataError(f"{name} is {text[:40]!r}; it must be a number")


def _count(name: str, text: str) -> int:
    value = _decimal(name, text)
    if not (0 <= value <= 2**53 and value == int(value)):
        raise DataError(f"{name} is {text[:40]!r}; it must be a whole number, at least 0")
    return int(value)
