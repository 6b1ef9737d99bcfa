"""A million drawings by the command line: time and peak memory of each command, in its own process.

    python benchmarks/million.py [--drawings 1000000] [--folder FOLDER]

The drawings are Quick, Draw!'s simplified lines in SKETCHKIT_DATA, repeated; where they are not there, made ones. Needs
about 15 GB of disk in the folder for a million (default: a temporary one), all removed at the end.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

import orjson

from contest import Table, markdown
from stroke_data import made_drawings, shared_data

MIB = 2**20
DRAWINGS = 1_000_000


def main() -> None:
    """Run the commands and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--drawings", type=int, default=DRAWINGS)
    parser.add_argument("--folder", type=Path, help="where to work (default: a temporary folder)")
    arguments = parser.parse_args()
    for table in tables(1, arguments.drawings, arguments.folder):
        print(markdown(table))


def tables(rounds: int, drawings: int = DRAWINGS, folder: Path | None = None) -> list[Table]:
    """One run of each command, whatever `rounds` is: a minute of work does not need repeating."""
    work = Path(tempfile.mkdtemp(prefix="sketchkit-million-", dir=folder))
    try:
        source = work / "drawings.ndjson"
        with source.open("wb") as file:
            file.writelines(islice(cycle(_lines()), drawings))
        rows = [
            _row(words, work, drawings)
            for words in (
                ["convert", "drawings.ndjson", "drawings.arrow"],
                ["render", "drawings.arrow", "pyramid.parquet"],
                ["render", "drawings.arrow", "pyramid", "--size", "32", "--size", "64"],
                ["measure", "drawings.arrow", "--out", "measures.parquet"],
                ["convert", "drawings.arrow", "drawings.parquet"],
                ["convert", "drawings.arrow", "back.ndjson.gz"],
            )
        ]
        note = (
            f"{drawings:,} drawings, {source.stat().st_size / MIB:,.0f} MiB of ndjson. Peak memory is the process's "
            "greatest resident set. `pyramid.parquet` holds 32, 64, 128 and 256 px, packed by zstd."
        )
    finally:
        shutil.rmtree(work)
    header = ["command", "seconds", "drawings/s", "peak memory, MiB", "of it anonymous, MiB", "written, MiB"]
    return [Table("A million drawings", header, rows, note)]


def _lines() -> list[bytes]:
    folder = shared_data() / "quickdraw" / "simplified"
    lines = [line for path in sorted(folder.glob("*.ndjson")) for line in path.read_bytes().splitlines(keepends=True)]
    return lines or list(_made_lines())


def _made_lines() -> Iterator[bytes]:
    for index, sketch in enumerate(made_drawings(1000)):
        drawing = [stroke.astype(int).T.tolist() for stroke in sketch.strokes]
        row = {"word": "made", "countrycode": "CH", "recognized": True, "key_id": str(index), "drawing": drawing}
        yield orjson.dumps(row) + b"\n"


def _row(words: list[str], work: Path, drawings: int) -> list[str]:
    program = "from sketchkit.recipes.cli import main; main()"
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", program, *words], cwd=work, stdout=subprocess.DEVNULL)
    anonymous = _watch(process)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"sketchkit {' '.join(words)}: exit code {process.returncode}")
    target = work / (words[words.index("--out") + 1] if "--out" in words else words[2])
    written = sum(path.stat().st_size for path in ([target] if target.is_file() else target.iterdir()))
    return [
        f"`sketchkit {' '.join(words)}`",
        f"{seconds:.1f}",
        f"{drawings / seconds:,.0f}",
        f"{usage.ru_maxrss / 1024:,.0f}",
        f"{anonymous:,.0f}",
        f"{written / MIB:,.0f}",
    ]


def _watch(process: subprocess.Popen[bytes]) -> float:
    """The greatest anonymous memory seen, MiB: a mapped file's pages count as resident, but can be dropped any time."""
    greatest = 0.0
    status = Path(f"/proc/{process.pid}/status")
    while True:
        try:
            fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
        except OSError:
            return greatest
        if "RssAnon" not in fields:  # it has ended
            return greatest
        greatest = max(greatest, int(fields["RssAnon"].split()[0]) / 1024)
        time.sleep(0.05)


if __name__ == "__main__":
    main()
