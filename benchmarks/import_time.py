"""How long `import sketchkit` takes in a fresh interpreter; the house allows 0.3 s.

python benchmarks/import_time.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from contest import Table, markdown

STATEMENTS = [
    "pass",
    "import numpy",
    "import sketchkit",
    "from sketchkit import Sketch, read, simplify",
    "import torch",
]
REPEATS = 7


def seconds(statement: str) -> float:
    """Wall time of a fresh interpreter that runs one statement, seconds."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.perf_counter() - start


def tables(rounds: int) -> list[Table]:
    """The median over interleaved runs."""
    for statement in STATEMENTS:
        seconds(statement)  # warm the file cache
    runs = [[seconds(statement) for statement in STATEMENTS] for _ in range(rounds)]
    rows = [
        [f"`{statement}`", f"{statistics.median(times):.3f}"]
        for statement, times in zip(STATEMENTS, zip(*runs, strict=True), strict=True)
    ]
    return [Table("Starting", ["in a fresh interpreter", "seconds"], rows)]


def main() -> None:
    """Print the table."""
    for table in tables(REPEATS):
        print(markdown(table))


if __name__ == "__main__":
    main()
