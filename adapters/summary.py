"""What `AdaptedModel.summary()` says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sketchkit.adapters.description import Description

if TYPE_CHECKING:
    from sketchkit.adapters.adapted_model import AdaptedCost

__all__ = ["Summary"]


@dataclass(frozen=True)
class Summary:
    """An adapted network in a few values; printed, in a few lines.

    Args:
        network: its name, or its class.
        classifier: paths of the modules taken off.
        output_form: what comes out without them; see `probing.Output`.
        feature_width: of the pooled features.
        embedding_dim: of the embeddings.
        photo_size: side of the photos in pixels.
        params: of network and projection.
        selector_params: of the canvas selector.
        flops: canvas size -> FLOPs of one pass, in the paper's convention.
        selector_flops: for a drawing of the most points.
        teacher: the network in `kd_head`, if there is one.
    """

    network: str
    classifier: tuple[str, ...]
    output_form: str
    feature_width: int
    embedding_dim: int
    photo_size: int
    params: int
    selector_params: int
    flops: dict[int, int]
    selector_flops: int
    teacher: str | None

    @classmethod
    def of(cls, description: Description, cost: AdaptedCost, *, teacher: Description | None) -> Summary:
        """The summary of a description and its cost."""
        width = description.output.width
        return cls(
            network=description.network,
            classifier=description.classifier,
            output_form=description.output.form,
            feature_width=width,
            embedding_dim=description.embedding_dim or width,
            photo_size=description.photo_size,
            params=next(iter(cost.per_canvas.values())).params,
            selector_params=cost.selector.params,
            flops={size: each.flops for size, each in cost.per_canvas.items()},
            selector_flops=cost.selector.flops,
            teacher=None if teacher is None else teacher.network,
        )

    def __str__(self) -> str:
        lines = [
            f"AdaptedModel of {self.network}",
            f"  classifier taken off: {', '.join(self.classifier) or 'none was found'}",
            f"  embedding: {self.embedding_dim}, from {self.feature_width} features ({self.output_form})",
            f"  parameters: {self.params:,} and {self.selector_params:,} of the canvas selector",
            f"  photos: {self.photo_size} px",
            *(f"  canvas {size:>4} px: {flops / 1e9:.5f} GFLOPs" for size, flops in self.flops.items()),
            f"  canvas selector: at most {self.selector_flops / 1e9:.5f} GFLOPs",
        ]
        if self.teacher is not None:
            lines.append(f"  teacher: {self.teacher}")
        return "\n".join(lines)
