"""A network that names what a drawing shows: an adapted network, and a linear layer over its embeddings."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import nn

from sketchkit import atomic
from sketchkit.adapters.adapted_model import AdaptedModel
from sketchkit.blocks import as_block
from sketchkit.canvas import Canvas
from sketchkit.errors import MissingDataError, ParameterError, WeightsError
from sketchkit.sketch import Sketch
from sketchkit.sketch_set import SketchSet

__all__ = ["CategoryHead", "Recognition", "Recognizer"]

_FILE = "categories.safetensors"
_FORMAT = "sketchkit categories 1"


class CategoryHead(nn.Module):
    """Logits of categories: a linear layer over embeddings of length 1, which are divided by a temperature first.

    Args:
        embedding_dim: width of the embeddings.
        categories: their names, in the order of the logits.
        temperature: stands for the length that embeddings do not have.

    Raises:
        ParameterError: there are fewer than two names, or two are equal; the temperature is not above 0.

    Example:
        >>> CategoryHead(8, ["cat", "dog"])(torch.zeros(3, 8)).shape
        torch.Size([3, 2])
    """

    def __init__(self, embedding_dim: int, categories: Sequence[str], *, temperature: float = 0.05) -> None:
        super().__init__()
        if len(categories) < 2 or len(set(categories)) < len(categories):
            raise ParameterError(f"categories must be two different names or more, not {list(categories)}")
        if not temperature > 0:
            raise ParameterError(f"temperature must be above 0, not {temperature}")
        self.categories = tuple(categories)
        self.temperature = temperature
        self.linear = nn.Linear(embedding_dim, len(categories))

    def forward(self, embeddings: torch.Tensor) -> torch.Tensor:
        """`embeddings` (batch, embedding_dim) -> logits (batch, categories), in single precision under autocast too."""
        with torch.autocast(embeddings.device.type, enabled=False):
            logits: torch.Tensor = self.linear(embeddings.float() / self.temperature)
        return logits


@dataclass(frozen=True)
class Recognition:
    """What a recognizer answers to some drawings.

    Args:
        categories: for each drawing names, the most likely one first.
        probabilities: (drawings, names) of those; the softmax over all categories.
        canvases: (drawings,) sides in pixels on which they were looked at.
    """

    categories: list[list[str]]
    probabilities: NDArray[np.float32]
    canvases: NDArray[np.int64]


class Recognizer(nn.Module):
    """An adapted network and the categories that it tells apart.

    Args:
        adapted: becomes part of this module.
        head: over its embeddings.

    Raises:
        ParameterError: the head is for embeddings of another width.

    Example:
        >>> from sketchkit import adapt
        >>> adapted = adapt("mobilenet_v2", canvases=(32, 64), photo_size=64)
        >>> recognizer = Recognizer(adapted, CategoryHead(adapted.embedding_dim, ["house", "roof"]))
        >>> roof = Sketch.from_strokes([[(0, 9), (5, 0), (9, 9)]])
        >>> found = recognizer.recognize(roof)
        >>> sorted(found.categories[0]), found.canvases.tolist()
        (['house', 'roof'], [64])
    """

    def __init__(self, adapted: AdaptedModel, head: CategoryHead) -> None:
        super().__init__()
        if head.linear.in_features != adapted.embedding_dim:
            raise ParameterError(
                f"the head is for embeddings of {head.linear.in_features} values, the network's have "
                f"{adapted.embedding_dim}"
            )
        self.adapted = adapted
        self.head = head

    @property
    def categories(self) -> tuple[str, ...]:
        """Their names, in the order of the logits."""
        return self.head.categories

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Normalized images, `inputs` (batch, channels, height, width) -> logits (batch, categories)."""
        logits: torch.Tensor = self.head(self.adapted.embed(inputs))
        return logits

    @torch.no_grad()
    def recognize(
        self, sketches: Sketch | SketchSet | Iterable[Sketch], *, top: int = 5, canvas: int | Canvas | None = None
    ) -> Recognition:
        """Name what drawings show: select a canvas, draw, embed, compare.

        Args:
            sketches: one drawing or many.
            top: how many categories; at most as many as there are.
            canvas: draw all of them on this one; None: the selector's choice for each.

        Raises:
            ParameterError: no canvas has this size, or `top` is below 1.
            DataError: a coordinate is NaN or infinite.
        """
        if top < 1:
            raise ParameterError(f"top must be at least 1, not {top}")
        block = as_block(sketches)
        if canvas is None:
            sizes = np.asarray(self.adapted.select(block))
        else:
            sizes = np.full(len(block), canvas if isinstance(canvas, int) else canvas.size)
        chances = self.head(self.adapted.embed_sketches(block, canvas)).softmax(dim=1)
        best = chances.topk(min(top, len(self.categories)), dim=1)
        named = [[self.categories[index] for index in line] for line in best.indices.tolist()]
        return Recognition(named, best.values.cpu().numpy(), sizes)

    def save_pretrained(self, folder: str | os.PathLike[str], **options: Any) -> None:
        """Write the adapted network as `AdaptedModel.save_pretrained`, and beside it `categories.safetensors`.

        That file holds `weight`, `bias`, the names and the temperature, and whose embeddings it reads.

        Args:
            folder: made when it is not there.
            **options: of `AdaptedModel.save_pretrained`.

        Raises:
            OutputError: the folder cannot be written.
        """
        self.adapted.save_pretrained(folder, **options)
        metadata = {
            "format": _FORMAT,
            "categories": json.dumps(self.categories, ensure_ascii=False),
            "temperature": repr(self.head.temperature),
            "network": _network_of(Path(folder)),
        }
        tensors = {name: value.detach().cpu().contiguous() for name, value in self.head.linear.state_dict().items()}
        atomic.write_bytes(Path(folder) / _FILE, safetensors.torch.save(tensors, metadata))

    @classmethod
    def from_pretrained(cls, folder: str | os.PathLike[str], model: nn.Module | None = None) -> Recognizer:
        """Read what `save_pretrained` wrote; in evaluation mode, on the CPU, its logits exactly the same.

        Args:
            folder: where it was saved.
            model: see `AdaptedModel.from_pretrained`.

        Raises:
            MissingDataError: the folder holds no adapted network, or no categories.
            WeightsError: a file is damaged, or the categories are another network's.
        """
        path = Path(folder) / _FILE
        adapted = AdaptedModel.from_pretrained(folder, model)
        if not path.is_file():
            raise MissingDataError(f"{folder} holds a network but no categories: there is no {path.name}")
        try:
            with safe_open(path, "pt") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 -- it is no mapping
            if metadata.get("format") != _FORMAT:
                raise ValueError(f"its format is {metadata.get('format')!r}, not {_FORMAT!r}")
            names, temperature = json.loads(metadata["categories"]), float(metadata["temperature"])
            with torch.random.fork_rng(devices=[]):  # what is drawn here is overwritten
                head = CategoryHead(tensors["weight"].shape[1], names, temperature=temperature)
            head.linear.load_state_dict(tensors)
        except (KeyError, OSError, RuntimeError, TypeError, ValueError, IndexError, SafetensorError) as error:
            raise WeightsError(f"{path}: not the categories of a recognizer ({error}); save it again") from None
        if metadata.get("network") != _network_of(Path(folder)):
            raise WeightsError(f"{path}: these categories belong to another network than the folder's; save both again")
        return cls(adapted, head).eval()


def _network_of(folder: Path) -> str:
    """The SHA-256 of the network's weights, as the adapted network's `config.json` states it."""
    return str(json.loads((folder / "config.json").read_text(encoding="utf-8"))["weights"]["sha256"])
