"""What a training reads: pictures behind the frozen layers, and the batches made of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sketchkit.canvas import Canvas
from sketchkit.rasterizing import rasterize
from sketchkit.recipes.frozen import FrozenFront, cached
from sketchkit.recipes.pairs import PairedSet
from sketchkit.recipes.photos import load_photos
from sketchkit.recipes.run_folder import fingerprint
from sketchkit.recipes.warping import PairedWarp, object_boxes
from sketchkit.sketch_set import SketchSet
from sketchkit.transforms import jitter

__all__ = ["JITTER", "TrainingInputs", "by_owner", "flipped", "gather", "jittered", "kept_sketches"]

JITTER = {"rotation": 8.0, "scale": 0.1, "shift": 0.02}
"""How versions of a drawing differ from it: turned, scaled and shifted by about as much as people differ."""


def jittered(sketches: SketchSet, variant: int, seed: int) -> SketchSet:
    """Version `variant` of each drawing of `sketches`, changed by at most `JITTER`; 0 is the drawing itself.

    A version depends on `seed`, `variant` and the drawing's place in the set. The versions from 1001 on are those of
    the next seed.
    """
    return sketches if variant == 0 else jitter(sketches, seed=seed * 1000 + variant, **JITTER)


@dataclass(frozen=True, eq=False)
class TrainingInputs:
    """Everything one training reads, behind the frozen layers.

    Args:
        photos: one (photos, ...) float16 array a version, mirrored versions last: the photo itself, or where pairs are
            warped, one for each version of the sketches.
        sketches: canvas size -> one (sketches, ...) float16 array a version; mirrored versions last.
        photo_of_sketch: (sketches,) int64.
        variants: unmirrored versions of each sketch.
        warped: a photo and its sketches have their versions in common.
        targets: the teacher's embeddings (photos or sketches, embedding_dim), when there is a teacher.
    """

    photos: list[NDArray[np.float16]]
    sketches: dict[int, list[NDArray[np.float16]]]
    photo_of_sketch: NDArray[np.int64]
    variants: int
    warped: bool = False
    targets: dict[str, torch.Tensor] = field(default_factory=dict)

    @classmethod
    def compute(
        cls,
        front: FrozenFront,
        pairs: PairedSet,
        canvases: Sequence[Canvas],
        *,
        photo_size: int,
        variants: int,
        mirror: bool,
        seed: int,
        cache: Path,
        name: str,
        stretch: float = 0.0,
        bend: float = 0.0,
    ) -> TrainingInputs:
        """Run the frozen layers over photos and sketches, or open what an earlier run kept.

        Args:
            front: the frozen layers.
            pairs: the training pairs.
            canvases: the canvases that sketches are drawn on.
            photo_size: side of the photos in pixels.
            variants: versions of each sketch.
            mirror: make mirrored versions too.
            seed: of the jitter.
            cache: folder of the caches.
            name: shown on the bars.
            stretch: how much versions other than the first are stretched and sheared; see `PairedWarp.draw`.
            bend: how much they are bent.
        """
        mirrors = (False, True) if mirror else (False,)
        warps: list[PairedWarp | None] = [None] * variants
        if warped := bool(stretch or bend):
            warps[1:] = PairedWarp.versions(seed, len(pairs.photo_paths), variants - 1, stretch=stretch, bend=bend)
        photos = [
            _kept_photos(front, pairs, photo_size, mirrored, warp, cache, name)
            for mirrored in mirrors
            for warp in (warps if warped else warps[:1])
        ]
        sketches: dict[int, list[NDArray[np.float16]]] = {canvas.size: [] for canvas in canvases}
        for mirrored in mirrors:
            for variant in range(variants):
                drawn = jittered(pairs.sketches, variant, seed)
                if (warp := warps[variant]) is not None:
                    drawn = warp.sketches(drawn, pairs.photo_of_sketch)
                for canvas in canvases:
                    sketches[canvas.size].append(
                        kept_sketches(front, drawn, canvas, mirrored, cache, f"{name}: sketches")
                    )
        return cls(photos, sketches, pairs.photo_of_sketch, variants, warped)

    def steps_per_epoch(self, batch_photos: int) -> int:
        """How many batches a pass over the photos has: of like sizes, as a contrast among few is an easy one.

        A batch has at most `batch_photos` photos. Where that is 1 or 2 it has 2, and one has 3 if their number is odd.
        """
        photos = len(self.photos[0])
        return max(min(-(-photos // batch_photos), photos // 2), 1)

    def batches(self, epoch: int, *, batch_photos: int, sketches_per_photo: int, seed: int) -> Iterator[dict[str, Any]]:
        """The batches of one epoch, the same each time it is asked for.

        A photo and its sketches share the mirror flag, and where pairs are warped the version; else each sketch's
        version is drawn by itself.

        Args:
            epoch: from 0; each has other batches.
            batch_photos: see `steps_per_epoch`.
            sketches_per_photo: of the sketches of a photo at most so many, chosen anew in each epoch.
            seed: of the order and of all choices.

        Yields:
            `photos` (photos, ...), `sketches` {canvas: (sketches, ...)}, `owner` (sketches,) into photos, `negative`
            (sketches,) another photo of the batch each, and the teacher's embeddings where there are any.
        """
        generator = np.random.default_rng([seed, epoch, 2])
        per_mirror = self.variants if self.warped else 1
        order = generator.permutation(len(self.photos[0]))
        by_photo = by_owner(self.photo_of_sketch, len(order))
        for chosen in np.array_split(order, self.steps_per_epoch(batch_photos)):
            mirrored = generator.integers(0, len(self.photos) // per_mirror, len(chosen))
            shown = mirrored * per_mirror + (generator.integers(0, per_mirror, len(chosen)) if self.warped else 0)
            picked = [generator.permutation(by_photo[photo])[:sketches_per_photo] for photo in chosen]
            owner = np.repeat(np.arange(len(chosen)), [len(each) for each in picked])
            drawn = np.concatenate(picked)
            version = mirrored[owner] * self.variants + generator.integers(0, self.variants, len(drawn))
            if self.warped:
                version = shown[owner]
            negative = (owner + generator.integers(1, len(chosen), len(drawn))) % len(chosen)
            batch: dict[str, Any] = {
                "photos": gather(self.photos, shown, chosen),
                "sketches": {size: gather(arrays, version, drawn) for size, arrays in self.sketches.items()},
                "owner": torch.from_numpy(owner),
                "negative": torch.from_numpy(negative),
            }
            if self.targets:
                batch["teacher_photos"] = self.targets["photos"][chosen]
                batch["teacher_sketches"] = self.targets["sketches"][drawn]
            yield batch


def _kept_photos(
    front: FrozenFront, pairs: PairedSet, size: int, mirrored: bool, warp: PairedWarp | None, cache: Path, name: str
) -> NDArray[np.float16]:
    def compute(rows: slice) -> torch.Tensor:
        pixels = load_photos(pairs.photo_paths[rows], size)
        if warp is not None:
            pixels = warp[rows].photos(pixels, object_boxes(pixels))
        return front(front.adapted.photo_inputs(flipped(pixels) if mirrored else pixels))

    bent = () if warp is None else (warp.matrices, warp.phases, warp.amplitudes)
    key = fingerprint("photos", front.identity, size, mirrored, pairs.photo_hashes, *bent)
    return cached(cache, key, len(pairs.photo_paths), compute, name=f"{name}: photos")


def kept_sketches(
    front: FrozenFront, sketches: SketchSet, canvas: Canvas, mirrored: bool, cache: Path, name: str
) -> NDArray[np.float16]:
    """What the frozen layers make of sketches on a canvas, (sketches, ...), from the cache or computed into it.

    Args:
        front: the frozen layers.
        sketches: the drawings.
        canvas: what they are drawn on.
        mirrored: left and right are exchanged.
        cache: the folder; the file is named by all that the rows depend on.
        name: shown on the bar, before the canvas.
    """

    def compute(rows: slice) -> torch.Tensor:
        ink = rasterize(sketches[rows], canvas)
        return front(front.adapted.raster_inputs(flipped(ink) if mirrored else ink))

    drawings = (sketches.points, sketches.stroke_offsets, sketches.sketch_offsets)
    key = fingerprint("sketches", front.identity, canvas.to_dict(), mirrored, *drawings)
    return cached(cache, key, len(sketches), compute, name=f"{name}, {canvas.size} px", chunk=64)


def flipped(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pictures `pixels` (..., width), left and right exchanged."""
    return np.ascontiguousarray(pixels[..., ::-1])


def by_owner(photo_of_sketch: NDArray[np.int64], photos: int) -> list[NDArray[np.int64]]:
    """The sketches of each of `photos` photos, (sketches of it,) each, from `photo_of_sketch` (sketches,)."""
    order = np.argsort(photo_of_sketch, kind="stable")
    return np.split(order, np.searchsorted(photo_of_sketch[order], np.arange(1, photos)))


def gather(arrays: Sequence[NDArray[np.float16]], version: NDArray[np.int64], rows: NDArray[np.int64]) -> torch.Tensor:
    """Some rows, each of its own version, as a batch (rows, ...) of floats.

    Args:
        arrays: one (all rows, channels, height, width) a version.
        version: (rows,) int64 into `arrays`.
        rows: (rows,) int64 into each array.
    """
    picked = np.stack([arrays[v][row] for v, row in zip(version, rows, strict=True)])
    return torch.from_numpy(picked).to(torch.float32, memory_format=torch.channels_last)
