from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sketchkit import Sketch
from sketchkit.smoothing import cut_corners, smooth
from sketchkit.transforms import normalize

import naive
from zoo import FINITE, ZOO, drawings

SMALL = [name for name, sketch in FINITE.items() if len(sketch.points) < 50]


@pytest.mark.parametrize("name", SMALL)
def test_twin_smooth(name):
    sketch = normalize(FINITE[name])
    for sigma in (0.01, 0.1, 1.0):
        for got, stroke in zip(smooth(sketch, sigma).strokes, sketch.strokes, strict=True):
            expected = np.reshape(naive.smooth(naive.points_of(stroke), sigma), (-1, 2))
            np.testing.assert_allclose(got, expected, atol=1e-6, err_msg=f"sigma {sigma}")


def test_smooth_agrees_with_scipy_where_points_are_evenly_spaced():
    ndimage = pytest.importorskip("scipy.ndimage")
    # Along a line evenly spaced, the mean over the line is the mean over the points.
    x = np.arange(200.0)
    line = Sketch.from_strokes([np.stack([x, np.zeros(200)], axis=1)])
    np.testing.assert_allclose(smooth(line, 5).points, line.points, atol=1e-4)
    # A wave so flat that its length hardly differs from its width.
    y = 0.01 * np.sin(x / 7)
    wave = smooth(Sketch.from_strokes([np.stack([x, y], axis=1)]), 5).points[:, 1]
    inner = slice(25, -25)
    np.testing.assert_allclose(wave[inner], ndimage.gaussian_filter1d(y, 5)[inner], atol=1e-5)


@given(drawings, st.floats(0, 2))
def test_smooth_keeps_ends_and_goes_no_farther_than_its_images(sketch, sigma):
    sketch = normalize(sketch)
    for before, after in zip(sketch.strokes, smooth(sketch, sigma).strokes, strict=True):
        np.testing.assert_array_equal(before[:1], after[:1])
        np.testing.assert_array_equal(before[-1:], after[-1:])
        # Five images to a side, each at most two units from the one before.
        assert (np.abs(after) <= 11).all()


def test_a_great_sigma_leaves_nearly_the_chord():
    for name in ("hook", "spiral", "negative coordinates"):
        sketch = normalize(FINITE[name])
        for before, after in zip(sketch.strokes, smooth(sketch, 1e6).strokes, strict=True):
            ends = before[[0, -1]].astype(float)
            assert max(naive.distance_to_segment(p, *ends) for p in naive.points_of(after)) < 0.02


@given(drawings, st.floats(0.01, 1))
def test_smooth_is_the_same_in_every_place_and_size(sketch, sigma):
    sketch = normalize(sketch)
    turned = Sketch((sketch.points[:, ::-1] * np.float32(4)).copy(), sketch.offsets)
    smoothed = smooth(turned, 4 * sigma).points
    np.testing.assert_allclose(smoothed, smooth(sketch, sigma).points[:, ::-1] * 4, atol=1e-5)


@given(drawings)
def test_smooth_by_nothing_changes_nothing(sketch):
    np.testing.assert_array_equal(smooth(sketch, 0).points, sketch.points)


def test_smooth_takes_the_tremor_out():
    angle = np.linspace(0, np.pi, 400)
    arc = 100 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    shaky = arc + np.random.default_rng(0).normal(0, 0.5, arc.shape)
    radius = np.linalg.norm(smooth(Sketch.from_strokes([shaky]), 8).points, axis=1)[40:-40]
    assert abs(radius - 100).max() < 0.8
    assert radius.std() < 0.3


def test_cut_corners_by_hand():
    square = Sketch.from_strokes([[(0, 0), (8, 0), (8, 8), (0, 8)]], time=[[0, 8, 16, 24]])
    once = cut_corners(square)
    assert once.points.tolist() == [[0, 0], [6, 0], [8, 2], [8, 6], [6, 8], [0, 8]]
    assert once.time.tolist() == [0, 6, 10, 14, 18, 24]
    assert len(cut_corners(square, 2).points) == 10
    assert cut_corners(ZOO["vertical line"], 3).points[:, 0].tolist() == [3] * 10


def test_cut_corners_comes_near_the_quadratic_spline():
    interpolate = pytest.importorskip("scipy.interpolate")
    corners = np.random.default_rng(0).uniform(0, 10, (8, 2))
    curve = interpolate.BSpline(np.arange(11.0), corners, 2)(np.linspace(2, 8, 4001))
    line = cut_corners(Sketch.from_strokes([corners]), 6).points.astype(float)
    # The ends are kept, so the first and last piece lead to the spline, not along it.
    inner = line[100:-100]
    distance = np.linalg.norm(inner[:, None] - curve[None], axis=2).min(axis=1)
    assert distance.max() < 0.02


@given(drawings, st.integers(0, 4))
def test_cut_corners_keeps_ends_counts_and_the_box(sketch, rounds):
    sketch = normalize(sketch)
    for before, after in zip(sketch.strokes, cut_corners(sketch, rounds).strokes, strict=True):
        expected = len(before) if len(before) < 3 else (len(before) - 2) * 2**rounds + 2
        assert len(after) == expected
        np.testing.assert_array_equal(before[:1], after[:1])
        np.testing.assert_array_equal(before[-1:], after[-1:])
        if len(before):
            assert (after >= before.min(axis=0) - 1e-6).all()
            assert (after <= before.max(axis=0) + 1e-6).all()


@given(drawings)
def test_cut_corners_shortens_the_line(sketch):
    def length(stroke):
        return sum(float(np.linalg.norm(b - a)) for a, b in pairwise(stroke.astype(float)))

    sketch = normalize(sketch)
    for before, after in zip(sketch.strokes, cut_corners(sketch).strokes, strict=True):
        assert length(after) <= length(before) + 1e-5
