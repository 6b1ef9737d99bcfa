import json
import math

import numpy as np
import pytest

from sketchkit import Canvas, ParameterError, SketchSet
from sketchkit.blocks import as_block
from sketchkit.canvas import placements

from zoo import ZOO

WRONG = [
    ({"size": 0}, "size must be 1 to 16384"),
    ({"size": 20000}, "size must be 1 to 16384"),
    ({"size": 64.0}, "whole number"),
    ({"size": True}, "whole number"),
    ({"size": "64"}, "whole number"),
    ({"size": 64, "fit": "stretch"}, "tight, keep"),
    ({"size": 64, "margin": 0.5}, "below 0.5"),
    ({"size": 64, "margin": -0.1}, "at least 0"),
    ({"size": 64, "margin": "wide"}, "margin must be a finite number"),
    ({"size": 64, "line_width": 0}, "above 0 and below 1"),
    ({"size": 64, "line_width": 2.5}, "share of the side"),
    ({"size": 64, "line_width": math.nan}, "line_width must be a finite number"),
    ({"size": 64, "line_width": None}, "line_width must be a finite number"),
    ({"size": 64, "extent": 0}, "extent must be above 0"),
    ({"size": 64, "extent": math.inf}, "extent must be a finite number"),
    ({"size": 64, "min_line_px": -1}, "min_line_px must be at least 0"),
    ({"size": 64, "min_line_px": 64}, "below size, 64"),
    ({"size": (64, 32), "min_line_px": 32}, "below size, 32"),
    ({"size": (64, 0)}, "size must be 1 to 16384"),
    ({"size": (64, 32.0)}, "whole number"),
    ({"size": (64, 32, 3)}, r"\(height, width\); not \(64, 32, 3\)"),
    ({"size": 64, "line_width_px": 0}, "line_width_px must be above 0"),
    ({"size": 64, "line_width_px": 64}, "line_width_px must be above 0 and below size, 64"),
    ({"size": 64, "line_width_px": "2"}, "line_width_px must be a finite number"),
    ({"size": 64, "line_width_px": 2, "line_width": 0.1}, "give one of them"),
    ({"size": 64, "channels": "color"}, "ink, orientation, order, time, part, phases, not 'color'"),
    ({"size": 64, "channels": ("ink", 3)}, "not 3"),
    ({"size": 64, "channels": ()}, "a name or a sequence"),
    ({"size": 64, "channels": None}, "a name or a sequence"),
    ({"size": 64, "channels": ("ink", "order", "ink")}, "must differ"),
    ({"size": (64, 96), "rectangular": True}, r"longer side, a whole number, not \(64, 96\)"),
    ({"size": 64, "rectangular": True, "fit": "keep"}, "fit is \"tight\", not 'keep'"),
    ({"size": 97, "rectangular": True}, "must be even, not 97"),
    ({"size": 64, "rectangular": 1}, "True or False, not 1"),
    ({"size": 64, "rectangular": None}, "True or False, not None"),
]


@pytest.mark.parametrize(("fields", "words"), WRONG, ids=[str(fields) for fields, _ in WRONG])
def test_out_of_range(fields, words):
    with pytest.raises(ParameterError, match=words):
        Canvas(**fields)


@pytest.mark.parametrize(
    "canvas",
    [
        Canvas(64),
        Canvas(256, fit="keep", extent=800, line_width=0.02),
        Canvas(48, margin=0.1, min_line_px=0.6),
        Canvas((48, 64), line_width_px=2, channels=["ink", "orientation"]),
        Canvas(64, channels="phases"),
        Canvas(192, rectangular=True, margin=0.05),
        Canvas(np.int64(32), margin=np.float32(0.25), line_width=np.float64(0.5)),
    ],
)
def test_to_dict_goes_through_json(canvas):
    again = Canvas.of(json.loads(json.dumps(canvas.to_dict())))
    assert again == canvas
    assert hash(again) == hash(canvas)


def test_of():
    canvas = Canvas(64, fit="keep")
    assert Canvas.of(canvas) is canvas
    assert Canvas.of(64) == Canvas(64) == Canvas.of(np.int32(64))
    assert Canvas.of({"size": 64, "fit": "keep"}) == canvas


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"size": 64, "sides": 3}, "knows no sides; its fields are size, fit"),
        ({"fit": "keep"}, "needs a size"),
        ("64", "whole number"),
        (None, "whole number"),
        ((64,), "whole number"),
    ],
)
def test_of_refuses(value, words):
    with pytest.raises(ParameterError, match=words):
        Canvas.of(value)


def test_a_size_of_two_equal_sides_is_a_square():
    assert Canvas((64, 64)) == Canvas([64, 64]) == Canvas(64)
    assert Canvas((64, 64)).size == 64
    assert not Canvas(64).oblong
    tall = Canvas((96, 64))
    assert (tall.height, tall.width, tall.side, tall.oblong, tall.rectangular) == (96, 64, 64, True, False)


@pytest.mark.parametrize(
    ("channels", "shape"),
    [
        ("ink", (5, 32, 48)),
        (("ink",), (5, 1, 32, 48)),
        ("orientation", (5, 2, 32, 48)),
        (["phases", "part"], (5, 5, 32, 48)),
    ],
)
def test_shape_of_the_images(channels, shape):
    assert Canvas((32, 48), channels=channels).shape_of(5) == shape


def test_line_width_in_pixels():
    assert Canvas(64, line_width_px=2).line_share == 2 / 64
    assert Canvas((64, 200), line_width_px=2).margin_share == 1 / 64
    assert Canvas(64, line_width_px=0.25, min_line_px=0.5).line_share == 0.5 / 64


@pytest.mark.parametrize(
    "canvas", [Canvas(32, margin=0.1), Canvas((24, 36), line_width_px=2, channels="phases"), Canvas(8, min_line_px=0.6)]
)
def test_enlarged_is_the_same_picture(canvas):
    large = canvas.enlarged(4)
    assert (large.height, large.width, large.channels) == (4 * canvas.height, 4 * canvas.width, "ink")
    for name in ("line_share", "margin_share"):
        assert getattr(large, name) == pytest.approx(getattr(canvas, name), rel=1e-12)
    with pytest.raises(ParameterError, match="16384"):
        canvas.enlarged(4096)


@pytest.mark.parametrize("size", [(50, 100), (100, 50)])
@pytest.mark.parametrize("name", ZOO)
def test_tight_fills_a_rectangle_in_one_direction(name, size):
    canvas = Canvas(size, margin=0.1)
    scale, offset = placements(as_block(ZOO[name]), canvas)
    points = ZOO[name].points.astype(float)
    points = points[np.isfinite(points).all(axis=1)] * scale + offset
    if not len(points):
        return
    least, greatest = points.min(axis=0), points.max(axis=0)
    np.testing.assert_allclose((least + greatest) / 2, [canvas.width / 2, canvas.height / 2], atol=1e-4)
    room = np.array([canvas.width - 10, canvas.height - 10])
    filled = np.ptp(points, axis=0) / room
    assert filled.max() == pytest.approx(1, rel=1e-5) or filled.max() == 0


@pytest.mark.parametrize("margin", [None, 0.0, 0.2])
@pytest.mark.parametrize("name", ZOO)
def test_tight_fills_the_canvas_less_its_margins(name, margin):
    canvas = Canvas(100, margin=margin, line_width=0.04)
    scale, offset = placements(as_block(ZOO[name]), canvas)
    assert scale.shape == (1,)
    assert offset.shape == (1, 2)
    points = ZOO[name].points.astype(float)
    points = points[np.isfinite(points).all(axis=1)] * scale + offset
    if not len(points):
        return
    least, greatest = points.min(axis=0), points.max(axis=0)
    np.testing.assert_allclose((least + greatest) / 2, 50, atol=1e-4)
    free = 100 * (0.02 if margin is None else margin)
    degenerate = np.ptp(points, axis=0).max() == 0
    np.testing.assert_allclose(np.ptp(points, axis=0).max(), 0 if degenerate else 100 - 2 * free, rtol=1e-5)
    assert degenerate == (len({tuple(p) for p in points.tolist()}) == 1)


def test_a_set_is_placed_as_its_sketches():
    drawings = SketchSet.from_sketches(
        [sketch for name, sketch in ZOO.items() if not sketch.point_columns and name != "10,000 strokes"]
    )
    scale, offset = placements(drawings, Canvas(64))
    alone = [placements(as_block(sketch), Canvas(64)) for sketch in drawings]
    np.testing.assert_array_equal(scale, np.concatenate([one for one, _ in alone]))
    np.testing.assert_array_equal(offset, np.concatenate([one for _, one in alone]))


def test_keep_maps_the_extent_onto_the_canvas():
    scale, offset = placements(as_block(ZOO["named"]), Canvas(32, fit="keep", extent=800))
    assert scale.tolist() == [0.04]
    assert offset.tolist() == [[0.0, 0.0]]
    wide, _ = placements(as_block(ZOO["named"]), Canvas((32, 64), fit="keep", extent=800))
    assert wide.tolist() == [0.04]


def test_min_line_px_thickens_only_small_canvases():
    thick, thin = Canvas(32, min_line_px=0.6), Canvas(256, min_line_px=0.6)
    assert thick.line_share * 32 == pytest.approx(0.6)
    assert thick.margin_share * 32 == pytest.approx(0.3)
    assert thin.line_share == thin.line_width == 2.5 / 256
