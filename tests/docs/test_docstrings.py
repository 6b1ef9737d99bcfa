"""Docstrings say what a reader of the reference asks: a word on every parameter, every array's shape."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import sketchkit
from sketchkit import adapters, kernels

from rooms import modules

ARRAY = re.compile(r"\b(Tensor|NDArray|ArrayLike|ndarray)\b")
_INSIDE = r"(?:[^()]|\([^()]*\))*"  # brackets hold brackets: ((1 + warps) * photos, embedding_dim)
SHAPE = re.compile(rf"\({_INSIDE},{_INSIDE}\)|\bscalars?\b|\bany shape\b|\bsame shape\b")
ELSEWHERE = re.compile(r"\b(?:[Ss]ee|as of|as in|those of|as)\s+`[\w.]+`")
HELP = re.compile(r"^Annotated\[.*\bhelp=['\"]\w", re.DOTALL)
MODULES = {name: path for name, path in modules().items() if not name.endswith("__main__")}


@dataclass(frozen=True)
class Documented:
    """A function, a method, or the fields of a class, with what its docstring says."""

    name: str
    parameters: dict[str, str]
    returns: str
    docstring: str

    @property
    def arguments(self) -> dict[str, str]:
        """The entries of the `Args:` section."""
        entries: dict[str, str] = {}
        name = ""
        for line in self._section("Args").splitlines():
            if found := re.match(r" {4}\*{0,2}(\w+):(.*)", line):
                name, entries[found[1]] = found[1], found[2]
            elif name:
                entries[name] += f" {line.strip()}"
        return entries

    @property
    def prose(self) -> str:
        """What stands outside of `Args:`."""
        return self.docstring.replace(self._section("Args"), "")

    def _section(self, title: str) -> str:
        found = re.search(rf"^{title}:\n((?: {{4}}.*\n?|\n)+)", self.docstring, re.MULTILINE)
        return found[1] if found else ""


def documented(tree: ast.Module, names: set[str]) -> Iterator[Documented]:
    """What a module defines under these names, with the public methods of its classes."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name in names and not _is_overload(node):
            yield _function(node, node.name)
        elif isinstance(node, ast.ClassDef) and node.name in names:
            yield _fields(node)
            for member in node.body:
                if isinstance(member, ast.FunctionDef) and not member.name.startswith("_") and _docstring(member):
                    yield _function(member, f"{node.name}.{member.name}")


def _function(node: ast.FunctionDef, name: str) -> Documented:
    taken = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    parameters = {entry.arg: _source(entry.annotation) for entry in taken if entry.arg not in {"self", "cls"}}
    return Documented(name, parameters, _source(node.returns), _docstring(node))


def _is_overload(node: ast.FunctionDef) -> bool:
    return "overload" in map(_source, node.decorator_list)


def _fields(node: ast.ClassDef) -> Documented:
    """What a class is made of; a field with a docstring of its own needs no entry."""
    fields: dict[str, str] = {}
    for member, after in zip(node.body, [*node.body[1:], None], strict=True):
        if isinstance(member, ast.FunctionDef) and member.name == "__init__":
            fields |= _function(member, "").parameters
        elif isinstance(member, ast.AnnAssign) and isinstance(member.target, ast.Name):
            told = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            if not told and not member.target.id.startswith("_") and "ClassVar" not in _source(member.annotation):
                fields[member.target.id] = _source(member.annotation)
    return Documented(node.name, fields, "", _docstring(node))


def _source(node: ast.expr | None) -> str:
    return ast.unparse(node) if node else ""


def _docstring(node: ast.FunctionDef | ast.ClassDef) -> str:
    return inspect.cleandoc(ast.get_docstring(node) or "")


def exported(tree: ast.Module) -> set[str]:
    """The strings in a module's `__all__`."""
    lists = [
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        and ast.unparse(node.targets[0]) == "__all__"
        and isinstance(node.value, ast.List)
    ]
    return {str(name.value) for names in lists for name in names.elts if isinstance(name, ast.Constant)}


def vocabulary_of(module: str, tree: ast.Module) -> str:
    """Where "`name` (...)" is told of for a whole module: in its docstring and, for kernels, in the package's."""
    shared = (kernels.__doc__ or "") if module.startswith("sketchkit.kernels.") else ""
    return f"{ast.get_docstring(tree) or ''}\n{shared}"


def helped(tree: ast.Module) -> set[str]:
    """The names that a module gives to annotations with a help text, for the options of several commands."""
    named = [node for node in tree.body if isinstance(node, ast.Assign) and HELP.search(_source(node.value))]
    return {_source(target) for node in named for target in node.targets}


def untold(entry: Documented, vocabulary: str = "", options: Collection[str] = ()) -> list[str]:
    """Parameters without an entry that stand nowhere in backticks; none where another docstring is referred to.

    What a command's annotation, or one of `options`, has a help text for is told of there.
    """
    told = entry.arguments
    if not told and ELSEWHERE.search(entry.prose):
        return []
    return [
        name
        for name, annotation in entry.parameters.items()
        if name not in told
        and f"`{name}`" not in entry.prose
        and f"`{name}` (" not in vocabulary
        and not (HELP.search(annotation) or annotation in options)
    ]


def helped_elsewhere(tree: ast.Module) -> set[str]:
    """Those that a module imports from another of ours."""
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module in MODULES]
    sources = {node.module: ast.parse(Path(MODULES[str(node.module)]).read_text(encoding="utf-8")) for node in imports}
    return {name.name for node in imports for name in node.names} & set().union(*map(helped, sources.values()))


def without_shape(entry: Documented, vocabulary: str = "") -> list[str]:
    """Parameters that are arrays, and `return`, of which neither the docstring nor the vocabulary tells the shape."""
    told = entry.arguments
    faults = [
        name
        for name, annotation in entry.parameters.items()
        if ARRAY.search(annotation) and f"`{name}` (" not in vocabulary and not _tells(told.get(name, entry.prose))
    ]
    return faults + ["return"] * bool(ARRAY.search(entry.returns) and not _tells(entry.prose))


def _tells(text: str) -> bool:
    return bool(SHAPE.search(text) or ELSEWHERE.search(text))


@pytest.mark.parametrize("module", MODULES)
def test_every_array_has_a_shape(module: str) -> None:
    """In the parameter's entry, or where there is no entry, in the sentence that tells of it."""
    tree = ast.parse(Path(MODULES[module]).read_text(encoding="utf-8"))
    names = vocabulary_of(module, tree)
    faults = {entry.name: without_shape(entry, names) for entry in documented(tree, exported(tree))}
    assert {name: fault for name, fault in faults.items() if fault} == {}


@pytest.mark.parametrize("module", MODULES)
def test_every_parameter_is_told_of(module: str) -> None:
    """By an entry, by its name in the prose, by a docstring referred to, once for the module, or in a help text."""
    tree = ast.parse(Path(MODULES[module]).read_text(encoding="utf-8"))
    names = vocabulary_of(module, tree)
    options = helped(tree) | helped_elsewhere(tree)
    faults = {entry.name: untold(entry, names, options) for entry in documented(tree, exported(tree))}
    assert {name: fault for name, fault in faults.items() if fault} == {}


@pytest.mark.parametrize("package", [sketchkit, adapters], ids=lambda package: package.__name__)
def test_every_parameter_of_what_users_import_is_told_of(package: object) -> None:
    """By an entry, or in a docstring without entries by the name itself or by a function that has them."""
    homes = package._EXPORTS
    faults = []
    for module in sorted(set(homes.values())):
        tree = ast.parse(Path(MODULES[f"{package.__name__}.{module}"]).read_text(encoding="utf-8"))
        for entry in documented(tree, {name for name in homes if homes[name] == module}):
            told = entry.arguments
            missing = entry.parameters.keys() - told
            if told or not ELSEWHERE.search(entry.prose):
                faults += [f"{module}.{entry.name}: {name}" for name in sorted(missing)]
    assert faults == []


def test_a_missing_shape_is_found() -> None:
    module = """
def told(first: NDArray[Any], second: Tensor, third: int) -> Tensor:
    \"\"\"Do it, a scalar.

    Args:
        first: (rows, 2).
        second: the other one.
        third: as many, (so many, say).
    \"\"\"

def plain(rows: Tensor) -> Tensor:
    \"\"\"Twice.\"\"\"

def short(rows: Tensor) -> Tensor:
    \"\"\"Rows (n, 2) -> (n,).\"\"\"
"""
    found = [without_shape(entry) for entry in documented(ast.parse(module), {"told", "plain", "short"})]
    assert found == [["second"], ["rows", "return"], []]


def test_a_parameter_that_is_not_told_of_is_found() -> None:
    module = """
@overload
def twice(first: int) -> int: ...

def twice(first, second):
    \"\"\"Do `first` and the second.\"\"\"

def listed(first: int, second: int, third: int) -> None:
    \"\"\"As `twice`, and see `twice`.

    Args:
        first: so many.
    \"\"\"

def elsewhere(first: int) -> None:
    \"\"\"The argument is as in
    `twice`.\"\"\"

class Point:
    \"\"\"`first` (px).\"\"\"

    first: int
    second: int

    def moved(self, third: int) -> None:
        \"\"\"Somewhere.\"\"\"

Helped = Annotated[int, typer.Option(help="So many.")]

def command(first: Helped, second: Annotated[str, Option(help="")], fourth: Annotated[str, Option(help="Which.")]):
    \"\"\"Do it.\"\"\"
"""
    tree = ast.parse(module)
    names = {"twice", "listed", "elsewhere", "Point", "command"}
    found = {entry.name: untold(entry, "`third` (px): so far.", helped(tree)) for entry in documented(tree, names)}
    assert found.pop("elsewhere") == found.pop("Point.moved") == []
    assert found == {name: ["second"] for name in ("twice", "listed", "Point", "command")}
