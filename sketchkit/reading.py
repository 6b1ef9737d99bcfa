"""Drawings from files; `sketchkit.formats` has one module a format, `sketchkit.writing` is the way back."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from sketchkit.errors import DataError, ParameterError, SketchkitError, SketchkitWarning
from sketchkit.formats.source import BadRecordError, Problems
from sketchkit.inputs import Input, Inputs, Part, inputs_of
from sketchkit.lookahead import in_order, thread_count
from sketchkit.sketch_set import SketchSet

__all__ = ["SketchkitWarning", "SkippedRecord", "read", "scan"]

OnError = Literal["raise", "skip"]
_CHUNK = 4096


@dataclass(frozen=True)
class SkippedRecord:
    """One record that was left out.

    Args:
        file: the path as messages name it.
        record: where it is, such as `record 3 (line 4, byte 88)`; nothing for a whole file.
        fact: what is wrong with it.
    """

    file: str
    record: str
    fact: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.file, self.record, self.fact) if part)


OnSkip = Callable[[SkippedRecord], object]


def read(
    source: Input | Iterable[Input],
    format: str | None = None,
    *,
    on_error: OnError = "raise",
    on_skip: OnSkip | None = None,
    threads: int | None = None,
) -> SketchSet:
    r"""Read all drawings of a file, a folder, several files, or a stream.

    Files may be packed by gzip or zstandard, whatever their names. Of a folder all files beneath it are read, in the
    order of their paths; a folder of SVG files is one source. Hidden files, images, README and LICENSE are not looked
    at. Files that no format claims, links out of the folder, links to folders, and pipes are passed over with a
    SketchkitWarning. A file with a format's suffix that does not hold what it should is an error.

    When more than one file is read, the column `file` says which: the path from the folder, or as it was given.

    Args:
        source: a path of a file or a folder; a pattern (`"quickdraw/*.ndjson"`, sorted); `"-"` for standard input; a
            binary stream, read from where it stands and left open; or an iterable of these, read in its order.
        format: a format's name, such as `quickdraw`; found by the content when None.
        on_error: `"skip"` leaves bad records and, where several files are read, bad files out, and warns of them
            (SketchkitWarning: how many, and the first).
        on_skip: called with each SkippedRecord, in order; never when nothing is skipped.
        threads: at most so many files at once; default one a core. Never changes the result.

    Raises:
        DataError: a record does not hold what it should, the message says which, and what would be right; or one file
            has a point column, such as `time`, that another lacks (`scan` gives them apart).
        FormatError: no format fits, or there is none of that name.
        MissingDataError: there is no such path, or nothing fits the pattern.
        ParameterError: an argument is out of range.

    Example:
        >>> import pathlib, sketchkit, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "roof.ndjson"
        >>> sketchkit.write(sketchkit.Sketch.from_strokes([[(0, 9), (5, 0), (9, 9)]], label="roof"), path)
        >>> path.read_text()
        '{"word":"roof","drawing":[[[0,5,9],[9,0,9]]]}\n'
        >>> sketchkit.read(path)
        SketchSet(1 sketches, 1 strokes, 3 points, columns: label)
    """
    skips = _Skips(on_error, on_skip)
    inputs = _inputs(source, format, skips)
    drawings = _joined(_all_sets(inputs, None, skips, thread_count(threads)))
    skips.warn()
    return drawings


def scan(
    source: Input | Iterable[Input],
    format: str | None = None,
    *,
    chunk: int = _CHUNK,
    on_error: OnError = "raise",
    on_skip: OnSkip | None = None,
    threads: int | None = None,
) -> Iterator[SketchSet]:
    """Read piece by piece: sets of at most `chunk` drawings, whose `SketchSet.concat` is what `read` gives.

    Memory holds about one set a thread, however large or many the files are. A set holds drawings of several files
    only where their columns are the same.

    Args:
        source: as `read` takes it.
        format: as `read` takes it.
        chunk: how many drawings a set has.
        on_error: as `read` takes it; the warning comes at the end.
        on_skip: as `read` takes it.
        threads: as `read` takes it.

    Raises:
        ParameterError: an argument is out of range.
        SketchkitError: as `read`; for the content of records, only when they are reached.
    """
    if chunk < 1:
        raise ParameterError(f"chunk must be at least 1, not {chunk}")
    skips = _Skips(on_error, on_skip)
    inputs = _inputs(source, format, skips)
    return _scanned(inputs, chunk, skips, thread_count(threads))


class _OnSkipFailedError(BaseException):
    """What `on_skip` raised: carried past the formats, which would take a full disk for a bad file of theirs."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


class _Skips:
    """Counts what is left out, and passes it on."""

    def __init__(self, on_error: OnError, on_skip: OnSkip | None) -> None:
        if on_error not in ("raise", "skip"):
            raise ParameterError(f'on_error must be "raise" or "skip", not {on_error!r}')
        self.allowed = on_error == "skip"
        self._on_skip = on_skip
        self._count = 0
        self._first: SkippedRecord | None = None

    def add(self, record: SkippedRecord) -> None:
        self._count += 1
        self._first = self._first or record
        if self._on_skip is not None:
            try:
                self._on_skip(record)
            except Exception as error:
                raise _OnSkipFailedError(error) from error

    def warn(self) -> None:
        if self._first is not None:
            message = f"skipped {self._count} bad records; the first: {self._first}"
            warnings.warn(message, SketchkitWarning, stacklevel=3)


def _inputs(source: Input | Iterable[Input], format: str | None, skips: _Skips) -> Inputs:
    inputs = inputs_of(source, format)
    for part in inputs.parts:
        # A file that is no drawing is told of at once, not when hours of others are read.
        if part.error is not None and not (skips.allowed and inputs.several):
            _close(inputs)
            raise part.error
    for listing in inputs.listings:
        if listing.passed_over:
            warnings.warn(f"passed over {listing.told()}", SketchkitWarning, stacklevel=3)
    return inputs


def _close(inputs: Inputs) -> None:
    for part in inputs.parts:
        part.source.close()


def _scanned(inputs: Inputs, chunk: int, skips: _Skips, threads: int) -> Iterator[SketchSet]:
    with closing(_all_sets(inputs, chunk, skips, threads)) as sets:
        yield from _regrouped(sets, chunk) if len(inputs.parts) > 1 else (drawings for _, drawings in sets)
    skips.warn()


def _all_sets(
    inputs: Inputs, chunk: int | None, skips: _Skips, threads: int
) -> Generator[tuple[Part, SketchSet], None, None]:
    parts = inputs.parts
    several = sum(part.error is None for part in parts) > 1
    threads = min(threads, len(parts))
    skip_files = skips.allowed and inputs.several
    try:
        with closing(
            _one_by_one(parts, chunk, skips, skip_files)
            if threads == 1
            else _ahead(parts, chunk, skips, skip_files, threads)
        ) as sets:
            for part, drawings in sets:
                yield part, _with_file(drawings, part) if several else drawings
    except _OnSkipFailedError as failed:
        raise failed.error from failed.error.__cause__
    finally:
        _close(inputs)


def _one_by_one(
    parts: list[Part], chunk: int | None, skips: _Skips, skip_files: bool
) -> Generator[tuple[Part, SketchSet], None, None]:
    for part in parts:
        with closing(_sets(part, chunk, skips.allowed, skip_files, skips.add)) as sets:
            for drawings in sets:
                yield part, drawings


def _ahead(
    parts: list[Part], chunk: int | None, skips: _Skips, skip_files: bool, threads: int
) -> Generator[tuple[Part, SketchSet], None, None]:
    makers = [partial(_pieces, part, chunk, skips.allowed, skip_files) for part in parts]
    with closing(in_order(makers, threads)) as pieces:
        for part, skipped, drawings in pieces:
            for record in skipped:
                skips.add(record)
            if drawings is not None:
                yield part, drawings


def _pieces(
    part: Part, chunk: int | None, skip: bool, skip_files: bool
) -> Iterator[tuple[Part, list[SkippedRecord], SketchSet | None]]:
    """Sets with what was skipped before each, to be told of in the thread that reads them."""
    skipped: list[SkippedRecord] = []
    for drawings in _sets(part, chunk, skip, skip_files, skipped.append):
        yield part, skipped.copy(), drawings
        skipped.clear()
    yield part, skipped, None


def _sets(
    part: Part, chunk: int | None, skip: bool, skip_files: bool, report: Callable[[SkippedRecord], None]
) -> Generator[SketchSet, None, None]:
    name = str(part.source.named)
    some = False
    try:
        for drawings in _read_part(part, chunk, skip, report):
            yield drawings
            some = True
    except DataError as error:
        if not skip_files:
            raise
        fact = str(error).removeprefix(f"{name}: ")
        report(SkippedRecord(name, "", f"{fact}; the rest of the file is left out" if some else fact))


def _read_part(
    part: Part, chunk: int | None, skip: bool, report: Callable[[SkippedRecord], None]
) -> Iterator[SketchSet]:
    if part.format is None:
        assert part.error is not None
        raise part.error
    name, kind = part.source.named, part.format.name
    problems = Problems(skip, lambda bad: report(SkippedRecord(str(name), bad.where, str(bad))))
    try:
        # Without a chunk the whole is wanted: a format may have a quicker way to it.
        if chunk is None and part.format.read is not None:
            yield part.format.read(part.source, problems)
        else:
            yield from part.format.scan(part.source, chunk=chunk or _CHUNK, problems=problems)
    except BadRecordError as bad:
        where = f"{bad.where}: " if bad.where else ""
        raise DataError(f'{name}: {where}{bad}. To skip such records: on_error="skip".') from bad
    except DataError as error:
        raise type(error)(f"{name}: {error} (read as {kind})") from error
    except SketchkitError:
        raise
    except OSError as error:
        raise DataError(f"{name}: cannot be read as {kind}: {error.strerror or error}") from error


def _with_file(drawings: SketchSet, part: Part) -> SketchSet:
    if "file" in drawings.columns:
        return drawings
    return drawings.with_columns(file=np.full(len(drawings), part.file, dtype=object))


def _joined(sets: Iterator[tuple[Part, SketchSet]]) -> SketchSet:
    gathered = []
    first: tuple[Part, SketchSet] | None = None
    for part, drawings in sets:
        if len(drawings.points):
            first = first or (part, drawings)
            _require_same_points(*first, part, drawings)
        gathered.append(drawings)
    return SketchSet.concat(gathered)


def _require_same_points(one: Part, has: SketchSet, other: Part, lacks: SketchSet) -> None:
    if set(has.point_columns) == set(lacks.point_columns):
        return
    if not set(has.point_columns) - set(lacks.point_columns):
        one, has, other, lacks = other, lacks, one, has
    missing = ", ".join(sorted(set(has.point_columns) - set(lacks.point_columns)))
    raise DataError(
        f"{other.source.named}: has no {missing}, unlike {one.source.named}: one set cannot hold both. "
        "Read them apart, or scan them: its sets are of one kind each"
    )


def _regrouped(sets: Iterator[tuple[Part, SketchSet]], chunk: int) -> Iterator[SketchSet]:
    """Small sets joined, so that a thousand files of one drawing are not a thousand sets."""
    waiting: list[SketchSet] = []
    try:
        for _, drawings in sets:
            count = sum(map(len, waiting)) + len(drawings)
            if waiting and (count > chunk or _kinds(drawings) != _kinds(waiting[0])):
                yield SketchSet.concat(waiting)
                waiting = []
            waiting.append(drawings)
    except SketchkitError:
        if waiting:
            yield SketchSet.concat(waiting)
        raise
    if waiting:
        yield SketchSet.concat(waiting)


def _kinds(drawings: SketchSet) -> list[tuple[str, np.dtype[np.generic]]]:
    columns = [*drawings.columns.items(), ("", drawings.points), *drawings.point_columns.items()]
    return [(name, values.dtype) for name, values in columns]
