"""What is written is run: docstring examples, the README's Python, links, commands."""

from __future__ import annotations

import doctest
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.core import TyperGroup
from typer.main import get_command

import sketchkit
from sketchkit.formats import registry
from sketchkit.recipes.cli import app

from rooms import REPOSITORY, modules

sys.path.append(str(REPOSITORY / "docs"))
import cells

PAGES = sorted([*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")])
FENCE = re.compile(r"^(?P<ticks>`{3,})(?P<kind>[^`\n]*)\n(?P<code>.*?)^(?P=ticks)$", re.MULTILINE | re.DOTALL)


def page_name(page: Path) -> str:
    return page.relative_to(REPOSITORY).as_posix()


each_page = pytest.mark.parametrize("page", PAGES, ids=page_name)


@pytest.mark.parametrize("name", [name for name in modules() if not name.endswith("__main__")])
def test_docstring_examples(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    report: list[str] = []
    for example in doctest.DocTestFinder(exclude_empty=True).find(module):
        runner.run(example, out=report.append)
    assert not runner.failures, "".join(report)


@each_page
def test_the_python_of_a_page_runs_and_prints_what_it_says(page: Path, tmp_path: Path) -> None:
    """A line `print(...)  # -> text` prints the text; three dots in it stand for anything."""
    code = cells.fenced(page)  # each line where the page has it: a traceback names the page's line
    if not code:
        return
    script = tmp_path / f"{page.stem}.py"
    script.write_text(code, encoding="utf-8")
    command = [sys.executable, "-W", "error", script.name]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    comments = re.findall(r"^print\(.*\)(?:  # (.*))?$", code, re.MULTILINE)
    checker = doctest.OutputChecker()
    for comment, printed in zip(comments, run.stdout.splitlines(), strict=True):
        if comment.startswith("-> "):
            want = comment.removeprefix("-> ")
            assert checker.check_output(want, printed, doctest.ELLIPSIS), f"said {want!r}, printed {printed!r}"


@each_page
def test_relative_links_resolve(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    local = [target.partition("#")[0] for target in targets if not re.match(r"[a-z]+:|#", target)]
    assert not [target for target in local if not (page.parent / target).exists()]


@each_page
def test_make_targets_exist(page: Path) -> None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z]+)", page.read_text(encoding="utf-8"), re.MULTILINE))
    assert named <= targets


def test_the_readme_names_every_format_and_what_it_can() -> None:
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([a-z-]+)` \|.*\| yes \| (yes|no) \|$", readme, re.MULTILINE))
    ours = {known.name: known for known in map(registry.lookup, registry._OURS)}
    assert {name: "yes" if known.write else "no" for name, known in ours.items()} == rows


def test_the_readme_names_every_verb_for_drawings() -> None:
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    rooms = {"augmenting", "simplifying", "smoothing", "transforms"}
    verbs = {name for name, module in sketchkit._EXPORTS.items() if module in rooms}
    assert {verb for verb in verbs if f"`{verb}" not in readme and f"{verb}(" not in readme} == set()


def test_the_commands_of_the_readme_exist() -> None:
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    shown = "\n".join(block["code"] for block in FENCE.finditer(readme) if block["kind"] == "console")
    named = set(re.findall(r"^(?:\.venv/bin/)?sketchkit ([a-z]+)", shown, re.MULTILINE))
    named |= set(re.findall(r"`sketchkit ([a-z]+)", readme))
    assert named, "the README shows no command"
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    assert named <= set(group.commands)
