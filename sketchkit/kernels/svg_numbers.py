"""Decimal numbers in a text as the nearest float64, or the word that this was not certain.

Serial, hence cached. Up to 2^53 and 10^22 a product or a quotient of two exact float64 is rounded once (W. D.
Clinger, How to read floating point numbers accurately, PLDI 1990); beyond, twice the precision decides all but ties.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from sketchkit.kernels.digits import read_digits
from sketchkit.kernels.uncounted import uncounted

__all__ = ["read_number", "skip_separators"]

_MOST_POWER = 60
# Each power of ten as the nearest float64 and the rest, which is 0 up to 10^22.
_POWERS = np.array([(float(10**power), float(10**power - int(float(10**power)))) for power in range(_MOST_POWER + 1)])
_MOST_MANTISSA = 10**17
_MOST_DIGITS = 18
# Of so many a float64 holds all.
_SURE_DIGITS = 15
_EXACT_POWERS = np.ascontiguousarray(_POWERS[: _SURE_DIGITS + 1, 0])
_SPLITTER = 134217729.0


@uncounted
def skip_separators(data: NDArray[np.uint8], at: int, end: int) -> int:
    """Where the spaces and commas from `at` on end."""
    while at < end:
        byte = data[at]
        if byte != 32 and byte != 44 and byte != 10 and byte != 13 and byte != 9:
            break
        at += 1
    return at


@uncounted
def read_number(data: NDArray[np.uint8], at: int, end: int) -> tuple[float, int]:
    """The number that begins at `at`, and where it ends; -1 when there is none, or its last bit is uncertain."""
    negative = False
    if at < end and (data[np.uint64(at)] == 45 or data[np.uint64(at)] == 43):
        negative = data[np.uint64(at)] == 45
        at += 1
    first, exponent = at, 0
    mantissa, at = read_digits(data, at, end, 0)
    digits = at - first
    if at < end and data[np.uint64(at)] == 46:
        behind = at + 1
        mantissa, at = read_digits(data, behind, end, mantissa)
        exponent = behind - at
        digits -= exponent
    if digits == 0:
        return 0.0, -1
    if digits > _SURE_DIGITS or (at < end and (data[np.uint64(at)] | 32) == 101):
        value, at = _any_number(data, first, at, end, mantissa, exponent, digits)
    else:
        # Both are exact, so that their quotient is rounded once.
        value = float(mantissa) / _EXACT_POWERS[np.uint64(-exponent)]
    return (-value if negative else value), at


@uncounted
def _any_number(
    data: NDArray[np.uint8], first: int, at: int, end: int, mantissa: int, exponent: int, digits: int
) -> tuple[float, int]:
    """The number of many digits, or with a power of ten, whose `digits` are `data[first:at]`; results as above."""
    cut = False
    if digits > _MOST_DIGITS:
        mantissa, exponent, cut = _many_digits(data, first, at)
    if at < end and (data[at] | 32) == 101:
        power, after = _power(data, at + 1, end)
        # An e without digits after it is not part of the number.
        if after > 0:
            exponent, at = exponent + power, after
    value = _scaled(mantissa, exponent)
    if math.isnan(value) or (cut and value != _scaled(mantissa + 1, exponent)):
        return 0.0, -1
    return value, at


@uncounted
def _many_digits(data: NDArray[np.uint8], at: int, end: int) -> tuple[int, int, bool]:
    """The first 18 digits that count of `data[at:end]`, their power of ten, and whether others than 0 follow."""
    mantissa, exponent, cut, behind = 0, 0, False, False
    for index in range(at, end):
        if data[index] == 46:
            behind = True
        elif mantissa < _MOST_MANTISSA:
            mantissa = mantissa * 10 + (np.int64(data[index]) - 48)
            exponent -= behind
        else:
            exponent += not behind
            cut = cut or data[index] != 48
    return mantissa, exponent, cut


@uncounted
def _power(data: NDArray[np.uint8], at: int, end: int) -> tuple[int, int]:
    """The digits of an exponent with their sign, and where they end; -1 when there are none."""
    negative = False
    if at < end and (data[at] == 45 or data[at] == 43):
        negative = data[at] == 45
        at += 1
    if not (at < end and 48 <= data[at] <= 57):
        return 0, -1
    power = 0
    while at < end and 48 <= data[at] <= 57:
        power = min(power * 10 + (np.int64(data[at]) - 48), 1_000_000)
        at += 1
    return (-power if negative else power), at


@uncounted
def _scaled(mantissa: int, exponent: int) -> float:
    """The float64 nearest to mantissa 10^exponent; NaN when that is not certain."""
    if mantissa == 0:
        return 0.0
    if abs(exponent) > _MOST_POWER:
        return math.nan
    power, power_rest = float(_POWERS[abs(exponent), 0]), float(_POWERS[abs(exponent), 1])
    high = float(mantissa)
    if mantissa <= 9007199254740992 and power_rest == 0:
        return high / power if exponent < 0 else high * power
    low = float(mantissa - np.int64(high))
    if exponent < 0:
        near = high / power
        product, error = _product(near, power)
        rest, shift = (high - product) - error, near * power_rest
        further, slack = (rest + low - shift) / power, (abs(rest) + abs(low) + abs(shift)) / power
    else:
        near, error = _product(high, power)
        below, shift = low * power, high * power_rest
        further, slack = error + below + shift, abs(error) + abs(below) + abs(shift)
    slack *= 2.0**-48
    least, greatest = near + (further - slack), near + (further + slack)
    return least if least == greatest else math.nan


@uncounted
def _product(a: float, b: float) -> tuple[float, float]:
    """The product and the error of its rounding (T. J. Dekker, Numerische Mathematik 18, 1971)."""
    product = a * b
    high = _SPLITTER * a
    a_high = high - (high - a)
    a_low = a - a_high
    high = _SPLITTER * b
    b_high = high - (high - b)
    b_low = b - b_high
    return product, ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
