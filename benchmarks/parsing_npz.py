"""sketch-rnn archives against numpy, interleaved in one process: compare ratios, not rates.

    python benchmarks/parsing_npz.py [--rounds 7]

The archives are the real ones in SKETCHKIT_DATA (`sketchrnn/*.npz`), else a made one of like length. numpy unpickles:
with it, a file from elsewhere may run what it likes; that is what is compared with all the same.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

import sketchkit

from contest import Table, contest, markdown

SPLITS = ("train", "valid", "test")
TARGET = 3.5


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="how often each is timed (default 7)")
    for table in tables(parser.parse_args().rounds):
        print(markdown(table))


def tables(rounds: int) -> list[Table]:
    """One table an archive."""
    with archives() as paths:
        return [_table(path, rounds) for path in paths]


@contextmanager
def archives() -> Iterator[list[Path]]:
    """The real archives, or a made one in a temporary folder."""
    data = Path(os.environ.get("SKETCHKIT_DATA", Path(__file__).parents[2] / "shared" / "data"))
    found = sorted((data / "sketchrnn").glob("*.npz"))
    if found:
        yield found
        return
    with tempfile.TemporaryDirectory() as folder:
        yield [_made(Path(folder) / "made.npz")]


def loop(path: Path) -> list[list[np.ndarray]]:
    """The usual way: numpy unpickles, then each drawing is summed up and cut into strokes."""
    drawings = []
    for rows in _rows(path):
        places = np.cumsum(rows[:, :2], axis=0).astype(np.float32)
        drawings.append(np.split(places, np.flatnonzero(rows[:-1, 2]) + 1))
    return drawings


def sums(path: Path) -> list[np.ndarray]:
    """Less than is wanted: each drawing is summed up, but not cut into strokes."""
    return [np.cumsum(rows[:, :2], axis=0).astype(np.float32) for rows in _rows(path)]


def bulk(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unpickled by numpy, then all drawings summed up at once: points, stroke offsets, sketch offsets."""
    drawings = _rows(path)
    lengths = np.array([len(rows) for rows in drawings])
    rows = np.concatenate(drawings)
    ends = np.cumsum(lengths)
    places = np.cumsum(rows[:, :2], axis=0, dtype=np.int64)
    before = np.concatenate([np.zeros((1, 2), np.int64), places[ends[:-1] - 1]])
    points = (places - np.repeat(before, lengths, axis=0)).astype(np.float32)
    lifted = rows[:, 2] != 0
    lifted[ends - 1] = True
    strokes = np.concatenate([[0], np.flatnonzero(lifted) + 1])
    return points, strokes, np.searchsorted(strokes, np.concatenate([[0], ends]))


def inflate(path: Path) -> list[bytes]:
    """The floor: unpacking alone."""
    with zipfile.ZipFile(path) as archive:
        return [archive.read(name) for name in archive.namelist()]


def _rows(path: Path) -> list[np.ndarray]:
    with np.load(path, allow_pickle=True, encoding="latin1") as splits:
        return [rows for split in SPLITS for rows in splits[split]]


def _table(path: Path, rounds: int) -> Table:
    drawings = sketchkit.read(path)
    _require_equal(drawings, path)
    contestants: dict[str, Callable[[], object]] = {
        "sketchkit.read": lambda: sketchkit.read(path),
        "np.load, a loop: cumsum, split into strokes": lambda: loop(path),
        "np.load, a loop: cumsum alone": lambda: sums(path),
        "np.load, one concatenate and cumsum": lambda: bulk(path),
        "np.load alone": lambda: _rows(path),
        "unpacking alone (zipfile)": lambda: inflate(path),
    }
    timings = contest(contestants, rounds)
    ours = timings["sketchkit.read"].cpu
    rows = [
        [name, f"{len(drawings) / timing.cpu:,.0f}", f"{timing.cpu / ours:.2f}"] for name, timing in timings.items()
    ]
    note = (
        f"{len(drawings):,} drawings, {len(drawings.points) / len(drawings):.0f} points each, one thread, best of "
        f"{rounds}. Target: {TARGET} times the first loop. The drawings are equal, points and strokes."
    )
    return Table(f"sketch-rnn npz: {path.name}", ["way", "drawings/s", "times ours"], rows, note)


def _require_equal(drawings: sketchkit.SketchSet, path: Path) -> None:
    points, strokes, sketches = bulk(path)
    assert np.array_equal(drawings.points, points)
    assert np.array_equal(drawings.stroke_offsets, strokes)
    assert np.array_equal(drawings.sketch_offsets, sketches)
    every = [stroke for each in loop(path) for stroke in each]
    assert np.array_equal(np.concatenate(every), points)
    assert [len(stroke) for stroke in every] == np.diff(strokes).tolist()
    assert np.array_equal(np.concatenate(sums(path)), points)


def _made(path: Path) -> Path:
    generator = np.random.default_rng(0)
    splits = {}
    for split, count in zip(SPLITS, (20_000, 1000, 1000), strict=True):
        drawings = np.empty(count, dtype=object)
        for index, length in enumerate(generator.integers(20, 105, count)):
            steps = generator.normal(0, 12, (length, 3)).round()
            steps[:, 2] = generator.random(length) < 0.15
            steps[-1, 2] = 1
            drawings[index] = steps.astype(np.int16)
        splits[split] = drawings
    np.savez_compressed(path, **splits)
    return path


if __name__ == "__main__":
    main()
