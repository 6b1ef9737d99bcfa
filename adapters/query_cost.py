"""What a query costs an adapted network: a pass on each canvas, and the selector that names the canvas."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
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
        per_canvas: canvas size -> one pass of the network on it, without the selector. On a rectangular canvas the mean
            over the shapes of the drawings given, which has no parts where these are several.
        selector: the canvas selector: its mean over the drawings given, else over a drawing of the most points.
        shares: canvas size -> share of the drawings given that the selector sends there.
        mean_flops: FLOPs of selecting and embedding one of the drawings given, the mean.
        flops_per_drawing: the same for each of them, (drawings,).
        at_most: sizes of the rectangular canvases when no drawings are given: their cost is then that of the square, an
            upper bound.

    Example:
        >>> AdaptedCost({32: Cost(10, 100, 250)}, Cost(2, 20, 50)).per_canvas[32].flops
        250
    """

    per_canvas: dict[Any, Cost]
    selector: Cost
    shares: dict[Any, float] | None = None
    mean_flops: float | None = None
    flops_per_drawing: NDArray[np.float64] | None = field(default=None, repr=False, compare=False)
    at_most: tuple[int, ...] = ()

    def _repr_html_(self) -> str:
        shares = self.shares or {}
        rows = [
            [
                f"canvas {size_words(size)} px",
                f"{'at most ' if size in self.at_most else ''}{each.flops / 1e9:.5f}",
                f"{shares[size]:.1%}" if shares else "",
            ]
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
    selector = adapted.canvas_selector
    if sketches is None:
        per_canvas = {canvas.size: _pass(embedding, canvas, channels) for canvas in adapted.canvases}
        bounds = tuple(canvas.size for canvas in adapted.canvases if canvas.rectangular)
        return AdaptedCost(per_canvas, _selector_cost(selector, selector.points + 1), at_most=bounds)
    block = as_block(sketches)
    if not len(block):
        raise ParameterError("there is no drawing to average over")
    chosen = selector.select(block)
    per_canvas, flops = {}, np.zeros(len(block))
    for index, canvas in enumerate(adapted.canvases):
        shaped, which = canvas.fitted(block)
        passes = [_pass(embedding, each, channels) for each in shaped]
        per_canvas[canvas.size] = _mean(passes, np.bincount(which))
        flops += np.where(chosen == index, np.array([each.flops for each in passes], np.float64)[which], 0)
    lengths = selector.encode(block)[1].numpy()
    one, step = _selector_steps(selector)
    flops += one.flops + (lengths - 1) * step.flops
    shares = {size: float(np.mean(chosen == index)) for index, size in enumerate(per_canvas)}
    return AdaptedCost(per_canvas, _selector_cost(selector, float(lengths.mean())), shares, float(flops.mean()), flops)


def size_words(size: Any) -> str:
    """A canvas `size`, a side or height and width in pixels, for people.

    Example:
        >>> size_words(32), size_words((32, 48))
        ('32', '32 x 48')
    """
    return " x ".join(map(str, size)) if isinstance(size, tuple) else str(size)


def _pass(embedding: nn.Module, canvas: Canvas, channels: int) -> Cost:
    return cost(embedding, (canvas.height, canvas.width), channels=channels)


def _mean(passes: Sequence[Cost], counts: NDArray[np.int64]) -> Cost:
    """The mean of passes that so many drawings need, in whole numbers."""
    if len(passes) == 1:
        return passes[0]
    macs, flops = (np.average([getattr(each, of) for each in passes], weights=counts) for of in ("macs", "flops"))
    return Cost(passes[0].params, round(float(macs)), round(float(flops)))


def _selector_cost(selector: CanvasSelector, steps: float) -> Cost:
    one, step = _selector_steps(selector)
    return Cost(one.params, *(round(getattr(one, of) + (steps - 1) * getattr(step, of)) for of in ("macs", "flops")))


def _selector_steps(selector: CanvasSelector) -> tuple[Cost, Cost]:
    """The cost of a drawing of one step, and what each further step adds; a recurrent network is linear in them."""
    one, two = (cost(selector, (torch.zeros(1, steps, 5), torch.tensor([steps]))) for steps in (1, 2))
    return one, Cost(0, two.macs - one.macs, two.flops - one.flops)
