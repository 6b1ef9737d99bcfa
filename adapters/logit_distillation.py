"""Distillation of logits, for networks that name categories."""

from __future__ import annotations

import torch

from sketchkit.adapters.embedding_distances import positive_number
from sketchkit.errors import ParameterError

__all__ = ["logit_distillation_loss"]


def logit_distillation_loss(logits: torch.Tensor, teacher_logits: torch.Tensor, *, temperature: float) -> torch.Tensor:
    """T^2 KL(softmax(teacher / T) || softmax(student / T)), averaged over the batch; a scalar.

    Source: Hinton, Vinyals and Dean 2015, arXiv 1503.02531, section 2. The factor T^2 keeps the size of its gradients,
    so that its weight beside the cross-entropy need not change with T. No gradient reaches the teacher.

    Args:
        logits: the student's, (batch, categories).
        teacher_logits: the teacher's, (batch, categories), for the same drawings and categories.
        temperature: T; above 0.

    Raises:
        ParameterError: shapes differ, or the temperature is not above 0.

    Example:
        >>> teacher = torch.tensor([[2.0, 0.0]])
        >>> logit_distillation_loss(teacher, teacher, temperature=4.0)
        tensor(0.)
        >>> logit_distillation_loss(torch.zeros(1, 2), teacher, temperature=1.0)
        tensor(0.3278)
    """
    if logits.ndim != 2 or logits.shape != teacher_logits.shape:
        raise ParameterError(
            f"logits must be (batch, categories) of both, not {tuple(logits.shape)} and {tuple(teacher_logits.shape)}"
        )
    scale = positive_number("temperature", temperature)
    target = (teacher_logits.detach().to(logits.dtype) / scale).log_softmax(dim=1)
    student = (logits / scale).log_softmax(dim=1)
    loss = torch.nn.functional.kl_div(student, target, reduction="batchmean", log_target=True)
    return loss * scale**2
