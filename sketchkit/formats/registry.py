"""The formats there are: ours, those of installed packages (entry points), those registered while running."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import BinaryIO, Protocol

from sketchkit.errors import FormatError, ParameterError
from sketchkit.formats.source import Problems, Source, bare_suffix
from sketchkit.sketch_set import SketchSet

__all__ = ["ENTRY_POINT_GROUP", "Format", "Scan", "detect", "for_writing", "lookup", "names", "register"]

ENTRY_POINT_GROUP = "sketchkit.formats"


class Scan(Protocol):
    """Reads a source as sets of at most `chunk` drawings; reports bad records to `problems`."""

    def __call__(self, source: Source, *, chunk: int, problems: Problems) -> Iterator[SketchSet]:
        """The drawings of a source, in order."""
        ...


@dataclass(frozen=True)
class Format:
    """One file format.

    A package offers its own by an entry point in the group `sketchkit.formats` that names such an object.

    Args:
        name: lower case letters, digits and hyphens; what `format=` takes.
        suffixes: with their dots, in lower case; chooses the format to write, and settles doubts in reading.
        sniff: whether a file's first bytes (unpacked; empty for a folder) and its path look like this format.
        scan: reads; states facts as DataError and leaves file names to its caller.
        write: writes drawings to a stream; None when this format is only read.
        write_folder: writes one file a drawing into a folder.
        write_chunks: writes sets of drawings one after the other, so that a file may be larger than memory; None when
            the format has to see all drawings before it writes the first.
        read: reads a whole source as one set; None when that is the sets of `scan` joined. A format that opens without
            reading everything (memory-mapped) has it.
        columns: the columns that can be written; None for any.
        point_columns: the point columns that can be written; None for any.
    """

    name: str
    suffixes: tuple[str, ...]
    sniff: Callable[[bytes, Path], bool]
    scan: Scan
    write: Callable[[SketchSet, BinaryIO], None] | None = None
    write_folder: Callable[[SketchSet, Path], None] | None = None
    write_chunks: Callable[[Iterable[SketchSet], BinaryIO], None] | None = None
    read: Callable[[Source, Problems], SketchSet] | None = None
    columns: frozenset[str] | None = None
    point_columns: frozenset[str] | None = frozenset()


# Name -> the module whose `FORMAT` it is; imported when a file may be of this format.
_OURS = {
    "arrow": "sketchkit.formats.arrow",
    "drawing-game": "sketchkit.formats.drawing_game",
    "parquet": "sketchkit.formats.parquet",
    "polylines-npz": "sketchkit.formats.polylines_npz",
    "qmul": "sketchkit.formats.qmul",
    "quickdraw": "sketchkit.formats.quickdraw",
    "quickdraw-binary": "sketchkit.formats.quickdraw_binary",
    "sketch-rnn": "sketchkit.formats.sketchrnn",
    "sketchy": "sketchkit.formats.sketchy",
    "spg": "sketchkit.formats.spg",
    "svg": "sketchkit.formats.svg",
}
_registered: dict[str, Format] = {}


def register(added: Format) -> Format:
    """Make a format, `added`, known while the program runs; returns it.

    Raises:
        ParameterError: its name is taken or not made of lower case letters, digits and hyphens.
    """
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", added.name):
        raise ParameterError(f"a format's name is lower case letters, digits and hyphens, not {added.name!r}")
    if added.name in names():
        raise ParameterError(f"there is a format {added.name!r} already")
    _registered[added.name] = added
    return added


def names() -> list[str]:
    """The names of all formats, sorted."""
    return sorted({*_OURS, *_registered, *_of_packages()})


def lookup(name: str) -> Format:
    """The format called `name`: ours, then a registered one, then that of an installed package.

    Raises:
        FormatError: there is none, or the package that offers it cannot be loaded.
    """
    if name in _OURS:
        found: Format = importlib.import_module(_OURS[name]).FORMAT
        return found
    if name in _registered:
        return _registered[name]
    if name in _of_packages():
        return _loaded(_of_packages()[name])
    raise FormatError(f"there is no format {name!r}; known formats are {', '.join(names())}")


def detect(source: Source) -> Format:
    """The format of `source`, a file, a stream or a folder, found by its content; its suffix settles doubts.

    Raises:
        FormatError: no format fits.
    """
    head = source.head()
    fitting = [known for known in map(lookup, names()) if known.sniff(head, source.named)]
    suffix = bare_suffix(source.named)
    # sorted() is stable: among equals, the first by name.
    fitting.sort(key=lambda known: suffix not in known.suffixes)
    if fitting:
        return fitting[0]
    if source.named.is_dir():
        what = "a folder without drawings"
    else:
        what = f"starts with {head[:16]!r}" if head else "is empty"
    hint = "; Sketch.from_strokes takes what json.load makes of a list of strokes" if head.startswith(b"[[") else ""
    raise FormatError(f"no known format fits: {what}; tried {', '.join(names())}. format= names one{hint}")


def for_writing(path: Path) -> Format:
    """The format that the suffix of `path` asks for; `.gz` and `.zst` after it do not count.

    Raises:
        FormatError: the suffix is of no format that can be written.
    """
    suffix = bare_suffix(path)
    writable = [known for known in map(lookup, names()) if known.write or known.write_chunks or known.write_folder]
    for known in writable:
        if suffix in known.suffixes:
            return known
    suffixes = sorted({suffix for known in writable for suffix in known.suffixes})
    raise FormatError(
        f"the suffix {suffix!r} is of no known format; use one of {', '.join(suffixes)}, "
        f"or name one: format={' | '.join(known.name for known in writable)}"
    )


@cache
def _of_packages() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}


@cache
def _loaded(point: EntryPoint) -> Format:
    try:
        found = point.load()
    # Another package's module may raise anything while it is imported.
    except Exception as error:
        raise FormatError(f"the format {point.name!r} ({point.value}) cannot be loaded: {error}") from error
    if not isinstance(found, Format) or found.name != point.name:
        raise FormatError(f"the entry point {point.name!r} ({point.value}) must name a Format called {point.name!r}")
    return found
