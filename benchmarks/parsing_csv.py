"""Reading Sketchy's strokes and the drawing game's records, beside what one would write with a CSV library.

    python benchmarks/parsing_csv.py [--rounds 5]

Data: SKETCHKIT_DATA, each file repeated; made drawings of like shape where it is absent. All contestants read the file
from the page cache into flat arrays (points float32, where strokes and drawings begin); ours also makes the columns.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

import sketchkit
from sketchkit import Sketch, SketchSet

from contest import Table, Timing, contest, markdown

Flat = tuple[np.ndarray, np.ndarray, np.ndarray]
_REPEATS = 8
_ROWS = "sketchy_airplane/stroke_dataframe.csv"
_GAME = "refgame_chairs/sketchpad_basic_chairs.csv"


def tables(rounds: int) -> list[Table]:
    """Both formats; outputs are compared before anything is timed."""
    data = Path(os.environ.get("SKETCHKIT_DATA", Path(__file__).parents[2] / "shared" / "data"))
    with tempfile.TemporaryDirectory() as folder:
        return [_strokes(data / _ROWS, Path(folder), rounds), _game(data / _GAME, Path(folder), rounds)]


def _strokes(source: Path, folder: Path, rounds: int) -> Table:
    drawings = sketchkit.read(source) if source.exists() else _made(568)
    path = folder / "strokes.csv"
    sketchkit.write(_repeated(drawings), path, format="sketchy")
    peers: dict[str, tuple[str, Callable[[Path], Flat]]] = {
        "csv.reader, a list a stroke": ("csv", _rows_by_csv),
        "csv.DictReader, a list a stroke": ("csv", _rows_by_dict_reader),
        "pyarrow.csv, grouped by numpy": ("pyarrow", _rows_by_pyarrow),
        "polars, grouped by numpy": ("polars", _rows_by_polars),
        "duckdb, grouped by numpy": ("duckdb", _rows_by_duckdb),
        "pandas, grouped by numpy": ("pandas", _rows_by_pandas),
    }
    ours = _flat(sketchkit.read(path))
    here = {name: read for name, (module, read) in peers.items() if importlib.util.find_spec(module)}
    for name, read in here.items():
        for found, expected in zip(read(path), ours, strict=True):
            np.testing.assert_array_equal(found, expected, name)
    runs = {"sketchkit.read": lambda: sketchkit.read(path)} | {
        name: lambda read=read: read(path) for name, read in here.items()
    }
    times = contest(runs, rounds)
    note = (
        f"{len(ours[2]) - 1:,} drawings, {len(ours[0]):,} points, {path.stat().st_size / 1e6:.0f} MB"
        f"{'' if source.exists() else ' (made)'}; all outputs equal. Only ours checks the rows: finite, pen and "
        "strokeID agree, the rows of a drawing together."
    )
    return _table("Sketchy strokes, CSV", times, list(peers), path, len(ours[2]) - 1, note)


def _game(source: Path, folder: Path, rounds: int) -> Table:
    path = folder / "game.csv"
    if source.exists():
        path.write_bytes(source.read_bytes())
    else:
        sketchkit.write(_made(600), path, format="drawing-game")
    peers = {
        "csv, json, svgpathtools": ("svgpathtools", _game_by_svgpathtools),
        "csv, json, svgelements": ("svgelements", _game_by_svgelements),
    }
    ours = sketchkit.read(path)
    here = {name: read for name, (module, read) in peers.items() if importlib.util.find_spec(module)}
    starts = ours.points[ours.stroke_offsets[:-1]]
    for name, read in here.items():
        points, stroke_offsets, sketch_offsets = read(path)
        np.testing.assert_array_equal(sketch_offsets, ours.sketch_offsets, name)
        np.testing.assert_allclose(points[stroke_offsets[:-1]], starts, atol=1e-3, err_msg=name)
        np.testing.assert_allclose(
            points[stroke_offsets[1:] - 1], ours.points[ours.stroke_offsets[1:] - 1], atol=2e-2, err_msg=name
        )
    runs = {"sketchkit.read": lambda: sketchkit.read(path)} | {
        name: lambda read=read: read(path) for name, read in here.items()
    }
    times = contest(runs, rounds)
    note = (
        f"{len(ours):,} records, {len(ours.points):,} points of ours{'' if source.exists() else ' (made)'}. Peers take "
        "8 chords a curve, ours as many as stay within 0.1 of a unit: the same strokes, begun and ended alike."
    )
    return _table("Drawing game, CSV of SVG paths", times, list(peers), path, len(ours), note)


def _table(title: str, times: Mapping[str, Timing], peers: list[str], path: Path, drawings: int, note: str) -> Table:
    ours, megabytes = times["sketchkit.read"], path.stat().st_size / 1e6
    rows = []
    for name in ["sketchkit.read", *peers]:
        if name not in times:
            rows.append([name, "not installed", "", "", ""])
            continue
        cpu, wall = times[name].cpu, times[name].wall
        speed = [f"{drawings / wall:,.0f}", f"{megabytes / wall:.1f}"]
        rows.append([name, *speed, f"{wall / ours.wall:.2f}", f"{cpu / ours.cpu:.2f}"])
    return Table(title, ["reader", "drawings/s", "MB/s", "time / ours", "processor time / ours"], rows, note)


def _made(count: int) -> SketchSet:
    generator = np.random.default_rng(0)
    return SketchSet.from_sketches(
        Sketch.from_strokes(np.cumsum(generator.normal(0, 20, (16, 5, 2)), axis=1).round(5), key=f"n{index}-1")
        for index in range(count)
    )


def _repeated(drawings: SketchSet) -> SketchSet:
    return SketchSet.concat(
        drawings.with_columns(
            photo=np.array([f"n{turn}{key.rpartition('-')[0]}" for key in drawings.columns["key"]], object),
            sketch=np.array([int(key.rpartition("-")[2]) - 1 for key in drawings.columns["key"]]),
            key=np.array([f"n{turn}{key}" for key in drawings.columns["key"]], object),
        )
        for turn in range(_REPEATS)
    )


def _flat(drawings: SketchSet) -> Flat:
    return drawings.points, drawings.stroke_offsets, drawings.sketch_offsets


def _of_lists(drawings: list[list[list[tuple[float, float]]]]) -> Flat:
    strokes = [stroke for drawing in drawings for stroke in drawing]
    points = np.array([point for stroke in strokes for point in stroke], np.float32)
    stroke_offsets = np.concatenate([[0], np.cumsum([len(stroke) for stroke in strokes])])
    return points, stroke_offsets, np.concatenate([[0], np.cumsum([len(drawing) for drawing in drawings])])


def _of_columns(x: np.ndarray, y: np.ndarray, pen: np.ndarray, sketch: np.ndarray, photo: np.ndarray) -> Flat:
    changes = np.flatnonzero((sketch[1:] != sketch[:-1]) | (photo[1:] != photo[:-1])) + 1
    strokes = np.flatnonzero(pen == 1)
    sketch_offsets = np.searchsorted(strokes, np.concatenate([[0], changes, [len(x)]]))
    return np.stack([x, y], axis=1).astype(np.float32), np.append(strokes, len(x)), sketch_offsets


def _rows_by_csv(path: Path) -> Flat:
    drawings: list[list[list[tuple[float, float]]]] = []
    last = None
    with path.open(newline="") as file:
        rows = csv.reader(file)
        next(rows)
        for _, x, y, pen, _, sketch, photo in rows:
            if (photo, sketch) != last:
                drawings.append([])
                last = photo, sketch
            if pen == "1":
                drawings[-1].append([])
            drawings[-1][-1].append((float(x), float(y)))
    return _of_lists(drawings)


def _rows_by_dict_reader(path: Path) -> Flat:
    drawings: dict[tuple[str, str], list[list[tuple[float, float]]]] = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            strokes = drawings.setdefault((row["photoID"], row["sketchID"]), [])
            if row["pen"] == "1":
                strokes.append([])
            strokes[-1].append((float(row["x"]), float(row["y"])))
    return _of_lists(list(drawings.values()))


def _rows_by_pyarrow(path: Path) -> Flat:
    from pyarrow import csv as arrow_csv

    table = arrow_csv.read_csv(path)
    photo = table["photoID"].combine_chunks().dictionary_encode().indices.to_numpy()
    return _of_columns(*(table[name].to_numpy() for name in ("x", "y", "pen", "sketchID")), photo)


def _rows_by_polars(path: Path) -> Flat:
    import polars

    table = polars.read_csv(path)
    photo = table["photoID"].cast(polars.Categorical).to_physical().to_numpy()
    return _of_columns(*(table[name].to_numpy() for name in ("x", "y", "pen", "sketchID")), photo)


def _rows_by_duckdb(path: Path) -> Flat:
    import duckdb

    table = duckdb.sql(f"SELECT x, y, pen, sketchID, photoID FROM read_csv('{path}')").fetchnumpy()
    return _of_columns(*(table[name] for name in ("x", "y", "pen", "sketchID", "photoID")))


def _rows_by_pandas(path: Path) -> Flat:
    import pandas

    table = pandas.read_csv(path)
    photo = pandas.factorize(table["photoID"])[0]
    return _of_columns(*(table[name].to_numpy() for name in ("x", "y", "pen", "sketchID")), photo)


def _paths_of(path: Path) -> list[list[str]]:
    csv.field_size_limit(1 << 24)
    with path.open(newline="") as file:
        return [json.loads(record["svg"]) for record in csv.DictReader(file)]


def _game_by_svgpathtools(path: Path) -> Flat:
    from svgpathtools import CubicBezier, parse_path

    shares = np.linspace(0, 1, 9)[1:]
    drawings = []
    for paths in _paths_of(path):
        strokes = []
        for data in paths:
            curve = parse_path(data)
            points = [curve.start]
            for piece in curve:
                if isinstance(piece, CubicBezier):
                    points.extend(piece.poly()(shares).tolist())
                else:
                    points.append(piece.end)
            strokes.append([(point.real, point.imag) for point in points])
        drawings.append(strokes)
    return _of_lists(drawings)


def _game_by_svgelements(path: Path) -> Flat:
    from svgelements import CubicBezier, Move
    from svgelements import Path as SvgPath

    shares = np.linspace(0, 1, 9)[1:]
    drawings = []
    for paths in _paths_of(path):
        strokes = []
        for data in paths:
            points: list[tuple[float, float]] = []
            for piece in SvgPath(data):
                if isinstance(piece, CubicBezier):
                    points.extend(map(tuple, piece.npoint(shares).tolist()))
                elif isinstance(piece, Move) or piece.end is not None:
                    points.append((piece.end.x, piece.end.y))
            strokes.append(points)
        drawings.append(strokes)
    return _of_lists(drawings)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="how often each is timed (default 5)")
    for table in tables(parser.parse_args().rounds):
        print(markdown(table))


if __name__ == "__main__":
    main()
