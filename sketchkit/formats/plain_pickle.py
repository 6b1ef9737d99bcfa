"""The part of pickle that holds plain data, read without running anything.

Source: the opcodes are those of `pickletools` in Python's library, protocols 2 to 5.

The bytes are not given to `pickle`, not even with a restricted `find_class`: five bytes may still make it reserve
gigabytes (LONG_BINPUT), and BUILD may set attributes of whatever was admitted. Here, a small stack machine knows
dictionaries, tuples, numbers, text, bytes, and numpy arrays of plain numbers, which it views in the bytes of the file:
what it makes is never greater than what it was given.
"""

from __future__ import annotations

import math
import pickletools
import re
import struct
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sketchkit.errors import DataError

__all__ = ["load_plain"]


def load_plain(data: bytes) -> Any:
    """What a pickle holds: numbers, text, bytes, numpy arrays, tuples, and dictionaries of these.

    Args:
        data: the whole pickle.

    Raises:
        DataError: it holds anything else, is cut short or damaged.
    """
    machine = _Machine(len(data))
    byte = 0
    try:
        for opcode, argument, position in pickletools.genops(data):
            byte = position or 0
            if machine.step(opcode.name, argument):
                return machine.result()
    # What pickletools raises on damaged bytes (a DeprecationWarning where these are errors), and the steps themselves.
    except (Warning, ValueError, TypeError, KeyError, IndexError, OverflowError, struct.error) as error:
        if isinstance(error, DataError):
            raise DataError(f"byte {byte}: {error}") from error
        raise DataError(f"the pickle is damaged or cut short at byte {byte}: {error}") from error
    raise DataError(f"the pickle is cut short at byte {byte}")


_MARK = object()


class _Machine:
    """pickle's stack machine, less everything that calls or allocates on the file's word."""

    def __init__(self, bytes_given: int) -> None:
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._bytes_left = bytes_given

    def step(self, name: str, argument: Any) -> bool:
        """Perform one opcode; whether it was the last."""
        if name in _PUSHES_ARGUMENT:
            self._stack.append(argument)
        elif name == "BYTEARRAY8":
            self._stack.append(bytes(argument))
        elif name in _CONSTANTS:
            self._stack.append(_CONSTANTS[name])
        elif name in _TUPLE_SIZES:
            self._tuple(_TUPLE_SIZES[name])
        elif name in ("BINPUT", "LONG_BINPUT"):
            self._memo[argument] = self._stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            if argument not in self._memo:
                raise DataError("something is fetched that was never kept")
            self._stack.append(self._memo[argument])
        elif name in self._ACTIONS:
            self._ACTIONS[name](self, argument)
        elif name not in ("PROTO", "FRAME", "STOP"):
            raise DataError(f"the opcode {name} is of no plain data; it is refused")
        return name == "STOP"

    def result(self) -> Any:
        """What is left on the stack."""
        (value,) = self._stack
        return _finished(value)

    def _empty_dict(self, _: Any) -> None:
        self._stack.append({})

    def _mark(self, _: Any) -> None:
        self._stack.append(_MARK)

    def _memoize(self, _: Any) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def _tuple(self, size: int) -> None:
        items = self._stack[-size:]
        if len(items) != size:
            raise DataError("a tuple wants more items than there are")
        self._stack[-size:] = [tuple(items)]

    def _marked(self) -> list[Any]:
        start = len(self._stack) - 1
        while self._stack[start] is not _MARK:
            start -= 1
            if start < 0:
                raise DataError("a mark is missing")
        items = self._stack[start + 1 :]
        del self._stack[start:]
        return items

    def _tuple_from_mark(self, _: Any) -> None:
        self._stack.append(tuple(self._marked()))

    def _set_items(self, _: Any) -> None:
        self._fill(self._marked())

    def _set_item(self, _: Any) -> None:
        items = self._stack[-2:]
        del self._stack[-2:]
        self._fill(items)

    def _fill(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if not isinstance(target, dict) or len(items) % 2:
            raise DataError("items are set on what is no dictionary")
        for key, value in zip(items[::2], items[1::2], strict=True):
            # Never the repr of what the file made: tuples that share their items may print for ever.
            if not isinstance(key, (str, int)):
                raise DataError(f"a dictionary has a {type(key).__name__} as a key; keys must be text")
            target[key] = _finished(value)

    def _global(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self._stack.append(_admitted(module, name))

    def _stack_global(self, _: Any) -> None:
        module, name = self._stack[-2:]
        if not isinstance(module, str) or not isinstance(name, str):
            raise DataError("a name is no text")
        self._stack[-2:] = [_admitted(module, name)]

    def _reduce(self, _: Any) -> None:
        called, arguments = self._stack[-2:]
        if called not in _MAKERS.values() or not isinstance(arguments, tuple):
            raise DataError("something is called that is no array")
        made = called(*arguments)
        if isinstance(made, _Array):
            self._charge(made)
        self._stack[-2:] = [made]

    def _build(self, _: Any) -> None:
        state = self._stack.pop()
        built = self._stack[-1]
        if not isinstance(built, (_Array, _Type)) or not isinstance(state, tuple):
            raise DataError("a state is given to what is no array")
        built.set_state(*state)
        if isinstance(built, _Array):
            self._charge(built)

    def _charge(self, array: _Array) -> None:
        # Arrays that share their bytes would make millions of points of a few kilobytes.
        self._bytes_left -= len(array.data)
        if self._bytes_left < 0:
            raise DataError("the arrays together are greater than the file")

    _ACTIONS: Mapping[str, Callable[[_Machine, Any], None]] = {
        "EMPTY_DICT": _empty_dict,
        "MARK": _mark,
        "MEMOIZE": _memoize,
        "TUPLE": _tuple_from_mark,
        "SETITEM": _set_item,
        "SETITEMS": _set_items,
        "GLOBAL": _global,
        "STACK_GLOBAL": _stack_global,
        "REDUCE": _reduce,
        "BUILD": _build,
    }


class _Type:
    """A numpy dtype under construction."""

    def __init__(self, code: str, align: Any = False, copy: Any = False) -> None:
        if not isinstance(code, str) or not re.fullmatch("[fiub][0-9]{1,2}", code):
            named = repr(code[:20]) if isinstance(code, str) else type(code).__name__
            raise DataError(f"an array holds {named}; only plain numbers (f8, f4, i4, ...) are read")
        self._code = code
        self.dtype: np.dtype[Any] = np.dtype(code)

    def set_state(self, version: int, order: str, subarray: Any = None, *rest: Any) -> None:
        if subarray is not None or any(part is not None for part in rest[:2]):
            raise DataError("an array holds records; only plain numbers are read")
        if order not in ("<", ">", "=", "|"):
            raise DataError("an array's byte order is not <, >, = or |")
        self.dtype = np.dtype(order + self._code)


class _Array:
    """A numpy array under construction: a view of the bytes in the file."""

    def __init__(self) -> None:
        self.data = b""
        self.values: NDArray[Any] | None = None

    def set_state(self, version: int, shape: Any, kind: Any, by_columns: Any, data: Any) -> None:
        self.fill(shape, kind, "F" if by_columns else "C", data)

    def fill(self, shape: Any, kind: Any, order: Any, data: Any) -> None:
        if isinstance(data, str):
            data = data.encode("latin1")  # Python 2 knew no bytes
        if not isinstance(kind, _Type) or not isinstance(data, bytes) or order not in ("C", "F"):
            raise DataError("an array's state is not (version, shape, dtype, order, bytes)")
        sizes = shape if isinstance(shape, tuple) else (shape,)
        if not all(isinstance(size, int) and size >= 0 for size in sizes) or len(sizes) > 8:
            raise DataError("an array's shape is not up to 8 whole numbers")
        wanted = math.prod(sizes) * kind.dtype.itemsize
        if wanted != len(data):
            raise DataError(f"an array of shape {sizes} and {kind.dtype} takes {wanted} bytes, not {len(data)}")
        self.data = data
        flat = np.frombuffer(data, kind.dtype) if data else np.zeros(0, kind.dtype)
        self.values = flat.reshape(sizes, order=order)


def _finished(value: Any) -> Any:
    if not isinstance(value, _Array):
        return value
    if value.values is None:
        raise DataError("an array has no content")
    return value.values


def _new_array(*_: Any) -> _Array:
    return _Array()


def _array_of_buffer(data: Any, kind: Any, shape: Any, order: Any) -> _Array:
    array = _Array()
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
_MAKERS: Mapping[tuple[str, str], Callable[..., Any]] = {
    ("numpy.core.multiarray", "_reconstruct"): _new_array,
    ("numpy._core.multiarray", "_reconstruct"): _new_array,
    ("numpy.core.numeric", "_frombuffer"): _array_of_buffer,
    ("numpy._core.numeric", "_frombuffer"): _array_of_buffer,
    ("numpy", "dtype"): _Type,
    ("_codecs", "encode"): _encoded,
    ("__builtin__", "bytes"): _no_bytes,
}


def _admitted(module: str, name: str) -> Any:
    if (module, name) == ("numpy", "ndarray"):
        return np.ndarray  # only ever an argument of _reconstruct
    if (module, name) not in _MAKERS:
        raise DataError(f"names {module}.{name}; only plain numpy arrays are read, and nothing is run")
    return _MAKERS[module, name]


_PUSHES_ARGUMENT = frozenset(
    {
        *("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"),
        *("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINSTRING", "SHORT_BINSTRING"),
        *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
    }
)
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_TUPLE_SIZES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
