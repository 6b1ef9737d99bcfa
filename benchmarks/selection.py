"""What choosing a canvas costs beside the student's pass, and what V2 gains over V1 on the clock; one thread.

python benchmarks/selection.py [ROUNDS]   needs real drawings: SKETCHKIT_DATA with chairv2/ in it
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import sketchkit
from sketchkit import SketchSet, adapt
from sketchkit.adapters import AdaptedModel, CanvasSelector, OnnxModel, fold_batch_norm, mobilenet_v2
from sketchkit.adapters.pen_rows import ragged_pen_rows

from contest import Table, contest, markdown

SHARES = {32: 0.30, 64: 0.25, 128: 0.24, 256: 0.21}
"""How many of the queries go to each canvas: with the selector 0.249 G on average, below the paper's 0.254 G."""
_QUERIES = 100


class Forced(CanvasSelector):
    """Does all the work of a selector, then answers what it was told: an untrained one would take one canvas."""

    answers: list[int]

    def select(self, sketches):  # type: ignore[no-untyped-def]  # as its parent
        """The next answer, after a real selection."""
        chosen = super().select(sketches)
        chosen[:] = self.answers.pop()
        return chosen


class ForcedOnnx(OnnxModel):
    """The same in ONNX Runtime."""

    answers: list[int]

    def _choose(self, block: SketchSet) -> np.ndarray:
        chosen = super()._choose(block)
        chosen[:] = self.answers.pop()
        return chosen


def tables(rounds: int) -> list[Table]:
    """Selection beside the student's pass, and V2 beside V1."""
    torch.set_num_threads(1)
    drawings = sketchkit.read(Path(os.environ.get("SKETCHKIT_DATA", "../shared/data")) / "chairv2")
    torch.manual_seed(0)
    model = adapt(mobilenet_v2()).eval()
    with tempfile.TemporaryDirectory() as folder:
        model.export(folder)
        exported = ForcedOnnx(folder, threads=1)
        end_to_end = _end_to_end(model, exported, drawings, max(rounds // 3, 1))
        return [_selection(model, exported, drawings, rounds), end_to_end]


def _median(drawings: SketchSet) -> SketchSet:
    points = np.diff(drawings.stroke_offsets[drawings.sketch_offsets])
    middle = int(np.argsort(points, kind="stable")[len(points) // 2])
    return drawings[middle : middle + 1]


@torch.inference_mode()
def _selection(model: AdaptedModel, exported: OnnxModel, drawings: SketchSet, rounds: int) -> Table:
    selector, drawing = CanvasSelector(4), _median(drawings)
    selector.load_state_dict(model.canvas_selector.state_dict())
    sequences, lengths = selector.encode(drawing)
    rows = ragged_pen_rows(drawing, selector.points)
    image = torch.rand(1, 3, 256, 256).contiguous(memory_format=torch.channels_last)
    pixels, feeds = {"images": image.numpy()}, {"rows": sequences.numpy(), "lengths": lengths.numpy()}
    times = contest(
        {
            "student at 256, torch": lambda: model.backbone(image),
            "encode (Douglas-Peucker included), padded": lambda: selector.encode(drawing),
            "GRU by torch, packed": lambda: selector(sequences, lengths),
            "GRU by our kernel": lambda: selector._logits_by_kernel(*rows),
            "select (encode and kernel)": lambda: selector.select(drawing),
            "student at 256, ONNX Runtime": lambda: exported._student.run(None, pixels),
            "GRU by ONNX Runtime": lambda: exported._selector.run(None, feeds),
            "select by ONNX Runtime (encode and GRU)": lambda: exported.logits(drawing),
        },
        rounds,
    )
    cells = []
    for name, timing in times.items():
        whole = times[f"student at 256, {'ONNX Runtime' if 'ONNX' in name else 'torch'}"]
        share = timing.wall / whole.wall
        cells.append([name, f"{timing.wall * 1e3:.3f}", f"{share:.1%}"])
    return Table(
        "Selecting a canvas beside MobileNetV2 at 256 px, the median ChairV2 drawing",
        ["what", "ms", "of the student"],
        cells,
        f"Batch 1, one thread, {int(lengths[0])} steps, random weights. Each row against the student in its runtime.",
    )


def _end_to_end(model: AdaptedModel, exported: ForcedOnnx, drawings: SketchSet, rounds: int) -> Table:
    random = np.random.default_rng(0)
    queries = [drawings[int(i) : int(i) + 1] for i in random.choice(len(drawings), _QUERIES, replace=False)]
    counts = [round(share * _QUERIES) for share in SHARES.values()]
    answers = random.permutation(np.repeat(np.arange(len(counts)), counts)).tolist()
    cost = model.cost()
    passes = {size: each.flops for size, each in cost.per_canvas.items()}
    flops = {
        "V1": passes[256],
        "V2": cost.selector.flops + sum(share * passes[size] for size, share in SHARES.items()),
    }
    folded = fold_batch_norm(model)
    models = {"torch": model, "torch, batch norm folded": folded, "ONNX Runtime": exported}
    contestants: dict[str, Callable[[], Any]] = {}
    for name, each in models.items():
        contestants[f"V1, {name}"] = _queries(each, None, queries, answers)
        policy = _forced(each) if isinstance(each, AdaptedModel) else each
        contestants[f"V2, {name}"] = _queries(each, policy, queries, answers)
    times = contest(contestants, rounds)
    cells = []
    for name, timing in times.items():
        whole = times[f"V1{name[2:]}"].wall
        mean = flops[name[:2]] / 1e9
        cells.append([name, f"{mean:.3f}", f"{timing.wall * 1e3 / _QUERIES:.2f}", f"{whole / timing.wall:.2f}"])
    mix = ", ".join(f"{share:.0%} at {size}" for size, share in SHARES.items())
    return Table(
        "A query end to end: select, rasterize, embed",
        ["what", "GFLOPs, selector included", "ms a query", "times as fast as V1 in its runtime"],
        cells,
        f"Batch 1, one thread, {_QUERIES} ChairV2 drawings; V1 draws every one at 256 px. V2's mix is set by hand "
        f"({mix}): the selector computes as it always does, then its answer is replaced.",
    )


def _forced(model: AdaptedModel) -> Forced:
    forced = Forced(len(SHARES))
    forced.load_state_dict(model.canvas_selector.state_dict())
    model.canvas_selector = forced
    return forced


def _queries(
    model: Any, policy: Forced | ForcedOnnx | None, queries: list[SketchSet], answers: list[int]
) -> Callable[[], None]:
    """One pass over the queries, one by one: with a policy V2, without one V1."""

    @torch.inference_mode()
    def run() -> None:
        if policy is not None:
            policy.answers = list(answers)
        for query in queries:
            model.embed_sketches(query, canvas=None if policy is not None else 256)

    return run


def main() -> None:
    """Print the tables."""
    for table in tables(int(sys.argv[1]) if len(sys.argv) > 1 else 15):
        print(markdown(table))


if __name__ == "__main__":
    main()
