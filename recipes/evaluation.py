"""Retrieval measures, and their intervals by drawing photos."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sketchkit.errors import ParameterError

if TYPE_CHECKING:
    import torch

__all__ = [
    "MEASURES",
    "accuracy",
    "bootstrap_interval",
    "mean_interval",
    "median_interval",
    "per_sketch",
    "rankings",
    "ranks",
]

MEASURES = ("acc@1", "acc@5", "acc@10", "mrr")
"""The measures that are means over sketches; `mrr` is the mean reciprocal rank."""

# Weights of drawn sketches that are in memory at once.
_BLOCK = 1 << 23


def ranks(
    sketches: torch.Tensor,
    photos: torch.Tensor,
    photo_of_sketch: NDArray[np.int64],
    discounts: torch.Tensor | None = None,
) -> NDArray[np.int64]:
    """The rank of each sketch's photo in the gallery, 1 = best.

    A photo at exactly the distance of the right one counts as before it: a collapsed network gains nothing by ties, and
    one whose embeddings are NaN is last everywhere.

    Args:
        sketches: (sketches, embedding_dim), L2-normalized.
        photos: (photos, embedding_dim), L2-normalized.
        photo_of_sketch: (sketches,) index of the right photo.
        discounts: (photos,), taken off the similarities; see `hub_discounts`.

    Returns:
        (sketches,) int64.
    """
    similarity = _similarity(sketches, photos, discounts)
    right = similarity[np.arange(len(similarity)), photo_of_sketch]
    found: NDArray[np.int64] = (~(similarity < right[:, None])).sum(axis=1)
    return found


def rankings(
    sketches: torch.Tensor,
    photos: torch.Tensor,
    photo_of_sketch: NDArray[np.int64],
    discounts: torch.Tensor | None = None,
) -> NDArray[np.int64]:
    """The whole gallery in the order in which it answers each sketch; the right photo stands at its rank (`ranks`).

    Args:
        sketches: (sketches, embedding_dim), L2-normalized.
        photos: (photos, embedding_dim), L2-normalized.
        photo_of_sketch: (sketches,) index of the right photo, which is set last among those at its distance.
        discounts: as of `ranks`.

    Returns:
        (sketches, photos) int64, indices of photos, best first.

    Example:
        >>> import torch
        >>> photos = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
        >>> rankings(photos[:1], photos, np.array([0]))  # photo 2 is as near as the right one
        array([[2, 0, 1]])
    """
    similarity = _similarity(sketches, photos, discounts)
    lines = np.arange(len(similarity))
    right = similarity[lines, photo_of_sketch]
    place = np.where(similarity < right[:, None], 2, 0)
    place[lines, photo_of_sketch] = 1
    order: NDArray[np.int64] = np.lexsort((-similarity, place), axis=-1)
    return order


def accuracy(found: NDArray[np.int64], top: int) -> float:
    """acc@top: the share of sketches whose photo is among the first `top`, from ranks `found` (sketches,), 1 = best."""
    return float(np.mean(found <= top))


def per_sketch(found: NDArray[np.int64], measure: str) -> NDArray[np.float64]:
    """What each sketch adds to a measure: the measure is its mean.

    Args:
        found: (sketches,) ranks.
        measure: `acc@` and a number, or `mrr` (the reciprocal rank).

    Raises:
        ParameterError: no such measure.

    Example:
        >>> per_sketch(np.array([1, 4]), "mrr"), per_sketch(np.array([1, 4]), "acc@1")
        (array([1.  , 0.25]), array([1., 0.]))
    """
    if measure == "mrr":
        return 1 / np.asarray(found, np.float64)
    name, _, top = measure.partition("@")
    if name != "acc" or not top.isdecimal() or int(top) < 1:
        raise ParameterError(f"measure {measure!r} is not known; known are mrr and acc@N, such as {MEASURES[0]}")
    return (np.asarray(found) <= int(top)).astype(np.float64)


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
    return mean_interval(per_sketch(found, f"acc@{top}"), photo_of_sketch, draws=draws, seed=seed)


def mean_interval(
    values: NDArray[np.float64], owners: NDArray[np.generic], *, draws: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """95 % interval of the mean over sketches, by drawing photos (with all their sketches) with replacement.

    Args:
        values: (sketches,) one number a sketch, as of `per_sketch`.
        owners: (sketches,) the photo each belongs to, as a number or a key.
        draws: bootstrap samples.
        seed: of the draws; equal photos are drawn for equal numbers of photos.

    Example:
        >>> mean_interval(np.array([0.5, 0.5, 0.5]), np.array(["a", "a", "b"]))
        (0.5, 0.5)
    """
    _, owner = np.unique(owners, return_inverse=True)
    sums, counts = np.bincount(owner, weights=values), np.bincount(owner)
    drawn = _drawn_photos(len(counts), draws, seed)
    return _central(drawn @ sums / (drawn @ counts))


def median_interval(
    found: NDArray[np.int64], owners: NDArray[np.generic], *, draws: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """95 % interval of the median rank, by the same draws as `mean_interval`.

    Args:
        found: (sketches,) ranks.
        owners: (sketches,) the photo each belongs to.
        draws: bootstrap samples.
        seed: of the draws.

    Example:
        >>> median_interval(np.array([3, 3, 3]), np.array([0, 1, 2]))
        (3.0, 3.0)
    """
    _, owner = np.unique(owners, return_inverse=True)
    order = np.argsort(found, kind="stable")
    ascending = np.asarray(found)[order]
    drawn = _drawn_photos(int(owner.max()) + 1, draws, seed)
    medians = []
    for part in np.array_split(drawn, -(-draws * len(order) // _BLOCK)):
        # The drawn sketches in order of rank are not written out: sketch i fills the places before upto[i].
        upto = np.cumsum(part[:, owner[order]], axis=1)
        middle = [(upto > place[:, None]).argmax(axis=1) for place in ((upto[:, -1] - 1) // 2, upto[:, -1] // 2)]
        medians.append((ascending[middle[0]] + ascending[middle[1]]) / 2)
    return _central(np.concatenate(medians))


def _similarity(sketches: torch.Tensor, photos: torch.Tensor, discounts: torch.Tensor | None) -> NDArray[np.float64]:
    found = sketches.double() @ photos.double().T
    similarity: NDArray[np.float64] = (found if discounts is None else found - discounts.double()).cpu().numpy()
    return similarity


def _drawn_photos(photos: int, draws: int, seed: int) -> NDArray[np.int64]:
    """How often each photo is drawn: (draws, photos), each line sums to `photos`."""
    drawn = np.random.default_rng(seed).integers(0, photos, size=(draws, photos))
    drawn += np.arange(draws)[:, None] * photos
    return np.bincount(drawn.ravel(), minlength=draws * photos).reshape(draws, photos)


def _central(values: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)
