import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from sketchkit import Canvas, DataError, ParameterError, Sketch, SketchSet, rasterize, rasterize_pyramid
from sketchkit.backends import BACKENDS
from sketchkit.blocks import as_block
from sketchkit.canvas import placements

from zoo import ZOO, zoo_set

ALL = ("ink", "orientation", "order", "phases")
PARTS = 12

_STROKES = [[(2, 3), (11, 4), (13, 12), (5, 14)], [(4, 9)], [(1, 12), (14, 6), (8, 6), (9, 15)]]
_TIMES = [[0, 30, 70, 95], [150], [200, 260, 265, 400]]


def drawing(strokes=_STROKES, times=_TIMES):
    sketch = Sketch.from_strokes(strokes, time=times)
    parts = np.arange(len(sketch.points)) // 2 * 7
    return Sketch(sketch.points, sketch.offsets, point_columns={**sketch.point_columns, "part": parts})


class Segment:
    """One line or dot, in plain Python: what it covers, and what it says of a place on it."""

    def __init__(self, start, end, before, after, times, parts):
        self.start, self.end, self.before, self.after, self.times, self.parts = start, end, before, after, times, parts

    def nearest(self, x, y):
        (ax, ay), (bx, by) = self.start, self.end
        squared = (bx - ax) ** 2 + (by - ay) ** 2
        return min(max(((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / squared, 0), 1) if squared else 0

    def covered(self, row, column, radius, parts=PARTS):
        axis = (np.arange(parts) + 0.5) / parts
        x, y = np.meshgrid(column + axis, row + axis)
        (ax, ay), (bx, by) = self.start, self.end
        squared = max((bx - ax) ** 2 + (by - ay) ** 2, 1e-12)
        share = np.clip(((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / squared, 0, 1)
        return (np.hypot(x - ax - share * (bx - ax), y - ay - share * (by - ay)) <= radius).mean()

    def planes(self, row, column):
        (ax, ay), (bx, by) = self.start, self.end
        share = self.nearest(column + 0.5, row + 0.5)
        turn = 2 * math.atan2(by - ay, bx - ax)
        directed = self.start != self.end
        return [
            128 + 127 * math.cos(turn) * directed,
            128 + 127 * math.sin(turn) * directed,
            1 + 254 * (self.before + share * (self.after - self.before)),
            1 + 254 * (self.times[0] + share * (self.times[1] - self.times[0])),
            1 + (self.parts[0] if share < 0.5 else self.parts[1]),
        ]


def segments(sketch, canvas):
    scale, offset = placements(as_block(sketch), canvas)
    strokes, drawn, found = sketch.strokes, 0.0, []
    total = sum(math.dist(a, b) for stroke in strokes for a, b in pairwise(stroke))
    times, parts = sketch.time, sketch.point_columns["part"]
    for stroke, first in zip(strokes, sketch.offsets.tolist(), strict=False):
        for index in range(max(len(stroke) - 1, 1)):
            last = min(index + 1, len(stroke) - 1)
            length = math.dist(stroke[index], stroke[last])
            ends = [tuple(float(v) for v in stroke[i] * scale[0] + offset[0]) for i in (index, last)]
            when = [float(times[first + i] - times.min()) / float(np.ptp(times)) for i in (index, last)]
            which = [int(parts[first + i]) for i in (index, last)]
            found.append(Segment(*ends, drawn / total, (drawn + length) / total, when, which))
            drawn += length
    return found


CANVASES = [
    Canvas(16, fit="keep", extent=16, line_width_px=2.5),  # drawn at twice the size
    Canvas((24, 30), line_width_px=3),
    Canvas((20, 18), fit="keep", extent=16, line_width_px=2),
    Canvas(16, line_width_px=0.6),  # at four times
    Canvas((256, 260), line_width_px=3),  # as it is
]


@pytest.mark.parametrize("canvas", CANVASES, ids=str)
def test_naive_twin(canvas):
    sketch = drawing()
    images = rasterize(sketch, Canvas(**{**canvas.to_dict(), "channels": ("orientation", "order", "time", "part")}))[0]
    ink = rasterize(sketch, canvas)[0]
    lines = segments(sketch, canvas)
    times = BACKENDS["numba"].enlargement(canvas)
    clear = 0
    for row, column in np.argwhere(ink > 0)[:: max(ink.size // 4096, 1)].tolist():
        # A pixel of the canvas has the segment that covers most of any of its parts.
        parts = [((row * times + i) / times, (column * times + j) / times) for i in range(times) for j in range(times)]
        radius = canvas.line_width_px / 2
        most = [
            max(scaled(line, times).covered(y * times, x * times, radius * times) for y, x in parts) for line in lines
        ]
        best = int(np.argmax(most))
        others = max(value for index, value in enumerate(most) if index != best)
        if most[best] - others < 0.12:
            continue  # which is darker is for the kernel to say
        clear += 1
        expected = lines[best].planes(row, column)
        share = lines[best].nearest(column + 0.5, row + 0.5)
        found = images[:, row, column].astype(float)
        np.testing.assert_allclose(found[:4], expected[:4], atol=0.51, err_msg=f"{row} {column}")
        assert found[4] == expected[4] or abs(share - 0.5) < 1e-3
    assert clear > 60


def scaled(line, times):
    grown = [tuple(times * value for value in end) for end in (line.start, line.end)]
    return Segment(*grown, line.before, line.after, line.times, line.parts)


@pytest.mark.parametrize("canvas", [24, (24, 40), Canvas(40, line_width_px=2.5)], ids=str)
def test_of_equal_lines_the_last_counts(canvas):
    sketch = drawing([[(0, 0), (9, 7)], [(9, 7), (0, 0)]], [[0, 1], [2, 3]])
    size = Canvas.of(canvas)
    part, order, time = rasterize(sketch, Canvas(**{**size.to_dict(), "channels": ("part", "order", "time")}))[0]
    inked = part > 0
    assert (part[inked] == 8).all()
    assert (order[inked] >= 128).all()
    assert (time[inked] >= 1 + 254 * 2 // 3).all()


def test_hand_computed():
    """A level line drawn first, an upright one after it, a dot."""
    sketch = Sketch.from_strokes([[(2, 4.5), (12, 4.5)], [(6.5, 8), (6.5, 14)], [(12.5, 12.5)]])
    images = rasterize(sketch, 16, fit="keep", extent=16, line_width_px=3, channels=("orientation", "order"))[0]
    assert images[:, 4, 6].tolist() == [255, 128, round(1 + 254 * 4.5 / 16)]
    assert images[:, 10, 6].tolist() == [1, 128, math.floor(1.5 + 254 * 12.5 / 16)]
    assert images[:, 12, 12].tolist() == [128, 128, 255]
    assert images[:, 0, 0].tolist() == [128, 128, 0]


def test_slanting_lines():
    for strokes, expected in (([[(0, 0), (9, 9)]], [128, 255]), ([[(0, 9), (9, 0)]], [128, 1])):
        images = rasterize(Sketch.from_strokes(strokes), 16, line_width=0.2, channels="orientation")[0]
        assert images.shape == (2, 16, 16)
        assert images[:, 8, 8].tolist() == expected
    # A line has no direction: drawn from the other end it is the same.
    ends = np.array([(0, 0), (7, 3)])
    np.testing.assert_array_equal(
        *(rasterize(Sketch.from_strokes([way]), 20, channels="orientation") for way in (ends, ends[::-1]))
    )


# ---- phases


@pytest.mark.parametrize("backend", ["numba", "cairo", "torch"])
@pytest.mark.parametrize("canvas", [Canvas(24), Canvas((20, 32), line_width=0.1), Canvas(16, min_line_px=2)], ids=str)
def test_phases_are_the_drawing_at_twice_the_size(canvas, backend):
    drawings = zoo_set()[:8]
    images = rasterize(drawings, Canvas(**{**canvas.to_dict(), "channels": "phases"}), backend=backend)
    large = rasterize(drawings, canvas.enlarged(2), backend=backend)
    expected = torch.nn.functional.pixel_unshuffle(torch.from_numpy(large[:, None]), 2)
    np.testing.assert_array_equal(images, expected)
    ink = rasterize(drawings, canvas, backend=backend).astype(float)
    assert np.abs(images.mean(axis=1) - ink).mean() <= (1.0 if backend == "numba" else 4.0)


# ---- every drawing


@pytest.mark.parametrize("name", ZOO)
def test_zoo(name):
    for canvas in (Canvas((16, 24), channels=ALL), Canvas(32, fit="keep", line_width=0.1, channels=ALL)):
        images = rasterize(ZOO[name], canvas)
        assert images.shape == (1, 8, canvas.height, canvas.width)
        ink, cosine, sine, order = images[0, :4]
        np.testing.assert_array_equal(ink, rasterize(ZOO[name], Canvas(**{**canvas.to_dict(), "channels": "ink"}))[0])
        np.testing.assert_array_equal(order > 0, ink > 0)
        assert (cosine[ink == 0] == 128).all()
        length = np.hypot(cosine - 128.0, sine - 128.0)
        assert ((np.abs(length - 127) < 1) | (length == 0)).all()


def test_a_set_is_drawn_as_its_sketches():
    drawings = SketchSet.from_sketches([sketch for sketch in ZOO.values() if not sketch.point_columns])
    together = rasterize(drawings, 24, channels=ALL)
    for index, sketch in enumerate(drawings):
        np.testing.assert_array_equal(together[index], rasterize(sketch, 24, channels=ALL)[0])


@pytest.mark.parametrize("threads", [2, 3, 50])
def test_threads_never_change_a_pixel(threads):
    drawings = zoo_set()
    expected = rasterize(drawings, 32, channels=ALL, threads=1)
    np.testing.assert_array_equal(rasterize(drawings, 32, channels=ALL, threads=threads), expected)


def test_chunks_never_change_a_pixel(monkeypatch):
    expected = rasterize(zoo_set(), 32, channels=ALL)
    monkeypatch.setattr("sketchkit.channels._CHUNK_PIXELS", 1)
    np.testing.assert_array_equal(rasterize(zoo_set(), 32, channels=ALL), expected)


def test_pyramid_and_out():
    drawings = zoo_set(timed=True)
    sizes = (16, (16, 32), 64)
    out = {size: np.full(Canvas(size, channels=("time", "ink")).shape_of(len(drawings)), 9, np.uint8) for size in sizes}
    pyramid = rasterize_pyramid(drawings, sizes, channels=("time", "ink"), out=out)
    for size in sizes:
        assert pyramid[size] is out[size]
        np.testing.assert_array_equal(out[size], rasterize(drawings, size, channels=("time", "ink")))
    mixed = rasterize_pyramid(drawings, [16, Canvas(32, channels="time"), Canvas(64, channels=("ink",))])
    assert [images.shape[1:] for images in mixed.values()] == [(16, 16), (1, 32, 32), (1, 64, 64)]
    np.testing.assert_array_equal(mixed[64][:, 0], rasterize(drawings, 64))


def test_no_drawing():
    assert rasterize([], 8, channels=ALL).shape == (0, 8, 8, 8)


def test_times_that_are_not_known():
    strokes = [[(0, 0), (5, 0), (9, 9)]]
    unknown = rasterize(Sketch.from_strokes(strokes, time=[[np.nan] * 3]), 16, channels="time")
    still = rasterize(Sketch.from_strokes(strokes, time=[[5, 5, 5]]), 16, channels="time")
    np.testing.assert_array_equal(unknown, still)
    assert set(np.unique(still)) == {0, 1}


@pytest.mark.parametrize("backend", ["cairo", "torch"])
@pytest.mark.parametrize("channels", ["orientation", ("ink", "part")])
def test_other_backends_say_which_one_draws_it(backend, channels):
    with pytest.raises(ParameterError, match='only backend="numba" draws the channels'):
        rasterize(drawing(), 16, channels=channels, backend=backend)


def labelled(values):
    sketch = Sketch.from_strokes([[(0, 0), (1, 1)]])
    return Sketch(sketch.points, sketch.offsets, point_columns={"part": np.asarray(values)})


@pytest.mark.parametrize("values", [[0, 255], [-1, 0], [0.5, 1], [np.nan, 1], ["a", "b"]], ids=str)
def test_labels_that_cannot_be_drawn(values):
    with pytest.raises(DataError, match="whole numbers from 0 to 254"):
        rasterize(labelled(values), 16, channels="part")


def test_labels_may_be_floats():
    assert set(np.unique(rasterize(labelled([4.0, 4.0]), 16, channels="part"))) == {0, 5}


@pytest.mark.parametrize("channel", ["time", "part"])
def test_missing_columns(channel):
    with pytest.raises(DataError, match=f'shows the point column "{channel}", which the drawings do not have'):
        rasterize(ZOO["one stroke"], 16, channels=("ink", channel))
