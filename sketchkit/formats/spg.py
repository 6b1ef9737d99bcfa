"""SPG: Quick, Draw! drawings with a part label for each point; one JSON object a line.

Source: Li et al., "Universal Perceptual Grouping", ECCV 2018, https://github.com/KeLi-SketchX/SketchX-PRIS-Dataset; the
files are those of SketchGNN, https://github.com/sYeaLumin/SketchGNN, `data/SPG/<category>_raw.ndjson`.

    i            number      -> column `i`
    key_id       string      -> column `key`
    label, and any other number, string or boolean -> a column of that name (SPG's files have none)
    drawing      list of strokes: [[x...], [y...], [label...]]; the labels -> the integer point column `part`
                 (20 strokes of the real files have the labels twice, as a fourth list: it must be equal)

A file is taken for one of these when its first line names `i`, `key_id` and `drawing` and no `word`, as far as its
first 4,096 bytes show. Raw Quick, Draw! files, which have the same three lists, always name the `word`. A file with
three lists and neither may be either: reading it is an error until `format="spg"` says that they are labels.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from sketchkit.errors import DataError
from sketchkit.formats.ndjson_records import PART
from sketchkit.formats.ndjson_writing import write_lines
from sketchkit.formats.registry import Format
from sketchkit.formats.source import Problems, Source
from sketchkit.sketch_set import SketchSet

__all__ = ["FORMAT", "sniff"]


def sniff(head: bytes, path: Path) -> bool:
    """Whether the first line in `head` names `i`, `key_id` and `drawing`, and no `word`; `path` does not matter."""
    first = head.removeprefix(b"\xef\xbb\xbf").lstrip().partition(b"\n")[0]
    names = set(re.findall(rb'"(i|key_id|drawing|word)"[ \t\r]*:', first))
    return first.startswith(b"{") and names == {b"i", b"key_id", b"drawing"}


def scan(source: Source, *, chunk: int, problems: Problems) -> Iterator[SketchSet]:
    """Read line by line; blank lines are no records."""
    # Loads numba, which only reading needs.
    from sketchkit.formats.ndjson_lines import scan_lines

    return scan_lines(source, PART, chunk=chunk, problems=problems)


def write(sketches: SketchSet, stream: BinaryIO) -> None:
    """Write lines that `read` takes for SPG's: with `i` and `key_id`, null where there is no such column.

    Raises:
        DataError: there is no point column `part`, a coordinate is not finite, or a column holds what JSON cannot.
    """
    write_chunks([sketches], stream)


def write_chunks(sets: Iterable[SketchSet], stream: BinaryIO) -> None:
    """Write sets one after the other, as `write` does.

    Raises:
        DataError: as `write`.
    """
    write_lines(map(_with_parts, sets), stream, PART)


def _with_parts(sketches: SketchSet) -> SketchSet:
    if len(sketches.points) and PART.column not in sketches.point_columns:
        raise DataError("there is no point column 'part', which this format needs")
    return sketches


FORMAT = Format(
    "spg",
    (".ndjson", ".jsonl"),
    sniff,
    scan,
    write,
    write_chunks=write_chunks,
    point_columns=frozenset({"part"}),
)
