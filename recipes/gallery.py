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
        embeddings: (photos, embedding_dim), or canvas size -> those for drawings on it.
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
        self,
        embeddings: torch.Tensor | Mapping[int, torch.Tensor],
        keys: Sequence[str],
        discounts: Mapping[int, torch.Tensor] | None = None,
    ) -> None:
        self.keys, discounts = list(keys), discounts or {}
        one = isinstance(embeddings, torch.Tensor)
        if not isinstance(embeddings, torch.Tensor):
            discounts = discounts or {size: torch.zeros(len(photos)) for size, photos in embeddings.items()}
            if set(discounts) != set(embeddings):
                raise ParameterError(f"embeddings at {sorted(embeddings)} px, but discounts at {sorted(discounts)} px")
        self._sizes = np.array(list(discounts if isinstance(embeddings, torch.Tensor) else embeddings), np.int64)
        # Photos that look the same from all canvases share one index.
        each = {0: embeddings} if isinstance(embeddings, torch.Tensor) else embeddings
        self._indexes = {
            size: _index(photos, discounts if one else {size: discounts[size]}, self.keys)
            for size, photos in each.items()
        }

    def search(
        self, queries: torch.Tensor, top: int = 10, *, canvases: Sequence[int] | NDArray[np.int64] | None = None
    ) -> Hits:
        """The `top` photos of each query.

        Args:
            queries: (queries, embedding_dim), L2-normalized.
            top: how many; at most as many as there are photos.
            canvases: (queries,) sizes that they were drawn at; needed where photos or their discounts differ by canvas.

        Raises:
            ParameterError: photos differ by canvas, and it is not said on which of these each query is.
            DataError: an embedding is not finite.
        """
        _check_finite(queries, "query")
        vectors, top = queries.detach().float().cpu().numpy(), min(top, len(self.keys))
        if not len(self._sizes):
            return self._hits(*self._indexes[0].search(vectors, top))
        sizes = self._asked(canvases, len(vectors))
        if 0 in self._indexes:
            asked = (sizes[:, None] == self._sizes).astype(np.float32)
            return self._hits(*self._indexes[0].search(np.concatenate([vectors, asked], axis=1), top))
        similarity, found = np.empty((len(vectors), top), np.float32), np.empty((len(vectors), top), np.int64)
        for size in np.unique(sizes).tolist():
            rows = sizes == size
            asked = np.ones((int(rows.sum()), 1), np.float32)
            similarity[rows], found[rows] = self._indexes[size].search(
                np.concatenate([vectors[rows], asked], axis=1), top
            )
        return self._hits(similarity, found)

    def _hits(self, similarity: NDArray[np.float32], found: NDArray[np.int64]) -> Hits:
        return Hits([[self.keys[index] for index in row] for row in found], similarity)

    def _asked(self, canvases: Sequence[int] | NDArray[np.int64] | None, queries: int) -> NDArray[np.int64]:
        sizes = np.asarray([] if canvases is None else canvases, np.int64)
        if sizes.shape != (queries,) or not np.isin(sizes, self._sizes).all():
            raise ParameterError(
                f"photos differ by canvas, so each of the {queries} queries needs its size, one of "
                f"{self._sizes.tolist()}, not {sizes.tolist()}"
            )
        return sizes


def _index(photos: torch.Tensor, discounts: Mapping[int, torch.Tensor], keys: Sequence[str]) -> faiss.IndexFlatIP:
    """An inner product takes off a discount too: a column for each canvas, which a query on it has a 1 in."""
    if len(keys) != len(photos):
        raise ParameterError(f"{len(photos)} embeddings, but {len(keys)} keys")
    for size, discount in discounts.items():
        if len(discount) != len(photos):
            raise ParameterError(f"{len(photos)} embeddings, but {len(discount)} discounts at {size} px")
    vectors = torch.cat([photos, *(-discount[:, None] for discount in discounts.values())], dim=1)
    _check_finite(vectors, "photo")
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors.detach().float().cpu().numpy())
    return index


def _check_finite(vectors: torch.Tensor, what: str) -> None:
    wrong = (~vectors.isfinite().all(dim=1)).nonzero()
    if len(wrong):
        raise DataError(f"the embedding of {what} {int(wrong[0])} is not finite; the network or its input is damaged")
