"""The members of an `.npz`: a zip archive of `.npy` files, unpacked within bounds and never unpickled.

Source: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html. Together, the members that are
read may be at most 100 times as long as the archive, and 64 MiB on top: real drawings
unpack to 3 times their size.
"""

from __future__ import annotations

import lzma
import math
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sketchkit.errors import DataError
from sketchkit.formats.local_file import local_file
from sketchkit.formats.source import Source

__all__ = ["Member", "NpzArchive", "first_name", "open_npz"]

_MOST_UNPACKED, _SPARE = 100, 1 << 26
_ZIP = b"PK\x03\x04"
_NPY = b"\x93NUMPY"
# What zipfile and the packers in it raise on damage.
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OverflowError,
)
_HEADER = re.compile(
    rb"\{'descr': '([<>|=]?[a-zA-Z][0-9]{0,3})', 'fortran_order': (True|False), "
    rb"'shape': \(((?:[0-9]{1,18}L?,? ?){0,8})\),? *\}\s*"
)


@dataclass(frozen=True)
class Member:
    """One array of an archive, as its header says.

    Args:
        name: without `.npy`.
        descr: numpy's code of the type; `|O` for objects.
        shape: as the header claims; `numbers` compares it with the bytes.
        by_columns: whether the values are stored column by column (Fortran's order).
        data: the bytes that follow the header.
    """

    name: str
    descr: str
    shape: tuple[int, ...]
    by_columns: bool
    data: memoryview

    def numbers(self) -> NDArray[np.number]:
        """The array, of any shape, a view of its bytes.

        Raises:
            DataError: it holds no plain numbers, or its shape does not fit its bytes.
        """
        if not re.fullmatch("[<>|=]?[biuf][0-9]{1,2}", self.descr):
            raise DataError(f"{self.name}.npy holds {self.descr!r}, not plain numbers")
        dtype = np.dtype(self.descr)
        wanted = math.prod(self.shape) * dtype.itemsize
        if wanted != len(self.data):
            fact = f"of shape {self.shape} and {dtype} takes {wanted} bytes, not {len(self.data)}"
            raise DataError(f"{self.name}.npy {fact}")
        flat = np.frombuffer(self.data, dtype) if wanted else np.zeros(0, dtype)
        return flat.reshape(self.shape, order="F" if self.by_columns else "C")


class NpzArchive:
    """An open archive; `names` are those of its members, without `.npy`, in their order.

    Args:
        archive: open; stays open.
        size: of the archive, in bytes: what is read of it may be 100 times as much, and 64 MiB on top.

    Raises:
        DataError: a member is no `.npy` file, or two have one name.
    """

    def __init__(self, archive: zipfile.ZipFile, size: int) -> None:
        self._archive = archive
        self._left = _MOST_UNPACKED * size + _SPARE
        others = [name for name in archive.namelist() if not name.endswith(".npy")]
        if others:
            raise DataError(f"holds {others[0][:80]!r}, which is no .npy file")
        self.names = [name.removesuffix(".npy") for name in archive.namelist()]
        if len(set(self.names)) != len(self.names):
            raise DataError("has two members of one name")

    def read(self, name: str) -> Member:
        """The member called `name` in `names`. Reading one twice counts twice toward what may be unpacked.

        Raises:
            DataError: it is damaged, claims more bytes than are believed, or is no `.npy` file.
        """
        info = self._archive.getinfo(f"{name}.npy")
        self._left -= info.file_size
        if self._left < 0:
            raise DataError(
                f"{name}.npy claims {info.file_size} bytes, packed into {info.compress_size}; it is not unpacked"
            )
        data = self._archive.read(info)
        start = {1: 10, 2: 12, 3: 12}.get(data[6] if data.startswith(_NPY) and len(data) > 12 else 0)
        if start is None:
            raise DataError(f"{name}.npy has no header of numpy's")
        end = start + int.from_bytes(data[8:start], "little")
        header = _HEADER.fullmatch(data, start, min(end, start + 10_000))
        if header is None or end > len(data):
            raise DataError(f"{name}.npy has no header of a plain array")
        shape = tuple(int(size) for size in re.findall(rb"[0-9]+", header[3]))
        return Member(name, header[1].decode(), shape, header[2] == b"True", memoryview(data)[end:])


@contextmanager
def open_npz(source: Source) -> Iterator[NpzArchive]:
    """Open the archive that `source` holds; what damage makes `zipfile` raise, also in the block, becomes DataError."""
    with local_file(source) as file:
        size = file.seek(0, 2)
        file.seek(0)
        try:
            with zipfile.ZipFile(file) as archive:
                yield NpzArchive(archive, size)
        except _DAMAGED as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"the zip archive is damaged or cut short: {error}") from error


def first_name(head: bytes) -> str:
    """The name of the first member of a zip archive that starts with the bytes of `head`; empty when it is none."""
    if not head.startswith(_ZIP) or len(head) < 30:
        return ""
    return head[30 : 30 + int.from_bytes(head[26:28], "little")].decode("latin1")
