"""Rasterizing against plain cairocffi, interleaved in one process: compare ratios, not rates.

    python benchmarks/rasterizing.py [--sketches 64] [--rounds 15] [--data FILE]

"plain" is the loop most code has: an ARGB32 surface for each drawing and size, painted white, `move_to` and `line_to`,
one channel copied out. All draw 32 + 64 + 128 + 256 px with a line of 3/256 of the canvas, on one thread unless named.
Drawings are real ones where `--data` (default: ChairV2 in SKETCHKIT_DATA) is there, else made ones of like length.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import cairocffi
import numpy as np

import sketchkit
from sketchkit import Canvas, SketchSet
from sketchkit.canvas import placements

from stroke_data import argument_parser, stroke_drawings

SIZES = (32, 64, 128, 256)
LINE_WIDTH = 3 / 256
TWO_THREADS = "pyramid, out=, 2 threads"


def main() -> None:
    """Time every contestant, then print ratios and errors."""
    arguments = argument_parser(__doc__, rounds=15).parse_args()
    drawings = stroke_drawings(arguments.data, arguments.sketches)
    pyramid = {size: np.empty((len(drawings), size, size), np.uint8) for size in SIZES}
    settings = {"line_width": LINE_WIDTH, "threads": 1}
    contestants: dict[str, Callable[[], object]] = {
        "plain": lambda: [plain(drawings, size) for size in SIZES],
        "pyramid": lambda: sketchkit.rasterize_pyramid(drawings, SIZES, **settings),
        "pyramid, out=": lambda: sketchkit.rasterize_pyramid(drawings, SIZES, out=pyramid, **settings),
        TWO_THREADS: lambda: sketchkit.rasterize_pyramid(
            drawings, SIZES, line_width=LINE_WIDTH, threads=2, out=pyramid
        ),
        "pyramid, cairo": lambda: sketchkit.rasterize_pyramid(drawings, SIZES, backend="cairo", **settings),
        "one at a time": lambda: [sketchkit.rasterize_pyramid(sketch, SIZES, **settings) for sketch in drawings],
    }
    for size in SIZES:
        contestants[f"plain {size}"] = lambda size=size: plain(drawings, size)
        contestants[f"alone {size}"] = lambda size=size: sketchkit.rasterize(drawings, size, **settings)

    # CPU time, because beside other load a long run is hit more often than a short one.
    cpu, wall = interleaved(contestants, arguments.rounds)
    print(
        f"{len(drawings)} sketches, {len(drawings.points) / len(drawings):.0f} points each, best of {arguments.rounds}"
    )
    for name, seconds in cpu.items():
        if name == TWO_THREADS:
            continue
        reference = cpu[f"plain {name.split()[1]}"] if name.startswith("alone") else cpu["plain"]
        ratio = "" if name.startswith("plain ") else f"{reference / seconds:6.1f} x plain"
        print(f"{name:26}{len(drawings) / seconds:10,.0f} sketches/s {ratio}")
    print(f"two threads over one, wall: {wall['pyramid, out='] / wall[TWO_THREADS]:.2f} x")
    _print_errors(drawings[: min(len(drawings), 32)])


def plain(drawings: SketchSet, size: int) -> np.ndarray:
    """The usual loop around cairocffi, (sketches, size, size) uint8."""
    scale, offset = placements(drawings, Canvas(size, line_width=LINE_WIDTH))
    images = np.empty((len(drawings), size, size), np.uint8)
    for index, sketch in enumerate(drawings):
        surface = cairocffi.ImageSurface(cairocffi.FORMAT_ARGB32, size, size)
        context = cairocffi.Context(surface)
        context.set_source_rgb(1, 1, 1)
        context.paint()
        context.set_source_rgb(0, 0, 0)
        context.set_line_width(LINE_WIDTH * size)
        context.set_line_cap(cairocffi.LINE_CAP_ROUND)
        context.set_line_join(cairocffi.LINE_JOIN_ROUND)
        for stroke in sketch.strokes:
            points = (stroke * scale[index] + offset[index]).tolist()
            context.move_to(*points[0])
            for point in points[1:]:
                context.line_to(*point)
        context.stroke()
        surface.flush()
        images[index] = 255 - np.frombuffer(surface.get_data(), np.uint8).reshape(size, size, 4)[:, :, 0]
    return images


def interleaved(contestants: dict[str, Callable[[], object]], rounds: int) -> tuple[dict[str, float], dict[str, float]]:
    """Best CPU and best wall seconds of each, after one run to warm up; every other round goes backwards."""
    for run in contestants.values():
        run()
    cpu, wall = dict.fromkeys(contestants, float("inf")), dict.fromkeys(contestants, float("inf"))
    for turn in range(rounds):
        for name in list(contestants)[:: -1 if turn % 2 else 1]:
            cpu_start, wall_start = time.process_time(), time.perf_counter()
            contestants[name]()
            cpu[name] = min(cpu[name], time.process_time() - cpu_start)
            wall[name] = min(wall[name], time.perf_counter() - wall_start)
    return cpu, wall


def _print_errors(drawings: SketchSet) -> None:
    truth = sketchkit.rasterize(drawings, 2048, line_width=LINE_WIDTH, backend="cairo").astype(np.float32)
    print("mean difference from the truth (cairo at 2048, averaged), in levels of 255: all pixels / pixels with ink")
    pyramid = sketchkit.rasterize_pyramid(drawings, SIZES, line_width=LINE_WIDTH)
    for size in SIZES:
        side = 2048 // size
        mean = truth.reshape(len(drawings), size, side, size, side).mean(axis=(2, 4))
        row = [f"{size:4}:"]
        for name, images in (("pyramid", pyramid[size]), ("plain", plain(drawings, size))):
            error = np.abs(images - mean)
            row.append(f"{name} {error.mean():.3f} / {error[mean > 0].mean():.2f}")
        print("   ".join(row))


if __name__ == "__main__":
    main()
