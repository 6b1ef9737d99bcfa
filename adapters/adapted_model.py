"""A photo network that also answers sketches."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from sketchkit.adapters.backbone import Backbone
from sketchkit.adapters.batch_norm import passing
from sketchkit.adapters.description import Description
from sketchkit.adapters.distillation import KDHead
from sketchkit.adapters.folding import restore_batch_norm
from sketchkit.adapters.inputs import Inputs
from sketchkit.adapters.query_cost import AdaptedCost, query_cost
from sketchkit.adapters.selector import CanvasSelector
from sketchkit.adapters.summary import Summary
from sketchkit.blocks import as_block
from sketchkit.canvas import Canvas, sizes_of
from sketchkit.errors import ParameterError, SketchkitError
from sketchkit.rasterizing import rasterize
from sketchkit.sketch import Sketch
from sketchkit.sketch_set import SketchSet

if TYPE_CHECKING:
    from sketchkit.adapters.export import Exported

__all__ = ["AdaptedCost", "AdaptedModel"]

# Pixels of one pass unless batch_size= says otherwise: 64 images at 256 px, 4096 at 32 px. The first maps of
# MobileNetV2 then take 0.4 GB, those of VGG-16 1.1 GB.
_PASS_PIXELS = 1 << 22


class AdaptedModel(nn.Module):
    """One network for photos and sketches, with L2-normalized embeddings; made by `adapt`.

    The verbs `embed_...` record gradients as any module does: call them under `torch.inference_mode()` when none are
    wanted, which is also a little faster. Gradients reach the network and, through `embed`, its inputs; drawing is not
    differentiable (`sketchkit.torch_backend.rasterize_torch` is, and `embed_rasters` passes its gradients on), nor is
    the choice of a canvas. They keep no state, so threads may share a model that is in evaluation mode. In training
    mode batch norm takes its statistics over each pass, so over the photos or the sketches of one canvas, on a
    rectangular one those of one shape.

    `embed` is three steps, each usable by itself: `backbone` makes pooled features (batch, width) of normalized images,
    `projection` (a linear layer, or None without `embedding_dim`) the embedding, which is then given length 1.

    Args:
        network: its classifier taken off; becomes part of this module.
        description: how it was adapted.
        kd_head: holds a frozen teacher; it is not saved.

    Example:
        >>> from sketchkit import Sketch, adapt
        >>> adapted = adapt("mobilenet_v2", canvases=(32, 64), photo_size=64)
        >>> roof = Sketch.from_strokes([[(0, 9), (5, 0), (9, 9)]])
        >>> with torch.inference_mode():
        ...     queries, gallery = adapted.embed_sketches([roof, roof]), adapted.embed_photos(torch.rand(3, 3, 80, 60))
        >>> (queries @ gallery.T).shape
        torch.Size([2, 3])
    """

    def __init__(self, network: nn.Module, description: Description, *, kd_head: KDHead | None = None) -> None:
        super().__init__()
        self.description = description
        self.backbone = Backbone(network, description.output)
        width, dim = description.output.features, description.embedding_dim
        self.projection = None if dim is None else nn.Linear(width, dim)
        self.canvas_selector = CanvasSelector(
            len(description.canvases), hidden=description.selector_hidden, points=description.selector_points
        )
        self.kd_head = kd_head
        self.inputs = Inputs(description)
        parameter = _floating_parameter(network)
        if parameter is not None:
            self.to(parameter.device)
            if self.projection is not None:
                self.projection.to(parameter.dtype)
        restore_batch_norm(self)

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
        return self.description.embedding_dim or self.description.output.features

    @property
    def mean(self) -> torch.Tensor:
        """Subtracted from the channels in 0..1, (channels, 1, 1)."""
        return self.inputs.mean

    @property
    def std(self) -> torch.Tensor:
        """What the channels are divided by, (channels, 1, 1)."""
        return self.inputs.std

    def embed(self, inputs: torch.Tensor) -> torch.Tensor:
        """Normalized images (batch, channels, height, width) -> embeddings (batch, embedding_dim) of length 1.

        Args:
            inputs: (batch, channels, height, width), as `photo_inputs` and `raster_inputs` give them.
        """
        features: torch.Tensor = self.backbone(inputs)
        if self.projection is not None:
            features = self.projection(features)
        return F.normalize(features, dim=1)

    forward = embed

    def embed_photos(
        self, images: torch.Tensor | NDArray[np.generic], *, batch_size: int | None = None
    ) -> torch.Tensor:
        """Photos -> embeddings (batch, embedding_dim), in the order given.

        Args:
            images: see `photo_inputs`; none give (0, embedding_dim).
            batch_size: the most photos in one pass; None bounds the pixels of a pass.

        Raises:
            ParameterError: see `photo_inputs`; or `batch_size` is below 1.
        """
        pixels = torch.as_tensor(images)
        step = _step(batch_size, self.photo_size**2)
        with passing("photos"):
            if pixels.ndim != 4 or len(pixels) <= step:
                inputs = self.photo_inputs(pixels)
                return self.embed(inputs) if len(inputs) else self._no_embeddings()
            parts = (pixels[start : start + step] for start in range(0, len(pixels), step))
            return torch.cat([self.embed(self.photo_inputs(part)) for part in parts])

    def embed_rasters(
        self, rasters: torch.Tensor | NDArray[np.generic], canvas: int | tuple[int, int] | Canvas | None = None
    ) -> torch.Tensor:
        """Rasters -> embeddings (batch, embedding_dim) in one pass.

        Args:
            rasters: see `raster_inputs`.
            canvas: what they were drawn on, which counts where batch norm is per canvas; None: the one of `canvases`
                that has images of this shape, else one of the shorter side.

        Raises:
            ParameterError: another shape, or floats that look like 0..255.
        """
        inputs = self.raster_inputs(rasters)
        with passing("sketches", self._side_of(inputs) if canvas is None else Canvas.of(canvas).side):
            return self.embed(inputs) if len(inputs) else self._no_embeddings()

    def embed_sketches(
        self,
        sketches: Sketch | SketchSet | Iterable[Sketch],
        canvas: int | tuple[int, int] | Canvas | None = None,
        *,
        batch_size: int | None = None,
    ) -> torch.Tensor:
        """Draw each sketch on its canvas and embed it: (batch, embedding_dim), in the order given.

        The sketches of one canvas, and of one shape on it, go through the network together. Progress is the caller's:
        embed a part at a time.

        Args:
            sketches: one drawing or many; none give (0, embedding_dim).
            canvas: draw all of them on this one; the size of one of `canvases`, or any `Canvas` of the same channels.
            batch_size: the most drawings in one pass; None bounds the pixels of a pass.

        Raises:
            ParameterError: no canvas has this size, this one has other channels, or `batch_size` is below 1.
            DataError: no canvas is given and a coordinate is NaN or infinite; or the canvas shows what the drawings
                lack.
        """
        block = as_block(sketches)
        if canvas is not None:
            return self._embed_on(block, self._canvas(canvas), batch_size)
        chosen = self.canvas_selector.select(block)
        if len(chosen) == 1:
            return self._embed_on(block, self.canvases[int(chosen[0])], batch_size)
        return self._grouped(block, self.canvases, chosen, lambda group, on: self._embed_on(group, on, batch_size))

    def select(self, sketches: Sketch | SketchSet | Iterable[Sketch]) -> NDArray[np.int64]:
        """The canvas size that the selector chooses for each drawing; the largest when it is untrained.

        Args:
            sketches: what is asked about; nothing is drawn.

        Returns:
            (batch,) sides in pixels, of a rectangular canvas the longer one; (batch, 2) heights and widths where one of
            `canvases` is declared with both.
        """
        return sizes_of(self.canvases)[self.canvas_selector.select(sketches)]

    def photo_inputs(self, images: torch.Tensor | NDArray[np.generic]) -> torch.Tensor:
        """Photos as the network takes them, (batch, channels, photo_size, photo_size): resized, normalized.

        Args:
            images: (batch, 3, height, width) RGB, uint8 or float in 0..1; sides that differ from `photo_size` are
                resized (bilinear, antialiased), so a photo that is not square is stretched.

        Raises:
            ParameterError: another shape, or floats that look like 0..255.
        """
        return self.inputs.photos(images, self._dtype())

    def raster_inputs(self, rasters: torch.Tensor | NDArray[np.generic]) -> torch.Tensor:
        """Rasters as the network takes them, (batch, channels or planes, height, width): normalized, at their own size.

        Plain ink becomes a photo of dark ink on white, its channels equal. Planes of a canvas with other channels are
        normalized as those of photos are, by their mean statistics where there are more or fewer: ink dark on white,
        all else from 0 to 1 as it is.

        Args:
            rasters: (batch, height, width), ink 255 on 0 in uint8, or 1 on 0 in float; (batch, planes, height, width)
                where the canvases have planes.

        Raises:
            ParameterError: another shape, or floats that look like 0..255.
        """
        return self.inputs.rasters(rasters, self._dtype())

    def cost(self, sketches: Sketch | SketchSet | Iterable[Sketch] | None = None) -> AdaptedCost:
        """FLOPs of a query on each canvas, in the paper's convention; and their mean over drawings, when given.

        Args:
            sketches: what the selector is asked about, and what rectangular canvases are as wide as.

        Raises:
            ParameterError: there is no drawing among them.
        """
        return query_cost(self, sketches)

    def summary(self) -> Summary:
        """What was adapted, and what it costs."""
        return Summary.of(
            self.description,
            self.cost(),
            teacher=None if self.kd_head is None else getattr(self.kd_head.teacher, "description", None),
        )

    def save_pretrained(
        self,
        folder: str | os.PathLike[str],
        *,
        results: Mapping[str, Any] | Sequence[Mapping[str, Any]] | str | os.PathLike[str] | None = None,
        license: str | None = None,
        datasets: Sequence[str] = (),
    ) -> None:
        """Write weights (safetensors), description (JSON) and a model card; a kill leaves the old or the new model.

        The teacher in `kd_head` is not saved. The card, README.md, replaces an earlier one of ours, never another file.

        Args:
            folder: made when it is not there.
            results: what was measured, for the card: a row as a mapping of column to value, several such rows, or the
                path of a JSON file that holds rows, or holds them as "rows" (the recipes' `results.json`). A row with
                "dataset" also becomes metadata that the Hugging Face Hub reads.
            license: of the weights, as the Hub names it: "mit".
            datasets: names of what it was trained on.

        Raises:
            OutputError: the folder cannot be written, or its `config.json` is not ours and is left as it is; or the
                network is quantized: save the float network, and quantize it after loading.
            ParameterError, MissingDataError: the results are no such rows, or not there.
        """
        from sketchkit.adapters.saving import save

        save(self, folder, results=results, license=license, datasets=datasets)

    def export(self, folder: str | os.PathLike[str], **options: Any) -> Exported:
        """Write the network and its selector as ONNX, checked against this model; `OnnxModel` runs them.

        Args:
            folder: where to.
            **options: `precisions`, `calibration` and `opset` of `sketchkit.adapters.export.export`.
        """
        from sketchkit.adapters.export import export

        return export(self, folder, **options)

    @classmethod
    def from_pretrained(cls, folder: str | os.PathLike[str], model: nn.Module | None = None) -> AdaptedModel:
        """Read what `save_pretrained` wrote; in evaluation mode, on the CPU, its embeddings exactly the same.

        Args:
            folder: where it was saved.
            model: the network as it was before `adapt`, with any weights; needed when it was not adapted from a name,
                nor is a network as timm, torchvision or transformers build it.

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

    def _embed_on(self, block: SketchSet, canvas: Canvas, batch_size: int | None) -> torch.Tensor:
        def embed(group: SketchSet, shaped: Canvas) -> torch.Tensor:
            step = _step(batch_size, shaped.height * shaped.width)
            if len(group) <= step:
                return self.embed_rasters(torch.from_numpy(rasterize(group, shaped)), canvas)
            starts = range(0, len(group), step)
            parts = (rasterize(group[start : start + step], shaped) for start in starts)
            return torch.cat([self.embed_rasters(torch.from_numpy(part), canvas) for part in parts])

        return embed(block, canvas) if not canvas.rectangular else self._grouped(block, *canvas.fitted(block), embed)

    def _grouped(
        self,
        block: SketchSet,
        canvases: Sequence[Canvas],
        which: NDArray[np.int64],
        embed: Callable[[SketchSet, Canvas], torch.Tensor],
    ) -> torch.Tensor:
        """The drawings of each canvas embedded together, back in the order given."""
        rows = [np.flatnonzero(which == index) for index in range(len(canvases))]
        parts = [
            embed(block if len(group) == len(block) else block[group], canvas)
            for group, canvas in zip(rows, canvases, strict=True)
            if len(group)
        ]
        if len(parts) < 2:
            return parts[0] if parts else self._no_embeddings()
        back = torch.from_numpy(np.argsort(np.concatenate(rows), kind="stable"))
        return torch.cat(parts)[back.to(parts[0].device)]

    def _side_of(self, inputs: torch.Tensor) -> int:
        """The side of the canvas that images of this shape are drawn on."""
        height, width = inputs.shape[-2:]
        return next((each.side for each in self.canvases if (height, width) in each.shapes), min(height, width))

    def _canvas(self, canvas: int | tuple[int, int] | Canvas) -> Canvas:
        if isinstance(canvas, Canvas):
            if canvas.channels != self.canvases[0].channels:
                raise ParameterError(
                    f"the network was adapted to canvases of {', '.join(self.canvases[0].names)}, not of "
                    f"{', '.join(canvas.names)}; draw those, or adapt it again"
                )
            return canvas
        known = {each.size: each for each in self.canvases}
        if canvas not in known:
            sizes = ", ".join(map(str, known))
            raise ParameterError(f"no canvas of {canvas} px; there are {sizes}. A Canvas({canvas}) is drawn as it says")
        return known[canvas]

    def _dtype(self) -> torch.dtype:
        parameter = _floating_parameter(self.backbone)
        return torch.float32 if parameter is None else parameter.dtype

    def _no_embeddings(self) -> torch.Tensor:
        # Some networks fail on an empty batch, so it is not run.
        return self.std.new_zeros(0, self.embedding_dim, dtype=self._dtype())


def _step(batch_size: int | None, pixels: int) -> int:
    """How many images of so many pixels go into one pass."""
    if batch_size is None:
        return max(_PASS_PIXELS // pixels, 1)
    if batch_size < 1:
        raise ParameterError(f"batch_size must be at least 1, not {batch_size}")
    return batch_size


def _floating_parameter(module: nn.Module) -> nn.Parameter | None:
    return next((value for value in module.parameters() if value.is_floating_point()), None)
