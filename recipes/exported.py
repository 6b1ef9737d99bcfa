"""An exported network in the place of an adapted one: a gallery is searched with either."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from sketchkit.adapters.onnx_runtime import CONFIG, OnnxModel
from sketchkit.sketch_set import SketchSet

__all__ = ["ExportedNetwork", "SearchModel", "is_export"]


class SearchModel(Protocol):
    """What a search asks of a network: `AdaptedModel` is one, `ExportedNetwork` another."""

    @property
    def photo_size(self) -> int:
        """Side of the photos in pixels."""

    def embed_photos(self, images: torch.Tensor) -> torch.Tensor:
        """Photos -> embeddings (batch, embedding_dim); `images` are (batch, 3, height, width), RGB in uint8."""

    def embed_sketches(self, sketches: SketchSet) -> torch.Tensor:
        """Each of `sketches` drawn on its canvas -> embeddings (batch, embedding_dim)."""

    def select(self, sketches: SketchSet) -> NDArray[np.int64]:
        """The size of the canvas of each of `sketches`, (batch,) or (batch, 2)."""


class ExportedNetwork:
    """A network that `AdaptedModel.export` wrote, run by ONNX Runtime; in the first precision that was exported.

    Args:
        folder: where it was exported.

    Raises:
        MissingDataError, WeightsError, MissingDependencyError: as `OnnxModel`.
    """

    def __init__(self, folder: Path) -> None:
        self._model = OnnxModel(folder)

    @property
    def photo_size(self) -> int:
        """Side of the photos in pixels."""
        return self._model.photo_size

    def embed_photos(self, images: torch.Tensor) -> torch.Tensor:
        """Photos -> embeddings (batch, embedding_dim); `images` are (batch, 3, height, width), RGB in uint8."""
        return torch.from_numpy(self._model.embed_photos(images.numpy()))

    def embed_sketches(self, sketches: SketchSet) -> torch.Tensor:
        """Each of `sketches` drawn on its canvas -> embeddings (batch, embedding_dim)."""
        return torch.from_numpy(self._model.embed_sketches(sketches))

    def select(self, sketches: SketchSet) -> NDArray[np.int64]:
        """The size of the canvas of each of `sketches`, (batch,) or (batch, 2)."""
        return self._model.select(sketches)


def is_export(folder: Path) -> bool:
    """Whether `folder` holds an export and no adapted network, which goes before it."""
    return (folder / CONFIG).is_file() and not (folder / "config.json").is_file()
