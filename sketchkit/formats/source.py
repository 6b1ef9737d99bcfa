"""What a format reads from: a file, packed or not, a folder or a stream; and what becomes of bad records."""

from __future__ import annotations

import io
import os
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, cast

from sketchkit.errors import DataError
from sketchkit.folders import list_folder
from sketchkit.formats.packing import DAMAGED_GZIP, PACKED_SUFFIXES, is_packed, unpacked
from sketchkit.formats.streams import SeekableStream, buffered
from sketchkit.sketch import Sketch
from sketchkit.sketch_set import SketchSet

__all__ = ["DAMAGED_GZIP", "BadRecordError", "Problems", "Source", "StreamSource", "bare_suffix", "in_chunks"]


class Source:
    """Where drawings come from.

    Args:
        path: a file or a folder that exists.
        names: of a folder, the files in it that may be read, as `folders.Listing` has them; None to look for them.
    """

    def __init__(self, path: Path, names: Sequence[str] | None = None) -> None:
        self._path = path
        self._names = names

    @property
    def names(self) -> Sequence[str]:
        """Of a folder, the files in it that may be read: relative to it, with slashes.

        Raises:
            OSError: the folder cannot be listed.
        """
        if self._names is None:
            self._names = list_folder(self._path).names
        return self._names

    @property
    def path(self) -> Path:
        """The file or folder itself, packed as it is; for a stream, a temporary copy that is made now."""
        return self._path

    @property
    def named(self) -> Path:
        """What messages call it; its suffix settles doubts about the format."""
        return self._path

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """The bytes as a stream, unpacked when they are packed, whatever the name.

        A file gives itself. What is unpacked, or comes from a stream, goes forward in bounded memory; a seek while no
        more than the first 256 KiB are read makes a temporary copy.
        """
        with self._path.open("rb") as file:
            head = file.read(4)
            file.seek(0)
            if not is_packed(head):
                yield file
                return
            with unpacked(file, head) as content:
                yield content

    def head(self, size: int = 4096) -> bytes:
        """The first `size` bytes, unpacked, or as many as there are; nothing for a folder."""
        if self.named.is_dir():
            return b""
        with self.open() as stream:
            return stream.read(size)

    def close(self) -> None:
        """Let go of what reading needed."""


class StreamSource(Source):
    """A stream of bytes, read from where it stands; standard input, say.

    Args:
        stream: open in binary mode.
        named: what messages call it.
        owned: close the stream too when this source is closed.
    """

    def __init__(self, stream: BinaryIO, named: Path, *, owned: bool = False) -> None:
        super().__init__(named)
        self._owned = stream if owned else None
        # read1 gives what a pipe has by now, where read would wait for the whole size.
        self._stream = buffered(SeekableStream(getattr(stream, "read1", stream.read)))
        self._content: BinaryIO | None = None
        self._raw: SeekableStream | None = None
        self._temporary: Path | None = None

    @property
    def path(self) -> Path:
        """A temporary copy of the stream, unpacked, with its name; made when first asked for, removed by `close`."""
        if self._temporary is None:
            folder = tempfile.mkdtemp(prefix="sketchkit-")
            self._remove = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
            copy = Path(folder, self.named.name or "stream")
            with copy.open("wb") as file:
                self._unpacked().copy_to(file)
            self._temporary = copy
        return self._temporary

    def head(self, size: int = 4096) -> bytes:
        """The first `size` bytes, unpacked, or as many as there are."""
        with self.open() as stream:
            return stream.read(size)

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """The stream from its start, unpacked; a second time only while its first 256 KiB suffice, or once copied."""
        if self._temporary is not None:
            with self._temporary.open("rb") as copy:
                yield copy
            return
        self._unpacked()
        assert self._content is not None
        self._content.seek(0)
        yield self._content

    def close(self) -> None:
        """Remove temporary copies; the stream itself is left open, unless it is owned."""
        if self._content is not None:
            self._content.close()
        self._stream.close()
        if self._temporary is not None:
            self._remove()
        if self._owned is not None:
            self._owned.close()

    def _unpacked(self) -> SeekableStream:
        if self._raw is None:
            head = self._stream.read(4)
            self._stream.seek(0)
            self._content = unpacked(self._stream, head) if is_packed(head) else self._stream
            raw = cast(io.BufferedReader, self._content).raw
            assert isinstance(raw, SeekableStream)
            self._raw = raw
        return self._raw


class BadRecordError(DataError):
    """One record does not hold what it should: a `fact`, as `args[0]`, and `where`, which record, or empty."""

    def __init__(self, fact: str, where: str) -> None:
        super().__init__(fact)
        self.where = where


@dataclass
class Problems:
    """What becomes of bad records: the first one ends the reading, or all are counted and left out.

    `count` is how many were left out so far, `first` the first one of them.

    Args:
        skip: leave bad records out.
        report: is told of each one that is left out.
    """

    skip: bool = False
    report: Callable[[BadRecordError], None] | None = None
    count: int = field(default=0, init=False)
    first: BadRecordError | None = field(default=None, init=False)

    def attempt(self, where: str, make: Callable[..., Sketch], *arguments: Any) -> Sketch | None:
        """What `make(*arguments)` gives, or None when it raises DataError and bad records are skipped.

        `make` and `where` are a function and what the record is called, as in `add`.

        Raises:
            BadRecordError: unless bad records are skipped.
        """
        try:
            return make(*arguments)
        except DataError as error:
            self.add(error, where)
            return None

    def add(self, error: DataError, where: str) -> None:
        """Report one bad record: `error`, the fact about it, and `where` it is ("record 3 (line 4, byte 88)", or "").

        Raises:
            BadRecordError: unless bad records are skipped.
        """
        bad = BadRecordError(str(error), where)
        if not self.skip:
            raise bad from error
        self.count += 1
        self.first = self.first or bad
        if self.report is not None:
            self.report(bad)


def in_chunks(sketches: Iterable[Sketch], chunk: int) -> Iterator[SketchSet]:
    """The `sketches` as sets of `chunk`; the last one may be smaller, none is empty."""
    remaining = iter(sketches)
    while batch := list(islice(remaining, chunk)):
        yield SketchSet.from_sketches(batch)


def bare_suffix(path: str | os.PathLike[str]) -> str:
    """The suffix of `path` in lower case, without a trailing `.gz` or `.zst`: `.ndjson` of `cat.ndjson.gz`."""
    named = Path(path)
    return (named.with_suffix("") if named.suffix.lower() in PACKED_SUFFIXES else named).suffix.lower()
