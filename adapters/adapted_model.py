"""A photo network that also answers sketches."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from sketchkit.adapters.backbone import Backbone
from sketchkit.adapters.cost import Cost, cost
from sketchkit.adapters.description import Description
from sketchkit.adapters.distillation import KDHead
from sketchkit.adapters.selector import CanvasSelector
from sketchkit.adapters.summary import Summary
from sketchkit.blocks import as_block
from sketchkit.canvas import Canvas
from sketchkit.errors import ParameterError, SketchkitError
from sketchkit.rasterizing import rasterize
from sketchkit.sketch import Sketch
from sketchkit.sketch_set import SketchSet

__all__ = ["AdaptedCost", "AdaptedModel"]

# ITU-R BT.601, for networks that take gray photos.
_LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class AdaptedCost:
    """What a query costs.

    Args:
        per_canvas: canvas size -> one pass of the network on it, without the selector.
        selector: the canvas selector: its mean over the drawings given, else over a drawing of the most points.
        shares: canvas size -> share of the drawings given that the selector sends there.
        mean_flops: of selecting and embedding one of the drawings given.
    """

    per_canvas: dict[int, Cost]
    selector: Cost
    shares: dict[int, float] | None = None
    mean_flops: float | None = None


class AdaptedModel(nn.Module):
    """One network for photos and sketches, with L2-normalized embeddings; made by `adapt`.

    Args:
        network: its classifier taken off; becomes part of this module.
        description: how it was adapted.
        kd_head: holds a frozen teacher; it is not saved.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, network: nn.Module, description: Description, *, kd_head: KDHead | None = None) -> None:
        super().__init__()
        self.description = description
        self.backbone = Backbone(network, description.output)
        width, dim = description.output.width, description.embedding_dim
        self.projection = None if dim is None else nn.Linear(width, dim)
        self.canvas_selector = CanvasSelector(
            len(description.canvases), hidden=description.selector_hidden, points=description.selector_points
        )
        self.kd_head = kd_head
        self.register_buffer("mean", torch.tensor(description.mean).reshape(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(description.std).reshape(-1, 1, 1), persistent=False)
        parameter = _floating_parameter(network)
        if parameter is not None:
            self.to(parameter.device)
            if self.projection is not None:
                self.projection.to(parameter.dtype)

    @property
    def canvases(self) -> tuple[Canvas, ...]:
        """The canvases that sketches are drawn on, smallest first."""
        return self.description.canvases

    @property
    def photo_size(self) -> int:
        """Side of the photos in pixels."""
        return self.description.photo_size

    @property
    def embedding_dim(self) -> int:
        """Width of the embeddings."""
        return self.description.embedding_dim or self.description.output.width

    def embed(self, inputs: torch.Tensor) -> torch.Tensor:
        """Normalized images (batch, channels, height, width) -> embeddings (batch, embedding_dim) of length 1."""
        features: torch.Tensor = self.backbone(inputs)
        if self.projection is not None:
            features = self.projection(features)
        return F.normalize(features, dim=1)

    forward = embed

    def embed_photos(self, images: torch.Tensor | NDArray[np.generic]) -> torch.Tensor:
        """Photos -> embeddings (batch, embedding_dim); see `photo_inputs`."""
        return self.embed(self.photo_inputs(images))

    def embed_rasters(self, rasters: torch.Tensor | NDArray[np.generic]) -> torch.Tensor:
        """Rasters -> embeddings (batch, embedding_dim); see `raster_inputs`."""
        return self.embed(self.raster_inputs(rasters))

    def embed_sketches(
        self, sketches: Sketch | SketchSet | Iterable[Sketch], canvas: int | Canvas | None = None
    ) -> torch.Tensor:
        """Draw each sketch on its canvas and embed it: (batch, embedding_dim), in the order given.

        The sketches of one canvas go through the network together, one pass a canvas.

        Args:
            sketches: one drawing or many.
            canvas: draw all of them on this one; the size of one of `canvases`, or any `Canvas`.

        Raises:
            ParameterError: no canvas has this size.
            DataError: a coordinate is NaN or infinite.
        """
        block = as_block(sketches)
        if canvas is not None:
            return self._embed_on(block, self._canvas(canvas))
        chosen = self.canvas_selector.select(block)
        rows = [np.flatnonzero(chosen == index) for index in range(len(self.canvases))]
        parts = [
            self._embed_on(block[group], drawn_on)
            for group, drawn_on in zip(rows, self.canvases, strict=True)
            if len(group)
        ]
        if not parts:
            return self.std.new_zeros(0, self.embedding_dim)
        back = torch.from_numpy(np.argsort(np.concatenate(rows), kind="stable"))
        return torch.cat(parts)[back.to(parts[0].device)]

    def select(self, sketches: Sketch | SketchSet | Iterable[Sketch]) -> NDArray[np.int64]:
        """The canvas size that the selector chooses for each drawing, (batch,); the largest when it is untrained."""
        sizes = np.array([canvas.size for canvas in self.canvases], np.int64)
        return sizes[self.canvas_selector.select(sketches)]

    def photo_inputs(self, images: torch.Tensor | NDArray[np.generic]) -> torch.Tensor:
        """Photos as the network takes them: resized to `photo_size`, normalized.

        Args:
            images: (batch, 3, height, width) RGB, uint8 or float in 0..1; sides that differ from `photo_size` are
                resized (bilinear, antialiased), so a photo that is not square is stretched.

        Raises:
            ParameterError: another shape, or floats that look like 0..255.
        """
        pixels = torch.as_tensor(images).to(self.mean.device)
        channels = self.description.channels
        if pixels.ndim != 4 or pixels.shape[1] not in (3, channels):
            raise ParameterError(f"photos must be (batch, 3, height, width), not {tuple(pixels.shape)}")
        scaled = _in_unit_range(pixels, "photos")
        if channels == 1 and scaled.shape[1] == 3:
            scaled = (scaled * scaled.new_tensor(_LUMA).reshape(3, 1, 1)).sum(dim=1, keepdim=True)
        size = (self.photo_size, self.photo_size)
        if scaled.shape[2:] != size and len(scaled):
            scaled = F.interpolate(scaled, size, mode="bilinear", antialias=True, align_corners=False)
        return self._normalized(scaled)

    def raster_inputs(self, rasters: torch.Tensor | NDArray[np.generic]) -> torch.Tensor:
        """Rasters as the network takes them: dark ink on white, equal channels, normalized, at their own size.

        Args:
            rasters: (batch, height, width), ink 255 on 0 in uint8, or 1 on 0 in float.

        Raises:
            ParameterError: another shape, or floats that look like 0..255.
        """
        ink = torch.as_tensor(rasters).to(self.mean.device)
        if ink.ndim != 3:
            raise ParameterError(f"rasters must be (batch, height, width), not {tuple(ink.shape)}")
        ground = 1 - _in_unit_range(ink, "rasters")
        return self._normalized(ground[:, None].expand(-1, self.description.channels, -1, -1))

    def cost(self, sketches: Sketch | SketchSet | Iterable[Sketch] | None = None) -> AdaptedCost:
        """FLOPs of a query on each canvas, in the paper's convention; and their mean over drawings, when given.

        Args:
            sketches: what the selector is asked about.
        """
        embedding = nn.Sequential(self.backbone, *([] if self.projection is None else [self.projection]))
        channels = self.description.channels
        per_canvas = {canvas.size: cost(embedding, canvas.size, channels=channels) for canvas in self.canvases}
        if sketches is None:
            return AdaptedCost(per_canvas, self._selector_cost(self.canvas_selector.points + 1))
        block = as_block(sketches)
        if not len(block):
            raise ParameterError("there is no drawing to average over")
        _, lengths = self.canvas_selector.encode(block)
        selector = self._selector_cost(float(lengths.double().mean()))
        sizes = self.select(block)
        shares = {size: float(np.mean(sizes == size)) for size in per_canvas}
        passes = sum(share * per_canvas[size].flops for size, share in shares.items())
        return AdaptedCost(per_canvas, selector, shares, passes + selector.flops)

    def summary(self) -> Summary:
        """What was adapted, and what it costs."""
        return Summary.of(
            self.description,
            self.cost(),
            teacher=None if self.kd_head is None else getattr(self.kd_head.teacher, "description", None),
        )

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Write weights (safetensors) and description (JSON); a kill at any time leaves the old or the new model.

        The teacher in `kd_head` is not saved.

        Raises:
            OutputError: the folder cannot be written.
        """
        from sketchkit.adapters.saving import save

        save(self, folder)

    @classmethod
    def from_pretrained(cls, folder: str | os.PathLike[str], model: nn.Module | None = None) -> AdaptedModel:
        """Read what `save_pretrained` wrote; in evaluation mode, on the CPU, its embeddings exactly the same.

        Args:
            folder: where it was saved.
            model: the network as it was before `adapt`, with any weights; needed when it was not adapted from a name
                or one of `sketchkit.adapters.networks`.

        Raises:
            MissingDataError: the folder holds no adapted model.
            WeightsError: a file is damaged, or `model` is another network.
            ParameterError: `model` is needed.
        """
        from sketchkit.adapters.saving import load

        return load(folder, model)

    def __repr__(self) -> str:
        try:
            return str(self.summary())
        except (SketchkitError, RuntimeError):
            # A network that is taken apart at the moment has no cost, but still a name.
            return f"AdaptedModel of {self.description.network}"

    def _embed_on(self, block: SketchSet, canvas: Canvas) -> torch.Tensor:
        return self.embed_rasters(torch.from_numpy(rasterize(block, canvas)))

    def _canvas(self, canvas: int | Canvas) -> Canvas:
        if isinstance(canvas, Canvas):
            return canvas
        known = {each.size: each for each in self.canvases}
        if canvas not in known:
            sizes = ", ".join(map(str, known))
            raise ParameterError(f"no canvas of {canvas} px; there are {sizes}. A Canvas({canvas}) is drawn as it says")
        return known[canvas]

    def _normalized(self, images: torch.Tensor) -> torch.Tensor:
        normalized = (images - self.mean) / self.std
        parameter = _floating_parameter(self.backbone)
        if parameter is not None:
            normalized = normalized.to(parameter.dtype)
        # Depthwise convolutions run some 2.5 times faster on a CPU in this layout; others do not mind.
        return normalized.contiguous(memory_format=torch.channels_last)

    def _selector_cost(self, steps: float) -> Cost:
        """The selector's cost is linear in the steps of a drawing."""
        one, two = (cost(self.canvas_selector, (torch.zeros(1, n, 5), torch.tensor([n]))) for n in (1, 2))
        return Cost(
            one.params,
            round(one.macs + (steps - 1) * (two.macs - one.macs)),
            round(one.flops + (steps - 1) * (two.flops - one.flops)),
        )


def _in_unit_range(values: torch.Tensor, name: str) -> torch.Tensor:
    if values.dtype == torch.uint8:
        return values.float() / 255
    if not values.is_floating_point():
        raise ParameterError(f"{name} must be uint8 or float in 0..1, not {values.dtype}")
    if values.numel() and values.max() > 2:
        raise ParameterError(f"{name} in floats must be in 0..1; these reach {values.max().item():.0f}, divide by 255")
    return values


def _floating_parameter(module: nn.Module) -> nn.Parameter | None:
    return next((value for value in module.parameters() if value.is_floating_point()), None)
