"""Drawings into files; `sketchkit.reading` is the way back."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import BinaryIO, cast

from sketchkit import atomic
from sketchkit.errors import DataError, FormatError, OutputError, ParameterError, SketchkitError, SketchkitWarning
from sketchkit.formats.packing import packed_for
from sketchkit.formats.registry import Format, for_writing, lookup
from sketchkit.formats.source import in_chunks
from sketchkit.inputs import STANDARD_STREAM
from sketchkit.sketch import Sketch
from sketchkit.sketch_set import SketchSet

__all__ = ["write"]

_AT_ONCE = 4096


def write(
    sketches: Sketch | SketchSet | Iterable[Sketch] | Iterable[SketchSet],
    target: str | os.PathLike[str] | BinaryIO,
    format: str | None = None,
) -> None:
    """Write drawings to a file, whole or not at all; as SVG files into a folder; or to a stream.

    What the format has no place for (a column, times, pressure) is left out with a SketchkitWarning.

    Args:
        sketches: one drawing or many; or sets of them, as `scan` gives, which a format that need not see all at once
            (`Format.write_chunks`) writes one after the other, so that they may be more than memory holds.
        target: a path, whose suffix chooses the format; `.gz` or `.zst` after it packs the file. With `format="svg"`,
            a path without a suffix is a folder. `"-"` is standard output; a binary stream is left open. These two
            need a `format`, and what was written to them before an error stays.
        format: a format's name.

    Raises:
        DataError: the format cannot hold these drawings.
        FormatError: the suffix is of no format, the name of none, or the format is only read.
        OutputError: the file or the folder cannot be written; an earlier file is left as it was.
        ParameterError: a stream without a `format`.

    Example:
        >>> import pathlib, sketchkit, tempfile
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> house = sketchkit.Sketch.from_strokes([[(0, 9), (5, 0), (9, 9)]], label="house")
        >>> sketchkit.write([house, house], folder / "houses.ndjson.gz")
        >>> sketchkit.write(sketchkit.scan(folder / "houses.ndjson.gz"), folder / "houses.ndjson")
        >>> len(sketchkit.read(folder / "houses.ndjson"))
        2
    """
    given = _Given(sketches)
    name = _name_of(target)
    try:
        if isinstance(target, (str, os.PathLike)) and os.fsdecode(target) != STANDARD_STREAM:
            _write_path(given, Path(os.fsdecode(target)), format)
        else:
            _write_stream(given, target, format)
    except Exception as error:
        # Whoever makes the drawings states what is wrong with them; the target's name would mislead.
        if given.error is not None:
            raise given.error from given.error.__cause__
        if isinstance(error, OutputError):
            raise
        if isinstance(error, DataError):
            raise type(error)(f"{name}: {error}") from error
        if isinstance(error, OSError) and not isinstance(error, SketchkitError):
            raise OutputError(f"{name}: cannot be written: {error.strerror or error}") from error
        raise
    if given.lost:
        warnings.warn(
            f"{name}: the format {given.written_as!r} has no place for {', '.join(sorted(given.lost))}; left out",
            SketchkitWarning,
            stacklevel=2,
        )


class _Given:
    """The drawings, as one set or as several; notes what a format leaves out, and what went wrong in making them."""

    def __init__(self, sketches: Sketch | SketchSet | Iterable[Sketch] | Iterable[SketchSet]) -> None:
        self._sketches = sketches
        self.error: BaseException | None = None
        self.lost: set[str] = set()
        self.written_as = ""

    @property
    def is_whole(self) -> bool:
        return isinstance(self._sketches, (Sketch, SketchSet))

    def whole(self, chosen: Format) -> SketchSet:
        """All drawings in one set."""
        sets = list(self.sets(chosen))
        return sets[0] if len(sets) == 1 else SketchSet.concat(sets)

    def sets(self, chosen: Format) -> Iterator[SketchSet]:
        """The drawings in sets, none of them twice."""
        self.written_as = chosen.name
        sets = self._sets()
        while True:
            try:
                drawings = next(sets, None)
            except BaseException as error:
                self.error = error
                raise
            if drawings is None:
                return
            self.lost |= set() if chosen.columns is None else set(drawings.columns) - chosen.columns
            self.lost |= set() if chosen.point_columns is None else set(drawings.point_columns) - chosen.point_columns
            yield drawings

    def _sets(self) -> Iterator[SketchSet]:
        if isinstance(self._sketches, Sketch):
            # as_block would leave a single drawing's label and key behind.
            yield SketchSet.from_sketches([self._sketches]).validate()
        elif isinstance(self._sketches, SketchSet):
            yield self._sketches.validate()
        else:
            items = _items(self._sketches)
            first = next(items, None)
            together = chain([] if first is None else [first], items)
            if isinstance(first, SketchSet):
                yield from map(_validated, together)
            else:
                yield from map(_validated, in_chunks(cast("Iterable[Sketch]", together), _AT_ONCE))


def _items(sketches: object) -> Iterator[object]:
    if not isinstance(sketches, Iterable):
        raise ParameterError(f"expected a Sketch, a SketchSet or an iterable of either, not {type(sketches).__name__}")
    return iter(sketches)


def _validated(drawings: object) -> SketchSet:
    if not isinstance(drawings, SketchSet):
        raise ParameterError(f"the first item is a SketchSet, so all must be, not a {type(drawings).__name__}")
    return drawings.validate()


def _write_path(given: _Given, path: Path, format: str | None) -> None:
    chosen = for_writing(path) if format is None else lookup(format)
    if chosen.write_folder is not None and (path.suffix == "" or path.is_dir()):
        chosen.write_folder(given.whole(chosen), path)
        return
    _require_writer(chosen)
    with (
        atomic.replacing(path) as temporary,
        temporary.open("wb") as file,
        packed_for(path, file) as stream,
    ):
        _write_to(given, chosen, stream)


def _write_stream(given: _Given, target: object, format: str | None) -> None:
    if format is None:
        raise ParameterError(f"{_name_of(target)} has no suffix to choose a format by; name one: format=")
    stream = sys.stdout.buffer if isinstance(target, (str, os.PathLike)) else cast(BinaryIO, target)
    if not hasattr(stream, "write"):
        raise ParameterError(f"expected a path or a binary stream to write to, not {type(target).__name__}")
    chosen = lookup(format)
    _require_writer(chosen)
    _write_to(given, chosen, stream)
    stream.flush()


def _require_writer(chosen: Format) -> None:
    if chosen.write is None and chosen.write_chunks is None:
        raise FormatError(f"the format {chosen.name!r} is only read, not written")


def _write_to(given: _Given, chosen: Format, stream: BinaryIO) -> None:
    if chosen.write_chunks is not None and (chosen.write is None or not given.is_whole):
        chosen.write_chunks(given.sets(chosen), stream)
    else:
        assert chosen.write is not None
        chosen.write(given.whole(chosen), stream)


def _name_of(target: object) -> str:
    if isinstance(target, (str, os.PathLike)):
        text = os.fsdecode(target)
        return "standard output" if text == STANDARD_STREAM else text
    name = getattr(target, "name", None)
    return name if isinstance(name, str) else f"a {type(target).__name__}"
