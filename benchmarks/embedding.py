"""Embedding sketches against the same passes written by hand, interleaved in one process: compare ratios.

    python benchmarks/embedding.py [--sketches 256] [--rounds 7] [--data FILE]

By hand means: choose the canvases once, and for each canvas rasterize, make a tensor, normalize, channels last, one
pass, L2-normalize, put the rows back. The network is MobileNetV2 with random weights; the canvases are dealt out by the
number of strokes, so that all of them occur, which costs both sides the same. Drawings are real ones where `--data`
(default: ChairV2 in SKETCHKIT_DATA) is there, else made ones of like length.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from sketchkit import AdaptedModel, SketchSet, adapt, rasterize

from contest import Table, contest, markdown
from stroke_data import argument_parser, default_file, stroke_drawings

__all__ = ["tables"]

TARGET = 1.05


class ByStrokes(nn.Module):
    """A policy in the selector's place: canvas index = strokes modulo the number of canvases."""

    def __init__(self, canvases: int) -> None:
        super().__init__()
        self.canvases = canvases

    def select(self, sketches: SketchSet) -> np.ndarray:
        """Canvas indices, (sketches,)."""
        return np.diff(sketches.sketch_offsets) % self.canvases


def main() -> None:
    """Print the tables."""
    parser = argument_parser(__doc__, rounds=7)
    parser.set_defaults(sketches=256)
    arguments = parser.parse_args()
    for table in tables(arguments.rounds, arguments.data, arguments.sketches):
        print(markdown(table))


def tables(rounds: int, data: Path | None = None, sketches: int = 256) -> list[Table]:
    """All drawings in one call, on one thread and on all; and one drawing a call."""
    torch.manual_seed(0)  # the same random weights each time
    adapted = adapt("mobilenet_v2")
    adapted.canvas_selector = ByStrokes(len(adapted.canvases))
    drawings = stroke_drawings(data or default_file(), sketches)
    threads = torch.get_num_threads()
    found = {}
    try:
        for count in sorted({1, os.cpu_count() or 1}):
            torch.set_num_threads(count)
            found[count] = _timed(adapted, drawings, rounds, None if count > 1 else 1)
    finally:
        torch.set_num_threads(threads)
    return [_table(adapted, drawings, rounds, found)]


def by_hand(adapted: AdaptedModel, drawings: SketchSet) -> torch.Tensor:
    """What `embed_sketches` does, as anyone would write it for this one network."""
    mean = torch.tensor(adapted.description.mean).reshape(3, 1, 1)
    std = torch.tensor(adapted.description.std).reshape(3, 1, 1)
    chosen = adapted.canvas_selector.select(drawings)
    embeddings = torch.empty(len(drawings), adapted.embedding_dim)
    for index, canvas in enumerate(adapted.canvases):
        rows = np.flatnonzero(chosen == index)
        if len(rows):
            ink = torch.from_numpy(rasterize(drawings[rows], canvas))
            images = (1 - ink.float() / 255)[:, None].expand(-1, 3, -1, -1)
            images = ((images - mean) / std).contiguous(memory_format=torch.channels_last)
            embeddings[torch.from_numpy(rows)] = F.normalize(adapted.backbone(images), dim=1)
    return embeddings


def _timed(adapted: AdaptedModel, drawings: SketchSet, rounds: int, threads: int | None) -> dict[str, float]:
    """Seconds on the clock; on one thread, the processor's."""
    few = drawings[:16]
    contestants: dict[str, Callable[[], object]] = {
        "by hand": lambda: by_hand(adapted, drawings),
        "`embed_sketches`": lambda: adapted.embed_sketches(drawings),
        "by hand, a drawing a call": lambda: [by_hand(adapted, few[i : i + 1]) for i in range(len(few))],
        "`embed_sketches`, a drawing a call": lambda: [adapted.embed_sketches(few[i : i + 1]) for i in range(len(few))],
    }
    with torch.inference_mode():
        difference = float((by_hand(adapted, drawings) - adapted.embed_sketches(drawings)).abs().max())
        if difference > 1e-5:
            raise SystemExit(f"the two sides' embeddings are {difference:.2g} apart")
        timings = contest(contestants, rounds)
    return {name: timing.cpu if threads == 1 else timing.wall for name, timing in timings.items()}


def _table(adapted: AdaptedModel, drawings: SketchSet, rounds: int, found: dict[int, dict[str, float]]) -> Table:
    rows = []
    for threads, seconds in found.items():
        for ours, theirs, count in (
            ("`embed_sketches`", "by hand", len(drawings)),
            ("`embed_sketches`, a drawing a call", "by hand, a drawing a call", min(16, len(drawings))),
        ):
            ratio = seconds[ours] / seconds[theirs]
            met = f"at most {TARGET:g}: {'met' if ratio <= TARGET else 'NOT met'}" if ours == "`embed_sketches`" else ""
            ms = [f"{seconds[name] / count * 1e3:.2f}" for name in (ours, theirs)]
            rows.append([ours, str(threads), *ms, f"{ratio:.3f}", met])
    shares = np.bincount(adapted.canvas_selector.select(drawings), minlength=len(adapted.canvases))
    mix = ", ".join(f"{count} at {canvas.size} px" for canvas, count in zip(adapted.canvases, shares, strict=True))
    note = (
        f"{len(drawings)} drawings: {mix}. MobileNetV2, inference mode, best of {rounds}; processor time on one "
        "thread, else time on the clock."
    )
    header = ["", "threads", "ms a drawing", "by hand", "ratio", "target"]
    return Table("`embed_sketches` over the same passes by hand", header, rows, note)


if __name__ == "__main__":
    main()
