"""Opening a `.arrow` file memory-mapped: the time against the file's size, and against reading it.

python benchmarks/opening_arrow.py [--rounds 7] [--drawings 500000]
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

import sketchkit
from sketchkit import SketchSet

from contest import Table, contest, markdown

SMALLER = 100


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="how often each is timed (default 7)")
    parser.add_argument("--drawings", type=int, default=500_000, help="drawings of the large file (default 500,000)")
    arguments = parser.parse_args()
    for table in tables(arguments.rounds, arguments.drawings):
        print(markdown(table))


def tables(rounds: int, drawings: int = 500_000) -> list[Table]:
    """Two files, one a hundred times as large."""
    with tempfile.TemporaryDirectory() as folder:
        rows = []
        for count in (drawings // SMALLER, drawings):
            path = Path(folder) / f"{count}.arrow"
            sketchkit.write(made(count), path)
            rows += _rows(path, count, rounds)
    note = (
        "Made drawings of 10 strokes and 60 points with a label and a key. An opened file is views of the map: of the "
        "offsets, up to 2^20 are looked at, of more only the ends. Copied is what pyarrow and numpy need to have the "
        "same arrays in memory. Milliseconds, best of several, one thread."
    )
    return [Table("Opening a .arrow file", ["drawings", "MB", "what", "ms"], rows, note)]


def made(count: int) -> SketchSet:
    """Drawings of 10 strokes and 60 points."""
    points = np.random.default_rng(0).random((count * 60, 2), np.float32)
    strokes, sketches = np.arange(0, count * 60 + 1, 6), np.arange(0, count * 10 + 1, 10)
    label = np.array(["cat", "dog", "house", "sheep"], dtype=object)[np.arange(count) % 4]
    key = np.array([str(number) for number in range(count)], dtype=object)
    return SketchSet(points, strokes, sketches, {"label": label, "key": key})


def copied(path: Path) -> list[np.ndarray]:
    """Points, offsets and labels as arrays of this process."""
    with pa.OSFile(str(path)) as file:
        table = pa.ipc.open_file(file).read_all()
    drawings = table.column("drawing").chunk(0)
    points = drawings.values.values.values.to_numpy().reshape(-1, 2)
    return [points, drawings.values.offsets.to_numpy(), drawings.offsets.to_numpy(), *_columns(table)]


def _columns(table: pa.Table) -> list[np.ndarray]:
    return [table.column(name).to_numpy() for name in ("label", "key")]


def _rows(path: Path, count: int, rounds: int) -> list[list[str]]:
    found, expected = sketchkit.read(path), copied(path)
    assert np.array_equal(found.points, expected[0])
    assert np.array_equal(found.columns["key"], expected[4])
    contestants: dict[str, Callable[[], object]] = {
        "sketchkit.read": lambda: sketchkit.read(path),
        "sketchkit.read, then one drawing": lambda: sketchkit.read(path)[count // 2],
        "sketchkit.read, then all checked": lambda: sketchkit.read(path).validate(),
        "copied by pyarrow, columns as numpy's": lambda: copied(path),
    }
    size = path.stat().st_size / 1e6
    return [
        [f"{count:,}", f"{size:.0f}", name, f"{1000 * timing.wall:.2f}"]
        for name, timing in contest(contestants, rounds).items()
    ]


if __name__ == "__main__":
    main()
