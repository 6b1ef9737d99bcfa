"""What a caller names (a path, a folder, a pattern, a list, a stream) as the parts to read, one after the other."""

from __future__ import annotations

import glob
import io
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import BinaryIO, TypeAlias, cast

from sketchkit.errors import DataError, FormatError, MissingDataError, ParameterError
from sketchkit.folders import Listing, list_folder
from sketchkit.formats.registry import Format, detect, lookup, names
from sketchkit.formats.source import Source, StreamSource, bare_suffix

__all__ = ["STANDARD_STREAM", "Input", "Inputs", "Part", "inputs_of"]

Input: TypeAlias = "str | os.PathLike[str] | BinaryIO"
STANDARD_STREAM = "-"
_WAY_OUT = 'To pass such files over: on_error="skip"; or name the files to read, "folder/*.ndjson" say'


@dataclass(frozen=True)
class Part:
    """One file, one stream, or a folder that is of one format as a whole.

    Args:
        source: where its bytes are.
        file: what the column `file` calls it.
        format: its format; None when `error` says why there is none.
        error: what is wrong with it.
    """

    source: Source
    file: str
    format: Format | None
    error: DataError | None = None


@dataclass
class Inputs:
    """What is to be read.

    Args:
        parts: in order.
        several: whether more than one part could have been meant: a folder, a list, a pattern.
        listings: the folders that were looked through.
    """

    parts: list[Part] = field(default_factory=list)
    several: bool = False
    listings: list[Listing] = field(default_factory=list)


def inputs_of(given: Input | Iterable[Input], name: str | None) -> Inputs:
    """Find the files and their formats.

    Args:
        given: a path of a file or a folder, a pattern, "-", a binary stream, or an iterable of these.
        name: the format's name; None to find it by the content.

    Raises:
        DataError: a folder holds no drawings, or cannot be listed.
        FormatError: there is no format of that name.
        MissingDataError: there is no such path, no path fits the pattern, or the list is empty.
        ParameterError: it is none of these.
    """
    named = None if name is None else _named(name, given)
    inputs = Inputs()
    if isinstance(given, (bytes, bytearray, memoryview)):
        raise ParameterError("bytes are neither a path nor a stream; io.BytesIO(data) is a stream")
    if isinstance(given, (str, os.PathLike)) or hasattr(given, "read"):
        _add(cast(Input, given), named, inputs)
        return inputs
    if not isinstance(given, Iterable):
        raise ParameterError(f"expected a path, a list of paths or a binary stream, not {type(given).__name__}")
    inputs.several = True
    for one in given:
        _add(one, named, inputs)
    if not inputs.parts:
        raise MissingDataError("the list of files to read is empty")
    return inputs


def _named(name: str, given: object) -> Format:
    try:
        return lookup(name)
    except FormatError as error:
        where = f"{given}: " if isinstance(given, (str, os.PathLike)) else ""
        raise FormatError(f"{where}{error}") from error


def _add(given: Input, named: Format | None, inputs: Inputs) -> None:
    if isinstance(given, (str, os.PathLike)):
        text = os.fsdecode(given)
        if text == STANDARD_STREAM:
            source: Source = StreamSource(sys.stdin.buffer, Path("standard input"))
            inputs.parts.append(_part(source, text, named))
        elif os.path.lexists(text) or not set("*?[") & set(text):
            _add_path(Path(text), named, inputs)
        else:
            _add_pattern(text, named, inputs)
    elif hasattr(given, "read"):
        _require_binary(given)
        inputs.parts.append(_part(StreamSource(given, Path(_title(given))), _title(given), named))
    else:
        raise ParameterError(f"expected a path or a binary stream, not {type(given).__name__}")


def _add_pattern(pattern: str, named: Format | None, inputs: Inputs) -> None:
    matches = glob.glob(pattern, recursive=True)  # noqa: PTH207 -- Path.glob takes no absolute pattern
    found = sorted(map(Path, matches), key=lambda path: path.parts)
    if not found:
        raise MissingDataError(f"{pattern}: there is no such file or folder, and nothing fits this pattern")
    inputs.several = True
    for path in found:
        # "**" matches a folder and also what is in it.
        if not (path.is_dir() and "**" in pattern):
            _add_path(path, named, inputs)


def _add_path(path: Path, named: Format | None, inputs: Inputs) -> None:
    if not path.exists():
        raise MissingDataError(f"{path}: there is no such file or folder")
    if path.is_dir():
        _add_folder(path, named, inputs)
    elif path.is_file():
        inputs.parts.append(_part(Source(path), path.as_posix(), named))
    else:
        # A pipe or a device gives its bytes once; opening it by name a second time would wait, or lose them.
        inputs.parts.append(_part(StreamSource(_opened(path), path, owned=True), path.as_posix(), named))


def _add_folder(folder: Path, named: Format | None, inputs: Inputs) -> None:
    try:
        listing = list_folder(folder)
    except OSError as error:
        raise DataError(f"{error.filename or folder}: cannot be listed: {error.strerror or error}") from error
    known = [named] if named is not None else [lookup(name) for name in names()]
    whole = next((one for one in known if one.sniff(b"", folder)), None)
    # In a list, or beside others, the path from where the caller stands; else from the folder.
    above = PurePath() if not inputs.several else folder
    parts = [] if whole is None else [Part(Source(folder, listing.names), (above / ".").as_posix(), whole)]
    # Whoever names a format that reads whole folders asks for nothing else.
    for name in [] if whole is not None and named is not None else listing.names:
        if whole is None or not (name.endswith(whole.suffixes) or bare_suffix(name) in whole.suffixes):
            part = _part_of_folder(name, (above / name).as_posix(), named, listing)
            # A format that reads whole folders knows its files by their suffix; an HTML page may show an SVG too.
            if part is not None and (whole is None or part.format is not whole):
                parts.append(part)
    if not parts:
        passed = f"; passed over {listing.told()}" if listing.passed_over else ""
        raise FormatError(f"{folder}: a folder without drawings{passed}")
    if whole is None or len(parts) > 1:
        inputs.several = True
    inputs.listings.append(listing)
    inputs.parts += parts


def _part_of_folder(name: str, shown: str, named: Format | None, listing: Listing) -> Part | None:
    """The file as a part, or None when nothing says that it holds drawings."""
    file = listing.folder / name
    source = Source(file)
    known = [named] if named is not None else [lookup(name) for name in names()]
    claimed = any(bare_suffix(file) in one.suffixes for one in known)
    part = _part(source, shown, None)
    if part.format is not None and (named is None or named.sniff(source.head(), file)):
        return Part(source, shown, named or part.format)
    if claimed:
        error = part.error or DataError(f"{file}: is not of the format {named.name if named else ''!r}")
        return Part(source, shown, None, type(error)(f"{error}. {_WAY_OUT}"))
    listing.pass_over(name, "in no known format" if named is None else f"not in the format {named.name!r}")
    return None


def _part(source: Source, file: str, named: Format | None) -> Part:
    """A part with its format or the error that stands in the way."""
    try:
        if not source.head(1):
            raise DataError("is empty (0 bytes); there are no drawings in it")
        return Part(source, file, detect(source) if named is None else named)
    except DataError as error:
        return Part(source, file, None, type(error)(f"{source.named}: {error}"))
    except OSError as error:
        return Part(source, file, None, DataError(f"{source.named}: cannot be read: {error.strerror or error}"))


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error


def _require_binary(stream: object) -> None:
    if isinstance(stream, io.TextIOBase):
        raise ParameterError(f"{_title(stream)} is open as text; open it in binary mode")


def _title(stream: object) -> str:
    name = getattr(stream, "name", None)
    return name if isinstance(name, str) else f"a {type(stream).__name__}"
