"""The page of the command line has every verb in its own words, and its short examples print what it says."""

from __future__ import annotations

import doctest
import re
import shlex
from pathlib import Path

import pytest
from click import Context
from typer.core import TyperGroup
from typer.main import get_command
from typer.testing import CliRunner

from sketchkit.recipes.cli import app

from rooms import REPOSITORY

PAGE = (REPOSITORY / "docs" / "command_line.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^### (\w+)\n\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL))
STAR = re.findall(r"^```xml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
EXAMPLE = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
# A command directly followed by what it prints; other outputs need a trained network.
PRINTING = re.findall(r"^```console\nsketchkit (.*?)\n```\n\n```text\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def group() -> TyperGroup:
    found = get_command(app)
    assert isinstance(found, TyperGroup)
    return found


def test_every_verb_has_a_section_that_says_what_its_help_says() -> None:
    says = {name: (verb.help or "").partition("\n\n")[0].replace("\n", " ") for name, verb in group().commands.items()}
    assert {name: text.partition("\n\n")[0].replace("\n", " ") for name, text in SECTIONS.items()} == says


@pytest.mark.parametrize("verb", SECTIONS)
def test_a_verb_takes_the_words_of_its_example(verb: str) -> None:
    commands = [shlex.split(line) for block in EXAMPLE.findall(SECTIONS[verb]) for line in block.splitlines()]
    assert commands
    for program, name, *words in commands:
        assert (program, name) == ("sketchkit", verb)
        command = group().commands[verb]
        command.make_context(verb, words, parent=Context(group()))


def test_each_verb_for_drawings_shows_what_it_prints() -> None:
    assert [shlex.split(command)[0] for command, _ in PRINTING] == ["convert", "info", "render", "measure"]


@pytest.mark.parametrize(("command", "printed"), PRINTING, ids=lambda text: text.split()[0])
def test_an_example_prints_what_the_page_says(
    command: str, printed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("star.svg").write_text(*STAR)
    run = CliRunner().invoke(app, shlex.split(command), catch_exceptions=False)
    assert run.exit_code == 0
    assert doctest.OutputChecker().check_output(printed, run.stdout, doctest.ELLIPSIS), run.stdout
