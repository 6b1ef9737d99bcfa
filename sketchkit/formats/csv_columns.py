"""What the columns of a CSV table hold, found from their values as R and pandas write them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from enum import Enum

__all__ = ["Kind", "kinds_of", "value_of"]

_MISSING = ("", "NA")
_TRUTH = {"TRUE": True, "True": True, "FALSE": False, "False": False}
_INTEGER = re.compile("0|-?[1-9][0-9]{0,17}")
# Digits alone that are no integer, such as 007, are somebody's name: as a number they would change.
_FLOAT = re.compile(r"[+-]?(?:(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+|Inf)")


class Kind(Enum):
    """What all values of a column are."""

    TEXT = "text"
    TRUTH = "truth"
    INTEGER = "integer"
    FLOAT = "float"


def kinds_of(rows: Iterable[list[str]]) -> list[Kind]:
    """The kind of each column; whole numbers with gaps are floats.

    Args:
        rows: all of the same length.
    """
    found: list[set[Kind | None]] = []
    for row in rows:
        found = found or [set() for _ in row]
        for kinds, text in zip(found, row, strict=True):
            # What is text once is text; most columns are told by their first row.
            if Kind.TEXT not in kinds:
                kinds.add(_kind(text))
    return [_common(kinds) for kinds in found]


def value_of(text: str, kind: Kind) -> str | bool | int | float | None:
    """The value of a field whose `text` is of this `kind`; where it is missing, NaN for a float, else None.

    Missing is `NA`, and where the kind is not text an empty field too.
    """
    if kind is Kind.TEXT:
        return None if text == "NA" else text
    if text in _MISSING:
        return math.nan if kind is Kind.FLOAT else None
    if kind is Kind.TRUTH:
        return _TRUTH[text]
    return int(text) if kind is Kind.INTEGER else float(text)


def _kind(text: str) -> Kind | None:
    if text in _MISSING:
        return None
    if text in _TRUTH:
        return Kind.TRUTH
    if _INTEGER.fullmatch(text):
        return Kind.INTEGER
    return Kind.FLOAT if _FLOAT.fullmatch(text) else Kind.TEXT


def _common(kinds: set[Kind | None]) -> Kind:
    values = kinds - {None}
    if values == {Kind.INTEGER}:
        return Kind.FLOAT if None in kinds else Kind.INTEGER
    if values == {Kind.TRUTH}:
        return Kind.TRUTH
    return Kind.FLOAT if values and values <= {Kind.INTEGER, Kind.FLOAT} else Kind.TEXT
