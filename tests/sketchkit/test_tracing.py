"""Strokes out of images: known drawings, properties of the thinned line, and there and back again."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from sketchkit import Canvas, DataError, ParameterError, Sketch, rasterize, trace, trace_edges
from sketchkit.kernels.skeleton import chains, neighbor_counts, thin

DATA = Path(os.environ.get("SKETCHKIT_DATA", "../shared/data")) / "sketchy_raster" / "sketch"
EIGHT = np.ones((3, 3))


def thinned(ink):
    line = np.pad(ink, 1).astype(np.uint8)
    thin(line)
    return line


def image_of(*rows):
    return np.array([[character == "#" for character in row] for row in rows])


def inks():
    sides = st.integers(1, 14)
    noise = arrays(np.bool_, st.tuples(sides, sides))
    blobs = st.builds(lambda each, size: ndimage.binary_dilation(each, np.ones((size, size))), noise, st.integers(1, 4))
    return st.one_of(noise, blobs)


@given(inks())
@settings(max_examples=200, deadline=None)
def test_a_thinned_drawing_has_as_many_pieces_and_holes(ink):
    line, padded = thinned(ink), np.pad(ink, 1)
    assert not (line.astype(bool) & ~padded).any(), "no ink where there was none"
    assert ndimage.label(line, EIGHT)[1] == ndimage.label(padded, EIGHT)[1]
    assert ndimage.label(line == 0)[1] == ndimage.label(~padded)[1]
    again = line.copy()
    thin(again)
    assert np.array_equal(again, line)


@given(inks())
@settings(max_examples=200, deadline=None)
def test_chains_walk_every_pixel_once_from_end_to_end(ink):
    line = thinned(ink)
    counts = neighbor_counts(line)
    pixels, offsets = chains(line, counts)
    walked = np.zeros(line.shape, int)
    steps = set()
    for chain in np.split(pixels, offsets[1:-1]):
        if len(pixels) == 0:
            break
        assert (np.abs(np.diff(chain, axis=0)).max(axis=1) == 1).all(), "from each pixel to a neighbor"
        inner = chain[1:-1]
        walked[inner[:, 0], inner[:, 1]] += 1
        ring = len(chain) > 1 and counts[tuple(chain[0])] == 2
        assert not ring or tuple(chain[0]) == tuple(chain[-1])
        walked[tuple(chain[0])] += ring
        for one, other in zip(chain[:-1].tolist(), chain[1:].tolist(), strict=True):
            step = frozenset([tuple(one), tuple(other)])
            assert step not in steps
            steps.add(step)
    assert np.array_equal(walked[counts == 2], np.ones((counts == 2).sum(), int))
    assert 2 * len(steps) == counts.sum(), "every step between neighbors, once"


@given(inks())
@settings(max_examples=150, deadline=None)
def test_every_piece_of_ink_gets_a_stroke(ink):
    found = np.zeros(ink.shape, bool)
    for stroke in trace(ink).strokes:
        middle = np.floor(stroke).astype(int)
        found[middle[:, 1], middle[:, 0]] = True
    pieces, count = ndimage.label(ink, EIGHT)
    reached = np.unique(pieces[ndimage.binary_dilation(found, EIGHT)])
    assert set(reached.tolist()) >= set(range(1, count + 1))


def test_a_blot_elsewhere_takes_no_strokes_away():
    comb = np.zeros((200, 300), bool)
    comb[100, 10:190] = True
    comb[93:100, 20:190:10] = True
    alone = trace(comb)
    assert len(alone.strokes) == 1 + 17
    rows, columns = np.ogrid[:200, :300]
    blot = (rows - 60) ** 2 + (columns - 250) ** 2 < 35**2
    beside = trace(comb | blot)
    assert [stroke.tolist() for stroke in beside.strokes if stroke[:, 0].max() < 200] == [
        stroke.tolist() for stroke in alone.strokes
    ]


@pytest.mark.parametrize(
    ("rows", "strokes"),
    [
        (["....."], []),
        ([".....", "..#..", "....."], [[(2.5, 1.5)]]),
        (["#####"], [[(0.5, 0.5), (4.5, 0.5)]]),
        (["#....", ".#...", "..#.."], [[(0.5, 0.5), (2.5, 2.5)]]),
        (["..#..", "..#..", "#####", "..#..", "..#.."], [[(2.5, 0.5), (2.5, 4.5)], [(0.5, 2.5), (4.5, 2.5)]]),
        (["#######", "...#...", "...#...", "...#..."], [[(0.5, 0.5), (6.5, 0.5)], [(3.5, 0.5), (3.5, 3.5)]]),
        (["#.#", "..."], [[(0.5, 0.5)], [(2.5, 0.5)]]),
    ],
)
def test_small_drawings(rows, strokes):
    found = trace(image_of(*rows))
    assert [[tuple(point) for point in stroke.tolist()] for stroke in found.strokes] == strokes


def test_a_ring_is_one_closed_stroke():
    image = rasterize(circle(40), Canvas(64, line_width_px=3.0))[0]
    found = trace(255 - image)
    (stroke,) = found.strokes
    assert np.array_equal(stroke[0], stroke[-1])
    assert np.hypot(*(stroke - 32).T) == pytest.approx(np.full(len(stroke), np.hypot(*(stroke[0] - 32))), abs=1.2)


def test_lines_go_straight_on_across_a_crossing():
    """Two long lines that cross at 60 degrees are two strokes, not four."""
    lines = Sketch.from_strokes([[(0, 0), (100, 60)], [(0, 60), (100, 0)]])
    found = trace(255 - rasterize(lines, Canvas(128, line_width_px=2.5))[0])
    assert len(found.strokes) == 2
    for stroke in found.strokes:
        run = stroke[-1] - stroke[0]
        assert abs(run[0]) > 100
        assert abs(abs(run[1] / run[0]) - 0.6) < 0.05


def test_order_and_direction_are_from_above():
    found = trace(image_of("...#", "....", "#...", "#...", "....", ".###"))
    firsts = [tuple(stroke[0]) for stroke in found.strokes]
    assert firsts == sorted(firsts, key=lambda point: point[::-1])
    for stroke in found.strokes:
        assert (stroke[0, 1], stroke[0, 0]) <= (stroke[-1, 1], stroke[-1, 0])


@pytest.mark.parametrize("line_width", [1.5, 2.5, 4.0])
@pytest.mark.parametrize("seed", range(6))
def test_there_and_back_again(seed, line_width):
    """Drawn, traced and drawn again: but where lines run close together, both inks are within a pixel and a half."""
    generator = np.random.default_rng(seed)
    along = np.linspace(0, 1, 20)[:, None]
    corners = generator.uniform(size=(5, 3, 2))
    walks = [(1 - along) ** 2 * a + 2 * along * (1 - along) * b + along**2 * c for a, b, c in corners]
    canvas = Canvas(128, line_width_px=line_width)
    first = rasterize(Sketch.from_strokes(walks), canvas)[0]
    traced = trace(255 - first)
    # In the frame of the image, not fitted anew.
    second = rasterize(traced, Canvas(128, line_width_px=line_width, fit="keep", extent=128))[0]
    for one, other in ((first, second), (second, first)):
        away = ndimage.distance_transform_edt(other < 128)[one > 128]
        assert away.max() <= 2 * line_width
        assert np.mean(away > 1.5) < 0.03


def test_color_and_gray_and_bool_are_one():
    gray = 255 - rasterize(circle(30), 48)[0]
    expected = trace(gray).points
    assert np.array_equal(trace(np.repeat(gray[..., None], 3, axis=2)).points, expected)
    assert np.array_equal(trace(gray < 127.5).points, expected)


def test_the_edges_of_a_photo_are_its_outlines():
    """A dark square with a light hole on a white ground: two rings, each within a pixel of the true border."""
    photo = np.full((96, 96, 3), 255, np.uint8)
    photo[20:76, 16:80] = (180, 60, 30)
    photo[36:60, 40:56] = (240, 230, 220)
    outer, inner = sorted(trace_edges(photo).strokes, key=lambda stroke: stroke[:, 1].min())
    for stroke, (top, bottom, left, right) in ((outer, (20, 76, 16, 80)), (inner, (36, 60, 40, 56))):
        assert np.array_equal(stroke[0], stroke[-1]), "closed"
        found = [stroke[:, 1].min(), stroke[:, 1].max(), stroke[:, 0].min(), stroke[:, 0].max()]
        assert found == pytest.approx([top, bottom, left, right], abs=1.01)
        away = [min(abs(x - left), abs(x - right), abs(y - top), abs(y - bottom)) for x, y in stroke]
        assert max(away) <= 2, "all on the border, corners a little rounded"


def test_a_photo_without_edges_has_no_strokes():
    generator = np.random.default_rng(0)
    assert len(trace_edges(np.full((32, 32), 128, np.uint8)).strokes) == 0
    assert len(trace_edges(generator.integers(250, 253, (64, 64, 3)).astype(np.uint8)).strokes) == 0, "noise of JPEG"


@pytest.mark.parametrize("setting", [{"sigma": -1}, {"sigma": float("nan")}, {"share": 1.5}, {"tolerance": -1}])
def test_what_edges_refuse(setting):
    with pytest.raises(ParameterError):
        trace_edges(np.zeros((8, 8), np.uint8), **setting)


def test_what_it_refuses():
    with pytest.raises(DataError, match=r"not \(2, 2, 4\) in uint8"):
        trace(np.zeros((2, 2, 4), np.uint8))
    with pytest.raises(DataError, match=r"not \(2, 2\) in float64"):
        trace(np.zeros((2, 2)))
    with pytest.raises(ParameterError, match="from 0 to 1, not 2"):
        trace(np.zeros((2, 2), np.uint8), threshold=2)
    with pytest.raises(ParameterError):
        trace(np.zeros((2, 2), np.uint8), tolerance=-1)


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no folder {DATA}; set SKETCHKIT_DATA to the real sketch data")
def test_real_drawings_keep_their_ink():
    from PIL import Image

    for path in sorted(DATA.glob("*/*.png"))[::50]:
        ink = np.array(Image.open(path).convert("L")) < 128
        traced = trace(255 - 255 * ink.astype(np.uint8))
        drawn = rasterize(traced, Canvas(256, line_width_px=1.5, fit="keep", extent=256))[0] > 64
        assert ndimage.distance_transform_edt(~ink)[drawn].max() <= 2.5, path.name
        depth = ndimage.distance_transform_edt(ink).max()  # of the thickest place, which no thin line fills
        assert np.quantile(ndimage.distance_transform_edt(~drawn)[ink], 0.99) <= depth + 1, path.name


def circle(radius):
    angles = np.linspace(0, 2 * np.pi, 80)
    return Sketch.from_strokes([radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)])
