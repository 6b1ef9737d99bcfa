"""What is found of a trained cell: ranks on every canvas, costs, and what canvas policies are fitted on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sketchkit.adapters.adapted_model import AdaptedModel
from sketchkit.adapters.cost import cost
from sketchkit.recipes.embedding import embed_on_canvases
from sketchkit.recipes.evaluation import accuracy, ranks
from sketchkit.recipes.fgsbir import FgsbirRun
from sketchkit.recipes.frame import Trained
from sketchkit.recipes.measurement import embedding_parameters, environment
from sketchkit.recipes.pairs import PairedSet
from sketchkit.recipes.photo_lines import embed_gallery
from sketchkit.recipes.policies.outcomes import Outcomes
from sketchkit.recipes.protocol.cells import Cell
from sketchkit.recipes.query_bank import QueryBank
from sketchkit.recipes.rank_table import RankTable, concat_ranks
from sketchkit.sketch_set import SketchSet

__all__ = ["PLAIN", "TOPS", "Found", "acc_per_canvas", "evaluate", "pass_flops"]

Embeddings = Mapping[int, torch.Tensor]

TOPS = (1, 5, 10)
"""The accuracies of a table."""

PLAIN = ", cosine"
"""Behind the name of a row: photos ranked by their cosine similarity alone, hubs not discounted."""

_PASSES: dict[tuple[str, int, int], int] = {}

_WATCHED = "acc@1/"  # and the canvas: in the history of a training


class Found(NamedTuple):
    """What `evaluate` finds.

    Args:
        record: accuracies and FLOPs per canvas, time, versions.
        ranks: of every sketch on every canvas.
        outcomes: None for a network of one canvas.
    """

    record: dict[str, Any]
    ranks: RankTable
    outcomes: Outcomes | None


def evaluate(cell: Cell, this: FgsbirRun, trained: Trained[AdaptedModel]) -> Found:
    """Retrieve the held-out photos from their sketches, on each canvas.

    Args:
        cell: which.
        this: its run.
        trained: its network, after the last epoch.
    """
    model, test, place = trained.model, this.pairs.test, cell.place
    with this.precision(cell.kind):
        gallery, sketches = _embedded(model, test, cell.config.photo_lines(cell.kind), f"{cell}: ")
        neighbors, known = cell.config.evaluation.hub_neighbors, this.pairs.train.sketches
        bank = QueryBank.of(model, known, model.canvases, neighbors=neighbors, name=f"{cell}: training sketches")
    discounts = bank.discounts(gallery)
    found = _ranks(test, gallery, sketches, discounts)
    plain = _ranks(test, gallery, sketches, None)
    flops = pass_flops(model, test.sketches)
    epochs = len(trained.history)
    keys = [str(key) for key in test.sketches.columns["key"]]
    owners = [test.photo_keys[photo] for photo in test.photo_of_sketch]
    where = {"split": place.split, "fold": place.fold, "seed": place.seed, "epoch": epochs}
    tables = [
        RankTable.of_run(f"{name}@{size}", keys, owners, each, canvas=size, **where)  # type: ignore[arg-type]  # a mapping of str and int
        for name, kind in ((cell.row, found), (f"{cell.row}{PLAIN}", plain))
        for size, each in kind.items()
    ]
    config = this.config.teacher if cell.kind == "teacher" else this.config.student
    record = {
        "row": cell.row,
        "kind": cell.kind,
        **where,
        "network": config.network,
        "params": sum(parameter.numel() for parameter in embedding_parameters(model)),
        "canvases": {
            str(size): {"flops": float(flops[size].mean())}
            | {f"acc@{top}": accuracy(each, top) for top in TOPS}
            | {f"acc@{top}{PLAIN}": accuracy(plain[size], top) for top in TOPS}
            for size, each in found.items()
        },
        "each_epoch": _each_epoch(trained.history),
        "train_photos": len(this.pairs.train.photo_paths),
        "train_sketches": len(this.pairs.train.sketches),
        "test_photos": len(test.photo_paths),
        "test_sketches": len(test.sketches),
        "description": this.pairs.description,
        "seconds": trained.seconds,
        "environment": environment() | {"device": str(this.fabric.device)},
    }
    outcomes = None
    if len(sketches) > 1:
        outcomes = Outcomes.of(
            test.sketches,
            test.photo_of_sketch,
            sketches,
            gallery,
            np.stack([flops[size] for size in sketches], axis=1),
            discounts=discounts,
            margin=this.config.student.training.margin,
            fold=place.fold,
            seed=place.seed,
        )
    return Found(record, concat_ranks(tables), outcomes)


def acc_per_canvas(model: AdaptedModel, test: PairedSet, photo_lines: float = 0.0) -> dict[str, float]:
    """acc@1 on each canvas by similarity alone, named for the history of a training.

    A training may be evaluated with or without discounts later; what is watched is the same for both.

    Args:
        model: under training.
        test: the pairs that are evaluated.
        photo_lines: of the network's training; see `with_lines`.
    """
    found = _ranks(test, *_embedded(model, test, photo_lines, "watched: "), None)
    return {f"{_WATCHED}{size}": accuracy(each, 1) for size, each in found.items()}


@torch.no_grad()
def pass_flops(model: AdaptedModel, sketches: SketchSet) -> dict[int, NDArray[np.float64]]:
    """FLOPs of the network's pass on each canvas: size -> (sketches,); a rectangular one is as wide as the ink.

    Args:
        model: the network.
        sketches: the drawings.
    """
    embedding = nn.Sequential(model.backbone, *([] if model.projection is None else [model.projection]))
    channels = model.description.sketch_channels
    found = {}
    for canvas in model.canvases:
        shapes, which = canvas.fitted(sketches)
        each = [_pass(model, embedding, (shape.height, shape.width), channels) for shape in shapes]
        found[canvas.size] = np.array(each, np.float64)[which]
    return found


def _pass(model: AdaptedModel, embedding: nn.Module, shape: tuple[int, int], channels: int) -> int:
    """FLOPs of one pass; counting takes longer than a pass, and the cells of a table ask for the same ones again."""
    if model.description.source is None:  # what it is made of is not known
        return cost(embedding, shape, channels=channels).flops
    key = (str(model.description), *shape)
    if key not in _PASSES:
        _PASSES[key] = cost(embedding, shape, channels=channels).flops
    return _PASSES[key]


def _embedded(
    model: AdaptedModel, test: PairedSet, photo_lines: float, name: str
) -> tuple[dict[int, torch.Tensor], dict[int, torch.Tensor]]:
    """Canvas size -> gallery vectors, and the sketches' embeddings."""
    canvases = model.canvases
    gallery = embed_gallery(model, test.photo_paths, canvases, weight=photo_lines, name=f"{name}photos")
    return gallery, embed_on_canvases(model, test.sketches, canvases, name=f"{name}sketches")


def _ranks(
    test: PairedSet, gallery: Embeddings, sketches: Embeddings, discounts: Embeddings | None
) -> dict[int, NDArray[np.int64]]:
    """Canvas size -> ranks of the right photos, (sketches,)."""
    return {
        size: ranks(embedded, gallery[size], test.photo_of_sketch, None if discounts is None else discounts[size])
        for size, embedded in sketches.items()
    }


def _each_epoch(history: list[dict[str, float]]) -> dict[str, list[float]]:
    """Canvas -> acc@1 after each epoch; empty where no epoch but the last was evaluated."""
    watched = [name for name in (history[0] if history else ()) if name.startswith(_WATCHED)]
    return {name.removeprefix(_WATCHED): [record[name] for record in history] for name in watched}
