"""Simplifying strokes against the libraries one would pick, interleaved in one process: compare ratios, not rates.

    python benchmarks/simplifying.py [--sketches 952] [--rounds 9] [--data FILE]

Strokes as drawn (ChairV2 in SKETCHKIT_DATA, else made ones of like length) and the same dense: points every 1 px, with
noise. Each contestant starts from what it works on: shapely from geometries that are built, the others from an array a
stroke, sketchkit from the block. Before timing, each one's points are compared with sketchkit's by the same metric.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

import sketchkit
from sketchkit import SketchSet

from contest import Table, Timing, contest, markdown
from stroke_data import argument_parser, stroke_drawings

EPSILON = 2.0
AREA = 4.0
# What takes seconds for the lot is timed on these many strokes, evenly picked, and its time scaled up.
SAMPLE = 200
OURS = "sketchkit"

Strokes = list[np.ndarray]


@dataclass(frozen=True)
class Contestant:
    """A library's way to simplify many strokes.

    Args:
        package: what must be importable.
        metric: which of ours its result is compared with: "segment", "line" or "area".
        prepare: from the strokes (float64) to a function that simplifies them, and one that gives the points.
        slow: it is timed on a sample.
    """

    package: str
    metric: str
    prepare: Callable[[ModuleType, Strokes], tuple[Callable[[], Any], Callable[[Any], Strokes]]]
    slow: bool = False


def _same(result: Any) -> Strokes:
    return list(result)


def _shapely(shapely: Any, strokes: Strokes) -> tuple[Callable[[], Any], Callable[[Any], Strokes]]:
    lines = np.array([shapely.LineString(stroke) for stroke in strokes])
    return lambda: shapely.simplify(lines, EPSILON, preserve_topology=False), lambda result: [
        shapely.get_coordinates(line) for line in result
    ]


def _shapely_one_by_one(shapely: Any, strokes: Strokes) -> tuple[Callable[[], Any], Callable[[Any], Strokes]]:
    return lambda: [
        np.asarray(shapely.LineString(stroke).simplify(EPSILON, preserve_topology=False).coords) for stroke in strokes
    ], _same


def _opencv(cv2: Any, strokes: Strokes) -> tuple[Callable[[], Any], Callable[[Any], Strokes]]:
    single = [stroke.astype(np.float32) for stroke in strokes]
    return lambda: [cv2.approxPolyDP(stroke, EPSILON, False) for stroke in single], lambda result: [
        stroke[:, 0] for stroke in result
    ]


def _fastrdp(fastrdp: Any, strokes: Strokes) -> tuple[Callable[[], Any], Callable[[Any], Strokes]]:
    columns = [(np.ascontiguousarray(stroke[:, 0]), np.ascontiguousarray(stroke[:, 1])) for stroke in strokes]
    return lambda: [fastrdp.rdp(x, y, EPSILON) for x, y in columns], lambda result: [np.transpose(s) for s in result]


def _each(function: Callable[[Any], Callable[[np.ndarray], Any]]) -> Callable[..., Any]:
    def prepare(module: Any, strokes: Strokes) -> tuple[Callable[[], Any], Callable[[Any], Strokes]]:
        call = function(module)
        return lambda: [call(stroke) for stroke in strokes], lambda result: [np.asarray(stroke) for stroke in result]

    return prepare


PEERS = {
    "shapely, one call": Contestant("shapely", "segment", _shapely),
    "shapely, a line a stroke": Contestant("shapely", "segment", _shapely_one_by_one),
    "simplification": Contestant(
        "simplification.cutil", "segment", _each(lambda m: lambda stroke: m.simplify_coords(stroke, EPSILON))
    ),
    "opencv approxPolyDP": Contestant("cv2", "segment", _opencv),
    "pybind11-rdp": Contestant("pybind11_rdp", "segment", _each(lambda m: lambda stroke: m.rdp(stroke, EPSILON))),
    "fastrdp": Contestant("fastrdp", "line", _fastrdp),
    "rdp": Contestant("rdp", "line", _each(lambda m: lambda stroke: m.rdp(stroke, EPSILON)), slow=True),
    "simplification, Visvalingam": Contestant(
        "simplification.cutil", "area", _each(lambda m: lambda stroke: m.simplify_coords_vw(stroke, AREA))
    ),
    "visvalingamwyatt": Contestant(
        "visvalingamwyatt", "area", _each(lambda m: lambda s: m.Simplifier(s).simplify(threshold=AREA)), slow=True
    ),
}

OURS_BY_METRIC: dict[str, Callable[[SketchSet], SketchSet]] = {
    "segment": lambda drawings: sketchkit.simplify(drawings, EPSILON),
    "line": lambda drawings: sketchkit.simplify(drawings, EPSILON, metric="line"),
    "area": lambda drawings: sketchkit.visvalingam(drawings, AREA),
}


def main() -> None:
    """Print the tables."""
    parser = argument_parser(__doc__, rounds=9)
    parser.set_defaults(sketches=952)
    arguments = parser.parse_args()
    drawings = stroke_drawings(arguments.data, arguments.sketches)
    print("\n".join(markdown(table) for table in _tables(drawings, arguments.rounds)))


def tables(rounds: int) -> list[Table]:
    """The tables for `make bench`."""
    path: Path = argument_parser(__doc__, rounds=rounds).parse_args([]).data
    return _tables(stroke_drawings(path, 952), rounds)


def _tables(drawings: SketchSet, rounds: int) -> list[Table]:
    return [_table("strokes as drawn", drawings, rounds), _table("dense strokes", _dense(drawings), rounds)]


def _dense(drawings: SketchSet) -> SketchSet:
    fine = sketchkit.resample(drawings, 1.0)
    noise = np.random.default_rng(0).normal(0, 0.3, fine.points.shape)
    return fine.with_points((fine.points + noise).astype(np.float32))


def _table(title: str, drawings: SketchSet, rounds: int) -> Table:
    strokes = _strokes(drawings)
    sample = strokes[:: max(len(strokes) // SAMPLE, 1)]
    ours = {metric: _strokes(run(drawings)) for metric, run in OURS_BY_METRIC.items()}
    runs: dict[str, Callable[[], object]] = {
        f"{OURS}, {metric}": (lambda run=run: run(drawings)) for metric, run in OURS_BY_METRIC.items()
    }
    share, missing = {}, []
    for name, peer in PEERS.items():
        try:
            module = importlib.import_module(peer.package)
        except ImportError:
            missing.append(name)
            continue
        chosen = sample if peer.slow else strokes
        run, points = peer.prepare(module, chosen)
        expected = ours[peer.metric][:: max(len(strokes) // SAMPLE, 1)] if peer.slow else ours[peer.metric]
        share[name] = np.mean([np.array_equal(a, b) for a, b in zip(points(run()), expected, strict=True)])
        runs[name] = run
    times = contest(runs, rounds)
    times = {name: _scaled(timing, name, len(strokes) / len(sample)) for name, timing in times.items()}
    rows = [_row(name, timing, times, share, len(strokes)) for name, timing in times.items()]
    rows += [[name, "not installed", "", "", ""] for name in missing]
    slow = " and ".join(name for name in share if PEERS[name].slow)
    return Table(
        f"Simplifying {len(strokes):,} {title} ({len(drawings.points) / len(strokes):.0f} points each)",
        ["", "strokes/s", f"{OURS} is so many times as fast", "metric", "strokes equal"],
        rows,
        f"Douglas-Peucker at {EPSILON:g}, Visvalingam-Whyatt at area {AREA:g}; one thread, processor time, best of "
        f"{rounds}. Equal: to {OURS} by the same metric, point by point."
        + (f" {slow} ran on {len(sample)} strokes." if slow else ""),
    )


def _strokes(drawings: SketchSet) -> Strokes:
    points, offsets = drawings.points.astype(np.float64), drawings.stroke_offsets
    return [np.ascontiguousarray(points[a:b]) for a, b in pairwise(offsets)]


def _scaled(timing: Timing, name: str, factor: float) -> Timing:
    if name in PEERS and PEERS[name].slow:
        return Timing(timing.cpu * factor, timing.wall * factor)
    return timing


def _row(name: str, timing: Timing, times: dict[str, Timing], share: dict[str, Any], count: int) -> list[str]:
    rate = f"{count / timing.cpu:,.0f}"
    if name not in PEERS:
        return [f"**{name}**", rate, "", name.rpartition(" ")[2], ""]
    metric = PEERS[name].metric
    ratio = timing.cpu / times[f"{OURS}, {metric}"].cpu
    return [name, rate, f"{ratio:,.1f}" if ratio < 100 else f"{ratio:,.0f}", metric, f"{100 * share[name]:.1f} %"]


if __name__ == "__main__":
    main()
