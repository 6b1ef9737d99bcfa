"""The pages of the reference: one a module, with every name of its `__all__`, written when the site is built.

A name that `sketchkit` or `sketchkit.adapters` exports is documented as what one imports: `sketchkit.simplify`, on the
page of the module that defines it.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

__all__ = ["documented", "is_known", "markdown_to_rst", "modules", "pages", "write"]

_ROOMS = {"sketchkit": "sketchkit", "sketchkit.adapters": "adapters", "sketchkit.recipes": "recipes"}
# The tree of the site: packages side by side under headings, and the modules of each under it alone.
_GROUPS = {
    "What one imports": ("sketchkit", "sketchkit.adapters"),
    "What those are made of": ("sketchkit.formats", "sketchkit.recipes", "sketchkit.kernels"),
}
_REPOSITORY = Path(__file__).resolve().parent.parent
_TITLE = "Reference"
_INTRODUCTION = """\
Made from the docstrings, a page a module, nothing left out. What a name is imported from is written before it. Most
users need the two packages at the top alone; the others hold the parts that those are made of.

Arrays are numpy's where nothing else is said, ``float32`` for coordinates and ``uint8`` for pixels; x runs right and y
down. Sizes are in pixels, times in milliseconds, angles in radians, costs in FLOPs (two a multiply-add).
"""


def modules() -> list[str]:
    """Installed names of all modules of the three rooms, packages before what they hold."""
    found = set()
    for package, folder in _ROOMS.items():
        for path in (_REPOSITORY / folder).rglob("*.py"):
            parts = path.relative_to(_REPOSITORY / folder).with_suffix("").parts
            found.add(".".join([package, *parts]).removesuffix(".__init__"))
    return sorted(name for name in found if not name.endswith("__main__"))


def documented(module: ModuleType) -> Iterator[tuple[str, str, Any]]:
    """For each name of `__all__` that the module defines: the name to import it by, the directive, the object."""
    for entry in getattr(module, "__all__", []):
        value = getattr(module, entry)
        home = getattr(value, "__module__", None)
        if entry.startswith("__") or (callable(value) and home in modules() and home != module.__name__):
            continue  # documented where it is defined
        yield f"{_shortest(module, entry, value)}.{entry}", _directive(value), value


def pages() -> dict[str, str]:
    """File name -> reStructuredText, for every module and for the index."""
    names = modules()
    return {"index.rst": _index(), **{f"{name}.rst": _page(name, names) for name in names}}


def write(folder: Path) -> None:
    """Write the pages; one whose text is the same is left as it is, so that Sphinx need not read it again."""
    folder.mkdir(exist_ok=True)
    written = pages()
    for old in folder.glob("*.rst"):
        if old.name not in written:
            old.unlink()
    for name, text in written.items():
        path = folder / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def _page(name: str, names: list[str]) -> str:
    module = importlib.import_module(name)
    lines = [name, "=" * len(name), "", f".. automodule:: {name}", ""]
    grouped = set(itertools.chain(*_GROUPS.values()))
    inside = [other for other in names if other.rpartition(".")[0] == name and other not in grouped]
    if getattr(module, "_EXPORTS", None):  # the names of the package, by the module that has their page
        lines += [f"``from {name} import ...``", ""]
        lines += [
            f"- :py:obj:`{_exporter(name, entry)}.{entry}`: {_summary(module, entry)}" for entry in _plain(module)
        ]
        lines += [""]
    for full, directive, value in documented(module) if not getattr(module, "_EXPORTS", None) else ():
        lines += _data(module, full, value) if directive == "data" else [f".. {directive}:: {full}"]
        lines += ["   :members:", ""] if inspect.isclass(value) else [""]
    if inside:
        lines += [".. toctree::", "   :maxdepth: 1", "", *(f"   {other}" for other in inside), ""]
    return "\n".join(lines)


def _index() -> str:
    lines = [_TITLE, "=" * len(_TITLE), "", _INTRODUCTION]
    for caption, packages in _GROUPS.items():
        lines += [".. toctree::", "   :maxdepth: 1", f"   :caption: {caption}", ""]
        lines += [*(f"   {package}" for package in packages), ""]
    return "\n".join(lines)


def _plain(module: ModuleType) -> list[str]:
    return [entry for entry in getattr(module, "__all__", []) if not entry.startswith("__")]


def _exporter(package: str, entry: str) -> str:
    """The shortest package that exports what this one does."""
    import sketchkit

    exported = sketchkit._EXPORTS.get(entry, "")
    return "sketchkit" if package == "sketchkit" or exported.startswith("adapters.") else package


def _shortest(module: ModuleType, entry: str, value: Any) -> str:
    for package in ("sketchkit", "sketchkit.adapters"):
        exports = importlib.import_module(package)._EXPORTS
        if f"{package}.{exports.get(entry)}" == module.__name__:
            return package
    return module.__name__


def _directive(value: Any) -> str:
    if inspect.isclass(value):
        return "autoexception" if issubclass(value, BaseException) else "autoclass"
    return "autofunction" if callable(value) and hasattr(value, "__name__") else "data"


def _summary(module: ModuleType, entry: str) -> str:
    value = getattr(module, entry)
    if _directive(value) == "data":
        value = importlib.import_module(f"{module.__name__}.{module._EXPORTS[entry]}")
        return _comment(value, entry)
    return " ".join((inspect.getdoc(value) or "").partition("\n\n")[0].split())


def _data(module: ModuleType, full: str, value: object) -> list[str]:
    """A constant: its value where that is short, and the comment above or beside it in the source."""
    shown = repr(value)
    home, _, name = full.rpartition(".")
    lines = [f".. py:data:: {name}", f"   :module: {home}"]
    if len(shown) < 100 and " at 0x" not in shown:
        lines += [f"   :value: {shown}"]
    says = _comment(module, name) or f"A ``{type(value).__name__}``; see the top of the page."
    return [*lines, "", f"   {says}"]


def _comment(module: ModuleType, entry: str) -> str:
    """What the source says of a constant: the comment lines above it, or the one behind it."""
    lines = inspect.getsource(module).splitlines()
    number = next((number for number, line in enumerate(lines) if re.match(rf"(\w+, )*{entry}\b[,:=\s]", line)), None)
    if number is None:
        return ""  # set by an import
    above = list(itertools.takewhile(lambda line: line.startswith("# "), reversed(lines[:number])))
    behind = re.search(r"  # (.*)", lines[number])
    return " ".join(line[2:] for line in reversed(above)) or (behind[1] if behind else "")


def is_known(name: str) -> bool:
    """Whether a name in a signature is of another library, or an alias or a type variable of one of our modules."""
    first, _, rest = name.partition(".")
    if first != "sketchkit" and rest:
        first = {"np": "numpy", "nn": "torch.nn"}.get(first, first)
        return importlib.util.find_spec(first) is not None
    last = name.rpartition(".")[2]
    return any(hasattr(importlib.import_module(module), last) for module in modules())


def markdown_to_rst(lines: list[str]) -> None:
    """Rewrite a docstring in place: an indented block after a blank line is literal, and signs are signs."""
    out: list[str] = []
    section = literal = False
    for line in lines:
        if line and not line.startswith(" "):
            section, literal = bool(re.fullmatch(r"[A-Z][A-Za-z ]+:", line)), False
        elif line.startswith("    ") and out and not out[-1] and not section and not literal:
            out += ["::", ""]
            literal = True
        out.append(line if literal or line.lstrip().startswith(">>>") else _escaped(line))
    lines[:] = out


def _escaped(line: str) -> str:
    """The line with `|`, and `*` after a slash, escaped outside of backticks."""
    parts = line.split("`")
    return "`".join(part if index % 2 else re.sub(r"\||(?<=/)\*", r"\\\g<0>", part) for index, part in enumerate(parts))
