"""What each training minimizes, as modules whose forward maps a batch to losses."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from sketchkit.adapters.adapted_model import AdaptedModel
from sketchkit.adapters.batch_norm import passing
from sketchkit.adapters.distillation import (
    batch_relational_loss,
    relational_loss,
    scale_averaged,
    similarity_distillation_loss,
)
from sketchkit.adapters.retrieval_losses import info_nce, triplet_loss
from sketchkit.recipes.config import StudentConfig, TrainingConfig
from sketchkit.recipes.drawn_inputs import SketchesByShape
from sketchkit.recipes.photo_lines import with_lines

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
        """Losses of one `batch` of `TrainingInputs` or `DrawnInputs`: the sum, and its parts for the log; scalars."""
        with passing("photos"):
            photos = self.adapted.embed(batch["photos"])
        sketches = {size: self._embedded(images, size) for size, images in batch["sketches"].items()}
        lines = {size: self._embedded(images, size) for size, images in batch.get("lines", {}).items()}
        weight = self.student.photo_lines
        gallery = {size: with_lines(photos, lines[size], weight) if lines else photos for size in sketches}
        largest = max(sketches)
        parts: dict[str, list[torch.Tensor]] = {}

        def loss_at(size: int) -> torch.Tensor:
            terms = self.terms(sketches[size], gallery[size], batch)
            if self.student.self_distillation and size != largest:
                terms["self-distillation"] = (
                    self.student.self_distillation,
                    self.taught(sketches[size], gallery[size], sketches[largest].detach(), gallery[largest].detach()),
                )
            for name, (_, value) in terms.items():
                parts.setdefault(name, []).append(value.detach())
            return torch.stack([weight * value for weight, value in terms.values()]).sum()

        loss = scale_averaged(loss_at, list(sketches))
        return {"loss": loss} | {name: torch.stack(values).mean() for name, values in parts.items()}

    def terms(
        self, sketches: torch.Tensor, photos: torch.Tensor, batch: dict[str, Any]
    ) -> dict[str, tuple[float, torch.Tensor]]:
        """What is summed on one canvas: name -> weight and loss, a scalar.

        Args:
            sketches: (sketches, embedding_dim), embedded from this canvas.
            photos: (photos, embedding_dim).
            batch: who belongs to whom, and the teacher's embeddings; see `TrainingInputs.batches`.
        """
        return {"task": (1.0, self.task(sketches, photos, batch))}

    def taught(self, *embeddings: torch.Tensor) -> torch.Tensor:
        """KL of in-batch similarity softmaxes: of sketches and photos against those of who teaches; a scalar."""
        return similarity_distillation_loss(*embeddings, temperature=self.settings.temperature)

    def task(self, sketches: torch.Tensor, photos: torch.Tensor, batch: dict[str, Any]) -> torch.Tensor:
        """The retrieval loss proper, InfoNCE or the triplet loss, of one canvas, a scalar; arguments as of `terms`."""
        settings = self.settings
        if settings.objective == "info_nce":
            return info_nce(sketches, photos, owner=batch["owner"], temperature=settings.temperature)
        positive, negative = photos[batch["owner"]], photos[batch["negative"]]
        return triplet_loss(sketches, positive, negative, margin=settings.margin)

    def _embedded(self, images: torch.Tensor | SketchesByShape, size: int) -> torch.Tensor:
        with passing("sketches", size):
            if isinstance(images, SketchesByShape):
                return images.embedded_by(self.adapted.embed)
            return self.adapted.embed(images)


class DistilledRetrieval(Retrieval):
    """V1: `L* = 1/K sum_i lambda L_task(c_i) + (1 - lambda) L_RKD(c_i)` (arXiv 2505.23763)."""

    def terms(
        self, sketches: torch.Tensor, photos: torch.Tensor, batch: dict[str, Any]
    ) -> dict[str, tuple[float, torch.Tensor]]:
        """The task and the teacher's relations on one canvas; see `Retrieval.terms`."""
        share = self.student.distillation_share
        return {
            "task": (1 - share, self.task(sketches, photos, batch)),
            "distillation": (
                share * self.student.distillation_weight,
                self.relations(sketches, photos, batch),
            ),
        }

    def relations(self, sketches: torch.Tensor, photos: torch.Tensor, batch: dict[str, Any]) -> torch.Tensor:
        """One canvas's distillation loss, a scalar; arguments as of `Retrieval.terms`."""
        teacher_sketches, teacher_photos = batch["teacher_sketches"], batch["teacher_photos"]
        owner, negative = batch["owner"], batch["negative"]
        if self.student.distillation == "similarity":
            return self.taught(sketches, photos, teacher_sketches, teacher_photos)
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
