"""Pictures drawn anew for every epoch, against pictures made one by one; and trainings that read them."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from sketchkit.adapters import AdaptedModel, adapt
from sketchkit.canvas import Canvas
from sketchkit.errors import ParameterError
from sketchkit.ragged import group_of
from sketchkit.rasterizing import rasterize
from sketchkit.recipes.config import StudentConfig, TrainingConfig, load_config
from sketchkit.recipes.datasets import load_pairs
from sketchkit.recipes.drawn_inputs import DrawnInputs
from sketchkit.recipes.fgsbir import run
from sketchkit.recipes.objectives import Retrieval
from sketchkit.recipes.photos import load_photos

SETTINGS = {"batch_photos": 5, "sketches_per_photo": 2, "seed": 3}


@pytest.fixture(scope="module")
def prepared(paired_folder):
    torch.manual_seed(0)
    model = adapt("mobilenet_v2", canvases=(32, 64), photo_size=64)
    pairs = load_pairs("folder", paired_folder)
    return model, pairs, DrawnInputs.load(model, pairs, model.canvases, photo_size=64, mirror=True)


def test_an_epoch_shows_each_photo_once_with_its_sketches(prepared):
    model, pairs, inputs = prepared
    photos = load_photos(pairs.photo_paths, 64)
    known = [
        [model.photo_inputs(np.ascontiguousarray(each[None, ..., ::step]))[0] for step in (1, -1)] for each in photos
    ]
    batches = list(inputs.batches(0, **SETTINGS))
    assert [len(batch["photos"]) for batch in batches] == [4, 4, 4]
    assert len(batches) == inputs.steps_per_epoch(5)
    seen, flags = [], set()
    for batch in batches:
        assert (batch["owner"] != batch["negative"]).all()
        for photo in batch["photos"]:
            found = [(row, flag) for row, pair in enumerate(known) for flag in (0, 1) if torch.equal(photo, pair[flag])]
            seen.append(found[0][0])
            flags.add(found[0][1])
        assert batch["owner"].bincount().tolist() == [2] * len(batch["photos"])
        assert {size: tuple(images.shape[1:]) for size, images in batch["sketches"].items()} == {
            32: (3, 32, 32),
            64: (3, 64, 64),
        }
    assert sorted(seen) == list(range(12))
    assert flags == {0, 1}, "some pairs are mirrored, some not"


def test_epochs_differ_and_repeat(prepared):
    _, _, inputs = prepared
    first, again, second = (next(inputs.batches(epoch, **SETTINGS)) for epoch in (0, 0, 1))
    for size in (32, 64):
        assert torch.equal(first["sketches"][size], again["sketches"][size])
    everything = [
        {image.numpy().tobytes() for batch in inputs.batches(epoch, **SETTINGS) for image in batch["sketches"][64]}
        for epoch in (0, 1)
    ]
    assert not everything[0] & everything[1], "jittered anew"
    assert not torch.equal(first["owner"], second["owner"]) or not torch.equal(first["photos"], second["photos"])


def test_sketches_are_mirrored_with_their_photos(paired_folder, monkeypatch):
    """With no jitter, a sketch is the plain drawing or its mirror image, as its photo is."""
    monkeypatch.setattr("sketchkit.recipes.drawn_inputs.JITTER", {"rotation": 0.0, "scale": 0.0, "shift": 0.0})
    model = adapt("mobilenet_v2", canvases=(64,), photo_size=64)
    pairs = load_pairs("folder", paired_folder)
    inputs = DrawnInputs.load(model, pairs, model.canvases, photo_size=64, mirror=True)
    photos, ink = load_photos(pairs.photo_paths, 64), rasterize(pairs.sketches, 64)
    for batch in inputs.batches(0, **SETTINGS):
        for row, sketch in enumerate(batch["sketches"][64]):
            photo = batch["photos"][batch["owner"][row]]
            matches = [
                (number, step)
                for number in range(len(ink))
                for step in (1, -1)
                if torch.allclose(
                    sketch, model.raster_inputs(np.ascontiguousarray(ink[number : number + 1, :, ::step]))[0], atol=0.05
                )
            ]
            number, step = matches[0]
            expected = photos[pairs.photo_of_sketch[number]][None, ..., ::step]
            assert torch.equal(photo, model.photo_inputs(np.ascontiguousarray(expected))[0])


def test_the_largest_canvas_teaches_and_is_not_taught(prepared):
    """Its loss alone gives the same gradient whether it teaches or not."""
    model, _, inputs = prepared
    batch = next(inputs.batches(0, **SETTINGS))
    training = TrainingConfig(frozen_blocks=0)
    plain, taught = (
        Retrieval(model, StudentConfig(self_distillation=weight), training)(batch) for weight in (0.0, 2.0)
    )
    extra = taught["self-distillation"].item()
    # Of two canvases one is taught: half of the mean over canvases.
    assert taught["loss"].item() == pytest.approx(plain["loss"].item() + 2 * extra / 2, rel=1e-5)
    alone = batch | {"sketches": {64: batch["sketches"][64]}}
    assert "self-distillation" not in Retrieval(model, StudentConfig(self_distillation=2.0), training)(alone)


def test_a_run_with_nothing_frozen_repeats_itself(paired_folder, tiny_config, tmp_path):
    words = [
        f"data.root={paired_folder}",
        "student.training.frozen_blocks=0",
        "student.self_distillation=1",
        "teacher.network=mobilenet_v2",
        "teacher.training.frozen_blocks=0",
        "teacher.training.epochs=1",
    ]
    found = []
    for name in ("first", "second"):
        results = run(load_config(str(tiny_config), [*words, f"out={tmp_path / name}"]))
        assert results["histories"]["v1"][0]["self-distillation"] >= 0
        assert not (tmp_path / name / "cache").exists(), "nothing is frozen, so nothing is kept"
        found.append(
            json.dumps([results["histories"], results["per_canvas"]])
            + (tmp_path / name / "predictions.ndjson").read_text()
        )
    assert found[0] == found[1]


def test_frozen_blocks_may_see_pictures_drawn_anew_and_stay_as_they_were(paired_folder, tiny_config, tmp_path):
    words = [f"data.root={paired_folder}", "teacher.training.variants=0", "student.training.variants=0"]
    config = load_config(str(tiny_config), [*words, f"out={tmp_path / 'run'}"])
    run(config)
    assert not (tmp_path / "run" / "cache").exists(), "nothing is kept"
    for stage, network, frozen in (("teacher", "vgg16", 24), ("v1", "mobilenet_v2", 7)):
        torch.manual_seed(config.seed)
        fresh = adapt(network, pretrained=False, canvases=(64,), photo_size=64).backbone.state_dict()
        trained = AdaptedModel.from_pretrained(tmp_path / "run" / stage / "model").backbone.state_dict()
        changed = {int(name.split("features.")[1].split(".")[0]) for name in fresh if not same(fresh, trained, name)}
        assert min(changed) >= frozen, stage
        assert max(changed) > frozen


def same(one, other, name):
    return torch.equal(one[name], other[name])


def test_sketches_of_a_rectangular_canvas_come_in_their_order(paired_folder, monkeypatch):
    """Embedded shape by shape as in training, and one by one as in use."""
    monkeypatch.setattr("sketchkit.recipes.drawn_inputs.JITTER", {"rotation": 0.0, "scale": 0.0, "shift": 0.0})
    torch.manual_seed(0)
    model = adapt("mobilenet_v2", canvases=(Canvas(64), Canvas(96, rectangular=True)), photo_size=64).eval()
    pairs = load_pairs("folder", paired_folder)
    pairs = replace(pairs, sketches=narrowed(pairs.sketches))
    known = model.embed_sketches(pairs.sketches, canvas=model.canvases[1])
    inputs = DrawnInputs.load(model, pairs, model.canvases, photo_size=64, mirror=False)
    for batch in inputs.batches(0, **SETTINGS):
        by_shape = batch["sketches"][96]
        assert {tuple(images.shape[2:]) for images in by_shape.images} > {(96, 96)}, "more than squares"
        with torch.no_grad():
            found = by_shape.embedded_by(model.embed)
            squares = model.embed(batch["sketches"][64])
        assert len(found) == len(squares) == len(batch["owner"])
        plain = model.embed_sketches(pairs.sketches, canvas=model.canvases[0])
        for one, square in zip(found, squares, strict=True):
            assert torch.cdist(one[None], known).argmin() == torch.cdist(square[None], plain).argmin()
            assert torch.cdist(one[None], known).min() < 1e-3


def narrowed(sketches):
    """Every other drawing a third as wide."""
    drawing = group_of(sketches.stroke_offsets[sketches.sketch_offsets]) % 2 == 0
    points = sketches.points.copy()
    points[drawing, 0] /= 3
    return sketches.with_points(points)


def test_canvases_are_rectangular_from_a_size_on(paired_folder, tiny_config, small_teacher, tmp_path):
    words = [*small_teacher, f"data.root={paired_folder}", "student.canvases=[32,64,96]", "student.rectangular_from=96"]
    results = run(load_config(str(tiny_config), [*words, f"out={tmp_path / 'run'}"]))
    model = AdaptedModel.from_pretrained(tmp_path / "run" / "v1" / "model")
    assert [canvas.rectangular for canvas in model.canvases] == [False, False, True]
    assert set(results["per_canvas"]["v1"]) == {"32", "64", "96"}
    with pytest.raises(ParameterError, match="rectangular_from cuts canvases to the ink: set fit=tight, not keep"):
        load_config(str(tiny_config), ["student.fit=keep", "student.rectangular_from=96"])
