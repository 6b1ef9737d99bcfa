"""Measuring abstraction: drawings a second, on one thread.

    python benchmarks/measuring.py [--sketches 100000] [--rounds 3] [--data FILE]

Real drawings where `--data` (default: ChairV2 in SKETCHKIT_DATA) is there, repeated up to the number, else made ones.
No peer has these measures; the loop over single drawings is what anyone would write first.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import shapely

from sketchkit import Sketch, SketchSet, measure
from sketchkit.measures import MEASURES

from contest import Table, contest, markdown
from stroke_data import argument_parser, stroke_drawings

ONE_BY_ONE, BY_ITSELF = 1000, 10_000


def main() -> None:
    """Print the table."""
    parser = argument_parser(__doc__, rounds=3)
    parser.set_defaults(sketches=100_000)
    arguments = parser.parse_args()
    print(markdown(table(repeated(stroke_drawings(arguments.data, 952), arguments.sketches), arguments.rounds)))


def tables(rounds: int) -> list[Table]:
    """The table for 100,000 drawings."""
    data = argument_parser(__doc__, rounds=rounds).parse_args([]).data
    return [table(repeated(stroke_drawings(data, 952), 100_000), rounds)]


def repeated(drawings: SketchSet, count: int) -> SketchSet:
    """The drawings over and over, `count` in all."""
    return SketchSet.concat([drawings] * -(-count // len(drawings)))[:count]


def table(drawings: SketchSet, rounds: int) -> Table:
    """All measures at once, one drawing at a time, shapely where it has the same, and each measure by itself."""
    part = drawings[:BY_ITSELF]
    few = list(drawings[:ONE_BY_ONE])
    check(part, few)
    everything = f"all {len(MEASURES)}"
    contestants: dict[str, tuple[int, Callable[[], object]]] = {
        everything: (len(drawings), lambda: measure(drawings)),
        f"{everything}, one drawing at a time": (len(few), lambda: [measure(sketch) for sketch in few]),
        "`ink` by shapely, geometries made": (len(part), lambda: shapely_ink(part)),
    }
    for name in MEASURES:
        contestants[f"`{name}`"] = (len(part), lambda name=name: measure(part, name))
    timings = contest({name: run for name, (_, run) in contestants.items()}, rounds)
    rows = [
        [name, f"{count / timings[name].cpu:,.0f}", f"{timings[name].cpu / count * 1e5:.2f}"]
        for name, (count, _) in contestants.items()
    ]
    points = len(drawings.points) / len(drawings)
    note = (
        f"{len(drawings):,} drawings of {points:.0f} points, {len(part):,} for single measures; processor time, best "
        f"of {rounds}, one thread. No peer has these measures; shapely has lengths and boxes."
    )
    return Table("Measuring abstraction", ["measures", "drawings/s", "s for 100,000"], rows, note)


def shapely_ink(drawings: SketchSet) -> np.ndarray:
    """The measure `ink` by shapely, (sketches,)."""
    offsets = (drawings.stroke_offsets, drawings.sketch_offsets)
    lines = shapely.from_ragged_array(shapely.GeometryType.MULTILINESTRING, drawings.points.astype(np.float64), offsets)
    left, top, right, bottom = shapely.bounds(lines).T
    return shapely.length(lines) / np.hypot(right - left, bottom - top)


def check(drawings: SketchSet, few: list[Sketch]) -> None:
    """Stop where two contestants find different values."""
    together = measure(drawings[: len(few)])
    alone = [measure(sketch) for sketch in few]
    for name, values in together.items():
        each = np.concatenate([found[name] for found in alone])
        if not np.allclose(values, each, rtol=1e-9, equal_nan=True):
            sys.exit(f"{name} differs between a set and its drawings")
    if not np.allclose(measure(drawings, "ink")["ink"], shapely_ink(drawings), rtol=1e-9):
        sys.exit("ink differs from shapely's")


if __name__ == "__main__":
    main()
