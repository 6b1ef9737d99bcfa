"""Embeddings of whole sets, under a bar."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from sketchkit.adapters.adapted_model import AdaptedModel
from sketchkit.canvas import Canvas
from sketchkit.recipes.exported import SearchModel
from sketchkit.recipes.photos import load_photos
from sketchkit.recipes.progress import progress
from sketchkit.recipes.warping import PairedWarp, object_boxes
from sketchkit.sketch_set import SketchSet

__all__ = [
    "channels_last",
    "embed_kept",
    "embed_on_canvases",
    "embed_photos",
    "native_precision",
    "reduced_precision",
]


def reduced_precision(setting: str) -> AbstractContextManager[object]:
    """The context for a network's passes.

    Args:
        setting: `bf16` or `fp32`; see `native_precision` for `auto`.
    """
    return torch.autocast("cpu", torch.bfloat16) if setting == "bf16" else nullcontext()


def native_precision(setting: str) -> str:
    """What `auto` means here: `bf16` where the processor multiplies it natively (elsewhere it is slower), or `fp32`.

    Any other `setting` is given back as it is.
    """
    if setting != "auto":
        return setting
    # Private in torch, and not in all of its releases; where they are missing, single precision is always right.
    asked = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return "bf16" if any(supported is not None and supported() for supported in asked) else "fp32"


def channels_last(adapted: AdaptedModel) -> AdaptedModel:
    """`adapted` itself, its convolutions laid out so that depthwise ones run some 2.5 times faster on a CPU."""
    for parameter in adapted.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return adapted


@torch.no_grad()
def embed_on_canvases(
    adapted: AdaptedModel, sketches: SketchSet, canvases: Sequence[Canvas], *, name: str, chunk: int = 64
) -> dict[int, torch.Tensor]:
    """Embeddings of all drawings on each canvas: canvas size -> (sketches, embedding_dim) float32.

    Args:
        adapted: the network; its selector is not asked.
        sketches: the drawings, all of them for each canvas.
        canvases: the network's, or others of the same channels.
        name: shown on the bars, before the canvas.
        chunk: how many drawings are drawn and embedded at a time.
    """
    found: dict[int, torch.Tensor] = {}
    for canvas in canvases:
        starts = progress(range(0, len(sketches), chunk), f"{name}, {canvas.size} px", unit=f"x{chunk} sketches")
        found[canvas.size] = torch.cat(
            [adapted.embed_sketches(sketches[start : start + chunk], canvas=canvas).float().cpu() for start in starts]
        )
    return found


@torch.no_grad()
def embed_photos(
    adapted: SearchModel, paths: Sequence[Path], *, name: str, chunk: int = 16, warp: PairedWarp | None = None
) -> torch.Tensor:
    """Embeddings of photo files, warped or as they are: (photos, embedding_dim) float32.

    Args:
        adapted: the network, adapted or exported; photos are read at its `photo_size`.
        paths: PNG, JPEG or SVG; see `load_photo`.
        name: shown on the bar.
        chunk: how many photos are in memory at a time.
        warp: one a photo, in the order of `paths`; None leaves the photos as they are.
    """
    found = []
    for start in progress(range(0, len(paths), chunk), name, unit=f"x{chunk} photos"):
        rows = slice(start, start + chunk)
        pixels = load_photos(paths[rows], adapted.photo_size)
        if warp is not None:
            pixels = warp[rows].photos(pixels, object_boxes(pixels))
        found.append(adapted.embed_photos(torch.from_numpy(pixels)).float().cpu())
    return torch.cat(found)


@torch.no_grad()
def embed_kept(adapted: AdaptedModel, rows: NDArray[np.float16], *, chunk: int = 64) -> torch.Tensor:
    """Embeddings of rows that already went through the frozen blocks: (rows, embedding_dim) float32.

    Args:
        adapted: the network without those blocks, as `FrozenFront.removed` gives it.
        rows: (rows, channels, height, width), what the blocks gave.
        chunk: rows in one pass.
    """
    return torch.cat(
        [
            adapted.embed(
                torch.from_numpy(rows[start : start + chunk].astype(np.float32)).contiguous(
                    memory_format=torch.channels_last
                )
            )
            .float()
            .cpu()
            for start in range(0, len(rows), chunk)
        ]
    )
