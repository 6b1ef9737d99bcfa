"""The smallest parts of XML documents: names, attributes, comments, text. Each function gives -1 for what it refuses.

Serial, hence cached. What is refused may be well-formed XML; what is taken surely is.
Source: https://www.w3.org/TR/xml/, sections 2.2 to 3.1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sketchkit.kernels.uncounted import uncounted

__all__ = [
    "ENTITY",
    "MOST_ATTRIBUTES",
    "NAME",
    "NAME_END",
    "NOT_ASCII",
    "VALUE",
    "VALUE_END",
    "WORD",
    "WORDS",
    "close_tag",
    "holds",
    "is_word",
    "name_end",
    "read_attributes",
    "skip_comment",
    "skip_prolog",
    "skip_space",
    "skip_text",
    "word_of",
]

# Columns of a table of attributes: where name and value start and end; whether the value has entities, or is not ASCII.
# and which of `WORDS` the name is, or -1.
NAME, NAME_END, VALUE, VALUE_END, ENTITY, NOT_ASCII, WORD = range(7)
MOST_ATTRIBUTES = 32

# The names that mean something here, of elements, attributes and transforms.
WORDS = (
    *("svg", "g", "path", "line", "polyline", "polygon", "title", "desc"),
    *("transform", "style", "display", "visibility", "d", "points", "x1", "y1", "x2", "y2"),
    *("viewBox", "data-label", "data-key", "xmlns", "xmlns:xlink", "xml:space"),
    *("matrix", "translate", "scale", "rotate", "skewX", "skewY"),
)
_LETTERS_OF_WORDS = np.array([list(word.encode().ljust(12)) for word in WORDS], np.uint8)
_LENGTHS_OF_WORDS = np.array([len(word) for word in WORDS])

_COMMENT = np.frombuffer(b"<!--", np.uint8)
_VERSION = np.frombuffer(b'<?xml version="1.0"', np.uint8)
_ENCODING = np.frombuffer(b' encoding="utf-8"', np.uint8)
_ENCODING_IN_CAPITALS = np.frombuffer(b' encoding="UTF-8"', np.uint8)
_STANDALONE_NO = np.frombuffer(b' standalone="no"', np.uint8)
_DECLARED = np.frombuffer(b"?>", np.uint8)
_DOCTYPE = np.frombuffer(b'<!DOCTYPE svg PUBLIC "', np.uint8)
_BETWEEN = np.frombuffer(b'" "', np.uint8)
_ENTITIES = tuple(np.frombuffer(word, np.uint8) for word in (b"&lt;", b"&gt;", b"&amp;", b"&quot;", b"&apos;"))

_PLAIN = np.zeros(256, np.bool_)
_PLAIN[32:127] = True
_PLAIN[[9, 10, 13]] = True
_PLAIN[[ord(character) for character in "<&\"'"]] = False
_LETTERS = np.zeros(256, np.bool_)
_LETTERS[ord("A") : ord("Z") + 1] = True
_LETTERS[ord("a") : ord("z") + 1] = True
_LETTERS[ord("_")] = True
_NAMES = _LETTERS.copy()
_NAMES[ord("0") : ord("9") + 1] = True
_NAMES[[ord(character) for character in ".-:"]] = True
# What may stand in a public identifier, without the rare ones.
_IDENTIFIERS = _NAMES.copy()
_IDENTIFIERS[[ord(character) for character in " /"]] = True


@uncounted
def skip_space(data: NDArray[np.uint8], at: int, end: int) -> int:
    """Where the white space from `at` on ends; -1 stays -1."""
    if at < 0:
        return at
    while at < end and (data[at] == 32 or data[at] == 10 or data[at] == 13 or data[at] == 9):
        at += 1
    return at


@uncounted
def is_word(data: NDArray[np.uint8], start: int, stop: int, word: NDArray[np.uint8]) -> bool:
    """Whether the bytes from `start` up to `stop` are this word."""
    if stop - start != len(word):
        return False
    for index in range(len(word)):  # noqa: SIM110 -- numba compiles no generators within all()
        if data[start + index] != word[index]:
            return False
    return True


@uncounted
def word_of(data: NDArray[np.uint8], start: int, stop: int) -> int:
    """Which of `WORDS` the bytes from `start` up to `stop` are; -1 for none.

    Compiles much faster than a comparison with each.
    """
    length = stop - start
    if length == 0:
        return -1
    for word in range(len(_LENGTHS_OF_WORDS)):
        if _LENGTHS_OF_WORDS[word] == length and _LETTERS_OF_WORDS[word, 0] == data[start]:
            same = 1
            while same < length and _LETTERS_OF_WORDS[word, same] == data[start + same]:
                same += 1
            if same == length:
                return word
    return -1


@uncounted
def holds(data: NDArray[np.uint8], start: int, stop: int, word: NDArray[np.uint8]) -> bool:
    """Whether the word is anywhere in the bytes from `start` up to `stop`."""
    for at in range(start, stop - len(word) + 1):  # noqa: SIM110 -- as above
        if is_word(data, at, at + len(word), word):
            return True
    return False


@uncounted
def name_end(data: NDArray[np.uint8], at: int, end: int) -> int:
    """Where the name that begins at `at` ends."""
    if at < 0 or at >= end or not _LETTERS[data[at]]:
        return -1
    while at < end and _NAMES[data[at]]:
        at += 1
    return at


@uncounted
def close_tag(data: NDArray[np.uint8], at: int, end: int, name: int, stop: int) -> int:
    """Behind the end tag at `at`, which must be of the name that stands from `name` up to `stop`, both places."""
    after = at + 2 + stop - name
    if at < 0 or after >= end or data[at] != 60 or data[at + 1] != 47:
        return -1
    if not is_word(data, at + 2, after, data[name:stop]):
        return -1
    at = skip_space(data, after, end)
    return at + 1 if at < end and data[at] == 62 else -1


@uncounted
def read_attributes(data: NDArray[np.uint8], at: int, end: int, attributes: NDArray[np.int64]) -> tuple[int, int, bool]:
    """The attributes of a start tag from the end of its name on, into the table `attributes` (`MOST_ATTRIBUTES`, 7).

    Its columns, `NAME` to `WORD`: the places where name and value start and end, whether the value has entities or is
    not ASCII, and which of `WORDS` the name is.

    Returns:
        How many there are, where the tag ends, and whether it is an empty element.
    """
    count = 0
    while at >= 0:
        before = at
        at = skip_space(data, at, end)
        if at >= end:
            break
        if data[at] == 62:
            return count, at + 1, False
        if data[at] == 47:
            if at + 1 < end and data[at + 1] == 62:
                return count, at + 2, True
            break
        stop = name_end(data, at, end)
        if at == before or stop < 0 or count == MOST_ATTRIBUTES or _is_named(data, attributes, count, at, stop):
            break
        attributes[count, NAME], attributes[count, NAME_END] = at, stop
        attributes[count, WORD] = word_of(data, at, stop)
        at = skip_space(data, stop, end)
        if at >= end or data[at] != 61:
            break
        at = _read_value(data, skip_space(data, at + 1, end), end, attributes[count])
        count += 1
    return count, -1, False


@uncounted
def _is_named(data: NDArray[np.uint8], attributes: NDArray[np.int64], count: int, start: int, stop: int) -> bool:
    for index in range(count):
        name, name_stop = attributes[index, NAME], attributes[index, NAME_END]
        if data[name] == data[start] and is_word(data, start, stop, data[name:name_stop]):
            return True
    return False


@uncounted
def _read_value(data: NDArray[np.uint8], at: int, end: int, attribute: NDArray[np.int64]) -> int:
    """Behind the closing quote of the value that begins at `at` with a quote."""
    attribute[ENTITY] = attribute[NOT_ASCII] = 0
    if at >= end or (data[at] != 34 and data[at] != 39):
        return -1
    quote = data[at]
    at += 1
    attribute[VALUE] = at
    while at < end:
        if _PLAIN[data[at]]:
            at += 1
        elif data[at] == quote:
            attribute[VALUE_END] = at
            return at + 1
        elif data[at] == 34 or data[at] == 39:
            at += 1
        elif data[at] >= 128:
            attribute[NOT_ASCII] = 1
            at += 1
        elif data[at] == 38:
            attribute[ENTITY] = 1
            at = _skip_entity(data, at, end)
            if at < 0:
                return -1
        else:
            return -1
    return -1


@uncounted
def _skip_entity(data: NDArray[np.uint8], at: int, end: int) -> int:
    for word in _ENTITIES:
        if at + len(word) <= end and is_word(data, at, at + len(word), word):
            return at + len(word)
    return -1


@uncounted
def skip_text(data: NDArray[np.uint8], at: int, end: int, needs_decoding: NDArray[np.bool_]) -> int:
    """At the `<` that ends the text; `needs_decoding` (1,) is set where the text is not ASCII."""
    while at < end:
        byte = data[at]
        if byte == 60:
            return at
        if byte == 93 and at + 2 < end and data[at + 1] == 93 and data[at + 2] == 62:
            return -1
        if byte == 38:
            at = _skip_entity(data, at, end)
            if at < 0:
                return -1
            continue
        if byte >= 128:
            needs_decoding[0] = True
        elif not _PLAIN[byte] and byte != 34 and byte != 39:
            return -1
        at += 1
    return -1


@uncounted
def skip_comment(data: NDArray[np.uint8], at: int, end: int, needs_decoding: NDArray[np.bool_]) -> int:
    """Behind the comment that begins at `at`."""
    if at + 4 > end or not is_word(data, at, at + 4, _COMMENT):
        return -1
    at += 4
    while at + 2 < end:
        byte = data[at]
        if byte == 45 and data[at + 1] == 45:
            return at + 3 if data[at + 2] == 62 else -1
        if byte >= 128:
            needs_decoding[0] = True
        elif not _PLAIN[byte] and byte != 34 and byte != 39 and byte != 38 and byte != 60:
            return -1
        at += 1
    return -1


@uncounted
def skip_prolog(data: NDArray[np.uint8], at: int, end: int) -> int:
    """Behind a declaration of XML 1.0 in UTF-8 and a document type, where there are any, in their usual words."""
    after = _skip_word(data, at, end, _VERSION)
    if after >= 0:
        for word in (_ENCODING, _ENCODING_IN_CAPITALS):
            encoded = _skip_word(data, after, end, word)
            if encoded >= 0:
                after = encoded
                break
        alone = _skip_word(data, after, end, _STANDALONE_NO)
        at = _skip_word(data, alone if alone >= 0 else after, end, _DECLARED)
        if at < 0:
            return -1
    at = skip_space(data, at, end)
    after = _skip_word(data, at, end, _DOCTYPE)
    if after < 0:
        return at
    after = _skip_word(data, _skip_identifier(data, after, end), end, _BETWEEN)
    after = _skip_identifier(data, after, end) if after >= 0 else after
    return after + 2 if 0 <= after < end - 1 and data[after] == 34 and data[after + 1] == 62 else -1


@uncounted
def _skip_word(data: NDArray[np.uint8], at: int, end: int, word: NDArray[np.uint8]) -> int:
    """Behind the word; -1 when it is not there."""
    after = at + len(word)
    return after if after <= end and is_word(data, at, after, word) else -1


@uncounted
def _skip_identifier(data: NDArray[np.uint8], at: int, end: int) -> int:
    while at < end and _IDENTIFIERS[data[at]]:
        at += 1
    return at
