"""Bars on everything that takes more than a moment, and a way out of it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from tqdm import tqdm

from sketchkit import SketchSet

__all__ = ["counted", "note", "progress", "resumable"]

Item = TypeVar("Item")


def progress(items: Iterable[Item], name: str, *, unit: str = "it", total: int | None = None) -> Iterator[Item]:
    """Go through items under a bar on standard error; a log file gets a line every ten seconds instead.

    Args:
        items: anything to go through.
        name: what is being done.
        unit: what an item is called in the rate.
        total: how many there are, where `items` cannot tell.
    """
    interactive = sys.stderr.isatty()
    return iter(
        tqdm(
            items,
            desc=f"{name:<28}",
            unit=f" {unit}",
            total=total,
            dynamic_ncols=interactive,
            ncols=None if interactive else 100,
            mininterval=0.1 if interactive else 10,
            file=sys.stderr,
        )
    )


def counted(chunks: Iterable[SketchSet], name: str) -> Iterator[SketchSet]:
    """Go through sets of drawings under a bar of drawings and drawings/s; what is done in two seconds shows none.

    `name` stands before the bar; the sets of `chunks` are passed on as they are.
    """
    interactive = sys.stderr.isatty()
    with tqdm(
        desc=name,
        unit=" drawings",
        unit_scale=True,
        delay=2,
        dynamic_ncols=interactive,
        ncols=None if interactive else 100,
        mininterval=0.1 if interactive else 10,
        file=sys.stderr,
    ) as bar:
        for chunk in chunks:
            yield chunk
            bar.update(len(chunk))


def note(text: str) -> None:
    """Say one line, `text`, on standard error without breaking a bar."""
    tqdm.write(text, file=sys.stderr)


@contextmanager
def resumable() -> Iterator[None]:
    """What Ctrl-C may stop: the program then ends with a line that says how to go on, and with exit code 130."""
    try:
        yield
    except KeyboardInterrupt:
        note("sketchkit: stopped; run the same command again to go on")
        raise SystemExit(130) from None
