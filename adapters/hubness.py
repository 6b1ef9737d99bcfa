"""Hubs: photos so near to all drawings that they answer queries which are not theirs.

Among unit vectors of many dimensions some are neighbors of far more others than is their share (Radovanović et al.
2010, Hubs in Space). That a photo is near to drawings of other objects comes from where it lies, not from what it
shows, so it is taken off its similarity. The drawings are known ones, of the training set: no query needs to be seen,
and a query costs one more subtraction a photo.
"""

from __future__ import annotations

import torch

from sketchkit.adapters.embedding_distances import cosine_similarities
from sketchkit.errors import ParameterError

__all__ = ["hub_discounts"]

# Photos that are compared with all drawings at once.
_CHUNK = 4096


def hub_discounts(photos: torch.Tensor, drawings: torch.Tensor, *, neighbors: int = 10) -> torch.Tensor:
    """What to take off each photo's cosine similarity to any query: half its mean similarity to the nearest drawings.

    `similarity - hub_discounts(photos, drawings)` orders the photos as cross-domain similarity local scaling does,
    whose other term is the same for all photos of a query. Source: Conneau et al. 2018, Word Translation Without
    Parallel Data, arXiv 1710.04087, section 2.3; with a bank of training queries, Bogolin et al. 2022, Cross Modal
    Retrieval with Querybank Normalisation, arXiv 2112.12777.

    Computed in float32, also inside autocast: discounts differ by little. Drawings whose embeddings are not finite do
    not count.

    Args:
        photos: the gallery, (photos, embedding_dim).
        drawings: embeddings of known drawings, none of them of the gallery's photos, on the canvas that is asked with,
            (drawings, embedding_dim).
        neighbors: how many of the nearest drawings count; all, where there are fewer.

    Returns:
        (photos,) float32, or float64 where `photos` are, from -0.5 to 0.5.

    Raises:
        ParameterError: shapes do not fit, there is no drawing that counts, or `neighbors` is below 1.

    Example:
        >>> photos = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        >>> drawings = torch.tensor([[0.6, 0.8], [0.0, 1.0]])
        >>> hub_discounts(photos, drawings, neighbors=1)
        tensor([0.3000, 0.5000])
    """
    if neighbors < 1:
        raise ParameterError(f"neighbors must be at least 1, not {neighbors}")
    known = drawings[drawings.isfinite().all(dim=1)].to(torch.promote_types(photos.dtype, torch.float32))
    if len(known) == 0:
        raise ParameterError("hubs are known by drawings, and there is none")
    with torch.autocast(photos.device.type, enabled=False):
        parts = [
            cosine_similarities(part.to(known.dtype), known).topk(min(neighbors, len(known)), dim=1).values.mean(dim=1)
            for part in torch.split(photos, _CHUNK)
        ]
    return torch.cat(parts) / 2
