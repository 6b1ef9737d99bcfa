"""Run the benchmarks and write their tables into docs/benchmarks.md.

    python benchmarks/run.py [NAME ...] [--rounds 15] [--page docs/benchmarks.md]

Each benchmark runs in a process of its own and replaces its own section of the page; the others stay as they are.
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import os
import platform
import re
import signal
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from sketchkit import atomic

from contest import markdown

# Module -> (heading, packages whose versions matter).
SECTIONS = {
    "rasterizing": (
        "Rasterizing",
        "numba cairocffi aggdraw pyblend2d opencv-python-headless pillow skia-python",
    ),
    "torch_rasterizing": ("Rasterizing by torch", "torch"),
    "parsing_ndjson": ("Reading ndjson", "numba orjson ujson pysimdjson msgspec pyarrow polars duckdb"),
    "parsing_binary": ("Reading Quick, Draw! binary", "numba quickdraw"),
    "parsing_svg": ("Reading SVG", "numba svgpathtools svgelements"),
    "parsing_npz": ("Reading sketch-rnn npz", "numpy numba"),
    "parsing_csv": ("Reading CSV", "numba pyarrow polars duckdb svgpathtools svgelements"),
    "opening_arrow": ("Opening Arrow files", "numpy pyarrow"),
    "simplifying": ("Simplifying", "numba shapely simplification opencv-python-headless pybind11-rdp fastrdp rdp"),
    "measuring": ("Measuring", "numpy numba"),
    "streaming": ("Streaming", "numpy pyarrow"),
    "costs": ("Counting", "torch"),
    "embedding": ("Embedding", "torch numba"),
    "selection": ("Selecting a canvas", "torch numba onnxruntime"),
    "querying": ("A query end to end", "torch onnxruntime faiss-cpu"),
    "exporting": ("Exporting", "torch onnx onnxruntime"),
    "import_time": ("Starting", "numpy torch"),
    "million": ("A million drawings", "numpy numba pyarrow"),
}
# Module -> the fewest rounds that its page is written from: two sides of seconds a round that must not differ by 5 %
# are told apart by the best of several, beside other load too.
LEAST_ROUNDS = {"embedding": 7}
PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
TOP = """# Benchmarks

Made by `make bench` (`make bench BENCH=parsing_svg` for one section). Contestants take turns in one process, every
other round backwards, and the best time of each counts. **Compare ratios, not rates**: they hold from one machine to
another, rates do not. Outputs are compared before anything is timed.
"""


def main() -> None:
    """Run what was asked for, one after the other, and write each section as soon as it is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(SECTIONS)} (default: all but million)")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--print", action="store_true", help="print the section of one benchmark, in this process")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in SECTIONS]
    if unknown:
        parser.error(f"there is no benchmark {unknown[0]!r}; there are {', '.join(SECTIONS)}")
    if arguments.print:
        print(section(arguments.names[0], arguments.rounds))
        return
    # The default action ends this process alone: its benchmark would measure on, for nobody.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped by SIGTERM; what is not measured yet stays as it was"))
    missing = []
    for name in arguments.names or [name for name in SECTIONS if name != "million"]:
        print(f"{name} ...", end=" ", flush=True)
        start = time.perf_counter()
        command = [sys.executable, __file__, name, "--print", "--rounds", str(arguments.rounds)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        seconds = f"{time.perf_counter() - start:.0f} s"
        if done.returncode:
            print(f"{ended(done.returncode)} after {seconds}; its section stays as it was", flush=True)
            missing.append(name)
            continue
        arguments.page.parent.mkdir(exist_ok=True)
        before = arguments.page.read_text("utf-8") if arguments.page.exists() else ""
        atomic.write_text(arguments.page, with_section(before, name, done.stdout))
        print(f"{seconds}, in {arguments.page}", flush=True)
    if missing:
        sys.exit(f"not measured: {', '.join(missing)}")


def ended(status: int) -> str:
    """How a process ended that gave no result."""
    if status > 0:
        return f"failed (status {status}, see above)"
    name = signal.Signals(-status).name
    return f"killed by {name}{' (out of memory?)' if name == 'SIGKILL' else ''}"


def section(name: str, rounds: int) -> str:
    """Heading, command, date, machine, versions and tables of one benchmark."""
    heading, packages = SECTIONS[name]
    tables = importlib.import_module(name).tables(max(rounds, LEAST_ROUNDS.get(name, 1)))
    lines = [
        f"## {heading}",
        "",
        f"`make bench BENCH={name}`, {today()}; {_machine(packages.split())}",
        "",
        *map(markdown, tables),
    ]
    return "\n".join(lines)


def with_section(page: str, name: str, text: str) -> str:
    """The page with one section put in or replaced; sections stand in the order of `SECTIONS`."""
    found = dict(re.findall(r"<!-- (\w+) -->\n(.*?)<!-- /\1 -->\n", page, re.DOTALL))
    found[name] = f"{text.rstrip()}\n"
    parts = [f"<!-- {known} -->\n{found[known]}<!-- /{known} -->\n" for known in SECTIONS if known in found]
    return "\n".join([TOP, *parts])


def _machine(packages: list[str]) -> str:
    versions = [f"{name} {found}" for name in packages if (found := _version(name))]
    python = f"Python {platform.python_version()}"
    return f"{processor()}, {os.cpu_count()} cores; {', '.join([python, *versions])}."


def today() -> str:
    """The day on which figures are made."""
    day = datetime.date.today()
    return f"{day.day} {day:%B %Y}"


def processor() -> str:
    """What the machine calls its processor."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine()
    found = re.search(r"model name\s*:\s*(.+)", text)
    return found[1] if found else platform.machine()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


if __name__ == "__main__":
    main()
