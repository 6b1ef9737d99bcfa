"""Writing files whole or not at all: an earlier file stays until the new one is safely on the disk."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sketchkit.errors import OutputError, SketchkitError

__all__ = ["replacing", "write_bytes", "write_text"]


def write_bytes(path: str | os.PathLike[str], data: bytes | bytearray | memoryview) -> None:
    """Make `data` the content of the file at `path`, whole or not at all; an earlier file there is replaced.

    Raises:
        OutputError: the disk is full, the folder is missing or read-only; an earlier file is left as it was.
    """
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(data)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a file whole or not at all, in UTF-8 and with the newlines of `text`.

    Raises:
        OutputError: as `write_bytes`.
    """
    write_bytes(path, text.encode("utf-8"))


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path in the same folder, with the same suffix, that takes the place of `path` at the end.

    When the body raises, `path` stays as it was and the temporary file is removed. A link is followed.

    Example:
        >>> import pathlib, tempfile
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> with replacing(folder / "notes.txt") as temporary:
        ...     _ = temporary.write_text("whole")
        >>> [file.name for file in folder.iterdir()]
        ['notes.txt']

    Raises:
        OutputError: the disk is full, the folder is missing or read-only, or `path` is no regular file.
    """
    if "\0" in os.fsdecode(path):
        raise OutputError(f"{os.fsdecode(path)!r}: cannot be written: a path has no null character")
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        kind = "a folder" if target.is_dir() else "not a regular file"
        raise OutputError(f"{path}: cannot be written: it is {kind}; name a file")
    temporary = target.with_name(f".{target.stem[:64]}.{secrets.token_hex(8)}{target.suffix}")
    try:
        _create(temporary, target)
        yield temporary
        _flush(temporary)
        temporary.replace(target)
        _flush_folder(target.parent)
    except OSError as error:
        # What the body read from elsewhere is not ours to explain.
        if isinstance(error, SketchkitError) or error.filename not in (None, str(temporary), str(target.parent)):
            raise
        raise OutputError(f"{path}: cannot be written: {_explained(error, target)}") from error
    finally:
        # After the replacement there is nothing left to remove.
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _create(temporary: Path, target: Path) -> None:
    # os.open, unlike tempfile, gives the file the mode that the user's umask asks for.
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    if target.exists():
        shutil.copymode(target, temporary)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _flush_folder(folder: Path) -> None:
    # The new file is whole by now; a system that cannot flush a folder (Windows) loses nothing but the rename.
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _explained(error: OSError, target: Path) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk of {target.parent} is full; free some space or write elsewhere"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{target.parent} is read-only for you; choose a folder that you may write to"
    if error.errno == errno.ENOENT:
        return f"the folder {target.parent} does not exist; create it first"
    if error.errno == errno.ENOTDIR:
        return f"{target.parent} is not a folder; choose another path"
    return f"{error.strerror or error}"
