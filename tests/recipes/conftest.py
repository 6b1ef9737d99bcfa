"""A made paired set, tiny: polygons as sketches, the same polygons filled as photos."""

import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
from PIL import Image, ImageDraw

from sketchkit import Sketch
from sketchkit.recipes.cli import main


def polygon(generator, corners):
    angles = np.sort(generator.uniform(0, 2 * np.pi, corners))
    radii = generator.uniform(20, 50, corners)
    return 64 + np.stack([np.cos(angles) * radii, np.sin(angles) * radii], axis=1)


@pytest.fixture(scope="session")
def paired_folder(tmp_path_factory) -> Path:
    """`sketch/` and `photo/` of twelve pairs, two sketches a photo."""
    root = tmp_path_factory.mktemp("paired")
    (root / "sketch").mkdir()
    (root / "photo").mkdir()
    generator = np.random.default_rng(0)
    for index in range(12):
        outline = polygon(generator, 3 + index % 5)
        image = Image.new("RGB", (128, 128), "white")
        color = tuple(int(value) for value in generator.integers(0, 200, 3))
        ImageDraw.Draw(image).polygon([tuple(point) for point in outline], fill=color)
        image.save(root / "photo" / f"shape{index:02d}.png")
        for version in (1, 2):
            drawn = outline + generator.normal(scale=2, size=outline.shape)
            closed = np.concatenate([drawn, drawn[:1]])
            (root / "sketch" / f"shape{index:02d}-{version}.svg").write_text(Sketch.from_strokes([closed]).to_svg())
    return root


TINY = """
accelerator: cpu
devices: "1"
data: {name: folder, photo_size: 64}
teacher: {network: vgg16, pretrained: false, canvas: 64, training: {epochs: 2, batch_photos: 4, frozen_blocks: 24}}
student:
  network: mobilenet_v2
  pretrained: false
  canvases: [32, 64]
  training: {epochs: 2, batch_photos: 4, frozen_blocks: 7, variants: 1, mirror: true}
selector: {epochs: 2, variants: 1, dial: [0.9], batch_sketches: 8}
evaluation: {timed_queries: 2, examples: 3}
"""


SMALL_TEACHER = ["teacher.network=mobilenet_v2", "teacher.training.frozen_blocks=15", "teacher.training.epochs=1"]


@pytest.fixture(scope="session")
def small_teacher() -> list[str]:
    """Settings for a run whose teacher is not what is looked at: VGG-16 takes longer than all else together."""
    return SMALL_TEACHER


@pytest.fixture
def tiny_config(tmp_path) -> Path:
    """A configuration under which the whole recipe takes seconds."""
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    return path


@pytest.fixture(scope="session")
def tiny_text() -> str:
    """The same, as text."""
    return TINY


@pytest.fixture
def main_here(monkeypatch, capfd) -> Callable[..., CompletedProcess[str]]:
    """Run the command line in this process: what it would do in its own, without loading torch once more."""

    def call(*words: object) -> CompletedProcess[str]:
        monkeypatch.setattr(sys, "argv", ["sketchkit", *map(str, words)])
        monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # main puts its own there
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        return CompletedProcess(sys.argv, ended.value.code, *capfd.readouterr())

    return call
