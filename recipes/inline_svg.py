"""Matplotlib drawings as SVG that lives inside a page: the page's colors, the page's fonts, ids of their own."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from html import escape
from typing import Any

import matplotlib
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

__all__ = ["PAINTS", "WIDTH", "inline_svg"]

WIDTH = 360.0
"""Width of every figure, in units of its view box; letters are 11 of them high, so that a phone shows them readably."""

# Drawn in a color that nothing else has, then renamed to the page's own variable: one drawing serves light and dark.
# The second value is what a viewer without the page's style sheet sees.
_VARIABLES = {
    "ink": ("#010101", "currentColor"),
    "muted": ("#010102", "var(--muted, #6a655d)"),
    "rule": ("#010103", "var(--rule, #dcd7cd)"),
    "ground": ("#010104", "var(--ground, #ffffff)"),
    "teacher": ("#010105", "var(--teacher, #6a655d)"),
    "direct": ("#010106", "var(--direct, #a06c12)"),
    "v1": ("#010107", "var(--v1, #2c6199)"),
    "v2": ("#010108", "var(--v2, #b23f28)"),
    "oracle": ("#010109", "var(--oracle, #3a7a51)"),
}

PAINTS = {name: sentinel for name, (sentinel, _) in _VARIABLES.items()}
"""Color names of the page -> what to hand to matplotlib."""

_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "font.size": 11,
    "axes.titlesize": 11,
    "axes.labelsize": 11,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "legend.fontsize": 10,
    "text.color": PAINTS["ink"],
    "text.parse_math": False,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.labelcolor": PAINTS["muted"],
    "axes.edgecolor": PAINTS["muted"],
    "axes.facecolor": "none",
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "grid.color": PAINTS["rule"],
    "grid.linewidth": 0.8,
    "xtick.color": PAINTS["muted"],
    "ytick.color": PAINTS["muted"],
    "ytick.major.size": 0,
    "ytick.minor.size": 0,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "savefig.edgecolor": "none",
}

_FONT_FAMILIES = re.compile(r"(font(?:-family)?:[^;\"]*?)'DejaVu Sans'[^;\"]*")
_ROOT = re.compile(r"<svg [^>]*?viewBox=\"([^\"]+)\"[^>]*>")
_METADATA = re.compile(r"<metadata>.*?</metadata>\s*", re.DOTALL)
_GLOBAL_STYLE = re.compile(r"<defs>\s*<style type=\"text/css\">.*?</style>\s*</defs>\s*", re.DOTALL)


def inline_svg(name: str, draw: Callable[[Figure], None], *, height: float, label: str) -> str:
    """Draw a figure and give it as one `<svg>` element, the same text for the same figure.

    Args:
        name: unique among the figures of a page; all ids of the element begin with it.
        draw: fills an empty figure, in colors of `PAINTS`.
        height: in units of the view box, which is `WIDTH` wide.
        label: what a screen reader says.

    Returns:
        An element without fixed size, XML and HTML alike; text stays text, the ground stays transparent.
    """
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # a reader's own matplotlibrc must not change a report
        parameters: Any = matplotlib.rcParams  # its keys are typed one by one, and not alike in all versions
        parameters.update({**_STYLE, "svg.hashsalt": name})
        figure = Figure(figsize=(WIDTH / 72, height / 72), layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return _adopted(buffer.getvalue(), name, label)


def _adopted(document: str, name: str, label: str) -> str:
    """Make a standalone SVG document a part of a page."""
    element = document[document.index("<svg ") :].strip()
    element = _METADATA.sub("", element)
    element = _GLOBAL_STYLE.sub("", element)  # it would style the whole page; the root carries the same below
    view_box = _ROOT.match(element)
    assert view_box is not None, "matplotlib's SVG begins with a view box"
    root = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" role="img" '
        f'aria-label="{escape(label)}" viewBox="{view_box[1]}" stroke-linejoin="round" stroke-linecap="butt">'
    )
    element = root + element[view_box.end() :]
    element = re.sub(r'(?<= id=")', f"{name}-", element)
    element = re.sub(r'(?<=href="#)|(?<=url\(#)', f"{name}-", element)
    element = _FONT_FAMILIES.sub(r"\1system-ui, sans-serif", element)
    for sentinel, variable in _VARIABLES.values():
        element = element.replace(sentinel, variable)
    return element
