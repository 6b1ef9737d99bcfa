"""Timing several ways to do one thing beside each other, and tables of what came out.

Every module of benchmarks that is part of `make bench` has `tables(rounds) -> list[Table]`; `run.py` gathers them.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Table", "Timing", "contest", "markdown"]


SLOW = 30
"""Seconds after which a contest tells its rounds: two threads beside other load can take many times as long."""


@dataclass(frozen=True)
class Timing:
    """The best of several runs, seconds: of the processor (all threads together), and on the clock."""

    cpu: float
    wall: float


@dataclass(frozen=True)
class Table:
    """One table of figures.

    Args:
        title: what was compared.
        header: the columns' names.
        rows: the cells, as they are to be read.
        note: what a reader must know to read it: the data, the number of threads, what is not equal.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


def contest(contestants: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, Timing]:
    """Time all contestants in turn, `rounds` times after one run to warm up; every other round goes backwards.

    Other load on the machine so hits all of them alike. Compare `cpu` of single-threaded ones (beside other load a
    long run on the clock is hit more often than a short one), `wall` where threads are what is compared.
    """
    for run in contestants.values():
        run()
    best = dict.fromkeys(contestants, Timing(float("inf"), float("inf")))
    start = time.perf_counter()
    for turn in range(rounds):
        for name in list(contestants)[:: -1 if turn % 2 else 1]:
            cpu, wall = time.process_time(), time.perf_counter()
            contestants[name]()
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
            best[name] = Timing(min(best[name].cpu, cpu), min(best[name].wall, wall))
        spent = time.perf_counter() - start
        if spent > SLOW:
            print(f"  round {turn + 1} of {rounds}, {spent:.0f} s", file=sys.stderr, flush=True)
    return best


def markdown(table: Table, level: int = 3) -> str:
    """The table as Markdown: a heading of that level, the cells, the note."""
    lines = [f"{'#' * level} {table.title}", "", _row(table.header), _row(["---"] * len(table.header))]
    lines += [_row(row) for row in table.rows]
    return "\n".join([*lines, "", table.note] if table.note else lines) + "\n"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
