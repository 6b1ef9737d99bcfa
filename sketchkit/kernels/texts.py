"""Columns out of the places where their texts and numbers stand. Serial, hence `cache=True`."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["gather_texts", "parse_integers"]

_SLOTS = 256


@njit(cache=True, nogil=True)
def gather_texts(
    data: NDArray[np.uint8], spans: NDArray[np.int32], out: NDArray[np.uint8], index: NDArray[np.int32]
) -> tuple[int, int]:
    """Write texts one after the other, a newline after each, those seen lately once.

    Args:
        data: (bytes,).
        spans: (texts, 2): where each one starts and ends; none holds a newline.
        out: (bytes of all texts + texts,), filled.
        index: (texts,), filled: which of those written each text is.

    Returns:
        How many were written, and how many bytes.
    """
    # Of each slot, the text that was there last, and which of those written it is.
    latest, written = np.full(_SLOTS, -1, np.int64), np.zeros(_SLOTS, np.int64)
    count, used = 0, 0
    for text in range(len(spans)):
        first, last = int(spans[text, 0]), int(spans[text, 1])
        slot = last - first
        for at in range(max(first, last - 8), last):
            slot = 31 * slot + int(data[at])
        slot %= _SLOTS
        if not _same(data, first, last, spans, latest[slot]):
            written[slot] = count
            for at in range(first, last):
                out[used + at - first] = data[at]
            used += last - first
            out[used] = 10
            used, count = used + 1, count + 1
            latest[slot] = text
        index[text] = written[slot]
    return count, used


@njit(cache=True, nogil=True)
def parse_integers(data: NDArray[np.uint8], spans: NDArray[np.int32], out: NDArray[np.int64]) -> None:
    """The integers, of at most 18 bytes each, that stand at `spans` (integers, 2), into `out` (integers,)."""
    for index in range(len(spans)):
        at, last = int(spans[index, 0]), int(spans[index, 1])
        negative = data[at] == 45
        value = 0
        for digit in range(at + int(negative), last):
            value = 10 * value + int(data[digit]) - 48
        out[index] = -value if negative else value


@njit(cache=True, nogil=True)
def _same(data: NDArray[np.uint8], first: int, last: int, spans: NDArray[np.int32], other: int) -> bool:
    if other < 0 or spans[other, 1] - spans[other, 0] != last - first:
        return False
    start, index = int(spans[other, 0]), 0
    while index < last - first and data[first + index] == data[start + index]:
        index += 1
    return index == last - first
