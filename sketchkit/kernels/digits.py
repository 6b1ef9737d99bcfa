"""Decimal digits in a text, eight bytes at a time: how many follow each other is no branch, which nobody could predict.

Serial, hence cached. No sum or product here exceeds 64 bits, so that plain Python computes the same.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sketchkit.kernels.uncounted import uncounted

__all__ = ["read_digits", "word_at"]

_ONE, _EIGHT, _TEN = (np.uint64(number) for number in (1, 8, 10))
_SIXTEEN, _THIRTY_TWO, _HUNDRED, _TEN_THOUSAND = (np.uint64(number) for number in (16, 32, 100, 10_000))
# The same in each byte: "0", all bits but the highest, that bit, and what makes it of all numbers above 9.
_ZEROS, _LOW, _HIGH, _ABOVE_NINE = (np.uint64(byte * 0x0101010101010101) for byte in (0x30, 0x7F, 0x80, 0x76))
# Those bytes, pairs and quads that hold a number when two neighbors have become one.
_PAIRS, _QUADS, _OCTET = (np.uint64(mask) for mask in (0x00FF00FF00FF00FF, 0x0000FFFF0000FFFF, 0x00000000FFFFFFFF))
# Which bytes' places have each bit set, from the third to the first.
_FOURS, _TWOS, _ODD = (np.uint64(mask) for mask in (0xFFFFFFFF00000000, 0xFFFF0000FFFF0000, 0xFF00FF00FF00FF00))
_TENS = np.array([10**power for power in range(9)])


@uncounted
def read_digits(data: NDArray[np.uint8], at: int, end: int, mantissa: int) -> tuple[int, int]:
    """The digits from `at` on appended to `mantissa` (which wraps around beyond 18), and where they end."""
    # An unsigned index is not tested for counting from the end.
    index, stop = np.uint64(at), np.uint64(end)
    while index + _EIGHT <= stop:
        digits = word_at(data, index) ^ _ZEROS
        others = (((digits & _LOW) + _ABOVE_NINE) | digits) & _HIGH
        if others != 0:
            first = others & ~(others - _ONE)
            count = 4 * ((first & _FOURS) != 0) + 2 * ((first & _TWOS) != 0) + ((first & _ODD) != 0)
            half = np.uint64(32 - 4 * count)
            # In two steps: no processor shifts by 64.
            return mantissa * _TENS[count] + _number_of((digits << half) << half), np.int64(index) + count
        mantissa = mantissa * 100_000_000 + _number_of(digits)
        index += _EIGHT
    while index < stop:
        digit = np.int64(data[index]) - 48
        if digit < 0 or digit > 9:
            break
        mantissa = mantissa * 10 + digit
        index += _ONE
    return mantissa, np.int64(index)


@uncounted
def word_at(data: NDArray[np.uint8], index: np.uint64) -> np.uint64:
    """The eight bytes from `index` on as one number, the first the lowest; the compiler makes one load of it."""
    word: np.uint64 = np.uint64(data[index])
    word |= np.uint64(data[index + np.uint64(1)]) << np.uint64(8)
    word |= np.uint64(data[index + np.uint64(2)]) << np.uint64(16)
    word |= np.uint64(data[index + np.uint64(3)]) << np.uint64(24)
    word |= np.uint64(data[index + np.uint64(4)]) << np.uint64(32)
    word |= np.uint64(data[index + np.uint64(5)]) << np.uint64(40)
    word |= np.uint64(data[index + np.uint64(6)]) << np.uint64(48)
    word |= np.uint64(data[index + np.uint64(7)]) << np.uint64(56)
    return word


@uncounted
def _number_of(digits: np.uint64) -> int:
    """What eight digits from 0 to 9 mean, of which the first is in the lowest byte."""
    pairs = (digits * _TEN + (digits >> _EIGHT)) & _PAIRS
    quads = (pairs * _HUNDRED + (pairs >> _SIXTEEN)) & _QUADS
    number: int = np.int64((quads * _TEN_THOUSAND + (quads >> _THIRTY_TWO)) & _OCTET)
    return number
