"""The part of pickle that holds plain data, read without running anything.

Source: the opcodes are those of `pickletools` in Python's library, protocols 2 to 5.

The bytes are not given to `pickle`, not even with a restricted `find_class`: five bytes may still make it reserve
gigabytes (LONG_BINPUT), and BUILD may set attributes of whatever was admitted. Here, a small stack machine knows
dictionaries, tuples, numbers, text, bytes, and numpy arrays of plain numbers, which it views in the bytes of the file:
what it makes is never greater than what it was given.
"""

from __future__ import annotations

import pickletools
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sketchkit.errors import DataError
from sketchkit.formats.pickled_arrays import MAKERS, PickledArray, PickledType, admitted, finished, new_array

__all__ = ["ListStart", "list_start", "load_plain"]


def load_plain(data: bytes, *, objects: bool = False) -> Any:
    """What a pickle holds: numbers, text, bytes, numpy arrays, tuples, and dictionaries of these.

    Args:
        data: the whole pickle.
        objects: also numpy arrays of objects, which may be numbers, text and arrays of plain numbers.

    Raises:
        DataError: it holds anything else, is cut short or damaged.
    """
    machine = _Machine(len(data), objects)
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


@dataclass(frozen=True)
class ListStart:
    """A pickle of an array of objects, read up to the end of its first item, itself an array.

    Args:
        byte: where reading stopped.
        length: how many items there are to be.
        first: the first item, of any shape.
        memo: where `_reconstruct`, `ndarray`, the text "b" and the item's dtype are in pickle's memo, -1 for not there;
            and how many entries it has, -1 when they are not numbered from 0.
    """

    byte: int
    length: int
    first: NDArray[Any]
    memo: tuple[int, int, int, int, int]


def list_start(data: bytes) -> ListStart | None:
    """The start of a one-dimensional array of arrays, for a reader that knows the rest; None for anything else.

    `data` is the whole pickle; it is walked through up to the end of the first item.
    """
    machine = _Machine(len(data), objects=True)
    built = 0
    try:
        for opcode, argument, position in pickletools.genops(data):
            # Three are built: the type of the whole, the type of the first item, the first item.
            if built == 3:
                return machine.list_start(position or 0)
            if machine.step(opcode.name, argument):
                return None
            built += opcode.name == "BUILD"
    except (Warning, ValueError, TypeError, KeyError, IndexError, OverflowError, struct.error):
        return None
    return None


_MARK = object()


class _Machine:
    """pickle's stack machine, less everything that calls or allocates on the file's word."""

    def __init__(self, bytes_given: int, objects: bool) -> None:
        self._objects = objects
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._bytes_given = self._bytes_left = bytes_given

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
        elif self._objects and name in self._LIST_ACTIONS:
            self._LIST_ACTIONS[name](self, argument)
        elif name not in ("PROTO", "FRAME", "STOP"):
            raise DataError(f"the opcode {name} is of no plain data; it is refused")
        return name == "STOP"

    def result(self) -> Any:
        """What is left on the stack."""
        (value,) = self._stack
        return finished(value)

    def list_start(self, byte: int) -> ListStart | None:
        """What `list_start` gives, when this is such a start."""
        # The array to be built and the state it will have, not closed yet, with the list and the first of its items.
        if len(self._stack) != 9:
            return None
        whole, mark, version, shape, kind, by_columns, items, inner, item = self._stack
        if not (isinstance(whole, PickledArray) and isinstance(kind, PickledType) and kind.dtype == object):
            return None
        if (
            mark is not _MARK
            or inner is not _MARK
            or version != 1
            or by_columns is not False
            or not isinstance(items, list)
        ):
            return None
        if not (isinstance(shape, tuple) and len(shape) == 1 and isinstance(shape[0], int) and shape[0] > 0):
            return None
        if items or not isinstance(item, PickledArray) or item.values is None:
            return None
        numbered = len(self._memo) if set(self._memo) == set(range(len(self._memo))) else -1
        text = max(self._kept_at("b"), self._kept_at(b"b"))
        places = (self._kept_at(new_array), self._kept_at(np.ndarray), text, self._kept_at(item.kind), numbered)
        return ListStart(byte, shape[0], item.values, places)

    def _kept_at(self, wanted: Any) -> int:
        same = (str, bytes)
        for number, kept in self._memo.items():
            if kept is wanted or (isinstance(wanted, same) and type(kept) is type(wanted) and kept == wanted):
                return number
        return -1

    def _empty_list(self, _: Any) -> None:
        self._stack.append([])

    def _append(self, _: Any) -> None:
        self._extend([self._stack.pop()])

    def _append_marked(self, _: Any) -> None:
        self._extend(self._marked())

    def _extend(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if not isinstance(target, list):
            raise DataError("items are added to what is no list")
        target.extend(finished(item) for item in items)

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
            target[key] = finished(value)

    def _global(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self._stack.append(admitted(module, name))

    def _stack_global(self, _: Any) -> None:
        module, name = self._stack[-2:]
        if not isinstance(module, str) or not isinstance(name, str):
            raise DataError("a name is no text")
        self._stack[-2:] = [admitted(module, name)]

    def _reduce(self, _: Any) -> None:
        called, arguments = self._stack[-2:]
        if called not in MAKERS.values() or not isinstance(arguments, tuple):
            raise DataError("something is called that is no array")
        if called is PickledType and not self._objects and arguments[:1] in (("O8",), ("O4",), ("O",)):
            raise DataError("an array holds 'O8'; only plain numbers (f8, f4, i4, ...) are read")
        made = called(*arguments)
        if isinstance(made, PickledArray):
            self._charge(made)
        self._stack[-2:] = [made]

    def _build(self, _: Any) -> None:
        state = self._stack.pop()
        built = self._stack[-1]
        if not isinstance(built, (PickledArray, PickledType)) or not isinstance(state, tuple):
            raise DataError("a state is given to what is no array")
        built.set_state(*state)
        if isinstance(built, PickledArray):
            self._charge(built)

    def _charge(self, array: PickledArray) -> None:
        # Arrays that share their bytes would make millions of points of a few kilobytes.
        self._bytes_left -= array.charge
        # And so would one array that is there many times.
        if self._bytes_left < 0 or array.content > self._bytes_given:
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
    _LIST_ACTIONS: Mapping[str, Callable[[_Machine, Any], None]] = {
        "EMPTY_LIST": _empty_list,
        "APPEND": _append,
        "APPENDS": _append_marked,
    }


_PUSHES_ARGUMENT = frozenset(
    {
        *("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"),
        *("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINSTRING", "SHORT_BINSTRING"),
        *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
    }
)
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_TUPLE_SIZES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
