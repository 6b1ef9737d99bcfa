"""New pairs from old ones: a photo and its sketches, bent in the same way, show another object of the kind.

Jitter of a sketch alone teaches what does not count (how it is turned, where it lies). What does count between objects
of one kind is their shape, and a few hundred photos have few shapes: stretched, sheared and bent with their sketches,
they have a new one in every epoch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from sketchkit.ragged import group_extents, group_of
from sketchkit.sketch_set import SketchSet

__all__ = ["PairedWarp", "object_boxes"]

# Waves along each axis, in periods over an object: whole parts move, edges stay smooth.
_WAVES = ((0, 0.2), (1, 0.2), (0, 0.4), (1, 0.4))
# Of a gray value; JPEG's noise on a white ground is below.
_BACKGROUND = 12


@dataclass(frozen=True, eq=False)
class PairedWarp:
    """One change of shape a pair, in a frame where the object's box is centered and its longer side runs from -1 to 1.

    A point `p` goes to `matrix @ p + bend(p)`, where bend adds a few long waves.

    Args:
        matrices: (pairs, 2, 2): stretch along x against y, and shear.
        phases: (pairs, waves) radians.
        amplitudes: (pairs, waves, 2) in units of the frame.
    """

    matrices: NDArray[np.float64]
    phases: NDArray[np.float64]
    amplitudes: NDArray[np.float64]

    @classmethod
    def draw(cls, generator: np.random.Generator, pairs: int, *, stretch: float, bend: float = 0.0) -> PairedWarp:
        """Warps at random.

        Args:
            generator: of the random numbers.
            pairs: how many.
            stretch: width over height changes by up to `exp(stretch)`, and the shear is up to half of `stretch`.
            bend: standard deviation of the slowest waves, as a share of the object's half side.
        """
        ratio = np.exp(generator.uniform(-stretch, stretch, pairs) / 2)
        shear = generator.uniform(-stretch, stretch, pairs) / 2
        zero = np.zeros(pairs)
        matrices = np.stack([ratio, shear, zero, 1 / ratio], axis=1).reshape(pairs, 2, 2)
        phases = generator.uniform(0, 2 * math.pi, (pairs, len(_WAVES)))
        falling = np.array([_WAVES[0][1] / frequency for _, frequency in _WAVES])
        amplitudes = generator.normal(0, 1, (pairs, len(_WAVES), 2)) * bend / 2 * falling[:, None]
        return cls(matrices, phases, amplitudes)

    @classmethod
    def versions(cls, seed: int, pairs: int, count: int, *, stretch: float, bend: float) -> list[PairedWarp]:
        """Fixed warps of all `pairs`, `count` of them, always the same for a `seed`; see `draw`."""
        generators = (np.random.default_rng([seed, version, 6]) for version in range(1, count + 1))
        return [cls.draw(generator, pairs, stretch=stretch, bend=bend) for generator in generators]

    @classmethod
    def picked(cls, warps: Sequence[PairedWarp], version: NDArray[np.int64], pairs: NDArray[np.int64]) -> PairedWarp:
        """One warp a pair, out of several.

        Args:
            warps: version 1, 2, ... of all pairs; version 0 leaves a pair as it is.
            version: (picked,) of each.
            pairs: (picked,) which pair each is.
        """
        plain = cls.draw(np.random.default_rng(0), len(warps[0].matrices), stretch=0.0)
        names = ("matrices", "phases", "amplitudes")
        values = (np.stack([getattr(warp, name) for warp in (plain, *warps)])[version, pairs] for name in names)
        return cls(*values)

    def __getitem__(self, rows: slice) -> PairedWarp:
        """Those of some pairs."""
        return PairedWarp(self.matrices[rows], self.phases[rows], self.amplitudes[rows])

    def sketches(self, sketches: SketchSet, owner: NDArray[np.int64]) -> SketchSet:
        """Drawings bent, each like the photo it belongs to.

        Args:
            sketches: each about the middle of its box.
            owner: (sketches,) which pair each belongs to.
        """
        offsets = sketches.stroke_offsets[sketches.sketch_offsets]
        least, greatest = group_extents(sketches.points.astype(np.float64), offsets)
        half = (greatest - least).max(axis=1, initial=0.0) / 2
        sketch = group_of(offsets)
        middle, half = ((least + greatest) / 2)[sketch], np.where(half > 0, half, 1.0)[sketch, None]
        framed = (sketches.points - middle) / half
        pair = owner[sketch]
        moved = np.einsum("nij,nj->ni", self.matrices[pair], framed)
        for wave, (axis, frequency) in enumerate(_WAVES):
            height = np.sin(2 * math.pi * frequency * framed[:, axis] + self.phases[pair, wave])
            moved += height[:, None] * self.amplitudes[pair, wave]
        return sketches.with_points((moved * half + middle).astype(np.float32))

    def photos(self, pixels: NDArray[np.uint8], boxes: NDArray[np.float64]) -> NDArray[np.uint8]:
        """Photos bent, (pairs, 3, height, width); what comes from outside is white.

        An object that would grow out of its picture is shrunk.

        Args:
            pixels: (pairs, 3, height, width).
            boxes: (pairs, 4) of the objects, see `object_boxes`.
        """
        height, width = pixels.shape[2:]
        middle, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
        half = sides.max(axis=1, keepdims=True)
        room = np.minimum(middle, [width, height] - middle)
        shrunk = half * np.minimum(room / (self._reach(sides / half) * half), 1.0).min(axis=1, keepdims=True)
        x, y = torch.meshgrid(torch.arange(width) + 0.5, torch.arange(height) + 0.5, indexing="xy")
        places = torch.stack([x, y], dim=-1).reshape(1, -1, 2)
        center, scale, unit = (torch.from_numpy(values[:, None]).float() for values in (middle, shrunk, half))
        source = self._before((places - center) / scale) * unit + center
        grid = (source / torch.tensor([width / 2, height / 2]) - 1).reshape(len(pixels), height, width, 2)
        from_white = functional.grid_sample(torch.from_numpy(pixels).float() - 255, grid, align_corners=False)
        return (from_white + 255).round_().clamp_(0, 255).to(torch.uint8).numpy()

    def _reach(self, sides: NDArray[np.float64]) -> NDArray[np.float64]:
        """How far from the middle boxes of half sides (pairs, 2) may come along each axis: (pairs, 2)."""
        straight = np.einsum("nij,nj->ni", np.abs(self.matrices), sides)
        reach: NDArray[np.float64] = straight + np.abs(self.amplitudes).sum(axis=1)
        return reach

    def _before(self, places: torch.Tensor) -> torch.Tensor:
        """Where (pairs, places, 2) came from: `matrix @ p + bend(p) = place`, solved from a straight start."""
        back = torch.from_numpy(np.linalg.inv(self.matrices)).float().transpose(1, 2)
        found = places @ back
        if not self.amplitudes.any():
            return found
        phases, amplitudes = torch.from_numpy(self.phases).float(), torch.from_numpy(self.amplitudes).float()
        for _ in range(4):
            bend = torch.zeros_like(found)
            for wave, (axis, frequency) in enumerate(_WAVES):
                height = torch.sin(2 * math.pi * frequency * found[..., axis] + phases[:, wave, None])
                bend += height[..., None] * amplitudes[:, wave, None]
            found = (places - bend) @ back
        return found


def object_boxes(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Boxes of what stands on a plain ground: (photos, 4) left, top, right, bottom in pixels.

    The whole picture where its four corners are not of one color, or nothing stands out.

    Args:
        pixels: (photos, 3, height, width).
    """
    height, width = pixels.shape[2:]
    boxes = np.tile([0.0, 0.0, width, height], (len(pixels), 1))
    for row, photo in enumerate(pixels.astype(np.int16)):
        ground = photo[:, :1, :1]
        corners = photo[:, [0, 0, -1, -1], [0, -1, 0, -1]]
        seen = np.abs(photo - ground).max(axis=0) > _BACKGROUND
        if np.abs(corners - ground[:, :, 0]).max() <= _BACKGROUND and seen.any():
            rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
            boxes[row] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    return boxes
