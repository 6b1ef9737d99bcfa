"""Losses that pull a sketch to its photo, without a teacher: triplets, the hardest triplets of a batch, contrast.

Every function takes embeddings (batch, embedding_dim) by name; the anchor is a sketch, positive and negative are
photos.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F

from sketchkit.adapters.embedding_distances import (
    check_batch,
    check_rows,
    cosine_similarities,
    pairwise_distances,
    positive_number,
    row_distances,
)
from sketchkit.errors import ParameterError

__all__ = ["hard_triplet_loss", "info_nce", "triplet_loss"]


def triplet_loss(
    anchor: torch.Tensor, positive: torch.Tensor, negative: torch.Tensor, *, margin: float
) -> torch.Tensor:
    """L_Tri = mean of max(0, margin + d(s, p) - d(s, n)), with the Euclidean distance d; a scalar.

    Source: arXiv 2505.23763, section 3.

    Args:
        anchor: the sketches s, (batch, embedding_dim).
        positive: their photos p, (batch, embedding_dim).
        negative: other photos n, (batch, embedding_dim).
        margin: by how much the wrong photo must be farther away, in units of distance.

    Example:
        >>> triplet_loss(torch.zeros(1, 2), torch.ones(1, 2), torch.ones(1, 2), margin=0.25)
        tensor(0.2500)
    """
    check_rows(anchor, positive, negative)
    return (margin + row_distances(anchor, positive) - row_distances(anchor, negative)).clamp_min(0).mean()


def hard_triplet_loss(
    sketches: torch.Tensor, photos: torch.Tensor, *, margin: float, owner: torch.Tensor | None = None
) -> torch.Tensor:
    """`triplet_loss` with the batch's hardest negative: the photo nearest to a sketch that is not its own; a scalar.

    The mean over the sketches; 0, and still with a graph, when the batch has a single photo. Not in the paper. Source:
    Hermans et al. 2017, arXiv 1703.07737, "batch hard", with one positive a sketch.

    Args:
        sketches: (sketches, embedding_dim).
        photos: (photos, embedding_dim), each once.
        margin: by how much the nearest wrong photo must be farther away than the right one, in units of distance.
        owner: (sketches,) int64, which photo each sketch belongs to; default: the one in the same row.

    Raises:
        ParameterError: shapes do not fit.

    Example:
        >>> photos = torch.tensor([[1.0, 0.0], [5.0, 0.0], [0.0, 3.0]])
        >>> hard_triplet_loss(torch.zeros(1, 2), photos, margin=2.5, owner=torch.tensor([0]))
        tensor(0.5000)
    """
    owner = _owner(sketches, photos, owner)
    distances = pairwise_distances(sketches, photos)
    own = owner[:, None] == torch.arange(len(photos), device=owner.device)
    positive = distances.gather(1, owner[:, None]).squeeze(1)
    if len(photos) == 1:
        return (positive * 0).mean()
    negative = distances.masked_fill(own, float("inf")).amin(dim=1)
    return (margin + positive - negative).clamp_min(0).mean()


def info_nce(
    sketches: torch.Tensor, photos: torch.Tensor, *, temperature: float, owner: torch.Tensor | None = None
) -> torch.Tensor:
    """In-batch contrastive loss, both ways; a scalar.

    Sketch to photo: cross-entropy of each sketch's softmax over the photos. Photo to sketch: minus the log of the
    share that a photo's own sketches have in its softmax over the sketches. The mean of each, summed: embeddings that
    tell nothing apart give 2 ln(n) for n pairs, 6.9 for 32. Not in the paper, which trains on triplets. Source: van den
    Oord et al. 2018, arXiv 1807.03748.

    Args:
        sketches: (sketches, embedding_dim).
        photos: (photos, embedding_dim), each once.
        temperature: of the softmax over cosine similarities.
        owner: (sketches,) int64, which photo each sketch belongs to; default: the one in the same row. A photo
            without a sketch in the batch is only a negative.

    Raises:
        ParameterError: shapes do not fit.

    Example:
        >>> round(info_nce(torch.eye(2), torch.eye(2), temperature=1.0).item(), 4)
        0.6265
        >>> round(info_nce(torch.ones(32, 8), torch.ones(32, 8), temperature=1.0).item(), 1)
        6.9
    """
    owner = _owner(sketches, photos, owner)
    similarities = cosine_similarities(sketches, photos) / positive_number("temperature", temperature)
    owner = owner.to(similarities.device)
    to_photo = F.cross_entropy(similarities, owner)
    own = owner[None, :] == torch.arange(len(photos), device=owner.device)[:, None]
    shown = own.any(dim=1)
    backwards = similarities.T[shown]
    share = backwards.masked_fill(~own[shown], float("-inf")).logsumexp(dim=1) - backwards.logsumexp(dim=1)
    return to_photo - share.mean()


def _owner(sketches: torch.Tensor, photos: torch.Tensor, owner: torch.Tensor | None) -> torch.Tensor:
    if owner is None:
        check_batch(sketches, photos)
        return torch.arange(len(sketches), device=sketches.device)
    if owner.shape != (len(sketches),):
        raise ParameterError(f"owner must be ({len(sketches)},), one photo a sketch, not {tuple(owner.shape)}")
    return owner.to(sketches.device)
