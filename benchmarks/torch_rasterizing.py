"""Rasterizing by torch, sparse against a dense distance field, interleaved in one process: compare ratios, not rates.

    python benchmarks/torch_rasterizing.py [--sketches 64] [--size 128] [--rounds 5] [--data FILE]

"dense" is the usual way: the distance of every pixel from every segment, a drawing at a time (a padded batch would take
far more memory, and time for the padding), the least one made a value. Both on one thread of the CPU, with a line of
3/256 of the side. Drawings are real ones where `--data` (default: ChairV2 in SKETCHKIT_DATA) is there, else made ones.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from sketchkit import Canvas, SketchSet
from sketchkit.canvas import placements
from sketchkit.torch_backend import rasterize_torch

from contest import Table, contest, markdown
from stroke_data import argument_parser, default_file, stroke_drawings

__all__ = ["tables"]

LINE_WIDTH = 3 / 256

# Sparse should be so many times as fast as dense, drawing 64 sketches at 128 px.
_TARGET = 5


def main() -> None:
    """Print the table."""
    parser = argument_parser(__doc__, rounds=5)
    parser.add_argument("--size", type=int, default=128, help="side in pixels (default 128)")
    arguments = parser.parse_args()
    for table in tables(arguments.rounds, arguments.data, arguments.sketches, arguments.size):
        print(markdown(table))


def tables(rounds: int, data: Path | None = None, sketches: int = 64, size: int = 128) -> list[Table]:
    """Sparse against dense, without and with gradients."""
    drawings = stroke_drawings(data or default_file(), sketches)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return [_sparse_against_dense(drawings, size, rounds)]
    finally:
        torch.set_num_threads(threads)


def _sparse_against_dense(drawings: SketchSet, size: int, rounds: int) -> Table:
    points = torch.from_numpy(drawings.points.copy())
    tracked = points.clone().requires_grad_()

    def sparse(places: torch.Tensor) -> torch.Tensor:
        return rasterize_torch(places, drawings.stroke_offsets, drawings.sketch_offsets, size, line_width=LINE_WIDTH)

    difference = float((sparse(points) - dense(points, drawings, size)).abs().mean() * 255)
    if difference > 2:
        raise SystemExit(f"sparse and dense are {difference:.2f} levels apart")
    contestants: dict[str, Callable[[], object]] = {
        "dense": lambda: dense(points, drawings, size),
        "sparse": lambda: sparse(points),
        "dense, gradients": lambda: dense(tracked, drawings, size).sum().backward(),
        "sparse, gradients": lambda: sparse(tracked).sum().backward(),
    }
    timings = contest(contestants, rounds)
    rows = []
    for name, timing in timings.items():
        ratio = timings[name.replace("sparse", "dense")].cpu / timing.cpu
        verdict = f"target {_TARGET}: {'met' if ratio >= _TARGET else 'MISSED'}" if "sparse" in name else ""
        rows.append([name, f"{len(drawings) / timing.cpu:,.0f}", f"{ratio:.1f}", verdict])
    note = f"{len(drawings)} sketches, best of {rounds}; {difference:.2f} levels of 255 apart; one thread, CPU time."
    return Table(f"Torch at {size} px", ("", "sketches/s", "x dense", ""), rows, note)


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
