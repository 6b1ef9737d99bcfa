"""Timing by a clock that the test sets."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
import torch

from sketchkit import ParameterError
from sketchkit.adapters import timing
from sketchkit.adapters.timing import Latencies, Latency, latencies


@pytest.fixture
def spend(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """A call that lets the clock go on by so many milliseconds."""
    now = [0.0]
    monkeypatch.setattr(timing, "perf_counter", lambda: now[0])

    def spending(milliseconds: float) -> None:
        now[0] += milliseconds / 1000

    return spending


def test_calls_take_turns_every_other_round_backwards(spend: Callable[[float], None]) -> None:
    order: list[str] = []
    calls = {name: lambda name=name: (order.append(name), spend(ord(name)))[1] for name in "abc"}
    measured = latencies(calls, repeats=3, warmup=1)
    assert "".join(order) == "abc" + "abc" + "cba" + "abc"
    for name in "abc":
        assert measured[name].milliseconds == pytest.approx([ord(name)] * 3)
        assert measured[name].runs == 3


def test_a_ratio_is_taken_round_by_round() -> None:
    # Load that comes and goes hits both calls of a round; the medians alone, 6 and 10, would say 0.6.
    measured = Latencies({"slow": Latency.of([6.0, 60.0, 3.0]), "fast": Latency.of([2.0, 10.0, 10.0])})
    ratio = measured.ratio("slow", "fast")
    assert (ratio.median, ratio.low, ratio.high) == pytest.approx((3.0, 0.3, 6.0))


@pytest.mark.parametrize("rounds", [1, 2, 5, 6, 8, 9, 10, 15, 20, 30])
def test_the_interval_is_that_of_the_sign_test(rounds: int) -> None:
    ratios = np.arange(1.0, rounds + 1)
    found = Latencies({"a": Latency.of(ratios.tolist()), "b": Latency.of([1.0] * rounds)}).ratio("a", "b")
    outside = int(found.low) - 1
    assert found.high == rounds - outside
    if rounds <= 15:
        # By counting: on how many of the 2^n patterns of signs the median lies outside of the interval.
        beyond = [2 * len(list(combinations(range(rounds), above))) for above in range(outside + 2)]
        assert sum(beyond[:-1]) / 2**rounds <= 0.05 or outside == 0
        assert sum(beyond) / 2**rounds > 0.05


def test_threads_are_set_and_given_back() -> None:
    before = torch.get_num_threads()
    seen: list[int] = []
    latencies({"call": lambda: seen.append(torch.get_num_threads())}, repeats=2, warmup=0, threads=1)
    assert seen == [1, 1]
    assert torch.get_num_threads() == before


def test_nothing_to_time_is_said() -> None:
    with pytest.raises(ParameterError, match="no call to time"):
        latencies({})
    with pytest.raises(ParameterError, match="threads must be 1 or more"):
        latencies({"call": int}, threads=0)
    with pytest.raises(ParameterError, match="there are a"):
        Latencies({"a": Latency.of([1.0])}).ratio("a", "b")


def test_a_notebook_shows_a_row_a_call_and_no_header_without_words() -> None:
    """To a screen reader such a header is none: axe's rule empty-table-header."""
    html = latencies({"one": int, "<other>": int}, repeats=1, warmup=0)._repr_html_()
    assert html.count("<tr>") == 3
    assert "&lt;other&gt;" in html
    assert "<th></th>" not in html
    assert "<th>median</th>" in html
