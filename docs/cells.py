"""The cells of a tutorial: run them, in short or in full, or hand them to the type checker.

A tutorial is a MyST notebook, `docs/tutorials/*.md`: Markdown whose `{code-cell}` fences are one program.

    python docs/cells.py run docs/tutorials/NAME.md             # with the settings under `short:` in its front matter
    python docs/cells.py run docs/tutorials/NAME.md --full      # with the settings that the page shows
    python docs/cells.py code docs/ten_minutes.md > mine.py     # what the page shows as code
    python docs/cells.py types .make/tutorials                  # writes .make/tutorials/NAME.py for mypy

Other pages have plain `python` fences, which are one program too; those of README.md become fenced_README.py.
"""

from __future__ import annotations

import argparse
import ast
import itertools
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml
from markdown_it import MarkdownIt

__all__ = ["Cell", "cells", "fenced", "front_matter", "main", "run", "shown", "source", "tutorials"]

_REPOSITORY = Path(__file__).resolve().parent.parent
_FRONT_MATTER = re.compile(r"\A---\n(.*?)^---\n", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Cell:
    """One code cell: its Python, the line of the page where that starts (from 0), and its tags."""

    code: str
    line: int
    tags: tuple[str, ...] = ()


def tutorials() -> list[Path]:
    """The pages that are programs, in order of name."""
    return sorted(page for page in Path(__file__).parent.rglob("*.md") if cells(page))


def front_matter(page: Path) -> dict[str, Any]:
    """The YAML at the head of a page; empty where there is none."""
    found = _FRONT_MATTER.match(page.read_text(encoding="utf-8"))
    return yaml.safe_load(found[1]) if found else {}


def cells(page: Path) -> list[Cell]:
    """The code cells of a page, in its order."""
    text = _FRONT_MATTER.sub(lambda found: "\n" * found[0].count("\n"), page.read_text(encoding="utf-8"))
    found = []
    for token in MarkdownIt().parse(text):
        if token.type != "fence" or not token.info.startswith("{code-cell}"):
            continue
        assert token.map is not None  # a fence is a block, and blocks know their lines
        settings, head = _options(token.content)
        code = "\n".join(token.content.splitlines()[head:])
        found.append(Cell(code, token.map[0] + 1 + head, tuple(settings.get("tags") or ())))
    return found


def source(page: Path) -> str:
    """A page's Python as one script, each line where the page has it, so that a message names the page's line."""
    lines: list[str] = []
    for cell in cells(page):
        lines += [""] * (cell.line - len(lines)) + cell.code.splitlines()
    return "\n".join(lines) + "\n"


def shown(page: Path) -> str:
    """A page's Python as a reader of the site sees it, one cell after the other."""
    hidden = {"remove-cell", "remove-input"}
    return "\n\n".join(cell.code.strip() for cell in cells(page) if hidden.isdisjoint(cell.tags)) + "\n"


def fenced(page: Path) -> str:
    """The `python` fences of a page as one script, each line where the page has it; empty where there are none."""
    lines: list[str] = []
    for token in MarkdownIt().parse(page.read_text(encoding="utf-8")):
        if token.type == "fence" and token.info.strip() == "python":
            assert token.map is not None  # a fence is a block, and blocks know their lines
            lines += [""] * (token.map[0] + 1 - len(lines)) + token.content.splitlines()
    return "\n".join(lines).rstrip()


def run(page: Path, *, short: bool = True, namespace: dict[str, Any] | None = None) -> dict[str, Any]:
    """Run the cells of a page one after the other in one namespace, as Jupyter does; returns the namespace.

    The last expression of a cell is turned into what a page would show: its SVG or HTML where it has one.

    Args:
        page: the tutorial.
        short: set the names under `short:` in the front matter after the cell tagged `parameters`.
        namespace: where the cells find and leave their names; a new one by default.

    Raises:
        ValueError: `short:` names what the parameters cell does not set, or there is no such cell; a cell tagged
            `raises-exception` raises nothing.
    """
    if namespace is None:
        namespace = {"__name__": "__main__"}
    settings = front_matter(page).get("short", {}) if short else {}
    for cell in cells(page):
        body = ast.parse("\n" * cell.line + cell.code, str(page)).body
        last = body[-1] if body else None
        value = last.value if isinstance(last, ast.Expr) else None
        try:
            exec(compile(ast.Module(body[:-1] if value else body, []), str(page), "exec"), namespace)
            if value:
                _display(eval(compile(ast.Expression(value), str(page), "eval"), namespace))
        except Exception:
            if "raises-exception" not in cell.tags:
                raise
        else:
            if "raises-exception" in cell.tags:
                raise ValueError(f"{page}:{cell.line + 1}: the cell is tagged `raises-exception`, and raises none")
        if "parameters" in cell.tags:
            unknown = settings.keys() - namespace.keys()
            if unknown:
                raise ValueError(
                    f"{page}: `short` sets {', '.join(sorted(unknown))}, which the parameters cell does not"
                )
            namespace.update(settings)
            settings = {}
    if settings:
        raise ValueError(f"{page}: `short` has settings, and no cell is tagged `parameters`")
    return namespace


def main(arguments: list[str] | None = None) -> None:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(description="Run the tutorials, or write their code out for a type checker.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    running = verbs.add_parser("run", help="run one page in this process")
    running.add_argument("page", type=Path)
    running.add_argument("--full", action="store_true", help="with the settings that the page shows")
    printing = verbs.add_parser("code", help="print the code that a page shows")
    printing.add_argument("page", type=Path)
    typing = verbs.add_parser("types", help="write each page's code as FOLDER/NAME.py")
    typing.add_argument("folder", type=Path)
    options = parser.parse_args(arguments)
    if options.verb == "run":
        os.environ.setdefault("MPLBACKEND", "agg")  # figures are drawn, and no window opens
        # As in a kernel, the page is the main module: what it defines can be pickled and found by its name.
        sys.modules["__main__"] = module = ModuleType("__main__")
        run(options.page, short=not options.full, namespace=vars(module))
        return
    if options.verb == "code":
        print(shown(options.page), end="")
        return
    options.folder.mkdir(parents=True, exist_ok=True)
    for old in options.folder.glob("*.py"):
        old.unlink()
    for page in tutorials():
        (options.folder / f"{page.stem}.py").write_text(source(page), encoding="utf-8")
    for page in [*_REPOSITORY.glob("*.md"), *(_REPOSITORY / "docs").glob("*.md")]:
        if not cells(page) and (code := fenced(page)):
            (options.folder / f"fenced_{page.stem}.py").write_text(code + "\n", encoding="utf-8")


def _options(content: str) -> tuple[dict[str, Any], int]:
    """A cell's options, `:name: value` lines or YAML between `---`, and the number of lines that they take."""
    lines = content.splitlines()
    if lines[:1] == ["---"]:
        end = lines.index("---", 1)
        return yaml.safe_load("\n".join(lines[1:end])) or {}, end + 1
    options = list(itertools.takewhile(re.compile(r":[a-z-]+:").match, lines))
    return {name: yaml.safe_load(value) for _, name, value in (line.split(":", 2) for line in options)}, len(options)


def _display(value: object) -> None:
    for method in ("_repr_svg_", "_repr_html_", "_repr_png_"):
        if hasattr(value, method):
            getattr(value, method)()
            return
    repr(value)


if __name__ == "__main__":
    main()
