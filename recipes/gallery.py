"""The gallery: photos' embeddings in an index, asked with a drawing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import faiss
import numpy as np
import torch
from numpy.typing import NDArray

from sketchkit.errors import ParameterError

__all__ = ["Gallery", "Hits"]


@dataclass(frozen=True)
class Hits:
    """What a search found, best first.

    Args:
        keys: of the photos, a list a query.
        similarity: (queries, top) cosine similarities, -1 to 1.
    """

    keys: list[list[str]]
    similarity: NDArray[np.float32]


class Gallery:
    """Exact search over L2-normalized embeddings, by FAISS, inside the process.

    Args:
        embeddings: (photos, embedding_dim).
        keys: what names each photo.

    Raises:
        ParameterError: there are not as many keys as embeddings.
    """

    def __init__(self, embeddings: torch.Tensor, keys: Sequence[str]) -> None:
        if len(keys) != len(embeddings):
            raise ParameterError(f"{len(embeddings)} embeddings, but {len(keys)} keys")
        self.keys = list(keys)
        self._index = faiss.IndexFlatIP(embeddings.shape[1])
        self._index.add(embeddings.detach().float().cpu().numpy())

    def search(self, queries: torch.Tensor, top: int = 10) -> Hits:
        """The `top` most similar photos of each query.

        Args:
            queries: (queries, embedding_dim), L2-normalized.
            top: how many; at most as many as there are photos.
        """
        vectors = queries.detach().float().cpu().numpy()
        similarity, found = self._index.search(vectors, min(top, len(self.keys)))
        return Hits([[self.keys[index] for index in row] for row in found], similarity)
