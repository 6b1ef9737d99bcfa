"""Drawings out of lines of JSON, as far as a line has the strict common shape; other lines are only marked.

That shape is one object a line: names and texts of plain ASCII without escapes, each name once, values that are
texts, numbers, true, false or null, and one `drawing`, a list of strokes of two or three lists of numbers, of the same
length. Whitespace may stand where JSON allows it, fields in any order.

All kernels take bytes that end with `PADDING` newlines: no token contains a newline, so that each scan ends there and
looking a few bytes ahead stays inside. A position of -1 says that a line is of another shape. Serial, hence
`cache=True`.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from sketchkit.kernels.json_numbers import number_end, parse_number

__all__ = ["FALSE", "INTEGER", "MOST_FIELDS", "NULL", "NUMBER", "PADDING", "TEXT", "TRUE", "parse_lines"]

PADDING = 16
MOST_FIELDS = 16
# What a field holds; 0 when a record lacks it. An INTEGER is one that int64 holds for sure.
TEXT, INTEGER, NUMBER, TRUE, FALSE, NULL = 1, 2, 3, 4, 5, 6

_TAB, _NEWLINE, _RETURN, _SPACE, _QUOTE, _COMMA, _MINUS, _ZERO, _COLON = 9, 10, 13, 32, 34, 44, 45, 48, 58
_OPEN_LIST, _BACKSLASH, _CLOSE_LIST, _OPEN_OBJECT, _CLOSE_OBJECT = 91, 92, 93, 123, 125
_DRAWING = np.frombuffer(b"drawing", np.uint8)
_TRUE, _FALSE, _NULL = (np.frombuffer(word, np.uint8) for word in (b"true", b"false", b"null"))


@njit(cache=True, nogil=True)
def parse_lines(
    data: NDArray[np.uint8],
    end: int,
    lines: NDArray[np.int32],
    known: NDArray[np.bool_],
    names: NDArray[np.int32],
    kinds: NDArray[np.uint8],
    spans: NDArray[np.int32],
    widths: NDArray[np.uint8],
    sketch_offsets: NDArray[np.int64],
    stroke_offsets: NDArray[np.int64],
    points: NDArray[np.float32],
    third: NDArray[np.float32],
) -> tuple[int, int, int, int, int, int]:
    """Parse the lines of `data[:end]`, which ends with a line's end; blank ones are no records.

    Args:
        data: (end + PADDING,) bytes.
        end: how many of them are lines.
        lines: (newlines + 1, 3), filled: where each line that is not blank starts, where the next one does, and its
            number in `data` from 0.
        known: (newlines + 1,), filled: whether that line has the shape; only such lines are records below.
        names: (MOST_FIELDS, 2), filled: where the name of each field stands.
        kinds: (end // 14 + 1, MOST_FIELDS), filled: what each field of a record holds.
        spans: (end // 14 + 1, MOST_FIELDS, 2), filled: where the text or number of it stands.
        widths: (end // 14 + 1,), filled: how many lists the strokes of a record have.
        sketch_offsets: (end // 14 + 2,), filled.
        stroke_offsets: (end // 7 + 2,), filled.
        points: (2 * (end // 2 + 2),), filled: x and y in turn.
        third: (end // 2 + 2,), filled: what a third list holds.

    Returns:
        How many lines that are not blank, records, strokes, points, fields, and lines of all kinds there are.
    """
    at, line, record, stroke, point, fields, number = 0, 0, 0, 0, 0, 0, 0
    sketch_offsets[0], stroke_offsets[0] = 0, 0
    while at < end:
        start = at
        at = _skip_blank(data, at)
        if data[at] != _NEWLINE:
            for field in range(MOST_FIELDS):
                kinds[record, field] = 0
            at, new_stroke, new_point, new_fields, width = _record(
                data, at, record, stroke, point, fields, names, kinds, spans, stroke_offsets, points, third
            )
            known[line] = at >= 0
            if at >= 0:
                stroke, point, fields = new_stroke, new_point, new_fields
                widths[record] = width
                record += 1
                sketch_offsets[record] = stroke
            else:
                at = start
                while data[at] != _NEWLINE:
                    at += 1
            lines[line, 0], lines[line, 1], lines[line, 2] = start, min(at + 1, end), number
            line += 1
        at += 1
        number += 1
    return line, record, stroke, point, fields, number


@njit(cache=True, nogil=True)
def _record(
    data: NDArray[np.uint8],
    at: int,
    record: int,
    stroke: int,
    point: int,
    fields: int,
    names: NDArray[np.int32],
    kinds: NDArray[np.uint8],
    spans: NDArray[np.int32],
    stroke_offsets: NDArray[np.int64],
    points: NDArray[np.float32],
    third: NDArray[np.float32],
) -> tuple[int, int, int, int, int]:
    """One object and the newline it ends at; the position of that newline, the new counts, and the strokes' width."""
    if data[at] != _OPEN_OBJECT:
        return -1, stroke, point, fields, 0
    width, expected = 0, 0
    while True:
        at = _skip(data, at + 1)
        first = at + 1
        last = _text_end(data, first) if data[at] == _QUOTE else -1
        if last < 0:
            return -1, stroke, point, fields, 0
        at = _skip(data, last + 1)
        if data[at] != _COLON:
            return -1, stroke, point, fields, 0
        at = _skip(data, at + 1)
        if last - first == len(_DRAWING) and _begins_with(data, first, _DRAWING):
            if width > 0:
                return -1, stroke, point, fields, 0
            at, stroke, point, width = _drawing(data, at, stroke, point, stroke_offsets, points, third)
        else:
            field, fields = _field(data, first, last, names, fields, expected)
            if field < 0 or kinds[record, field] != 0:
                return -1, stroke, point, fields, 0
            expected = field + 1
            kind, first, last, at = _scalar(data, at)
            kinds[record, field], spans[record, field, 0], spans[record, field, 1] = kind, first, last
        if at < 0:
            return -1, stroke, point, fields, 0
        at = _skip(data, at)
        if data[at] != _COMMA:
            break
    if data[at] != _CLOSE_OBJECT or width == 0:
        return -1, stroke, point, fields, 0
    at = _skip(data, at + 1)
    return at if data[at] == _NEWLINE else -1, stroke, point, fields, width


@njit(cache=True, nogil=True)
def _drawing(
    data: NDArray[np.uint8],
    at: int,
    stroke: int,
    point: int,
    stroke_offsets: NDArray[np.int64],
    points: NDArray[np.float32],
    third: NDArray[np.float32],
) -> tuple[int, int, int, int]:
    """The strokes, from `[` on; the position after `]`, the new counts, and how many lists a stroke has."""
    if data[at] != _OPEN_LIST:
        return -1, stroke, point, 0
    at = _skip(data, at + 1)
    if data[at] == _CLOSE_LIST:
        return at + 1, stroke, point, 2
    width = 0
    while True:
        if data[at] != _OPEN_LIST:
            return -1, stroke, point, 0
        at, count = _numbers(data, _skip(data, at + 1), points, 2 * point, 2)
        if at < 0 or data[_skip(data, at)] != _COMMA:
            return -1, stroke, point, 0
        at, others = _numbers(data, _skip(data, _skip(data, at) + 1), points, 2 * point + 1, 2)
        if at < 0 or others != count:
            return -1, stroke, point, 0
        at, lists = _skip(data, at), 2
        if data[at] == _COMMA:
            at, others = _numbers(data, _skip(data, at + 1), third, point, 1)
            if at < 0 or others != count:
                return -1, stroke, point, 0
            at, lists = _skip(data, at), 3
        if data[at] != _CLOSE_LIST or (width > 0 and lists != width):
            return -1, stroke, point, 0
        width = lists
        stroke, point = stroke + 1, point + count
        stroke_offsets[stroke] = point
        at = _skip(data, at + 1)
        if data[at] == _CLOSE_LIST:
            return at + 1, stroke, point, width
        if data[at] != _COMMA:
            return -1, stroke, point, 0
        at = _skip(data, at + 1)


@njit(cache=True, nogil=True)
def _numbers(data: NDArray[np.uint8], at: int, out: NDArray[np.float32], first: int, step: int) -> tuple[int, int]:
    """A list of numbers into `out[first::step]`, from `[` on; the position after `]`, and how many there are."""
    if data[at] != _OPEN_LIST:
        return -1, 0
    at = _skip(data, at + 1)
    if data[at] == _CLOSE_LIST:
        return at + 1, 0
    count = 0
    while True:
        # One to three digits without a branch on how many: that is not predictable, and nearly all numbers are such.
        a, b, c = int(data[at]) - _ZERO, int(data[at + 1]) - _ZERO, int(data[at + 2]) - _ZERO
        two = (b >= 0) & (b <= 9)
        three = two & (c >= 0) & (c <= 9)
        value = a
        if two:
            value = 10 * value + b
        if three:
            value = 10 * value + c
        after = at + 1 + int(two) + int(three)
        following = data[after]
        ends = (following == _COMMA) | (following == _CLOSE_LIST)
        if ends & (a >= 0) & (a <= 9) & ((a > 0) | (not two)):
            out[first + step * count] = np.float32(value)
            at = after
        else:
            number, at = parse_number(data, at)
            if at < 0:
                return -1, 0
            out[first + step * count] = np.float32(number)
            at = _skip(data, at)
            following = data[at]
        count += 1
        if following == _CLOSE_LIST:
            return at + 1, count
        if following != _COMMA:
            return -1, 0
        at += 1
        if data[at] <= _SPACE:
            at = _skip(data, at)


@njit(cache=True, nogil=True)
def _scalar(data: NDArray[np.uint8], at: int) -> tuple[int, int, int, int]:
    """What a value is, where its text or number starts and ends, and the position after it."""
    byte = data[at]
    if byte == _QUOTE:
        last = _text_end(data, at + 1)
        return TEXT, at + 1, last, (last + 1 if last >= 0 else -1)
    if byte == 116 and _begins_with(data, at, _TRUE):
        return TRUE, at, at + 4, at + 4
    if byte == 102 and _begins_with(data, at, _FALSE):
        return FALSE, at, at + 5, at + 5
    if byte == 110 and _begins_with(data, at, _NULL):
        return NULL, at, at + 4, at + 4
    last, whole = number_end(data, at)
    if last < 0:
        return NULL, 0, 0, -1
    kind = INTEGER if whole and last - at <= 18 and not (byte == _MINUS and data[at + 1] == _ZERO) else NUMBER
    return kind, at, last, last


@njit(cache=True, nogil=True)
def _field(
    data: NDArray[np.uint8], first: int, last: int, names: NDArray[np.int32], fields: int, expected: int
) -> tuple[int, int]:
    """Which field a name is, -1 when there are too many, and how many there are; most often it is the expected one."""
    for turn in range(fields):
        field = (expected + turn) % fields
        if names[field, 1] - names[field, 0] == last - first:
            index = 0
            while index < last - first and data[names[field, 0] + index] == data[first + index]:
                index += 1
            if index == last - first:
                return field, fields
    if fields == MOST_FIELDS:
        return -1, fields
    names[fields, 0], names[fields, 1] = first, last
    return fields, fields + 1


@njit(cache=True, nogil=True)
def _text_end(data: NDArray[np.uint8], at: int) -> int:
    """Where the closing quote of a text is; -1 when it holds an escape, a control character or no ASCII."""
    while data[at] != _QUOTE:
        if data[at] < _SPACE or data[at] == _BACKSLASH or data[at] > 127:
            return -1
        at += 1
    return at


@njit(cache=True, nogil=True)
def _begins_with(data: NDArray[np.uint8], at: int, word: NDArray[np.uint8]) -> bool:
    index = 0
    while index < len(word) and data[at + index] == word[index]:
        index += 1
    return index == len(word)


@njit(cache=True, nogil=True)
def _skip(data: NDArray[np.uint8], at: int) -> int:
    """The first position from `at` on that is no whitespace inside a line."""
    while data[at] == _SPACE or data[at] == _TAB or data[at] == _RETURN:
        at += 1
    return at


@njit(cache=True, nogil=True)
def _skip_blank(data: NDArray[np.uint8], at: int) -> int:
    """As `_skip`, but back at the start when the line has what only blank lines may have (vertical tab, form feed)."""
    start = at
    while data[at] == _SPACE or (data[at] >= _TAB and data[at] <= _RETURN and data[at] != _NEWLINE):
        at += 1
    return at if data[at] == _NEWLINE else _skip(data, start)
