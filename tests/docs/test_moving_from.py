"""What the page *Moving from another library* says to write instead is run, cell by cell, in the order of the page."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from rooms import REPOSITORY

PAGE = REPOSITORY / "docs" / "moving_from.md"
ROW = re.compile(r"^\| (?P<theirs>.+) \| `(?P<ours>[^`]+)` \|$")
LIBRARIES = {"quickdraw", "sketch-rnn's utils.py", "svgpathtools", "rdp", "Baseline_FGSBIR"}


def script() -> str:
    """The page's Python blocks and the right cells of its tables, each on its own line of the page."""
    inside, lines = False, []
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("```"):
            inside = line == "```python"
            lines.append("")
            continue
        row = ROW.match(line)
        lines.append(line if inside else row["ours"] if row else "")
    return "\n".join(lines)


def test_what_to_write_instead_runs(tmp_path: Path) -> None:
    path = tmp_path / "moving_from.py"
    path.write_text(script(), encoding="utf-8")
    command = [sys.executable, "-W", "error", path.name]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def test_every_row_of_every_library_has_something_to_run() -> None:
    text = PAGE.read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    assert sections.keys() == LIBRARIES
    for section in sections.values():
        rows = [line for line in section.splitlines() if line.startswith("|")][2:]
        assert rows
        assert all(ROW.match(row) for row in rows)
