"""Several iterators run ahead by threads, their items one after the other as if there were none."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Generic, TypeVar

from sketchkit.errors import ParameterError

__all__ = ["in_order", "thread_count"]

Item = TypeVar("Item")


def in_order(makers: Iterable[Callable[[], Iterator[Item]]], threads: int) -> Generator[Item, None, None]:
    """The items of all iterators, in order; an error is raised where its item would have been.

    Each of the next `threads + 1` iterators is at most one item ahead, so that memory does not grow with their number
    or length.

    Args:
        makers: each makes one iterator, in the thread that uses it first.
        threads: how many work at once.
    """
    remaining = iter(makers)
    with ThreadPoolExecutor(threads, thread_name_prefix="sketchkit-read") as pool:
        running = deque(_Ahead(pool, make) for make in islice(remaining, threads + 1))
        try:
            while running:
                items = running[0].take()
                if not items:
                    running.popleft()
                    running.extend(_Ahead(pool, make) for make in islice(remaining, 1))
                yield from items
        finally:
            for ahead in running:
                ahead.stop()


def thread_count(threads: int | None) -> int:
    """The number of threads: `threads` as asked, or for None one a core that this process may use.

    Raises:
        ParameterError: it is no whole number of at least 1.
    """
    if threads is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
        raise ParameterError(f"threads must be a whole number of at least 1, not {threads!r}")
    return threads


class _Ahead(Generic[Item]):
    """One iterator whose next item is being made."""

    def __init__(self, pool: ThreadPoolExecutor, make: Callable[[], Iterator[Item]]) -> None:
        self._pool = pool
        self._make = make
        self._iterator: Iterator[Item] | None = None
        self._next: Future[list[Item]] = pool.submit(self._step)

    def take(self) -> list[Item]:
        """The next item, none at the end; the one after it is begun."""
        items = self._next.result()
        if items:
            self._next = self._pool.submit(self._step)
        return items

    def stop(self) -> None:
        """Wait for the item in the making, then let the iterator clean up."""
        if not self._next.cancel():
            # An error of an item that nobody came to.
            self._next.exception()
        close = getattr(self._iterator, "close", None)
        if close is not None:
            close()

    def _step(self) -> list[Item]:
        if self._iterator is None:
            self._iterator = self._make()
        return list(islice(self._iterator, 1))
