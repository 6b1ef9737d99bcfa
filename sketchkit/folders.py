"""The files of a folder that may hold drawings, and those that may not."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Listing", "list_folder", "names_beneath"]

# Suffixes of images; and names and suffixes of texts about the data.
_IMAGES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
_ABOUT = frozenset(("authors", "changelog", "citation", "copying", "licence", "license", "notice", "readme"))
_TEXTS = frozenset(("", ".cff", ".html", ".md", ".pdf", ".rst", ".txt"))


@dataclass
class Listing:
    """What lies beneath a folder.

    Args:
        folder: the folder.
        names: regular files that may hold drawings: their paths in the folder, with slashes, in the order of the
            paths' parts.
        passed_over: what is not opened, or turned out to be no drawing: its path, and why.
    """

    folder: Path
    names: list[str] = field(default_factory=list)
    passed_over: list[tuple[Path, str]] = field(default_factory=list)

    def pass_over(self, name: str, why: str) -> None:
        """Note that `name`, a path in the folder with slashes, is not read, and `why`; `told` counts by the reason."""
        self.passed_over.append((self.folder / name, why))

    def told(self) -> str:
        """How many and why, and the first path: `3 files (3 in no known format); the first: notes.json`."""
        reasons = Counter(why for _, why in self.passed_over)
        counted = ", ".join(f"{count} {why}" for why, count in reasons.items())
        total = len(self.passed_over)
        return f"{total} file{'s' if total > 1 else ''} ({counted}); the first: {self.passed_over[0][0]}"


def list_folder(folder: Path) -> Listing:
    """Walk through `folder` and those in it, in the order of the paths' parts.

    Not mentioned at all: what is hidden (a name that begins with a dot, or `__MACOSX`), images by their suffix, and
    texts about the data by their name (README, LICENSE and the like). Passed over: links that lead out of the folder
    or nowhere, links to folders, and what is no regular file, since a pipe would wait for ever.

    Raises:
        OSError: a folder cannot be listed.
    """
    listing = Listing(folder)
    for name, unfit in names_beneath(folder):
        if unfit is None:
            listing.names.append(name)
        else:
            listing.pass_over(name, unfit)
    listing.names.sort(key=lambda name: name.split("/"))
    listing.passed_over.sort(key=lambda passed: passed[0].parts)
    return listing


def names_beneath(folder: Path) -> Iterator[tuple[str, str | None]]:
    """The files that `list_folder` mentions, as they are found, and why one is passed over; None for the others.

    Each is its path beneath `folder`, with slashes.

    Raises:
        OSError: a folder cannot be listed.
    """
    # A folder may hold a million files: no path is made of what is a name.
    root = os.path.realpath(folder)
    waiting = [""]
    while waiting:
        beneath = waiting.pop()
        with os.scandir(folder / beneath) as entries:
            for entry in entries:
                name = entry.name
                if name[0] == "." or name == "__MACOSX" or _is_about_the_data(name):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(f"{beneath}{name}/")
                else:
                    yield beneath + name, _unfit(entry, root)


def _is_about_the_data(name: str) -> bool:
    # Nearly all names end here.
    if name.endswith((".svg", ".ndjson")):
        return False
    stem, dot, suffix = name.lower().rpartition(".")
    stem, suffix = (stem, dot + suffix) if dot else (suffix, "")
    return suffix in _IMAGES or (suffix in _TEXTS and stem in _ABOUT)


def _unfit(entry: os.DirEntry[str], root: str) -> str | None:
    if entry.is_symlink():
        target = Path(os.path.realpath(entry.path))
        if not target.exists():
            return "links to nowhere"
        if not target.is_relative_to(root):
            return "links out of the folder"
        if target.is_dir():
            return "links to folders"
    return None if entry.is_file() else "pipes, sockets or devices"
