"""What a Parquet file says it holds, read before a library is let near it.

pyarrow ends the process on some damaged footers when asked for a column's sizes, and reserves what they claim.

Source: https://parquet.apache.org/docs/file-format/metadata/ and Thrift's compact protocol,
https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md.
"""

from __future__ import annotations

import mmap
from operator import index
from typing import Any

from sketchkit.errors import DataError

__all__ = ["claimed_sizes"]

_MAGIC = b"PAR1"
_TAIL = 8
_DEEPEST = 16
# The fields' numbers in parquet.thrift.
_ROW_GROUPS, _COLUMNS, _ROWS, _META_DATA = 4, 1, 3, 3
_VALUES, _UNPACKED, _PACKED, _DATA_OFFSET, _DICTIONARY_OFFSET = 5, 6, 7, 9, 11
_WIDEST = 8


def claimed_sizes(data: mmap.mmap | bytes) -> list[int]:
    """For each row group of `data`, a whole file, the bytes that it says it takes in memory.

    Raises:
        DataError: the footer is damaged, or says that columns lie outside the file.
    """
    if len(data) < len(_MAGIC) + _TAIL or data[-len(_MAGIC) :] != _MAGIC:
        raise DataError("is cut short, or encrypted: a Parquet file ends with PAR1")
    size = int.from_bytes(data[-_TAIL : -len(_MAGIC)], "little")
    if size > len(data) - _TAIL - len(_MAGIC):
        raise DataError(f"has a footer of {size} bytes, in {len(data)}")
    try:
        groups = _Compact(bytes(data[-_TAIL - size : -_TAIL])).struct(0).get(_ROW_GROUPS, [])
        return [_claimed(group, len(data)) for group in groups]
    except (IndexError, KeyError, TypeError, AttributeError) as error:
        raise DataError("the footer is damaged") from error


def _claimed(group: dict[int, Any], file_size: int) -> int:
    claimed = index(group[_ROWS])
    for column in group[_COLUMNS]:
        known = column[_META_DATA]
        values, unpacked, packed = (index(known[field]) for field in (_VALUES, _UNPACKED, _PACKED))
        starts = [index(known[field]) for field in (_DATA_OFFSET, _DICTIONARY_OFFSET) if field in known]
        if min(claimed, values, unpacked, packed, *starts) < 0 or max(starts, default=0) + packed > 2 * file_size:
            raise DataError("the footer says that a column lies outside the file")
        claimed += max(unpacked, _WIDEST * values)
    return claimed


class _Compact:
    """A reader of Thrift's compact protocol: structs as dictionaries of field numbers."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def struct(self, depth: int) -> dict[int, Any]:
        """The struct that starts here."""
        fields: dict[int, Any] = {}
        number = 0
        while header := self._byte():
            number = number + (header >> 4) if header >> 4 else self._signed()
            kind = header & 15
            fields[number] = kind == 1 if kind in (1, 2) else self._value(kind, depth + 1)
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        if depth > _DEEPEST:
            raise DataError("the footer is damaged: it is nested too deep")
        if kind in (1, 2, 3):
            return self._byte()
        if kind in (4, 5, 6):
            return self._signed()
        if kind in (7, 8):
            return self._bytes(8 if kind == 7 else self._unsigned())
        if kind in (9, 10):
            header = self._byte()
            count = self._unsigned() if header >> 4 == 15 else header >> 4
            return [self._value(header & 15, depth + 1) for _ in range(self._believed(count))]
        if kind == 11:
            count = self._believed(self._unsigned())
            kinds = self._byte() if count else 0
            return [(self._value(kinds >> 4, depth + 1), self._value(kinds & 15, depth + 1)) for _ in range(count)]
        if kind == 12:
            return self.struct(depth)
        raise DataError("the footer is damaged: it holds a value of no known type")

    def _believed(self, count: int) -> int:
        # Each item takes a byte at least.
        if count > len(self._data) - self._at:
            raise DataError("the footer is damaged: it claims more than it holds")
        return count

    def _bytes(self, size: int) -> bytes:
        self._believed(size)
        self._at += size
        return self._data[self._at - size : self._at]

    def _byte(self) -> int:
        value = self._data[self._at]
        self._at += 1
        return value

    def _unsigned(self) -> int:
        value, shift = 0, 0
        while shift < 70:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
        raise DataError("the footer is damaged: a number does not end")

    def _signed(self) -> int:
        value = self._unsigned()
        return (value >> 1) ^ -(value & 1)
