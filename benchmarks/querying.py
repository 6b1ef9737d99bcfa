"""A query end to end on the clock: VGG-16, V1 at 256 px, V1 on its largest canvas, and V2 by the policy of the table.

python benchmarks/querying.py [ROUNDS]   needs real drawings: SKETCHKIT_DATA with chairv2/ in it
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import sketchkit
from sketchkit import Canvas, SketchSet, adapt
from sketchkit.adapters import AdaptedModel, OnnxModel, fold_batch_norm
from sketchkit.recipes.config import load_config
from sketchkit.recipes.gallery import Gallery
from sketchkit.recipes.protocol.evaluating import pass_flops

from contest import Table, contest, markdown

RESULTS = Path(__file__).parents[1] / "docs" / "results" / "chairv2" / "table.json"
_QUERIES, _PHOTOS = 50, 100


def tables(rounds: int) -> list[Table]:
    """Every model in torch and in ONNX Runtime, one thread."""
    torch.set_num_threads(1)
    drawings = sketchkit.read(Path(os.environ.get("SKETCHKIT_DATA", "../shared/data")) / "chairv2")
    random = np.random.default_rng(0)
    rows = [int(row) for row in random.choice(len(drawings), _QUERIES, replace=False)]
    queries = [drawings[row : row + 1] for row in rows]
    config = load_config("chairv2").student
    canvases = [Canvas(side, rectangular=side >= (config.rectangular_from or 0)) for side in config.canvases]
    torch.manual_seed(0)
    student = adapt("mobilenet_v2", pretrained=False, canvases=(*canvases, 256), pool_size=config.pool_size).eval()
    teacher = adapt("vgg16", pretrained=False, canvases=(256,), pool_size=2).eval()
    shares = _shares()
    steps = {
        "V1 at 256 px": [(256,)] * _QUERIES,
        f"V1 at {config.canvases[-1]} px": [(config.canvases[-1],)] * _QUERIES,
        "V2": _walks(shares, random),
    }
    with tempfile.TemporaryDirectory() as folder:
        student.export(Path(folder, "student"))
        teacher.export(Path(folder, "teacher"))
        runtimes: dict[str, tuple[Any, Any]] = {
            "torch": (teacher, fold_batch_norm(student)),
            "ONNX Runtime": (
                OnnxModel(Path(folder, "teacher"), threads=1),
                OnnxModel(Path(folder, "student"), threads=1),
            ),
        }
        contestants: dict[str, Callable[[], None]] = {}
        for runtime, (full, efficient) in runtimes.items():
            contestants[f"VGG-16, {runtime}"] = _asked(full, queries, [(256,)] * _QUERIES)
            for name, walks in steps.items():
                contestants[f"{name}, {runtime}"] = _asked(efficient, queries, walks)
        times = contest(contestants, max(rounds // 3, 1))
    flops = {"VGG-16": teacher.cost().per_canvas[256].flops} | _flops(student, SketchSet.concat(queries), steps)
    cells = []
    for name, timing in times.items():
        model, _, runtime = name.partition(", ")
        cells.append([model, runtime, f"{flops[model] / 1e9:.3f}", f"{timing.wall * 1e3 / _QUERIES:.2f}"])
        for other in ("V1 at 256 px", "VGG-16"):
            cells[-1].append(f"{times[f'{other}, {runtime}'].wall / timing.wall:.2f}")
    mix = ", ".join(f"{share:.1%} at {size} px" for size, share in shares.items())
    return [
        Table(
            "A query end to end: rasterize, embed, search a gallery",
            ["model", "runtime", "GFLOPs", "ms a query", "times as fast as V1 at 256 px", "times as fast as VGG-16"],
            cells,
            f"Batch 1, one thread, {_QUERIES} ChairV2 drawings, {_PHOTOS} photos, random weights, batch norm folded in "
            f"torch. V2 is the cascade of the table of ChairV2 ({mix}; all passes and searches are run): which "
            f"queries go on is drawn by lot, as random weights have no margins of use.",
        )
    ]


def _shares() -> dict[int, float]:
    """Canvas -> share of the queries that end there, as in the table's V2."""
    rows = json.loads(RESULTS.read_text())["splits"]["fold"]["rows"]
    found = next(row["shares"] for row in rows if row["row"] == "v2")
    return {int(size): share for size, share in sorted(found.items(), key=lambda item: int(item[0])) if share}


def _walks(shares: dict[int, float], random: np.random.Generator) -> list[tuple[int, ...]]:
    """The canvases that each query is looked at on, one after the other."""
    sizes = list(shares)
    counts = np.diff(np.round(np.cumsum([0.0, *shares.values()]) * _QUERIES).astype(int))
    walks = [tuple(sizes[: step + 1]) for step, count in enumerate(counts) for _ in range(count)]
    return [walks[place] for place in random.permutation(len(walks))]


def _asked(model: Any, queries: Sequence[SketchSet], walks: Sequence[tuple[int, ...]]) -> Callable[[], None]:
    """All queries one by one, each embedded and searched for on every canvas of its walk."""
    photos = torch.nn.functional.normalize(torch.randn(_PHOTOS, _dim(model, queries[0], walks[0][0])), dim=1)
    gallery = Gallery(photos, [str(photo) for photo in range(_PHOTOS)])

    @torch.inference_mode()
    def run() -> None:
        for query, walk in zip(queries, walks, strict=True):
            for size in walk:
                gallery.search(torch.as_tensor(model.embed_sketches(query, canvas=size)))

    return run


@torch.inference_mode()
def _dim(model: Any, query: SketchSet, size: int) -> int:
    return int(model.embed_sketches(query, canvas=size).shape[1])


def _flops(model: AdaptedModel, queries: SketchSet, steps: dict[str, list[tuple[int, ...]]]) -> dict[str, float]:
    """Mean FLOPs of the passes of a query; those on a rectangle are of the one that each drawing gets."""
    passes = pass_flops(model, queries)
    return {
        name: float(np.mean([sum(passes[size][row] for size in walk) for row, walk in enumerate(walks)]))
        for name, walks in steps.items()
    }


def main() -> None:
    """Print the table."""
    for table in tables(int(sys.argv[1]) if len(sys.argv) > 1 else 15):
        print(markdown(table))


if __name__ == "__main__":
    main()
