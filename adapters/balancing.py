"""How two losses are weighed against each other: by hand, or by the sizes of their gradients at the embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from sketchkit.adapters.embedding_distances import positive_number
from sketchkit.errors import ParameterError

__all__ = ["DistilledLoss", "distilled_loss", "gradient_norms"]


@dataclass(frozen=True)
class DistilledLoss:
    """A task loss and a distillation loss, added up; printed, in one line.

    Args:
        loss: the sum to call `backward()` on, a scalar.
        weight: the factor on the distillation loss, beside its share.
        task_gradient: norm of the task loss's gradient at the embeddings; None when it was not asked for.
        distillation_gradient: likewise, of the distillation loss before weight and share.

    Example:
        >>> print(DistilledLoss(torch.tensor(0.5), 2.0, 0.25, 0.125))
        loss 0.5; gradient norms: task 0.25, distillation 0.125; weight 2
    """

    loss: torch.Tensor
    weight: float
    task_gradient: float | None = None
    distillation_gradient: float | None = None

    def __str__(self) -> str:
        if self.task_gradient is None or self.distillation_gradient is None:
            return f"loss {self.loss.item():.4g}; weight {self.weight:.4g}"
        norms = f"task {self.task_gradient:.4g}, distillation {self.distillation_gradient:.4g}"
        return f"loss {self.loss.item():.4g}; gradient norms: {norms}; weight {self.weight:.4g}"


def distilled_loss(
    task: torch.Tensor,
    distillation: torch.Tensor,
    *,
    share: float = 0.5,
    weight: float = 1.0,
    balance: Literal["none", "gradient"] = "none",
    embeddings: Sequence[torch.Tensor] = (),
    limit: float = 1000.0,
) -> DistilledLoss:
    """L_trn = (1 - share) * L_task + share * weight * L_distillation.

    `share` is 1 - lambda of arXiv 2505.23763. With `balance="gradient"` the weight is, at every step anew,
    `weight` * |dL_task / dE| / |dL_distillation / dE|, with E all the embeddings given: the two losses then pull on the
    embeddings with forces of the ratio (1 - share) : share * weight, whatever their units. There is no running average:
    the same batch gives the same weight. The ratio is kept within 1 / limit..limit; it is 1 where a gradient is exactly
    0 and nothing can be matched. It costs a backward pass through the losses, not through the network.

    Args:
        task: a scalar, such as `triplet_loss`.
        distillation: a scalar, such as `relational_loss`.
        share: of the distillation, 0..1.
        weight: a factor on the distillation loss.
        balance: `none` or `gradient`.
        embeddings: the student's, (batch, embedding_dim) each, from which both losses were computed; when given, the
            two norms are returned.
        limit: the largest ratio of the two gradient norms.

    Raises:
        ParameterError: a number is out of range, or there are no embeddings to balance at.

    Example:
        >>> student = torch.tensor([[3.0, 4.0]], requires_grad=True)
        >>> task, distillation = student.sum(), 10 * student.sum()
        >>> found = distilled_loss(task, distillation, balance="gradient", embeddings=[student])
        >>> print(found)
        loss 7; gradient norms: task 1.414, distillation 14.14; weight 0.1
    """
    if not 0 <= share <= 1:
        raise ParameterError(f"share must be from 0 to 1, not {share}")
    if balance not in ("none", "gradient"):
        raise ParameterError(f"balance must be none or gradient, not {balance!r}")
    if balance == "gradient" and not embeddings:
        raise ParameterError("balance='gradient' needs embeddings=, the tensors that both losses were computed from")
    norms = gradient_norms({"task": task, "distillation": distillation}, embeddings) if embeddings else {}
    if balance == "gradient":
        weight = weight * _ratio(norms["task"], norms["distillation"], positive_number("limit", limit))
    loss = (1 - share) * task + share * weight * distillation
    return DistilledLoss(loss, weight, norms.get("task"), norms.get("distillation"))


def gradient_norms(losses: dict[str, torch.Tensor], embeddings: Sequence[torch.Tensor]) -> dict[str, float]:
    """The Euclidean norm of each loss's gradient at the embeddings, all of them as one vector; graphs are kept.

    Args:
        losses: name -> scalar.
        embeddings: (batch, embedding_dim) each, in the losses' graphs, such as `adapted.embed_photos(images)`.

    Raises:
        ParameterError: an embedding takes no gradient.

    Example:
        >>> student = torch.tensor([[3.0, 4.0]], requires_grad=True)
        >>> gradient_norms({"sum": (4 * student[:, 0]).sum(), "square": student.square().sum()}, [student])
        {'sum': 4.0, 'square': 10.0}
    """
    if not all(each.requires_grad for each in embeddings):
        raise ParameterError("gradient norms are taken at embeddings with a graph; these were made under no_grad")
    return {name: _norm(loss, embeddings) for name, loss in losses.items()}


def _norm(loss: torch.Tensor, embeddings: Sequence[torch.Tensor]) -> float:
    if not loss.requires_grad:
        return 0.0
    gradients = torch.autograd.grad(loss, list(embeddings), retain_graph=True, allow_unused=True)
    squares = [gradient.detach().double().square().sum() for gradient in gradients if gradient is not None]
    return torch.stack(squares).sum().sqrt().item() if squares else 0.0


def _ratio(task: float, distillation: float, limit: float) -> float:
    if task == 0 or distillation == 0:
        return 1.0
    return min(max(task / distillation, 1 / limit), limit)
