from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sketchkit import DataError, ParameterError, Sketch, SketchSet
from sketchkit.adapters.pen_rows import pen_rows, ragged_pen_rows
from sketchkit.ragged import group_extents, group_of, offsets_of
from sketchkit.simplifying import simplify

from zoo import NOT_FINITE, ZOO, drawings, whole_drawings, zoo_set

MANY_STROKES = [Sketch.from_strokes(np.random.default_rng(seed).uniform(0, 99, (40, 3, 2))) for seed in range(3)]
SETS = {
    "zoo": zoo_set(),
    "more ends than points": SketchSet.from_sketches(MANY_STROKES),
    "both": SketchSet.from_sketches([*MANY_STROKES[:1], *zoo_set(), *MANY_STROKES[1:]]),
    "nothing": SketchSet.from_sketches([]),
}


def by_numpy(sketches: SketchSet, points: int) -> tuple[np.ndarray, np.ndarray]:
    """`ragged_pen_rows` by `simplify` and whole arrays."""
    block = simplify(sketches, max_points=points)
    counts = np.diff(block.stroke_offsets[block.sketch_offsets])
    point_offsets, row_offsets = offsets_of(counts), offsets_of(counts + 1)
    least, greatest = group_extents(block.points.astype(np.float64), point_offsets)
    side = (greatest - least).max(axis=1, initial=0)
    sketch = group_of(point_offsets)
    rows = np.zeros((int(row_offsets[-1]), 5), np.float32)
    place = np.arange(len(block.points)) + sketch
    rows[place, :2] = (block.points - least[sketch]) / np.where(side > 0, side, 1)[sketch, None]
    rows[place, 2] = 1
    lifts = place[block.stroke_offsets[1:][np.diff(block.stroke_offsets) > 0] - 1]
    rows[lifts, 2], rows[lifts, 3] = 0, 1
    ends = row_offsets[1:] - 1
    filled = counts > 0
    rows[ends[filled], :2] = rows[ends[filled] - 1, :2]
    rows[ends, 4] = 1
    return rows, row_offsets


@pytest.mark.parametrize("points", [2, 3, 16, 64, 1000])
@pytest.mark.parametrize("name", SETS)
def test_twin_of_numpy(name: str, points: int) -> None:
    for found, expected in zip(ragged_pen_rows(SETS[name], points), by_numpy(SETS[name], points), strict=True):
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)


@given(st.lists(st.one_of(drawings, whole_drawings), max_size=4), st.integers(2, 12))
def test_any_drawings_as_by_numpy(sketches: list[Sketch], points: int) -> None:
    block = SketchSet.from_sketches(sketches)
    for found, expected in zip(ragged_pen_rows(block, points), by_numpy(block, points), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_drawing_alone_has_the_rows_that_it_has_among_others() -> None:
    rows, offsets = ragged_pen_rows(SETS["both"], 20)
    for index, sketch in enumerate(SETS["both"]):
        alone, lengths = pen_rows(sketch, 20)
        np.testing.assert_array_equal(alone[0], rows[offsets[index] : offsets[index + 1]])
        assert lengths.tolist() == [len(alone[0])]


def test_what_cannot_be_read_is_said() -> None:
    with pytest.raises(DataError, match="sketch 0 has the point"):
        ragged_pen_rows(Sketch.from_strokes([[(0, 0), (np.nan, 1)]]), 64)
    for name in NOT_FINITE:
        with pytest.raises(DataError, match="must be finite"):
            pen_rows(ZOO[name], 64)
    with pytest.raises(ParameterError, match="points must be at least 2"):
        pen_rows(SETS["zoo"], 1)
