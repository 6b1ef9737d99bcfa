"""Canvases as wide as the ink: `Canvas(size, rectangular=True)`."""

import numpy as np
import pytest
import torch
from naive_images import walks

from sketchkit import Canvas, ParameterError, Sketch, SketchSet, rasterize, rasterize_pyramid
from sketchkit.canvas import sizes_of
from sketchkit.torch_backend import rasterize_torch

from zoo import ZOO, zoo_set

LINE = 2.5 / 256


def box(width, height):
    """A drawing of these extents."""
    return Sketch.from_strokes([[(0, 0), (width, 0), (width, height)], [(width / 3, 0), (width / 2, height)]])


def boxes(count=40, seed=0):
    """From upright lines to level ones, scribbled into, at any place."""
    generator = np.random.default_rng(seed)
    extents = generator.uniform(1, 100, (count, 1, 1, 2))
    extents[: count // 4, ..., 0] *= 0.1
    places = extents * generator.uniform(0, 1, (count, 3, 6, 2)) + generator.uniform(-500, 500, (count, 1, 1, 2))
    return SketchSet.from_sketches(Sketch.from_strokes(drawing) for drawing in places)


def cut(images, shape):
    """What stays of squares when their ground is cut off alike at two sides."""
    height, width = shape
    top, left = (images.shape[1] - height) // 2, (images.shape[2] - width) // 2
    return images[:, top : top + height, left : left + width]


# Which shape


@pytest.mark.parametrize(
    ("size", "others"),
    [
        (8, [8]),
        (48, [48]),
        (64, [32, 48, 64]),
        (80, [32, 48, 64, 80]),
        (94, [32, 48, 64, 80, 94]),
        (96, [32, 64, 96]),
        (100, [32, 64, 96, 100]),
        (192, [32, 64, 96, 128, 160, 192]),
        (224, [32, 64, 96, 128, 160, 192, 224]),
    ],
)
def test_the_shapes_there_are(size, others):
    shapes = Canvas(size, rectangular=True).shapes
    assert set(shapes) == {(size, other) for other in others} | {(other, size) for other in others}
    assert len(shapes) == 2 * len(others) - 1
    assert [height * width for height, width in shapes] == sorted(height * width for height, width in shapes)


def test_other_canvases_have_one_shape():
    assert Canvas(64).shapes == ((64, 64),)
    assert Canvas((24, 40), fit="keep").shapes == ((24, 40),)


@pytest.mark.parametrize(
    ("width", "height", "settings", "shape"),
    [
        # The room for points is 192 (1 - LINE) = 190.125 px; the line takes 1.875 more.
        (1, 1, {}, (192, 192)),
        (1, 4, {}, (192, 64)),  # 47.53 + 1.875
        (4, 1, {}, (64, 192)),
        (1, 100, {}, (192, 32)),
        (62.1, 190.125, {}, (192, 64)),
        (62.2, 190.125, {}, (192, 96)),
        (158.1, 190.125, {}, (192, 160)),
        (158.2, 190.125, {}, (192, 192)),
        # Margins of 19.2 px leave 153.6 of room.
        (25, 153.6, {"margin": 0.1}, (192, 64)),
        (26, 153.6, {"margin": 0.1}, (192, 96)),
        # A margin within the line's width does not cut the line off.
        (28, 192, {"margin": 0.0, "line_width_px": 4}, (192, 32)),
        (28.1, 192, {"margin": 0.0, "line_width_px": 4}, (192, 64)),
        (0, 1, {"line_width_px": 32}, (192, 64)),
        (0, 1, {"margin": 0.45}, (192, 192)),
    ],
)
def test_the_other_side_is_the_least_that_holds_the_ink(width, height, settings, shape):
    canvases, which = Canvas(192, rectangular=True, **settings).fitted(box(width, height))
    assert [canvas.size for canvas in canvases] == [shape if shape[0] != shape[1] else 192]
    assert which.tolist() == [0]


def test_each_drawing_has_the_canvas_that_it_has_alone():
    canvas, drawings = Canvas(96, rectangular=True), boxes()
    canvases, which = canvas.fitted(drawings)
    assert len(canvases) == len(set(canvases)) == len(canvas.shapes)
    assert [(each.height, each.width) for each in canvases] == list(canvas.shapes)
    assert not any(each.rectangular for each in canvases)
    assert which.dtype == np.int64
    assert canvases[-1] == Canvas(96)
    for drawing, index in zip(drawings, which, strict=True):
        assert canvas.fitted(drawing) == ([canvases[index]], 0)


def test_a_canvas_that_is_not_rectangular_fits_as_it_is():
    for canvas in (Canvas(64), Canvas((24, 40), fit="keep")):
        canvases, which = canvas.fitted(boxes(5))
        assert canvases == [canvas]
        assert which.tolist() == [0] * 5


def test_of_no_drawing_there_is_the_square():
    canvases, which = Canvas(96, rectangular=True).fitted([])
    assert (canvases, which.tolist()) == ([Canvas(96)], [])
    assert rasterize([], Canvas(96, rectangular=True)).shape == (0, 96, 96)


@pytest.mark.parametrize("name", ZOO)
def test_awkward_drawings_have_a_shape(name):
    canvas = Canvas(96, rectangular=True)
    (shaped,), _ = canvas.fitted(ZOO[name])
    assert (shaped.height, shaped.width) in canvas.shapes
    if name in ("empty", "one point", "all NaN"):
        assert shaped.size == (96, 32)
    expected = cut(rasterize(ZOO[name], 96), (shaped.height, shaped.width))
    np.testing.assert_allclose(rasterize(ZOO[name], canvas).astype(int), expected, atol=1)


def test_the_size_is_the_one_declared():
    assert sizes_of([Canvas(64), Canvas(96, rectangular=True)]).tolist() == [64, 96]
    canvas = Canvas(96, rectangular=True)
    assert (canvas.height, canvas.width, canvas.side, canvas.oblong) == (96, 96, 96, False)
    assert canvas != Canvas(96)
    assert canvas.shape_of(3) == (3, 96, 96)


# The same picture


@pytest.mark.parametrize("backend", ["numba", "cairo", "torch"])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"margin": 0.1},
        {"line_width": 0.05, "margin": 0.0},
        {"line_width_px": 3},
        {"min_line_px": 1.3},
    ],
    ids=str,
)
def test_the_picture_is_the_squares_with_ground_cut_off(backend, settings):
    for size in (64, 98, 192):
        canvas, drawings = Canvas(size, rectangular=True, **settings), boxes(24)
        squares = rasterize(drawings, Canvas(size, **settings), backend=backend).astype(int)
        canvases, which = canvas.fitted(drawings)
        assert len(canvases) > 3
        for index, shaped in enumerate(canvases):
            rows = np.flatnonzero(which == index)
            images = rasterize(drawings[rows], shaped, backend=backend)
            assert images.shape == (len(rows), shaped.height, shaped.width)
            expected = cut(squares[rows], images.shape[1:])
            # Places differ in their last bit.
            np.testing.assert_allclose(images.astype(int), expected, atol=1)
            if settings.get("margin") == 0.0:
                continue  # the square has cut off some ink already
            assert expected.sum() == squares[rows].sum(), "ground alone is cut off"


@pytest.mark.parametrize("channels", ["phases", ("ink", "orientation", "order")])
def test_planes_are_cut_alike(channels):
    drawings = walks(3)
    drawings = drawings.with_points(drawings.points * np.float32([0.4, 1]))
    canvas = Canvas(128, rectangular=True, channels=channels)
    (shaped,), _ = canvas.fitted(drawings)
    assert shaped.oblong
    images = rasterize(drawings, canvas).astype(int)
    assert images.shape == shaped.shape_of(3)
    squares = rasterize(drawings, 128, channels=channels).astype(int)
    left = (128 - shaped.width) // 2
    expected = squares[..., left : left + shaped.width]
    # Where two segments are equally near, the last bit may choose the other one.
    assert (np.abs(images - expected) > 1).mean() < 1e-3
    assert expected[:, 0].sum() == squares[:, 0].sum() or channels == "phases"


def test_gradients_pass_through_torch():
    drawing = box(1, 5)
    points = torch.tensor(drawing.points, dtype=torch.float64, requires_grad=True)
    images = rasterize_torch(points, drawing.offsets, [0, 2], Canvas(96, rectangular=True))
    assert images.shape == (1, 96, 32)
    images.sum().backward()
    assert points.grad.abs().sum() > 0


# What cannot be done


def test_several_shapes_are_no_one_array():
    canvas = Canvas(96, rectangular=True)
    assert rasterize([box(1, 9), box(1, 8)], canvas).shape == (2, 96, 32)
    with pytest.raises(ParameterError, match=r"3 shapes \(32 x 96, 96 x 32, 96 x 96 px\).*group .* by Canvas\.fitted"):
        rasterize([box(1, 9), box(9, 1), box(1, 1)], canvas)
    drawings = SketchSet.from_sketches([box(1, 9), box(9, 1)])
    with pytest.raises(ParameterError, match="2 shapes"):
        rasterize_torch(torch.tensor(drawings.points), drawings.stroke_offsets, drawings.sketch_offsets, canvas)


def test_a_pyramid_takes_no_rectangular_canvas():
    with pytest.raises(ParameterError, match="a rectangular canvas gives drawings several shapes"):
        rasterize_pyramid(box(1, 9), [32, Canvas(96, rectangular=True)])


def test_descriptions_from_before_are_of_squares():
    before = Canvas(96).to_dict()
    del before["rectangular"]
    assert Canvas.of(before) == Canvas(96)


def test_all_of_the_zoo_at_once():
    canvas = Canvas(96, rectangular=True)
    canvases, which = canvas.fitted(zoo_set())
    assert len(which) == len(zoo_set())
    assert which.max() == len(canvases) - 1
