"""SVG files on disk: one, or all beneath a folder, read ahead by threads and given in order.

What `folders.list_folder` passes over is not read: links out of the folder, pipes and the like.
"""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import groupby, islice
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np

from sketchkit.errors import DataError
from sketchkit.folders import names_beneath
from sketchkit.formats.packing import DAMAGED_GZIP, is_packed
from sketchkit.formats.source import Problems, Source
from sketchkit.formats.svg_documents import TOLERANCE, Drawn, general_sketch, plain_documents
from sketchkit.lookahead import thread_count
from sketchkit.ragged import offsets_of
from sketchkit.sketch_set import SketchSet

__all__ = ["SUFFIXES", "document_of", "has_files", "scan"]

SUFFIXES = (".svg", ".svgz")
_SUFFIX = re.compile(r"\.(svg|svgz|svg\.gz|svg\.zst)$", re.IGNORECASE)
_MOST_FILES, _MOST_BYTES = 512, 2**23
_MOST_UNPACKED = 2**28
_BLOCK = 2**16


def scan(source: Source, *, chunk: int, problems: Problems) -> Iterator[SketchSet]:
    """Read the file that `source` is, or every SVG file beneath the folder, in the order of their paths.

    Each set has `chunk` drawings, the last one maybe fewer. What cannot be read goes to `problems`.
    """
    waiting: list[SketchSet] = []
    for part in _parts(source, min(max(chunk, 32), _MOST_FILES), problems):
        waiting.append(part)
        while sum(map(len, waiting)) >= chunk:
            joined = SketchSet.concat(waiting)
            yield joined[:chunk]
            waiting = [joined[chunk:]] if len(joined) > chunk else []
    if waiting:
        yield SketchSet.concat(waiting)


def document_of(path: Path | str) -> bytes:
    """The bytes of the file at `path`, unpacked when it is packed.

    Raises:
        DataError: the packed data are damaged, or hold more than 256 MiB.
        OSError: it cannot be read.
    """
    document = _bytes_of(path)
    if not is_packed(document[:4]):
        return document
    try:
        with Source(Path(path)).open() as stream:
            document = stream.read(_MOST_UNPACKED + 1)
    except DAMAGED_GZIP as error:
        raise DataError(f"the gzip data are damaged or cut short: {error}") from error
    if len(document) > _MOST_UNPACKED:
        raise DataError(f"unpacks to more than {_MOST_UNPACKED >> 20} MiB")
    return document


def _bytes_of(path: Path | str) -> bytes:
    # Half the time of Path.read_bytes, which for a small file is as long as parsing it.
    file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        parts = [os.read(file, _BLOCK)]
        while len(parts[-1]) == _BLOCK:
            parts.append(os.read(file, _BLOCK))
    finally:
        os.close(file)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def has_files(folder: Path) -> bool:
    """Whether there is any SVG file beneath `folder`, at any depth; stops at the first."""
    return any(unfit is None and _SUFFIX.search(name) for name, unfit in names_beneath(folder))


class _File(NamedTuple):
    """A file to read: what names the drawing, where the file is, and what an error calls it."""

    key: str
    path: str
    where: str = ""
    label: str | None = None


# What is wrong with a file, and which it is.
_Bad: TypeAlias = tuple[DataError, str]


def _parts(source: Source, most: int, problems: Problems) -> Iterator[SketchSet]:
    path = source.path
    files = _files_of(path, source.names) if path.is_dir() else [_File(_key(path.name), str(path))]
    for outcomes in _in_order([files[start : start + most] for start in range(0, len(files), most)]):
        for outcome in outcomes:
            if isinstance(outcome, SketchSet):
                yield outcome
            else:
                problems.add(*outcome)


def _files_of(folder: Path, names: Iterable[str]) -> list[_File]:
    """The SVG files beneath a folder, sorted by key; of one that lies there packed too, the plain one."""
    plain, packed = [], []
    for name in names:
        if name.endswith(".svg"):
            plain.append(name)
        elif _SUFFIX.search(name):
            packed.append(name)
    name_of = {_key(name): name for name in [*packed, *plain]}
    files = []
    for key in sorted(name_of):
        name = name_of[key]
        *_, label, _ = (None, *name.rsplit("/", 2)) if "/" in name else (None, name)
        files.append(_File(key, f"{folder}/{name}", name, label))
    return files


def _key(name: str) -> str:
    # Nearly all names end in this, and the regular expression takes five times as long.
    return name[:-4] if name.endswith(".svg") else _SUFFIX.sub("", name)


def _in_order(batches: Sequence[Sequence[_File]]) -> Iterator[list[SketchSet | _Bad]]:
    """What is in each batch of files, read a little ahead."""
    if len(batches) < 2:
        yield from map(_read_batch, batches)
        return
    threads = thread_count(None)
    pool, remaining = ThreadPoolExecutor(threads), iter(batches)
    try:
        waiting = deque(pool.submit(_read_batch, batch) for batch in islice(remaining, threads + 1))
        while waiting:
            outcomes = waiting.popleft().result()
            waiting.extend(pool.submit(_read_batch, batch) for batch in islice(remaining, 1))
            yield outcomes
    finally:
        pool.shutdown(cancel_futures=True)


def _read_batch(files: Sequence[_File]) -> list[SketchSet | _Bad]:
    """The drawings of some files, and what is wrong with others, in order."""
    outcomes: list[SketchSet | _Bad] = []
    read: list[_File] = []
    documents: list[bytes] = []
    size = 0
    for file in files:
        try:
            document = _document(file)
        except DataError as error:
            outcomes += [*_drawings(read, documents), (error, file.where)]
            read, documents, size = [], [], 0
            continue
        read.append(file)
        documents.append(document)
        size += len(document)
        if size > _MOST_BYTES:
            outcomes += _drawings(read, documents)
            read, documents, size = [], [], 0
    return outcomes + _drawings(read, documents)


def _document(file: _File) -> bytes:
    try:
        return document_of(file.path)
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}") from error


def _drawings(files: Sequence[_File], documents: Sequence[bytes]) -> list[SketchSet | _Bad]:
    """The drawings in order: blocks of those that the compiled reader knows, the others by the general parser."""
    if not files:
        return []
    drawn = plain_documents(documents, TOLERANCE)
    outcomes: list[SketchSet | _Bad] = []
    first = 0
    for known, run in groupby((drawn.counts > 0).tolist()):
        last = first + len(list(run))
        if known:
            outcomes.append(_block(drawn, files, first, last))
        else:
            outcomes += map(_general, files[first:last], documents[first:last])
        first = last
    return outcomes


def _block(drawn: Drawn, files: Sequence[_File], first: int, last: int) -> SketchSet:
    strokes = drawn.counts[:first].sum() + offsets_of(drawn.counts[first:last])
    ends = drawn.stroke_offsets[strokes[0] : strokes[-1] + 1]
    chosen = range(first, last)
    columns: dict[str, Sequence[str | None]] = {
        "label": [drawn.labels[index] or files[index].label for index in chosen],
        "key": [drawn.keys[index] or files[index].key for index in chosen],
        "viewBox": drawn.view_boxes[first:last],
    }
    return SketchSet(
        drawn.points[ends[0] : ends[-1]],
        ends - ends[0],
        strokes - strokes[0],
        {
            name: np.array(values, dtype=object)
            for name, values in columns.items()
            if any(value is not None for value in values)
        },
    )


def _general(file: _File, document: bytes) -> SketchSet | _Bad:
    try:
        sketch = general_sketch(document, TOLERANCE)
    except DataError as error:
        return error, file.where
    return SketchSet.from_sketches([replace(sketch, label=sketch.label or file.label, key=sketch.key or file.key)])
