import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sketchkit import Sketch, SketchSet
from sketchkit.augmenting import deform_locally, reverse_strokes, shuffle_strokes
from sketchkit.transforms import normalize

from zoo import FINITE, ZOO, drawings, zoo_set


@given(drawings, st.integers(0, 1000), st.floats(0, 0.3), st.integers(1, 6))
def test_no_point_moves_farther_than_the_amplitude(sketch, seed, amplitude, cells):
    sketch = normalize(sketch)
    moved = deform_locally(sketch, seed=seed, amplitude=amplitude, cells=cells)
    assert (np.abs(moved.points.astype(float) - sketch.points) <= amplitude + 1e-6).all()


def test_deforming_agrees_with_a_spline_of_scipy():
    interpolate = pytest.importorskip("scipy.interpolate")
    generator = np.random.default_rng(1)
    points = np.concatenate([[(0, 0), (12, 9)], generator.uniform((0, 0), (12, 9), (50, 2))])
    moved = deform_locally(Sketch.from_strokes([points]), seed=7, amplitude=0.2, cells=3)
    nodes = np.random.default_rng(7).uniform(-0.2, 0.2, (1, 6, 6, 2))[0] * 12
    knots = np.arange(-3.0, 7.0)
    bases = [interpolate.BSpline(knots, np.eye(6), 3)(points[:, axis] / 4) for axis in (0, 1)]
    expected = points + np.einsum("pi,pj,ijk->pk", *bases, nodes)
    np.testing.assert_allclose(moved.points, expected, atol=1e-4)


def test_deforming_bends_and_does_not_only_shift():
    square = SketchSet.from_sketches([ZOO["closed stroke"]] * 200)
    moved = deform_locally(square, seed=0, amplitude=0.1)
    shifts = (moved.points - square.points).reshape(200, 5, 2).astype(float)
    assert 0.2 < shifts.std() < 0.6  # of at most 1
    assert np.abs(shifts - shifts.mean(axis=1, keepdims=True)).mean() > 0.1
    # A closed stroke stays closed: what was in one place still is.
    np.testing.assert_array_equal(moved.points.reshape(200, 5, 2)[:, 0], moved.points.reshape(200, 5, 2)[:, 4])


def test_near_points_move_alike():
    line = Sketch.from_strokes([np.stack([np.linspace(0, 1, 1001), np.zeros(1001)], axis=1)])
    shift = deform_locally(line, seed=0, amplitude=0.1).points.astype(float) - line.points
    # A cubic B-spline's slope is at most the largest difference of neighboring nodes: 0.2 in a third.
    assert np.abs(np.diff(shift, axis=0)).max() <= 0.2 * 3 / 1000 + 1e-6


@pytest.mark.parametrize("operation", [deform_locally, reverse_strokes, shuffle_strokes])
def test_chunks_drawn_from_one_generator_give_the_whole(operation):
    drawings = zoo_set()
    whole = operation(drawings, seed=4)
    generator = np.random.default_rng(4)
    chunks = [operation(drawings[start : start + 5], seed=generator) for start in range(0, len(drawings), 5)]
    np.testing.assert_array_equal(SketchSet.concat(chunks).points, whole.points)


@given(drawings, st.integers(0, 1000))
def test_reversed_strokes_hold_the_same_points(sketch, seed):
    for before, after in zip(sketch.strokes, reverse_strokes(sketch, seed=seed).strokes, strict=True):
        assert np.array_equal(before, after) or np.array_equal(before[::-1], after)
    twice = reverse_strokes(reverse_strokes(sketch, seed=seed), seed=seed)
    np.testing.assert_array_equal(twice.points, sketch.points)


def test_reversing_takes_time_along():
    back = reverse_strokes(ZOO["timed"], seed=0, probability=1)
    assert back.time.tolist() == [310, 200, 120, 90, 40, 0, 800, 780, 720, 700]
    assert reverse_strokes(ZOO["timed"], seed=0, probability=0).time.tolist() == ZOO["timed"].time.tolist()
    strokes = ZOO["10,000 strokes"]
    turned = reverse_strokes(strokes, seed=0, probability=0.3).points != strokes.points
    assert turned.reshape(10_000, 3, 2)[:, 0].any(axis=1).mean() == pytest.approx(0.3, abs=0.02)


@given(drawings, st.integers(0, 1000))
def test_shuffled_strokes_are_the_same_strokes(sketch, seed):
    shuffled = shuffle_strokes(sketch, seed=seed)
    assert sorted(s.tolist() for s in shuffled.strokes) == sorted(s.tolist() for s in sketch.strokes)


def test_shuffling_stays_within_a_drawing_and_is_even():
    two = Sketch.from_strokes([[(0, 0)], [(1, 1), (2, 2)]])
    result = shuffle_strokes(SketchSet.from_sketches([two] * 1000), seed=0)
    first = np.array([len(sketch.strokes[0]) for sketch in result])
    assert first.mean() == pytest.approx(1.5, abs=0.06)
    assert all(len(sketch.points) == 3 for sketch in result)
    assert shuffle_strokes(FINITE["timed"], seed=1).time.sum() == FINITE["timed"].time.sum()


def test_many_drawings_are_bent_in_parts_as_at_once(monkeypatch):
    drawings = zoo_set()
    whole = deform_locally(drawings, seed=2)
    monkeypatch.setattr("sketchkit.augmenting._MOST_DRAWS", 200)
    np.testing.assert_array_equal(deform_locally(drawings, seed=2).points, whole.points)
