import numpy as np
import pytest
from naive_images import walks

from sketchkit import Sketch, rasterize, rasterize_pyramid

LIBRARIES = ("numba", "cairo", "torch")


@pytest.fixture(scope="module")
def made():
    return walks(12)


@pytest.mark.parametrize("backend", LIBRARIES)
def test_a_tight_rectangle_holds_the_square(backend):
    """A drawing as high as wide is limited by the shorter side, and lies in the middle of the longer one."""
    square = Sketch.from_strokes([[(0, 0), (30, 0), (30, 30), (3, 17)], [(0, 30), (11, 12)]])
    expected = rasterize(square, 48, backend=backend, line_width=0.05)
    for size, part in (((48, 80), np.s_[:, :, 16:64]), ((80, 48), np.s_[:, 16:64, :])):
        images = rasterize(square, size, backend=backend, line_width=0.05)
        assert images.shape == (1, *size)
        # Places differ in their last bit, and directions are kept in 4 bits.
        np.testing.assert_allclose(images[part].astype(int), expected, atol=1)
        images[part] = 0
        assert images.max() <= 12  # a cap's edge is taken at the segment's angle


@pytest.mark.parametrize("backend", LIBRARIES)
def test_keep_on_a_rectangle_shows_more(made, backend):
    square = rasterize(made, 64, fit="keep", extent=200, backend=backend)
    for size in ((64, 100), (90, 64)):
        images = rasterize(made, size, fit="keep", extent=200, backend=backend)
        # Cairo's levels change a little with how it cuts off what lies outside.
        atol = 5 if backend == "cairo" else 0
        np.testing.assert_allclose(images[:, :64, :64].astype(int), square, atol=atol)
        assert images[:, 64:].any() or images[:, :, 64:].any()


@pytest.mark.parametrize("size", [(40, 100), (100, 40), (3, 50), (50, 3)], ids=str)
def test_backends_agree_on_rectangles(made, size):
    large = rasterize(made, tuple(8 * side for side in size), backend="cairo", line_width=0.05).astype(float)
    truth = large.reshape(len(made), size[0], 8, size[1], 8).mean(axis=(2, 4))
    for backend, everywhere in (("numba", 0.5), ("cairo", 1.0), ("torch", 1.2)):
        images = rasterize(made, size, backend=backend, line_width=0.05)
        assert images.shape == truth.shape
        assert np.abs(images - truth).mean() <= everywhere, backend


def test_transposing_commutes(made):
    flipped = made.with_points(np.ascontiguousarray(made.points[:, ::-1]))
    images = rasterize(flipped, (72, 48)).astype(int)
    np.testing.assert_allclose(images.transpose(0, 2, 1), rasterize(made, (48, 72)), atol=3)


def test_pyramid_of_rectangles(made):
    pyramid = rasterize_pyramid(made, [(32, 48), (64, 96), (128, 192), 64])
    assert list(pyramid) == [(32, 48), (64, 96), (128, 192), 64]
    for size in pyramid:
        np.testing.assert_array_equal(pyramid[size], rasterize(made, size))
    large = pyramid[128, 192].astype(float)
    # All come from 256 rows, and are rounded from there.
    assert np.abs(pyramid[32, 48] - large.reshape(-1, 32, 4, 48, 4).mean(axis=(2, 4))).max() <= 1


# ---- lines fixed in pixels


@pytest.mark.parametrize("backend", LIBRARIES)
def test_line_width_px(made, backend):
    pyramid = rasterize_pyramid(made, (32, 64, (64, 128)), line_width_px=2, backend=backend)
    for size, images in pyramid.items():
        side = min(images.shape[1:])
        np.testing.assert_array_equal(images, rasterize(made, size, line_width=2 / side, backend=backend))
