"""Parquet, `.parquet`: for exchange; any tool that reads Parquet reads the drawings as nested lists.

Source: https://parquet.apache.org/docs/file-format/; the columns: see `arrow_table`. Offsets are of 32 bits and text is
plain, which every reader takes, `datasets.load_dataset("parquet")` among them. Packed by zstd, pages with checksums.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from sketchkit.errors import DataError
from sketchkit.formats.local_file import give_back, mapped
from sketchkit.formats.parquet_footer import claimed_sizes
from sketchkit.formats.registry import Format
from sketchkit.formats.source import Problems, Source
from sketchkit.sketch_set import SketchSet

if TYPE_CHECKING:
    import pyarrow.parquet as pq

__all__ = ["FORMAT"]

_MAGIC = b"PAR1"
_GROUP = 1 << 16
# What a row group may take in memory, for each byte of the file, and at any rate.
_MOST_UNPACKED, _SPARE = 1000, 1 << 26
_FOOTER_LIMIT = 1 << 26


def sniff(head: bytes, path: Path) -> bool:
    """Whether this is a Parquet file."""
    return head.startswith(_MAGIC)


def read(source: Source, problems: Problems) -> SketchSet:
    """All drawings; also of a file of none, whose columns keep their types."""
    return SketchSet.concat(_sets(source, _GROUP, problems))


def scan(source: Source, *, chunk: int, problems: Problems) -> Iterator[SketchSet]:
    """Row groups one after the other, page by page."""
    from sketchkit.formats.arrow_table import rechunked

    yield from rechunked(_sets(source, min(chunk, _GROUP), problems), chunk)


def write(sketches: SketchSet, stream: BinaryIO) -> None:
    """Write row groups of 65,536 drawings.

    Raises:
        DataError: Arrow has no type for a column, two columns share a name, or a row group has over 2^31 points.
    """
    write_chunks([sketches], stream)


def write_chunks(sets: Iterable[SketchSet], stream: BinaryIO) -> None:
    """Write sets one after the other; the first 65,536 drawings decide the columns and their types.

    Raises:
        DataError: as `write`; or later drawings have other columns.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from sketchkit.formats.arrow_table import conformed, to_batch

    writer: pq.ParquetWriter | None = None
    for drawings in _groups(sets):
        batch = to_batch(drawings, large=False, dictionaries=False)
        if writer is None:
            writer = pq.ParquetWriter(stream, batch.schema, compression="zstd", write_page_checksum=True)
        writer.write_table(pa.Table.from_batches([conformed(batch, writer.schema)]), row_group_size=_GROUP)
    if writer is not None:
        writer.close()


FORMAT = Format(
    "parquet",
    (".parquet", ".pq"),
    sniff,
    scan,
    write,
    write_chunks=write_chunks,
    read=read,
    point_columns=None,
)


def _groups(sets: Iterable[SketchSet]) -> Iterator[SketchSet]:
    """Sets of 65,536 drawings; one of none where there are none, for its columns."""
    from sketchkit.formats.arrow_table import rechunked

    waiting = iter(sets)
    first = next(waiting, SketchSet.from_sketches([]))
    written = False
    for drawings in rechunked((part.validate() for part in chain([first], waiting)), _GROUP):
        yield drawings
        written = True
    if not written:
        yield first


def _sets(source: Source, size: int, problems: Problems) -> Iterator[SketchSet]:
    import pyarrow as pa

    from sketchkit.formats.arrow_table import from_batch

    try:
        data = mapped(source)
        _require_bounded(data)
        with _parquet_file(data) as parquet:
            record = 0
            for group in range(parquet.num_row_groups):
                for batch in parquet.iter_batches(size, row_groups=[group], use_threads=False):
                    yield from_batch(batch, problems, record=record, where=f"{source.path}: ")
                    record += len(batch)
                give_back(data)
            if record == 0:
                empty = pa.RecordBatch.from_pylist([], schema=parquet.schema_arrow)
                yield from_batch(empty, problems, where=f"{source.path}: ")
    except (pa.ArrowException, KeyError, UnicodeError, OverflowError, MemoryError, OSError) as error:
        raise DataError(f"the Parquet data are damaged, or of a kind that is not read: {error}") from error


def _parquet_file(data: mmap.mmap) -> pq.ParquetFile:
    import pyarrow as pa
    import pyarrow.parquet as pq

    return pq.ParquetFile(
        pa.BufferReader(pa.py_buffer(data)),
        page_checksum_verification=True,
        thrift_string_size_limit=_FOOTER_LIMIT,
        thrift_container_size_limit=_FOOTER_LIMIT >> 4,
    )


def _require_bounded(data: mmap.mmap) -> None:
    """No row group may claim more than the file explains."""
    for index, claimed in enumerate(claimed_sizes(data)):
        if claimed > _MOST_UNPACKED * len(data) + _SPARE:
            raise DataError(f"row group {index} claims {claimed} bytes, in a file of {len(data)}; it is not unpacked")
