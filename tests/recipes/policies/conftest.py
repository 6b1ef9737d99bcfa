"""Made outcomes: what decides whether a canvas finds the photo is known, and where it can be seen."""

from collections.abc import Callable

import numpy as np
import pytest

from sketchkit import Sketch, SketchSet
from sketchkit.recipes.policies.outcomes import Outcomes

SIZES = (32, 64, 128)
COSTS = np.array([1e6, 4e6, 16e6])
EASY, HARD = np.array([0.85, 0.9, 0.95]), np.array([0.05, 0.3, 0.85])


def zigzag(generator, turns):
    heights = np.where(np.arange(turns + 1) % 2, 90, 10) + generator.normal(scale=3, size=turns + 1)
    return Sketch.from_strokes([np.stack([np.linspace(0, 100, turns + 1), heights], axis=1)])


def make(signal: str = "none", *, fold: int = 0, seed: int = 0, photos: int = 60, per_photo: int = 3) -> Outcomes:
    """Outcomes of one fold and seed.

    Args:
        signal: what tells easy drawings, right on any canvas, from hard ones, right on the largest: `ink` (they have
            few turns), `embedding` (its first value), `none` (all are alike); `margin`: it tells right from wrong.
        fold: drawings are of the fold.
        seed: chance is of fold and seed.
        photos: how many.
        per_photo: drawings of each.
    """
    of_fold, chance = np.random.default_rng([fold, 1]), np.random.default_rng([fold, seed, 2])
    count = photos * per_photo
    turns = of_fold.integers(1, 20, count)
    block = SketchSet.from_sketches([zigzag(of_fold, int(each)) for each in turns])
    block = block.with_columns(key=np.array([f"{fold}-{index}" for index in range(count)], dtype=object))
    owner = np.repeat(np.arange(photos), per_photo)
    easy = turns < 10 if signal == "ink" else of_fold.random(count) < 0.5
    chances = np.where(easy[:, None], EASY, HARD) if signal in ("ink", "embedding") else (EASY + HARD) / 2
    right = chance.random((count, 3)) < chances
    margins = chance.uniform(0, 0.3, (count, 3))
    if signal == "margin":
        margins = np.where(right, chance.uniform(0.12, 0.3, (count, 3)), chance.uniform(0, 0.18, (count, 3)))
    drops = np.concatenate([np.zeros((count, 3, 1)), margins[..., None] * np.arange(1, 6)], axis=2)
    embeddings = chance.normal(scale=0.1, size=(count, 3, 24))
    if signal == "embedding":
        embeddings[..., 0] = np.where(easy, 1, -1)[:, None]
    return Outcomes(
        sketches=block,
        photo_of_sketch=owner,
        canvases=SIZES,
        ranks=np.where(right, 1, chance.integers(2, photos + 1, (count, 3))),
        nearest=np.where(right, owner[:, None], (owner[:, None] + chance.integers(1, photos, (count, 3))) % photos),
        similarities=(0.9 - drops).astype(np.float32),
        triplet_losses=np.where(right, 0.1, 0.4).astype(np.float32),
        flops=np.tile(COSTS, (count, 1)),
        search_flops=1000.0,
        fold=fold,
        seed=seed,
        embeddings=embeddings.astype(np.float16),
    )


@pytest.fixture(scope="session")
def made() -> Callable[..., Outcomes]:
    return make
