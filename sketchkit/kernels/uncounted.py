"""Compiling functions that allocate nothing.

Numba counts a reference up and down, atomically, for each array that a function takes, at each call that is not
inlined. In kernels of small functions, called for every number or tag, that takes longer than what they do; and where
nothing is allocated it has no use, as the caller from Python holds all arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

from numba import njit

__all__ = ["uncounted"]

_P = ParamSpec("_P")
_R = TypeVar("_R")
# Numba has this option, and uses it for its own functions, without a word in its types.
_OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "_nrt": False}


def uncounted(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """`njit(cache=True, nogil=True)` of a `function` that makes no array; numba refuses to compile one that does."""
    return cast(Callable[_P, _R], njit(**_OPTIONS)(function))
