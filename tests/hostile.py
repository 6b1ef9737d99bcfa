"""Hostile files by format: what a reader must refuse, or survive, whatever it is asked to believe.

Each is made by a function of a marker: a path that no reader may create, read or open. Formats that are not in the
registry are left out by the tests.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import pickletools
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

__all__ = ["HOSTILE", "RECORDS", "Records"]

Maker = Callable[[Path], bytes]


def _line(drawing: object, **fields: object) -> bytes:
    return json.dumps({"word": "cat", **fields, "drawing": drawing}).encode() + b"\n"


_QUICKDRAW: dict[str, Maker] = {
    "lists nested deep": lambda _: b'{"drawing":' + b"[" * 200_000 + b"]" * 200_000 + b"}\n",
    "objects nested deep": lambda _: b'{"a":' * 200_000 + b"1" + b"}" * 200_000 + b"\n",
    "NaN": lambda _: b'{"drawing":[[[NaN,1],[2,3]]]}\n',
    "Infinity": lambda _: b'{"drawing":[[[1,2],[2,-Infinity]]]}\n',
    "a number beyond float64": lambda _: b'{"drawing":[[[1e999],[2]]]}\n',
    "a number of a million digits": lambda _: b'{"drawing":[[[' + b"9" * 1_000_000 + b"],[2]]]}\n",
    "a number of a million digits after the point": lambda _: b'{"drawing":[[[1.' + b"9" * 1_000_000 + b"],[2]]}\n",
    "an exponent of a thousand digits": lambda _: b'{"drawing":[[[1e' + b"9" * 1000 + b"],[2]]]}\n",
    "half a surrogate": lambda _: b'{"word":"\\ud800","drawing":[[[1],[2],[3]],[[1],[2]]]}\n',
    "bytes that are no UTF-8": lambda _: b'{"word":"\xff\xfe","drawing":[[[1],[2]]]}\n',
    "UTF-16": lambda _: b"\xff\xfe" + '{"drawing":[[[1],[2]]]}\n'.encode("utf-16-le"),
    "zero bytes": lambda _: b'{"drawing":[[[1],[2]]]}\0\0\0\0\n' + b"\0" * 1000,
    "types for numbers": lambda _: _line([[["1"], [None]]]),
    "types for strokes": lambda _: _line([[1, 2], "ab", None, {"x": 1}]),
    "no strokes but a number": lambda _: _line(7),
    "lists of unequal length": lambda _: _line([[[1] * 1000, [2]]]),
    "a hundred lists": lambda _: _line([[[1]] * 100]),
    "a drawing in a text": lambda _: b'{"word":"\\"drawing\\":[[[1],[2]]]","drawing":3}\n',
    "an object that is not closed": lambda _: b'{"drawing":[[[1],[2]]]\n',
    "text after the object": lambda _: b'{"drawing":[[[1],[2]]]} {"drawing":[]}\n',
    "commas where none belong": lambda _: b'{"drawing":[[[1,,2],[2,3]]]}\n',
    "a comma at the end": lambda _: b'{"drawing":[[[1,2,],[2,3]]]}\n',
    "numbers that JSON has not": lambda _: b'{"drawing":[[[01,+2,.5,5.,0x1F],[1,2,3,4,5]]]}\n',
}

_HEADER = "<Q2sbIH"
_BINARY: dict[str, Maker] = {
    "claims of 8 GB": lambda _: struct.pack(_HEADER, 1, b"CH", 1, 0, 65535) + b"\xff" * 1000,
    "a claim at the end": lambda _: struct.pack(_HEADER, 1, b"CH", 1, 0, 1) + b"\xff\xff",
    "a claim without any byte": lambda _: struct.pack(_HEADER, 1, b"CH", 1, 0, 65535),
    "a country that is no ASCII": lambda _: struct.pack(_HEADER, 1, b"\xff\xff", 1, 0, 0),
    "a flag of -128": lambda _: struct.pack(_HEADER, 1, b"CH", -128, 0, 0),
    "a header cut short": lambda _: struct.pack(_HEADER, 1, b"CH", 1, 0, 0)[:-1],
}


def _running(call: Callable[..., object], *arguments: object) -> Callable[[Path], object]:
    class Runs:
        def __reduce__(self) -> tuple[object, ...]:
            return call, arguments

    return lambda _: Runs()


def _touching(marker: Path) -> list[object]:
    """Objects that create the marker when they are unpickled."""
    commands = [
        (os.system, f"touch {marker}"),
        (eval, f"open({str(marker)!r}, 'w')"),
        (exec, f"open({str(marker)!r}, 'w')"),
        (open, str(marker), "w"),
        (os.mkdir, str(marker)),
        (np.save, str(marker), 1),
        (np.memmap, str(marker), "u1", "w+", 0, 8),
    ]
    return [_running(*command)(marker) for command in commands]


def _pickled(make: Callable[[Path], object], protocol: int = 3) -> Maker:
    return lambda marker: pickle.dumps(make(marker), protocol)


def _object_array(marker: Path) -> object:
    array = np.empty(1, object)
    array[0] = _touching(marker)[0]
    return {"/train/a_1": array}


def _shared_tuples(marker: Path) -> object:
    nested: object = ()
    for _ in range(60):
        nested = (nested, nested)
    return {"/train/a_1": nested}


def _deep(marker: Path) -> bytes:
    return b"\x80\x03" + b"(" * 100_000 + b"t" * 100_000 + b"."


_ARRAY_CALL = b"cnumpy.core.multiarray\n_reconstruct\n"
_QMUL: dict[str, Maker] = {
    **{
        f"a call of {name}": lambda marker, place=place: pickle.dumps({"/train/a_1": _touching(marker)[place]}, 3)
        for place, name in enumerate(("os.system", "eval", "exec", "open", "os.mkdir", "numpy.save", "numpy.memmap"))
    },
    "a call, protocol 0": lambda marker: pickle.dumps({"/train/a_1": _touching(marker)[0]}, 0),
    "a call, protocol 5": lambda marker: pickle.dumps({"/train/a_1": _touching(marker)[0]}, 5),
    "a call inside an object array": _pickled(_object_array),
    "an array as large as claimed": lambda _: (
        b"\x80\x03}X\x01\x00\x00\x00a"
        + _ARRAY_CALL
        + (b"cnumpy\nndarray\n\x8a\x05\xff\xff\xff\xff\x7f\x85C\x01b\x87Rs.")
    ),
    "a memo of four billion": lambda _: b"\x80\x03}r\xff\xff\xff\xff.",
    "a text of four billion": lambda _: b"\x80\x03X\xff\xff\xff\xffabc.",
    "bytes of 2**63": lambda _: b"\x80\x04\x8e" + b"\xff" * 8 + b"abc.",
    "a number of two billion bytes": lambda _: b"\x80\x03\x8b\xff\xff\xff\x7f1.",
    "tuples that share their items": _pickled(_shared_tuples),
    "tuples nested deep": _deep,
    "a dictionary in itself": lambda _: b"\x80\x03}q\x00X\x01\x00\x00\x00ah\x00s.",
    "an object known elsewhere": lambda _: b"\x80\x03X\x01\x00\x00\x00aQ.",
    "an extension": lambda _: b"\x80\x03\x82\x01.",
    "marks alone": lambda _: b"\x80\x03" + b"(" * 1000 + b".",
    "a key that is no text": _pickled(lambda _: {(1, 2): np.zeros((3, 3))}),
    "arrays that are no numbers": _pickled(lambda _: {"/train/a_1": np.array(["a"], "U1")}),
    "NaN": _pickled(lambda _: {"/train/a_1": np.full((3, 3), np.nan)}),
    "a pen of 7": _pickled(lambda _: {"/train/a_1": np.full((3, 3), 7.0)}),
    "another shape": _pickled(lambda _: {"/train/a_1": np.zeros((3, 2))}),
    "a list": _pickled(lambda _: [np.zeros((3, 3))]),
}
assert any(opcode.name == "REDUCE" for opcode, _, _ in pickletools.genops(_QMUL["a call of eval"](Path("x"))))


def _svg(body: str, before: str = "") -> Maker:
    return lambda _: f'{before}<svg xmlns="http://www.w3.org/2000/svg">{body}</svg>'.encode()


def _entities(levels: int) -> str:
    steps = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, levels))
    return f'<!DOCTYPE svg [<!ENTITY e0 "M0 0L1 1">{steps}]>'


def _outside(marker: Path) -> bytes:
    marker.with_suffix(".secret").write_text("M0 0L31 41")
    doctype = f'<!DOCTYPE svg [<!ENTITY x SYSTEM "file://{marker.with_suffix(".secret")}">]>'
    return f"{doctype}<svg><path d='&x;'/></svg>".encode()


def _uses(levels: int) -> str:
    steps = "".join(f'<g id="g{n}">{f"""<use href="#g{n - 1}"/>""" * 10}</g>' for n in range(1, levels))
    return f'<g id="g0"><g/></g>{steps}'


_SVG: dict[str, Maker] = {
    "entities that repeat": _svg('<path d="&e9;"/>', _entities(10)),
    "an entity in itself": _svg('<path d="&a;"/>', '<!DOCTYPE svg [<!ENTITY a "&b;"><!ENTITY b "&a;">]>'),
    "an entity from a file": _outside,
    "a parameter entity": _svg("<path d='M0 0L1 1'/>", '<!DOCTYPE svg [<!ENTITY % p SYSTEM "file:///etc/passwd">%p;]>'),
    "uses that repeat": _svg(_uses(10)),
    "a use of itself": _svg('<g id="a"><use href="#a"/></g>'),
    "a use of what is elsewhere": _svg('<use href="file:///etc/passwd#a"/>'),
    "groups nested deep": _svg("<g>" * 20_000 + '<path d="M0 0L1 1"/>' + "</g>" * 20_000),
    "groups nested deep, each scaled": _svg('<g transform="scale(9)">' * 2000 + '<path d="M0 1L1 1"/>' + "</g>" * 2000),
    "a curve of a billion points": _svg('<path d="M0 0C1e15 1e15 1e15 0 0 0"/>'),
    "NaN in a path": _svg('<path d="M0 0LNaN 1"/>'),
    "infinity in a path": _svg('<path d="M0 0L1e999 1"/>'),
    "a point beyond float32": _svg('<path d="M0 0L1e39 1"/>'),
    "an arc of no number": _svg('<path d="M0 0A1e308 1e-308 45 0 1 1e308 5"/>'),
    "a radius beyond float64": _svg('<circle r="1e999"/>'),
    "a transform of NaN": _svg('<path transform="scale(nan)" d="M0 0L1 1"/>'),
    "transforms without end": _svg(f'<path transform="{"rotate(1)" * 10_000}" d="M0 0L1 1"/>'),
    "a number of a million digits": _svg(f'<path d="M0 0L{"9" * 1_000_000} 1"/>'),
    "signs alone": _svg(f'<path d="M{"-" * 100_000}"/>'),
    "points alone": _svg(f'<path d="M{"." * 100_000}"/>'),
    "commands alone": _svg(f'<path d="{"M" * 100_000}"/>'),
    "moves alone": _svg(f'<path d="{"M0 0" * 10_000}"/>'),
    "two roots": lambda _: b"<svg><path d='M0 0L1 1'/></svg><svg/>",
    "no end": lambda _: b"<svg><path d='M0 0L1 1'/>",
    "another root": lambda _: b"<html><svg><path d='M0 0L1 1'/></svg></html>",
    "nothing drawn": _svg(""),
    "UTF-16 that is none": lambda _: b'<?xml version="1.0" encoding="utf-16"?><svg><path d="M0 0L1 1"/></svg>',
    "an encoding nobody knows": lambda _: b'<?xml version="1.0" encoding="x-evil"?><svg><path d="M0 0L1 1"/></svg>',
}

_ROWS = b",x,y,pen,strokeID,sketchID,photoID\n"
_SKETCHY: dict[str, Maker] = {
    "text": lambda _: _ROWS + b"0,a,b,1,0,0,p\n",
    "NaN": lambda _: _ROWS + b"0,nan,1,1,0,0,p\n",
    "Infinity": lambda _: _ROWS + b"0,1,-Infinity,1,0,0,p\n",
    "beyond float32": lambda _: _ROWS + b"0,1e39,1,1,0,0,p\n",
    "beyond int64": lambda _: _ROWS + b"0,1,1,1,0,99999999999999999999,p\n",
    "a number of a million digits": lambda _: _ROWS + b"0," + b"9" * 1_000_000 + b",1,1,0,0,p\n",
    "an open quote": lambda _: _ROWS + b'0,1,1,1,0,0,"p\n' + b"1,1,1,2,0,0,p\n" * 100,
    "quotes alone": lambda _: _ROWS + b'"' * 100_001 + b"\n",
    "commas alone": lambda _: _ROWS + b"," * 1_000_000 + b"\n",
    "zero bytes": lambda _: _ROWS + b"\0" * 100_000,
    "bytes that are no UTF-8": lambda _: _ROWS + b"0,1,1,1,0,0,\xff\xfe\n",
    "a header without the rest": lambda _: b"x,y\n1,2\n",
    "another pen": lambda _: _ROWS + b"0,1,1,3,0,0,p\n",
    "rows out of order": lambda _: _ROWS + b"1,1,1,2,0,0,p\n0,1,1,1,0,0,p\n",
    "mixed drawings": lambda _: _ROWS + b"0,1,1,1,0,0,p\n0,1,1,1,0,1,p\n0,1,1,2,0,0,p\n",
}


def _game(*paths: object) -> Maker:
    return lambda _: b"svg\n" + ('"' + json.dumps(list(paths)).replace('"', '""') + '"\n').encode()


_GAME: dict[str, Maker] = {
    "lists nested deep": lambda _: b"svg\n" + b"[" * 200_000 + b"\n",
    "numbers for paths": _game(1, 2),
    "NaN": _game("M0 0LNaN 1"),
    "beyond float32": _game("M0 0L1e39 1"),
    "a curve of a billion points": _game("M0 0C1e15 1e15 1e15 0 0 0"),
    "an open quote": lambda _: b'svg\n"[""M0 0L1 1""]\n' + b"x\n" * 10_000,
    "quotes alone": lambda _: b"svg\n" + b'"' * 100_001 + b"\n",
    "commas alone": lambda _: b"svg\n" + b"," * 1_000_000 + b"\n",
    "a wrong count": lambda _: b'svg,numStrokes\n"[""M0 0L1 1""]",99999999999999999999\n',
    "bytes that are no UTF-8": lambda _: b'svg,a\n"[""M0 0L1 1""]",\xff\n',
    "zero bytes": lambda _: b"svg\n" + b"\0" * 1000 + b"\n",
    "no column svg": lambda _: b"a,b\n1,2\n",
    "two columns svg": lambda _: b"svg,svg\n[],[]\n",
    "moves alone": _game("M0 0" * 10_000),
    "signs alone": _game("M" + "-" * 100_000),
}


def _npz(member: str, array: Callable[[Path], object]) -> Maker:
    def make(marker: Path) -> bytes:
        held, packed = io.BytesIO(), io.BytesIO()
        np.save(held, array(marker), allow_pickle=True)
        with zipfile.ZipFile(packed, "w") as archive:
            for name in (member, "valid.npy", "test.npy") if member == "train.npy" else (member,):
                archive.writestr(name, held.getvalue())
        return packed.getvalue()

    return make


def _objects(*values: object) -> object:
    array = np.empty(len(values), object)
    array[:] = values
    return array


def _claiming(member: str, shape: str) -> Maker:
    def make(_: Path) -> bytes:
        header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117).encode() + b"\n"
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr(member, b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + b"\0" * 64)
        return packed.getvalue()

    return make


def _bomb(member: str) -> Maker:
    def make(_: Path) -> bytes:
        header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (16000000, 2), }".ljust(117) + b"\n"
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive, archive.open(member, "w") as file:
            file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
        return packed.getvalue()

    return make


def _archives(member: str) -> dict[str, Maker]:
    return {
        "a call inside an object array": _npz(member, lambda marker: _objects(_touching(marker)[0])),
        "an array of text": _npz(member, lambda _: np.array(["a", "b"])),
        "an array of no dimension": _npz(member, lambda _: np.float64(3)),
        "NaN": _npz(member, lambda _: np.full((4, 2), np.nan)),
        "a claim of terabytes": _claiming(member, "(1000000000000, 2)"),
        "a negative shape": _claiming(member, "(-5, 2)"),
        "a shape that is code": _claiming(member, "(__import__('os').getpid(), 2)"),
        "a shape beyond int64": _claiming(member, "(10**30, 2)"),
        "a claim without bytes": _bomb(member),
        "a member outside": _npz("../../evil.npy", lambda _: np.zeros((3, 2))),
        "an archive of nothing": lambda _: b"PK\x05\x06" + b"\0" * 18,
    }


_SKETCHRNN = _archives("train.npy") | {
    "rows of two": _npz("train.npy", lambda _: _objects(np.zeros((3, 2), np.int16), np.zeros((5, 2), np.int16))),
    "a pen of 7": _npz("train.npy", lambda _: _objects(np.full((3, 3), 7, np.int16), np.full((4, 3), 7, np.int16))),
}

HOSTILE: dict[str, dict[str, Maker]] = {
    "drawing-game": _GAME,
    "polylines-npz": _archives("arr_0.npy"),
    "qmul": _QMUL,
    "quickdraw": _QUICKDRAW,
    "quickdraw-binary": _BINARY,
    "sketch-rnn": _SKETCHRNN,
    "sketchy": _SKETCHY,
    "svg": _SVG,
}


class Records:
    """A format whose records can be told apart without reading them.

    Args:
        before: what a file begins with.
        good: the bytes of a good record, by its number.
        bad: the bytes of records that hold something wrong, by their number.
    """

    def __init__(self, before: bytes, good: Callable[[int], bytes], bad: list[Callable[[int], bytes]]) -> None:
        self.before, self.good, self.bad = before, good, bad


def _rows(number: int, x: str = "1.5") -> bytes:
    return f"0,{x},2,1,0,{number},p\n1,3,4,2,0,{number},p\n2,5,6,1,1,{number},p\n".encode()


def _record(number: int, paths: str = '[""M1 2L3 4""]', count: str = "1") -> bytes:
    return f'{number},"{paths}",{count}\n'.encode()


def _binary(number: int, country: bytes = b"CH", flag: int = 1) -> bytes:
    return struct.pack(_HEADER, number, country, flag, 0, 1) + struct.pack("<H", 2) + bytes((1, 3, 2, 4))


RECORDS = {
    "quickdraw": Records(
        b"",
        lambda number: _line([[[1, 3], [2, 4]]], key_id=str(number)),
        [
            lambda number: b"{\n",
            lambda number: b'{"word":"cat"}\n',
            lambda number: b'"drawing"\n',
            lambda number: _line([[[1, 3], [2]]], key_id=str(number)),
            lambda number: _line([[["1"], [2]]], key_id=str(number)),
            lambda number: b'{"word":"cat","drawing":[[[1],[NaN]]]}\n',
            lambda number: b"\xff\xfe\n",
        ],
    ),
    "quickdraw-binary": Records(
        b"", _binary, [lambda number: _binary(number, flag=2), lambda number: _binary(number, b"\xff\xff")]
    ),
    "sketchy": Records(
        _ROWS,
        _rows,
        [
            lambda number: _rows(number, "nan"),
            lambda number: _rows(number, "x"),
            lambda number: _rows(number).replace(b",3,4,2", b",3,4,1"),
            lambda number: _rows(number).replace(b",3,4,2", b",3,2"),
        ],
    ),
    "drawing-game": Records(
        b"n,svg,numStrokes\n",
        _record,
        [
            lambda number: _record(number, "[L1 1]"),
            lambda number: _record(number, count="2"),
            lambda number: b"1,2\n",
            lambda number: b'1,"[]"x,0\n',
            lambda number: _record(number, '[""M0 0L1e39 1""]'),
        ],
    ),
}
