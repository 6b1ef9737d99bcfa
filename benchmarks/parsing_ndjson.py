"""Reading Quick, Draw! ndjson into flat arrays, against JSON libraries and data frames, interleaved in one process.

    python benchmarks/parsing_ndjson.py [--rounds 7]

Every contestant gives the same x and y, and offsets of strokes and drawings. Ours makes all the columns too (label,
key, countrycode, timestamp, recognized); of the others only those called "with columns" keep them. The file is read
each time, from the page cache. Compare the processor's time of what has one thread, the clock's of what has more.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

import sketchkit
from sketchkit import SketchSet

from contest import Table, contest, markdown
from stroke_data import stroke_drawings

__all__ = ["corpus", "tables"]

DATA = Path(os.environ.get("SKETCHKIT_DATA", Path(__file__).parents[2] / "shared" / "data"))
DRAWINGS = 20_000
Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="how often each is timed (default 7)")
    for table in tables(parser.parse_args().rounds):
        print(markdown(table))


def tables(rounds: int) -> list[Table]:
    """One table of the Quick, Draw!-shaped file, and one for each real pack that is there."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "chairs.ndjson"
        sketchkit.write(corpus(DRAWINGS), path)
        made = [_table("Simplified ndjson, 20,000 drawings made from ChairV2's strokes", path, rounds)]
        for pack in ("simplified", "raw"):
            joined = Path(folder) / f"{pack}.ndjson"
            files = sorted((DATA / "quickdraw" / pack).glob("*.ndjson"))
            if files:
                joined.write_text("\n".join(file.read_text().strip("\n") for file in files))
                made.append(_table(f"Quick, Draw! {pack}, {len(files)} real files joined", joined, rounds))
    return made


def corpus(count: int) -> SketchSet:
    """Drawings such as those of Quick, Draw!'s simplified files: 0..255, some 60 points, the usual columns."""
    drawings = stroke_drawings(DATA / "chairv2" / "ChairV2_Coordinate", 952)
    drawings = sketchkit.fit(sketchkit.simplify(drawings, 2.0), 255)
    drawings = drawings.with_points(np.rint(drawings.points).clip(0, 255).astype(np.float32))
    generator = np.random.default_rng(0)
    drawings = drawings[generator.integers(0, len(drawings), count)]
    times = [f"2017-03-{1 + n % 28:02} {n % 24:02}:25:{n % 60:02}.{n:05} UTC" for n in range(count)]
    return SketchSet(
        drawings.points, drawings.stroke_offsets, drawings.sketch_offsets, {}, drawings.point_columns
    ).with_columns(
        label=np.array(["chair"] * count, object),
        countrycode=np.array(["US", "GB", "DE", "RU", "CH", "BR"], object)[generator.integers(0, 6, count)],
        timestamp=np.array(times, object),
        recognized=generator.random(count) < 0.9,
        key=np.array([str(key) for key in generator.integers(2**52, 2**53, count)], object),
    )


def _table(title: str, path: Path, rounds: int) -> Table:
    contestants: dict[str, Callable[[], Any]] = {"sketchkit": lambda: ours(path), "sketchkit, 1 thread": _alone(path)}
    missing = []
    for name, (package, make) in PEERS.items():
        try:
            importlib.import_module(package)
        except ImportError:
            missing.append(name)
            continue
        contestants[name] = lambda make=make: make(path)
    expected = _plain(path)
    for name, run in contestants.items():
        found = run()
        for a, b in zip(_numbers(found), expected, strict=True):
            np.testing.assert_array_equal(a, b, err_msg=name)
    best = contest(contestants, rounds)
    count, size = len(expected[-1]) - 1, path.stat().st_size / 1e6
    alone, threaded = best["sketchkit, 1 thread"], best["sketchkit"]
    rows = []
    for name, timing in best.items():
        label = name if name not in PEERS else f"{name} ({_version(PEERS[name][0])})"
        ratios = f"{timing.cpu / alone.cpu:.2f}", f"{timing.wall / threaded.wall:.2f}"
        rows.append([label, f"{count / timing.cpu:,.0f}", f"{count / timing.wall:,.0f}", *ratios])
    rows += [[name, "not installed", "", "", ""] for name in missing]
    header = ["reader", "drawings/s, CPU", "drawings/s, wall", "1 thread against it, CPU", "all cores against it, wall"]
    targets = {"json + flatten": 6, "orjson + flatten": 4, "pyarrow.json, threads": 2.5}
    reached = [
        f"{name} at least {least}: {best[name].cpu / alone.cpu:.1f} CPU, {best[name].wall / threaded.wall:.1f} wall "
        f"({'met' if best[name].wall >= least * threaded.wall else 'MISSED'})"
        for name, least in targets.items()
        if name in best
    ]
    note = f"{count:,} drawings, {len(expected[0]):,} points, {size:.1f} MB. Targets: {'; '.join(reached)}."
    return Table(title, header, rows, note)


def _version(package: str) -> str:
    names = {"simdjson": "pysimdjson", "pyarrow.json": "pyarrow"}
    return "Python" if package == "json" else version(names.get(package, package))


def ours(path: Path) -> SketchSet:
    """All columns, as every user gets them."""
    return sketchkit.read(path, format="quickdraw")


def _alone(path: Path) -> Callable[[], SketchSet]:
    def run() -> SketchSet:
        with mock.patch("sketchkit.formats.ndjson_lines.thread_count", return_value=1):
            return ours(path)

    return run


def _numbers(found: Any) -> Arrays | tuple[np.ndarray, ...]:
    if isinstance(found, SketchSet):
        x, y = found.points.T
        return x, y, found.stroke_offsets, found.sketch_offsets
    return tuple(found[:4])


def _flat(drawings: Iterable[Any]) -> Arrays:
    """The usual way: extend one list for x and one for y."""
    xs: list[float] = []
    ys: list[float] = []
    strokes, sketches = [0], [0]
    for drawing in drawings:
        for stroke in drawing:
            xs.extend(stroke[0])
            ys.extend(stroke[1])
            strokes.append(len(xs))
        sketches.append(len(strokes) - 1)
    return np.array(xs, np.float32), np.array(ys, np.float32), np.array(strokes), np.array(sketches)


def _with_columns(records: list[Any]) -> tuple[Any, ...]:
    names = ("word", "key_id", "countrycode", "timestamp", "recognized")
    return (*_flat(record["drawing"] for record in records), {name: [row[name] for row in records] for name in names})


def _by(loads: Callable[[bytes], Any]) -> Callable[[Path], Arrays]:
    def read(path: Path) -> Arrays:
        with path.open("rb") as lines:
            return _flat(loads(line)["drawing"] for line in lines)

    return read


def _plain(path: Path) -> Arrays:
    return _by(json.loads)(path)


def _columns_by(package: str) -> Callable[[Path], Any]:
    def read(path: Path) -> Any:
        loads = importlib.import_module(package).loads
        with path.open("rb") as lines:
            return _with_columns([loads(line) for line in lines])

    return read


def _loads_of(package: str) -> Callable[[Path], Arrays]:
    return lambda path: _by(importlib.import_module(package).loads)(path)


def _simdjson(path: Path) -> Arrays:
    import simdjson

    parser = simdjson.Parser()

    def drawing(line: bytes) -> Any:
        return parser.parse(line)["drawing"].as_list()

    with path.open("rb") as lines:
        return _flat(drawing(line) for line in lines)


def _msgspec(path: Path) -> Arrays:
    import msgspec

    record = msgspec.defstruct("Record", [("drawing", list[list[list[float]]])])
    decoder = msgspec.json.Decoder(record)
    with path.open("rb") as lines:
        return _flat(decoder.decode(line).drawing for line in lines)


def _pyarrow(threads: bool) -> Callable[[Path], Arrays]:
    def read(path: Path) -> Arrays:
        from pyarrow import json as arrow_json

        options = arrow_json.ReadOptions(use_threads=threads, block_size=1 << 22)
        table = arrow_json.read_json(path, read_options=options)
        return _from_arrow(table.column("drawing").combine_chunks())

    return read


def _from_arrow(drawings: Any) -> Arrays:
    strokes = drawings.flatten()
    lists = strokes.flatten()
    values = lists.flatten().to_numpy()
    width = len(lists) // max(len(strokes), 1)
    bounds = lists.offsets.to_numpy().astype(np.int64)
    bounds -= bounds[0]
    counts = np.diff(bounds)[::width]
    stroke_offsets = np.concatenate([[0], np.cumsum(counts)])
    within = np.arange(stroke_offsets[-1]) - np.repeat(stroke_offsets[:-1], counts)
    x, y = (values[np.repeat(bounds[list_:-1:width], counts) + within].astype(np.float32) for list_ in (0, 1))
    sketch_offsets = drawings.offsets.to_numpy().astype(np.int64)
    return x, y, stroke_offsets, sketch_offsets - sketch_offsets[0]


def _polars(path: Path) -> Arrays:
    import polars

    return _from_arrow(_large(polars.read_ndjson(path).get_column("drawing").to_arrow()))


def _duckdb(path: Path) -> Arrays:
    import duckdb

    table = duckdb.sql(f"select drawing from read_json('{path}', format = 'newline_delimited')").to_arrow_table()
    return _from_arrow(_large(table.column("drawing").combine_chunks()))


def _large(drawings: Any) -> Any:
    return drawings.combine_chunks() if hasattr(drawings, "combine_chunks") else drawings


PEERS: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "json + flatten": ("json", _plain),
    "json, with columns": ("json", _columns_by("json")),
    "orjson + flatten": ("orjson", _loads_of("orjson")),
    "orjson, with columns": ("orjson", _columns_by("orjson")),
    "ujson + flatten": ("ujson", _loads_of("ujson")),
    "pysimdjson, as_list": ("simdjson", _simdjson),
    "msgspec, typed struct": ("msgspec", _msgspec),
    "pyarrow.json, threads": ("pyarrow.json", _pyarrow(True)),
    "pyarrow.json, 1 thread": ("pyarrow.json", _pyarrow(False)),
    "polars.read_ndjson": ("polars", _polars),
    "duckdb.read_json": ("duckdb", _duckdb),
}


if __name__ == "__main__":
    main()
