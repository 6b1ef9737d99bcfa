"""Small tables for notebooks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

__all__ = ["html_table"]


def html_table(title: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table with `title` as its caption; what stands in it is escaped.

    `header` has one text a column, empty for a corner; when all are empty there is no header. `rows` have as many.

    Example:
        >>> html_table("Sizes", ["px"], [["32"]]).count("<tr>")
        2
    """
    # A header without words is none to a screen reader.
    heads = [f"<th>{escape(cell)}</th>" if cell else "<td></td>" for cell in header]
    lines = ["".join(heads)] if any(header) else []
    lines += ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows]
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f'<table><caption style="text-align:left">{escape(title)}</caption>{body}</table>'
