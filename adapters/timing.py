"""How long calls take: one alone, or several in turns, so that other load on the machine hits all of them alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import comb
from time import perf_counter
from typing import Any

import numpy as np
import torch

from sketchkit.adapters.html_table import html_table
from sketchkit.errors import ParameterError

__all__ = ["Latencies", "Latency", "Ratio", "latencies", "latency"]


@dataclass(frozen=True)
class Latency:
    """How long a call takes, in milliseconds.

    Args:
        median: milliseconds; half of the calls were faster.
        p10: milliseconds; a tenth of the calls were faster.
        p90: milliseconds; nine tenths of the calls were faster.
        milliseconds: of each call, in the order of time.

    Example:
        >>> print(Latency.of([3.0, 1.0, 2.0]))
        2.00 ms (p10 1.20, p90 2.80, 3 runs)
    """

    median: float
    p10: float
    p90: float
    milliseconds: tuple[float, ...] = field(default=(), repr=False, compare=False)

    @classmethod
    def of(cls, milliseconds: list[float]) -> Latency:
        """The percentiles of what was measured, linearly interpolated.

        Args:
            milliseconds: one a call.

        Example:
            >>> Latency.of([3.0, 1.0, 2.0]).median
            2.0
        """
        p10, median, p90 = np.percentile(milliseconds, [10, 50, 90]).tolist()
        return cls(median=median, p10=p10, p90=p90, milliseconds=tuple(milliseconds))

    @property
    def runs(self) -> int:
        """How many calls were timed."""
        return len(self.milliseconds)

    def __str__(self) -> str:
        return f"{self.median:.2f} ms (p10 {self.p10:.2f}, p90 {self.p90:.2f}, {self.runs} runs)"


@dataclass(frozen=True)
class Ratio:
    """How many times as long one call takes as another.

    Args:
        median: of the ratios, one a round.
        low: lower end of the interval that holds the true median with 95 % confidence.
        high: its upper end.

    Example:
        >>> print(Ratio(2.5, 2.41, 2.62))
        2.50x (2.41 to 2.62)
    """

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.2f}x ({self.low:.2f} to {self.high:.2f})"


@dataclass(frozen=True)
class Latencies:
    """How long several calls take that were measured in turns.

    Args:
        calls: name -> latency; the runs of the same number belong to one round.

    Example:
        >>> measured = Latencies({"slow": Latency.of([4.0, 6.0]), "fast": Latency.of([2.0, 2.0])})
        >>> measured.ratio("slow", "fast")
        Ratio(median=2.5, low=2.0, high=3.0)
    """

    calls: Mapping[str, Latency]

    def __getitem__(self, name: str) -> Latency:
        return self.calls[name]

    def ratio(self, of: str, to: str) -> Ratio:
        """Time of one call over the time of another, round by round.

        The interval lies between two of the ordered ratios, chosen by the binomial distribution (the sign test), so it
        assumes nothing of how times are distributed. Fewer than 6 rounds cannot give 95 %: it then spans all of them.

        Args:
            of: name of the call above the line.
            to: name of the call below it.

        Raises:
            ParameterError: there is no call of this name.

        Example:
            >>> measured = Latencies({"slow": Latency.of([4.0]), "fast": Latency.of([2.0])})
            >>> measured.ratio("fast", "slow").median
            0.5
        """
        for name in (of, to):
            if name not in self.calls:
                raise ParameterError(f"no call {name!r} was measured; there are {', '.join(self.calls)}")
        ratios = np.sort(np.divide(self.calls[of].milliseconds, self.calls[to].milliseconds))
        outside = _outside_interval(len(ratios))
        return Ratio(float(np.median(ratios)), float(ratios[outside]), float(ratios[-1 - outside]))

    def __str__(self) -> str:
        width = max(map(len, self.calls))
        return "\n".join(f"{name:<{width}}  {each}" for name, each in self.calls.items())

    def _repr_html_(self) -> str:
        rows = [
            [name, f"{each.median:.2f}", f"{each.p10:.2f}", f"{each.p90:.2f}", str(each.runs)]
            for name, each in self.calls.items()
        ]
        return html_table("Milliseconds a call", ["", "median", "p10", "p90", "runs"], rows)


def latency(call: Callable[[], Any], *, repeats: int = 20, warmup: int = 3, threads: int | None = 1) -> Latency:
    """Time a call.

    Args:
        call: takes no arguments.
        repeats: how many calls are timed.
        warmup: how many calls run before.
        threads: torch threads while timing, set back afterwards; None leaves them.

    Raises:
        ParameterError: nothing would be timed, or `threads` is less than 1.

    Example:
        >>> latency(lambda: sum(range(100)), repeats=5).runs
        5
    """
    return latencies({"call": call}, repeats=repeats, warmup=warmup, threads=threads)["call"]


def latencies(
    calls: Mapping[str, Callable[[], Any]], *, repeats: int = 20, warmup: int = 3, threads: int | None = 1
) -> Latencies:
    """Time several calls in turns, every other round backwards, so that they can be compared.

    Args:
        calls: name -> a function without arguments.
        repeats: how many calls of each are timed.
        warmup: how many calls of each run before.
        threads: torch threads while timing, set back afterwards; None leaves them.

    Raises:
        ParameterError: nothing would be timed, or `threads` is less than 1.

    Example:
        >>> measured = latencies({"short": lambda: sum(range(10)), "long": lambda: sum(range(10_000))}, repeats=9)
        >>> measured.ratio("long", "short").median > 1
        True
    """
    if repeats < 1 or warmup < 0:
        raise ParameterError(f"latency needs repeats of at least 1 and warmup of at least 0, not {repeats}, {warmup}")
    if not calls:
        raise ParameterError("there is no call to time")
    measured: dict[str, list[float]] = {name: [] for name in calls}
    with _torch_threads(threads):
        for _ in range(warmup):
            for call in calls.values():
                call()
        for turn in range(repeats):
            for name in list(calls)[:: -1 if turn % 2 else 1]:
                measured[name].append(_milliseconds(calls[name]))
    return Latencies({name: Latency.of(times) for name, times in measured.items()})


@contextmanager
def _torch_threads(threads: int | None) -> Iterator[None]:
    if threads is not None and threads < 1:
        raise ParameterError(f"threads must be 1 or more, not {threads}")
    before = torch.get_num_threads()
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _milliseconds(call: Callable[[], Any]) -> float:
    # A GPU works behind the caller's back: it must be idle at the start, and done at the end.
    on_gpu = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]  # torch does not annotate it
    if on_gpu:
        torch.cuda.synchronize()
    start = perf_counter()
    call()
    if on_gpu or torch.cuda.is_initialized():  # type: ignore[no-untyped-call]  # as above
        torch.cuda.synchronize()
    return (perf_counter() - start) * 1000


def _outside_interval(rounds: int, confidence: float = 0.95) -> int:
    """How many of the ordered values lie on each side of the median's interval."""
    below = 0.0
    for outside in range((rounds - 1) // 2 + 1):
        below += comb(rounds, outside) / 2**rounds
        if 2 * below > 1 - confidence:
            return max(0, outside - 1) if outside else 0
    return (rounds - 1) // 2
