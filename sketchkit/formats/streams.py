"""A stream that only goes forward, for readers that have to go back."""

from __future__ import annotations

import io
import shutil
import tempfile
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO

from sketchkit.errors import DataError

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["SeekableStream", "buffered"]

# Readers look at the first bytes and go back; more than that is kept only when a reader asks for it.
_KEPT = 1 << 18
_AT_ONCE = 1 << 20
# Strokes pack to between a half and a fiftieth.
_MOST_TIMES, _ALWAYS_ALLOWED = 200, 1 << 26


class SeekableStream(io.RawIOBase):
    """Bytes from `read`, front to back, in bounded memory; a seek copies the rest to a temporary file.

    A reader can go back as long as it has read no more than the first 256 KiB: formats that need to seek do so at
    once. What is unpacked may be far larger than the file, so reading all at once and copying stop with a DataError
    beyond 64 MiB and 200 times the packed bytes; reading piece by piece does not.

    Args:
        read: gives at most so many bytes, and none at the end.
        packed_bytes: how many packed bytes were taken so far; None where nothing is unpacked.
    """

    def __init__(self, read: Callable[[int], bytes], packed_bytes: Callable[[], int] | None = None) -> None:
        super().__init__()
        self._read = read
        self._packed_bytes = packed_bytes
        self._kept = bytearray()
        self._taken = self._position = 0
        self._copy: BinaryIO | None = None

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always, at the price of a copy."""
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        """Fill `buffer` as far as one read of the stream goes; returns how many bytes there were, 0 at the end."""
        view = memoryview(buffer).cast("B")
        if self._copy is not None:
            data = self._copy.read(len(view))
        elif self._position < len(self._kept):
            data = bytes(self._kept[self._position : self._position + len(view)])
        else:
            data = self._take(len(view))
        view[: len(data)] = data
        self._position += len(data)
        return len(data)

    def readall(self) -> bytes:
        """What is left.

        Raises:
            DataError: it is far larger than the packed file explains.
        """
        parts = []
        total = self._position
        while part := self.read(_AT_ONCE):
            total += len(part)
            self._refuse_bombs(total)
            parts.append(part)
        return b"".join(parts)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to the place `offset`, in bytes, counted from where `whence` says, as in any file.

        Raises:
            io.UnsupportedOperation: more than the first 256 KiB were read without a seek.
        """
        if self._copy is None:
            target = offset + (self._position if whence == io.SEEK_CUR else 0)
            kept = self._taken == len(self._kept) and 0 <= target <= self._taken
            if whence != io.SEEK_END and (target == self._position or kept):
                self._position = target
                return target
            self._copy = self._copied()
            self._copy.seek(self._position)
        self._position = self._copy.seek(offset, whence)
        return self._position

    def close(self) -> None:
        """Remove the copy; the stream itself is its owner's to close."""
        if self._copy is not None:
            self._copy.close()
        super().close()

    def _take(self, size: int) -> bytes:
        data = self._read(size)
        if not isinstance(data, bytes):
            raise DataError("is not open in binary mode" if isinstance(data, str) else "gave no bytes: it would block")
        if self._taken == len(self._kept) and self._taken + len(data) <= _KEPT:
            self._kept += data
        else:
            self._kept.clear()
        self._taken += len(data)
        return data

    def copy_to(self, target: BinaryIO) -> None:
        """Write everything from the start to `target`; nothing is left to read then.

        Raises:
            DataError: it is far larger than the packed file explains.
            io.UnsupportedOperation: more than the first 256 KiB were read without a seek.
        """
        if self._copy is not None:
            self._copy.seek(0)
            shutil.copyfileobj(self._copy, target, _AT_ONCE)
            return
        if self._taken != len(self._kept):
            raise io.UnsupportedOperation("this stream goes forward only, and its start is gone")
        target.write(self._kept)
        while data := self._take(_AT_ONCE):
            self._refuse_bombs(self._taken)
            target.write(data)

    def _copied(self) -> BinaryIO:
        try:
            copy = tempfile.TemporaryFile(prefix="sketchkit-")  # noqa: SIM115 -- lives as long as this stream
        except OSError as error:
            raise DataError(f"needs a temporary copy, which cannot be made: {error}") from error
        try:
            self.copy_to(copy)
        except BaseException:
            copy.close()
            raise
        return copy

    def _refuse_bombs(self, total: int) -> None:
        if self._packed_bytes is None or total <= max(_ALWAYS_ALLOWED, _MOST_TIMES * self._packed_bytes()):
            return
        raise DataError(
            f"unpacks to more than {_MOST_TIMES} times its size ({total} bytes so far), "
            "and this format needs all of it; if that is right, unpack the file first"
        )


def buffered(stream: SeekableStream) -> BinaryIO:
    """The `stream` with `readline`, `peek` and iteration over lines, through a buffer of 64 KiB."""
    return io.BufferedReader(stream, 1 << 16)
