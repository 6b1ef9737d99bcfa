"""What a query costs an adapted network: a pass on each canvas, and the selector that names the canvas."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from sketchkit.adapters.cost import Cost, cost
from sketchkit.adapters.html_table import html_table
from sketchkit.adapters.selector import CanvasSelector
from sketchkit.blocks import as_block
from sketchkit.canvas import Canvas
from sketchkit.errors import ParameterError
from sketchkit.sketch import Sketch
from sketchkit.sketch_set import SketchSet

if TYPE_CHECKING:
    from sketchkit.adapters.adapted_model import AdaptedModel

__all__ = ["AdaptedCost", "query_cost", "size_words"]


@dataclass(frozen=True)
class AdaptedCost:
    """What a query costs; a notebook shows it as a table.

    Args:
        per_canvas: canvas size -> one pass of the network on it, without the selector.
        selector: the canvas selector: its mean over the drawings given, else over a drawing of the most points.
        shares: canvas size -> share of the drawings given that the selector sends there.
        mean_flops: of selecting and embedding one of the drawings given.

    Example:
        >>> AdaptedCost({32: Cost(10, 100, 250)}, Cost(2, 20, 50)).per_canvas[32].flops
        250
    """

    per_canvas: dict[Any, Cost]
    selector: Cost
    shares: dict[Any, float] | None = None
    mean_flops: float | None = None

    def _repr_html_(self) -> str:
        shares = self.shares or {}
        rows = [
            [f"canvas {size_words(size)} px", f"{each.flops / 1e9:.5f}", f"{shares[size]:.1%}" if shares else ""]
            for size, each in self.per_canvas.items()
        ]
        rows.append(["canvas selector", f"{self.selector.flops / 1e9:.5f}", ""])
        if self.mean_flops is not None:
            rows.append(["mean of the drawings", f"{self.mean_flops / 1e9:.5f}", ""])
        return html_table("Cost of a query", ["", "GFLOPs", "drawings" if shares else ""], rows)


def query_cost(adapted: AdaptedModel, sketches: Sketch | SketchSet | Iterable[Sketch] | None = None) -> AdaptedCost:
    """The cost of an adapted network's queries; see `AdaptedModel.cost`.

    Example:
        >>> from sketchkit import adapt
        >>> list(query_cost(adapt("mobilenet_v2", canvases=(32, 64), photo_size=64)).per_canvas)
        [32, 64]
    """
    embedding = nn.Sequential(adapted.backbone, *([] if adapted.projection is None else [adapted.projection]))
    channels = adapted.description.sketch_channels
    passes = [_pass(embedding, canvas, channels) for canvas in adapted.canvases]
    per_canvas = {canvas.size: found for canvas, found in zip(adapted.canvases, passes, strict=True)}
    selector = adapted.canvas_selector
    if sketches is None:
        return AdaptedCost(per_canvas, _selector_cost(selector, selector.points + 1))
    block = as_block(sketches)
    if not len(block):
        raise ParameterError("there is no drawing to average over")
    _, lengths = selector.encode(block)
    mean_selector = _selector_cost(selector, float(lengths.double().mean()))
    counts = np.bincount(selector.select(block), minlength=len(passes))
    shares = {size: float(count / len(block)) for size, count in zip(per_canvas, counts, strict=True)}
    mean = sum(share * per_canvas[size].flops for size, share in shares.items())
    return AdaptedCost(per_canvas, mean_selector, shares, mean + mean_selector.flops)


def size_words(size: Any) -> str:
    """A canvas size for people.

    Example:
        >>> size_words(32), size_words((32, 48))
        ('32', '32 x 48')
    """
    return " x ".join(map(str, size)) if isinstance(size, tuple) else str(size)


def _pass(embedding: nn.Module, canvas: Canvas, channels: int) -> Cost:
    if not canvas.rectangular:
        return cost(embedding, canvas.side, channels=channels)
    dtype = next((value.dtype for value in embedding.parameters() if value.is_floating_point()), torch.float32)
    return cost(embedding, torch.zeros(1, channels, canvas.height, canvas.width, dtype=dtype))


def _selector_cost(selector: CanvasSelector, steps: float) -> Cost:
    """The selector's cost is linear in the steps of a drawing."""
    one, two = (cost(selector, (torch.zeros(1, n, 5), torch.tensor([n]))) for n in (1, 2))
    return Cost(
        one.params,
        round(one.macs + (steps - 1) * (two.macs - one.macs)),
        round(one.flops + (steps - 1) * (two.flops - one.flops)),
    )
