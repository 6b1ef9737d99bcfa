"""The command line as a process of its own, and what every refusal of it has in common."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping

COMMAND = [sys.executable, "-c", "from sketchkit.recipes.cli import main; main()"]


def call(*words: object, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *map(str, words)], capture_output=True, text=True, check=False, env=env)


def refused(process: subprocess.CompletedProcess[str], *says: str) -> None:
    """One line on standard error after the bars, no traceback, exit code 2."""
    assert process.returncode == 2, process.stderr
    assert "Traceback" not in process.stderr
    line = process.stderr.strip().splitlines()[-1]
    assert line.startswith("sketchkit: "), process.stderr
    for words in says:
        assert words in line, line
