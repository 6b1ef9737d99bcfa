"""Drawings from files and into files; `sketchkit.formats` has one module a format."""

from __future__ import annotations

import gzip
import os
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Literal, cast

from sketchkit import atomic
from sketchkit.blocks import as_block
from sketchkit.errors import DataError, FormatError, MissingDataError, OutputError, ParameterError
from sketchkit.formats.registry import Format, detect, for_writing, lookup
from sketchkit.formats.source import DAMAGED_GZIP, BadRecordError, Problems, Source
from sketchkit.sketch import Sketch
from sketchkit.sketch_set import SketchSet

__all__ = ["SketchkitWarning", "read", "scan", "write"]

OnError = Literal["raise", "skip"]


class SketchkitWarning(UserWarning):
    """Something was left out, as asked or because a format has no place for it."""


def read(path: str | os.PathLike[str], format: str | None = None, *, on_error: OnError = "raise") -> SketchSet:
    r"""Read all drawings of a file, or of a folder of SVG files.

    Args:
        path: a file, packed by gzip or not, or a folder.
        format: a format's name, such as `quickdraw`; found by the content when None.
        on_error: `"skip"` leaves bad records out and warns of them (SketchkitWarning: how many, and the first).

    Raises:
        DataError: a record does not hold what it should; the message says which, and what would be right.
        FormatError: no format fits, or there is none of that name.
        MissingDataError: there is no such path.

    Example:
        >>> import pathlib, sketchkit, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "roof.ndjson"
        >>> sketchkit.write(sketchkit.Sketch.from_strokes([[(0, 9), (5, 0), (9, 9)]], label="roof"), path)
        >>> path.read_text()
        '{"word":"roof","drawing":[[[0,5,9],[9,0,9]]]}\n'
        >>> sketchkit.read(path)
        SketchSet(1 sketches, 1 strokes, 3 points, columns: label)
    """
    return SketchSet.concat(scan(path, format, on_error=on_error))


def scan(
    path: str | os.PathLike[str], format: str | None = None, *, chunk: int = 4096, on_error: OnError = "raise"
) -> Iterator[SketchSet]:
    """Read a file piece by piece: sets of at most `chunk` drawings, whose `SketchSet.concat` is what `read` gives.

    Args:
        path: as `read` takes it.
        format: as `read` takes it.
        chunk: how many drawings a set has.
        on_error: as `read` takes it; the warning comes at the end.

    Raises:
        ParameterError: `chunk` or `on_error` is out of range.
        SketchkitError: as `read`; for the content of records, only when they are reached.
    """
    if chunk < 1:
        raise ParameterError(f"chunk must be at least 1, not {chunk}")
    if on_error not in ("raise", "skip"):
        raise ParameterError(f'on_error must be "raise" or "skip", not {on_error!r}')
    source = Source(Path(path))
    if not source.path.exists():
        raise MissingDataError(f"{path}: there is no such file or folder")
    problems = Problems(skip=on_error == "skip")
    return _scan(source, _format_of(source, format), chunk, problems)


def write(
    sketches: Sketch | SketchSet | Iterable[Sketch], path: str | os.PathLike[str], format: str | None = None
) -> None:
    """Write drawings to a file, whole or not at all; or as SVG files into a folder.

    What the format has no place for (a column, times, pressure) is left out with a SketchkitWarning.

    Args:
        sketches: one drawing or many.
        path: its suffix chooses the format; `.gz` after it packs the file. With `format="svg"`, a path without a
            suffix is a folder.
        format: a format's name.

    Raises:
        DataError: the format cannot hold these drawings.
        FormatError: the suffix is of no format, the name of none, or the format is only read.
        OutputError: the file or the folder cannot be written; an earlier file is left as it was.
    """
    # as_block would leave a single drawing's label and key behind.
    block = SketchSet.from_sketches([sketches]) if isinstance(sketches, Sketch) else as_block(sketches)
    target = Path(path)
    try:
        chosen = for_writing(target) if format is None else lookup(format)
        into_folder = chosen.write_folder if target.suffix == "" or target.is_dir() else None
        if into_folder is None and chosen.write is None:
            raise FormatError(f"the format {chosen.name!r} is only read, not written")
        _warn_of_losses(block, chosen, target)
        if into_folder is not None:
            into_folder(block, target)
        else:
            _write_file(block, chosen, target)
    except OutputError:
        raise
    except DataError as error:
        raise type(error)(f"{path}: {error}") from error
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error


def _format_of(source: Source, name: str | None) -> Format:
    try:
        if not source.path.is_dir() and not source.head(1):
            raise DataError("is empty (0 bytes); there are no drawings in it")
        return detect(source) if name is None else lookup(name)
    except DAMAGED_GZIP as error:
        raise DataError(f"{source.path}: the gzip data are damaged or cut short: {error}") from error
    except DataError as error:
        raise type(error)(f"{source.path}: {error}") from error
    except OSError as error:
        raise DataError(f"{source.path}: cannot be read: {error.strerror or error}") from error


def _scan(source: Source, chosen: Format, chunk: int, problems: Problems) -> Iterator[SketchSet]:
    try:
        yield from chosen.scan(source, chunk=chunk, problems=problems)
    except BadRecordError as bad:
        raise DataError(f'{_located(source, bad)}. To skip such records: on_error="skip".') from bad
    except DataError as error:
        raise type(error)(f"{source.path}: {error} (read as {chosen.name})") from error
    except DAMAGED_GZIP as error:
        raise DataError(f"{source.path}: the gzip data are damaged or cut short: {error}") from error
    except OSError as error:
        raise DataError(f"{source.path}: cannot be read as {chosen.name}: {error.strerror or error}") from error
    if problems.first is not None:
        warnings.warn(
            f"skipped {problems.count} bad records; the first: {_located(source, problems.first)}",
            SketchkitWarning,
            stacklevel=2,
        )


def _located(source: Source, bad: BadRecordError) -> str:
    where = f"{bad.where}: " if bad.where else ""
    return f"{source.path}: {where}{bad}"


def _warn_of_losses(block: SketchSet, chosen: Format, target: Path) -> None:
    lost = [
        *([] if chosen.columns is None else sorted(set(block.columns) - chosen.columns)),
        *([] if chosen.point_columns is None else sorted(set(block.point_columns) - chosen.point_columns)),
    ]
    if lost:
        warnings.warn(
            f"{target}: the format {chosen.name!r} has no place for {', '.join(lost)}; left out",
            SketchkitWarning,
            stacklevel=3,
        )


def _write_file(block: SketchSet, chosen: Format, target: Path) -> None:
    assert chosen.write is not None
    with atomic.replacing(target) as temporary, temporary.open("wb") as file:
        if target.suffix.lower() not in (".gz", ".svgz"):
            chosen.write(block, file)
            return
        # No time and no name within: the same drawings give the same bytes.
        with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed:
            chosen.write(block, cast(BinaryIO, packed))
