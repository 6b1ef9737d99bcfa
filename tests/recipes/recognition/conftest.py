"""Made drawings of three categories: crosses, rings and zigzags, as Quick, Draw! files."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sketchkit import Sketch, SketchSet, write

CATEGORIES = ("cross", "ring", "zigzag")


def lines_of(category):
    if category == "ring":
        angles = np.linspace(0, 2 * np.pi, 17)
        return [np.stack([np.cos(angles), np.sin(angles)], axis=1)]
    if category == "zigzag":
        return [np.stack([np.linspace(-1, 1, 7), np.array([1, -1, 1, -1, 1, -1, 1])], axis=1)]
    return [np.array([[-1, -1], [1, 1]]), np.array([[-1, 1], [1, -1]])]


def drawn(category: str, count: int) -> SketchSet:
    """So many drawings, their keys those of the category alone."""
    number = CATEGORIES.index(category)
    generator = np.random.default_rng(number)
    drawings = []
    for index in range(count):
        center, size = generator.uniform(100, 150, 2), generator.uniform(40, 90, 2)
        lines = [
            np.rint(center + size * line + generator.normal(scale=3, size=line.shape)) for line in lines_of(category)
        ]
        drawings.append(Sketch.from_strokes(lines, label=category, key=str(1000 * number + index)))
    return SketchSet.from_sketches(drawings)


@pytest.fixture(scope="session")
def draw() -> Callable[[str, int], SketchSet]:
    """Makes drawings of a category."""
    return drawn


@pytest.fixture(scope="session")
def categories_folder(tmp_path_factory) -> Path:
    """A file of twelve drawings for each category."""
    root = tmp_path_factory.mktemp("categories")
    for category in CATEGORIES:
        write(drawn(category, 12), root / f"{category}.ndjson")
    return root


@pytest.fixture(scope="session")
def recognition_text() -> str:
    """A configuration under which the whole recipe takes seconds; of twelve drawings 4 test, 3 validation, 5 train."""
    return """
data: {categories: 3, validation_share: 0.25, test_share: 0.33}
teacher:
  network: mobilenet_v2
  pretrained: false
  canvas: 64
  training: {epochs: 1, batch: 16, frozen_blocks: 17, variants: 2}
student:
  pretrained: false
  canvases: [32, 64]
  self_distillation: 0.5
  training: {epochs: 2, batch: 9}
selector: {epochs: 2, variants: 2, dial: [0.9], batch_sketches: 8}
timed_queries: 2
"""
