"""Many drawings on one page: PNG to put into a paper, SVG to edit, HTML to scroll through.

A notebook shows a `SketchSet` by the HTML sheet of its first drawings.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from html import escape

import numpy as np

from sketchkit.errors import MissingDependencyError, ParameterError
from sketchkit.sketch import Sketch
from sketchkit.sketch_set import SketchSet

__all__ = ["sheet_fragment", "sheet_html", "sheet_png", "sheet_svg"]

_CAPTION = 16  # pixels below a cell
_GAP = 8
_COLUMNS = 10
_IMAGE = 'role="img" aria-label='
_STYLE = (
    "<style>.sketchkit-sheet{display:grid;grid-template-columns:repeat(auto-fill,minmax(%dpx,1fr));gap:.75em}"
    ".sketchkit-sheet figure{margin:0;text-align:center;min-width:0}"
    ".sketchkit-sheet svg{width:100%%;height:%dpx}"
    ".sketchkit-sheet figcaption{font:12px sans-serif;opacity:.75;overflow:hidden;text-overflow:ellipsis;"
    "white-space:nowrap}</style>"
)


def sheet_png(sketches: SketchSet, *, cell: int = 96, columns: int = _COLUMNS, line_width: float = 2.5 / 256) -> bytes:
    """A PNG, dark on white, with each drawing's label (or key) beneath it.

    Args:
        sketches: what to draw; points that are not finite break their stroke.
        cell: side of a drawing, pixels.
        columns: drawings in a row.
        line_width: as a share of `cell`.

    Raises:
        MissingDependencyError: Pillow is not installed.
        ParameterError: `cell` or `columns` is below 1.
    """
    from sketchkit.rasterizing import rasterize

    try:
        from PIL import Image, ImageDraw
    except ModuleNotFoundError:
        raise MissingDependencyError("a sheet as PNG needs Pillow: pip install pillow") from None

    columns, rows = _grid(len(sketches), cell, columns)
    page = np.full((rows * (cell + _CAPTION + _GAP) + _GAP, columns * (cell + _GAP) + _GAP), 255, np.uint8)
    places = list(_places(len(sketches), cell, columns))
    # A row at a time: a sheet of thousands needs no second sheet of memory.
    for start in range(0, len(sketches), columns):
        images = rasterize(sketches[start : start + columns], cell, line_width=line_width)
        for image, (left, top) in zip(images, places[start:], strict=False):
            page[top : top + cell, left : left + cell] = 255 - image
    picture = Image.fromarray(page)
    pen = ImageDraw.Draw(picture)
    for name, (left, top) in zip(_names(sketches), places, strict=True):
        _write_name(pen, name, left, top + cell + 2, cell)
    stream = io.BytesIO()
    picture.save(stream, "PNG", optimize=True)
    return stream.getvalue()


def sheet_svg(sketches: SketchSet, *, cell: int = 96, columns: int = _COLUMNS) -> str:
    """One SVG with a nested SVG a drawing; its strokes stay paths that a drawing program can edit.

    Args:
        sketches: what to draw.
        cell: side of a drawing, in user units.
        columns: drawings in a row.

    Raises:
        DataError: a coordinate is not finite.
        ParameterError: `cell` or `columns` is below 1.
    """
    columns, rows = _grid(len(sketches), cell, columns)
    width, height = columns * (cell + _GAP) + _GAP, rows * (cell + _CAPTION + _GAP) + _GAP
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}">\n']
    places = _places(len(sketches), cell, columns)
    for sketch, name, (left, top) in zip(sketches, _names(sketches), places, strict=True):
        parts.append(_sized(sketch, f'x="{left}" y="{top}" width="{cell}" height="{cell}"'))
        if name:
            parts.append(
                f'<text x="{left + cell / 2:g}" y="{top + cell + 12}" text-anchor="middle" '
                f'font-family="sans-serif" font-size="10">{escape(_shortened(name, cell))}</text>\n'
            )
    return "".join([*parts, "</svg>\n"])


def sheet_html(sketches: SketchSet, *, cell: int = 96, title: str = "Drawings") -> str:
    """One HTML page that needs no other file; light or dark as the reader's system is.

    Args:
        sketches: what to draw.
        cell: least width of a drawing, CSS pixels; a row takes as many as the window has room for.
        title: the page's title.

    Raises:
        DataError: a coordinate is not finite.
        ParameterError: `cell` is below 1.
    """
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n"
        "<style>:root{color-scheme:light dark}body{margin:1em;font-family:sans-serif}h1{font-size:1.1em}</style>\n"
        f"</head><body>\n<h1>{escape(title)}</h1>\n{sheet_fragment(sketches, cell=cell)}</body></html>\n"
    )


def sheet_fragment(sketches: SketchSet, *, cell: int = 96) -> str:
    """The grid alone, to put into a page or a notebook.

    Args:
        sketches: what to draw.
        cell: least width of a drawing, CSS pixels.

    Raises:
        DataError: a coordinate is not finite.
        ParameterError: `cell` is below 1.
    """
    _grid(len(sketches), cell, 1)
    figures = [
        f"<figure>{_sized(sketch, _IMAGE + _quoted(name or f'drawing {index}'))}"
        f"<figcaption title={_quoted(name)}>{escape(name)}</figcaption></figure>\n"
        for index, (sketch, name) in enumerate(zip(sketches, _names(sketches), strict=True))
    ]
    return f'{_STYLE % (cell, cell)}\n<div class="sketchkit-sheet">\n{"".join(figures)}</div>\n'


def _grid(count: int, cell: int, columns: int) -> tuple[int, int]:
    for name, value in (("cell", cell), ("columns", columns)):
        if value < 1:
            raise ParameterError(f"{name} must be at least 1, not {value}")
    columns = max(1, min(columns, count))
    return columns, max(1, -(-count // columns))


def _places(count: int, cell: int, columns: int) -> Iterator[tuple[int, int]]:
    for index in range(count):
        row, column = divmod(index, columns)
        yield _GAP + column * (cell + _GAP), _GAP + row * (cell + _CAPTION + _GAP)


def _names(sketches: SketchSet) -> list[str]:
    for column in ("label", "key"):
        if column in sketches.columns:
            return ["" if value is None else str(value) for value in sketches.columns[column]]
    return [""] * len(sketches)


def _shortened(name: str, cell: int) -> str:
    # No renderer is at hand to measure the text: at 10 units a letter of a sans-serif face is some 5 wide.
    room = max(cell // 5, 4)
    return name if len(name) <= room else f"{name[: room - 1]}…"


def _sized(sketch: Sketch, attributes: str) -> str:
    text = sketch.to_svg()
    # `sketch_to_svg` gives its page a style of its own, for a drawing that stands alone.
    opening, rest = text.split(">", 1)
    return f"{opening.split(' style=', 1)[0]} {attributes}>{rest}"


def _quoted(text: str) -> str:
    return f'"{escape(text, quote=True)}"'


def _write_name(pen: object, name: str, left: int, top: int, cell: int) -> None:
    from PIL import ImageDraw

    assert isinstance(pen, ImageDraw.ImageDraw)
    # The built-in font has Latin letters only; the rest is shown by the SVG and HTML sheets.
    text = name.encode("latin-1", "replace").decode("latin-1").replace("\n", " ")
    if pen.textlength(text) > cell:
        while text and pen.textlength(f"{text}...") > cell:
            text = text[:-1]
        text = f"{text}..."
    pen.text((left + (cell - pen.textlength(text)) / 2, top), text, fill=90)
