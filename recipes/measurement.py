"""The measurements of a run: accuracy, FLOPs and latency of each model, and what the paper's story needs."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from sketchkit.adapters.adapted_model import AdaptedModel
from sketchkit.canvas import Canvas
from sketchkit.measures import measure
from sketchkit.recipes.datasets import DATASETS
from sketchkit.recipes.embedding import embed_on_canvases
from sketchkit.recipes.evaluation import accuracy, bootstrap_interval, rankings, ranks
from sketchkit.recipes.examples import retrieved_examples
from sketchkit.recipes.gallery import Gallery
from sketchkit.recipes.measuring import measure_selection, time_queries
from sketchkit.recipes.photo_lines import embed_gallery
from sketchkit.recipes.policy import Selection
from sketchkit.recipes.predictions import Answer, answers_from_order
from sketchkit.recipes.query_bank import QueryBank
from sketchkit.sketch import Sketch
from sketchkit.transforms import truncate

if TYPE_CHECKING:
    from sketchkit.recipes.fgsbir import FgsbirRun
    from sketchkit.recipes.pairs import PairedSet

__all__ = ["embedding_parameters", "environment", "measure_run"]

_TOPS = (1, 5, 10)
_INK_SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
# What the report sets beside the chosen canvas: measures that say different things.
_ABSTRACTION = ("abstraction", "strokes", "corners", "ink", "stroke_length", "turning", "coverage", "overlap")


@dataclass(frozen=True, eq=False)
class _Evaluated:
    """One model over the test pairs; canvas size -> gallery, sketches, discounts, ranks, and FLOPs of a pass."""

    bank: QueryBank
    gallery: dict[int, torch.Tensor]
    sketches: dict[int, torch.Tensor]
    discounts: dict[int, torch.Tensor]
    ranks: dict[int, NDArray[np.int64]]
    flops: dict[int, float]


def measure_run(
    this: FgsbirRun,
    models: Mapping[str, AdaptedModel],
    selection: Selection,
) -> tuple[dict[str, Any], dict[str, list[Answer]], QueryBank]:
    """Everything the table, the report, another program's scoring and a later search need.

    Args:
        this: the run.
        models: `teacher`, `direct` and `v1`.
        selection: V2 and the selectors of the dial.

    Returns:
        The results (`results.json`), the predictions (`predictions.ndjson`), and the drawings that tell hubs to V2.
    """
    test = this.pairs.test
    largest, owners = this.canvases[-1], test.photo_of_sketch
    canvases = {"teacher": (this.teacher_canvas,), "direct": this.canvases, "v1": this.canvases}
    evaluated = {name: _evaluate(this, name, models[name], canvases[name]) for name in canvases}
    chosen = selection.v2.select(test.sketches)
    selector = selection.v2.cost(test.sketches).selector
    v1 = evaluated["v1"]
    orders = {name: _orders(each, owners) for name, each in evaluated.items()}
    v2_ranks = np.array([v1.ranks[int(size)][row] for row, size in enumerate(chosen)])
    v2_order = np.array([orders["v1"][int(size)][row] for row, size in enumerate(chosen)])
    rows = [
        _row(this, "teacher", models["teacher"], evaluated["teacher"], this.teacher_canvas),
        _row(this, "direct", models["direct"], evaluated["direct"], largest),
        _row(this, "v1", models["v1"], v1, largest),
        _selected_row(this, selection.v2, v1, v2_ranks),
    ]
    results = {
        "title": "Fine-grained sketch-based image retrieval",
        "note": this.config.note,
        "created": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
        "data": _data(this),
        "environment": environment(),
        "config": asdict(this.config),
        "rows": rows,
        "canvases": [canvas.size for canvas in this.canvases],
        "canvas_flops": {str(size): flops for size, flops in v1.flops.items()},
        "per_canvas": {
            name: {
                str(size): {f"acc@{top}": accuracy(found, top) for top in _TOPS}
                | {"acc@1, cosine": _undiscounted(evaluated[name], size, owners)}
                for size, found in evaluated[name].ranks.items()
            }
            for name in ("direct", "v1")
        },
        "selection": measure_selection(selection, test.sketches, chosen, v1.ranks, v1.flops, selector)
        | {"training_acc@1": selection.training_accuracy},
        "abstraction": {name: values.tolist() for name, values in measure(test.sketches, _ABSTRACTION).items()}
        | {"chosen": chosen.tolist()},
        "ink_curve": _ink_curve(this, models["v1"], v1),
        "examples": retrieved_examples(test, chosen, v2_order, v2_ranks, this.config.evaluation.examples),
    }
    predictions = {
        f"{name}@{size}": _answers(test, order, size) for name, each in orders.items() for size, order in each.items()
    }
    predictions["v2"] = _answers(test, v2_order, chosen.tolist())
    return results, predictions, v1.bank


def _orders(evaluated: _Evaluated, owners: NDArray[np.int64]) -> dict[int, NDArray[np.int64]]:
    """Canvas size -> the gallery in the order in which it answers each sketch, (sketches, photos)."""
    return {
        size: rankings(embedded, evaluated.gallery[size], owners, evaluated.discounts[size])
        for size, embedded in evaluated.sketches.items()
    }


def _undiscounted(evaluated: _Evaluated, size: int, owners: NDArray[np.int64]) -> float:
    return accuracy(ranks(evaluated.sketches[size], evaluated.gallery[size], owners), 1)


def _answers(test: PairedSet, order: NDArray[np.int64], canvases: int | Sequence[int]) -> list[Answer]:
    return answers_from_order(list(test.sketches.columns["key"]), test.photo_keys, order, canvases)


def _evaluate(this: FgsbirRun, name: str, model: AdaptedModel, canvases: Sequence[Canvas]) -> _Evaluated:
    train, test = this.pairs.train, this.pairs.test
    neighbors = this.config.evaluation.hub_neighbors
    with this.precision(name):
        weight = this.config.photo_lines(name)
        gallery = embed_gallery(model, test.photo_paths, canvases, weight=weight, name=f"{name}: test photos")
        sketches = embed_on_canvases(model, test.sketches, canvases, name=f"{name}: test sketches")
        known = f"{name}: training sketches"
        bank = QueryBank.of(model, train.sketches, canvases, neighbors=neighbors, photo_lines=weight, name=known)
    discounts = bank.discounts(gallery)
    found = {
        size: ranks(embedded, gallery[size], test.photo_of_sketch, discounts[size])
        for size, embedded in sketches.items()
    }
    flops = {size: float(each.flops) for size, each in model.cost().per_canvas.items()}
    return _Evaluated(bank, gallery, sketches, discounts, found, flops)


def _row(this: FgsbirRun, name: str, model: AdaptedModel, evaluated: _Evaluated, canvas: Canvas) -> dict[str, Any]:
    several = len(evaluated.ranks) > 1
    config = this.config.teacher if name == "teacher" else this.config.student
    return {
        "model": name,
        "title": {"teacher": "Teacher", "direct": "Direct student", "v1": "SketchyNetV1"}[name],
        "network": config.network,
        "canvas": str(canvas.size),
        "params": sum(parameter.numel() for parameter in embedding_parameters(model)),
        "flops": evaluated.flops[canvas.size],
        **_accuracies(this, evaluated.ranks[canvas.size]),
        "mean_acc@1": float(np.mean([accuracy(found, 1) for found in evaluated.ranks.values()])) if several else None,
        "ms": _milliseconds(this, model, evaluated, canvas, name),
    }


def _selected_row(
    this: FgsbirRun, model: AdaptedModel, evaluated: _Evaluated, found: NDArray[np.int64]
) -> dict[str, Any]:
    selector_parameters = sum(parameter.numel() for parameter in model.canvas_selector.parameters())
    return {
        "model": "v2",
        "title": "SketchyNetV2",
        "network": this.config.student.network,
        "canvas": "selected",
        "params": sum(parameter.numel() for parameter in embedding_parameters(model)) + selector_parameters,
        "flops": model.cost(this.pairs.test.sketches).mean_flops,
        **_accuracies(this, found),
        "mean_acc@1": None,
        "ms": _milliseconds(this, model, evaluated, None, "v2"),
    }


def embedding_parameters(model: AdaptedModel) -> list[torch.nn.Parameter]:
    """What `model` embeds a query with: its backbone, and its projection if it has one; the selector apart."""
    heads = [] if model.projection is None else list(model.projection.parameters())
    return [*model.backbone.parameters(), *heads]


def _accuracies(this: FgsbirRun, found: NDArray[np.int64]) -> dict[str, Any]:
    interval = bootstrap_interval(found, this.pairs.test.photo_of_sketch)
    return {f"acc@{top}": accuracy(found, top) for top in _TOPS} | {"acc@1_interval": list(interval)}


def _milliseconds(
    this: FgsbirRun, model: AdaptedModel, evaluated: _Evaluated, canvas: Canvas | None, name: str
) -> dict[str, float]:
    """Select (V2), rasterize, embed, search."""
    gallery = Gallery(evaluated.gallery, this.pairs.test.photo_keys, evaluated.discounts)

    @torch.no_grad()
    def query(sketch: Sketch) -> None:
        size = int(model.select(sketch)[0]) if canvas is None else canvas.side
        gallery.search(model.embed_sketches(sketch, canvas=size), canvases=[size])

    with this.precision(name):
        count = this.config.evaluation.timed_queries
        return time_queries(query, this.pairs.test.sketches, count, name=f"{name}: timing")


def _ink_curve(this: FgsbirRun, v1: AdaptedModel, whole: _Evaluated) -> dict[str, Any]:
    """Retrieval from the first part of each drawing, at 128 px or the next canvas there is, where a pass is cheap."""
    test = this.pairs.test
    canvas = next((canvas for canvas in this.canvases if canvas.size >= 128), this.canvases[-1])
    curve: dict[str, list[float]] = {**{f"acc@{top}": [] for top in _TOPS}, "mean_rank": []}
    for share in _INK_SHARES:
        part = truncate(test.sketches, share)
        embedded = embed_on_canvases(v1, part, [canvas], name=f"v1: first {share:.0%} of the ink")[canvas.size]
        found = ranks(embedded, whole.gallery[canvas.size], test.photo_of_sketch, whole.discounts[canvas.size])
        for top in _TOPS:
            curve[f"acc@{top}"].append(accuracy(found, top))
        curve["mean_rank"].append(float(found.mean()))
    return {"share": list(_INK_SHARES), "canvas": canvas.size, "v1": curve}


def _data(this: FgsbirRun) -> dict[str, Any]:
    source = DATASETS[this.config.data.name]
    return {
        "name": this.pairs.train.name,
        "split": this.pairs.description,
        "license": source.license,
        "citation": source.citation,
        "note": " ".join(filter(None, (source.note, this.pairs.test.note))),
        "train_photos": len(this.pairs.train.photo_paths),
        "train_sketches": len(this.pairs.train.sketches),
        "test_photos": len(this.pairs.test.photo_paths),
        "test_sketches": len(this.pairs.test.sketches),
    }


def environment() -> dict[str, str]:
    """Versions and machine, for results to say where they come from."""
    return {name: version(name) for name in ("sketchkit", "torch", "numpy", "numba", "faiss-cpu")} | {
        "python": platform.python_version(),
        "machine": f"{_processor()}, {torch.get_num_threads()} threads",
    }


def _processor() -> str:
    """The processor's name; Python's own answer is empty on most Linux systems."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        named = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        if named:
            return named[0]
    return platform.processor() or platform.machine()
