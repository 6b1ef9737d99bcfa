"""Which files of a folder are ours: only those may be replaced or deleted.

A weights file and a graph bear the beginning of their own SHA-256 in their names, so that what a killed program left
behind is known as well: a file that somebody else wrote does not have the hash that its name says.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from sketchkit.errors import OutputError

__all__ = ["delete_superseded", "own_config"]


def own_config(path: Path, keys: Collection[str]) -> dict[str, Any] | None:
    """What an earlier call of ours wrote at a path; None where there is nothing.

    Args:
        path: of a JSON file.
        keys: that ours has, beside "sketchkit".

    Raises:
        OutputError: there is a file that is not ours, or cannot be read.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "config.json"
        >>> own_config(path, ["weights"]) is None
        True
        >>> _ = path.write_text('{"model_type": "vit"}')
        >>> own_config(path, ["weights"])  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        sketchkit.errors.OutputError: .../config.json is not of sketchkit and is left as it is; choose another folder...
    """
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise OutputError(f"{path}: cannot be read: {error.strerror}; choose another folder") from error
    except (RecursionError, ValueError):
        config = None
    if not isinstance(config, dict) or not {"sketchkit", *keys} <= set(config):
        raise OutputError(f"{path} is not of sketchkit and is left as it is; choose another folder, or move it away")
    return config


def delete_superseded(folder: Path, names: str, *, named: Collection[str], kept: Collection[str]) -> None:
    r"""Delete the files of ours that are not of use any more.

    Args:
        folder: where they are.
        names: a regular expression for the names that ours have; its group is the beginning of a SHA-256.
        named: by the description that was replaced.
        kept: by the new one.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> for name in ("part-0a.bin", "part-0b.bin", "part-mine.bin"):
        ...     _ = (folder / name).write_text("")
        >>> delete_superseded(folder, r"part-([0-9a-f]{2})\.bin", named=["part-0a.bin", "part-mine.bin"], kept=[])
        >>> sorted(path.name for path in folder.iterdir())
        ['part-0b.bin', 'part-mine.bin']
    """
    for path in sorted(folder.iterdir()):
        match = re.fullmatch(names, path.name)
        if match is None or path.name in kept or not path.is_file():
            continue
        if path.name in named or _sha256(path).startswith(match[1]):
            path.unlink(missing_ok=True)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while part := file.read(1 << 20):
                digest.update(part)
    except OSError:  # deleted by another program, or not readable: then it is not ours to delete
        return ""
    return digest.hexdigest()
