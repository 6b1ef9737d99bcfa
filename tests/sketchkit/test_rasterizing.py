import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from naive_images import averaged, naive, naive_bounds, walks

import sketchkit
from sketchkit import Canvas, MissingDependencyError, ParameterError, Sketch, SketchSet, rasterize, rasterize_pyramid
from sketchkit.backends import BACKENDS, Backend

from zoo import ZOO

LIBRARIES = ("numba", "cairo", "torch")
SIZES = (32, 64, 128, 256)

# Mean absolute difference in levels of 255, over all pixels and over pixels with ink: the one place that says how well
# backends agree. "truth" is cairo at 2048 px, averaged down.
TOLERANCES = {
    ("numba", "truth"): {32: (0.12, 0.4), 64: (0.1, 0.5), 128: (0.08, 0.6), 256: (0.08, 0.7)},
    ("cairo", "truth"): {32: (0.45, 1.5), 64: (0.25, 1.3), 128: (0.15, 1.1), 256: (0.1, 0.9)},
    ("torch", "truth"): {32: (0.15, 0.5), 64: (0.12, 0.65), 128: (0.1, 0.9), 256: (0.1, 1.1)},
    ("torch", "numba"): {32: (0.15, 0.5), 64: (0.12, 0.65), 128: (0.1, 0.9), 256: (0.1, 1.1)},
    ("torch", "cairo"): {32: (0.45, 1.5), 64: (0.25, 1.5), 128: (0.18, 1.4), 256: (0.13, 1.4)},
    ("numba", "cairo"): {32: (0.45, 1.5), 64: (0.25, 1.5), 128: (0.18, 1.4), 256: (0.13, 1.4)},
}


@pytest.fixture(scope="module")
def made():
    return walks(12)


@pytest.fixture(scope="module", params=["made", "real"])
def drawings(request):
    if request.param == "made":
        return request.getfixturevalue("made")
    folder = request.getfixturevalue("shared_data")
    return sketchkit.read(folder / "chairv2" / "ChairV2_Coordinate")[:12]


# ---- agreement


@pytest.mark.parametrize("pair", TOLERANCES, ids=" ".join)
def test_backends_agree(drawings, pair):
    large = rasterize(drawings, 2048, backend="cairo").astype(np.float32)
    for size, (everywhere, on_ink) in TOLERANCES[pair].items():
        first, second = (
            averaged(large, size) if name == "truth" else rasterize(drawings, size, backend=name).astype(float)
            for name in pair
        )
        difference = np.abs(first - second)
        assert difference.mean() <= everywhere, size
        assert difference[(first > 0) | (second > 0)].mean() <= on_ink, size


def test_the_comparison_can_fail(made):
    """A line a tenth of a pixel too wide is beyond the tolerances."""
    images, wrong = (rasterize(made, 256, line_width=width / 256).astype(float) for width in (2.5, 2.6))
    difference = np.abs(images - wrong)
    assert difference[(images > 0) | (wrong > 0)].mean() > 2 * TOLERANCES["numba", "truth"][256][1]


SMALL = [
    Canvas(24, line_width=2 / 24),
    Canvas(24, line_width=7 / 24),
    Canvas(24, line_width=0.4 / 24),
    Canvas(20, line_width=0.1, fit="keep", extent=70),
]


@pytest.mark.parametrize("backend", LIBRARIES)
@pytest.mark.parametrize("canvas", SMALL, ids=str)
@pytest.mark.parametrize(
    "name", ["named", "closed stroke", "dots", "two equal points", "there and back", "vertical line"]
)
def test_naive_twin(name, canvas, backend):
    expected = naive(ZOO[name], canvas)
    difference = np.abs(rasterize(ZOO[name], canvas, backend=backend)[0] - expected)
    assert difference.mean() <= 2.0
    assert difference.max() <= 64  # where two lines share a pixel, the darker one wins


coordinates = st.tuples(*[st.floats(-1e6, 1e6, width=32)] * 2)


@given(st.lists(st.lists(coordinates, max_size=4), max_size=3))
@example([[(0, 0), (1e6, 1e6), (0, 1e6), (1e6, 0)], [(5e5, 0), (5e5, 1e6), (0, 5e5), (1e6, 5e5)]])
@settings(max_examples=60, deadline=None, derandomize=True)
def test_naive_bounds_of_any_drawing(strokes):
    """What segments cover together is no less than the most of one, and no more than the sum."""
    sketch, canvas = Sketch.from_strokes(strokes), Canvas(16, line_width=0.15)
    image = rasterize(sketch, canvas)[0]
    darkest, total = naive_bounds(sketch, canvas)
    assert (image - darkest).min() >= -40
    assert (image - total).max() <= 40


# ---- the zoo


@pytest.mark.parametrize("backend", LIBRARIES)
@pytest.mark.parametrize("fit", ["tight", "keep"])
@pytest.mark.parametrize("name", ZOO)
def test_zoo(name, fit, backend):
    before = ZOO[name].points.copy()
    pyramid = rasterize_pyramid(ZOO[name], (8, 16, 32), fit=fit, backend=backend)
    np.testing.assert_array_equal(ZOO[name].points, before)
    drawn = np.isfinite(ZOO[name].points).all(axis=1).any()
    for size, images in pyramid.items():
        assert images.shape == (1, size, size)
        assert images.dtype == np.uint8
        if fit == "tight" and size == 32:  # smaller, a dot alone is less than one level
            assert images.any() == drawn
        assert np.abs(rasterize(ZOO[name], size, fit=fit, backend="numba") - images.astype(int)).mean() <= 4


def test_a_set_is_drawn_as_its_sketches():
    drawings = SketchSet.from_sketches([sketch for sketch in ZOO.values() if not sketch.point_columns])
    together = rasterize_pyramid(drawings, (32, 64))
    for index, sketch in enumerate(drawings):
        for size, images in together.items():
            np.testing.assert_array_equal(images[index : index + 1], rasterize(sketch, size))


@pytest.mark.parametrize("backend", LIBRARIES)
def test_points_that_are_not_finite_break_the_stroke(backend):
    broken = Sketch.from_strokes([[(0, 0), (9, 4), (np.nan, 1), (2, 8), (5, np.inf), (8, 8), (3, 6), (9, 9)]])
    parts = Sketch.from_strokes([[(0, 0), (9, 4)], [(2, 8)], [(8, 8), (3, 6), (9, 9)]])
    np.testing.assert_array_equal(*(rasterize(sketch, 40, backend=backend) for sketch in (broken, parts)))
    dot, beside = Sketch.from_strokes([[(5, 5)]]), Sketch.from_strokes([[(np.inf, 1), (5, 5), (2, np.nan)]])
    np.testing.assert_array_equal(*(rasterize(sketch, 40, backend=backend) for sketch in (dot, beside)))


@pytest.mark.parametrize("backend", LIBRARIES)
@pytest.mark.parametrize("far", [1e4, 1e8, 1e12, 1e30])
def test_far_coordinates_are_cut_off(far, backend):
    shared = {"fit": "keep", "extent": 64, "line_width": 0.05, "backend": backend}
    near = Sketch.from_strokes([[(-20, 30), (90, 30)], [(20, 90), (20, -50)], [(-20, -10), (90, 100)]])
    wide = Sketch.from_strokes([[(-far, 30), (far, 30)], [(20, far), (20, -far)], [(-far, 10 - far), (far, 10 + far)]])
    # Beyond float32's whole numbers a slanting line is no longer where it was meant; that it ends is all one can ask.
    strokes = 3 if far < 2**24 else 2
    near, wide = (Sketch.from_strokes(sketch.strokes[:strokes]) for sketch in (near, wide))
    np.testing.assert_allclose(
        rasterize(wide, 64, **shared).astype(int), rasterize(near, 64, **shared).astype(int), atol=9
    )
    outside = Sketch.from_strokes([[(far, 0), (far, far)], [(-far, -5), (far, -5)], [(-far, 70), (-70, far)]])
    assert not rasterize(outside, 64, **shared).any()


@pytest.mark.parametrize("backend", LIBRARIES)
def test_no_drawing_no_image(backend):
    for nothing in ([], SketchSet.from_sketches([])):
        assert rasterize(nothing, 32, backend=backend).shape == (0, 32, 32)
        assert {size: images.shape for size, images in rasterize_pyramid(nothing, (8, 16)).items()} == {
            8: (0, 8, 8),
            16: (0, 16, 16),
        }


# ---- geometry


@pytest.mark.parametrize("backend", LIBRARIES)
def test_a_quarter_turn_commutes(made, backend):
    turned = made.with_points(np.stack([made.points[:, 1], -made.points[:, 0]], axis=1))
    images, expected = (rasterize(drawings, 64, backend=backend) for drawings in (turned, made))
    # Cairo scans in rows, 15 to a pixel, and so treats x and y unlike.
    atol = 20 if backend == "cairo" else 1
    np.testing.assert_allclose(images.astype(int), np.rot90(expected, axes=(1, 2)), atol=atol)


@pytest.mark.parametrize("backend", LIBRARIES)
def test_keep_moves_with_the_drawing(backend):
    shared = {"fit": "keep", "extent": 64, "line_width": 0.05, "backend": backend}
    images, moved = (
        rasterize(Sketch.from_strokes([np.add([(5, 5), (21, 30), (8, 17)], shift)]), 64, **shared)
        for shift in ((0, 0), (20, 11))
    )
    np.testing.assert_array_equal(moved, np.roll(images, (11, 20), axis=(1, 2)))


def test_tight_ignores_place_and_scale(made):
    moved = made.with_points(made.points * np.float32(4))
    np.testing.assert_array_equal(rasterize(made, 64), rasterize(moved, 64))


@pytest.mark.parametrize("backend", LIBRARIES)
def test_ink_reaches_the_margins_and_no_farther(backend):
    image = rasterize(Sketch.from_strokes([[(0, 0), (7, 7), (0, 7)]]), 40, margin=0.25, line_width=0.1, backend=backend)
    # 40 px less a quarter on each side, and half a line of 4 px around the points.
    assert image[0, 8:32, 8:32].any(axis=0).all()
    assert image[0, 8:32, 8:32].any(axis=1).all()
    image[0, 8:32, 8:32] = 0
    assert image.max() <= (0 if backend == "cairo" else 12)  # a cap's edge is taken at the segment's angle


@pytest.mark.parametrize("backend", LIBRARIES)
def test_level_line_is_exact(backend):
    line = Sketch.from_strokes([[(0, 4.25), (8, 4.25)]])
    image = rasterize(line, 8, fit="keep", extent=8, line_width=0.25, backend=backend)[0]
    np.testing.assert_allclose(image[:, 3], [0, 0, 0, 0.75 * 255, 255, 0.25 * 255, 0, 0], atol=9)
    if backend != "cairo":
        np.testing.assert_allclose(image[:, 3], [0, 0, 0, 191, 255, 64, 0, 0], atol=1)


@pytest.mark.parametrize("size", [600, 1024, 1500])
def test_hairlines_keep_their_ink(size):
    """Above 1024 px a line under 1.5 px is drawn wider and as much fainter."""
    line = Sketch.from_strokes([[(0, 10.3), (64, 37.7)]])
    image = rasterize(line, size, fit="keep", extent=64, line_width=0.5 / size)[0]
    drawn = np.hypot(64, 27.4) / 64 * size * 0.5
    assert image.sum() / 255 == pytest.approx(drawn, rel=0.02)


def test_min_line_px():
    sketch = ZOO["spiral"]
    thick = rasterize(sketch, 32, min_line_px=0.6)
    np.testing.assert_array_equal(thick, rasterize(sketch, 32, line_width=0.6 / 32))
    assert thick.sum() > 1.5 * rasterize(sketch, 32).sum()
    pyramid = rasterize_pyramid(sketch, (32, 256), min_line_px=0.6)
    np.testing.assert_array_equal(pyramid[32], thick)
    np.testing.assert_array_equal(pyramid[256], rasterize(sketch, 256))


# ---- the pyramid


@pytest.mark.parametrize("backend", LIBRARIES)
def test_pyramid_is_the_largest_averaged(drawings, backend):
    pyramid = rasterize_pyramid(drawings, backend=backend)
    assert list(pyramid) == list(SIZES)
    for size in SIZES:
        assert np.abs(pyramid[size] - averaged(pyramid[256], size)).max() <= 0.5


def test_pyramid_is_each_size_by_itself(made):
    for size, images in rasterize_pyramid(made).items():
        np.testing.assert_array_equal(images, rasterize(made, size))


def test_pyramid_of_any_sizes(made):
    sizes = (96, 1, 7, 48, 512, 2, 100)
    pyramid = rasterize_pyramid(made, sizes, line_width=0.02)
    assert tuple(pyramid) == sizes
    for size, images in pyramid.items():
        np.testing.assert_allclose(images.astype(int), rasterize(made, size, line_width=0.02), atol=16)
    # Nine halvings: sums start again after four, so that rounding may add up to one level.
    assert np.abs(pyramid[1] - averaged(pyramid[512], 1)).max() <= 1.5


def test_pyramid_of_canvases(made):
    pyramid = rasterize_pyramid(made, [Canvas(32, fit="keep"), Canvas(64, line_width=0.05)])
    np.testing.assert_array_equal(pyramid[32], rasterize(made, 32, fit="keep"))
    np.testing.assert_array_equal(pyramid[64], rasterize(made, 64, line_width=0.05))


def test_pyramid_of_nothing(made):
    assert rasterize_pyramid(made, ()) == {}


# ---- arguments


@pytest.mark.parametrize("threads", [2, 5, 1000])
def test_threads_never_change_a_pixel(threads):
    drawings = walks(70)
    expected = rasterize_pyramid(drawings, threads=1)
    for size, images in rasterize_pyramid(drawings, threads=threads).items():
        np.testing.assert_array_equal(images, expected[size])
    np.testing.assert_array_equal(rasterize(drawings, 64), expected[64])


@pytest.mark.parametrize("backend", LIBRARIES)
def test_out_is_filled_and_returned(made, backend):
    whole = np.full((20, 64, 64), 7, np.uint8)
    assert rasterize(made, 64, backend=backend, out=whole[4:16]).base is whole
    np.testing.assert_array_equal(whole[4:16], rasterize(made, 64, backend=backend))
    assert (whole[:4] == 7).all()
    assert (whole[16:] == 7).all()
    outs = {size: np.empty((12, size, size), np.uint8) for size in (64, 32)}
    pyramid = rasterize_pyramid(made, (32, 64), backend=backend, out=outs)
    assert pyramid[32] is outs[32]
    assert pyramid[64] is outs[64]


def read_only(array):
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    ("out", "words"),
    [
        (np.empty((11, 64, 64), np.uint8), r"\(12, 64, 64\) uint8, not \(11, 64, 64\) uint8"),
        (np.empty((12, 64, 64), np.float32), "not .* float32"),
        ([], "not list"),
        (np.empty((12, 64, 128), np.uint8)[:, :, ::2], "C-contiguous"),
        (read_only(np.empty((12, 64, 64), np.uint8)), "writable"),
    ],
)
def test_out_that_does_not_fit(made, out, words):
    with pytest.raises(ParameterError, match=words):
        rasterize(made, 64, out=out)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda s: rasterize(s, 64, backend="skia"), "one of auto, numba, cairo, torch, not 'skia'"),
        (lambda s: rasterize(s, Canvas(64), fit="keep", margin=0.1), "fit, margin cannot be given beside a Canvas"),
        (lambda s: rasterize_pyramid(s, [32, Canvas(64)], extent=9), "extent cannot be given beside a Canvas"),
        (lambda s: rasterize(s, 64, threads=0), "threads must be"),
        (lambda s: rasterize(s, 64, threads=1.5), "threads must be"),
        (lambda s: rasterize(s, 64, line_width=3), "share of the side"),
        (lambda s: rasterize(s, [64]), "whole number"),
        (lambda s: rasterize(s, 64, line_width=0.1, line_width_px=2), "give one of them"),
        (lambda s: rasterize(s, Canvas(64), channels="order"), "channels cannot be given beside a Canvas"),
        (lambda s: rasterize_pyramid(s, (32, 64, 32)), "sizes must differ"),
        (lambda s: rasterize_pyramid(s, (32, 64), out={32: None}), r"each of the sizes \[32, 64\]"),
        (lambda s: rasterize(3, 64), "not int"),
    ],
)
def test_wrong_arguments(made, call, words):
    with pytest.raises(ParameterError, match=words):
        call(made)


def test_any_iterable_of_sketches(made):
    expected = rasterize(made, 32)
    for same in (list(made), iter(made), tuple(made)):
        np.testing.assert_array_equal(rasterize(same, 32), expected)
    np.testing.assert_array_equal(rasterize(made, Canvas(32)), expected)


def test_read_only_and_strided_points(made):
    points = np.zeros((len(made.points), 4), np.float32)
    points[:, ::2] = made.points
    expected = rasterize(made, 32)
    np.testing.assert_array_equal(rasterize(made.with_points(points[:, ::2]), 32), expected)
    np.testing.assert_array_equal(rasterize(made.with_points(read_only(made.points.copy())), 32), expected)


# ---- backends


def test_a_backend_is_one_row(made, monkeypatch):
    def draw(points, stroke_offsets, sketch_offsets, scale, offset, line_width, first, images):
        images[:] = first + np.arange(len(images))[:, None, None]

    monkeypatch.setitem(BACKENDS, "counting", Backend(lambda: draw, least_line_px=3))
    images = rasterize(made, 64, backend="counting", threads=2)
    np.testing.assert_array_equal(images, np.broadcast_to(np.arange(12)[:, None, None], (12, 64, 64)))


@pytest.mark.parametrize("error", ["OSError('no library called \"cairo-2\" was found')", "ImportError('no module')"])
def test_without_cairo(made, error, tmp_path, monkeypatch):
    (tmp_path / "cairocffi.py").write_text(f"raise {error}")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "cairocffi", raising=False)
    with pytest.raises(MissingDependencyError, match="apt-get install libcairo2") as caught:
        rasterize(made, 32, backend="cairo")
    assert "no " in str(caught.value)
    assert rasterize(made, 32).any()


# ---- processes

_CHANNELS = ("ink", "orientation", "order")

_DRAW = """
import hashlib
import sketchkit
house = sketchkit.Sketch.from_strokes([[(1, 9), (5.3, 0), (9, 9), (2, 8)], [(4, 5)]])
pyramid = sketchkit.rasterize_pyramid(house, (4, 8, (9, 20)), line_width=0.15, channels=CHANNELS)
print(hashlib.sha256(b"".join(images.tobytes() for images in pyramid.values())).hexdigest())
"""
_DRAW_INK, _DRAW_ALL = (_DRAW.replace("CHANNELS", repr(channels)) for channels in ("ink", _CHANNELS))


def start(code, **environment):
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return output.strip()


def digest(channels):
    house = Sketch.from_strokes([[(1, 9), (5.3, 0), (9, 9), (2, 8)], [(4, 5)]])
    pyramid = rasterize_pyramid(house, (4, 8, (9, 20)), line_width=0.15, channels=channels)
    return hashlib.sha256(b"".join(images.tobytes() for images in pyramid.values())).hexdigest()


def test_kernels_as_plain_python():
    assert finish(start(_DRAW_ALL, NUMBA_DISABLE_JIT="1")) == digest(_CHANNELS)


def test_kernels_stay_within_bounds(tmp_path):
    assert finish(start(_DRAW_ALL, NUMBA_BOUNDSCHECK="1", NUMBA_CACHE_DIR=str(tmp_path))) == digest(_CHANNELS)


def test_two_processes_compile_at_once(tmp_path):
    both = [start(_DRAW_INK, NUMBA_CACHE_DIR=str(tmp_path)) for _ in range(2)]
    assert [finish(process) for process in both] == [digest("ink")] * 2
    assert finish(start(_DRAW_INK, NUMBA_CACHE_DIR=str(tmp_path))) == digest("ink")


def test_imports_stay_light():
    code = "import sys, sketchkit.rasterizing; print([n for n in ('numba', 'cairocffi', 'torch') if n in sys.modules])"
    assert finish(start(code)) == "[]"
