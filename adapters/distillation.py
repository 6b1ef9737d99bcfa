"""Losses on embeddings: retrieval, and what a teacher's distances teach a student.

Every function takes embeddings (batch, embedding_dim) by name; the anchor is a sketch, positive and negative
are photos. Student and teacher may have different widths, since only distances are compared. Source: arXiv 2505.23763,
sections 3 and 4; where we depart from it, the docstring says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar, cast

import torch
from torch import nn
from torch.nn import functional as F

from sketchkit.errors import ParameterError

__all__ = [
    "Embedder",
    "KDHead",
    "batch_relational_loss",
    "info_nce",
    "pairwise_distances",
    "relational_loss",
    "scale_averaged",
    "similarity_distillation_loss",
    "triplet_loss",
]

Scale = TypeVar("Scale")


def pairwise_distances(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Euclidean distances of all pairs: (n, embedding_dim), (m, embedding_dim) -> (n, m).

    Two equal embeddings have distance 0 with gradient 0, where a plain square root would give NaN.

    Example:
        >>> pairwise_distances(torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
        tensor([[5., 0.]])
    """
    _check_widths(first, second)
    return _distance(first[:, None, :], second[None, :, :])


def triplet_loss(
    anchor: torch.Tensor, positive: torch.Tensor, negative: torch.Tensor, *, margin: float
) -> torch.Tensor:
    """L_Tri = mean of max(0, margin + d(s, p) - d(s, n)), with the Euclidean distance d; a scalar.

    Args:
        anchor: the sketches s, (batch, embedding_dim).
        positive: their photos p.
        negative: other photos n.
        margin: by how much the wrong photo must be farther away.

    Example:
        >>> triplet_loss(torch.zeros(1, 2), torch.ones(1, 2), torch.ones(1, 2), margin=0.25)
        tensor(0.2500)
    """
    _check_rows(anchor, positive, negative)
    return (margin + _distance(anchor, positive) - _distance(anchor, negative)).clamp_min(0).mean()


def relational_loss(
    anchor: torch.Tensor,
    positive: torch.Tensor,
    negative: torch.Tensor,
    teacher_anchor: torch.Tensor,
    teacher_positive: torch.Tensor,
    teacher_negative: torch.Tensor,
    *,
    beta: float,
) -> torch.Tensor:
    """L_RKD = H(d_sp^T, d_sp^S) + H(d_sn^T, d_sn^S) + H(d_pn^T, d_pn^S), averaged over the batch; a scalar.

    H is the Huber loss: 0.5 x^2 up to beta, beta (|x| - 0.5 beta) beyond. The paper does not say whether it divides by
    beta (smooth L1); we do not.

    Args:
        anchor: the student's sketches s, (batch, embedding_dim).
        positive: the student's photos p.
        negative: the student's other photos n.
        teacher_anchor: the teacher's embeddings of the same, of any width.
        teacher_positive: likewise.
        teacher_negative: likewise.
        beta: Huber threshold, in units of distance.
    """
    _check_rows(anchor, positive, negative)
    _check_rows(teacher_anchor, teacher_positive, teacher_negative)
    _check_batch(anchor, teacher_anchor)
    student = (anchor, positive, negative)
    teacher = (teacher_anchor.detach(), teacher_positive.detach(), teacher_negative.detach())
    pairs = ((0, 1), (0, 2), (1, 2))
    losses = [
        _huber(_distance(student[a], student[b]), _distance(teacher[a], teacher[b]), beta).mean() for a, b in pairs
    ]
    return torch.stack(losses).sum()


def batch_relational_loss(
    sketches: torch.Tensor,
    photos: torch.Tensor,
    teacher_sketches: torch.Tensor,
    teacher_photos: torch.Tensor,
    *,
    beta: float,
) -> torch.Tensor:
    """The paper's L_RKD over all distances of a batch instead of one triplet's three; a scalar.

    Mean Huber over the sketch-photo matrix, plus that over the pairs of sketches, plus that over the pairs of photos.

    Args:
        sketches: the student's, (sketches, embedding_dim).
        photos: the student's, (photos, embedding_dim).
        teacher_sketches: the teacher's embeddings of the same sketches, of any width.
        teacher_photos: of the same photos.
        beta: Huber threshold, in units of distance.
    """
    _check_batch(sketches, teacher_sketches)
    _check_batch(photos, teacher_photos)
    across = _huber(
        pairwise_distances(sketches, photos),
        pairwise_distances(teacher_sketches.detach(), teacher_photos.detach()),
        beta,
    ).mean()
    return across + _within(sketches, teacher_sketches, beta) + _within(photos, teacher_photos, beta)


def similarity_distillation_loss(
    sketches: torch.Tensor,
    photos: torch.Tensor,
    teacher_sketches: torch.Tensor,
    teacher_photos: torch.Tensor,
    *,
    temperature: float,
) -> torch.Tensor:
    """KL(teacher || student) of in-batch similarity softmaxes; a scalar, 0 where the two agree.

    Not the paper's loss, but a relational one like it: each sketch's softmax over the photos, and each photo's over
    the sketches, of cosine similarity / temperature; the mean over rows, summed over the two directions.

    Args:
        sketches: the student's, (sketches, embedding_dim).
        photos: the student's, (photos, embedding_dim).
        teacher_sketches: the teacher's embeddings of the same sketches, of any width.
        teacher_photos: of the same photos.
        temperature: of both softmaxes.
    """
    _check_batch(sketches, teacher_sketches)
    _check_batch(photos, teacher_photos)
    student = _similarities(sketches, photos) / _positive("temperature", temperature)
    teacher = _similarities(teacher_sketches.detach(), teacher_photos.detach()) / temperature
    return _divergence(student, teacher) + _divergence(student.T, teacher.T)


def info_nce(
    sketches: torch.Tensor, photos: torch.Tensor, *, temperature: float, owner: torch.Tensor | None = None
) -> torch.Tensor:
    """In-batch contrastive loss, both ways; a scalar.

    Sketch to photo: cross-entropy of each sketch's softmax over the photos. Photo to sketch: minus the log of the
    share that a photo's own sketches have in its softmax over the sketches. The mean of each, summed. Not in the
    paper, which trains on triplets. Source: van den Oord et al. 2018, arXiv 1807.03748.

    Args:
        sketches: (sketches, embedding_dim).
        photos: (photos, embedding_dim), each once.
        temperature: of the softmax over cosine similarities.
        owner: (sketches,) int64, which photo each sketch belongs to; default: the one in the same row. A photo
            without a sketch in the batch is only a negative.

    Raises:
        ParameterError: shapes do not fit.
    """
    if owner is None:
        owner = torch.arange(len(sketches), device=sketches.device)
        _check_batch(sketches, photos)
    if owner.shape != (len(sketches),):
        raise ParameterError(f"owner must be ({len(sketches)},), one photo a sketch, not {tuple(owner.shape)}")
    similarities = _similarities(sketches, photos) / _positive("temperature", temperature)
    owner = owner.to(similarities.device)
    to_photo = F.cross_entropy(similarities, owner)
    own = owner[None, :] == torch.arange(len(photos), device=owner.device)[:, None]
    shown = own.any(dim=1)
    backwards = similarities.T[shown]
    share = backwards.masked_fill(~own[shown], float("-inf")).logsumexp(dim=1) - backwards.logsumexp(dim=1)
    return to_photo - share.mean()


def scale_averaged(loss_at: Callable[[Scale], torch.Tensor], canvases: Iterable[Scale]) -> torch.Tensor:
    """L* = (1 / K) sum_i L_trn(c_i): a loss averaged over the canvases that the same sketches are drawn on.

    Args:
        loss_at: a canvas -> its scalar loss.
        canvases: c_1..c_K; whatever `loss_at` takes.

    Raises:
        ParameterError: there is no canvas.
    """
    losses = [loss_at(canvas) for canvas in canvases]
    if not losses:
        raise ParameterError("scale_averaged needs at least one canvas")
    return torch.stack(losses).mean()


class Embedder(Protocol):
    """What a teacher can do; an `AdaptedModel` can."""

    def embed_photos(self, images: torch.Tensor) -> torch.Tensor:
        """Photos (batch, 3, height, width) -> (batch, embedding_dim)."""

    def embed_rasters(self, rasters: torch.Tensor) -> torch.Tensor:
        """Rasters (batch, height, width) uint8 -> (batch, embedding_dim)."""


class KDHead(nn.Module):
    """A frozen teacher beside a student: it stays in evaluation mode and passes no gradients.

    Args:
        teacher: an `Embedder` module; it is frozen in place, so give a copy.
    """

    def __init__(self, teacher: nn.Module) -> None:
        super().__init__()
        self.teacher = teacher.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> KDHead:
        """Set the mode of the head; the teacher stays in evaluation mode."""
        self.training = mode
        return self

    @torch.no_grad()
    def embed_photos(self, images: torch.Tensor) -> torch.Tensor:
        """The teacher's embeddings of photos, (batch, embedding_dim)."""
        return cast(Embedder, self.teacher).embed_photos(images)

    @torch.no_grad()
    def embed_rasters(self, rasters: torch.Tensor) -> torch.Tensor:
        """The teacher's embeddings of rasters (batch, height, width) at its own canvas, (batch, embedding_dim)."""
        return cast(Embedder, self.teacher).embed_rasters(rasters)

    def forward(
        self,
        anchor: torch.Tensor,
        positive: torch.Tensor,
        negative: torch.Tensor,
        *,
        rasters: torch.Tensor,
        positive_images: torch.Tensor,
        negative_images: torch.Tensor,
        beta: float,
    ) -> torch.Tensor:
        """`relational_loss` of the student's embeddings against the teacher's, which are computed here.

        Args:
            anchor: the student's sketches, (batch, embedding_dim).
            positive: the student's photos.
            negative: the student's other photos.
            rasters: the sketches as the teacher sees them, (batch, height, width) uint8.
            positive_images: the photos, (batch, 3, height, width).
            negative_images: the other photos.
            beta: Huber threshold.
        """
        return relational_loss(
            anchor,
            positive,
            negative,
            self.embed_rasters(rasters),
            self.embed_photos(positive_images),
            self.embed_photos(negative_images),
            beta=beta,
        )


def _distance(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    squared = (first - second).square().sum(dim=-1)
    # The root's slope at 0 is infinite; there the root of 1 is taken and thrown away.
    apart = squared > 0
    return torch.where(apart, torch.where(apart, squared, 1).sqrt(), 0)


def _huber(student: torch.Tensor, teacher: torch.Tensor, beta: float) -> torch.Tensor:
    return F.huber_loss(student, teacher.to(student.dtype), reduction="none", delta=_positive("beta", beta))


def _within(student: torch.Tensor, teacher: torch.Tensor, beta: float) -> torch.Tensor:
    """Mean Huber over the pairs of different rows; 0 for a single row."""
    first, second = torch.triu_indices(len(student), len(student), offset=1, device=student.device)
    fixed = teacher.detach()
    losses = _huber(_distance(student[first], student[second]), _distance(fixed[first], fixed[second]), beta)
    return losses.sum() / max(len(losses), 1)


def _similarities(sketches: torch.Tensor, photos: torch.Tensor) -> torch.Tensor:
    _check_widths(sketches, photos)
    return F.normalize(sketches, dim=1) @ F.normalize(photos, dim=1).T


def _divergence(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    return F.kl_div(
        student.log_softmax(dim=1), teacher.to(student.dtype).log_softmax(dim=1), reduction="batchmean", log_target=True
    )


def _positive(name: str, value: float) -> float:
    if not value > 0:
        raise ParameterError(f"{name} must be above 0, not {value}")
    return value


def _check_widths(first: torch.Tensor, second: torch.Tensor) -> None:
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1]:
        shapes = f"{tuple(first.shape)} and {tuple(second.shape)}"
        raise ParameterError(f"embeddings must be (batch, embedding_dim) of one width, not {shapes}")


def _check_rows(*embeddings: torch.Tensor) -> None:
    shapes = [tuple(each.shape) for each in embeddings]
    if len(set(shapes)) > 1 or len(shapes[0]) != 2:
        raise ParameterError(f"anchor, positive and negative must be (batch, embedding_dim) alike, not {shapes}")


def _check_batch(first: torch.Tensor, second: torch.Tensor) -> None:
    if len(first) != len(second):
        raise ParameterError(f"{len(first)} embeddings on one side, {len(second)} on the other; rows must correspond")
