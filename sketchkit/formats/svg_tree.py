"""What an SVG document draws: its shapes in document order, each under the transforms of all groups around it.

Source: https://www.w3.org/TR/SVG11/struct.html and https://www.w3.org/TR/SVG11/coords.html.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from xml.etree.ElementTree import Element, ParseError

import defusedxml.ElementTree  # type: ignore[import-untyped]  # it has no stubs
import numpy as np
from numpy.typing import NDArray

from sketchkit.errors import DataError
from sketchkit.formats.svg_paths import Curves, length, numbers, read_path, shape_path, transformed

__all__ = ["parse_svg", "shapes_drawn"]

Matrix = NDArray[np.float64]

_SHAPES = frozenset({"path", "line", "polyline", "polygon", "circle", "ellipse", "rect"})
# What is defined to be used elsewhere, or for something other than drawing.
_NOT_DRAWN = frozenset(
    {
        *("defs", "clipPath", "mask", "symbol", "marker", "pattern", "filter", "linearGradient", "radialGradient"),
        *("metadata", "style", "script", "title", "desc", "text", "image", "foreignObject"),
    }
)
_MOST_ELEMENTS = 200_000
_IDENTITY: Matrix = np.eye(2, 3)
_TRANSFORM = re.compile(r"[\s,]*(matrix|translate|scale|rotate|skewX|skewY)\s*\(([^()]*)\)")


def parse_svg(data: bytes | str) -> Element:
    """The root element of an SVG document, which `data` is; entities and anything outside the document are refused.

    Raises:
        DataError: it is no well-formed XML, declares entities, or its root is no `svg`.
    """
    try:
        # A doctype may stand there (TU-Berlin's files have one); nothing is fetched for it.
        root: Element = defusedxml.ElementTree.fromstring(data, forbid_dtd=False)
    except ParseError as error:
        raise DataError(f"is not well-formed XML: {error}") from None
    # defusedxml's refusals are ValueErrors; an unknown encoding is a LookupError.
    except (ValueError, LookupError) as error:
        raise DataError(f"is refused by the XML reader: {error}") from None
    if _tag(root) != "svg":
        raise DataError(f"is XML but no SVG: its root element is {_tag(root)!r}")
    return root


def shapes_drawn(root: Element, group: str | None = None) -> Iterator[Curves]:
    """The strokes of each visible shape, in document order, in the root's user units.

    Args:
        root: the `svg` element.
        group: the id of an element; only what is beneath it is given.

    Raises:
        DataError: there is no such id; a transform, a length or path data cannot be read; `use` refers to itself.
    """
    by_id = {element.get("id", ""): element for element in reversed(list(root.iter()))}
    if group is not None and group not in by_id:
        raise DataError(f"has no element with the id {group!r}")
    waiting = [_Visit(root, _IDENTITY, inside=group is None, nested=False)]
    visited = 0
    # What `use` repeats is parsed once.
    parsed: dict[Element, Curves] = {}
    while waiting:
        visit = waiting.pop()
        visited += 1
        if visited > _MOST_ELEMENTS:
            raise DataError(f"has, with what its use elements repeat, more than {_MOST_ELEMENTS} elements")
        entered = _entered(visit, group)
        if entered is None:
            continue
        element, tag = entered.element, _tag(entered.element)
        if tag == "use":
            waiting.append(_used(entered, by_id))
        elif tag in _SHAPES:
            if entered.inside and entered.visible:
                if element not in parsed:
                    parsed[element] = read_path(shape_path(tag, element.attrib))
                yield transformed(parsed[element], entered.matrix)
        else:
            waiting.extend(replace(entered, element=child, nested=True, used=False) for child in reversed(element))


@dataclass(frozen=True)
class _Visit:
    """An element still to be drawn, and what it inherits."""

    element: Element
    matrix: Matrix
    inside: bool
    visible: bool = True
    nested: bool = True
    used: bool = False
    uses: frozenset[str] = frozenset()


def _entered(visit: _Visit, group: str | None) -> _Visit | None:
    """The same visit with what the element itself says; None when nothing beneath it is drawn."""
    element, tag = visit.element, _tag(visit.element)
    not_drawn = tag.startswith("{") or (tag in _NOT_DRAWN and not (tag == "symbol" and visit.used))
    if not_drawn or _property(element, "display") == "none":
        return None
    matrix = _composed(visit.matrix, _transform(element.get("transform", "")))
    if visit.nested and tag in ("svg", "symbol"):
        if "viewBox" in element.attrib:
            raise DataError(f"has a {tag} inside with a viewBox of its own; that is not supported")
        matrix = _moved(matrix, element)
    visibility = _property(element, "visibility")
    return replace(
        visit,
        matrix=matrix,
        inside=visit.inside or (group is not None and element.get("id") == group),
        visible=visit.visible if visibility in ("", "inherit") else visibility == "visible",
    )


def _used(visit: _Visit, by_id: Mapping[str, Element]) -> _Visit:
    """What a `use` element repeats, moved by its x and y."""
    element = visit.element
    target = element.get("href", element.get("{http://www.w3.org/1999/xlink}href", ""))
    if not target.startswith("#") or target[1:] not in by_id:
        raise DataError(f"uses {target[:40]!r}, which is no element of this document")
    if target in visit.uses:
        raise DataError(f"uses {target[:40]!r} inside of itself")
    matrix = _moved(visit.matrix, element)
    return replace(visit, element=by_id[target[1:]], matrix=matrix, nested=True, used=True, uses=visit.uses | {target})


def _tag(element: Element) -> str:
    """The name without SVG's namespace; names of other namespaces keep theirs, and begin with a brace."""
    return element.tag.removeprefix("{http://www.w3.org/2000/svg}")


def _property(element: Element, name: str) -> str:
    """A presentation attribute; a declaration in `style` wins. Style sheets are not read."""
    for declaration in reversed(element.get("style", "").split(";")):
        declared, _, value = declaration.partition(":")
        if declared.strip() == name:
            return value.replace("!important", "").strip()
    return element.get(name, "").strip()


def _composed(outer: Matrix, inner: Matrix) -> Matrix:
    # Not a matrix product, whose rounding depends on the machine: the compiled reader must agree bit for bit.
    (a, c, e), (b, d, f) = outer.tolist()
    rows = [[a * x + c * y for x, y in inner.T.tolist()], [b * x + d * y for x, y in inner.T.tolist()]]
    rows[0][2] += e
    rows[1][2] += f
    return np.array(rows)


def _moved(matrix: Matrix, element: Element) -> Matrix:
    x, y = length(element.attrib, "x"), length(element.attrib, "y")
    return _composed(matrix, np.array([[1, 0, x], [0, 1, y]]))


def _transform(text: str) -> Matrix:
    """The (2, 3) matrix of a transform attribute; the last transform named is applied first."""
    if text.strip() in ("", "none"):
        return _IDENTITY
    matrix, position = _IDENTITY, 0
    while step := _TRANSFORM.match(text, position):
        values = [float(value) for value in numbers("transform", step[2])]
        matrix = _composed(matrix, _one_transform(step[1], values))
        position = step.end()
    if text[position:].strip(" \t\n\r,"):
        raise DataError(f"has a transform that cannot be read: {text[position : position + 40]!r}")
    return matrix


def _one_transform(name: str, values: list[float]) -> Matrix:
    if len(values) not in _VALUES_OF[name]:
        wanted = " or ".join(map(str, _VALUES_OF[name]))
        raise DataError(f"has a {name}() of {len(values)} values; there must be {wanted}")
    if name == "matrix":
        return np.array([values[0::2], values[1::2]])
    if name == "translate":
        return np.array([[1, 0, values[0]], [0, 1, values[1] if len(values) > 1 else 0]])
    if name == "scale":
        return np.array([[values[0], 0, 0], [0, values[-1], 0]])
    if not math.isfinite(values[0]):
        return np.full((2, 3), np.nan)
    angle = math.radians(values[0])
    if name == "rotate":
        sine, cosine = math.sin(angle), math.cos(angle)
        x, y = values[1:] or (0.0, 0.0)
        return np.array([[cosine, -sine, x - cosine * x + sine * y], [sine, cosine, y - sine * x - cosine * y]])
    skewed = math.tan(angle)
    return np.array([[1, skewed, 0], [0, 1, 0]]) if name == "skewX" else np.array([[1, 0, 0], [skewed, 1, 0]])


_VALUES_OF = {
    "matrix": (6,),
    "translate": (1, 2),
    "scale": (1, 2),
    "rotate": (1, 3),
    "skewX": (1,),
    "skewY": (1,),
}
