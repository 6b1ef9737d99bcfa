"""sketch-rnn's `.npz`: pen steps, one array of drawings a split.

Source: https://github.com/hardmaru/sketch-rnn-datasets, and sketch-rnn's `utils.py`. Members train, valid and test,
each an array of objects, which are arrays (points, 3): dx, dy, pen; pen 1 lifts AFTER that point. The first row is the
step from the origin; the last point of a drawing ends its stroke whatever its pen. int16 there; other numbers are read.

Read as well, since others write them: stroke-5 (points, 5) up to the first p3 = 1; a member that is one array
(drawings, points, 3 or 5), as numpy makes of drawings of one length; a member that is one drawing.

A member's name is the column `split`; the drawings come in the order train, valid, test, then others. Nothing is
unpickled: arrays are found in the bytes by a kernel, and by `plain_pickle` where these are not as numpy writes them.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from sketchkit.blocks import require_finite
from sketchkit.errors import DataError
from sketchkit.formats.npz_archive import Member, first_name, open_npz
from sketchkit.formats.plain_pickle import list_start, load_plain
from sketchkit.formats.registry import Format
from sketchkit.formats.source import Problems, Source
from sketchkit.ragged import offsets_of
from sketchkit.sketch_set import SketchSet

__all__ = ["FORMAT"]

_SPLITS = ("train", "valid", "test")
_SPLIT = re.compile(r"[A-Za-z0-9_-]{1,64}")


def sniff(head: bytes, path: Path) -> bool:
    """Whether this is a zip archive whose first member is an `.npy` that is not named as numpy names unnamed ones."""
    return re.fullmatch(r"(?!arr_[0-9]+\.)[^/]+\.npy", first_name(head)) is not None


def scan(source: Source, *, chunk: int, problems: Problems) -> Iterator[SketchSet]:
    """Split by split: each is unpacked as a whole."""
    waiting = SketchSet.from_sketches([])
    for drawings in _splits(source, problems):
        waiting = SketchSet.concat([waiting, drawings]) if len(waiting) else drawings
        whole = len(waiting) - len(waiting) % chunk
        for first in range(0, whole, chunk):
            yield waiting[first : first + chunk]
        waiting = waiting[whole:]
    if len(waiting):
        yield waiting


def read(source: Source, problems: Problems) -> SketchSet:
    """All splits, joined once."""
    return SketchSet.concat(_splits(source, problems))


def write(sketches: SketchSet, stream: BinaryIO) -> None:
    """Write upstream's members, all three, and others that the column `split` names; without it, all is `train`.

    Whole steps are int16, or int32 where they must be: exact. Others are float64: coordinates come back as the same
    float32, but for those below 2^-28 of the drawing's greatest, which may be off by 2^-53 of that for each point
    before them. Empty strokes have no place here and vanish.

    Raises:
        DataError: a coordinate is not finite, or a split is no plain name.
    """
    require_finite(sketches)
    splits = _split_names(sketches)
    steps = np.diff(sketches.points.astype(np.float64), axis=0, prepend=0.0)
    starts = sketches.stroke_offsets[sketches.sketch_offsets]
    filled = starts[:-1][np.diff(starts) > 0]
    steps[filled] = sketches.points[filled]
    rows = np.zeros((len(steps), 3), _smallest_type(steps))
    rows[:, :2] = steps
    rows[sketches.stroke_offsets[1:][np.diff(sketches.stroke_offsets) > 0] - 1, 2] = 1
    # A zip archive differs with what can be sought in: a packed file must unpack to the same bytes.
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for split in dict.fromkeys([*_SPLITS, *splits]):
            chosen = [index for index, name in enumerate(splits) if name == split]
            # Without the time: the same drawings give the same bytes.
            info = zipfile.ZipInfo(f"{split}.npy")
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, _npy([rows[starts[index] : starts[index + 1]] for index in chosen]))
    stream.write(packed.getbuffer())


FORMAT = Format("sketch-rnn", (".npz",), sniff, scan, write, read=read, columns=frozenset({"split"}))


def _splits(source: Source, problems: Problems) -> Iterator[SketchSet]:
    with open_npz(source) as archive:
        named = [name for name in _SPLITS if name in archive.names]
        for name in dict.fromkeys([*named, *archive.names]):
            drawings = _drawings(archive.read(name), name, problems)
            split = np.empty(len(drawings), dtype=object)
            split[:] = name
            yield drawings.with_columns(split=split)


def _drawings(member: Member, split: str, problems: Problems) -> SketchSet:
    if member.descr != "|O":
        found = member.numbers()
        if found.ndim == 1 and not found.size:
            return SketchSet.from_sketches([])
        if found.ndim == 3 and not found.size and len(found):
            raise DataError(f"{member.name}.npy claims {len(found)} drawings, and has no bytes")
        items: Sequence[Any] = list(found) if found.ndim == 3 else [found]
    else:
        quick = _found_rows(member)
        if quick is not None:
            return _assembled(*quick, split, problems)
        items = _items(member)
    kept, numbers = [], []
    for index, item in enumerate(items):
        rows = _attempted(item, index, split, problems)
        if rows is not None:
            kept.append(rows)
            numbers.append(index)
    every = np.concatenate([np.zeros((0, 3)), *kept])
    return _assembled(every, np.array([len(item) for item in kept], np.int64), split, problems, numbers)


def _found_rows(member: Member) -> tuple[NDArray[Any], NDArray[np.int64]] | None:
    """The rows of all drawings, and how many each has; None where the pickle is not as numpy writes it."""
    # Loads numba, which only reading needs.
    from sketchkit.kernels.pickled_rows import find_arrays, gather

    start = list_start(bytes(member.data)) if len(member.shape) == 1 else None
    if start is None or (start.length,) != member.shape or start.length > len(member.data):
        return None
    first = start.first
    if first.ndim != 2 or first.shape[1] != 3 or not first.flags.c_contiguous:
        return None
    data = np.frombuffer(member.data, np.uint8)
    starts, counts = np.zeros(start.length, np.int64), np.zeros(start.length, np.int64)
    end = find_arrays(data, start.byte, np.array(start.memo, np.int64), first.itemsize, 1, starts, counts)
    # TUPLE, BUILD and STOP, with what may keep the first two in the memo.
    if end < 0 or not re.fullmatch(rb"t(q.|r.{4}|\x94)?b(q.|r.{4}|\x94)?\.", member.data[end : end + 16], re.DOTALL):
        return None
    counts[0] = len(first)
    lengths = counts * (3 * first.itemsize)
    rows = np.empty(int(lengths.sum()), np.uint8)
    rows[: lengths[0]] = np.frombuffer(first.tobytes(), np.uint8)
    gather(data, starts[1:], lengths[1:], rows[lengths[0] :])
    return rows.view(first.dtype).reshape(-1, 3), counts


def _items(member: Member) -> Sequence[Any]:
    try:
        found = load_plain(bytes(member.data), objects=True)
    except DataError as error:
        raise DataError(f"{member.name}.npy: {error}") from error
    if not isinstance(found, np.ndarray) or found.shape != member.shape:
        raise DataError(f"{member.name}.npy holds no array of the shape {member.shape}, which its header names")
    if found.ndim == 1:
        return list(found.tolist())
    # What numpy makes of drawings of one length, when it is asked for objects: an array of numbers, each an object.
    if found.ndim == 3 and all(isinstance(number, (int, float)) for number in found.flat):
        return list(found.astype(np.float64))
    raise DataError(f"{member.name}.npy has objects in the shape {found.shape}; it must be one array for each drawing")


def _attempted(item: Any, index: int, split: str, problems: Problems) -> NDArray[np.float64] | None:
    try:
        return _stroke3(item)
    except DataError as error:
        problems.add(error, _place(index, split))
        return None


def _stroke3(item: Any) -> NDArray[np.float64]:
    """One drawing as rows (points, 3)."""
    if not isinstance(item, np.ndarray):
        raise DataError(f"holds a {type(item).__name__}, not an array (points, 3): dx, dy, pen")
    if item.ndim == 1 and not item.size:
        return np.zeros((0, 3))
    if item.ndim != 2 or item.shape[1] not in (3, 5):
        raise DataError(f"has the shape {item.shape}; it must be (points, 3): dx, dy, pen, or (points, 5)")
    rows = item.astype(np.float64)
    if rows.shape[1] == 3:
        return rows
    pens = rows[:, 2:]
    if not np.all((pens == 0) | (pens == 1)) or not np.all(pens.sum(axis=1) == 1):
        raise DataError("has pens of stroke-5 other than one 1 and two 0 a row")
    ended = np.flatnonzero(pens[:, 2])
    return rows[: ended[0] if len(ended) else len(rows), [0, 1, 3]]


def _assembled(
    rows: NDArray[Any],
    counts: NDArray[np.int64],
    split: str,
    problems: Problems,
    numbers: Sequence[int] | None = None,
) -> SketchSet:
    from sketchkit.kernels.pickled_rows import BEYOND_FLOAT32, NO_PEN, NOT_FINITE, count_strokes, fill_strokes

    if rows.dtype != np.int16:
        rows = rows.astype(np.float64)
    offsets = offsets_of(counts)
    points, faults = np.empty((len(rows), 2), np.float32), np.zeros(len(counts), np.uint8)
    stroke_offsets = np.empty(count_strokes(rows, offsets) + 1, np.int64)
    sketch_offsets = np.empty(len(counts) + 1, np.int64)
    fill_strokes(rows, offsets, points, stroke_offsets, sketch_offsets, faults)
    facts = {
        NO_PEN: "has a pen other than 0, or 1 after the last point of a stroke",
        NOT_FINITE: "has a step that is not finite",
        BEYOND_FLOAT32: "has a coordinate beyond what float32 holds (3.4e38)",
    }
    for index in np.flatnonzero(faults).tolist():
        number = index if numbers is None else numbers[index]
        problems.add(DataError(facts[int(faults[index])]), _place(number, split))
    drawings = SketchSet(points, stroke_offsets, sketch_offsets)
    return drawings[faults == 0] if faults.any() else drawings


def _place(index: int, split: str) -> str:
    return f"record {index} (of {split})"


def _split_names(sketches: SketchSet) -> list[str]:
    if "split" not in sketches.columns:
        return ["train"] * len(sketches)
    names = sketches.columns["split"].tolist()
    for index, name in enumerate(names):
        if not isinstance(name, str) or not _SPLIT.fullmatch(name):
            raise DataError(f"sketch {index} has the split {name!r}; it must be a name such as {', '.join(_SPLITS)}")
    return list(names)


def _smallest_type(steps: NDArray[np.float64]) -> type[np.number]:
    if np.array_equal(np.rint(steps), steps):
        for kind in (np.int16, np.int32):
            limits = np.iinfo(kind)
            if not steps.size or (steps.min() >= limits.min and steps.max() <= limits.max):
                return kind
    return np.float64


def _npy(drawings: Sequence[NDArray[Any]]) -> bytes:
    """An array of objects as numpy pickles it, protocol 3, by the module names that numpy 1 and 2 both know."""
    header = f"{{'descr': '|O', 'fortran_order': False, 'shape': ({len(drawings)},), }}"
    header += " " * (-(len(header) + 11) % 64) + "\n"
    parts = [b"\x93NUMPY\x01\x00", len(header).to_bytes(2, "little"), header.encode()]
    parts += [
        b"\x80\x03cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02K\x00\x85C\x01b\x87R(K\x01",
        _pickled(len(drawings)),
        b"\x85cnumpy\ndtype\nq\x03U\x02O8K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK?tb\x89]",
    ]
    if drawings:
        code = drawings[0].dtype.str[1:].encode()
        kind = b"h\x03U\x02" + code + b"K\x00K\x01\x87Rq\x04(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        parts.append(b"(")
        for rows in drawings:
            data = rows.astype(rows.dtype.newbyteorder("<"), copy=False).tobytes()
            size = b"C" + bytes([len(data)]) if len(data) < 256 else b"B" + len(data).to_bytes(4, "little")
            shape = _pickled(len(rows)) + b"K\x03\x86"
            parts += [b"h\x01h\x02K\x00\x85C\x01b\x87R(K\x01", shape, kind, b"\x89", size, data, b"tb"]
            kind = b"h\x04"
        parts.append(b"e")
    return b"".join([*parts, b"tb."])


def _pickled(number: int) -> bytes:
    return b"K" + bytes([number]) if number < 256 else b"J" + number.to_bytes(4, "little")
