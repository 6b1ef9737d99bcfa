"""Numbers of JSON to float32 in compiled code, against Python's own parser and exact decimals."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sketchkit.kernels.json_numbers import parse_number

ENDS = b",]} \n"


def parsed(text: str, end: bytes = b",") -> tuple[float, int]:
    return parse_number(np.frombuffer(text.encode() + end + b"\n" * 16, np.uint8), 0)


def check(text: str, *, known: bool | None = None) -> None:
    """The same float32 as Python's float gives, or an honest -1."""
    value, after = parsed(text)
    if known is not None:
        assert (after >= 0) == known, text
    if after >= 0:
        assert after == len(text)
        assert np.float32(value).tobytes() == np.float32(orjson.loads(text)).tobytes(), text


@pytest.mark.parametrize("end", [ENDS[n : n + 1] for n in range(len(ENDS))])
@pytest.mark.parametrize(
    "text", ["0", "-0", "7", "255", "-12.5", "1e3", "1E+3", "25e-1", "0.0", "-0.0", "112.00000381469727"]
)
def test_a_number_ends_where_it_ends(text: str, end: bytes) -> None:
    value, after = parsed(text, end)
    assert after == len(text)
    assert np.float32(value).tobytes() == np.float32(orjson.loads(text)).tobytes()


@pytest.mark.parametrize(
    "text", ["", "-", "+1", "01", "-01", ".5", "1.", "1.e3", "1e", "1e+", "NaN", "Infinity", "x", "٣"]
)
def test_what_json_does_not_know_is_no_number(text: str) -> None:
    assert parsed(text)[1] == -1


def test_the_middle_of_two_float32_is_exact() -> None:
    # What raw Quick, Draw! files hold: 17 digits, exactly between two float32; ties go to the even one.
    for low in np.float32([112.0, 33.7, 0.1, 999.99, 1500.25]):
        high = np.nextafter(low, np.float32(np.inf))
        middle = (float(low) + float(high)) / 2
        for neighbor in (middle, np.nextafter(middle, 0).item(), np.nextafter(middle, np.inf).item()):
            check(repr(neighbor), known=True)
            check(repr(-neighbor), known=True)


@given(
    st.floats(0.125, 2000, width=32),
    st.sampled_from([-1, 0, 1]),
    st.decimals(-1, 1, places=4),
    st.integers(8, 16),
    st.booleans(),
)
def test_digits_beside_a_middle_round_as_exact_decimals_do(
    low: float, side: int, share: Decimal, places: int, negative: bool
) -> None:
    high = np.nextafter(np.float32(low), np.float32(np.inf))
    middle = (low + float(high)) / 2
    # Half a unit of float64 away, where that is rounded to the middle or to its neighbor, and a little beside.
    number = Decimal(middle) + Decimal(float(np.spacing(middle))) * (Decimal(side) / 2 + share / 1000)
    check(("-" if negative else "") + f"{number:.{places}f}")


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_any_float_is_right_or_left_to_others(number: float) -> None:
    check(repr(number) if np.isfinite(number) else "0")


@given(st.from_regex(r"\A-?(0|[1-9][0-9]{0,24})(\.[0-9]{1,24})?([eE][+-]?[0-9]{1,3})?\Z", fullmatch=True))
def test_any_spelling_is_right_or_left_to_others(text: str) -> None:
    check(text.replace("\n", ""))
