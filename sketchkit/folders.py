"""The files of a folder that may hold drawings, and those that may not."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Listing", "list_folder"]

_IMAGES = frozenset((".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"))
_TEXTS = frozenset(("", ".cff", ".html", ".md", ".pdf", ".rst", ".txt"))
_ABOUT = frozenset(("authors", "changelog", "citation", "copying", "licence", "license", "notice", "readme"))


@dataclass
class Listing:
    """What lies beneath a folder.

    Args:
        files: regular files that may hold drawings, in the order of their paths.
        passed_over: what is not opened, or turned out to be no drawing: its path, and why.
    """

    files: list[Path] = field(default_factory=list)
    passed_over: list[tuple[Path, str]] = field(default_factory=list)

    def pass_over(self, path: Path, why: str) -> None:
        """Note what is not read."""
        self.passed_over.append((path, why))

    def told(self) -> str:
        """How many and why, and the first path: `3 files (3 in no known format); the first: notes.json`."""
        reasons = Counter(why for _, why in self.passed_over)
        counted = ", ".join(f"{count} {why}" for why, count in reasons.items())
        total = len(self.passed_over)
        return f"{total} file{'s' if total > 1 else ''} ({counted}); the first: {self.passed_over[0][0]}"


def list_folder(folder: Path) -> Listing:
    """Walk through a folder and those in it, in the order of the paths' parts.

    Not mentioned at all: what is hidden (a name that begins with a dot, or `__MACOSX`), images by their suffix, and
    texts about the data by their name (README, LICENSE and the like). Passed over: links that lead out of the folder
    or nowhere, links to folders, and what is no regular file, since a pipe would wait for ever.

    Raises:
        OSError: a folder cannot be listed.
    """
    listing = Listing()
    root = os.path.realpath(folder)
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        with os.scandir(here) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
        for entry in found:
            path = here / entry.name
            if entry.name.startswith(".") or entry.name == "__MACOSX" or _is_about_the_data(path):
                continue
            if entry.is_dir(follow_symlinks=False):
                waiting.append(path)
            elif (why := _unfit(entry, root)) is not None:
                listing.pass_over(path, why)
            else:
                listing.files.append(path)
    listing.files.sort(key=lambda path: path.parts)
    listing.passed_over.sort(key=lambda passed: passed[0].parts)
    return listing


def _is_about_the_data(path: Path) -> bool:
    suffix = path.suffix.lower()
    return suffix in _IMAGES or (suffix in _TEXTS and path.stem.lower() in _ABOUT)


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
