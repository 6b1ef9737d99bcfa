"""Tables over two folds and two seeds of the made pairs, trained once."""

from pathlib import Path

import pytest

from sketchkit.recipes.policies.blind import Fixed, Oracle, UniformRandom
from sketchkit.recipes.policies.cascades import MarginCascade
from sketchkit.recipes.policies.recurrent import StrokeReader
from sketchkit.recipes.protocol.rows import load_table
from sketchkit.recipes.protocol.run import Asked, run_table

TABLE = """
title: Made pairs
base: tiny.yaml
seeds: [0, 1]
settings: [data.folds=2, teacher.network=mobilenet_v2, teacher.training.frozen_blocks=15, teacher.training.epochs=1]
rows:
  teacher: {kind: teacher, says: It teaches.}
  v1:
    says: It learns.
    each_epoch: true
  v2: {kind: v2}
  v2-paper: {kind: v2, policy: "GRU, REINFORCE"}
budget: 0.05e9
differences:
  - [v2, v1]
  - [v1, teacher]
"""


@pytest.fixture(scope="session")
def write_table(tiny_text):
    """Write the table and its base into a folder."""

    def write(folder: Path, text: str = TABLE) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "tiny.yaml").write_text(tiny_text)
        path = folder / "made.yaml"
        path.write_text(text)
        return path

    return write


@pytest.fixture(scope="session")
def finished(paired_folder, write_table, tmp_path_factory) -> Path:
    """The folder of a finished table: `made.yaml`, `run/`, `results/`."""
    folder = tmp_path_factory.mktemp("table")
    words = [f"data.root={paired_folder}", f"out={folder / 'run'}"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sketchkit.recipes.protocol.selecting.all_policies", few_policies)
        run_table(load_table(str(write_table(folder))), Asked(words, command="sketchkit table"), folder / "results")
    return folder


def few_policies(outcomes, config):
    """One of each kind; all of them are tested elsewhere."""
    fixed = [Fixed(place, size) for place, size in enumerate(outcomes[0].canvases)]
    return [*fixed, UniformRandom(), StrokeReader("reinforce", config), MarginCascade(), Oracle()]
