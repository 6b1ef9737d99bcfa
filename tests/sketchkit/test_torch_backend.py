import numpy as np
import pytest
import torch

from sketchkit import Canvas, DataError, ParameterError, Sketch, SketchSet, rasterize
from sketchkit.canvas import placements
from sketchkit.torch_backend import rasterize_torch

from zoo import ZOO, zoo_set

STROKES, DRAWINGS = [0, 3, 4, 4, 6, 8], [0, 2, 2, 5]
KEEP = {"fit": "keep", "extent": 16}


@pytest.fixture
def points():
    """Three drawings, the second empty; places without a symmetry, so that no pixel is at a kink."""
    places = np.random.default_rng(3).uniform(2, 14, (8, 2))
    return torch.from_numpy(places).requires_grad_()


def drawn(drawings, size, **settings):
    points = torch.from_numpy(drawings.points.copy())
    return rasterize_torch(points, drawings.stroke_offsets, drawings.sketch_offsets, size, **settings)


def lines_apart():
    """Every line of the zoo as a drawing: no two of them meet."""
    sketches = [ZOO[name] for name in ZOO if name not in ("10,000 strokes", "spiral")]
    strokes = [stroke for sketch in sketches for stroke in sketch.strokes]
    lines = [stroke[i : i + 2] for stroke in strokes for i in range(max(len(stroke) - 1, 1))]
    return SketchSet.from_sketches(Sketch.from_strokes([line]) for line in lines)


KEPT, WIDER = {"fit": "keep", "extent": 12}, {"line_width": 0.02}


@pytest.mark.parametrize(
    ("size", "settings"),
    [(1, {}), (7, WIDER), (32, {}), (32, KEPT), (32, WIDER), ((20, 12), {}), ((20, 12), KEPT), ((300, 260), WIDER)],
    ids=str,
)
def test_levels_are_those_of_rasterize(size, settings):
    drawings = lines_apart()
    images = drawn(drawings, size, **settings)
    assert images.dtype == torch.float32
    assert 0 <= images.min() <= images.max() <= 1
    # There each drawn pixel is rounded before it is averaged down.
    np.testing.assert_allclose(images * 255, rasterize(drawings, size, **settings), atol=1.6)


@pytest.mark.parametrize("settings", [{}, KEPT, WIDER], ids=str)
def test_where_lines_meet_it_is_fainter(settings):
    sketches = [sketch for name, sketch in ZOO.items() if name != "10,000 strokes" and not sketch.point_columns]
    drawings = SketchSet.from_sketches(sketches)
    difference = rasterize(drawings, 24, **settings) - drawn(drawings, 24, **settings).numpy() * 255
    assert difference.min() >= -1.6
    assert difference.mean() <= 1.0


@pytest.mark.parametrize(("size", "line_width"), [(12, 0.15), (12, 0.3), (9, 0.06), ((9, 14), 0.2), ((14, 9), 0.2)])
def test_derivatives(points, size, line_width):
    """The third width is under 1.5 px: drawn larger and averaged down."""

    def picture(places):
        return rasterize_torch(places, STROKES, DRAWINGS, size, line_width=line_width, **KEEP)

    assert torch.autograd.gradcheck(picture, (points,), eps=1e-7, atol=1e-4)


def test_under_tight_the_placement_is_given(points):
    rows = SketchSet(points.detach().numpy(), np.array(STROKES), np.array(DRAWINGS))
    scale, offset = placements(rows, Canvas(16, line_width=0.15))
    counts = torch.tensor([4, 0, 4])
    grow, shift = (torch.from_numpy(values).repeat_interleave(counts, 0) for values in (scale, offset))
    weights = torch.rand(3, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    tight = rasterize_torch(points, STROKES, DRAWINGS, 16, line_width=0.15)
    kept = rasterize_torch(points * grow[:, None] + shift, STROKES, DRAWINGS, 16, line_width=0.15, **KEEP)
    torch.testing.assert_close(tight, kept)
    gradients = [torch.autograd.grad((images * weights).sum(), points)[0] for images in (tight, kept)]
    torch.testing.assert_close(*gradients)


def test_gradients_do_not_change_the_images(points):
    images = rasterize_torch(points, STROKES, DRAWINGS, 40, line_width=0.1, **KEEP)
    assert images.requires_grad
    torch.testing.assert_close(
        images.detach(), rasterize_torch(points.detach(), STROKES, DRAWINGS, 40, line_width=0.1, **KEEP)
    )
    with torch.no_grad():
        assert not rasterize_torch(points, STROKES, DRAWINGS, 40).requires_grad


@pytest.mark.parametrize("name", [name for name in ZOO if name != "10,000 strokes"])
def test_gradients_are_finite(name):
    points = torch.from_numpy(ZOO[name].points.copy()).requires_grad_()
    offsets = ZOO[name].offsets
    rasterize_torch(points, offsets, [0, len(offsets) - 1], 16, line_width=0.125).sum().backward()
    assert points.grad.isfinite().all()


def test_a_level_line_through_pixel_centers_has_its_derivative():
    """Edges lie on pixel centers and centers on the line: every kink at once."""
    points = torch.tensor([[4.5, 8.5], [12.5, 8.5]], requires_grad=True)
    image = rasterize_torch(points, [0, 2], [0, 1], 16, line_width=3 / 16, **KEEP)
    (image[0, :8].sum() - image[0, 9:].sum()).backward()
    # A pixel down: a line of 8 px leaves 8 px of ink above and brings as much below; caps and corners add to it.
    assert -24 < points.grad[:, 1].sum() <= -14


def test_runs_are_alike(points):
    first, second = (rasterize_torch(points, STROKES, DRAWINGS, 64) for _ in range(2))
    assert torch.equal(first, second)
    weights = torch.linspace(-1, 1, 64, dtype=torch.float64)
    gradients = [torch.autograd.grad((images * weights).sum(), points)[0] for images in (first, second)]
    assert torch.equal(*gradients)


def test_a_set_is_drawn_as_its_sketches(monkeypatch):
    drawings = zoo_set()
    together = drawn(drawings, 32)
    for index in range(len(drawings)):
        torch.testing.assert_close(drawn(drawings[index : index + 1], 32)[0], together[index])
    few = drawings[:12]
    monkeypatch.setattr("sketchkit.torch_backend._PAIRS", {"cpu": 100})
    torch.testing.assert_close(drawn(few, 32), together[:12])


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"points": torch.zeros(8, 2).half()}, ParameterError, "float32 or float64 tensor, not torch.float16"),
        ({"points": [[0, 0]]}, ParameterError, "not list"),
        ({"points": torch.zeros(8, 3)}, ParameterError, r"\(points, 2\), not \(8, 3\)"),
        ({"stroke_offsets": [0, 3, 7]}, DataError, "stroke_offsets must start at 0, never decrease, and end at 8"),
        ({"stroke_offsets": [0, 5, 3, 8]}, DataError, "never decrease"),
        ({"sketch_offsets": torch.tensor([1, 5])}, DataError, "sketch_offsets must start at 0"),
        ({"sketch_offsets": [0.0, 5.0]}, ParameterError, "whole numbers, not .* float64"),
        ({"size": Canvas(8), "fit": "keep"}, ParameterError, "beside a Canvas"),
        ({"line_width": 2}, ParameterError, "share of the side"),
        ({"size": Canvas(8, channels="phases")}, ParameterError, "ink alone, not phases"),
    ],
)
def test_wrong_arguments(points, change, error, words):
    arguments = {"points": points, "stroke_offsets": STROKES, "sketch_offsets": DRAWINGS, "size": 8} | change
    with pytest.raises(error, match=words):
        rasterize_torch(**arguments)


def test_no_drawing_no_image():
    images = rasterize_torch(torch.zeros(0, 2, requires_grad=True), [0], [0], 8)
    assert images.shape == (0, 8, 8)
