"""What both recipes measure alike: how long a query takes, and the selection beside other ways to choose."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sketchkit.adapters.cost import Cost
from sketchkit.adapters.timing import latency
from sketchkit.recipes.evaluation import accuracy
from sketchkit.recipes.policy import Selection
from sketchkit.recipes.progress import progress
from sketchkit.sketch import Sketch
from sketchkit.sketch_set import SketchSet

__all__ = ["measure_selection", "of_chosen", "time_queries"]


def time_queries(query: Callable[[Sketch], object], sketches: SketchSet, count: int, *, name: str) -> dict[str, float]:
    """Time queries end to end, on one thread, one drawing at a time.

    Args:
        query: answers a drawing.
        sketches: some are taken, evenly.
        count: at most how many.
        name: shown on the bar.

    Returns:
        `median`, `p10` and `p90` in milliseconds.
    """
    spread = np.linspace(0, len(sketches) - 1, min(count, len(sketches))).astype(int)
    warmup = spread[:2]
    queries = iter(progress([sketches[index] for index in [*warmup, *spread]], name, unit="query"))
    measured = latency(lambda: query(next(queries)), repeats=len(spread), warmup=len(warmup), threads=1)
    next(queries, None)  # lets the bar end
    return {"median": measured.median, "p10": measured.p10, "p90": measured.p90}


def of_chosen(rows: Mapping[int, torch.Tensor], chosen: NDArray[np.int64]) -> torch.Tensor:
    """Of each drawing the row on its chosen canvas, (drawings, columns).

    Args:
        rows: canvas size -> (drawings, columns).
        chosen: (drawings,) canvas sizes.
    """
    return torch.stack([rows[int(size)][index] for index, size in enumerate(chosen)])


def measure_selection(
    selection: Selection,
    sketches: SketchSet,
    chosen: NDArray[np.int64],
    ranks: Mapping[int, NDArray[np.int64]],
    flops: Mapping[int, float],
    own: Cost,
) -> dict[str, Any]:
    """V2 beside choices that know nothing, at their expected accuracy, and one that knows everything.

    Args:
        selection: V2 and the selectors of the dial.
        sketches: the evaluated drawings.
        chosen: (drawings,) canvas sizes, V2's.
        ranks: V1's: canvas size -> (drawings,), smallest first.
        flops: canvas size -> of a query without selection.
        own: of the selector.
    """
    passes = np.array([flops[size] for size in ranks])
    right = np.stack([found == 1 for found in ranks.values()], axis=1)
    mix = np.array([np.mean(chosen == size) for size in ranks])
    smallest_right = np.where(right.any(axis=1), right.argmax(axis=1), 0)
    return {
        "counts": _counts(ranks, chosen),
        "selector_params": own.params,
        "selector_flops": own.flops,
        "random_same_mix": {"acc@1": float(right.mean(axis=0) @ mix), "flops": float(passes @ mix)},
        "random_uniform": {"acc@1": float(right.mean()), "flops": float(passes.mean())},
        "oracle": {"acc@1": float(right.any(axis=1).mean()), "flops": float(passes[smallest_right].mean())},
        "dial": [
            {"lambda_F": value} | _chosen_point(selection.select(sketches, value), ranks, flops, own)
            for value in sorted(selection.dial)
        ],
    }


def _chosen_point(
    chosen: NDArray[np.int64], ranks: Mapping[int, NDArray[np.int64]], flops: Mapping[int, float], own: Cost
) -> dict[str, Any]:
    found = np.array([ranks[int(size)][index] for index, size in enumerate(chosen)])
    return {
        "acc@1": accuracy(found, 1),
        "flops": float(np.mean([flops[int(size)] for size in chosen])) + own.flops,
        "counts": _counts(ranks, chosen),
    }


def _counts(sizes: Mapping[int, object], chosen: NDArray[np.int64]) -> dict[str, int]:
    return {str(size): int(np.sum(chosen == size)) for size in sizes}
