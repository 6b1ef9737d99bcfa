"""Made drawings, and slow and obvious twins of the rasterizer: which parts of a pixel lie near a line."""

from __future__ import annotations

import numpy as np

from sketchkit import Sketch, SketchSet
from sketchkit.blocks import as_block
from sketchkit.canvas import placements

__all__ = ["averaged", "naive", "naive_bounds", "subpixels_of_segments", "walks"]


def walks(count, strokes=10, points=11, seed=0):
    """Made drawings: strokes that wander smoothly, about as long as people's."""
    generator = np.random.default_rng(seed)
    heading = generator.uniform(0, 7, (count, strokes, 1)) + generator.normal(0, 0.4, (count, strokes, points)).cumsum(
        2
    )
    steps = 10 * np.stack([np.cos(heading), np.sin(heading)], axis=-1)
    places = generator.uniform(50, 200, (count, strokes, 1, 2)) + steps.cumsum(2)
    return SketchSet.from_sketches(Sketch.from_strokes(drawing) for drawing in places)


def averaged(images, size):
    side = images.shape[1] // size
    return images.reshape(-1, size, side, size, side).mean(axis=(2, 4))


def subpixels_of_segments(sketch, canvas, parts=32):
    """For each segment, which subpixels have their centers within half a line of it: (size * parts, size * parts)."""
    scale, offset = placements(as_block(sketch), canvas)
    axis = (np.arange(canvas.size * parts) + 0.5) / parts
    x, y = np.meshgrid(axis, axis)
    for stroke in sketch.strokes:
        pixels = stroke.astype(float) * scale[0] + offset[0]
        for (ax, ay), (bx, by) in zip(pixels, pixels[1:] if len(pixels) > 1 else pixels, strict=False):
            dx, dy = bx - ax, by - ay
            along = ((x - ax) * dx + (y - ay) * dy) / max(dx * dx + dy * dy, 1e-12)
            nearest = np.clip(along, 0, 1)
            yield np.hypot(x - ax - nearest * dx, y - ay - nearest * dy) <= canvas.line_share * canvas.size / 2


def naive(sketch, canvas):
    """The share of a pixel's subpixels that any segment covers: what a perfect renderer draws."""
    covered = np.zeros((canvas.size * 32, canvas.size * 32), bool)
    for of_segment in subpixels_of_segments(sketch, canvas):
        covered |= of_segment
    return averaged(255.0 * covered[None], canvas.size)[0]


def naive_bounds(sketch, canvas):
    """What the segment that covers most of each pixel covers, and the sum over all segments."""
    darkest, total = np.zeros((2, canvas.size, canvas.size))
    for of_segment in subpixels_of_segments(sketch, canvas):
        covered = averaged(255.0 * of_segment[None], canvas.size)[0]
        darkest, total = np.maximum(darkest, covered), np.minimum(total + covered, 255)
    return darkest, total
