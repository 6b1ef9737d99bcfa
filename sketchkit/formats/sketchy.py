"""Sketchy's strokes as CSV: one row a point (`stroke_dataframe.csv`).

Source: https://github.com/judithfan/pix2svg, `preprocessing/tiny/stroke_dataframe.csv`, made of the SVGs of "The
Sketchy Database" (Sangkloy et al. 2016, https://doi.org/10.1145/2897824.2925954). One line a row, columns in any order:

    x, y       position; y down, on a canvas of about 640 x 480
    pen        1 on the FIRST point of a stroke, 2 on all others
    strokeID   counts from 0 within a drawing
    sketchID   counts from 0 within a photo -> column `sketch`, int64
    photoID    the ImageNet photo that was drawn -> column `photo`
    label      -> column `label`; optional, not upstream's
    others     such as the unnamed index of the row: not read

A drawing is a run of rows that share `photoID` and `sketchID`. Its `key` is `<photoID>-<sketchID + 1>`, which is how
Sketchy names the picture of it (`n02691156_10151-1.png`). A damaged row makes its whole drawing a bad record.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from sketchkit.blocks import require_finite
from sketchkit.errors import DataError
from sketchkit.formats.registry import Format
from sketchkit.formats.sketchy_rows import OPTIONAL, REQUIRED, RowReader, Rows, joined_rows
from sketchkit.formats.source import Problems, Source
from sketchkit.ragged import offsets_of
from sketchkit.sketch_set import SketchSet

__all__ = ["FORMAT"]

_BLOCK = 1 << 20
# Sketchy's longest drawing has some thousand points; a packed file may deliver any number.
_MOST_POINTS = 1 << 20


def sniff(head: bytes, path: Path) -> bool:
    """Whether the first line is the header of such a table."""
    try:
        return set(REQUIRED) <= set(_header(head.partition(b"\n")[0]))
    except DataError:
        return False


def scan(source: Source, *, chunk: int, problems: Problems) -> Iterator[SketchSet]:
    """Read block by block; a drawing that a block cuts is kept until it is whole.

    With bad records skipped, the parts of a drawing whose rows do not lie together count as records: the first part is
    given when it is a drawing by itself, the others are bad.
    """
    with source.open() as stream:
        yield from _regrouped(_parts(stream, problems), chunk)


def write_chunks(sets: Iterable[SketchSet], stream: BinaryIO) -> None:
    """Write upstream's columns, and `label` where the drawings have one; exact for float32.

    Empty strokes have no rows and vanish. Without columns `photo` and `sketch`, these are taken from keys such as
    `n02691156_10151-1`.

    Raises:
        DataError: a coordinate is not finite, a drawing has no points, or does not tell its photo and number.
    """
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    seen: set[tuple[str, int]] = set()
    first, row, labeled = True, 0, False
    for drawings in sets:
        if first:
            labeled = "label" in drawings.columns
            header = ["", *REQUIRED, *(OPTIONAL if labeled else ())]
            stream.write((",".join(header) + "\n").encode())
        elif labeled != ("label" in drawings.columns):
            raise DataError("some drawings have a label, others have none; this format needs a column for all or none")
        columns = _columns_of(require_finite(drawings), seen, row)
        names = ["", *columns]
        index = np.arange(row, row + len(drawings.points))
        table = pa.table([pa.array(index), *map(pa.array, columns.values())], names=names)
        if len(table):
            texts = chain(columns["photoID"], columns.get("label", ()))
            # pyarrow's "needed" quotes all text.
            quoting = "needed" if any("," in text or '"' in text for text in texts) else "none"
            arrow_csv.write_csv(table, stream, arrow_csv.WriteOptions(include_header=False, quoting_style=quoting))
        first, row = False, row + len(table)


def write(sketches: SketchSet, stream: BinaryIO) -> None:
    """Write one set, as `write_chunks` does."""
    write_chunks([sketches], stream)


FORMAT = Format(
    "sketchy",
    (".csv",),
    sniff,
    scan,
    write,
    write_chunks=write_chunks,
    columns=frozenset({"photo", "sketch", "key", "label"}),
)


def _parts(stream: BinaryIO, problems: Problems) -> Iterator[SketchSet]:
    blocks = _blocks(stream)
    header, _, body = next(blocks, b"").partition(b"\n")
    reader = RowReader(_header(header))
    made = _Drawings(reader, problems)
    held: Rows | None = None
    for block in chain([body], blocks):
        rows = reader.rows(block)
        rows = rows if held is None else joined_rows(held, rows)
        if not len(rows):
            continue
        last = int(rows.starts()[-1])
        if last:
            yield made.of(rows.part(0, last))
        held = rows.part(last, len(rows))
        if len(held) > _MOST_POINTS:
            raise DataError(f"the drawing that begins on line {held.line[0]} has more than {_MOST_POINTS} points")
    if held is not None:
        yield made.of(held)


def _blocks(stream: BinaryIO) -> Iterator[bytes]:
    """The file in pieces of whole lines."""
    rest = b""
    while data := stream.read(_BLOCK):
        data = rest + data
        cut = data.rfind(b"\n") + 1
        if cut:
            yield data[:cut]
        rest = data[cut:]
        if len(rest) > _BLOCK:
            raise DataError(f"a line has more than {_BLOCK} bytes")
    if rest:
        yield rest


def _header(line: bytes) -> list[str]:
    try:
        (names,) = csv.reader([line.removeprefix(b"\xef\xbb\xbf").decode().rstrip("\r")], strict=True)
    except (ValueError, csv.Error):
        raise DataError("the first line is no header of a CSV table") from None
    return names


class _Drawings:
    """Makes sets of whole runs of rows, and reports the runs that are no drawings."""

    def __init__(self, reader: RowReader, problems: Problems) -> None:
        self._reader, self._problems = reader, problems
        self._seen: set[tuple[int, int]] = set()
        self._record = 0

    def of(self, rows: Rows) -> SketchSet:
        """The drawings of rows that begin and end with a run."""
        starts = rows.starts()
        with np.errstate(over="ignore"):
            points = rows.points.astype(np.float32)
        faulty = self._faulty(rows, points)
        bounds = np.append(starts, len(rows))
        first_fault = np.minimum.reduceat(np.where(faulty, np.arange(len(rows)), len(rows)), starts)
        good = np.ones(len(starts), bool)
        keys, photos = [], []
        for run, start in enumerate(starts.tolist()):
            code, number = int(rows.photo[start]), int(rows.sketch[start])
            photo = self._reader.text(code)
            key = f"{photo}-{number + 1}"
            keys.append(key)
            photos.append(photo)
            row, again = int(first_fault[run]), (code, number) in self._seen
            self._seen.add((code, number))
            if again or row < len(rows):
                fact = "the rows of this drawing do not lie together" if again else self._fact(rows, points, row)
                line = rows.line[start if again else row]
                self._problems.add(DataError(fact), f"record {self._record} ({key!r}), line {line}")
                good[run] = False
            self._record += 1
        begins = np.flatnonzero(rows.pen == 1)
        columns = {
            "key": np.array(keys, object),
            "photo": np.array(photos, object),
            "sketch": rows.sketch[starts],
        }
        if rows.label is not None:
            columns["label"] = np.array([self._reader.text(code) for code in rows.label[starts].tolist()], object)
        if good.all():
            stroke_offsets = np.append(begins, len(rows))
            return SketchSet(points, stroke_offsets, np.searchsorted(begins, bounds), columns)
        keep = np.repeat(good, np.diff(bounds))
        begins = begins[keep[begins]]
        strokes = np.add.reduceat((rows.pen == 1) & keep, starts)[good]
        # A row's place among those that stay is the number of these before it.
        before = offsets_of(keep)
        return SketchSet(
            points[keep],
            np.append(before[begins], before[-1]),
            offsets_of(strokes),
            {name: values[good] for name, values in columns.items()},
        )

    def _faulty(self, rows: Rows, points: NDArray[np.float32]) -> NDArray[np.bool_]:
        first = np.zeros(len(rows), bool)
        first[rows.starts()] = True
        step = np.diff(rows.stroke, prepend=-1)
        step[first] = rows.stroke[first] + 1
        begins = first | (step == 1)
        faulty = np.logical_not(np.isfinite(points).all(axis=1))
        faulty |= (step != 0) & (step != 1)
        faulty |= first & (step != 1)
        faulty |= rows.pen != np.where(begins, 1, 2)
        if rows.label is not None:
            faulty |= ~first & (np.diff(rows.label, prepend=rows.label[:1]) != 0)
        if self._reader.faults:
            faulty |= np.isin(rows.line, list(self._reader.faults))
        return faulty

    def _fact(self, rows: Rows, points: NDArray[np.float32], row: int) -> str:
        """What is wrong with a faulty row."""
        if int(rows.line[row]) in self._reader.faults:
            return self._reader.faults.pop(int(rows.line[row]))
        pen, stroke = int(rows.pen[row]), int(rows.stroke[row])
        # The first row of a drawing counts from 0 as the others count from the row before.
        first = row in rows.starts()
        before = -1 if first else int(rows.stroke[row - 1])
        for name, value in zip("xy", points[row].tolist(), strict=True):
            if not np.isfinite(value):
                return f"{name} is {value}; it must be a finite number that float32 holds"
        if first and stroke != 0:
            return f"strokeID is {stroke} on the first row of a drawing; it counts from 0"
        if stroke - before not in (0, 1):
            return f"strokeID is {stroke} after {before}; it counts up by one"
        if pen not in (1, 2):
            return f"pen is {pen}; it must be 1 on the first point of a stroke, 2 on the others"
        if (pen == 1) != (stroke != before):
            return f"pen is {pen} where strokeID says that a stroke {'goes on' if pen == 1 else 'begins'}"
        return "label is not the same on all rows of a drawing"


def _regrouped(parts: Iterable[SketchSet], chunk: int) -> Iterator[SketchSet]:
    """The same drawings in sets of `chunk`; the last one may be smaller, none is empty."""
    held: list[SketchSet] = []
    count = 0
    for part in parts:
        while count + len(part) >= chunk:
            yield SketchSet.concat([*held, part[: chunk - count]])
            part, held, count = part[chunk - count :], [], 0
        if len(part):
            held.append(part)
            count += len(part)
    if held:
        yield SketchSet.concat(held)


def _columns_of(drawings: SketchSet, seen: set[tuple[str, int]], row: int) -> dict[str, NDArray[np.generic]]:
    names = [_name(drawings, index) for index in range(len(drawings))]
    points = np.diff(drawings.stroke_offsets[drawings.sketch_offsets])
    for index, name in enumerate(names):
        if name in seen:
            raise DataError(f"sketch {index} has the photo {name[0]!r} and the number {name[1]} of one before it")
        seen.add(name)
        if points[index] == 0:
            raise DataError(f"sketch {index} has no points; this format has no place for it")
    lengths = np.diff(drawings.stroke_offsets)
    filled = lengths > 0
    # Strokes that have rows count from 0 in each drawing.
    count = offsets_of(filled)
    drawing_of = np.repeat(np.arange(len(drawings)), np.diff(drawings.sketch_offsets))
    number = count[:-1] - count[drawings.sketch_offsets[:-1]][drawing_of]
    pen = np.full(len(drawings.points), 2)
    pen[drawings.stroke_offsets[:-1][filled]] = 1
    columns = {
        "x": np.ascontiguousarray(drawings.points[:, 0]),
        "y": np.ascontiguousarray(drawings.points[:, 1]),
        "pen": pen,
        "strokeID": np.repeat(number, lengths),
        "sketchID": np.repeat(np.array([number for _, number in names], np.int64), points),
        "photoID": np.repeat(np.array([photo for photo, _ in names], object), points),
    }
    if "label" in drawings.columns:
        labels = [_line(value, "label", index) for index, value in enumerate(drawings.columns["label"].tolist())]
        columns["label"] = np.repeat(np.array(labels, object), points)
    return columns


def _name(drawings: SketchSet, index: int) -> tuple[str, int]:
    """Photo and number of a drawing, from its columns or from its key."""
    row = {name: values[index] for name, values in drawings.columns.items() if name in ("photo", "sketch", "key")}
    key = row.get("key")
    photo, _, last = str(key).rpartition("-")
    whole = last.isascii() and last.isdigit() and not last.startswith("0") and len(last) < 16
    photo, number = row.get("photo", photo), row.get("sketch", int(last) - 1 if whole else None)
    if not isinstance(number, (int, np.integer)) or isinstance(number, bool) or not 0 <= number < 2**53 or not photo:
        raise DataError(
            f"sketch {index} tells no photo and number, neither by columns 'photo' and 'sketch' nor by a key such as "
            "'n02691156_10151-1'; with_columns(photo=..., sketch=...) adds them"
        )
    name = _line(photo, "photo", index), int(number)
    if key is not None and key != f"{name[0]}-{name[1] + 1}":
        raise DataError(f"sketch {index} has the key {key!r}; its photo and number make it '{name[0]}-{name[1] + 1}'")
    return name


def _line(value: object, name: str, index: int) -> str:
    if not isinstance(value, str) or any(character in value for character in "\r\n\0"):
        raise DataError(f"sketch {index} has {value!r} as {name!r}; it must be text on one line")
    return value
