"""What teachers make of the training pairs, once for a whole training: V1 is taught the relations among these."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from sketchkit.adapters.adapted_model import AdaptedModel
from sketchkit.canvas import Canvas
from sketchkit.recipes.config import StudentConfig
from sketchkit.recipes.embedding import embed_on_canvases, embed_photos
from sketchkit.recipes.pairs import PairedSet
from sketchkit.recipes.warping import PairedWarp

__all__ = ["embed_versions", "joined", "taught_warps"]


def taught_warps(student: StudentConfig, seed: int, photos: int) -> list[PairedWarp]:
    """The warped versions of the training pairs that teachers look at, beside the pairs as they are.

    Args:
        student: `taught_versions`, and how much its training stretches and bends.
        seed: of the run.
        photos: how many pairs.
    """
    training = student.training
    count = student.taught_versions - 1
    return PairedWarp.versions(seed, photos, count, stretch=training.stretch, bend=training.bend)


def embed_versions(
    teacher: AdaptedModel, pairs: PairedSet, canvas: Canvas, warps: Sequence[PairedWarp], *, name: str
) -> dict[str, torch.Tensor]:
    """A teacher's view of the training pairs as they are, and of each warped version of them.

    Args:
        teacher: the network.
        pairs: what is trained on.
        canvas: the one it sees sketches on.
        warps: see `taught_warps`.
        name: shown on the bars.

    Returns:
        `photos` ((1 + warps) * photos, embedding_dim) and `sketches` ((1 + warps) * sketches, embedding_dim), a version
        after the other.
    """
    photos, sketches = [], []
    for warp in (None, *warps):
        drawn = pairs.sketches if warp is None else warp.sketches(pairs.sketches, pairs.photo_of_sketch)
        sketches.append(embed_on_canvases(teacher, drawn, [canvas], name=f"{name}: sketches")[canvas.size])
        photos.append(embed_photos(teacher, pairs.photo_paths, name=f"{name}: photos", warp=warp))
    return {"photos": torch.cat(photos), "sketches": torch.cat(sketches)}


def joined(teachers: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Several teachers as one, whose similarity of two pictures is the mean of theirs.

    Args:
        teachers: of each, (rows, embedding_dim) embeddings of length 1 by name; none teach nothing.

    Example:
        >>> one, two = torch.eye(2), torch.tensor([[0.6, 0.8], [0.6, 0.8]])
        >>> both = joined([{"photos": one}, {"photos": two}])["photos"]
        >>> both @ both.T
        tensor([[1.0000, 0.5000],
                [0.5000, 1.0000]])
        >>> joined([])
        {}
    """
    if not teachers:
        return {}
    scale = len(teachers) ** -0.5
    return {name: torch.cat([scale * each[name] for each in teachers], dim=1).contiguous() for name in teachers[0]}
