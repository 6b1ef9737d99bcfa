"""Every awkward drawing: what each transform, measure, writer and backend must survive."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from sketchkit import Sketch, SketchSet

__all__ = ["FINITE", "NOT_FINITE", "ZOO", "drawings", "whole_drawings", "zoo_set"]


def _spiral(turns: float, points: int) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi * turns, points)
    return np.stack([angle * np.cos(angle), angle * np.sin(angle)], axis=1)


def _many_strokes(strokes: int) -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    starts = generator.uniform(0, 255, (strokes, 1, 2))
    return list(starts + generator.uniform(-5, 5, (strokes, 3, 2)))


_HOUSE = [[(10, 60), (10, 20), (35, 5), (60, 20), (60, 60), (10, 60)], [(25, 60), (25, 40), (40, 40), (40, 60)]]
_TIMES = [[0, 40, 90, 120, 200, 310], [700, 720, 780, 800]]

ZOO: dict[str, Sketch] = {
    "empty": Sketch.from_strokes([]),
    "one empty stroke": Sketch.from_strokes([[]]),
    "empty stroke first": Sketch.from_strokes([[], [(0, 0), (4, 3)]]),
    "empty strokes inside": Sketch.from_strokes([[(0, 0), (4, 3)], [], [], [(9, 9), (1, 7), (2, 2)]]),
    "empty stroke last": Sketch.from_strokes([[(0, 0), (4, 3)], []]),
    "one point": Sketch.from_strokes([[(7, -3)]]),
    "two equal points": Sketch.from_strokes([[(5, 5), (5, 5)]]),
    "all points equal": Sketch.from_strokes([[(5, 5)] * 4, [(5, 5)]]),
    "dots": Sketch.from_strokes([[(1, 1)], [(8, 2)], [(3, 9)]]),
    "dot first": Sketch.from_strokes([[(1, 1)], [(0, 0), (6, 8)]]),
    "dot last": Sketch.from_strokes([[(0, 0), (6, 8)], [(1, 1)]]),
    "vertical line": Sketch.from_strokes([[(3, 0), (3, 10), (3, 25)]]),
    "horizontal line": Sketch.from_strokes([[(-4, 2), (0, 2), (12, 2)]]),
    "there and back": Sketch.from_strokes([[(0, 0), (10, 0), (20, 0), (10, 0), (0, 0)]]),
    "closed stroke": Sketch.from_strokes([[(0, 0), (10, 0), (10, 10), (0, 10), (0, 0)]]),
    "hook": Sketch.from_strokes([[(0, 0), (10, 0), (10, 1), (-5, 1), (4, 0)]]),
    "repeated points": Sketch.from_strokes([[(0, 0), (0, 0), (5, 0), (5, 0), (5, 0), (5, 5), (5, 5)]]),
    "spiral": Sketch.from_strokes([_spiral(6, 400)]),
    "tiny": Sketch.from_strokes([[(1e-20, 0), (2e-20, 3e-20), (0, 1e-20)]]),
    "huge": Sketch.from_strokes([[(-1e30, 2e29), (1e30, 3e29), (4e29, -1e30)]]),
    "far away": Sketch.from_strokes([[(1e6, 1e6), (1e6 + 1, 1e6), (1e6 + 1, 1e6 + 2)]]),
    "negative coordinates": Sketch.from_strokes([[(-50, -20), (-10, -70), (-30, -30)], [(-1, -1), (-2, -9)]]),
    "one stroke": Sketch.from_strokes(_HOUSE[:1]),
    "10,000 strokes": Sketch.from_strokes(_many_strokes(10_000)),
    "named": Sketch.from_strokes(_HOUSE, label="house", key="h-1", meta={"countrycode": "CH", "recognized": True}),
    "timed": Sketch.from_strokes(_HOUSE, time=_TIMES, label="house", key="h-2"),
    "timed one point": Sketch.from_strokes([[(1, 2)]], time=[[17]], label="dot", key="d-1"),
    "timed standing still": Sketch.from_strokes([[(1, 2), (1, 2), (1, 2)]], time=[[0, 100, 250]], label="dot"),
    "timed empty": Sketch.from_strokes([], time=[], label="nothing"),
    "NaN": Sketch.from_strokes([[(0, 0), (np.nan, 1), (2, 2)], [(5, 5), (6, 9)]], label="broken"),
    "all NaN": Sketch.from_strokes([[(np.nan, np.nan), (np.nan, np.nan), (np.nan, np.nan)]]),
    "infinite": Sketch.from_strokes([[(0, 0), (np.inf, 1), (2, -np.inf), (3, 3)]]),
}

NOT_FINITE = ("NaN", "all NaN", "infinite")
FINITE = {name: sketch for name, sketch in ZOO.items() if name not in NOT_FINITE}


def zoo_set(*, timed: bool = False, finite: bool = True) -> SketchSet:
    """The zoo as one set; drawings with and without time cannot share one."""
    chosen = FINITE if finite else ZOO
    return SketchSet.from_sketches(sketch for sketch in chosen.values() if (sketch.time is not None) == timed)


def _strokes(coordinate: st.SearchStrategy[float]) -> st.SearchStrategy[Sketch]:
    stroke = st.lists(st.tuples(coordinate, coordinate), max_size=12)
    return st.lists(stroke, max_size=5).map(Sketch.from_strokes)


# Any drawing of the real domain, and one on a small grid, where equal distances and repeated points are frequent.
drawings = _strokes(st.floats(-1e6, 1e6, width=32, allow_subnormal=False))
whole_drawings = _strokes(st.integers(0, 8).map(float))
