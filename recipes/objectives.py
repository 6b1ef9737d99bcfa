"""What each training minimizes, as modules whose forward maps a batch to losses."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from sketchkit.adapters.adapted_model import AdaptedModel
from sketchkit.adapters.distillation import (
    batch_relational_loss,
    relational_loss,
    scale_averaged,
    similarity_distillation_loss,
)
from sketchkit.adapters.retrieval_losses import info_nce, triplet_loss
from sketchkit.recipes.config import StudentConfig, TrainingConfig

__all__ = ["DistilledRetrieval", "Retrieval"]


class Retrieval(nn.Module):
    """Sketch-photo retrieval without a teacher, averaged over the canvases in the batch.

    Args:
        adapted: the network, its frozen blocks removed.
        student: how V1 is distilled; nothing of it counts here.
        training: the objective and its settings.
    """

    def __init__(self, adapted: AdaptedModel, student: StudentConfig, training: TrainingConfig) -> None:
        super().__init__()
        self.adapted, self.student, self.settings = adapted, student, training

    def forward(self, batch: dict[str, Any]) -> dict[str, torch.Tensor]:
        """Losses of one batch of `TrainingInputs.batches`."""
        photos = self.adapted.embed(batch["photos"])
        return {
            "loss": scale_averaged(
                lambda size: self.task(self._sketches(batch, size), photos, batch), self._sizes(batch)
            )
        }

    def task(self, sketches: torch.Tensor, photos: torch.Tensor, batch: dict[str, Any]) -> torch.Tensor:
        """The retrieval loss proper, of embeddings (sketches, embedding_dim) and (photos, embedding_dim)."""
        settings = self.settings
        if settings.objective == "info_nce":
            return info_nce(sketches, photos, owner=batch["owner"], temperature=settings.temperature)
        positive, negative = photos[batch["owner"]], photos[batch["negative"]]
        return triplet_loss(sketches, positive, negative, margin=settings.margin)

    def _sketches(self, batch: dict[str, Any], size: int) -> torch.Tensor:
        return self.adapted.embed(batch["sketches"][size])

    @staticmethod
    def _sizes(batch: dict[str, Any]) -> list[int]:
        return list(batch["sketches"])


class DistilledRetrieval(Retrieval):
    """V1: `L* = 1/K sum_i lambda L_task(c_i) + (1 - lambda) L_RKD(c_i)` (arXiv 2505.23763)."""

    def forward(self, batch: dict[str, Any]) -> dict[str, torch.Tensor]:
        """Losses of one batch: the sum, and each part for the log."""
        photos = self.adapted.embed(batch["photos"])
        share = self.student.distillation_share
        parts: dict[str, list[torch.Tensor]] = {"task": [], "distillation": []}

        def loss_at(size: int) -> torch.Tensor:
            sketches = self._sketches(batch, size)
            task, relations = self.task(sketches, photos, batch), self.relations(sketches, photos, batch)
            parts["task"].append(task.detach())
            parts["distillation"].append(relations.detach())
            return (1 - share) * task + share * self.student.distillation_weight * relations

        loss = scale_averaged(loss_at, self._sizes(batch))
        return {"loss": loss} | {name: torch.stack(values).mean() for name, values in parts.items()}

    def relations(self, sketches: torch.Tensor, photos: torch.Tensor, batch: dict[str, Any]) -> torch.Tensor:
        """The relational distillation loss of one canvas."""
        teacher_sketches, teacher_photos = batch["teacher_sketches"], batch["teacher_photos"]
        owner, negative = batch["owner"], batch["negative"]
        if self.student.distillation == "similarity":
            return similarity_distillation_loss(
                sketches, photos, teacher_sketches, teacher_photos, temperature=self.settings.temperature
            )
        if self.student.distillation == "batch":
            return batch_relational_loss(sketches, photos, teacher_sketches, teacher_photos, beta=self.student.beta)
        return relational_loss(
            sketches,
            photos[owner],
            photos[negative],
            teacher_sketches,
            teacher_photos[owner],
            teacher_photos[negative],
            beta=self.student.beta,
        )
