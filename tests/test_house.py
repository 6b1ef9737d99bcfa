"""House rules as code: what loads on import, which way imports go, names, docstrings, size."""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import sketchkit

from rooms import REPOSITORY, copy_as_installed, modules

MODULES = modules()
SOURCES = sorted(MODULES.values())
EVERY_FILE = sorted(
    [*SOURCES, *(path for room in ("tests", "benchmarks", "docs") for path in (REPOSITORY / room).rglob("*.py"))]
)


def relative(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


each_source = pytest.mark.parametrize("path", SOURCES, ids=relative)
each_file = pytest.mark.parametrize("path", EVERY_FILE, ids=relative)
each_module = pytest.mark.parametrize("name", MODULES)


def loaded_by(statement: str) -> set[str]:
    """Top-level packages, besides the standard library, that a statement loads in a fresh interpreter."""
    code = (
        "import json, sys; before = set(sys.modules)\n"
        f"{statement}\n"
        "names = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(json.dumps(sorted(names - sys.stdlib_module_names)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return set(json.loads(run.stdout))


# What loads


def test_importing_sketchkit_loads_nothing_but_numpy() -> None:
    assert loaded_by("import sketchkit") <= {"sketchkit", "numpy"}


def test_the_vector_names_load_neither_torch_nor_cairo() -> None:
    names = [name for name, module in sketchkit._EXPORTS.items() if not module.startswith("adapters.")]
    assert not loaded_by(f"from sketchkit import {', '.join(names)}") & {"torch", "cairocffi", "matplotlib"}


# Which way imports go


def lint_imports(target: Path, planted: tuple[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    package = copy_as_installed(target)
    if planted:
        file, statement = planted
        with (package / file).open("a", encoding="utf-8") as stream:
            stream.write(f"\n\n{statement}\n")
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    (target / "setup.cfg").write_bytes((REPOSITORY / "setup.cfg").read_bytes())
    return subprocess.run(command, cwd=target, capture_output=True, text=True, check=False)


def test_imports_go_one_way(tmp_path: Path) -> None:
    run = lint_imports(tmp_path)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize(
    ("file", "statement"),
    [
        ("sketch.py", "import sketchkit.adapters"),
        ("sketch.py", "def later() -> None:\n    from sketchkit import adapters"),
        ("kernels/__init__.py", "from sketchkit.recipes import config"),
        ("adapters/__init__.py", "import sketchkit.recipes.config"),
    ],
)
def test_an_import_against_the_arrows_is_caught(tmp_path: Path, file: str, statement: str) -> None:
    run = lint_imports(tmp_path, (file, statement))
    assert run.returncode == 1, run.stdout + run.stderr
    assert "BROKEN" in run.stdout


@each_file
def test_rooms_are_imported_by_their_installed_names(path: Path) -> None:
    for node in ast.walk(parsed(path)):
        imported = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{relative(path)}:{node.lineno}: relative import"
            imported = [node.module or ""]
        assert not {name.partition(".")[0] for name in imported} & {"adapters", "recipes"}, f"{path}:{node.lineno}"


# Names


@pytest.mark.parametrize("package", ["sketchkit", "sketchkit.adapters"])
def test_the_lazy_names_are_what_the_type_checker_sees(package: str) -> None:
    block = next(node for node in parsed(MODULES[package]).body if isinstance(node, ast.If))
    seen = {}
    for node in block.body:
        assert isinstance(node, ast.ImportFrom)
        seen.update({alias.asname: f"{node.module}" for alias in node.names})
    module = importlib.import_module(package)
    assert seen == {name: f"{package}.{source}" for name, source in module._EXPORTS.items()}
    assert dir(module) == sorted(module.__all__)


@pytest.mark.parametrize("name", sketchkit._EXPORTS)
def test_a_public_name_is_exported_by_the_module_that_defines_it(name: str) -> None:
    module = importlib.import_module(f"sketchkit.{sketchkit._EXPORTS[name]}")
    assert getattr(sketchkit, name) is getattr(module, name)
    assert name in module.__all__


@each_module
def test_all_names_what_a_module_defines(name: str) -> None:
    tree = parsed(MODULES[name])
    code = tree.body[1:]  # after the docstring
    if not code or name.endswith("__main__"):
        return
    module = importlib.import_module(name)
    exported = list(module.__all__)
    definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    defined = {node.name for node in code if isinstance(node, definitions) and not node.name.startswith("_")}
    plain = [entry for entry in exported if not entry.startswith("__")]
    assert plain in (sorted(plain), sorted(plain, key=isort_order)), "not sorted"
    assert len(exported) == len(set(exported))
    assert defined - set(exported) <= handed_over(code), "public by name, but neither in __all__ nor registered"
    assert all(hasattr(module, entry) for entry in exported)


def handed_over(code: list[ast.stmt]) -> set[str]:
    """Definitions that reach their users through a registry: decorated, or given to a call at module level."""
    names = {node.name for node in code if isinstance(node, ast.FunctionDef) and node.decorator_list}
    for node in code:
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.Expr):
            names |= {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
    return names


def isort_order(name: str) -> tuple[int, str]:
    """CONSTANTS, then Classes, then functions: the order that ruff asks of `__all__`."""
    if name.isupper() and len(name) > 1:
        return 0, name
    return (1, name) if name[:1].isupper() else (2, name)


@each_source
def test_a_module_is_named_after_its_subject(path: Path) -> None:
    assert path.stem not in {"utils", "util", "helpers", "helper", "misc", "common", "tools"}
    classes = [node.name for node in ast.walk(parsed(path)) if isinstance(node, ast.ClassDef)]
    assert not [name for name in classes if name.endswith(("Manager", "Helper", "Utils"))]


# Docstrings


def public_callables(name: str) -> Iterator[tuple[str, Any]]:
    module = importlib.import_module(name)
    for entry in getattr(module, "__all__", []):
        value = getattr(module, entry)
        value = getattr(value, "py_func", value)  # numba's dispatcher around the function
        if getattr(value, "__module__", None) != name or not (inspect.isclass(value) or inspect.isfunction(value)):
            continue
        yield entry, value
        for member, method in vars(value).items() if inspect.isclass(value) else ():
            function = method.__func__ if isinstance(method, classmethod | staticmethod) else method
            if not member.startswith("_") and inspect.isfunction(function) and function.__module__ == name:
                yield f"{entry}.{member}", function


def documented_arguments(docstring: str) -> list[str]:
    """The names in the `Args:` section of a Google-style docstring."""
    section = re.search(r"^Args:\n((?:[ ]{4}.*\n?|\n)+)", inspect.cleandoc(docstring), re.MULTILINE)
    return re.findall(r"^ {4}\*{0,2}(\w+)(?: \([^)]*\))?:", section[1], re.MULTILINE) if section else []


@each_module
def test_docstrings_tell_the_signature(name: str) -> None:
    for label, value in public_callables(name):
        # A method may rest on what it overrides.
        docstring = inspect.getdoc(value) or (inspect.getdoc(_overridden(name, label)) if "." in label else None)
        assert docstring, f"{name}.{label} has no docstring"
        documented = documented_arguments(docstring)
        if documented:
            parameters = [entry for entry in inspect.signature(value).parameters if entry not in {"self", "cls"}]
            assert documented == parameters, f"{name}.{label}"


def _overridden(module: str, label: str) -> Any:
    owner, member = label.split(".")
    parents = getattr(importlib.import_module(module), owner).__mro__[1:]
    return next((vars(parent)[member] for parent in parents if member in vars(parent)), None)


def test_the_docstring_check_reads_google_style() -> None:
    text = """Do.

    Args:
        first: one,
            on two lines: of text.
        second (int): two.
        *rest: three.

    Raises:
        ValueError: never.
    """
    assert documented_arguments(text) == ["first", "second", "rest"]


# Size, speech, safety


@each_file
def test_a_file_stays_short(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= (400 if path in SOURCES else 500)  # tables of cases may run longer


@each_source
def test_only_the_command_line_prints(path: Path) -> None:
    if "cli" in relative(path):
        return
    calls = [node for node in ast.walk(parsed(path)) if isinstance(node, ast.Call)]
    assert not [node.lineno for node in calls if isinstance(node.func, ast.Name) and node.func.id == "print"]


def _forbidden(call: ast.Call) -> bool:
    name, keywords = ast.unparse(call.func), {word.arg: ast.unparse(word.value) for word in call.keywords}
    if name in {"eval", "exec", "pickle.load", "pickle.loads", "pickle.Unpickler", "yaml.load", "joblib.load"}:
        return True
    if name == "torch.load":
        return keywords.get("weights_only") != "True"
    return keywords.get("allow_pickle", "False") != "False"


@pytest.mark.parametrize(
    ("code", "forbidden"),
    [
        ("eval('1')", True),
        ("model.eval()", False),
        ("pickle.load(stream)", True),
        ("torch.load(path)", True),
        ("torch.load(path, weights_only=True)", False),
        ("np.load(path, allow_pickle=True)", True),
        ("np.load(path, allow_pickle=False)", False),
    ],
)
def test_the_safety_check_can_fail(code: str, forbidden: bool) -> None:
    (statement,) = ast.parse(code).body
    assert isinstance(statement, ast.Expr)
    assert isinstance(statement.value, ast.Call)
    assert _forbidden(statement.value) is forbidden


@each_source
def test_nothing_from_outside_is_unpickled_or_executed(path: Path) -> None:
    calls = [node for node in ast.walk(parsed(path)) if isinstance(node, ast.Call)]
    assert not [f"{relative(path)}:{call.lineno}" for call in calls if _forbidden(call)]


@each_file
def test_a_silenced_check_says_which_and_why(path: Path) -> None:
    silenced = re.compile(r"#\s*(?:noqa|type:\s*ignore)\b(.*)")
    which = r"(:\s*[A-Z]+\d+(,\s*[A-Z]+\d+)*|\[[\w, -]+\])"
    why = r"\s*(#|-+|:|\()\s*\w+" if path in SOURCES else ""  # a test hands over a wrong type on purpose
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        found = silenced.search(line)
        if found and path != Path(__file__):
            assert re.match(which + why, found[1]), f"{relative(path)}:{number}: {found[0]}"


def test_warnings_are_errors(pytestconfig: pytest.Config) -> None:
    assert pytestconfig.getini("filterwarnings")[0] == "error"


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))
