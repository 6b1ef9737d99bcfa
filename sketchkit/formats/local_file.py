"""Random access to a source: the file itself, or what it unpacks to, in a temporary file."""

from __future__ import annotations

import io
import mmap
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from os import fstat
from typing import BinaryIO, cast

from sketchkit.formats.source import Source
from sketchkit.formats.streams import SeekableStream

__all__ = ["give_back", "local_file", "mapped"]


@contextmanager
def local_file(source: Source) -> Iterator[BinaryIO]:
    """The bytes of `source` as a regular file that can be sought in; a packed one is unpacked on the disk."""
    with source.open() as stream:
        if _is_regular(stream):
            yield stream
            return
        with tempfile.TemporaryFile() as copy:
            raw = getattr(stream, "raw", None)
            if isinstance(raw, SeekableStream):
                # Stops where it grows far beyond what the packed file explains.
                stream.seek(0)
                raw.copy_to(cast(BinaryIO, copy))
            else:
                shutil.copyfileobj(stream, copy, 1 << 20)
            copy.seek(0)
            yield cast(BinaryIO, copy)


def mapped(source: Source) -> mmap.mmap:
    """The bytes of `source`, mapped into memory to be read; they go when nothing refers to them any more.

    A file that is cut short by another program while it is mapped ends this one (SIGBUS); one that is replaced, as
    `sketchkit.write` does, does not.
    """
    with local_file(source) as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def give_back(data: mmap.mmap) -> None:
    """Let go of the pages of `data` that were read: they count as this process's memory until then.

    Read again, they come back.
    """
    # Windows has no madvise, and counts mapped pages otherwise.
    if hasattr(data, "madvise"):
        data.madvise(mmap.MADV_DONTNEED)


def _is_regular(stream: BinaryIO) -> bool:
    raw = stream.raw if isinstance(stream, io.BufferedReader) else stream
    return isinstance(raw, io.FileIO) and stat.S_ISREG(fstat(raw.fileno()).st_mode)
