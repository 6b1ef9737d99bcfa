"""Retrieval measures."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

__all__ = ["accuracy", "bootstrap_interval", "ranks"]


def ranks(sketches: torch.Tensor, photos: torch.Tensor, photo_of_sketch: NDArray[np.int64]) -> NDArray[np.int64]:
    """The rank of each sketch's photo in the gallery, 1 = best.

    A photo at exactly the distance of the right one counts as before it: a collapsed network gains nothing by ties, and
    one whose embeddings are NaN is last everywhere.

    Args:
        sketches: (sketches, embedding_dim), L2-normalized.
        photos: (photos, embedding_dim), L2-normalized.
        photo_of_sketch: (sketches,) index of the right photo.

    Returns:
        (sketches,) int64.
    """
    similarity = (sketches.double() @ photos.double().T).cpu().numpy()
    right = similarity[np.arange(len(similarity)), photo_of_sketch]
    found: NDArray[np.int64] = (~(similarity < right[:, None])).sum(axis=1)
    return found


def accuracy(found: NDArray[np.int64], top: int) -> float:
    """acc@top: the share of sketches whose photo is among the first `top`."""
    return float(np.mean(found <= top))


def bootstrap_interval(
    found: NDArray[np.int64], photo_of_sketch: NDArray[np.int64], *, top: int = 1, draws: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """95 % interval of acc@top, by drawing photos (with all their sketches) with replacement.

    Args:
        found: (sketches,) ranks.
        photo_of_sketch: (sketches,) the photo each belongs to: sketches of one photo are not independent.
        top: the accuracy's cut.
        draws: bootstrap samples.
        seed: of the draws.
    """
    _, owner = np.unique(photo_of_sketch, return_inverse=True)
    hits = np.bincount(owner, weights=found <= top)
    counts = np.bincount(owner)
    drawn = np.random.default_rng(seed).integers(0, len(counts), size=(draws, len(counts)))
    shares = hits[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.quantile(shares, [0.025, 0.975])
    return float(low), float(high)
