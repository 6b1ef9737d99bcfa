"""SVG documents as drawings: the plain ones compiled and many at once, all others by the general parser.

`sketchkit.kernels.svg_document` knows paths, lines, polylines and polygons in groups with transforms, and of XML only
what such files are written with. Whatever else a document holds, it gives up on it and `general_sketch` (defusedxml and
svgpathtools) reads it, or says what is wrong. Where both read a document they give the same, bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import unescape

import numpy as np
from numpy.typing import NDArray

from sketchkit.errors import DataError
from sketchkit.formats.svg_paths import MOST_POINTS, Curves, flatten, join
from sketchkit.formats.svg_tree import parse_svg, shapes_drawn
from sketchkit.kernels.svg_document import KEY, LABEL, VIEW_BOX, read_documents
from sketchkit.ragged import offsets_of
from sketchkit.sketch import Sketch

__all__ = ["TOLERANCE", "Drawn", "general_sketch", "plain_documents", "sketch_of"]

TOLERANCE = 0.1
_BYTES_A_POINT = 4


@dataclass(frozen=True)
class Drawn:
    """What the compiled reader made of some documents.

    Args:
        points: (points, 2) float32.
        stroke_offsets: (strokes + 1,) int64.
        counts: (documents,) int64, how many strokes each has; 0 for one that is left to the general parser.
        labels: for each document its `data-label`.
        keys: for each document its `data-key`.
        view_boxes: for each document its `viewBox`.
    """

    points: NDArray[np.float32]
    stroke_offsets: NDArray[np.int64]
    counts: NDArray[np.int64]
    labels: list[str | None]
    keys: list[str | None]
    view_boxes: list[str | None]


def sketch_of(document: bytes | str, tolerance: float, group: str | None = None) -> Sketch:
    """The drawing in one document; arguments and errors are those of `svg.read_svg`."""
    text = document if isinstance(document, bytes) else _utf_8(document)
    if group is None and text is not None:
        drawn = plain_documents([text], tolerance)
        if drawn.counts[0]:
            view_box = drawn.view_boxes[0]
            meta = {} if view_box is None else {"viewBox": view_box}
            return Sketch(drawn.points, drawn.stroke_offsets, drawn.labels[0], drawn.keys[0], meta)
    return general_sketch(document, tolerance, group)


def general_sketch(document: bytes | str, tolerance: float, group: str | None = None) -> Sketch:
    """The drawing in one document, whatever SVG it is.

    Args:
        document: bytes, in the encoding that they declare, or text.
        tolerance: how far a polyline may lie from its curve, in the root's user units.
        group: the id of an element; only what is beneath it is drawn. None for all.

    Raises:
        DataError: this is no SVG, draws nothing, or something in it cannot be read.
    """
    root = parse_svg(document)
    # Numbers too great or too small end as inf or NaN, and `flatten` refuses these.
    with np.errstate(all="ignore"):
        parts = list(_within_reason(shapes_drawn(root, group)))
        if not parts:
            raise DataError("draws nothing" if group is None else f"draws nothing in the group {group!r}")
        points, offsets = flatten(join(parts), tolerance)
    view_box = root.get("viewBox")
    meta = {} if view_box is None else {"viewBox": view_box}
    return Sketch(points, offsets, root.get("data-label"), root.get("data-key"), meta)


def _within_reason(shapes: Iterable[Curves]) -> Iterator[Curves]:
    """Those shapes that have strokes; stops where they have more pieces than `flatten` takes points."""
    pieces = 0
    for curves in shapes:
        pieces += len(curves.control)
        if pieces > MOST_POINTS:
            raise DataError(f"needs more than {MOST_POINTS} points, with what its use elements repeat")
        if len(curves.counts):
            yield curves


def plain_documents(documents: Sequence[bytes], tolerance: float) -> Drawn:
    """Read what the compiled reader knows of `documents`, in UTF-8; `tolerance` is as in `general_sketch`."""
    joined = b"".join(documents)
    data = np.frombuffer(joined, np.uint8)
    offsets = offsets_of(np.array([len(document) for document in documents], np.int64))
    counts = np.zeros(len(documents), np.int64)
    named = np.full((len(documents), 6), -1, np.int64)
    needs_decoding = np.zeros(len(documents), bool)
    points = np.empty((len(data) // _BYTES_A_POINT + 64, 2), np.float32)
    ends = np.empty(len(points) // 2, np.int64)
    document, point, stroke = 0, 0, 0
    while True:
        document, point, stroke = read_documents(
            data, offsets, tolerance, document, point, stroke, points, ends, counts, named, needs_decoding
        )
        if document == len(documents):
            break
        points, ends = _grown(points, point, len(points) * 2), _grown(ends, stroke, len(points))
    for wrong in np.flatnonzero(needs_decoding & (counts > 0)).tolist():
        if not _is_legal(documents[wrong]):
            return plain_documents([b"" if i == wrong else text for i, text in enumerate(documents)], tolerance)
    return Drawn(
        points[:point],
        np.concatenate([np.zeros(1, np.int64), ends[:stroke]]),
        counts,
        _texts(joined, named[:, LABEL : LABEL + 2]),
        _texts(joined, named[:, KEY : KEY + 2]),
        _texts(joined, named[:, VIEW_BOX : VIEW_BOX + 2]),
    )


def _grown(values: NDArray[Any], used: int, size: int) -> NDArray[Any]:
    grown = np.empty((size, *values.shape[1:]), values.dtype)
    grown[:used] = values[:used]
    return grown


def _texts(joined: bytes, spans: NDArray[np.int64]) -> list[str | None]:
    """The values of one attribute of all roots, without their entities."""
    if (spans[:, 0] < 0).all():
        return [None] * len(spans)
    return [None if start < 0 else _unescaped(joined[start:end]) for start, end in spans.tolist()]


def _unescaped(value: bytes) -> str:
    # What is not UTF-8 is refused later, with the whole document.
    text = value.decode(errors="replace")
    return unescape(text, {"&quot;": '"', "&apos;": "'"}) if b"&" in value else text


def _utf_8(text: str) -> bytes | None:
    try:
        return text.encode()
    except UnicodeEncodeError:
        # A lone surrogate, which the general parser refuses.
        return None


def _is_legal(document: bytes) -> bool:
    """Whether it is UTF-8 without the two characters that XML forbids and UTF-8 does not."""
    try:
        text = document.decode()
    except UnicodeDecodeError:
        return False
    return "\ufffe" not in text and "\uffff" not in text
