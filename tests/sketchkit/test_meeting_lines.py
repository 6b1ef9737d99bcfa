import numpy as np
import pytest
from naive_images import naive, naive_bounds

from sketchkit import Canvas, Sketch, rasterize

LIBRARIES = ("numba", "cairo", "torch")


def crossing(angle, shift=0.0):
    way = np.array([np.cos(angle), np.sin(angle)])
    middle = np.array([10.3 + shift, 9.6])
    return Sketch.from_strokes([[(2, 9.6), (18, 9.6)], [middle - 7 * way, middle + 7 * way]])


@pytest.mark.parametrize("angle", [0.3, 0.8, 1.2, np.pi / 2, 2.5])
def test_crossing_lines_have_the_ink_of_one_path(angle):
    canvas = Canvas(20, fit="keep", extent=20, line_width=3 / 20)
    image, truth = rasterize(crossing(angle), canvas)[0], naive(crossing(angle), canvas)
    darkest, total = naive_bounds(crossing(angle), canvas)
    both = total > darkest + 5
    assert both.any()
    assert np.abs(image - truth).max() <= 24
    assert np.abs(image - truth)[both].mean() <= 0.6 * (truth - darkest)[both].mean()


@pytest.mark.parametrize("turn", [0.5, 1.0, 1.6, 2.2])
def test_joins_have_the_ink_of_one_path(turn):
    start, joint = np.array([2.2, 10.4]), np.array([10.6, 9.8])
    sketch = Sketch.from_strokes([[start, joint, joint + 8 * np.array([np.cos(turn), np.sin(turn)])]])
    canvas = Canvas(20, fit="keep", extent=20, line_width=3 / 20)
    difference = rasterize(sketch, canvas)[0] - naive(sketch, canvas)
    assert np.abs(difference).max() <= 40
    assert abs(difference.sum()) <= 0.01 * naive(sketch, canvas).sum()


@pytest.mark.parametrize("times", [2, 3, 10])
@pytest.mark.parametrize("width", [1.6, 2.5, 6])
def test_a_line_drawn_again_is_no_darker(width, times):
    once = [(2.2, 3.1), (15.7, 11.2)]
    canvas = Canvas(20, fit="keep", extent=20, line_width=width / 20)
    single, again = (rasterize(Sketch.from_strokes([once] * count), canvas)[0].astype(int) for count in (1, times))
    assert np.abs(again - single).max() <= 3  # directions are kept in 4 bits


def test_lines_side_by_side_close_the_gap():
    canvas = Canvas(20, fit="keep", extent=20, line_width=3 / 20)
    pair = Sketch.from_strokes([[(3, 6.8), (17, 6.8)], [(3, 9.8), (17, 9.8)]])  # from 5.3 to 8.3, from 8.3 to 11.3
    column = rasterize(pair, canvas)[0, :, 10]
    np.testing.assert_allclose(column[5:12], [0.7 * 255, 255, 255, 255, 255, 255, 0.3 * 255], atol=4)


@pytest.mark.parametrize("backend", LIBRARIES)
def test_caps_are_round(backend):
    """A level and a slanting line, and a dot: their ink is that of a box and of two halves of a disk."""
    canvas = Canvas(40, fit="keep", extent=40, line_width=8 / 40)
    for way, length in (((1, 0), 14), ((0.8, 0.6), 14), ((0, 1), 0)):
        end = np.array([13.3, 12.7]) + length * np.array(way)
        image = rasterize(Sketch.from_strokes([[(13.3, 12.7), end]]), canvas, backend=backend)[0]
        assert image.sum() / 255 == pytest.approx(8 * length + np.pi * 16, rel=0.01)
        reached = np.argwhere(image)[:, ::-1] + 0.5
        nearest = reached - np.stack([[13.3, 12.7], end])[:, None]
        along = np.clip((nearest[0] * way).sum(1), 0, length)[:, None] * np.array(way)
        assert np.hypot(*(nearest[0] - along).T).max() <= 4 + 0.7072
