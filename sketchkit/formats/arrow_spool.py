"""Writing an Arrow file of one record batch from sets that come one after the other.

A record batch starts with the lengths of all that is in it: points and offsets are gathered in temporary files, beside
the one that is written, and mapped from there.
"""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from sketchkit.errors import DataError
from sketchkit.formats.arrow_columns import to_numpy
from sketchkit.formats.arrow_table import array_of, conformed, drawing_field, nested, to_batch, with_dictionary
from sketchkit.formats.local_file import give_back
from sketchkit.sketch_set import SketchSet

__all__ = ["new_file", "spool"]

_COLUMN_BYTES = 1 << 27
_PIECE = 1 << 22
_DTYPE = b"sketchkit.dtype"


@contextmanager
def new_file(
    stream: BinaryIO, schema: pa.Schema, maps: Iterable[mmap.mmap] = ()
) -> Iterator[pa.ipc.RecordBatchFileWriter]:
    """A writer of an Arrow file into a stream.

    Args:
        stream: open to be written; stays open.
        schema: of every batch that will be written; a dictionary may grow from batch to batch.
        maps: files that the batches are views of, mapped into memory: after each piece written, their pages are given
            back.
    """
    options = pa.ipc.IpcWriteOptions(emit_dictionary_deltas=True)
    with pa.PythonFile(_Pieces(stream, maps), "wb") as sink, pa.ipc.new_file(sink, schema, options=options) as writer:
        yield writer


def spool(sets: Iterable[SketchSet], stream: BinaryIO) -> None:
    """Write `sets` as one record batch; as several, when their columns do not fit into memory.

    Temporary files lie beside the file that `stream` writes; where it has no name, in the system's folder for them.
    """
    folder = Path(stream.name).parent if isinstance(getattr(stream, "name", None), str) else None
    maps: list[mmap.mmap] = []
    with ExitStack() as stack:
        writer: pa.ipc.RecordBatchFileWriter | None = None
        schema: pa.Schema | None = None
        words: dict[str, pa.Array] = {}
        for batch in _gathered(sets, folder, maps):
            if schema is None or writer is None:
                schema = batch.schema
                writer = stack.enter_context(new_file(stream, schema, maps))
            batch = _with_words(conformed(batch, schema), words)
            writer.write_batch(batch)


def _gathered(sets: Iterable[SketchSet], folder: Path | None, maps: list[mmap.mmap]) -> Iterator[pa.RecordBatch]:
    waiting = iter(sets)
    done = False
    first = True
    while not done:
        with ExitStack() as stack:
            gathering = _Gathering(stack, folder)
            done = True
            for drawings in waiting:
                gathering.add(drawings.validate())
                if gathering.column_bytes > _COLUMN_BYTES:
                    done = False
                    break
            if gathering.sketches or first:
                first = False
                yield gathering.batch(maps)
                maps.clear()


class _Gathering:
    """The drawings of a record batch to come."""

    def __init__(self, stack: ExitStack, folder: Path | None) -> None:
        self._stack, self._folder = stack, folder
        self._points = self._new_file()
        self._stroke_offsets, self._sketch_offsets = self._new_file(), self._new_file()
        self._stroke_offsets.write(np.zeros(1, np.int64).data)
        self._sketch_offsets.write(np.zeros(1, np.int64).data)
        self._values: dict[str, tuple[BinaryIO, np.dtype[Any]]] = {}
        self._columns: list[pa.RecordBatch] = []
        self._point_count, self._stroke_count = 0, 0
        self.sketches, self.column_bytes = 0, 0

    def add(self, drawings: SketchSet) -> None:
        """Put a set behind those that are there."""
        self._add_point_columns(drawings)
        self._points.write(np.ascontiguousarray(drawings.points).data)
        self._stroke_offsets.write((drawings.stroke_offsets[1:] + self._point_count).data)
        self._sketch_offsets.write((drawings.sketch_offsets[1:] + self._stroke_count).data)
        # The columns alone, as a set of drawings without strokes: as `SketchSet.concat` and `to_batch` take them.
        if len(drawings):
            self._columns.append(to_batch(_only_columns(drawings, drawings.columns), large=True, dictionaries=False))
            self.column_bytes += self._columns[-1].nbytes
        self._point_count += len(drawings.points)
        self._stroke_count += len(drawings.stroke_offsets) - 1
        self.sketches += len(drawings)

    def batch(self, maps: list[mmap.mmap]) -> pa.RecordBatch:
        """All of them as one record batch over the temporary files; the maps are added to a list."""
        shape = (
            self._mapped(self._stroke_offsets, np.dtype(np.int64), maps),
            self._mapped(self._sketch_offsets, np.dtype(np.int64), maps),
        )
        points = array_of(self._mapped(self._points, np.dtype(np.float32), maps))
        drawings = nested(pa.FixedSizeListArray.from_arrays(points, 2), *shape, large=True)
        arrays, fields = [drawings], [drawing_field(drawings.type)]
        for name, (file, dtype) in self._values.items():
            arrays.append(nested(array_of(self._mapped(file, dtype, maps)), *shape, large=True))
            metadata = {b"sketchkit.role": b"point", _DTYPE: dtype.str.encode()}
            fields.append(pa.field(name, arrays[-1].type, metadata=metadata))
        for field, array in self._joined_columns():
            if field.name in self._values:
                raise DataError(f"columns need names of their own; {field.name} is there twice")
            arrays.append(array)
            fields.append(field)
        return pa.record_batch(arrays, schema=pa.schema(fields))

    def _new_file(self) -> BinaryIO:
        return self._stack.enter_context(tempfile.TemporaryFile(dir=self._folder))

    def _add_point_columns(self, drawings: SketchSet) -> None:
        if not len(drawings.points):
            return
        if self._point_count and set(drawings.point_columns) != set(self._values):
            names = sorted({*drawings.point_columns, *self._values})
            raise DataError(f"some drawings lack a point column that others carry ({', '.join(names)})")
        for name, values in drawings.point_columns.items():
            dtype = values.dtype.newbyteorder("=")
            if dtype.kind not in "iuf":
                raise DataError(
                    f"the point column {name!r} is {values.dtype}; written piece by piece it must be numbers"
                )
            file, known = self._values.setdefault(name, (self._new_file(), dtype))
            if known != dtype:
                raise DataError(f"the point column {name!r} is {dtype} here and {known} in the first drawings")
            file.write(np.ascontiguousarray(values, dtype).data)

    def _joined_columns(self) -> list[tuple[pa.Field, pa.Array]]:
        if self.sketches and all(
            batch.schema.equals(self._columns[0].schema, check_metadata=True) for batch in self._columns
        ):
            # As Arrow has them: a million texts as Python's would take ten times the memory.
            table = pa.Table.from_batches(self._columns)
            arrays = [with_dictionary(pa.concat_arrays(column.chunks)) for column in table.columns[1:]]
            return [
                (field.with_type(array.type), array)
                for field, array in zip(list(table.schema)[1:], arrays, strict=True)
            ]
        batch = to_batch(self._unlike_columns(), large=True, dictionaries=True)
        return list(zip(list(batch.schema)[1:], batch.columns[1:], strict=True))

    def _unlike_columns(self) -> SketchSet:
        """Columns that not all sets have, or of other types, as `SketchSet.concat` joins them."""
        names = dict.fromkeys(name for batch in self._columns for name in batch.schema.names[1:])
        parts = []
        for batch in self._columns:
            columns = {
                field.name: to_numpy(batch.column(field.name), field.metadata[_DTYPE].decode())
                for field in list(batch.schema)[1:]
            }
            parts.append(_bare(len(batch), columns))
        return SketchSet.concat(parts) if names else _bare(self.sketches, {})

    @staticmethod
    def _mapped(file: BinaryIO, dtype: np.dtype[Any], maps: list[mmap.mmap]) -> NDArray[Any]:
        file.flush()
        size = file.seek(0, 2)
        if not size:
            return np.zeros(0, dtype)
        maps.append(mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ))
        return np.frombuffer(maps[-1], dtype)


def _only_columns(drawings: SketchSet, columns: Any) -> SketchSet:
    return _bare(len(drawings), columns)


def _bare(count: int, columns: Any) -> SketchSet:
    return SketchSet(np.zeros((0, 2), np.float32), np.zeros(1, np.int64), np.zeros(count + 1, np.int64), columns)


def _with_words(batch: pa.RecordBatch, words: dict[str, pa.Array]) -> pa.RecordBatch:
    """The batch with the dictionaries of the batches before it, and what is new behind them."""
    arrays = []
    for field, array in zip(batch.schema, batch.columns, strict=True):
        if pa.types.is_dictionary(field.type):
            array = _extended(array, words[field.name]) if field.name in words else array
            words[field.name] = array.dictionary
        arrays.append(array)
    return pa.record_batch(arrays, schema=batch.schema)


def _extended(array: pa.DictionaryArray, known: pa.Array) -> pa.DictionaryArray:
    fresh = array.dictionary.filter(pc.invert(pc.is_in(array.dictionary, value_set=known)))
    every = pa.concat_arrays([known, fresh])
    codes = pc.index_in(array.dictionary, value_set=every)
    return pa.DictionaryArray.from_arrays(codes.take(array.indices), every)


class _Pieces:
    """A stream that is written in pieces, and mapped pages given back after each: they count as memory until then."""

    closed = False

    def __init__(self, stream: BinaryIO, maps: Iterable[mmap.mmap]) -> None:
        self._stream, self._maps = stream, maps

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        for start in range(0, len(view), _PIECE):
            self._stream.write(view[start : start + _PIECE])
            if len(view) > _PIECE:
                for mapping in self._maps:
                    give_back(mapping)
        return len(view)

    def flush(self) -> None:
        self._stream.flush()

    def close(self) -> None:
        """Whoever opened the stream closes it."""
