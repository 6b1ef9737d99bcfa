"""What a teacher is asked about, against what the student sees in the same batch."""

import numpy as np
import pytest
import torch

from sketchkit import ParameterError
from sketchkit.adapters import adapt
from sketchkit.canvas import Canvas
from sketchkit.recipes.config import StudentConfig, TrainingConfig, load_config
from sketchkit.recipes.datasets import load_pairs
from sketchkit.recipes.drawn_inputs import DrawnInputs
from sketchkit.recipes.fgsbir import run
from sketchkit.recipes.teaching import embed_versions, taught_warps


@pytest.mark.parametrize("versions", [1, 3])
def test_a_teacher_sees_the_versions_that_the_student_is_shown(paired_folder, monkeypatch, versions):
    """Where nothing is jittered or mirrored, a student that is its own teacher embeds as it was taught."""
    monkeypatch.setattr("sketchkit.recipes.drawn_inputs.JITTER", {"rotation": 0.0, "scale": 0.0, "shift": 0.0})
    torch.manual_seed(0)
    model = adapt("mobilenet_v2", canvases=(Canvas(96),), photo_size=96).eval()
    pairs = load_pairs("folder", paired_folder)
    training = TrainingConfig(frozen_blocks=0, stretch=0.4 if versions > 1 else 0.0, bend=0.0)
    warps = taught_warps(StudentConfig(taught_versions=versions, training=training), seed=5, photos=12)
    assert len(warps) == versions - 1
    targets = embed_versions(model, pairs, model.canvases[0], warps, name="made")
    assert targets["photos"].shape == (12 * versions, 1280)
    assert targets["sketches"].shape == (24 * versions, 1280)
    inputs = DrawnInputs.load(model, pairs, model.canvases, photo_size=96, mirror=False, stretch=training.stretch)
    inputs = DrawnInputs(**{**vars(inputs), "warps": warps, "targets": targets})
    shown = []
    for epoch in range(3):
        for batch in inputs.batches(epoch, batch_photos=6, sketches_per_photo=2, seed=1):
            with torch.no_grad():
                photos, sketches = model.embed(batch["photos"]), model.embed(batch["sketches"][96])
            assert torch.cdist(photos, batch["teacher_photos"]).diagonal().max() < 0.02
            assert torch.cdist(sketches, batch["teacher_sketches"]).diagonal().max() < 0.02
            shown += [int(torch.cdist(row[None], targets["photos"]).argmin()) // 12 for row in batch["teacher_photos"]]
    assert set(shown) == set(range(versions)), "each version is shown"


def test_versions_are_others_for_each_pair_and_the_same_for_a_seed():
    training = TrainingConfig(frozen_blocks=0, stretch=0.4)
    student = StudentConfig(taught_versions=3, training=training)
    first, again, other = (taught_warps(student, seed, 4) for seed in (0, 0, 1))
    matrices = np.stack([warp.matrices for warp in first])
    assert len({matrix.tobytes() for matrix in matrices.reshape(-1, 4)}) == 8
    assert np.array_equal(matrices, np.stack([warp.matrices for warp in again]))
    assert not np.array_equal(matrices, np.stack([warp.matrices for warp in other]))


def test_a_run_with_taught_versions(paired_folder, tiny_config, small_teacher, tmp_path):
    words = [
        *small_teacher,
        "student.taught_versions=2",
        "student.training.stretch=0.3",
        "student.training.frozen_blocks=0",
    ]
    config = load_config(str(tiny_config), [f"data.root={paired_folder}", *words, f"out={tmp_path / 'run'}"])
    assert run(config)["histories"]["v1"][0]["distillation"] > 0
    with pytest.raises(ParameterError, match=r"taught_versions differ by student.training.stretch and bend"):
        load_config(str(tiny_config), ["student.taught_versions=2", "student.training.frozen_blocks=0"])
    with pytest.raises(ParameterError, match=r"taught_versions are drawn anew: set student.training.variants=0"):
        load_config(str(tiny_config), ["student.taught_versions=2", "student.training.variants=2"])
