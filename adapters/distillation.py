"""What a teacher's distances teach a student, and the average over canvases.

Every function takes embeddings (batch, embedding_dim) by name; the anchor is a sketch, positive and negative
are photos. Student and teacher may have different widths, since only distances are compared. Source: arXiv 2505.23763,
sections 3 and 4; where we depart from it, the docstring says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal, Protocol, TypeVar, cast

import torch
from torch import nn
from torch.nn import functional as F

from sketchkit.adapters.embedding_distances import (
    check_batch,
    check_rows,
    cosine_similarities,
    pairwise_distances,
    positive_number,
    row_distances,
)
from sketchkit.adapters.teacher_cache import TeacherCache, content_keys
from sketchkit.errors import ParameterError

__all__ = [
    "Embedder",
    "KDHead",
    "batch_relational_loss",
    "relational_loss",
    "scale_averaged",
    "similarity_distillation_loss",
]

Scale = TypeVar("Scale")


def relational_loss(
    anchor: torch.Tensor,
    positive: torch.Tensor,
    negative: torch.Tensor,
    teacher_anchor: torch.Tensor,
    teacher_positive: torch.Tensor,
    teacher_negative: torch.Tensor,
    *,
    beta: float,
    divide_by_beta: bool = False,
) -> torch.Tensor:
    """L_RKD = H(d_sp^T, d_sp^S) + H(d_sn^T, d_sn^S) + H(d_pn^T, d_pn^S), averaged over the batch; a scalar.

    H is the Huber loss: 0.5 x^2 up to beta, beta (|x| - 0.5 beta) beyond, as the paper writes. Many codes (RKD among
    them, with beta 1) use smooth L1 instead, which is H / beta: a weight of 10 on that loss with beta 0.05 equals a
    weight of 200 on this one. `divide_by_beta=True` gives smooth L1, so that weights can be compared; RKD
    (arXiv 1904.05068) also divides each network's distances by their mean, which we leave to you.

    Args:
        anchor: the student's sketches s, (batch, embedding_dim).
        positive: the student's photos p, (batch, embedding_dim).
        negative: the student's other photos n, (batch, embedding_dim).
        teacher_anchor: the teacher's embeddings of the same sketches, (batch, any width).
        teacher_positive: of the same photos, (batch, any width).
        teacher_negative: of the same other photos, (batch, any width).
        beta: Huber threshold, in units of distance.
        divide_by_beta: smooth L1 in place of the Huber loss.

    Raises:
        ParameterError: shapes do not fit, or beta is not above 0.

    Example:
        >>> student, teacher = torch.tensor([[0.0, 0.0]]), torch.tensor([[0.0, 0.0, 0.0]])
        >>> photo = torch.tensor([[0.0, 0.0, 3.0]])
        >>> relational_loss(student, student, student, teacher, teacher, photo, beta=0.5)
        tensor(2.7500)
        >>> relational_loss(student, student, student, teacher, teacher, photo, beta=0.5, divide_by_beta=True)
        tensor(5.5000)
    """
    check_rows(anchor, positive, negative)
    check_rows(teacher_anchor, teacher_positive, teacher_negative)
    check_batch(anchor, teacher_anchor)
    student = (anchor, positive, negative)
    teacher = (teacher_anchor.detach(), teacher_positive.detach(), teacher_negative.detach())
    pairs = ((0, 1), (0, 2), (1, 2))
    losses = [
        _huber(
            row_distances(student[a], student[b]), row_distances(teacher[a], teacher[b]), beta, divide_by_beta
        ).mean()
        for a, b in pairs
    ]
    return torch.stack(losses).sum()


def batch_relational_loss(
    sketches: torch.Tensor,
    photos: torch.Tensor,
    teacher_sketches: torch.Tensor,
    teacher_photos: torch.Tensor,
    *,
    beta: float,
    divide_by_beta: bool = False,
) -> torch.Tensor:
    """The paper's L_RKD over all distances of a batch instead of one triplet's three; a scalar.

    Mean Huber over the sketch-photo matrix, plus that over the pairs of sketches, plus that over the pairs of photos.

    Args:
        sketches: the student's, (sketches, embedding_dim).
        photos: the student's, (photos, embedding_dim).
        teacher_sketches: the teacher's embeddings of the same sketches, (sketches, any width).
        teacher_photos: of the same photos, (photos, any width).
        beta: Huber threshold, in units of distance.
        divide_by_beta: smooth L1 in place of the Huber loss; see `relational_loss`.

    Raises:
        ParameterError: shapes do not fit, or beta is not above 0.

    Example:
        >>> student, teacher = torch.zeros(2, 4), torch.tensor([[0.0], [1.0]])
        >>> batch_relational_loss(student, student, teacher, teacher, beta=1.0)
        tensor(1.2500)
    """
    check_batch(sketches, teacher_sketches)
    check_batch(photos, teacher_photos)
    across = _huber(
        pairwise_distances(sketches, photos),
        pairwise_distances(teacher_sketches.detach(), teacher_photos.detach()),
        beta,
        divide_by_beta,
    ).mean()
    among_sketches = _within(sketches, teacher_sketches, beta, divide_by_beta)
    return across + among_sketches + _within(photos, teacher_photos, beta, divide_by_beta)


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
        teacher_sketches: the teacher's embeddings of the same sketches, (sketches, any width).
        teacher_photos: of the same photos, (photos, any width).
        temperature: of both softmaxes.

    Raises:
        ParameterError: shapes do not fit, or the temperature is not above 0.

    Example:
        >>> sketches, photos = torch.eye(3), torch.eye(3)
        >>> similarity_distillation_loss(sketches, photos, sketches[:, :2], photos[:, :2], temperature=1.0) > 0
        tensor(True)
    """
    check_batch(sketches, teacher_sketches)
    check_batch(photos, teacher_photos)
    student = cosine_similarities(sketches, photos) / positive_number("temperature", temperature)
    teacher = cosine_similarities(teacher_sketches.detach(), teacher_photos.detach()) / temperature
    return _divergence(student, teacher) + _divergence(student.T, teacher.T)


def scale_averaged(loss_at: Callable[[Scale], torch.Tensor], canvases: Iterable[Scale]) -> torch.Tensor:
    """L* = (1 / K) sum_i L_trn(c_i): a loss averaged over the canvases that the same sketches are drawn on; a scalar.

    Args:
        loss_at: a canvas -> its scalar loss.
        canvases: c_1..c_K; whatever `loss_at` takes.

    Raises:
        ParameterError: there is no canvas.

    Example:
        >>> scale_averaged(lambda size: torch.tensor(1.0 / size), [32, 64])
        tensor(0.0234)
    """
    losses = [loss_at(canvas) for canvas in canvases]
    if not losses:
        raise ParameterError("scale_averaged needs at least one canvas")
    return torch.stack(losses).mean()


class Embedder(Protocol):
    """What a teacher can do; an `AdaptedModel` can."""

    def embed_photos(self, images: torch.Tensor) -> torch.Tensor:
        """Photos, `images` (batch, 3, height, width) in uint8 or 0..1 -> (batch, embedding_dim)."""

    def embed_rasters(self, rasters: torch.Tensor) -> torch.Tensor:
        """`rasters` (batch, height, width) uint8, ink 255 on 0 -> (batch, embedding_dim)."""


class KDHead(nn.Module):
    """A frozen teacher beside a student: it stays in evaluation mode and passes no gradients.

    With a cache, embeddings are looked up by keys (without keys: by the pictures' content) and those that are not there
    are computed and written. A full cache needs no teacher.

    Args:
        teacher: an `Embedder` module; it is frozen in place, so give a copy.
        cache: its embeddings on disk.

    Raises:
        ParameterError: there is neither.
        WeightsError: the cache is another teacher's.

    Example:
        >>> from sketchkit.adapters import adapt, mobilenet_v2
        >>> teacher = adapt(mobilenet_v2(), canvases=(32,), photo_size=32)
        >>> student, photos = torch.rand(2, 8, requires_grad=True), torch.rand(2, 3, 32, 32)
        >>> head = KDHead(teacher)
        >>> rasters = torch.zeros(2, 32, 32, dtype=torch.uint8)
        >>> loss = head.over_batch(student, student, rasters=rasters, images=photos, beta=0.05)
        >>> loss.backward()
    """

    def __init__(self, teacher: nn.Module | None = None, *, cache: TeacherCache | None = None) -> None:
        super().__init__()
        if teacher is None and cache is None:
            raise ParameterError("a KD head needs a teacher, or a TeacherCache with its embeddings")
        if teacher is not None and cache is not None:
            cache.check(teacher)
        self.teacher = None if teacher is None else teacher.requires_grad_(False).eval()
        self.cache = cache

    def train(self, mode: bool = True) -> KDHead:
        """Set the mode of the head; the teacher stays in evaluation mode.

        Args:
            mode: of the head.
        """
        self.training = mode
        return self

    def embed_photos(self, images: torch.Tensor | None = None, *, keys: Sequence[str] | None = None) -> torch.Tensor:
        """The teacher's embeddings of photos, (batch, embedding_dim).

        Args:
            images: (batch, 3, height, width), as the teacher takes them; may be absent when all keys are in the cache.
            keys: of the photos in the cache.

        Raises:
            MissingDataError: the cache lacks one, and there is no teacher or no picture.
            ParameterError: images are needed, or there are not as many keys as images.
        """
        return self._taught("photos", images, keys)

    def embed_rasters(self, rasters: torch.Tensor | None = None, *, keys: Sequence[str] | None = None) -> torch.Tensor:
        """The teacher's embeddings of rasters (batch, height, width) at its own canvas; see `embed_photos`."""
        return self._taught("sketches", rasters, keys)

    def forward(
        self,
        anchor: torch.Tensor,
        positive: torch.Tensor,
        negative: torch.Tensor,
        *,
        rasters: torch.Tensor | None = None,
        positive_images: torch.Tensor | None = None,
        negative_images: torch.Tensor | None = None,
        sketch_keys: Sequence[str] | None = None,
        positive_keys: Sequence[str] | None = None,
        negative_keys: Sequence[str] | None = None,
        beta: float,
        divide_by_beta: bool = False,
    ) -> torch.Tensor:
        """`relational_loss` of the student's embeddings against the teacher's, computed or looked up here; a scalar.

        Args:
            anchor: the student's sketches, (batch, embedding_dim).
            positive: the student's photos, (batch, embedding_dim).
            negative: the student's other photos, (batch, embedding_dim).
            rasters: the sketches as the teacher sees them, (batch, height, width) uint8.
            positive_images: the photos, (batch, 3, height, width).
            negative_images: the other photos, (batch, 3, height, width).
            sketch_keys: of the sketches in the cache.
            positive_keys: likewise.
            negative_keys: likewise.
            beta: Huber threshold, in units of distance.
            divide_by_beta: see `relational_loss`.
        """
        return relational_loss(
            anchor,
            positive,
            negative,
            self.embed_rasters(rasters, keys=sketch_keys).to(anchor.device),
            self.embed_photos(positive_images, keys=positive_keys).to(anchor.device),
            self.embed_photos(negative_images, keys=negative_keys).to(anchor.device),
            beta=beta,
            divide_by_beta=divide_by_beta,
        )

    def over_batch(
        self,
        sketches: torch.Tensor,
        photos: torch.Tensor,
        *,
        rasters: torch.Tensor | None = None,
        images: torch.Tensor | None = None,
        sketch_keys: Sequence[str] | None = None,
        photo_keys: Sequence[str] | None = None,
        beta: float,
        divide_by_beta: bool = False,
    ) -> torch.Tensor:
        """`batch_relational_loss` against the teacher, whose embeddings are computed or looked up here; a scalar.

        Args:
            sketches: the student's, (sketches, embedding_dim).
            photos: the student's, (photos, embedding_dim).
            rasters: the sketches as the teacher sees them, (sketches, height, width) uint8.
            images: the photos, (photos, 3, height, width).
            sketch_keys: of the sketches in the cache.
            photo_keys: of the photos in the cache.
            beta: Huber threshold, in units of distance.
            divide_by_beta: see `relational_loss`.
        """
        return batch_relational_loss(
            sketches,
            photos,
            self.embed_rasters(rasters, keys=sketch_keys).to(sketches.device),
            self.embed_photos(images, keys=photo_keys).to(sketches.device),
            beta=beta,
            divide_by_beta=divide_by_beta,
        )

    @torch.no_grad()
    def _taught(
        self, kind: Literal["photos", "sketches"], pictures: torch.Tensor | None, keys: Sequence[str] | None
    ) -> torch.Tensor:
        pictures = None if pictures is None else torch.as_tensor(pictures)
        if keys is not None and pictures is not None and len(keys) != len(pictures):
            raise ParameterError(f"each of the {len(pictures)} {kind} needs its key, but there are {len(keys)} keys")
        if self.cache is None:
            if pictures is None:
                raise ParameterError(f"the {kind} themselves are needed; keys alone are for a KD head with a cache")
            return self._embed(kind, pictures)
        if keys is None:
            if pictures is None:
                raise ParameterError(f"the KD head needs the {kind}, or their keys in the cache")
            keys = content_keys(pictures)
        if not keys and pictures is not None and self.teacher is not None:
            return self._embed(kind, pictures)
        missing = self.cache.missing(kind, keys)
        if missing and pictures is not None and self.teacher is not None:
            self.cache.add(kind, [keys[place] for place in missing], self._embed(kind, pictures[missing]))
        return self.cache.get(kind, keys)

    def _embed(self, kind: str, pictures: torch.Tensor) -> torch.Tensor:
        teacher = cast(Embedder, self.teacher)
        return teacher.embed_photos(pictures) if kind == "photos" else teacher.embed_rasters(pictures)


def _huber(student: torch.Tensor, teacher: torch.Tensor, beta: float, divide_by_beta: bool) -> torch.Tensor:
    threshold = positive_number("beta", beta)
    losses = F.huber_loss(student, teacher.to(student.dtype), reduction="none", delta=threshold)
    return losses / threshold if divide_by_beta else losses


def _within(student: torch.Tensor, teacher: torch.Tensor, beta: float, divide_by_beta: bool) -> torch.Tensor:
    """Mean Huber over the pairs of different rows; 0 for a single row."""
    first, second = torch.triu_indices(len(student), len(student), offset=1, device=student.device)
    fixed = teacher.detach()
    apart, taught = row_distances(student[first], student[second]), row_distances(fixed[first], fixed[second])
    losses = _huber(apart, taught, beta, divide_by_beta)
    return losses.sum() / max(len(losses), 1)


def _divergence(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    return F.kl_div(
        student.log_softmax(dim=1), teacher.to(student.dtype).log_softmax(dim=1), reduction="batchmean", log_target=True
    )
