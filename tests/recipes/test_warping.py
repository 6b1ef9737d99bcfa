"""A photo and its sketches warped alike: a drawing that is its own photo stays its own photo."""

import numpy as np
import pytest

from sketchkit import Canvas, Sketch, SketchSet, rasterize
from sketchkit.recipes.warping import PairedWarp, object_boxes

SIDE = 128


def house(left, top, side):
    """A square with a diagonal and a mark, so that no turn or mirror image looks alike."""
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1], [0, 0], [1, 1]], float)
    mark = np.array([[0.2, 0.6], [0.2, 0.9], [0.4, 0.9]])
    return Sketch.from_strokes([corners * side + [left, top], mark * side + [left, top]])


@pytest.fixture(scope="module")
def pairs():
    """Six drawings, and photos that show each of them in black on white at its own place in pixels."""
    drawings = SketchSet.from_sketches(
        house(left, top, side) for left, top, side in [(14, 14, 100), (30, 20, 80), (20, 40, 80)] * 2
    )
    ink = rasterize(drawings, Canvas(256, fit="keep"))[:, :SIDE, :SIDE]
    return drawings, np.repeat(255 - ink[:, None], 3, axis=1)


def tight(ink):
    """What is dark, cut out and brought to 64 x 64 by the nearest pixel: place and scale no longer count."""
    rows, columns = np.flatnonzero((ink > 60).any(axis=1)), np.flatnonzero((ink > 60).any(axis=0))
    cut = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    down, across = (np.linspace(0, length - 1, 64).round().astype(int) for length in cut.shape)
    return cut[down][:, across]


def near(ink, radius=3):
    """Dark pixels and all within `radius` of them."""
    dark = np.pad(ink > 60, radius)
    rolled = [
        np.roll(dark, (down, across), (0, 1))
        for down in range(-radius, radius + 1)
        for across in range(-radius, radius + 1)
    ]
    return np.logical_or.reduce(rolled)[radius:-radius, radius:-radius]


@pytest.mark.parametrize(("stretch", "bend"), [(0.3, 0.0), (0.0, 0.1), (0.3, 0.1)])
def test_photo_and_sketch_go_the_same_way(pairs, stretch, bend):
    drawings, photos = pairs
    warp = PairedWarp.draw(np.random.default_rng(4), len(drawings), stretch=stretch, bend=bend)
    bent_photos = 255 - warp.photos(photos, object_boxes(photos))[:, 0]
    bent_sketches = rasterize(warp.sketches(drawings, np.arange(len(drawings))), Canvas(SIDE))
    plain = rasterize(drawings, Canvas(SIDE))
    for photo, sketch, before in zip(bent_photos, bent_sketches, plain, strict=True):
        photo, sketch, before = tight(photo), tight(sketch), tight(before)
        assert (near(sketch) | (photo <= 60)).mean() > 0.98, "the photo's lines lie on the sketch's"
        assert (near(photo) | (sketch <= 60)).mean() > 0.98, "and the sketch's on the photo's"
        if bend:
            assert not ((near(before, 1) | (photo <= 60)).mean() > 0.98), "and it is another shape"


def test_nothing_asked_changes_nothing(pairs):
    drawings, photos = pairs
    warp = PairedWarp.draw(np.random.default_rng(0), len(drawings), stretch=0.0)
    assert np.abs(warp.photos(photos, object_boxes(photos)).astype(int) - photos).max() <= 1
    np.testing.assert_allclose(
        warp.sketches(drawings, np.arange(len(drawings))).points, drawings.points, rtol=0, atol=1e-4
    )


def test_sketches_of_one_pair_are_bent_alike():
    drawings = SketchSet.from_sketches([house(0, 0, 50)] * 4)
    warp = PairedWarp.draw(np.random.default_rng(1), 2, stretch=0.3, bend=0.1)
    points = [each.points for each in warp.sketches(drawings, np.array([0, 1, 0, 1]))]
    assert np.array_equal(points[0], points[2])
    assert np.array_equal(points[1], points[3])
    assert not np.array_equal(points[0], points[1])


def test_a_photo_keeps_its_object_whole(pairs):
    """However far it is stretched, nothing dark reaches the border: it is shrunk instead."""
    _, photos = pairs
    warp = PairedWarp.draw(np.random.default_rng(2), len(photos), stretch=0.6, bend=0.1)
    for photo in warp.photos(photos, object_boxes(photos)):
        border = np.concatenate([photo[:, 0], photo[:, -1], photo[:, :, 0], photo[:, :, -1]], axis=1)
        assert border.min() > 200
        assert photo.min() < 100


def test_degenerate_drawings_stay_finite():
    point = Sketch.from_strokes([np.array([[3.0, 4.0]])])
    line = Sketch.from_strokes([np.array([[0.0, 0.0], [9.0, 0.0]])])
    warp = PairedWarp.draw(np.random.default_rng(0), 2, stretch=0.3, bend=0.1)
    assert np.isfinite(warp.sketches(SketchSet.from_sketches([point, line]), np.arange(2)).points).all()


def test_boxes_of_objects():
    photos = np.full((3, 3, 20, 30), 250, np.uint8)
    photos[0, :, 4:9, 6:20] = 30
    photos[1, :, 0, 0] = 0  # no plain ground
    np.testing.assert_array_equal(object_boxes(photos), [[6, 4, 20, 9], [0, 0, 30, 20], [0, 0, 30, 20]])
