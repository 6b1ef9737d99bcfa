"""Packed files: gzip and zstandard, known by their first bytes when read and by their suffix when written."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from sketchkit.errors import DataError
from sketchkit.formats.streams import SeekableStream, buffered

__all__ = ["DAMAGED_GZIP", "PACKED_SUFFIXES", "is_packed", "packed_for", "unpacked"]

PACKED_SUFFIXES = (".gz", ".zst")
# What gzip raises on bytes that are not what they should be.
DAMAGED_GZIP = (EOFError, zlib.error, gzip.BadGzipFile)

_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


def is_packed(head: bytes) -> bool:
    """Whether a file that starts with `head` (4 bytes or more) is packed by gzip (RFC 1952) or zstandard (RFC 8878)."""
    return _is_gzip(head) or head[:4] == _ZSTD_MAGIC


def unpacked(stream: BinaryIO, head: bytes) -> BinaryIO:
    """The content of a packed stream, also of several packed ones in a row; `stream` stays its owner's to close.

    Frames of zstandard that need a window of more than 128 MiB are refused, as its own tool does.

    Args:
        stream: at its start.
        head: its first 4 bytes, for which `is_packed` is true.
    """
    counted = _Counted(stream)
    read = _gzip_reader(counted) if _is_gzip(head) else _zstd_reader(counted)
    return buffered(SeekableStream(read, lambda: counted.count))


@contextmanager
def packed_for(path: Path, stream: BinaryIO) -> Iterator[BinaryIO]:
    """What to write to, so that `stream` is packed as the suffix of `path` asks: `.gz`, `.svgz`, `.zst`, or not.

    The same bytes are packed to the same bytes: no time and no name within.
    """
    suffix = path.suffix.lower()
    if suffix in (".gz", ".svgz"):
        # 6 is what gzip's own tool takes; Python's 9 is three times as slow for some percent.
        with gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=stream, mtime=0) as packed:
            yield cast(BinaryIO, packed)
    elif suffix == ".zst":
        import pyarrow

        # Writes of some bytes each, as JSON lines are, are gathered first.
        with (
            pyarrow.CompressedOutputStream(pyarrow.PythonFile(_Kept(stream), mode="w"), "zstd") as packed,
            io.BufferedWriter(_Writing(packed.write), 1 << 20) as gathered,
        ):
            yield cast(BinaryIO, gathered)
    else:
        yield stream


class _Counted:
    """Counts what is read, and leaves the stream open when it is closed."""

    closed = False

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.count = 0

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self.count += len(data)
        return data

    def close(self) -> None:
        pass


class _Kept:
    """A target that stays open when the packer closes it."""

    closed = False

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def write(self, data: bytes) -> int:
        return self._stream.write(data)

    def flush(self) -> None:
        self._stream.flush()

    def close(self) -> None:
        pass


class _Writing(io.RawIOBase):
    def __init__(self, write: Callable[[bytes], object]) -> None:
        super().__init__()
        self._write = write

    def writable(self) -> bool:
        return True

    def write(self, data: object, /) -> int:
        whole = bytes(cast(bytes, data))
        self._write(whole)
        return len(whole)


def _is_gzip(head: bytes) -> bool:
    # The method too, which is 8 in every gzip file: two bytes alone may be a number at the start of a binary format.
    return head[:3] == b"\x1f\x8b\x08" or head == b"\x1f\x8b"


def _gzip_reader(stream: _Counted) -> Callable[[int], bytes]:
    unpacking = gzip.GzipFile(fileobj=cast(BinaryIO, stream), mode="rb")

    def read(size: int) -> bytes:
        try:
            return unpacking.read(size)
        except DAMAGED_GZIP as error:
            raise DataError(f"the gzip data are damaged or cut short: {error}") from error

    return read


def _zstd_reader(stream: _Counted) -> Callable[[int], bytes]:
    # pyarrow's, since that of the package zstandard (0.25) takes a file that is cut short for a whole one.
    import pyarrow

    unpacking = pyarrow.CompressedInputStream(pyarrow.PythonFile(stream, mode="r"), "zstd")

    def read(size: int) -> bytes:
        try:
            return cast(bytes, unpacking.read(size))
        except OSError as error:
            if error.errno is not None:
                raise
            raise DataError(f"the zstandard data are damaged or cut short: {error}") from error

    return read
