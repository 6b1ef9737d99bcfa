"""Arrow IPC, `.arrow`: opened memory-mapped, so that a file of any size is there at once.

Source: https://arrow.apache.org/docs/format/Columnar.html#ipc-file-format; the columns: see `arrow_table`.

What `write` makes is one record batch with offsets of 64 bits, not packed. `read` gives views of the mapped file:
points, offsets and point columns are never copied, other columns are made on first use. Files of several batches, with
offsets of 32 bits, other numbers, or packed (LZ4, zstd) are read too, but copied. So is the stream format (`.arrows`).
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from sketchkit.errors import DataError
from sketchkit.formats.local_file import give_back, mapped
from sketchkit.formats.registry import Format
from sketchkit.formats.source import Problems, Source
from sketchkit.sketch_set import SketchSet

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["FORMAT"]

_MAGIC, _STREAM = b"ARROW1", b"\xff\xff\xff\xff"
_PREFIX, _TAIL = 8, 10
# The fields' numbers in File.fbs.
_DICTIONARIES, _RECORD_BATCHES = 2, 3
# Packed buffers say how long they are unpacked, and that much is reserved: LZ4 packs 255 to 1, zstd without bound.
_MOST_UNPACKED, _SPARE = 1000, 1 << 26
_ORDERED_AT_ONCE = 1 << 20
# Mapped pages that were read count as this process's memory until they are given back.
_MAPPED_AT_ONCE = 1 << 26


def sniff(head: bytes, path: Path) -> bool:
    """Whether this is an Arrow file, or starts as an Arrow stream."""
    if head.startswith(_MAGIC):
        return True
    return head.startswith(_STREAM) and len(head) >= 16 and 0 < int.from_bytes(head[4:8], "little", signed=True) < 2**28


def read(source: Source, problems: Problems) -> SketchSet:
    """The whole file as one set, mapped; joined, hence copied, when it has several record batches."""
    from sketchkit.formats.arrow_table import from_batch

    sets, record = [], 0
    with _our_errors():
        for batch in _batches(mapped(source)):
            where = f"{source.path}: "
            sets.append(from_batch(batch, problems, record=record, where=where, checked=False))
            record += len(batch)
    return SketchSet.concat(sets)


def scan(source: Source, *, chunk: int, problems: Problems) -> Iterator[SketchSet]:
    """Slices of the record batches, in bounded memory however large a batch is, unless it is packed."""
    from sketchkit.formats.arrow_table import from_batch, rechunked

    data = mapped(source)

    def sets() -> Iterator[SketchSet]:
        record = 0
        for batch in _batches(data):
            drawings = from_batch(batch, problems, record=record, where=f"{source.path}: ", checked=False)
            _require_ordered(drawings, data)
            yield drawings
            record += len(batch)

    with _our_errors():
        seen = 0
        for drawings in rechunked(sets(), chunk):
            yield drawings
            seen += drawings.points.nbytes * (1 + len(drawings.point_columns)) + drawings.stroke_offsets.nbytes
            if seen > _MAPPED_AT_ONCE:
                give_back(data)
                seen = 0


def write(sketches: SketchSet, stream: BinaryIO) -> None:
    """Write one record batch, not packed.

    Raises:
        DataError: Arrow has no type for a column, or two columns share a name.
    """
    from sketchkit.formats.arrow_spool import new_file
    from sketchkit.formats.arrow_table import to_batch

    batch = to_batch(sketches, large=True, dictionaries=True)
    with new_file(stream, batch.schema) as writer:
        writer.write_batch(batch)


def write_chunks(sets: Iterable[SketchSet], stream: BinaryIO) -> None:
    """Write sets one after the other into one record batch, by way of temporary files.

    Points and offsets wait on the disk, columns in memory; past 128 MiB of columns (some millions of drawings) a
    further record batch is begun.

    Raises:
        DataError: as `write`; or later drawings have other columns than the first ones.
    """
    from sketchkit.formats.arrow_spool import spool

    spool(sets, stream)


FORMAT = Format(
    "arrow",
    (".arrow", ".feather", ".ipc"),
    sniff,
    scan,
    write,
    write_chunks=write_chunks,
    read=read,
    point_columns=None,
)


@contextmanager
def _our_errors() -> Iterator[None]:
    """What pyarrow raises on damaged files, as DataError."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError, struct.error, KeyError, UnicodeError, OverflowError, MemoryError) as error:
        raise DataError(f"the Arrow data are damaged, or of a kind that is not read: {error}") from error


def _batches(data: mmap.mmap) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    buffer = pa.py_buffer(data)
    is_file = data[: len(_MAGIC)] == _MAGIC
    for claimed, size in _footer_claims(data) if is_file else _stream_claims(buffer):
        if claimed > _MOST_UNPACKED * size + _SPARE:
            raise DataError(f"a record batch of {size} bytes claims {claimed} unpacked; it is not unpacked")
    with (pa.ipc.open_file if is_file else pa.ipc.open_stream)(pa.BufferReader(buffer)) as reader:
        batches = map(reader.get_batch, range(reader.num_record_batches)) if is_file else iter(reader)
        empty = True
        for batch in batches:
            yield batch
            empty = False
        if empty:
            yield pa.RecordBatch.from_pylist([], schema=reader.schema)


def _footer_claims(data: mmap.mmap) -> Iterator[tuple[int, int]]:
    """For each batch of a file, what it claims unpacked, and its bytes; all lie before the footer that names them."""
    if len(data) < _PREFIX + _TAIL or data[-len(_MAGIC) :] != _MAGIC:
        raise DataError("is cut short: an Arrow file ends with ARROW1")
    size = int.from_bytes(data[-_TAIL : -len(_MAGIC)], "little", signed=True)
    if not 0 < size <= len(data) - _PREFIX - _TAIL:
        raise DataError(f"has a footer of {size} bytes, in {len(data)}")
    end = len(data) - _TAIL - size
    whole = memoryview(data)
    footer = whole[end : end + size]
    (root,) = struct.unpack_from("<I", footer, 0)
    for field in (_DICTIONARIES, _RECORD_BATCHES):
        blocks = _field(footer, root, field)
        vector = None if blocks is None else _followed(footer, blocks)
        for index in range(0 if vector is None else struct.unpack_from("<I", footer, vector)[0]):
            start, length, body = struct.unpack_from("<qi4xq", footer, (vector or 0) + 4 + 24 * index)
            if start < _PREFIX or length < 8 or body < 0 or start + length + body > end:
                raise DataError(f"the footer names a batch of {length} and {body} bytes at {start}, in {end}")
            # Files before Arrow 0.15 have the length alone, without the mark.
            prefix = 8 if whole[start : start + 4] == _STREAM else 4
            message, content = whole[start + prefix : start + length], whole[start + length : start + length + body]
            yield _unpacked_size(message, content, field == _DICTIONARIES), body


def _stream_claims(buffer: pa.Buffer) -> Iterator[tuple[int, int]]:
    """For each batch of a stream, what it claims unpacked, and its bytes."""
    import pyarrow as pa

    for message in pa.ipc.MessageReader.open_stream(pa.BufferReader(buffer)):
        if message.type in ("record batch", "dictionary"):
            body = memoryview(message.body)
            yield _unpacked_size(memoryview(message.metadata), body, message.type == "dictionary"), len(body)


def _unpacked_size(metadata: memoryview, body: memoryview, is_dictionary: bool) -> int:
    """The sum of what the packed buffers of a batch claim; 0 when it is not packed.

    Source: Message.fbs of Arrow; a flatbuffer's fields are found through its table of offsets.
    """
    (root,) = struct.unpack_from("<I", metadata, 0)
    header = _field(metadata, root, 2)
    if header is None:
        return 0
    batch = _followed(metadata, header)
    if is_dictionary:
        inner = _field(metadata, batch, 1)
        if inner is None:
            return 0
        batch = _followed(metadata, inner)
    buffers = _field(metadata, batch, 2)
    if buffers is None or _field(metadata, batch, 3) is None:
        return 0
    vector = _followed(metadata, buffers)
    (count,) = struct.unpack_from("<I", metadata, vector)
    claimed = 0
    for index in range(count):
        offset, length = struct.unpack_from("<qq", metadata, vector + 4 + 16 * index)
        if length > 0:
            if length < 8 or not 0 <= offset <= len(body) - length:
                raise DataError(f"a buffer of {length} bytes at {offset} lies outside its batch of {len(body)}")
            claimed += max(struct.unpack_from("<q", body, offset)[0], 0)
    return claimed


def _field(data: memoryview, table: int, index: int) -> int | None:
    (back,) = struct.unpack_from("<i", data, table)
    slots = table - back
    if slots < 0:
        raise DataError("a message's table lies outside it")
    (size,) = struct.unpack_from("<H", data, slots)
    if 4 + 2 * index >= size:
        return None
    (offset,) = struct.unpack_from("<H", data, slots + 4 + 2 * index)
    return table + offset if offset else None


def _followed(data: memoryview, at: int) -> int:
    return at + int(struct.unpack_from("<I", data, at)[0])


def _require_ordered(drawings: SketchSet, data: mmap.mmap) -> None:
    # Before slices are taken; block by block, since the differences of all would be as large as the offsets.
    for name, offsets in (("stroke", drawings.stroke_offsets), ("sketch", drawings.sketch_offsets)):
        for start in range(0, len(offsets), _ORDERED_AT_ONCE):
            block = offsets[start : start + _ORDERED_AT_ONCE + 1]
            if np.any(block[1:] < block[:-1]):
                raise DataError(f"{name}_offsets decrease after {start}")
            if len(offsets) > _ORDERED_AT_ONCE:
                give_back(data)
