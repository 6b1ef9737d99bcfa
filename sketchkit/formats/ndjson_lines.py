"""Drawings from a file of one JSON object a line, streamed: a compiled scan of the common shape, and the plain parser.

A file is read in pieces of whole lines; each is parsed by itself, on several cores, and taken in order. The lines that
`kernels.parse_ndjson` does not know go to `ndjson_records.parse_record`, which gives the same where both can.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain, islice, pairwise
from queue import SimpleQueue
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sketchkit.errors import DataError
from sketchkit.formats.ndjson_columns import Part, column_of_field, joined
from sketchkit.formats.ndjson_records import COLUMN_OF, TIME, Dialect, is_label, parse_record
from sketchkit.formats.source import Problems, Source
from sketchkit.kernels.parse_ndjson import MOST_FIELDS, PADDING, parse_lines
from sketchkit.lookahead import thread_count
from sketchkit.sketch import Sketch
from sketchkit.sketch_set import SketchSet

__all__ = ["scan_lines"]

_PIECE = 1 << 20
# A drawing has some thousand bytes; a longer line is no record.
_LONGEST_LINE = 1 << 24
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_NEWLINE = b"\n"


def scan_lines(source: Source, dialect: Dialect, *, chunk: int, problems: Problems) -> Iterator[SketchSet]:
    """The drawings of a file as sets of `chunk`; blank lines are no records, nor is a byte order mark at the start.

    Args:
        source: the file.
        dialect: what the third list of a stroke is.
        chunk: how many drawings a set has; the last one may have fewer.
        problems: takes the bad records; a line of more than 16 MiB is one.
    """
    with source.open() as stream:
        reader = _Reader(dialect, problems)
        yield from _in_chunks((part for piece in _parsed_pieces(stream) for part in reader.parts(piece)), chunk)


class _Piece(NamedTuple):
    """Whole lines, or the start of a line that is too long; `data` has the kernel's padding behind `end`."""

    data: NDArray[np.uint8]
    end: int
    byte: int
    too_long: bool = False


class _Parsed(NamedTuple):
    """What the kernel made of a piece; `records` are the lines that it knows."""

    piece: _Piece
    lines: NDArray[np.int32]
    known: NDArray[np.bool_]
    all_lines: int
    widths: NDArray[np.uint8]
    fields: dict[str, NDArray[np.uint8]]
    records: Part
    third: NDArray[np.float32]


def _in_chunks(parts: Iterable[Part], chunk: int) -> Iterator[SketchSet]:
    waiting: list[Part] = []
    missing = chunk
    for part in parts:
        first, count = 0, len(part.sketches)
        while count - first >= missing:
            whole = first == 0 and missing == count
            yield joined([*waiting, part if whole else part.cut(first, first + missing)])
            first, missing, waiting = first + missing, chunk, []
        if first < count:
            waiting.append(part.cut(first, count) if first else part)
            missing -= count - first
    if waiting:
        yield joined(waiting)


def _parsed_pieces(stream: BinaryIO) -> Iterator[_Parsed]:
    """The pieces in order, parsed ahead by as many threads as there are cores: the kernel runs without the GIL."""
    pieces, workers = _pieces(stream), thread_count(None)
    workspace = _Workspace()
    # The first one here: small files need no threads, and a kernel that has to be compiled is not waited for in one.
    yield from (_parse(piece, workspace) for piece in islice(pieces, 1 if workers > 1 else None))
    if (second := next(pieces, None)) is None:
        return
    spaces: SimpleQueue[_Workspace] = SimpleQueue()
    for space in [workspace, *(_Workspace() for _ in range(workers - 1))]:
        spaces.put(space)

    def parse(piece: _Piece) -> _Parsed:
        space = spaces.get()
        try:
            return _parse(piece, space)
        finally:
            spaces.put(space)

    with ThreadPoolExecutor(workers) as pool:
        pending: deque[Future[_Parsed]] = deque()
        try:
            for piece in chain([second], pieces):
                pending.append(pool.submit(parse, piece))
                if len(pending) > workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def _pieces(stream: BinaryIO) -> Iterator[_Piece]:
    rest, byte = b"", 0
    # read1 gives what a pipe has by now: `read` would wait for the rest of it.
    take = getattr(stream, "read1", stream.read)
    start = stream.read(len(_BYTE_ORDER_MARK))
    if start == _BYTE_ORDER_MARK:
        byte = len(start)
    else:
        rest = start
    while True:
        # Twice as much each time that no line ends.
        size = min(max(_PIECE, len(rest)), _LONGEST_LINE + 1)
        read = take(size)
        cut = read.rfind(_NEWLINE) + 1
        if read and not cut:
            rest += read
            if len(rest) > _LONGEST_LINE:
                yield _piece(b"", b"", byte)._replace(too_long=True)
                byte, rest = _after_line(stream, byte + len(rest))
            continue
        if rest or read:
            yield _piece(rest, read[:cut] if read else b"", byte)
        if not read:
            return
        byte, rest = byte + len(rest) + cut, read[cut:]


def _piece(rest: bytes, read: bytes, byte: int) -> _Piece:
    end = len(rest) + len(read)
    return _Piece(np.frombuffer(b"".join((rest, read, _NEWLINE * PADDING)), np.uint8), end, byte)


def _after_line(stream: BinaryIO, byte: int) -> tuple[int, bytes]:
    """Where the next line starts, and what of it has been read."""
    while read := stream.read(_PIECE):
        cut = read.find(_NEWLINE) + 1
        if cut:
            return byte + cut, read[cut:]
        byte += len(read)
    return byte, b""


@dataclass
class _Workspace:
    """The large arrays that the kernel fills, kept from piece to piece: fresh memory costs more than the parsing."""

    size: int = field(default=-1, init=False)
    points: NDArray[np.float32] = field(init=False)
    third: NDArray[np.float32] = field(init=False)
    stroke_offsets: NDArray[np.int64] = field(init=False)

    def grow(self, size: int) -> None:
        """Make room for what so many bytes can ask for at most."""
        if size > self.size:
            self.size = size
            self.points = np.empty(2 * (size // 2 + 2), np.float32)
            self.third = np.empty(size // 2 + 2, np.float32)
            self.stroke_offsets = np.empty(size // 7 + 2, np.int64)


def _parse(piece: _Piece, workspace: _Workspace) -> _Parsed:
    data, end = piece.data, piece.end
    most_lines = int(np.count_nonzero(data[:end] == 10)) + 1
    most_records = min(most_lines, end // 14 + 1)
    lines, known = np.empty((most_lines, 3), np.int32), np.empty(most_lines, bool)
    names, spans = np.empty((MOST_FIELDS, 2), np.int32), np.empty((most_records, MOST_FIELDS, 2), np.int32)
    kinds, widths = np.empty((most_records + 1, MOST_FIELDS), np.uint8), np.empty(most_records, np.uint8)
    sketch_offsets = np.empty(most_records + 1, np.int64)
    workspace.grow(end)
    points, third, stroke_offsets = workspace.points, workspace.third, workspace.stroke_offsets
    count, records, strokes, total, fields, all_lines = parse_lines(
        data, end, lines, known, names, kinds, spans, widths, sketch_offsets, stroke_offsets, points, third
    )
    kinds, spans, widths = kinds[:records], spans[:records], widths[:records].copy()
    columns: dict[str, NDArray[Any]] = {}
    texts, kinds_of = set(), {}
    for index in range(fields):
        name = data[names[index, 0] : names[index, 1]].tobytes().decode("ascii")
        column = COLUMN_OF.get(name, name)
        kinds_of[name] = kinds[:, index].copy()
        if name in COLUMN_OF.values():
            continue
        columns[column], all_texts = column_of_field(data, kinds[:, index], spans[:, index])
        if all_texts:
            texts.add(column)
    # Copies, because the arrays are as large as the bytes could have asked for.
    block = SketchSet(
        points[: 2 * total].reshape(-1, 2).copy(),
        stroke_offsets[: strokes + 1].copy(),
        sketch_offsets[: records + 1].copy(),
        {name: columns[name] for name in sorted(columns, key=lambda name: name not in COLUMN_OF.values())},
    )
    third = third[:total].copy() if (widths == 3).any() else third[:0].copy()
    part = Part(block, frozenset(texts))
    return _Parsed(piece, lines[:count].copy(), known[:count].copy(), all_lines, widths, kinds_of, part, third)


@dataclass
class _Reader:
    """Takes parsed pieces in order, and knows what came before: the number of lines, and what the strokes are like."""

    dialect: Dialect
    problems: Problems
    expected: bool | None = field(default=None, init=False)
    record: int = field(default=0, init=False)
    line: int = field(default=1, init=False)

    def parts(self, parsed: _Parsed) -> Iterator[Part]:
        """The drawings of a piece; bad records are reported on the way."""
        if parsed.piece.too_long:
            self._add_too_long(parsed)
            return
        counts = np.diff(parsed.records.sketches.stroke_offsets[parsed.records.sketches.sketch_offsets])
        if self.dialect is not TIME:
            self.expected = True
        fast = np.zeros(len(parsed.known), bool)
        fast[parsed.known] = self._plain(parsed)
        record_of = np.cumsum(parsed.known) - 1
        for first, last in _runs(fast):
            if not fast[first]:
                yield from self._one_by_one(parsed, first, last)
                continue
            start, stop = int(record_of[first]), int(record_of[last - 1]) + 1
            drawn, wide = counts[start:stop] > 0, parsed.widths[start:stop] == 3
            if self.expected is None and drawn.any():
                self.expected = bool(wide[np.argmax(drawn)])
            alike = ~drawn | (wide == self.expected)
            for a, b in _runs(alike):
                if alike[a]:
                    yield self._run(parsed, start + a, start + b)
                else:
                    yield from self._one_by_one(parsed, first + a, first + b)
        self.record += len(parsed.known)
        self.line += parsed.all_lines

    def _plain(self, parsed: _Parsed) -> NDArray[np.bool_]:
        """Which of the known records raise no question that the plain parser has to answer."""
        absent = np.zeros(len(parsed.widths), np.uint8)
        has_word = parsed.fields.get("word", absent) != 0
        plain: NDArray[np.bool_] = np.ones(len(parsed.widths), bool)
        for name in COLUMN_OF.values():
            plain &= parsed.fields.get(name, absent) == 0
        if self.dialect is TIME:
            plain &= (parsed.widths == 2) | has_word
            return plain
        block = parsed.records.sketches
        ends = block.stroke_offsets[block.sketch_offsets[1:]]
        # Where a stroke has no third list, its place was not filled and may hold anything.
        with np.errstate(invalid="ignore"):
            wrong = np.flatnonzero(~is_label(parsed.third))
        plain[np.searchsorted(ends, wrong, side="right")] = False
        plain &= ~has_word
        return plain

    def _run(self, parsed: _Parsed, start: int, stop: int) -> Part:
        sketches, texts = parsed.records
        drawn = sketches.stroke_offsets[sketches.sketch_offsets[[start, stop]]]
        # Where there are points, all of them have a third value or none has; else it is only a matter of names.
        if self.expected if drawn[1] > drawn[0] else (parsed.widths[start:stop] == 3).any():
            column = {self.dialect.column: self._third(parsed)}
            sketches = SketchSet(
                sketches.points, sketches.stroke_offsets, sketches.sketch_offsets, sketches.columns, column
            )
        part = Part(sketches, texts)
        return part if stop - start == len(sketches) else part.cut(start, stop)

    def _third(self, parsed: _Parsed) -> NDArray[Any]:
        if self.dialect is TIME:
            return parsed.third
        # As above.
        with np.errstate(invalid="ignore"):
            return parsed.third.astype(self.dialect.dtype)

    def _one_by_one(self, parsed: _Parsed, first: int, last: int) -> Iterator[Part]:
        sketches: list[Sketch] = []
        data = parsed.piece.data
        for index in range(first, last):
            start, stop, number = parsed.lines[index].tolist()
            sketch = self.problems.attempt(
                self._where(index, number, parsed.piece.byte + start),
                parse_record,
                data[start:stop].tobytes(),
                self.dialect,
                self.expected,
            )
            if sketch is not None:
                if len(sketch.points):
                    self.expected = self.dialect.column in sketch.point_columns
                sketches.append(sketch)
        if sketches:
            yield Part.of(SketchSet.from_sketches(sketches))

    def _add_too_long(self, parsed: _Parsed) -> None:
        error = DataError(f"is longer than {_LONGEST_LINE} bytes")
        self.problems.add(error, self._where(0, 0, parsed.piece.byte))
        self.record += 1
        self.line += 1

    def _where(self, index: int, number: int, byte: int) -> str:
        return f"record {self.record + index} (line {self.line + number}, byte {byte})"


def _runs(values: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Where equal values start and end."""
    if not len(values):
        return
    bounds = [0, *(np.flatnonzero(values[1:] != values[:-1]) + 1).tolist(), len(values)]
    yield from pairwise(bounds)
