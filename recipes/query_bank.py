"""Drawings that are known before anybody asks: they tell which photos of a gallery are hubs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import safetensors
import safetensors.torch
import torch

from sketchkit import atomic
from sketchkit.adapters.adapted_model import AdaptedModel
from sketchkit.adapters.hubness import hub_discounts
from sketchkit.canvas import Canvas
from sketchkit.errors import DataError
from sketchkit.recipes.embedding import embed_on_canvases
from sketchkit.sketch_set import SketchSet

__all__ = ["QueryBank"]

_FILE = "query_bank.safetensors"


@dataclass(frozen=True, eq=False)
class QueryBank:
    """The training drawings as a network embeds them on each canvas.

    Args:
        drawings: canvas size -> (drawings, embedding_dim); without rows where `neighbors` is 0.
        neighbors: how many of a photo's nearest drawings count; 0: none, and no photo is discounted.
        photo_lines: the weight of photos' own edges in the gallery that the network was trained for; see `with_lines`.

    Example:
        >>> bank = QueryBank({32: torch.tensor([[0.6, 0.8]])}, neighbors=1)
        >>> bank.discounts(torch.eye(2))
        {32: tensor([-0.0500,  0.0500])}
    """

    drawings: Mapping[int, torch.Tensor]
    neighbors: int
    photo_lines: float = 0.0

    @classmethod
    def of(
        cls,
        adapted: AdaptedModel,
        sketches: SketchSet,
        canvases: Sequence[Canvas],
        *,
        neighbors: int,
        photo_lines: float = 0.0,
        name: str,
    ) -> QueryBank:
        """Embed drawings on each canvas.

        Args:
            adapted: the network.
            sketches: of photos that no gallery holds.
            canvases: the network's.
            neighbors: see the class; with 0 nothing is embedded.
            photo_lines: see the class.
            name: shown on the bars.
        """
        if not neighbors:
            return cls({canvas.size: torch.empty(0, adapted.embedding_dim) for canvas in canvases}, 0, photo_lines)
        return cls(embed_on_canvases(adapted, sketches, canvases, name=name), neighbors, photo_lines)

    def discounts(self, photos: torch.Tensor | Mapping[int, torch.Tensor]) -> dict[int, torch.Tensor]:
        """Canvas size -> what is taken off the similarity of each photo, (photos,).

        `hub_discounts` less their mean over the gallery: the order is the same, and similarities keep their size. 0 for
        all on a canvas where no drawing has a finite embedding, as of a training that diverged.

        Args:
            photos: the gallery, (photos, embedding_dim), or one for each canvas.
        """
        return {
            size: self._discounts(photos if isinstance(photos, torch.Tensor) else photos[size], drawn)
            for size, drawn in self.drawings.items()
        }

    def _discounts(self, photos: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
        if not self.neighbors or not drawn.isfinite().all(dim=1).any():
            return torch.zeros(len(photos))
        found = hub_discounts(photos, drawn, neighbors=self.neighbors)
        return found - found.nanmean()

    def save(self, folder: Path) -> None:
        """Write it beside a model, as safetensors in half precision, atomically; one that tells nothing is removed.

        Args:
            folder: of the model.

        Raises:
            OutputError: it cannot be written.
        """
        if not self.neighbors and not self.photo_lines:
            (folder / _FILE).unlink(missing_ok=True)
            return
        arrays = {str(size): drawn.half().contiguous() for size, drawn in self.drawings.items()}
        told = {"neighbors": str(self.neighbors), "photo_lines": str(self.photo_lines), "weights": _weights(folder)}
        atomic.write_bytes(folder / _FILE, safetensors.torch.save(arrays, told))

    @classmethod
    def beside(cls, folder: Path) -> QueryBank | None:
        """Read what `save` wrote, None where there is nothing.

        Args:
            folder: of the model.

        Raises:
            DataError: it cannot be read, or is of another network than lies there now.
        """
        path = folder / _FILE
        if not path.is_file():
            return None
        try:
            with safetensors.safe_open(path, "pt") as file:
                told = file.metadata()
                drawings = {int(size): file.get_tensor(size).float() for size in file.keys()}  # noqa: SIM118  # not a mapping
                settings = int(told["neighbors"]), float(told["photo_lines"])
                bank, weights = cls(dict(sorted(drawings.items())), *settings), told["weights"]
        except (OSError, safetensors.SafetensorError, ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{path}: not a bank of drawings that can be read ({error}); remove it to search without"
            ) from None
        if weights != _weights(folder):
            raise DataError(f"{path}: embeddings of another network than lies beside it; remove it to search without")
        return bank


def _weights(folder: Path) -> str:
    """The names of the weights beside a bank, which bear their hashes."""
    return " ".join(sorted(path.name for path in folder.glob("*.safetensors") if path.name != _FILE))
