"""numpy arrays and types as a pickle builds them: stand-ins, so that nothing of the file's choosing is called.

numpy's own functions would allocate whatever shape the file claims; what is here views the bytes that the file has.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sketchkit.errors import DataError

__all__ = ["MAKERS", "PickledArray", "PickledType", "admitted", "finished", "new_array"]


class PickledType:
    """A numpy dtype under construction.

    Args:
        code: `f8`, `i2`, ..., or `O8` for objects.
        align: not looked at, as `copy`: pickle gives both.
        copy: not looked at.

    Raises:
        DataError: the code is of other than plain numbers and objects.
    """

    def __init__(self, code: str, align: Any = False, copy: Any = False) -> None:
        if not isinstance(code, str) or not re.fullmatch("[fiub][0-9]{1,2}|O[48]?", code):
            named = repr(code[:20]) if isinstance(code, str) else type(code).__name__
            raise DataError(f"an array holds {named}; only plain numbers (f8, f4, i4, ...) are read")
        self._code = code[:1] if code.startswith("O") else code
        self.dtype: np.dtype[Any] = np.dtype(self._code)

    def set_state(self, version: int, order: str, subarray: Any = None, *rest: Any) -> None:
        """Take the byte order, as BUILD gives it to a dtype.

        Args:
            version: of the state; not looked at.
            order: `<`, `>`, `=` or `|`.
            subarray: None, or this is refused.
            rest: names and fields, both None, or this is refused; sizes, which the code says too.

        Raises:
            DataError: it is a type of records, or the order is none.
        """
        if subarray is not None or any(part is not None for part in rest[:2]):
            raise DataError("an array holds records; only plain numbers are read")
        if order not in ("<", ">", "=", "|"):
            raise DataError("an array's byte order is not <, >, = or |")
        self.dtype = np.dtype(order + self._code)


class PickledArray:
    """A numpy array under construction: a view of the bytes in the file.

    `charge` is what it takes of the file, `content` the bytes of all arrays in an array of objects.
    """

    def __init__(self) -> None:
        self.charge, self.content = 0, 0
        self.kind: PickledType | None = None
        self.values: NDArray[Any] | None = None

    def set_state(self, version: int, shape: Any, kind: Any, by_columns: Any, data: Any) -> None:
        """Take shape and content, as BUILD gives them to an array: five values, of any type that the file chose.

        `shape`, `kind` and `data` are as in `fill`. The `version` of the state is not looked at; `by_columns` stands
        for the order `F`.

        Raises:
            DataError: they do not fit each other.
        """
        self.fill(shape, kind, "F" if by_columns else "C", data)

    def fill(self, shape: Any, kind: Any, order: Any, data: Any) -> None:
        """View the content; a list of objects is gathered.

        Args:
            shape: up to 8 whole numbers, or one.
            kind: a `PickledType`.
            order: `C` or `F`.
            data: bytes, as many as shape and type take; Python 2's text of them; for objects a list.

        Raises:
            DataError: they do not fit each other.
        """
        if isinstance(data, str):
            data = data.encode("latin1")  # Python 2 knew no bytes
        if isinstance(kind, PickledType) and kind.dtype == object:
            self._fill_with_objects(shape, data, order)
            return
        if not isinstance(kind, PickledType) or not isinstance(data, bytes) or order not in ("C", "F"):
            raise DataError("an array's state is not (version, shape, dtype, order, bytes)")
        sizes = shape if isinstance(shape, tuple) else (shape,)
        if not all(isinstance(size, int) and size >= 0 for size in sizes) or len(sizes) > 8:
            raise DataError("an array's shape is not up to 8 whole numbers")
        wanted = math.prod(sizes) * kind.dtype.itemsize
        if wanted != len(data):
            raise DataError(f"an array of shape {sizes} and {kind.dtype} takes {wanted} bytes, not {len(data)}")
        self.charge, self.kind = len(data), kind
        flat = np.frombuffer(data, kind.dtype) if data else np.zeros(0, kind.dtype)
        self.values = flat.reshape(sizes, order=order)

    def _fill_with_objects(self, shape: Any, items: Any, order: Any) -> None:
        if not isinstance(items, list) or not isinstance(shape, tuple) or order not in ("C", "F"):
            raise DataError("the state of an array of objects is not (version, shape, dtype, order, list)")
        if not all(isinstance(size, int) and size >= 0 for size in shape) or len(shape) > 8:
            raise DataError("an array's shape is not up to 8 whole numbers")
        if math.prod(shape) != len(items):
            raise DataError(f"an array of shape {shape} takes {math.prod(shape)} objects, not {len(items)}")
        # Nothing that may hold itself, such as lists.
        if not all(isinstance(item, (int, float, str, bytes, np.ndarray, type(None))) for item in items):
            raise DataError("an array holds objects other than numbers, text and arrays")
        if any(isinstance(item, np.ndarray) and item.dtype == object for item in items):
            raise DataError("an array of objects holds another one")
        self.charge = len(items)
        self.content = sum(item.nbytes for item in items if isinstance(item, np.ndarray))
        self.values = np.fromiter(items, dtype=object, count=len(items)).reshape(shape, order=order)


def finished(value: Any) -> Any:
    """The array that was built, or the `value` itself when it is no `PickledArray`.

    Raises:
        DataError: an array was made, but has no content.
    """
    if not isinstance(value, PickledArray):
        return value
    if value.values is None:
        raise DataError("an array has no content")
    return value.values


def new_array(*_: Any) -> PickledArray:
    """What stands in for numpy's `_reconstruct`: an array without content, whatever the arguments."""
    return PickledArray()


def _array_of_buffer(data: Any, kind: Any, shape: Any, order: Any) -> PickledArray:
    array = PickledArray()
    array.fill(shape, kind, order, data)
    return array


def _encoded(text: Any, encoding: Any) -> bytes:
    # Protocol 2 has no bytes: Python 3 writes them as latin1 text and a call that turns it back.
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise DataError("text is encoded otherwise than in latin1")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    # Protocol 2 again: the content of an empty array.
    return b""


# Our stand-ins, never the functions named: numpy's would allocate whatever shape the file claims.
MAKERS: Mapping[tuple[str, str], Callable[..., Any]] = {
    ("numpy.core.multiarray", "_reconstruct"): new_array,
    ("numpy._core.multiarray", "_reconstruct"): new_array,
    ("numpy.core.numeric", "_frombuffer"): _array_of_buffer,
    ("numpy._core.numeric", "_frombuffer"): _array_of_buffer,
    ("numpy", "dtype"): PickledType,
    ("_codecs", "encode"): _encoded,
    ("__builtin__", "bytes"): _no_bytes,
}


def admitted(module: str, name: str) -> Any:
    """What stands in for `name` of `module`, a function or a type that a pickle calls for.

    Raises:
        DataError: it is none that arrays need.
    """
    if (module, name) == ("numpy", "ndarray"):
        return np.ndarray  # only ever an argument of _reconstruct
    if (module, name) not in MAKERS:
        raise DataError(f"names {module}.{name}; only plain numpy arrays are read, and nothing is run")
    return MAKERS[module, name]
