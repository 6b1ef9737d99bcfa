"""The gallery: photos' embeddings in an index, asked with a drawing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import faiss
import numpy as np
import torch
from numpy.typing import NDArray

from sketchkit.errors import DataError, ParameterError

__all__ = ["Gallery", "Hits"]


@dataclass(frozen=True)
class Hits:
    """What a search found, best first.

    Args:
        keys: of the photos, a list a query.
        similarity: (queries, top) cosine similarities, -1 to 1, less the photos' discounts.
    """

    keys: list[list[str]]
    similarity: NDArray[np.float32]


class Gallery:
    """Exact search over L2-normalized embeddings, by FAISS, inside the process.

    Args:
        embeddings: (photos, embedding_dim).
        keys: what names each photo.
        discounts: canvas size -> (photos,), taken off the similarity to a drawing on that canvas (`QueryBank`); None:
            nothing is, whatever the canvas.

    Raises:
        ParameterError: there are not as many keys as embeddings, or discounts.
        DataError: an embedding or a discount is not finite.

    Example:
        >>> gallery = Gallery(torch.eye(2), ["a", "b"], {32: torch.tensor([0.5, 0.0])})
        >>> gallery.search(torch.tensor([[0.8, 0.6]]), canvases=[32]).keys
        [['b', 'a']]
    """

    def __init__(
        self, embeddings: torch.Tensor, keys: Sequence[str], discounts: Mapping[int, torch.Tensor] | None = None
    ) -> None:
        if len(keys) != len(embeddings):
            raise ParameterError(f"{len(embeddings)} embeddings, but {len(keys)} keys")
        self.keys = list(keys)
        discounts = discounts or {}
        for size, discount in discounts.items():
            if len(discount) != len(embeddings):
                raise ParameterError(f"{len(embeddings)} embeddings, but {len(discount)} discounts at {size} px")
        self._sizes = np.array(list(discounts), np.int64)
        # An inner product takes off a discount too: a column for each canvas, which a query on it has a 1 in.
        vectors = torch.cat([embeddings, *(-discount[:, None] for discount in discounts.values())], dim=1)
        _check_finite(vectors, "photo")
        self._index = faiss.IndexFlatIP(vectors.shape[1])
        self._index.add(vectors.detach().float().cpu().numpy())

    def search(
        self, queries: torch.Tensor, top: int = 10, *, canvases: Sequence[int] | NDArray[np.int64] | None = None
    ) -> Hits:
        """The `top` photos of each query.

        Args:
            queries: (queries, embedding_dim), L2-normalized.
            top: how many; at most as many as there are photos.
            canvases: the size that each query was drawn at; needed where photos have discounts.

        Raises:
            ParameterError: photos have discounts, and it is not said on which of their canvases each query is.
            DataError: an embedding is not finite.
        """
        _check_finite(queries, "query")
        vectors = queries.detach().float().cpu().numpy()
        if len(self._sizes):
            vectors = np.concatenate([vectors, self._asked(canvases, len(vectors))], axis=1)
        similarity, found = self._index.search(vectors, min(top, len(self.keys)))
        return Hits([[self.keys[index] for index in row] for row in found], similarity)

    def _asked(self, canvases: Sequence[int] | NDArray[np.int64] | None, queries: int) -> NDArray[np.float32]:
        sizes = np.asarray([] if canvases is None else canvases, np.int64)
        if sizes.shape != (queries,) or not np.isin(sizes, self._sizes).all():
            raise ParameterError(
                f"photos are discounted by canvas, so each of the {queries} queries needs its size, one of "
                f"{self._sizes.tolist()}, not {sizes.tolist()}"
            )
        asked: NDArray[np.float32] = (sizes[:, None] == self._sizes).astype(np.float32)
        return asked


def _check_finite(vectors: torch.Tensor, what: str) -> None:
    wrong = (~vectors.isfinite().all(dim=1)).nonzero()
    if len(wrong):
        raise DataError(f"the embedding of {what} {int(wrong[0])} is not finite; the network or its input is damaged")
