"""Rasterizing against plain cairocffi and other libraries, interleaved in one process: compare ratios, not rates.

    python benchmarks/rasterizing.py [--sketches 64] [--rounds 15] [--data FILE]

"plain" is the loop most code has: an ARGB32 surface for each drawing and size, painted white, `move_to` and `line_to`,
one channel copied out. All draw with a line of 3/256 of the canvas, round caps and joins, on one thread unless named.
Drawings are real ones where `--data` (default: ChairV2 in SKETCHKIT_DATA) is there, else made ones of like length.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from raster_peers import PEERS, Peer, plain

import sketchkit
from sketchkit import SketchSet

from contest import Table, Timing, contest, markdown
from stroke_data import argument_parser, default_file, stroke_drawings

__all__ = ["tables"]

SIZES = (32, 64, 128, 256)
LINE_WIDTH = 3 / 256
FIXED_PX = 2

# Images are compared with cairo's at this size, averaged down.
_TRUTH_SIDE = 2048

Contestants = Mapping[str, Callable[[], object]]


def main() -> None:
    """Print the tables."""
    arguments = argument_parser(__doc__, rounds=15).parse_args()
    for table in tables(arguments.rounds, arguments.data, arguments.sketches):
        print(markdown(table))


def tables(rounds: int, data: Path | None = None, sketches: int = 64) -> list[Table]:
    """Four sizes from one drawing, each size alone, lines fixed in pixels, one drawing a call, two threads; errors."""
    drawings = stroke_drawings(data or default_file(), sketches)
    peers = {name: peer for name, peer in PEERS.items() if peer.installed()}
    _check(drawings)
    note = f"{len(drawings)} sketches, {len(drawings.points) / len(drawings):.0f} points each, best of {rounds}"
    return [
        _four_sizes(drawings, peers, rounds, note),
        _each_alone(drawings, peers, rounds, note),
        _fixed_width(drawings, peers, rounds, note),
        _two_threads(drawings, rounds, note),
        _errors(drawings[: min(len(drawings), 32)], peers),
    ]


def _check(drawings: SketchSet) -> None:
    """Before anything is timed: ours and plain cairo draw the same, to 0.3 levels over all pixels."""
    pyramid = sketchkit.rasterize_pyramid(drawings, SIZES, line_width=LINE_WIDTH)
    for size, images in pyramid.items():
        difference = np.abs(images - plain(drawings, size, LINE_WIDTH).astype(float)).mean()
        if difference > 0.45:
            raise SystemExit(f"ours and plain cairo are {difference:.2f} levels apart at {size} px")


def _four_sizes(drawings: SketchSet, peers: Mapping[str, Peer], rounds: int, note: str) -> Table:
    out = {size: np.empty((len(drawings), size, size), np.uint8) for size in SIZES}
    shared = {"line_width": LINE_WIDTH, "threads": 1}
    contestants: dict[str, Callable[[], object]] = {
        "plain": lambda: [plain(drawings, size, LINE_WIDTH) for size in SIZES],
        "sketchkit": lambda: sketchkit.rasterize_pyramid(drawings, SIZES, **shared),
        "sketchkit, out=": lambda: sketchkit.rasterize_pyramid(drawings, SIZES, out=out, **shared),
        "cairo once, averaged": lambda: sketchkit.rasterize_pyramid(drawings, SIZES, backend="cairo", **shared),
        "sketchkit, a call a drawing": lambda: [
            sketchkit.rasterize_pyramid(sketch, SIZES, **shared) for sketch in drawings
        ],
    }
    for name, peer in peers.items():
        contestants[name] = lambda draw=peer.draw: [draw(drawings, size, LINE_WIDTH) for size in SIZES]
    timings = contest(contestants, rounds)
    alike = [name for name, peer in peers.items() if peer.alike]
    rows = _rate_rows(timings, len(drawings), "plain") + _missing(peers, 4)
    targets = [("x plain cairocffi", "plain", 20.0), ("x cairo once", "cairo once, averaged", 7.0)]
    if alike:
        targets.append(("x best library of like quality", min(alike, key=lambda name: timings[name].cpu), 8.0))
    for words, rival, target in targets:
        ratio = timings[rival].cpu / timings["sketchkit, out="].cpu
        rows.append([f"sketchkit {words} ({rival})", "", f"{ratio:.1f}", f"target {target:g}: {_met(ratio, target)}"])
    return Table("Four sizes, 32 + 64 + 128 + 256 px", ("", "sketches/s", "x plain", ""), rows, f"{note}; CPU time.")


def _each_alone(drawings: SketchSet, peers: Mapping[str, Peer], rounds: int, note: str) -> Table:
    draws = {"plain": plain, "sketchkit": _ours} | {name: peer.draw for name, peer in peers.items()}
    timings = {
        size: contest(
            {name: lambda draw=draw, size=size: draw(drawings, size, LINE_WIDTH) for name, draw in draws.items()},
            rounds,
        )
        for size in SIZES
    }
    rows = [
        [name, *(f"{timings[size]['plain'].cpu / timings[size][name].cpu:.1f}" for size in SIZES)] for name in draws
    ]
    met = [f"target 10: {_met(timings[s]['plain'].cpu / timings[s]['sketchkit'].cpu, 10)}" for s in SIZES]
    rows += [["sketchkit", *met], *_missing(peers, 5)]
    return Table("Each size alone, times plain cairocffi", ("", *map(str, SIZES)), rows, f"{note}; CPU time.")


def _fixed_width(drawings: SketchSet, peers: Mapping[str, Peer], rounds: int, note: str) -> Table:
    draws = {"plain": plain, "sketchkit": _ours} | {name: peer.draw for name, peer in peers.items()}
    contestants = {
        name: lambda draw=draw: [draw(drawings, size, FIXED_PX / size) for size in SIZES]
        for name, draw in draws.items()
    }
    timings = contest(contestants, rounds)
    rows = _rate_rows(timings, len(drawings), "plain") + _missing(peers, 4)
    return Table(
        f"Four sizes, a line of {FIXED_PX} px on each, so that each is drawn by itself",
        ("", "sketches/s", "x plain", ""),
        rows,
        f"{note}; CPU time.",
    )


def _two_threads(drawings: SketchSet, rounds: int, note: str) -> Table:
    many = SketchSet.concat([drawings] * 4)
    out = {size: np.empty((len(many), size, size), np.uint8) for size in SIZES}
    timings = contest(
        {
            threads: lambda threads=threads: sketchkit.rasterize_pyramid(
                many, SIZES, line_width=LINE_WIDTH, threads=int(threads), out=out
            )
            for threads in ("1", "2")
        },
        rounds,
    )
    gain = timings["1"].wall / timings["2"].wall
    work = timings["2"].cpu / timings["1"].cpu
    rows = [
        ["two over one, on the clock", f"{gain:.2f}", f"target 1.6: {_met(gain, 1.6)}"],
        ["processor time of two over that of one", f"{work:.2f}", "1 is no waste"],
    ]
    words = (
        f"{note}, four times over, into preallocated arrays. The first row needs two cores with nothing else on them."
    )
    return Table("Two threads, four sizes", ("", "ratio", ""), rows, words)


def _errors(drawings: SketchSet, peers: Mapping[str, Peer]) -> Table:
    truth = _truth(drawings)
    draws = {"plain": plain, "sketchkit, alone": _ours} | {name: peer.draw for name, peer in peers.items()}
    pyramid = sketchkit.rasterize_pyramid(drawings, SIZES, line_width=LINE_WIDTH)
    images = {"sketchkit": pyramid} | {
        name: {size: draw(drawings, size, LINE_WIDTH) for size in SIZES} for name, draw in draws.items()
    }
    errors = {name: {size: _error(of[size], truth[size]) for size in SIZES} for name, of in images.items()}
    rows = [[name, *(f"{all_:.3f} / {inked:.2f}" for all_, inked in of.values())] for name, of in errors.items()]
    no_worse = [_met(errors["plain"][size][0], errors["sketchkit"][size][0]) for size in SIZES]
    rows += [["sketchkit no worse than plain cairo", *no_worse], *_missing(peers, 5)]
    return Table(
        "Error, in levels of 255: all pixels / pixels with ink",
        ("", *map(str, SIZES)),
        rows,
        f"Mean absolute difference from cairo at {_TRUTH_SIDE} px, averaged down; {len(drawings)} sketches.",
    )


def _truth(drawings: SketchSet) -> dict[int, np.ndarray]:
    means: dict[int, list[np.ndarray]] = {size: [] for size in SIZES}
    for index in range(len(drawings)):
        large = sketchkit.rasterize(drawings[index], _TRUTH_SIDE, line_width=LINE_WIDTH, backend="cairo")
        for size in SIZES:
            part = _TRUTH_SIDE // size
            means[size].append(large.reshape(size, part, size, part).mean(axis=(1, 3), dtype=np.float32))
    return {size: np.stack(images) for size, images in means.items()}


def _error(images: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    error = np.abs(images - truth)
    return float(error.mean()), float(error[truth > 0].mean())


def _ours(drawings: SketchSet, size: int, line_width: float) -> np.ndarray:
    return sketchkit.rasterize(drawings, size, line_width=line_width, threads=1)


def _rate_rows(timings: Mapping[str, Timing], sketches: int, reference: str) -> list[list[str]]:
    return [
        [name, f"{sketches / timing.cpu:,.0f}", f"{timings[reference].cpu / timing.cpu:.2f}", _quality(name)]
        for name, timing in timings.items()
    ]


def _quality(name: str) -> str:
    return PEERS[name].remark if name in PEERS else ""


def _missing(peers: Mapping[str, Peer], columns: int) -> list[list[str]]:
    return [[name, "not installed", *[""] * (columns - 2)] for name in PEERS if name not in peers]


def _met(value: float, target: float) -> str:
    return "met" if value >= target else "MISSED"


if __name__ == "__main__":
    main()
