"""What a training reads when nothing is frozen: pictures drawn anew for every epoch, so that no two are alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from sketchkit.adapters.adapted_model import AdaptedModel
from sketchkit.canvas import Canvas
from sketchkit.rasterizing import rasterize
from sketchkit.recipes.inputs import JITTER, by_owner, flipped
from sketchkit.recipes.pairs import PairedSet
from sketchkit.recipes.photo_lines import line_drawings
from sketchkit.recipes.photos import load_photos
from sketchkit.recipes.warping import PairedWarp, object_boxes
from sketchkit.sketch_set import SketchSet
from sketchkit.transforms import jitter

__all__ = ["DrawnInputs", "SketchesByShape"]


class SketchesByShape(NamedTuple):
    """Sketches on a canvas that is as wide as the ink.

    Args:
        images: one (sketches of the shape, channels, height, width) a shape.
        rows: which sketches these are, one (sketches of the shape,) int64 a shape.
    """

    images: list[torch.Tensor]
    rows: list[NDArray[np.int64]]

    def embedded_by(self, embed: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        """What `embed` gives for each shape's images, (sketches, embedding_dim), in the order of the sketches."""
        order = torch.from_numpy(np.argsort(np.concatenate(self.rows)))
        return torch.cat([embed(images) for images in self.images])[order]


@dataclass(frozen=True, eq=False)
class DrawnInputs:
    """Photos in memory, and sketches as strokes.

    Args:
        adapted: turns pixels into what its network takes.
        photos: (photos, 3, height, width) uint8.
        sketches: the drawings.
        photo_of_sketch: (sketches,) int64.
        canvases: what each sketch is drawn on.
        mirror: half of the pairs are mirrored.
        stretch: how much pairs are stretched and sheared; see `PairedWarp.draw`.
        bend: how much they are bent.
        warps: the only ones that pairs have, beside being as they are; with none, pairs are warped anew in each epoch.
        targets: the teacher's embeddings (photos or sketches of all versions, embedding_dim), when there is a teacher.
        lines: a line drawing of each photo, which joins the batches as its own; None: there are none.
    """

    adapted: AdaptedModel
    photos: NDArray[np.uint8]
    sketches: SketchSet
    photo_of_sketch: NDArray[np.int64]
    canvases: Sequence[Canvas]
    mirror: bool
    stretch: float = 0.0
    bend: float = 0.0
    warps: Sequence[PairedWarp] = ()
    targets: dict[str, torch.Tensor] = field(default_factory=dict)
    lines: SketchSet | None = None

    @classmethod
    def load(
        cls,
        adapted: AdaptedModel,
        pairs: PairedSet,
        canvases: Sequence[Canvas],
        *,
        photo_size: int,
        mirror: bool,
        stretch: float = 0.0,
        bend: float = 0.0,
        lines: bool = False,
    ) -> DrawnInputs:
        """Read the photos of a paired set.

        Args:
            adapted: the network that is trained.
            pairs: the training pairs.
            canvases: the canvases that sketches are drawn on.
            photo_size: side of the photos in pixels.
            mirror: mirror half of the pairs.
            stretch: how much pairs are stretched and sheared; see `PairedWarp.draw`.
            bend: how much they are bent.
            lines: whether photos have line drawings beside them, their own edges.
        """
        photos = load_photos(pairs.photo_paths, photo_size)
        drawn = line_drawings(pairs.photo_paths) if lines else None
        return cls(adapted, photos, pairs.sketches, pairs.photo_of_sketch, canvases, mirror, stretch, bend, lines=drawn)

    def steps_per_epoch(self, batch_photos: int) -> int:
        """How many batches a pass over the photos has: of like sizes, as a contrast among few is an easy one.

        A batch has at most `batch_photos` photos. Where that is 1 or 2 it has 2, and one has 3 if their number is odd.
        """
        photos = len(self.photos)
        return max(min(-(-photos // batch_photos), photos // 2), 1)

    def batches(self, epoch: int, *, batch_photos: int, sketches_per_photo: int, seed: int) -> Iterator[dict[str, Any]]:
        """The batches of one epoch, the same each time it is asked for; see `TrainingInputs.batches`.

        All sketches are jittered anew for the epoch. A photo and its sketches share the mirror flag and the warp. Where
        photos have `lines`, a batch has those of its photos too, `lines`, as `sketches`.
        """
        generator = np.random.default_rng([seed, epoch, 5])
        drawings = jitter(self.sketches, seed=int(generator.integers(2**31)), **JITTER)
        lines = None if self.lines is None else jitter(self.lines, seed=_lines_seed(seed, epoch), **JITTER)
        order = generator.permutation(len(self.photos))
        owned = by_owner(self.photo_of_sketch, len(order))
        for chosen in np.array_split(order, self.steps_per_epoch(batch_photos)):
            mirrored = generator.random(len(chosen)) < 0.5 if self.mirror else np.zeros(len(chosen), bool)
            picked = [generator.permutation(owned[photo])[:sketches_per_photo] for photo in chosen]
            owner = np.repeat(np.arange(len(chosen)), [len(each) for each in picked])
            drawn = np.concatenate(picked)
            negative = (owner + generator.integers(1, len(chosen), len(drawn))) % len(chosen)
            version = generator.integers(0, 1 + len(self.warps), len(chosen)) if self.warps else np.zeros_like(chosen)
            warp = self._warp(chosen, version, generator)
            photos, sketches = self.photos[chosen], drawings[drawn]
            if warp is not None:
                photos = warp.photos(photos, self._boxes[chosen])
                sketches = warp.sketches(sketches, owner)
            batch: dict[str, Any] = {
                "photos": _last(self.adapted.photo_inputs(_mirrored(photos, mirrored))),
                "sketches": {canvas.size: self._images(sketches, canvas, mirrored[owner]) for canvas in self.canvases},
                "owner": torch.from_numpy(owner),
                "negative": torch.from_numpy(negative),
            }
            if lines is not None:
                own = lines[chosen]
                own = own if warp is None else warp.sketches(own, np.arange(len(chosen)))
                batch["lines"] = {canvas.size: self._images(own, canvas, mirrored) for canvas in self.canvases}
            if self.targets:
                batch["teacher_photos"] = self.targets["photos"][version * len(order) + chosen]
                batch["teacher_sketches"] = self.targets["sketches"][version[owner] * len(drawings) + drawn]
            yield batch

    def _images(
        self, sketches: SketchSet, canvas: Canvas, mirrored: NDArray[np.bool_]
    ) -> torch.Tensor | SketchesByShape:
        shapes, which = canvas.fitted(sketches)
        groups = [np.flatnonzero(which == index) for index in range(len(shapes))]
        images = [
            _last(self.adapted.raster_inputs(_mirrored(rasterize(sketches[rows], shape), mirrored[rows])))
            for rows, shape in zip(groups, shapes, strict=True)
        ]
        return SketchesByShape(images, groups) if canvas.rectangular else images[0]

    @cached_property
    def _boxes(self) -> NDArray[np.float64]:
        return object_boxes(self.photos)

    def _warp(
        self, chosen: NDArray[np.int64], version: NDArray[np.int64], generator: np.random.Generator
    ) -> PairedWarp | None:
        """How the chosen pairs are bent; None where they stay as they are."""
        if self.warps:
            return PairedWarp.picked(self.warps, version, chosen)
        if self.stretch or self.bend:
            return PairedWarp.draw(generator, len(chosen), stretch=self.stretch, bend=self.bend)
        return None


def _lines_seed(seed: int, epoch: int) -> int:
    """Of its own: what else is drawn by lot stays the same with lines and without."""
    return int(np.random.default_rng([seed, epoch, 7]).integers(2**31))


def _mirrored(pixels: NDArray[np.uint8], which: NDArray[np.bool_]) -> NDArray[np.uint8]:
    turned: NDArray[np.uint8] = pixels.copy()
    turned[which] = flipped(pixels[which])
    return turned


def _last(images: torch.Tensor) -> torch.Tensor:
    return images.contiguous(memory_format=torch.channels_last)
