"""A photo beside its own line drawing: a gallery in which drawings find what is drawn like them.

A drawing is compared with the photo, and with a drawing of the photo on the same canvas: the photo's edges, traced to
strokes. Photos are embedded before anybody asks, so this second look at each adds no pass of the network to a query.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from sketchkit.adapters.adapted_model import AdaptedModel
from sketchkit.canvas import Canvas
from sketchkit.recipes.embedding import embed_on_canvases, embed_photos
from sketchkit.recipes.photos import load_photo
from sketchkit.recipes.progress import progress
from sketchkit.sketch import Sketch
from sketchkit.sketch_set import SketchSet
from sketchkit.tracing import trace_edges

__all__ = ["embed_gallery", "line_drawings", "with_lines"]

# Side in pixels at which a photo's edges are looked for: those of QMUL have it.
_SIDE = 256


def line_drawings(paths: Sequence[Path]) -> SketchSet:
    """Each photo's edges as strokes, in the order of `paths`; without strokes where a photo has none."""
    return SketchSet.from_sketches([_lines(path) for path in progress(paths, "photos' edges", unit="photo")])


def with_lines(photos: torch.Tensor, drawn: torch.Tensor, weight: float) -> torch.Tensor:
    """Gallery vectors, (photos, embedding_dim), of length 1.

    Args:
        photos: embeddings of the photos, (photos, embedding_dim), of length 1.
        drawn: embeddings of their line drawings on one canvas, (photos, embedding_dim), of length 1.
        weight: of the drawing beside the photo; 0 gives the photo alone.

    Example:
        >>> with_lines(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]]), 0.75)
        tensor([[0.8000, 0.6000]])
    """
    return functional.normalize(photos + weight * drawn, dim=1) if weight else photos


def embed_gallery(
    adapted: AdaptedModel, paths: Sequence[Path], canvases: Sequence[Canvas], *, weight: float, name: str
) -> dict[int, torch.Tensor]:
    """Canvas size -> gallery vectors for drawings on it, (photos, embedding_dim).

    Args:
        adapted: the network.
        paths: the photos' files.
        canvases: the network's.
        weight: see `with_lines`; with 0 all canvases share one gallery.
        name: shown on the bars.
    """
    photos = embed_photos(adapted, paths, name=name)
    if not weight:
        return {canvas.size: photos for canvas in canvases}
    drawn = embed_on_canvases(adapted, line_drawings(paths), canvases, name=f"{name}, their edges")
    return {size: with_lines(photos, each, weight) for size, each in drawn.items()}


def _lines(path: Path) -> Sketch:
    return trace_edges(np.ascontiguousarray(load_photo(path, _SIDE).transpose(1, 2, 0)))
