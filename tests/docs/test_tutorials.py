"""The tutorials are programs: each runs here with its short settings, in a process of its own, and has types."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rooms import REPOSITORY

_SPEC = importlib.util.spec_from_file_location("cells", REPOSITORY / "docs" / "cells.py")
assert _SPEC is not None
assert _SPEC.loader is not None
pages = importlib.util.module_from_spec(_SPEC)
sys.modules["cells"] = pages  # where a dataclass looks for its own module
_SPEC.loader.exec_module(pages)

PAGE = """---
kernelspec: {name: python3}
short: {steps: 2}
---

# A page

```{code-cell} ipython3
:tags: [parameters]

steps = 100
```

Not a cell:

```python
steps = 7
```

````{code-cell} ipython3
squares = [step**2 for step in range(steps)]
squares
````
"""


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "page.md"
    path.write_text(PAGE, encoding="utf-8")
    return path


@pytest.mark.parametrize("path", pages.tutorials(), ids=lambda path: path.stem)
def test_a_tutorial_runs_with_its_short_settings(path: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", str(REPOSITORY / "docs" / "cells.py"), "run", str(path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def test_cells_are_read_with_their_lines_and_tags(page: Path) -> None:
    first, second = pages.cells(page)
    lines = PAGE.splitlines()
    assert (first.tags, second.tags) == (("parameters",), ())
    assert first.code.strip() == "steps = 100"
    assert second.code.splitlines() == lines[second.line : second.line + 2]
    written = pages.source(page).splitlines()
    assert written[lines.index("steps = 100")] == "steps = 100"
    assert "steps = 7" not in written


def test_the_code_that_a_page_shows_is_printed_without_what_it_hides(
    page: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hidden = "```{code-cell} ipython3\n:tags: [remove-cell]\n\nsecret = 1\n```\n"
    page.write_text(PAGE + hidden, encoding="utf-8")
    pages.main(["code", str(page)])
    assert capsys.readouterr().out.split("\n") == [
        "steps = 100",
        "",
        "squares = [step**2 for step in range(steps)]",
        "squares",
        "",
    ]


def test_the_fences_of_a_page_are_one_script_with_its_lines(page: Path) -> None:
    written = pages.fenced(page).splitlines()
    lines = PAGE.splitlines()
    assert written == [""] * lines.index("steps = 7") + ["steps = 7"]


def test_pages_are_written_out_for_the_type_checker(tmp_path: Path) -> None:
    pages.main(["types", str(tmp_path)])
    written = {path.name for path in tmp_path.iterdir()}
    assert written >= {"retrieval.py", "index.py", "fenced_README.py", "fenced_contributing.py"}
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8").splitlines()
    code = (tmp_path / "fenced_README.py").read_text(encoding="utf-8").splitlines()
    assert [line for number, line in enumerate(code) if line and line != readme[number]] == []


@pytest.mark.parametrize(("short", "steps"), [(True, 2), (False, 100)])
def test_short_settings_follow_the_parameters_cell(page: Path, short: bool, steps: int) -> None:
    assert pages.run(page, short=short)["squares"] == [step**2 for step in range(steps)]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{steps: 2}", "{stops: 2}", "stops"),
        (":tags: [parameters]\n", "", "no cell is tagged"),
        (":tags: [parameters]", ":tags: [parameters, raises-exception]", "raises none"),
    ],
)
def test_a_page_that_does_not_do_what_it_says_is_an_error(page: Path, old: str, new: str, message: str) -> None:
    page.write_text(PAGE.replace(old, new), encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        pages.run(page)


@pytest.mark.parametrize("head", [":tags: [raises-exception]\n", "---\ntags: [raises-exception]\n---\n"])
def test_an_error_that_a_page_shows_is_no_failure(page: Path, head: str) -> None:
    shown = PAGE.replace("ipython3\nsquares", f"ipython3\n{head}squares").replace("range(steps)", "range('two')")
    page.write_text(shown, encoding="utf-8")
    assert pages.cells(page)[1].code.splitlines() == ["squares = [step**2 for step in range('two')]", "squares"]
    assert "squares" not in pages.run(page)


def test_an_error_names_the_line_of_the_page(page: Path) -> None:
    page.write_text(PAGE.replace("range(steps)", "range(stops)"), encoding="utf-8")
    command = [sys.executable, str(REPOSITORY / "docs" / "cells.py"), "run", str(page)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    line = PAGE.splitlines().index("squares = [step**2 for step in range(steps)]") + 1
    assert run.returncode == 1
    assert f'page.md", line {line}' in run.stderr
    assert "squares = [step**2 for step in range(stops)]" in run.stderr
