"""Memory for files of growing size, and the time that threads save on many files.

    python -m benchmarks.streaming

Each memory figure is a process of its own that scans, or converts, one file; the file is made by repeating drawings.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from functools import partial
from itertools import islice, repeat
from pathlib import Path

import numpy as np

import sketchkit
from sketchkit import Sketch, SketchSet

from contest import Table, contest, markdown

__all__ = ["main", "tables"]

_LIMIT = 500
_MEASURE = """
import resource, sys, time
import sketchkit
started = time.perf_counter()
if len(sys.argv) > 2:
    sketchkit.write(sketchkit.scan(sys.argv[1]), sys.argv[2])
    count = 0
else:
    count = sum(map(len, sketchkit.scan(sys.argv[1])))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print(count, peak, time.perf_counter() - started)
"""


def tables(rounds: int) -> list[Table]:
    """Peak memory against size (one run each), and many files with and without threads (`rounds` times)."""
    with tempfile.TemporaryDirectory(prefix="sketchkit-") as folder:
        drawings = _drawings()
        return [_memory(drawings, Path(folder)), _threads(drawings, Path(folder), rounds)]


def main() -> None:
    """Print the tables."""
    for table in tables(3):
        print(markdown(table))


def _drawings() -> SketchSet:
    data = Path(os.environ.get("SKETCHKIT_DATA", Path(__file__).parents[2] / "shared" / "data"))
    folder = data / "quickdraw" / "simplified"
    if folder.is_dir():
        drawings = sketchkit.read(folder)
        columns = {name: values for name, values in drawings.columns.items() if name not in ("file", "timestamp")}
        return SketchSet(drawings.points, drawings.stroke_offsets, drawings.sketch_offsets, columns)
    generator = np.random.default_rng(0)
    strokes = generator.integers(0, 256, (5000, 5, 9, 2))
    return SketchSet.from_sketches(
        Sketch.from_strokes(list(one), label="made", key=str(index)) for index, one in enumerate(strokes)
    )


def _memory(drawings: SketchSet, folder: Path) -> Table:
    rows = []
    for suffix, sizes in ((".ndjson", (10, 100, 550)), (".ndjson.gz", (100,)), (".bin", (10, 100, 1200))):
        for megabytes in sizes:
            path = _repeated(drawings, folder / f"drawn{suffix}", megabytes << 20)
            count, peak, seconds = _measured(path)
            rows.append(
                (
                    f"scan {suffix}",
                    f"{path.stat().st_size / 2**20:.0f}",
                    f"{megabytes}",
                    f"{count:,}",
                    f"{peak / 2**20:.0f}",
                    f"{seconds:.1f}",
                )
            )
            path.unlink()
    return Table(
        f"Peak memory of reading piece by piece (to stay under {_LIMIT} MiB)",
        ("what", "file, MiB", "unpacked, MiB", "drawings", "peak, MiB", "s"),
        rows,
        "The whole process: Python, numpy and numba with it. Drawings of Quick, Draw!, simplified, again and again.",
    )


def _repeated(drawings: SketchSet, path: Path, size: int) -> Path:
    """A file of about `size` bytes unpacked."""
    one = path.with_name(f"one{path.suffixes[0]}")
    if path.suffixes[0] == ".bin":
        columns = {"key": np.arange(len(drawings), dtype=np.uint64)}
        drawings = SketchSet(drawings.points, drawings.stroke_offsets, drawings.sketch_offsets, columns)
    sketchkit.write(drawings, one)
    data = one.read_bytes()
    one.unlink()
    if path.suffix == ".gz":
        import gzip

        # Members in a row are one file; the packing itself need not be repeated.
        data, size = gzip.compress(data), size * len(gzip.compress(data)) // len(data)
    with path.open("wb") as file:
        file.writelines(islice(repeat(data), max(size // len(data), 1)))
    return path


def _measured(*paths: Path) -> tuple[int, int, float]:
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, *map(str, paths)], capture_output=True, text=True, check=True
    )
    count, peak, seconds = done.stdout.split()
    return int(count), int(peak), float(seconds)


def _threads(drawings: SketchSet, folder: Path, rounds: int) -> Table:
    rows = []
    for suffix in (".ndjson", ".ndjson.gz", ".bin", ".bin.gz"):
        many = folder / f"many{suffix}"
        many.mkdir()
        for index in range(8):
            _repeated(drawings, many / f"{index:02d}{suffix}", (16 if "bin" in suffix else 1) << 20)
        assert _count(many, 2) == _count(many, 1)
        best = contest({str(threads): partial(_count, many, threads) for threads in (1, 2)}, rounds)
        one, two = best["1"].wall, best["2"].wall
        rows.append((f"8 files {suffix}", f"{one:.2f}", f"{two:.2f}", f"{one / two:.2f}"))
    return Table(
        "Many files, one thread and two",
        ("what", "one thread, s", "two threads, s", "times as fast"),
        rows,
        f"{os.cpu_count()} cores. Threads help where a format's work is done outside the interpreter's lock: unpacking "
        "and compiled kernels.",
    )


def _count(folder: Path, threads: int) -> int:
    return sum(map(len, sketchkit.scan(folder, threads=threads)))


if __name__ == "__main__":
    main()
