"""What each training minimizes, as a module whose forward maps a batch to losses."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from sketchkit.adapters.batch_norm import passing
from sketchkit.adapters.distillation import scale_averaged
from sketchkit.adapters.logit_distillation import logit_distillation_loss
from sketchkit.recipes.recognition.config import ClassificationConfig, RecognitionStudentConfig
from sketchkit.recipes.recognition.recognizer import Recognizer

__all__ = ["Classification"]


class Classification(nn.Module):
    """`L* = 1/K sum_i (1 - s) L_CE(c_i) + s L_KD(c_i)` over the canvases c_i; s is 0 where a batch has no teacher.

    Args:
        recognizer: the network, its frozen blocks removed.
        student: how V1 is distilled; None for a training without a teacher.
        training: its settings.
    """

    def __init__(
        self, recognizer: Recognizer, student: RecognitionStudentConfig | None, training: ClassificationConfig
    ) -> None:
        super().__init__()
        self.recognizer, self.student, self.settings = recognizer, student, training

    def forward(self, batch: dict[str, Any]) -> dict[str, torch.Tensor]:
        """Losses of one `batch` of `KeptPictures` or `DrawnPictures`: the sum, and its parts for the log; scalars."""
        logits = {size: self._logits(pictures, size) for size, pictures in batch["sketches"].items()}
        largest = max(logits)
        parts: dict[str, list[torch.Tensor]] = {}

        def loss_at(size: int) -> torch.Tensor:
            terms = self._terms(logits[size], batch)
            if self.student is not None and self.student.self_distillation and size != largest:
                taught = self._taught(logits[size], logits[largest], self.student)
                terms["self-distillation"] = (self.student.self_distillation, taught)
            for name, (_, value) in terms.items():
                parts.setdefault(name, []).append(value.detach())
            return torch.stack([weight * value for weight, value in terms.values()]).sum()

        loss = scale_averaged(loss_at, list(logits))
        right = torch.stack([(each.argmax(dim=1) == batch["labels"]).float().mean() for each in logits.values()])
        means = {name: torch.stack(values).mean() for name, values in parts.items()}
        return {"loss": loss} | means | {"acc@1": right.mean()}

    def _terms(self, logits: torch.Tensor, batch: dict[str, Any]) -> dict[str, tuple[float, torch.Tensor]]:
        """What is summed on one canvas: name -> weight and loss."""
        task = F.cross_entropy(logits, batch["labels"], label_smoothing=self.settings.label_smoothing)
        if self.student is None or "teacher_logits" not in batch:
            return {"task": (1.0, task)}
        share = self.student.distillation_share
        distilled = self._taught(logits, batch["teacher_logits"], self.student)
        return {"task": (1 - share, task), "distillation": (share, distilled)}

    def _taught(self, logits: torch.Tensor, by: torch.Tensor, student: RecognitionStudentConfig) -> torch.Tensor:
        return logit_distillation_loss(logits, by, temperature=student.temperature)

    def _logits(self, pictures: torch.Tensor, size: int) -> torch.Tensor:
        with passing("sketches", size):
            logits: torch.Tensor = self.recognizer(pictures)
        return logits
