"""Plain SVG documents: groups with transforms, and in them paths, lines, polylines and polygons.

Serial, hence `cache=True`. It takes a part of XML, so that nothing is accepted which an XML parser refuses: ASCII names
without prefixes, attributes each named once, the five entities of XML and no others, text only in titles. Whatever is
not in that part ends the reading of the document without an answer; `sketchkit.formats.svg_tree` then reads it.
Source: https://www.w3.org/TR/xml/ and https://www.w3.org/TR/SVG11/struct.html.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from sketchkit.kernels.svg_numbers import read_number
from sketchkit.kernels.svg_path import FULL, READ, UNKNOWN, add_line, read_path
from sketchkit.kernels.svg_transform import read_transform
from sketchkit.kernels.svg_xml import (
    ENTITY,
    MOST_ATTRIBUTES,
    NAME,
    NAME_END,
    NOT_ASCII,
    VALUE,
    VALUE_END,
    WORD,
    WORDS,
    close_tag,
    holds,
    is_word,
    name_end,
    read_attributes,
    skip_comment,
    skip_prolog,
    skip_space,
    skip_text,
    word_of,
)
from sketchkit.kernels.uncounted import uncounted

__all__ = ["KEY", "LABEL", "VIEW_BOX", "read_documents"]

# Columns of `named`: where the value of each of the root's attributes starts and ends.
VIEW_BOX, LABEL, KEY = 0, 2, 4
_MOST_DEPTH = 64
_MOST_ELEMENTS = 200_000
_MOST_POINTS = 4_000_000

_SVG, _G, _PATH, _LINE, _POLYLINE, _POLYGON, _TITLE, _DESC = (
    WORDS.index(word) for word in ("svg", "g", "path", "line", "polyline", "polygon", "title", "desc")
)
_TRANSFORM, _STYLE, _DISPLAY, _VISIBILITY, _D, _POINTS, _X1, _VIEW_BOX, _LABEL, _KEY, _XMLNS, _XLINK, _SPACE = (
    WORDS.index(word)
    for word in (
        *("transform", "style", "display", "visibility", "d", "points", "x1", "viewBox", "data-label", "data-key"),
        *("xmlns", "xmlns:xlink", "xml:space"),
    )
)
_HIDING, _ALSO_HIDING, _PRESERVE, _SVG_SPACE, _XLINK_SPACE = (
    np.frombuffer(word, np.uint8)
    for word in (
        *(b"display", b"visibility", b"preserve"),
        *(b"http://www.w3.org/2000/svg", b"http://www.w3.org/1999/xlink"),
    )
)


@njit(cache=True, nogil=True)
def read_documents(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    tolerance: float,
    first: int,
    point: int,
    stroke: int,
    points: NDArray[np.float32],
    stroke_ends: NDArray[np.int64],
    strokes_of: NDArray[np.int64],
    named: NDArray[np.int64],
    needs_decoding: NDArray[np.bool_],
) -> tuple[int, int, int]:
    """Read documents from `first` on until all are read, or there is no room for the next one.

    Args:
        data: (bytes,) all documents, one after the other.
        offsets: (documents + 1,) into `data`.
        tolerance: how far a chord may lie from its curve.
        first: the document to begin with.
        point: how many points there are already.
        stroke: how many strokes there are already.
        points: (capacity, 2), filled from `point` on.
        stroke_ends: (capacity // 2,), how many points there are after each stroke.
        strokes_of: (documents,) how many strokes each has; 0 for one that is not known here.
        named: (documents, 6) where values of root attributes start and end in `data`; -1 where there is none.
        needs_decoding: (documents,) whether one has bytes beyond ASCII, which nobody has looked at.

    Returns:
        The document to go on with, and how many points and strokes there are.
    """
    attributes = np.empty((MOST_ATTRIBUTES, 7), np.int64)
    matrices = np.empty((_MOST_DEPTH, 6), np.float64)
    names = np.empty((_MOST_DEPTH, 2), np.int64)
    scratch = np.empty((3, 6), np.float64)
    for document in range(first, len(offsets) - 1):
        status, points_now, strokes_now = _read_document(
            data,
            offsets[document],
            offsets[document + 1],
            tolerance,
            attributes,
            matrices,
            names,
            scratch,
            points,
            point,
            stroke_ends,
            stroke,
            named[document],
            needs_decoding[document : document + 1],
        )
        if status == FULL:
            return document, point, stroke
        strokes_of[document] = 0
        if status == READ:
            strokes_of[document] = strokes_now - stroke
            point, stroke = points_now, strokes_now
    return len(offsets) - 1, point, stroke


@uncounted
def _read_document(
    data: NDArray[np.uint8],
    at: int,
    end: int,
    tolerance: float,
    attributes: NDArray[np.int64],
    matrices: NDArray[np.float64],
    names: NDArray[np.int64],
    scratch: NDArray[np.float64],
    points: NDArray[np.float32],
    point: int,
    stroke_ends: NDArray[np.int64],
    stroke: int,
    named: NDArray[np.int64],
    needs_decoding: NDArray[np.bool_],
) -> tuple[int, int, int]:
    first_point, first_stroke = point, stroke
    for index in range(len(named)):
        named[index] = -1
    needs_decoding[0] = False
    at = skip_prolog(data, at, end)
    depth, elements, status = 0, 0, READ
    while at >= 0:
        at = skip_space(data, at, end)
        if at + 1 >= end or data[at] != 60:
            break
        if data[at + 1] == 33:
            at = skip_comment(data, at, end, needs_decoding)
            continue
        if data[at + 1] == 47:
            if depth == 0:
                break
            depth -= 1
            at = close_tag(data, at, end, names[depth, 0], names[depth, 1])
            if depth == 0:
                at = _skip_end(data, at, end, needs_decoding)
                if at == end and stroke > first_stroke:
                    return READ, point, stroke
                break
            continue

        start = at + 1
        stop = name_end(data, start, end)
        count, at, empty = read_attributes(data, stop, end, attributes)
        elements += 1
        if at < 0 or elements > _MOST_ELEMENTS:
            break
        word = word_of(data, start, stop)
        if (depth == 0) != (word == _SVG):
            break
        for index in range(count):
            needs_decoding[0] |= attributes[index, NOT_ASCII] != 0
        if depth == 0 and not _read_root(data, attributes, count, named):
            break
        is_group = word in (_SVG, _G)
        if word in (_TITLE, _DESC):
            # Neither drawn nor looked at, like its attributes.
            if not _are_plain(data, attributes, count, depth == 0):
                break
            if not empty:
                at = close_tag(data, skip_text(data, at, end, needs_decoding), end, start, stop)
            continue
        if depth == _MOST_DEPTH or not _are_plain(data, attributes, count, depth == 0):
            break
        if not _enter(data, attributes, count, depth, matrices, scratch):
            break
        if is_group:
            if empty:
                if depth == 0:
                    break
                continue
            names[depth, 0], names[depth, 1] = start, stop
            depth += 1
            continue

        if word == _PATH:
            found = _find(attributes, count, _D)
            as_points, closed = False, False
        elif word in (_POLYLINE, _POLYGON):
            found = _find(attributes, count, _POINTS)
            as_points, closed = True, word == _POLYGON
        elif word == _LINE:
            found = -1
            if not _ends_of_line(data, attributes, count, scratch[0]):
                break
            status, point, stroke = add_line(scratch[0], matrices[depth], points, point, stroke_ends, stroke)
        else:
            break
        if found >= 0:
            if attributes[found, ENTITY]:
                break
            status, point, stroke = read_path(
                data,
                attributes[found, VALUE],
                attributes[found, VALUE_END],
                as_points,
                closed,
                matrices[depth],
                tolerance,
                scratch[0],
                points,
                point,
                stroke_ends,
                stroke,
            )
        if status != READ:
            return status, point, stroke
        if point - first_point > _MOST_POINTS:
            break
        if not empty:
            at = close_tag(data, skip_space(data, at, end), end, start, stop)
    return UNKNOWN, point, stroke


@uncounted
def _read_root(data: NDArray[np.uint8], attributes: NDArray[np.int64], count: int, named: NDArray[np.int64]) -> bool:
    for index in range(count):
        word, column = attributes[index, WORD], -1
        if word == _VIEW_BOX:
            column = VIEW_BOX
        elif word == _LABEL:
            column = LABEL
        elif word == _KEY:
            column = KEY
        if column >= 0:
            named[column], named[column + 1] = attributes[index, VALUE], attributes[index, VALUE_END]
            for at in range(attributes[index, VALUE], attributes[index, VALUE_END]):
                # XML makes a space of a tab or the end of a line.
                if data[at] < 32:
                    return False
    return True


@uncounted
def _are_plain(data: NDArray[np.uint8], attributes: NDArray[np.int64], count: int, is_root: bool) -> bool:
    """Whether no attribute has a prefix that is not known, or hides what is drawn."""
    for index in range(count):
        word = attributes[index, WORD]
        value, value_end = attributes[index, VALUE], attributes[index, VALUE_END]
        if word == _XMLNS:
            if not (is_root and is_word(data, value, value_end, _SVG_SPACE)):
                return False
        elif word == _XLINK:
            if not (is_root and is_word(data, value, value_end, _XLINK_SPACE)):
                return False
        elif word == _SPACE:
            if not is_word(data, value, value_end, _PRESERVE):
                return False
        elif word == _STYLE:
            hides = holds(data, value, value_end, _HIDING) or holds(data, value, value_end, _ALSO_HIDING)
            if attributes[index, ENTITY] or hides:
                return False
        elif word in (_DISPLAY, _VISIBILITY):
            return False
        elif word < 0:
            for at in range(attributes[index, NAME], attributes[index, NAME_END]):
                if data[at] == 58:
                    return False
    return True


@uncounted
def _enter(
    data: NDArray[np.uint8],
    attributes: NDArray[np.int64],
    count: int,
    depth: int,
    matrices: NDArray[np.float64],
    scratch: NDArray[np.float64],
) -> bool:
    """Set the matrix of this depth: the one around it, and the element's own."""
    # By a loop: an assignment to a slice takes a second to compile.
    for index in range(6):
        matrices[depth, index] = matrices[depth - 1, index] if depth else index in (0, 3)
    found = _find(attributes, count, _TRANSFORM)
    if found < 0:
        return True
    return not attributes[found, ENTITY] and read_transform(
        data, attributes[found, VALUE], attributes[found, VALUE_END], matrices[depth], scratch
    )


@uncounted
def _find(attributes: NDArray[np.int64], count: int, word: int) -> int:
    for index in range(count):
        if attributes[index, WORD] == word:
            return index
    return -1


@uncounted
def _ends_of_line(
    data: NDArray[np.uint8], attributes: NDArray[np.int64], count: int, ends: NDArray[np.float64]
) -> bool:
    """x1, y1, x2, y2 into `ends`, 0 where absent; False when one is anything but a mere number."""
    for index in range(4):
        ends[index] = 0
    for index in range(count):
        column = attributes[index, WORD] - _X1
        if column < 0 or column > 3:
            continue
        ends[column], at = read_number(data, attributes[index, VALUE], attributes[index, VALUE_END])
        if at != attributes[index, VALUE_END]:
            return False
    return True


@uncounted
def _skip_end(data: NDArray[np.uint8], at: int, end: int, needs_decoding: NDArray[np.bool_]) -> int:
    """Behind the spaces and comments that may follow the root; -1 when a comment is damaged."""
    while at >= 0:
        at = skip_space(data, at, end)
        if at + 1 >= end or data[at] != 60 or data[at + 1] != 33:
            break
        at = skip_comment(data, at, end, needs_decoding)
    return at
