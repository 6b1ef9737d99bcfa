"""Other ways to rasterize strokes, each drawing (sketches, size, size) uint8, ink 255 on 0, placed as sketchkit does.

A library that is not installed is left out; `Peer.installed` says so.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from sketchkit import Canvas, SketchSet
from sketchkit.canvas import placements

__all__ = ["PEERS", "Peer", "plain"]

Draw = Callable[[SketchSet, int, float], np.ndarray]

# Pillow has no anti-aliased lines: it draws so many times as large, and reduces.
_PILLOW_TIMES = 4


@dataclass(frozen=True)
class Peer:
    """A library's way.

    Args:
        module: what is imported.
        draw: (drawings, size, line width as a share of the side) -> images.
        alike: anti-aliased, of any width, and within some levels of the truth: a peer of like quality.
        remark: what a reader must know.
    """

    module: str
    draw: Draw
    alike: bool = True
    remark: str = ""

    def installed(self) -> bool:
        """Whether the library can be imported."""
        return importlib.util.find_spec(self.module) is not None


def plain(drawings: SketchSet, size: int, line_width: float) -> np.ndarray:
    """The usual loop around cairocffi."""
    import cairocffi

    return _cairo(cairocffi, drawings, size, line_width)


def _pycairo(drawings: SketchSet, size: int, line_width: float) -> np.ndarray:
    import cairo

    return _cairo(cairo, drawings, size, line_width)


def _cairo(cairo: object, drawings: SketchSet, size: int, line_width: float) -> np.ndarray:
    images = np.empty((len(drawings), size, size), np.uint8)
    for image, strokes in zip(images, _placed(drawings, size, line_width), strict=True):
        surface = cairo.ImageSurface(cairo.FORMAT_ARGB32, size, size)
        context = cairo.Context(surface)
        context.set_source_rgb(1, 1, 1)
        context.paint()
        context.set_source_rgb(0, 0, 0)
        context.set_line_width(line_width * size)
        context.set_line_cap(cairo.LINE_CAP_ROUND)
        context.set_line_join(cairo.LINE_JOIN_ROUND)
        for stroke in strokes:
            points = stroke.tolist()
            context.move_to(*points[0])
            for point in points[1:]:
                context.line_to(*point)
        context.stroke()
        surface.flush()
        image[:] = 255 - np.frombuffer(surface.get_data(), np.uint8).reshape(size, size, 4)[:, :, 0]
    return images


def _aggdraw(drawings: SketchSet, size: int, line_width: float) -> np.ndarray:
    import aggdraw

    images = np.empty((len(drawings), size, size), np.uint8)
    pen = aggdraw.Pen("white", line_width * size)
    for image, strokes in zip(images, _placed(drawings, size, line_width), strict=True):
        surface = aggdraw.Draw("L", (size, size), "black")
        for stroke in strokes:
            surface.line(stroke.ravel().tolist(), pen)
        surface.flush()
        image[:] = np.frombuffer(surface.tobytes(), np.uint8).reshape(size, size)
    return images


def _matplotlib(drawings: SketchSet, size: int, line_width: float) -> np.ndarray:
    from matplotlib.backends.backend_agg import RendererAgg
    from matplotlib.path import Path
    from matplotlib.transforms import IdentityTransform

    images = np.empty((len(drawings), size, size), np.uint8)
    renderer = RendererAgg(size, size, 72)
    context, identity = renderer.new_gc(), IdentityTransform()
    context.set_linewidth(line_width * size)
    context.set_capstyle("round")
    context.set_joinstyle("round")
    context.set_foreground("black")
    for image, strokes in zip(images, _placed(drawings, size, line_width), strict=True):
        renderer.clear()
        points = np.concatenate(strokes)
        points[:, 1] = size - points[:, 1]
        codes = np.full(len(points), Path.LINETO, np.uint8)
        codes[np.cumsum([0, *map(len, strokes[:-1])])] = Path.MOVETO
        renderer.draw_path(context, Path(points, codes), identity)
        image[:] = np.asarray(renderer.buffer_rgba())[:, :, 3]
    return images


def _skia(drawings: SketchSet, size: int, line_width: float) -> np.ndarray:
    import skia

    images = np.zeros((len(drawings), size, size), np.uint8)
    info = skia.ImageInfo.MakeA8(size, size)
    paint = skia.Paint(
        AntiAlias=True,
        Style=skia.Paint.kStroke_Style,
        StrokeWidth=line_width * size,
        StrokeCap=skia.Paint.kRound_Cap,
        StrokeJoin=skia.Paint.kRound_Join,
    )
    for image, strokes in zip(images, _placed(drawings, size, line_width), strict=True):
        surface = skia.Surface.MakeRasterDirect(info, image)
        path = skia.Path()
        for stroke in strokes:
            path.addPoly([skia.Point(*point) for point in stroke.tolist()], False)
        surface.getCanvas().drawPath(path, paint)
    return images


def _opencv(drawings: SketchSet, size: int, line_width: float) -> np.ndarray:
    import cv2

    cv2.setNumThreads(1)
    images = np.zeros((len(drawings), size, size), np.uint8)
    thickness = max(round(line_width * size) - 1, 1)  # LINE_AA adds about a pixel
    for image, strokes in zip(images, _placed(drawings, size, line_width), strict=True):
        # Four more bits of place; a pixel's center is at a whole number.
        lines = [np.round((stroke - 0.5) * 16).astype(np.int32) for stroke in strokes]
        cv2.polylines(image, lines, False, 255, thickness, cv2.LINE_AA, 4)
    return images


def _blend2d(drawings: SketchSet, size: int, line_width: float) -> np.ndarray:
    import blend2d

    images = np.empty((len(drawings), size, size), np.uint8)
    white = blend2d.Rgba32(255, 255, 255, 255)
    for image, strokes in zip(images, _placed(drawings, size, line_width), strict=True):
        surface = blend2d.Image(size, size, blend2d.Format.A8)
        context = blend2d.Context(surface)
        context.clear_all()
        context.stroke_width = line_width * size
        context.set_stroke_caps(blend2d.StrokeCap.ROUND)
        context.stroke_join = blend2d.StrokeJoin.ROUND
        context.set_stroke_style(white)
        path = blend2d.Path()
        for stroke in strokes:
            points = stroke.tolist()
            path.move_to(*points[0])
            for point in points[1:]:
                path.line_to(*point)
        context.stroke_path(path)
        context.end()
        image[:] = surface.to_numpy()
    return images


def _pillow(drawings: SketchSet, size: int, line_width: float) -> np.ndarray:
    from PIL import Image, ImageDraw

    images = np.empty((len(drawings), size, size), np.uint8)
    side, width = size * _PILLOW_TIMES, line_width * size * _PILLOW_TIMES
    for image, strokes in zip(images, _placed(drawings, size, line_width), strict=True):
        large = Image.new("L", (side, side))
        canvas = ImageDraw.Draw(large)
        for stroke in strokes:
            points = stroke * _PILLOW_TIMES
            canvas.line(points.ravel().tolist(), fill=255, width=max(round(width), 1), joint="curve")
            for x, y in points[[0, -1]].tolist():
                canvas.ellipse([x - width / 2, y - width / 2, x + width / 2, y + width / 2], fill=255)
        image[:] = np.asarray(large.reduce(_PILLOW_TIMES))
    return images


def _placed(drawings: SketchSet, size: int, line_width: float) -> Iterator[list[np.ndarray]]:
    """The strokes of each drawing in pixels."""
    scale, offset = placements(drawings, Canvas(size, line_width=line_width))
    for index, sketch in enumerate(drawings):
        yield [stroke * scale[index] + offset[index] for stroke in sketch.strokes if len(stroke)]


PEERS = {
    "pycairo": Peer("cairo", _pycairo),
    "aggdraw": Peer("aggdraw", _aggdraw),
    "matplotlib's Agg": Peer("matplotlib", _matplotlib),
    "blend2d": Peer("blend2d", _blend2d),
    "skia": Peer("skia", _skia),
    "opencv, LINE_AA": Peer("cv2", _opencv, alike=False, remark="whole widths only: another picture"),
    "Pillow, drawn 4 times as large": Peer("PIL", _pillow, alike=False, remark="whole widths only"),
}
