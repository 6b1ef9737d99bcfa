"""Images of many drawings on the disk, written as they are drawn: more than the memory holds.

folder        `<size>.npy` for each size, (drawings, size, size) uint8, ink 255 on 0; opened by
`numpy.load(path, mmap_mode="r")`
.parquet      a row a drawing: `key`, `label` and `image_<size>`, size * size bytes of uint8, packed by zstd
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from sketchkit import SketchSet, atomic, rasterize_pyramid
from sketchkit.errors import OutputError

__all__ = ["write_pyramid"]

_BATCH = 512  # drawings; at 256 px their images take 32 MiB


def write_pyramid(chunks: Iterable[SketchSet], target: Path, sizes: Sequence[int], **settings: Any) -> int:
    """Draw on every size and write the images; all files are written whole, or none is replaced.

    Args:
        chunks: sets of drawings, as `scan` gives them.
        target: a file with the suffix `.parquet`, or a folder, which is made.
        sizes: sides in pixels.
        settings: what `rasterize_pyramid` takes.

    Returns:
        How many drawings there were.

    Raises:
        OutputError: the target cannot be written.
    """
    write = _write_parquet if target.suffix.lower() == ".parquet" else _write_arrays
    return write(chunks, target, list(sizes), settings)


def _batches(chunks: Iterable[SketchSet]) -> Iterable[SketchSet]:
    for chunk in chunks:
        for start in range(0, len(chunk), _BATCH):
            yield chunk[start : start + _BATCH]


def _write_arrays(chunks: Iterable[SketchSet], target: Path, sizes: list[int], settings: Mapping[str, Any]) -> int:
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{target}: the folder cannot be made: {error.strerror}") from error
    count = 0
    with ExitStack() as stack:
        paths = [stack.enter_context(atomic.replacing(target / f"{size}.npy")) for size in sizes]
        files = [stack.enter_context(path.open("wb")) for path in paths]
        for file, size in zip(files, sizes, strict=True):
            file.write(_npy_header(0, size))
        for batch in _batches(chunks):
            images = rasterize_pyramid(batch, sizes, **settings)
            for file, size in zip(files, sizes, strict=True):
                file.write(images[size].data)
            count += len(batch)
        for file, size in zip(files, sizes, strict=True):
            _put_header(file, count, size)
    return count


def _npy_header(count: int, size: int) -> bytes:
    stream = io.BytesIO()
    header = {"descr": "|u1", "fortran_order": False, "shape": (count, size, size)}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue()


def _put_header(file: BinaryIO, count: int, size: int) -> None:
    header = _npy_header(count, size)
    # numpy leaves room for the first axis to grow, so that the header's length is the same for every count.
    assert len(header) == len(_npy_header(0, size))
    file.seek(0)
    file.write(header)


def _write_parquet(chunks: Iterable[SketchSet], target: Path, sizes: list[int], settings: Mapping[str, Any]) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    fields = [pa.field("key", pa.string()), pa.field("label", pa.string())]
    fields += [
        pa.field(f"image_{size}", pa.binary(size * size), metadata={"shape": f"{size},{size}", "dtype": "uint8"})
        for size in sizes
    ]
    schema = pa.schema(fields)
    count = 0
    with (
        atomic.replacing(target) as temporary,
        pq.ParquetWriter(
            temporary, schema, compression="zstd", compression_level=1, use_dictionary=["label"], write_statistics=False
        ) as writer,
    ):
        for batch in _batches(chunks):
            images = rasterize_pyramid(batch, sizes, **settings)
            columns = [pa.array(_texts(batch, name), pa.string()) for name in ("key", "label")]
            columns += [_binary(images[size]) for size in sizes]
            writer.write_batch(pa.record_batch(columns, schema=schema))
            count += len(batch)
    return count


def _texts(batch: SketchSet, name: str) -> list[str | None]:
    if name not in batch.columns:
        return [None] * len(batch)
    return [None if value is None else str(value) for value in batch.columns[name].tolist()]


def _binary(images: NDArray[np.uint8]) -> Any:
    import pyarrow as pa

    count, height, width = images.shape
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(height * width), count, [None, pa.py_buffer(images)])
