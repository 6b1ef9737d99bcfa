"""Numbers as JSON spells them, to float32, without leaving compiled code: exact or not at all.

The bytes end with something that is no part of a number. Serial, hence `cache=True`.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["number_end", "parse_number"]

_PLUS, _MINUS, _POINT, _ZERO, _NINE, _UPPER_E, _LOWER_E = 43, 45, 46, 48, 57, 69, 101
# Powers of ten that float64 holds exactly: one multiplication or division by them rounds once.
_POWERS = np.array([float(f"1e{exponent}") for exponent in range(23)])


@njit(cache=True, nogil=True)
def parse_number(data: NDArray[np.uint8], at: int) -> tuple[float, int]:
    """A number whose float32 is the one that its float64, correctly rounded, is rounded to; -1 where not for sure."""
    negative = data[at] == _MINUS
    if negative:
        at += 1
    first, mantissa = at, 0
    while data[at] >= _ZERO and data[at] <= _NINE:
        mantissa = 10 * mantissa + int(data[at]) - _ZERO
        at += 1
    digits, exponent, whole = at - first, 0, True
    if digits == 0 or (data[first] == _ZERO and digits > 1):
        return 0.0, -1
    if data[at] == _POINT:
        at += 1
        point = at
        while data[at] >= _ZERO and data[at] <= _NINE:
            mantissa = 10 * mantissa + int(data[at]) - _ZERO
            at += 1
        digits, exponent, whole = digits + at - point, point - at, False
        if exponent == 0:
            return 0.0, -1
    # int64 holds all numbers of 18 digits.
    if digits > 18 and digits - _leading_zeros(data, first) > 18:
        return 0.0, -1
    if data[at] == _UPPER_E or data[at] == _LOWER_E:
        power, at = _power(data, at + 1)
        if at < 0:
            return 0.0, -1
        exponent, whole = exponent + power, False
    if mantissa == 0:
        # An integer has no sign at 0.
        return (-0.0 if negative and not whole else 0.0), at
    value = _scaled(mantissa, exponent)
    # Float32 rounds otherwise below its normal numbers, and ends above; NaN is neither.
    if not (value >= 1e-36 and value <= 1e38):
        return 0.0, -1
    return (-value if negative else value), at


@njit(cache=True, nogil=True)
def _scaled(mantissa: int, exponent: int) -> float:
    """A float64 with the float32 of `mantissa * 10**exponent` rounded to float64; NaN where that is not for sure."""
    if exponent < -44 or exponent > 22:
        return np.nan
    value = float(mantissa)
    scaled: float
    if exponent < -22:
        scaled = value / _POWERS[22] / _POWERS[-22 - exponent]
    else:
        scaled = value / _POWERS[-exponent] if exponent < 0 else value * _POWERS[exponent]
        if mantissa < 1 << 53:
            return scaled
    # Rounded up to three times: off by less than 4 units of float64. That matters only beside the middle of two
    # float32.
    beside = (np.float64(scaled).view(np.int64) & 0x1FFFFFFF) - 0x10000000
    if abs(beside) > 8:
        return scaled
    return _beside_middle(mantissa, exponent, scaled, beside) if -22 <= exponent < 0 else np.nan


@njit(cache=True, nogil=True)
def _beside_middle(mantissa: int, exponent: int, scaled: float, beside: int) -> float:
    """`_scaled` of what is `beside` units of float64 above the middle of two float32, or nearly so.

    The float64 is that middle itself if the number is less than half a unit from it, else it lies on the number's
    side. With `power` as the denominator, what the number has above the middle is an exact difference but for the
    last bits: the product of the middle and the power is taken as a sum of two float64 (Dekker 1971).
    """
    unit: float = 2.0 ** (np.floor(np.log2(scaled)) - 52)
    power: float = _POWERS[-exponent]
    middle = scaled - beside * unit
    high = middle * power
    a, b = _split(middle)
    c, d = _split(power)
    low = b * d - (((high - a * c) - b * c) - a * d)
    value = float(mantissa)
    above = (value - high) + (float(mantissa - int(value)) - low)
    half = 0.5 * unit * power
    if abs(abs(above) - half) < 1e-6 * half:
        return np.nan
    if abs(above) < half:
        return middle
    return middle + unit if above > 0 else middle - unit


@njit(cache=True, nogil=True)
def _split(value: float) -> tuple[float, float]:
    """Two float64 of 26 bits each, whose sum it is."""
    scaled = 134217729.0 * value
    high = scaled - (scaled - value)
    return high, value - high


@njit(cache=True, nogil=True)
def _leading_zeros(data: NDArray[np.uint8], at: int) -> int:
    zeros = 0
    while data[at] == _ZERO or data[at] == _POINT:
        zeros += data[at] == _ZERO
        at += 1
    return zeros


@njit(cache=True, nogil=True)
def _power(data: NDArray[np.uint8], at: int) -> tuple[int, int]:
    """The exponent behind an `e`, at most 1000, and the position after it; -1 when there is none."""
    below = data[at] == _MINUS
    if below or data[at] == _PLUS:
        at += 1
    last = _digits_end(data, at)
    if last == at:
        return 0, -1
    power = 0
    while at < last:
        power = min(10 * power + int(data[at]) - _ZERO, 1000)
        at += 1
    return (-power if below else power), last


@njit(cache=True, nogil=True)
def number_end(data: NDArray[np.uint8], at: int) -> tuple[int, bool]:
    """Where a number, as JSON spells it, ends, and whether it has neither a point nor an exponent."""
    if data[at] == _MINUS:
        at += 1
    first = at
    at = _digits_end(data, at)
    if at == first or (data[first] == _ZERO and at > first + 1):
        return -1, False
    whole = True
    if data[at] == _POINT:
        first, whole = at + 1, False
        at = _digits_end(data, first)
        if at == first:
            return -1, False
    if data[at] == _UPPER_E or data[at] == _LOWER_E:
        at, whole = at + 1, False
        if data[at] == _PLUS or data[at] == _MINUS:
            at += 1
        first = at
        at = _digits_end(data, at)
        if at == first:
            return -1, False
    return at, whole


@njit(cache=True, nogil=True)
def _digits_end(data: NDArray[np.uint8], at: int) -> int:
    while data[at] >= _ZERO and data[at] <= _NINE:
        at += 1
    return at
