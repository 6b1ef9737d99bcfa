"""The measurements of a recognition run: accuracy, FLOPs and latency of each model on each canvas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
import torch
from numpy.typing import NDArray

from sketchkit import atomic
from sketchkit.adapters.cost import cost
from sketchkit.adapters.query_cost import AdaptedCost
from sketchkit.canvas import Canvas
from sketchkit.recipes.embedding import embed_on_canvases
from sketchkit.recipes.evaluation import accuracy, rankings, ranks
from sketchkit.recipes.measurement import environment
from sketchkit.recipes.measuring import measure_selection, of_chosen, time_queries
from sketchkit.recipes.policy import Selection
from sketchkit.recipes.recognition.drawings import LabeledDrawings
from sketchkit.recipes.recognition.recognizer import Recognizer
from sketchkit.recipes.tables import model_table

if TYPE_CHECKING:
    from sketchkit.recipes.recognition.recipe import RecognitionRun

__all__ = ["accuracy_interval", "format_recognition_table", "measure_recognition", "write_answers"]

_TOPS = (1, 5)
_NAMED = 10  # categories that a line of the predictions holds
_TITLES = {"teacher": "Teacher", "direct": "Direct student", "v1": "SketchyNetV1", "v2": "SketchyNetV2"}

Answers = Mapping[str, Sequence[Mapping[str, Any]]]


@dataclass(frozen=True, eq=False)
class _Evaluated:
    """One model; canvas size -> logits and ranks of the test drawings, accuracy on validation, FLOPs of a query."""

    logits: dict[int, torch.Tensor]
    ranks: dict[int, NDArray[np.int64]]
    validation: dict[int, float]
    flops: dict[int, float]


def measure_recognition(
    this: RecognitionRun, models: Mapping[str, Recognizer], selection: Selection
) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]:
    """Everything the table and another program's scoring need.

    Args:
        this: the run.
        models: `teacher`, `direct`, `v1` and `v2`.
        selection: V2 and the selectors of the dial.

    Returns:
        The results (`results.json`) and the answers (`predictions.ndjson`).
    """
    test = this.data.test
    canvases = {"teacher": (this.teacher_canvas,), "direct": this.canvases, "v1": this.canvases}
    evaluated = {name: _evaluate(this, name, models[name], canvases[name]) for name in canvases}
    chosen = selection.v2.select(test.sketches)
    spent = selection.v2.cost(test.sketches)
    v1 = evaluated["v1"]
    v2_logits = of_chosen(v1.logits, chosen)
    rows = [
        _row(this, name, models[name], evaluated[name], canvas) for name in canvases for canvas in canvases[name]
    ] + [_selected_row(this, models["v2"], v2_logits, spent)]
    results = {
        "title": "Sketch recognition",
        "note": this.config.note,
        "created": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
        "data": {
            "root": this.config.data.root,
            "split": this.data.description,
            "categories": list(this.data.categories),
            **{name: len(getattr(this.data, name)) for name in ("train", "validation", "test")},
        },
        "environment": environment(),
        "config": asdict(this.config),
        "rows": rows,
        "canvas_flops": {str(size): flops for size, flops in v1.flops.items()},
        "selection": measure_selection(selection, test.sketches, chosen, v1.ranks, v1.flops, spent.selector)
        | {"validation_acc@1": selection.training_accuracy},
    }
    answers = {
        f"{name}@{size}": _answers(this, logits, [size] * len(test))
        for name, model in evaluated.items()
        for size, logits in model.logits.items()
    }
    answers["v2"] = _answers(this, v2_logits, chosen.tolist())
    return results, answers


def accuracy_interval(right: float, drawings: int, *, draws: int = 2000, seed: int = 0) -> tuple[float, float]:
    """95 % interval of an accuracy, by drawing drawings with replacement.

    Each drawing is somebody else's, so they are drawn one by one; the mean of what is drawn then has a binomial
    distribution, which is drawn from at once.

    Args:
        right: the accuracy found.
        drawings: over how many.
        draws: bootstrap samples.
        seed: of the draws.

    Example:
        >>> accuracy_interval(1.0, 50)
        (1.0, 1.0)
        >>> low, high = accuracy_interval(0.5, 400)
        >>> 0.44 < low < 0.46 and 0.54 < high < 0.56
        True
    """
    drawn = np.random.default_rng(seed).binomial(drawings, right, draws) / drawings
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)


def format_recognition_table(results: Mapping[str, Any]) -> str:
    """The models of a run side by side, a line a canvas, in columns for a terminal; accuracies are per cent.

    Args:
        results: as in `results.json`; only `rows` is read.

    Returns:
        Lines joined by newlines, a heading first, without a newline at the end.
    """
    lines = []
    for row in results["rows"]:
        low, high = row["acc@1_interval"]
        interval = f"{100 * low:.1f} to {100 * high:.1f}"
        lines.append([f"{100 * row['acc@1']:.1f}", interval, f"{100 * row['acc@5']:.1f}"])
    return model_table(results, ["acc@1", "95 % interval", "acc@5"], lines)


def write_answers(path: Path, answers: Answers) -> None:
    """Write what each model answered, a JSON object a line, atomically.

    A line has `row` (model and canvas), `sketch` (its key), `canvas`, `category` (the right one) and `ranking`, the ten
    most likely categories or all, best first. Where logits are equal the right category stands last among them.

    Args:
        path: of the file; `predictions.ndjson` in a run's folder.
        answers: row -> its lines.

    Raises:
        OutputError: the file cannot be written.
    """
    lines = [
        orjson.dumps({"row": row, **answer}, option=orjson.OPT_APPEND_NEWLINE)
        for row, given in answers.items()
        for answer in given
    ]
    atomic.write_bytes(path, b"".join(lines))


def _evaluate(this: RecognitionRun, name: str, model: Recognizer, canvases: Sequence[Canvas]) -> _Evaluated:
    with this.precision(name):
        logits = _logits(model, this.data.test, canvases, f"{name}: test")
        validation = _logits(model, this.data.validation, canvases, f"{name}: validation")
    own = cost(model.head.linear, torch.zeros(1, model.adapted.embedding_dim)).flops
    return _Evaluated(
        logits,
        {size: _ranks(each, this.data.test) for size, each in logits.items()},
        {size: accuracy(_ranks(each, this.data.validation), 1) for size, each in validation.items()},
        {size: float(each.flops + own) for size, each in model.adapted.cost().per_canvas.items()},
    )


@torch.no_grad()
def _logits(
    model: Recognizer, drawings: LabeledDrawings, canvases: Sequence[Canvas], name: str
) -> dict[int, torch.Tensor]:
    embeddings = embed_on_canvases(model.adapted, drawings.sketches, canvases, name=name)
    return {size: model.head(embedded) for size, embedded in embeddings.items()}


def _ranks(logits: torch.Tensor, drawings: LabeledDrawings) -> NDArray[np.int64]:
    # A category's logit is the product with its unit vector: ties and NaN count as they do among photos.
    return ranks(logits, torch.eye(logits.shape[1]), drawings.labels)


def _row(this: RecognitionRun, name: str, model: Recognizer, evaluated: _Evaluated, canvas: Canvas) -> dict[str, Any]:
    config = this.config.teacher if name == "teacher" else this.config.student
    return {
        "model": name,
        "title": _TITLES[name],
        "network": config.network,
        "canvas": str(canvas.size),
        "params": _parameters(model) - _parameters(model.adapted.canvas_selector),
        "flops": evaluated.flops[canvas.size],
        **_accuracies(evaluated.ranks[canvas.size]),
        "validation_acc@1": evaluated.validation[canvas.size],
        "ms": _milliseconds(this, model, canvas, name),
    }


def _selected_row(this: RecognitionRun, model: Recognizer, logits: torch.Tensor, spent: AdaptedCost) -> dict[str, Any]:
    assert spent.mean_flops is not None
    return {
        "model": "v2",
        "title": _TITLES["v2"],
        "network": this.config.student.network,
        "canvas": "selected",
        "params": _parameters(model),
        "flops": spent.mean_flops + cost(model.head.linear, torch.zeros(1, model.adapted.embedding_dim)).flops,
        **_accuracies(_ranks(logits, this.data.test)),
        "validation_acc@1": None,  # its rewards come from there
        "ms": _milliseconds(this, model, None, "v2"),
    }


def _parameters(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _accuracies(found: NDArray[np.int64]) -> dict[str, Any]:
    measured: dict[str, Any] = {}
    for top in _TOPS:
        measured[f"acc@{top}"] = accuracy(found, top)
        measured[f"acc@{top}_interval"] = list(accuracy_interval(accuracy(found, top), len(found)))
    return measured


def _milliseconds(this: RecognitionRun, model: Recognizer, canvas: Canvas | None, name: str) -> dict[str, float]:
    """Select (V2), rasterize, embed, compare."""
    title = f"{name}: timing" + ("" if canvas is None else f", {canvas.size} px")
    with this.precision(name):
        query = partial(model.recognize, canvas=canvas)
        return time_queries(query, this.data.test.sketches, this.config.timed_queries, name=title)


def _answers(this: RecognitionRun, logits: torch.Tensor, canvases: Sequence[int]) -> list[dict[str, Any]]:
    test, names = this.data.test, this.data.categories
    order = rankings(logits, torch.eye(len(names)), test.labels)[:, :_NAMED]
    keys = test.sketches.columns["key"].tolist()
    return [
        {
            "sketch": key,
            "canvas": canvas,
            "category": names[label],
            "ranking": [names[index] for index in line],
        }
        for key, canvas, label, line in zip(keys, canvases, test.labels.tolist(), order.tolist(), strict=True)
    ]
