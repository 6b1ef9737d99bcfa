"""Reading Quick, Draw!'s binary records, against the ways there are, interleaved in one process.

    python benchmarks/parsing_binary.py [--rounds 7]

The file is read each time, from the page cache. Ours gives flat arrays and all columns; the others, as their users
have them, one tuple of numbers, or one object, a drawing.
"""

from __future__ import annotations

import argparse
import struct
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from parsing_ndjson import DRAWINGS, corpus

import sketchkit
from sketchkit import SketchSet

from contest import Table, contest, markdown

__all__ = ["tables"]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="how often each is timed (default 7)")
    for table in tables(parser.parse_args().rounds):
        print(markdown(table))


def tables(rounds: int) -> list[Table]:
    """One table."""
    drawings = corpus(DRAWINGS)
    drawings = SketchSet(
        drawings.points,
        drawings.stroke_offsets,
        drawings.sketch_offsets,
        {name: values for name, values in drawings.columns.items() if name != "label"},
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "chair.bin"
        sketchkit.write(drawings, path)
        return [_table(path, drawings, rounds)]


def _table(path: Path, drawings: SketchSet, rounds: int) -> Table:
    contestants: dict[str, Callable[[], Any]] = {
        "sketchkit": lambda: sketchkit.read(path, format="quickdraw-binary"),
        "struct loop (Google's example)": lambda: list(struct_loop(path)),
        "frombuffer, an array a stroke": lambda: list(array_loop(path)),
    }
    missing = []
    try:
        import quickdraw  # noqa: F401 -- only whether it is there

        contestants["quickdraw package"] = lambda: quickdraw_package(path)
    except ImportError:
        missing.append("quickdraw package")
    found = contestants["sketchkit"]()
    np.testing.assert_array_equal(found.points, drawings.points)
    for name, run in list(contestants.items())[1:]:
        flat = [np.array(stroke, np.float32).T for image in run() for stroke in image]
        np.testing.assert_array_equal(np.concatenate(flat), drawings.points, err_msg=name)
    best = contest(contestants, rounds)
    size = path.stat().st_size / 1e6
    rows = [
        [
            name,
            f"{len(drawings) / timing.wall:,.0f}",
            f"{size / timing.wall:,.0f}",
            f"{timing.wall / best['sketchkit'].wall:.1f}",
        ]
        for name, timing in best.items()
    ]
    rows += [[name, "not installed", "", ""] for name in missing]
    title = "Quick, Draw! .bin, 20,000 drawings made from ChairV2's strokes"
    note = "Wall clock, one thread each. Targets: 25 times the struct loop, 45 times the quickdraw package."
    return Table(title, ["reader", "drawings/s", "MB/s", "sketchkit is faster by"], rows, note)


def struct_loop(path: Path) -> Iterator[list[tuple[tuple[int, ...], tuple[int, ...]]]]:
    """Google's way (quickdraw-dataset, examples/binary_file_parser.py)."""
    with path.open("rb") as file:
        while header := file.read(15):
            struct.unpack("<Q2sbI", header)
            (count,) = struct.unpack("<H", file.read(2))
            image = []
            for _ in range(count):
                (points,) = struct.unpack("<H", file.read(2))
                form = f"{points}B"
                image.append((struct.unpack(form, file.read(points)), struct.unpack(form, file.read(points))))
            yield image


def array_loop(path: Path) -> Iterator[list[np.ndarray]]:
    """One walk over the bytes in memory, an array a stroke."""
    data = path.read_bytes()
    at = 0
    while at < len(data):
        strokes = data[at + 15] + 256 * data[at + 16]
        at += 17
        image = []
        for _ in range(strokes):
            points = data[at] + 256 * data[at + 1]
            image.append(np.frombuffer(data, np.uint8, 2 * points, at + 2).reshape(2, points))
            at += 2 + 2 * points
        yield image


def quickdraw_package(path: Path) -> Any:
    """The `quickdraw` package; it finds `chair.bin` in its cache folder, and does not load it down."""
    from quickdraw import QuickDrawDataGroup

    group = QuickDrawDataGroup("chair", max_drawings=DRAWINGS, print_messages=False, cache_dir=str(path.parent))
    return [drawing["image"] for drawing in group._drawings]


if __name__ == "__main__":
    main()
