"""Rasterizing by torch, sparse against a dense distance field, interleaved in one process: compare ratios, not rates.

    python benchmarks/torch_rasterizing.py [--sketches 64] [--size 128] [--rounds 5] [--data FILE]

"dense" is the usual way: the distance of every pixel from every segment, a drawing at a time (a padded batch would take
far more memory, and time for the padding), the least one made a value. Both on one thread of the CPU, with a line of
3/256 of the side. Drawings are real ones where `--data` (default: ChairV2 in SKETCHKIT_DATA) is there, else made ones.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from sketchkit import Canvas, SketchSet
from sketchkit.canvas import placements
from sketchkit.torch_backend import rasterize_torch

from stroke_data import argument_parser, stroke_drawings

LINE_WIDTH = 3 / 256


def main() -> None:
    """Time both, without and with gradients, and print the ratios."""
    parser = argument_parser(__doc__, rounds=5)
    parser.add_argument("--size", type=int, default=128, help="side in pixels (default 128)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    drawings = stroke_drawings(arguments.data, arguments.sketches)
    size, points = arguments.size, torch.from_numpy(drawings.points.copy())
    tracked = points.clone().requires_grad_()

    def sparse(places: torch.Tensor) -> torch.Tensor:
        return rasterize_torch(places, drawings.stroke_offsets, drawings.sketch_offsets, size, line_width=LINE_WIDTH)

    difference = (sparse(points) - dense(points, drawings, size)).abs().mean() * 255
    contestants: dict[str, Callable[[], object]] = {
        "dense": lambda: dense(points, drawings, size),
        "sparse": lambda: sparse(points),
        "dense, gradients": lambda: dense(tracked, drawings, size).sum().backward(),
        "sparse, gradients": lambda: sparse(tracked).sum().backward(),
    }
    best = dict.fromkeys(contestants, float("inf"))
    for turn in range(arguments.rounds):
        for name in list(contestants)[:: -1 if turn % 2 else 1]:
            # CPU time, because beside other load a long run is hit more often than a short one.
            start = time.process_time()
            contestants[name]()
            best[name] = min(best[name], time.process_time() - start)
    print(f"{len(drawings)} sketches at {size} px, best of {arguments.rounds}; {difference:.2f} levels of 255 apart")
    for name, seconds in best.items():
        ratio = f"{best[name.replace('sparse', 'dense')] / seconds:6.1f} x dense" if "sparse" in name else ""
        print(f"{name:20}{len(drawings) / seconds:10,.0f} sketches/s {ratio}")


def dense(points: torch.Tensor, drawings: SketchSet, size: int) -> torch.Tensor:
    """Images (sketches, size, size) from the distances of all pixels to all segments."""
    scale, offset = placements(drawings, Canvas(size, line_width=LINE_WIDTH))
    axis = torch.arange(size) + 0.5
    y, x = (values.reshape(1, -1) for values in torch.meshgrid(axis, axis, indexing="ij"))
    images = []
    for index in range(len(drawings)):
        starts, ends = [], []
        for stroke in range(drawings.sketch_offsets[index], drawings.sketch_offsets[index + 1]):
            places = points[drawings.stroke_offsets[stroke] : drawings.stroke_offsets[stroke + 1]]
            places = places * float(scale[index]) + torch.from_numpy(offset[index]).float()
            starts.append(places[:-1] if len(places) > 1 else places)
            ends.append(places[1:] if len(places) > 1 else places)
        start, step = torch.cat(starts), torch.cat(ends) - torch.cat(starts)
        (start_x, start_y), (step_x, step_y) = start.T[..., None], step.T[..., None]
        from_x, from_y = x - start_x, y - start_y
        squared = (step_x * step_x + step_y * step_y).clamp_min(1e-12)
        along = ((from_x * step_x + from_y * step_y) / squared).clamp(0, 1)
        away_x, away_y = from_x - along * step_x, from_y - along * step_y
        distance = (away_x * away_x + away_y * away_y).amin(0).clamp_min(1e-12).sqrt()
        images.append((LINE_WIDTH * size / 2 + 0.5 - distance).clamp(0, 1).reshape(size, size))
    return torch.stack(images)


if __name__ == "__main__":
    main()
