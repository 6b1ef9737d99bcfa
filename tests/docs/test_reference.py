"""The reference has every public name: what its pages list is compared with each module's `__all__`, read as text."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

import sketchkit
from sketchkit import adapters

from rooms import REPOSITORY, modules

sys.path.append(str(REPOSITORY / "docs"))
import reference

PAGES = reference.pages()
ENTRY = re.compile(r"^\.\. (?:auto(?:function|class|exception)|py:data):: (\S+)(?:\n   :module: (\S+))?$", re.MULTILINE)
TREE = re.compile(r"^   (sketchkit[\w.]*)$", re.MULTILINE)


def entries(page: str) -> list[str]:
    """The names that a page documents, as they are imported."""
    return [f"{home}.{name}" if home else name for name, home in ENTRY.findall(page)]


def exported(path: Path) -> list[str]:
    """The strings in a module's `__all__`."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if (
            isinstance(node, ast.Assign)
            and ast.unparse(node.targets[0]) == "__all__"
            and isinstance(node.value, ast.List)
        ):
            names = [name.value for name in node.value.elts if isinstance(name, ast.Constant)]
            return [name for name in names if not name.startswith("__")]
    return []


def defined(path: Path) -> set[str]:
    """Names that a module sets at its top level, other than by importing them."""
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            names.add(node.name)
        for target in (
            node.targets if isinstance(node, ast.Assign) else [node] if isinstance(node, ast.AnnAssign) else []
        ):
            names |= {part.id for part in ast.walk(target) if isinstance(part, ast.Name)}
    return names


def test_every_module_has_a_page() -> None:
    wanted = {f"{name}.rst" for name in modules() if not name.endswith("__main__")}
    assert PAGES.keys() - {"index.rst"} == wanted


def test_every_page_is_in_the_tree_once_below_its_package() -> None:
    above = {child: page.removesuffix(".rst") for page, text in PAGES.items() for child in TREE.findall(text)}
    listed = [child for text in PAGES.values() for child in TREE.findall(text)]
    assert sorted(listed) == sorted(page.removesuffix(".rst") for page in PAGES.keys() - {"index.rst"})
    top = [name for name, page in above.items() if page == "index"]
    assert top[:2] == ["sketchkit", "sketchkit.adapters"]
    assert {name: page for name, page in above.items() if page not in {"index", name.rpartition(".")[0]}} == {}
    assert {page for name, page in above.items() if name.startswith("sketchkit.formats.")} == {"sketchkit.formats"}


@pytest.mark.parametrize("name", [name for name in modules() if not name.endswith("__main__")])
def test_a_page_has_every_name_that_its_module_exports(name: str) -> None:
    path = modules()[name]
    listed = [full.rpartition(".")[2] for full in entries(PAGES[f"{name}.rst"])]
    assert set(exported(path)) & defined(path) <= set(listed)
    assert len(listed) == len(set(listed))


@pytest.mark.parametrize("package", [sketchkit, adapters], ids=lambda package: package.__name__)
def test_the_names_of_a_package_are_documented_once_as_they_are_imported(package: object) -> None:
    assert hasattr(package, "__all__")
    assert hasattr(package, "__name__")
    every = [full for page in PAGES.values() for full in entries(page)]
    assert len(every) == len(set(every))
    shortest = {"AdaptedModel", "adapt"} if package is adapters else set()
    for name in set(package.__all__) - {"__version__"} - shortest:
        assert f"{package.__name__}.{name}" in every
        assert f"`{package.__name__}.{name}`" in PAGES[f"{package.__name__}.rst"]


def test_docstrings_are_read_as_they_are_written() -> None:
    lines = ["Do |x|, as `a | b` says.", "", "    a table", "    of things", "", "Args:", "    x: one.", "", "    more"]
    reference.markdown_to_rst(lines)
    assert lines == [
        *(r"Do \|x\|, as `a | b` says.", "", "::", "", "    a table", "    of things", ""),
        *("Args:", "    x: one.", "", "    more"),
    ]
