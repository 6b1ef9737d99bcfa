"""Quick, Draw! as ndjson: one JSON object a line, simplified or raw.

Source: https://github.com/googlecreativelab/quickdraw-dataset, "The raw moderated dataset".

    word         string      -> column `label`
    key_id       string      -> column `key`
    countrycode, timestamp, recognized, and any other number, string or boolean -> a column of that name
    drawing      list of strokes: [[x...], [y...]] (simplified) or [[x...], [y...], [t...]] (raw; t in ms -> `time`)

The first line with a stroke says which of the two a file is. A third list without a `word` is refused: in SPG's
files it holds part labels, not times. What such a file looks like, and how it is told from these, is in `spg`;
drawings that have a `part` and no `time` are written as such a file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from sketchkit.formats import spg
from sketchkit.formats.ndjson_records import TIME
from sketchkit.formats.ndjson_writing import write_lines
from sketchkit.formats.registry import Format
from sketchkit.formats.source import Problems, Source, bare_suffix
from sketchkit.sketch_set import SketchSet

__all__ = ["FORMAT"]

_SUFFIXES = (".ndjson", ".jsonl")


def sniff(head: bytes, path: Path) -> bool:
    """Whether the first line is a JSON object with a drawing, and none of SPG's."""
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    by_name = bare_suffix(path) in _SUFFIXES
    if start.startswith(b"{"):
        return (b'"drawing"' in start or by_name) and not spg.sniff(head, path)
    return not start and bool(head) and by_name


def scan(source: Source, *, chunk: int, problems: Problems) -> Iterator[SketchSet]:
    """Read line by line; blank lines are no records."""
    # Loads numba, which only reading needs.
    from sketchkit.formats.ndjson_lines import scan_lines

    return scan_lines(source, TIME, chunk=chunk, problems=problems)


def write(sketches: SketchSet, stream: BinaryIO) -> None:
    """Write raw lines when the drawings have a `time`, else simplified ones; whole numbers without a point.

    Raises:
        DataError: a coordinate is not finite, or a column holds what JSON cannot.
    """
    write_lines([sketches], stream)


def write_chunks(sets: Iterable[SketchSet], stream: BinaryIO) -> None:
    """Write sets one after the other, as `write` does.

    Raises:
        DataError: as `write`; or some sets have times and others have not.
    """
    write_lines(sets, stream)


FORMAT = Format(
    "quickdraw",
    _SUFFIXES,
    sniff,
    scan,
    write,
    write_chunks=write_chunks,
    point_columns=frozenset({"time", "part"}),
)
