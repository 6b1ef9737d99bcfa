"""Paired data: sketches, and the photo that each of them shows."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sketchkit.errors import DataError, MissingDataError, ParameterError
from sketchkit.recipes.config import DataConfig
from sketchkit.sketch_set import SketchSet

__all__ = ["PairedSet", "TrainTest", "split_pairs"]


@dataclass(frozen=True, eq=False)
class PairedSet:
    """Sketches and photos, several sketches a photo allowed.

    Args:
        name: of the data set.
        sketches: the drawings; the column `key` names each.
        photo_of_sketch: (sketches,) int64, which photo each drawing shows.
        photo_paths: the photos' files.
        official_split: (photos,) `train` or `test`, as upstream says; None when upstream has none.
        note: what must be said wherever a figure of these very drawings is shown.
    """

    name: str
    sketches: SketchSet
    photo_of_sketch: NDArray[np.int64]
    photo_paths: tuple[Path, ...]
    official_split: NDArray[np.str_] | None = None
    note: str = ""

    def __repr__(self) -> str:
        """In a line: a set may have thousands of paths."""
        return f"PairedSet({self.name}: {len(self.sketches):,} sketches of {len(self.photo_paths):,} photos)"

    @property
    def photo_keys(self) -> list[str]:
        """The photos' file names without suffix."""
        return [path.stem for path in self.photo_paths]

    @cached_property
    def photo_hashes(self) -> list[str]:
        """SHA-256 of each photo's file: results and caches belong to what a photo shows, not to its name.

        Raises:
            MissingDataError: a photo is gone.
            DataError: a photo cannot be read.
        """
        try:
            return [hashlib.sha256(path.read_bytes()).hexdigest() for path in self.photo_paths]
        except FileNotFoundError as error:
            raise MissingDataError(f"{error.filename}: this photo is gone") from None
        except OSError as error:
            raise DataError(f"{error.filename}: this photo cannot be read: {error.strerror}") from None

    def take_photos(self, photos: Sequence[int] | NDArray[np.int64]) -> PairedSet:
        """The part that belongs to some photos, photos in the order given.

        Args:
            photos: (taken,) indices of photos.
        """
        chosen = np.asarray(photos, np.int64)
        renumbered = np.full(len(self.photo_paths), -1, np.int64)
        renumbered[chosen] = np.arange(len(chosen))
        owned = np.flatnonzero(renumbered[self.photo_of_sketch] >= 0)
        return PairedSet(
            self.name,
            self.sketches[owned],
            renumbered[self.photo_of_sketch[owned]],
            tuple(self.photo_paths[index] for index in chosen),
            None if self.official_split is None else self.official_split[chosen],
            self.note,
        )

    def limit_sketches(self, per_photo: int) -> PairedSet:
        """The first `per_photo` sketches of each photo."""
        order = np.argsort(self.photo_of_sketch, kind="stable")
        owners = self.photo_of_sketch[order]
        rank = np.arange(len(owners)) - np.searchsorted(owners, owners)
        kept = np.sort(order[rank < per_photo])
        return replace(self, sketches=self.sketches[kept], photo_of_sketch=self.photo_of_sketch[kept])


@dataclass(frozen=True, eq=False)
class TrainTest:
    """What is trained on, and what is evaluated.

    Args:
        train: has no photo in common with `test`.
        test: its photos are the gallery.
        description: in a few words what `test` is, such as `fold 1 of 3 of the training photos`.
    """

    train: PairedSet
    test: PairedSet
    description: str


def split_pairs(pairs: PairedSet, config: DataConfig, seed: int) -> TrainTest:
    """Cut a paired set in two; no photo is ever on both sides.

    The official test split is evaluated when it is asked for, or there is one and `split` is `auto`; else a fold of the
    training photos. Folds depend on the photos' names alone, not on `seed`, so that seeds can be compared on one fold.

    Args:
        pairs: the whole set.
        config: `split`, `fold`, `folds` and the limits.
        seed: draws the photos where a limit applies.

    Raises:
        ParameterError: `split: test`, but the set has none.
        DataError: a side has fewer than two photos or no sketch.
    """
    official = pairs.official_split
    has_test = official is not None and bool(np.any(official == "test"))
    if config.split == "test" and not has_test:
        raise ParameterError(f"data.split=test, but {pairs.name} holds no test split here; data.split=fold needs none")
    training = np.arange(len(pairs.photo_paths)) if official is None else np.flatnonzero(official == "train")
    if has_test and config.split != "fold":
        test_photos, description = np.flatnonzero(official == "test"), "the official test split"
    else:
        test_photos, training = _fold(pairs, training, config)
        absent = "" if official is None or has_test else " (the official test split is not in this folder)"
        description = f"fold {config.fold + 1} of {config.folds} of the training photos{absent}"
    training = np.intersect1d(training, pairs.photo_of_sketch)  # a photo that nobody drew teaches nothing
    generator = np.random.default_rng([seed, 1])
    sides = []
    for photos, limit in ((training, config.max_train_photos), (test_photos, config.max_test_photos)):
        chosen = photos if limit is None or limit >= len(photos) else np.sort(generator.permutation(photos)[:limit])
        side = pairs.take_photos(chosen)
        if config.max_sketches_per_photo is not None:
            side = side.limit_sketches(config.max_sketches_per_photo)
        if len(chosen) < 2 or len(side.sketches) == 0:
            raise DataError(f"{pairs.name}: {len(chosen)} photos and {len(side.sketches)} sketches are too few")
        sides.append(side)
    return TrainTest(sides[0], sides[1], description)


def _fold(pairs: PairedSet, photos: NDArray[np.int64], config: DataConfig) -> tuple[NDArray[Any], NDArray[Any]]:
    """Photos of the fold, and the others."""
    keys = pairs.photo_keys
    by_name = sorted(photos.tolist(), key=lambda photo: keys[photo])
    shuffled = np.array(by_name)[np.random.default_rng(0).permutation(len(by_name))]
    held_out = np.array_split(shuffled, config.folds)[config.fold]
    return np.sort(held_out), np.sort(np.setdiff1d(shuffled, held_out))
