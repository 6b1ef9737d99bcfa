"""What a training reads: pictures behind frozen layers, kept on disk, or drawn anew for every batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sketchkit.canvas import Canvas
from sketchkit.rasterizing import rasterize
from sketchkit.recipes.embedding import reduced_precision
from sketchkit.recipes.frozen import FrozenFront
from sketchkit.recipes.inputs import JITTER, flipped, gather, jittered, kept_sketches
from sketchkit.recipes.recognition.drawings import LabeledDrawings
from sketchkit.sketch_set import SketchSet
from sketchkit.transforms import jitter

__all__ = ["DrawnPictures", "KeptPictures", "rows_of_epoch", "steps_per_epoch"]


def steps_per_epoch(drawings: int, batch: int) -> int:
    """How many batches of at most `batch` a pass over `drawings` has; they differ by one drawing at most.

    Example:
        >>> steps_per_epoch(10, 4)
        3
    """
    return -(-drawings // batch)


def rows_of_epoch(
    drawings: int, batch: int, *, seed: int, epoch: int
) -> Iterator[tuple[NDArray[np.int64], np.random.Generator]]:
    """The drawings of each batch of an epoch and what draws its versions, the same whenever it is asked for.

    Args:
        drawings: how many there are.
        batch: the most that one batch has.
        seed: of the run.
        epoch: from 0; each has an order of its own.

    Yields:
        Row numbers (drawings of the batch,) int64, and a generator for what else is drawn by lot in it.

    Example:
        >>> sorted(row for rows, _ in rows_of_epoch(5, 2, seed=0, epoch=3) for row in rows.tolist())
        [0, 1, 2, 3, 4]
    """
    order = np.random.default_rng([seed, epoch, 6]).permutation(drawings)
    for step, rows in enumerate(np.array_split(order, steps_per_epoch(drawings, batch))):
        yield rows, np.random.default_rng([seed, epoch, step, 7])


@dataclass(frozen=True, eq=False)
class DrawnPictures:
    """Drawings as strokes, jittered and drawn anew for each batch: no two are alike, and none are kept.

    Args:
        front: the frozen layers, perhaps none; pictures go through them each time.
        drawings: the training drawings.
        canvases: what each is drawn on.
        mirror: half of them are mirrored.
        precision: of the frozen layers' passes; see `reduced_precision`.
        teacher_logits: (drawings, categories) of the drawings as they are, when there is a teacher.
    """

    front: FrozenFront
    drawings: LabeledDrawings
    canvases: Sequence[Canvas]
    mirror: bool
    precision: str = "fp32"
    teacher_logits: torch.Tensor | None = None

    def batches(self, epoch: int, *, batch: int, seed: int) -> Iterator[dict[str, Any]]:
        """The batches of one epoch.

        For `epoch`, `batch` and `seed` see `rows_of_epoch`.

        Yields:
            `sketches` {canvas: (drawings, channels, height, width)}, which are behind the frozen layers, `labels`
            (drawings,), and `teacher_logits` (drawings, categories) where there is a teacher.
        """
        for rows, generator in rows_of_epoch(len(self.drawings), batch, seed=seed, epoch=epoch):
            drawn = jitter(self.drawings.sketches[rows], seed=int(generator.integers(2**31)), **JITTER)
            mirrored = generator.random(len(rows)) < 0.5 if self.mirror else np.zeros(len(rows), bool)
            pictures = {canvas.size: self._pictures(drawn, canvas, mirrored) for canvas in self.canvases}
            yield _batch(pictures, self.drawings.labels[rows], rows, self.teacher_logits)

    def _pictures(self, drawn: SketchSet, canvas: Canvas, mirrored: NDArray[np.bool_]) -> torch.Tensor:
        ink = rasterize(drawn, canvas)
        ink[mirrored] = flipped(ink[mirrored])
        inputs = self.front.adapted.raster_inputs(ink).contiguous(memory_format=torch.channels_last)
        with reduced_precision(self.precision):
            return self.front(inputs).float()


@dataclass(frozen=True, eq=False)
class KeptPictures:
    """Pictures behind the frozen layers.

    Args:
        drawings: the training drawings.
        pictures: canvas size -> one (drawings, ...) float16 array a version, the first one of the drawings themselves;
            mirrored versions last.
        teacher_logits: (drawings, categories) of the drawings as they are, when there is a teacher.
    """

    drawings: LabeledDrawings
    pictures: dict[int, list[NDArray[np.float16]]]
    teacher_logits: torch.Tensor | None = None

    @classmethod
    def compute(
        cls,
        front: FrozenFront,
        drawings: LabeledDrawings,
        canvases: Sequence[Canvas],
        *,
        variants: int,
        mirror: bool,
        seed: int,
        cache: Path,
        name: str,
    ) -> KeptPictures:
        """Run the frozen layers over all versions, or open what an earlier run kept.

        Args:
            front: the frozen layers.
            drawings: the training drawings.
            canvases: what each is drawn on.
            variants: versions of each, itself included.
            mirror: make mirrored versions too.
            seed: of the jitter.
            cache: folder of the caches.
            name: shown on the bars.
        """
        pictures: dict[int, list[NDArray[np.float16]]] = {canvas.size: [] for canvas in canvases}
        for mirrored in (False, True) if mirror else (False,):
            for variant in range(variants):
                drawn = jittered(drawings.sketches, variant, seed)
                for canvas in canvases:
                    pictures[canvas.size].append(
                        kept_sketches(front, drawn, canvas, mirrored, cache, f"{name}: drawings")
                    )
        return cls(drawings, pictures)

    def batches(self, epoch: int, *, batch: int, seed: int) -> Iterator[dict[str, Any]]:
        """The batches of one epoch, as `DrawnPictures.batches`; a drawing is of one version on all canvases."""
        versions = len(next(iter(self.pictures.values())))
        for rows, generator in rows_of_epoch(len(self.drawings), batch, seed=seed, epoch=epoch):
            version = generator.integers(0, versions, len(rows))
            pictures = {size: gather(arrays, version, rows) for size, arrays in self.pictures.items()}
            yield _batch(pictures, self.drawings.labels[rows], rows, self.teacher_logits)


def _batch(
    pictures: dict[int, torch.Tensor],
    labels: NDArray[np.int64],
    rows: NDArray[np.int64],
    teacher_logits: torch.Tensor | None,
) -> dict[str, Any]:
    taught = {} if teacher_logits is None else {"teacher_logits": teacher_logits[torch.from_numpy(rows)]}
    return {"sketches": pictures, "labels": torch.from_numpy(labels)} | taught
