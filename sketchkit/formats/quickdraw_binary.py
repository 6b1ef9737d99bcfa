"""Quick, Draw! as binary records, `.bin`.

Source: https://github.com/googlecreativelab/quickdraw-dataset, "Binary files". Little-endian, without padding:

    uint64 key_id      -> column `key`, uint64
    char[2] countrycode, int8 recognized (0 or 1), uint32 timestamp (seconds since 1970) -> columns of these names
    uint16 strokes, and for each: uint16 points, uint8 x of each, uint8 y of each

A file is records and nothing else: no header, no end, no word. What follows a damaged length cannot be read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from sketchkit.blocks import require_finite
from sketchkit.errors import DataError
from sketchkit.formats.registry import Format
from sketchkit.formats.source import Problems, Source, bare_suffix
from sketchkit.ragged import group_of, offsets_of, ranges
from sketchkit.sketch_set import SketchSet

__all__ = ["FORMAT"]

_FIELDS = np.dtype([("key", "<u8"), ("countrycode", "S2"), ("recognized", "i1"), ("timestamp", "<u4")])
_HEADER = np.dtype([*((name, _FIELDS[name]) for name in _FIELDS.names or ()), ("strokes", "<u2")])
_BLOCK = 1 << 22
# A drawing has some hundred bytes; two damaged lengths may claim 8 GB, and a packed file deliver them.
_LARGEST_RECORD = 1 << 26
_WRITTEN_AT_ONCE = _READ_AT_ONCE = 1 << 16


def sniff(head: bytes, path: Path) -> bool:
    """Whether the first bytes are records: a country, a flag and lengths that fit."""
    at = 0
    while at + _HEADER.itemsize <= len(head):
        fields = np.frombuffer(head, _HEADER, 1, at)[0]
        # Some drawings have no country; zeros in the first one may be anything, such as a pickle's.
        country = rb"([A-Z]{2})?" if at else rb"[A-Z]{2}"
        if not re.fullmatch(country, bytes(fields["countrycode"])) or fields["recognized"] not in (0, 1):
            return at > 0 and bare_suffix(path) == ".bin"
        at += _HEADER.itemsize
        for _ in range(int(fields["strokes"])):
            if at + 2 > len(head):
                return True
            at += 2 + 2 * int.from_bytes(head[at : at + 2], "little")
    return len(head) >= _HEADER.itemsize


def scan(source: Source, *, chunk: int, problems: Problems) -> Iterator[SketchSet]:
    """Read block by block; what a record claims is believed when its bytes are there."""
    # Loads numba, which only reading needs.
    from sketchkit.kernels.parse import count_records

    with source.open() as stream:
        data, byte, record, ended = np.zeros(0, np.uint8), 0, 0, False
        while True:
            records, strokes, points, used = 0, 0, 0, 0
            while True:
                # What is known to be whole is not walked through again.
                more_records, more_strokes, more_points, more_used = count_records(data[used:], chunk - records)
                records, strokes, points = records + more_records, strokes + more_strokes, points + more_points
                used += more_used
                if records == chunk or ended or len(data) - used > _LARGEST_RECORD:
                    break
                # Twice as much each time: what is there is copied.
                more = np.frombuffer(stream.read(max(_BLOCK, len(data))), np.uint8)
                data, ended = np.concatenate([data, more]) if len(data) else more, len(more) == 0
            if records == 0:
                if ended and len(data) == 0:
                    return
                if not ended:
                    raise DataError(f"record {record} (byte {byte}) claims more than {_LARGEST_RECORD} bytes")
                problems.add(
                    DataError(f"is cut short: the file ends {len(data)} bytes after its start"),
                    f"record {record} (byte {byte})",
                )
                return
            drawings = _parsed(data[:used], (records, strokes, points), (record, byte), problems)
            if len(drawings):
                yield drawings
            data, byte, record = data[used:], byte + used, record + records


def read(source: Source, problems: Problems) -> SketchSet:
    """Read the whole file, in large blocks."""
    return SketchSet.concat(scan(source, chunk=_READ_AT_ONCE, problems=problems))


def write(sketches: SketchSet, stream: BinaryIO) -> None:
    """Write records; a country, flag or time that is not known as "ZZ", 0 and 0.

    Keys may be whole numbers or their digits, timestamps seconds or the text that the ndjson files have.

    Raises:
        DataError: a coordinate is no whole number from 0 to 255, a key none that uint64 holds, a column is of other
            values, or a stroke or a drawing has more than 65,535 parts.
    """
    write_chunks([sketches], stream)


def write_chunks(sets: Iterable[SketchSet], stream: BinaryIO) -> None:
    """Write sets one after the other, as `write` does; errors count the drawings from the first set on.

    Raises:
        DataError: as `write`.
    """
    before = 0
    for sketches in sets:
        _check_points(require_finite(sketches), before)
        for name, offsets in (("points in a stroke", sketches.stroke_offsets), ("strokes", sketches.sketch_offsets)):
            counts = np.diff(offsets)
            if len(counts) and counts.max() > 0xFFFF:
                raise DataError(f"there are {counts.max()} {name}; this format holds at most 65535")
        headers = _headers(sketches, before)
        for first in range(0, len(sketches), _WRITTEN_AT_ONCE):
            part = slice(first, first + _WRITTEN_AT_ONCE)
            stream.write(_records(sketches[part], headers[part]).tobytes())
        before += len(sketches)


FORMAT = Format(
    "quickdraw-binary",
    (".bin",),
    sniff,
    scan,
    write,
    write_chunks=write_chunks,
    read=read,
    columns=frozenset(_FIELDS.names or ()),
)


def _parsed(
    data: NDArray[np.uint8], counts: tuple[int, int, int], place: tuple[int, int], problems: Problems
) -> SketchSet:
    from sketchkit.kernels.parse import fill_records

    records, strokes, count = counts
    starts, points = np.empty(records, np.int64), np.empty((count, 2), np.float32)
    sketch_offsets, stroke_offsets = np.empty(records + 1, np.int64), np.empty(strokes + 1, np.int64)
    keys, countries = np.empty(records, np.uint64), np.empty(records, np.uint16)
    flags, timestamps = np.empty(records, np.int8), np.empty(records, np.uint32)
    fill_records(
        data, starts, keys, countries, flags, timestamps, sketch_offsets, stroke_offsets, points.reshape(2 * count)
    )
    good = ((countries & 0x8080) == 0) & ((flags == 0) | (flags == 1))
    for index in np.flatnonzero(~good).tolist():
        country = int(countries[index]).to_bytes(2, "little")
        fact = f"has the country {country!r} and the flag 'recognized' {flags[index]}"
        where = f"record {place[0] + index} (byte {place[1] + int(starts[index])})"
        problems.add(DataError(f"{fact}; they must be ASCII, and 0 or 1"), where)
    columns = {
        "key": keys,
        "countrycode": _countries()[np.where(good, countries, 0)],
        "recognized": flags == 1,
        "timestamp": timestamps,
    }
    drawings = SketchSet(points, stroke_offsets, sketch_offsets, columns)
    return drawings if good.all() else drawings[good]


@cache
def _countries() -> NDArray[Any]:
    """What two ASCII characters a, b are, at a + 256 b; zeros at the end are none, and other places None."""
    pairs = np.full((128, 256), None, object)
    pairs[:, :128] = [[(chr(a) + chr(b)).rstrip("\0") for a in range(128)] for b in range(128)]
    return pairs.ravel()


def _check_points(sketches: SketchSet, before: int) -> None:
    points = sketches.points
    good = ((points >= 0) & (points <= 255) & (np.rint(points) == points)).all(axis=1)
    if good.all():
        return
    point = int(np.argmin(good))
    sketch = int(np.searchsorted(sketches.stroke_offsets[sketches.sketch_offsets], point, side="right")) - 1
    x, y = points[point].tolist()
    raise DataError(
        f"sketch {before + sketch} has the point ({x}, {y}); this format holds whole numbers from 0 to 255. "
        "fit(drawings, 255), then drawings.with_points(np.rint(drawings.points)) makes them so"
    )


def _headers(sketches: SketchSet, before: int) -> NDArray[Any]:
    headers = np.zeros(len(sketches), _HEADER)
    headers["strokes"] = np.diff(sketches.sketch_offsets)
    if "key" not in sketches.columns and len(sketches):
        raise DataError("there is no column 'key', which this format needs: drawings.with_columns(key=...)")
    makers: dict[str, Callable[[Any], int | bytes]] = {
        "key": _key,
        "countrycode": _country,
        "recognized": _flag,
        "timestamp": _timestamp,
    }
    headers["countrycode"] = b"ZZ"
    for name in makers.keys() & sketches.columns.keys():
        values = sketches.columns[name]
        if values.dtype == _EXACT.get(name):
            headers[name] = values
            continue
        index, value = 0, None
        try:
            for index, value in enumerate(values.tolist()):
                headers[name][index] = makers[name](value)
        except (ValueError, TypeError, OverflowError):
            raise DataError(f"sketch {before + index} has {value!r} as {name!r}; it must be {_WANTED[name]}") from None
    return headers


# Columns of these types need no look at each value.
_EXACT = {"key": np.dtype(np.uint64), "recognized": np.dtype(bool), "timestamp": np.dtype(np.uint32)}
_WANTED = {
    "key": "a whole number from 0 to 2^64 - 1",
    "countrycode": "two letters",
    "recognized": "true or false",
    "timestamp": "seconds since 1970, or text such as '2017-03-02 23:25:10.07453 UTC'",
}


def _key(value: Any) -> int:
    if isinstance(value, str) and re.fullmatch("[0-9]{1,20}", value):
        value = int(value)
    return _whole(value, 2**64)


def _country(value: Any) -> bytes:
    code = str("ZZ" if value is None else value).encode("ascii")
    if len(code) not in (0, 2) or b"\0" in code:
        raise ValueError
    return code


def _flag(value: Any) -> int:
    return _whole(0 if value is None else int(value), 2)


def _timestamp(value: Any) -> int:
    if not isinstance(value, str):
        return _whole(0 if value is None else value, 2**32)
    # Some fractions of a second have more digits or fewer than fromisoformat takes.
    text = re.fullmatch(r"([0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}:[0-9]{2})(\.[0-9]*)?( UTC|Z)?", value)
    if text is None:
        raise ValueError
    return _whole(int(datetime.fromisoformat(text[1]).replace(tzinfo=timezone.utc).timestamp()), 2**32)


def _whole(value: Any, end: int) -> int:
    if not isinstance(value, int) or not 0 <= value < end:
        raise ValueError
    return int(value)


def _records(sketches: SketchSet, headers: NDArray[Any]) -> NDArray[np.uint8]:
    counts = np.diff(sketches.stroke_offsets)
    stroke_bytes = offsets_of(2 + 2 * counts)
    header = _HEADER.itemsize
    starts = stroke_bytes[sketches.sketch_offsets[:-1]] + header * np.arange(len(sketches))
    strokes = stroke_bytes[:-1] + header * (group_of(sketches.sketch_offsets) + 1)
    data = np.zeros(int(stroke_bytes[-1]) + header * len(sketches), np.uint8)
    data[starts[:, None] + np.arange(header)] = headers.view(np.uint8).reshape(-1, header)
    data[strokes], data[strokes + 1] = counts & 255, counts >> 8
    x, y = sketches.points.astype(np.uint8).T
    data[ranges(strokes + 2, counts)] = x
    data[ranges(strokes + 2 + counts, counts)] = y
    return data
