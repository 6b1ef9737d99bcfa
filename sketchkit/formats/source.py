"""What a format reads from: a file, packed by gzip or not, or a folder; and what becomes of bad records."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, cast

from sketchkit.errors import DataError
from sketchkit.sketch import Sketch
from sketchkit.sketch_set import SketchSet

__all__ = ["DAMAGED_GZIP", "BadRecordError", "Problems", "Source", "bare_suffix", "in_chunks"]

# What gzip raises on bytes that are not what they should be.
DAMAGED_GZIP = (EOFError, zlib.error, gzip.BadGzipFile)
_GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True)
class Source:
    """Where drawings come from; `path` is a file or a folder that exists."""

    path: Path

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """The file's bytes as a stream, unpacked when it is a gzip file, whatever its name."""
        with self.path.open("rb") as file:
            packed = file.read(2) == _GZIP_MAGIC
            file.seek(0)
            if not packed:
                yield file
                return
            with gzip.GzipFile(fileobj=file) as unpacked:
                yield cast(BinaryIO, unpacked)

    def head(self, size: int = 4096) -> bytes:
        """The first bytes, unpacked; nothing for a folder."""
        if self.path.is_dir():
            return b""
        with self.open() as stream:
            return stream.read(size)


class BadRecordError(DataError):
    """One record does not hold what it should; `where` says which, `args[0]` states the fact."""

    def __init__(self, fact: str, where: str) -> None:
        super().__init__(fact)
        self.where = where


@dataclass
class Problems:
    """What becomes of bad records: the first one ends the reading, or all are counted and left out.

    Args:
        skip: leave bad records out.
    """

    skip: bool = False
    count: int = field(default=0, init=False)
    first: BadRecordError | None = field(default=None, init=False)

    def attempt(self, where: str, make: Callable[..., Sketch], *arguments: Any) -> Sketch | None:
        """What `make(*arguments)` gives, or None when it raises DataError and bad records are skipped.

        Raises:
            BadRecordError: unless bad records are skipped.
        """
        try:
            return make(*arguments)
        except DataError as error:
            self.add(error, where)
            return None

    def add(self, error: DataError, where: str) -> None:
        """Report one bad record: the fact about it, and where it is ("record 3 (line 4, byte 88)", or "").

        Raises:
            BadRecordError: unless bad records are skipped.
        """
        bad = BadRecordError(str(error), where)
        if not self.skip:
            raise bad from error
        self.count += 1
        self.first = self.first or bad


def in_chunks(sketches: Iterable[Sketch], chunk: int) -> Iterator[SketchSet]:
    """The drawings as sets of `chunk`; the last one may be smaller, none is empty."""
    remaining = iter(sketches)
    while batch := list(islice(remaining, chunk)):
        yield SketchSet.from_sketches(batch)


def bare_suffix(path: str | os.PathLike[str]) -> str:
    """The suffix in lower case, without a trailing `.gz`: `.ndjson` of `cat.ndjson.gz`."""
    named = Path(path)
    return (named.with_suffix("") if named.suffix.lower() == ".gz" else named).suffix.lower()
