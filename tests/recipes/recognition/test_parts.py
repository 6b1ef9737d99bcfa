"""Settings, inputs, objective, and what is saved, each by itself."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sketchkit import Canvas, adapt, rasterize
from sketchkit.errors import MissingDataError, ParameterError, WeightsError
from sketchkit.recipes.frozen import FrozenFront
from sketchkit.recipes.recognition.config import (
    ClassificationConfig,
    RecognitionStudentConfig,
    load_recognition_config,
    shipped_recognition_configs,
)
from sketchkit.recipes.recognition.drawings import LabeledDrawings
from sketchkit.recipes.recognition.inputs import DrawnPictures
from sketchkit.recipes.recognition.objective import Classification
from sketchkit.recipes.recognition.recognizer import CategoryHead, Recognizer
from sketchkit.recipes.settings import to_yaml


@pytest.fixture(scope="module")
def adapted():
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)
    )
    return adapt(network, canvases=(16, 32), photo_size=32)


@pytest.mark.parametrize("name", sorted(shipped_recognition_configs()))
def test_every_shipped_configuration_reads_back_equal(name, tmp_path):
    config = load_recognition_config(name, ["data.root=x", "data.categories=[cat, alarm clock]"])
    path = tmp_path / "config.yaml"
    path.write_text(to_yaml(config))
    assert load_recognition_config(str(path)) == config


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("data.category=3", "did you mean data.categories"),
        ("data.categories=1", "at least 2"),
        ("data.test_share=0.9", "leave nothing to train on"),
        ("student.temperature=0", "must be above 0"),
        ("student.training.batch=none", "batch"),
        ("student.training.variants=2", "frozen_blocks too"),
        ("seed", "is not key=value"),
    ],
)
def test_a_wrong_word_is_refused_with_the_right_one(word, says):
    with pytest.raises(ParameterError, match=says):
        load_recognition_config("quickdraw", [word])


def test_an_unknown_configuration_names_the_shipped_ones():
    with pytest.raises(MissingDataError, match=r"nowhere: no such file.*quickdraw"):
        load_recognition_config("nowhere")


def test_an_epoch_draws_every_drawing_once_the_same_each_time_and_anew_in_the_next(adapted, draw):
    drawings = LabeledDrawings(draw("ring", 7), np.arange(7))
    logits = torch.arange(7.0)[:, None].expand(7, 2)
    inputs = DrawnPictures(FrozenFront(adapted, 0), drawings, adapted.canvases, mirror=True, teacher_logits=logits)
    first, again, other = (list(inputs.batches(epoch, batch=3, seed=0)) for epoch in (0, 0, 1))
    assert [len(batch["labels"]) for batch in first] == [3, 2, 2]
    assert sorted(torch.cat([batch["labels"] for batch in first]).tolist()) == list(range(7))
    for one, same in zip(first, again, strict=True):
        assert torch.equal(one["teacher_logits"][:, 0], one["labels"].float()), "each with its own teacher"
        assert torch.equal(one["labels"], same["labels"])
        assert all(torch.equal(one["sketches"][size], same["sketches"][size]) for size in (16, 32))
    place = {label: index for index, label in enumerate(torch.cat([batch["labels"] for batch in other]).tolist())}
    pictures, others = (torch.cat([batch["sketches"][32] for batch in epoch]) for epoch in (first, other))
    order = [place[label] for label in torch.cat([batch["labels"] for batch in first]).tolist()]
    assert all(not torch.equal(one, others[index]) for one, index in zip(pictures, order, strict=True))
    plain = rasterize(drawings.sketches, Canvas(32))
    assert pictures.shape == adapted.raster_inputs(plain).shape


def test_pictures_drawn_anew_go_through_the_frozen_blocks(draw):
    adapted = adapt("mobilenet_v2", canvases=(32,), photo_size=32)
    drawings = LabeledDrawings(draw("cross", 3), np.arange(3))
    behind, plain = (
        next(
            DrawnPictures(FrozenFront(adapted, blocks), drawings, adapted.canvases, mirror=True).batches(
                0, batch=3, seed=0
            )
        )
        for blocks in (2, 0)
    )
    with torch.no_grad():
        expected = adapted.backbone.network.features[:2](plain["sketches"][32])
    torch.testing.assert_close(behind["sketches"][32], expected)


def test_the_objective_by_hand(adapted):
    """(1 - s) cross-entropy + s T^2 KL, the mean over canvases, and what the largest canvas teaches the other."""
    torch.manual_seed(1)
    recognizer = Recognizer(adapted, CategoryHead(4, ["cat", "dog", "owl"], temperature=0.5))
    student = RecognitionStudentConfig(distillation_share=0.25, temperature=2.0, self_distillation=0.5)
    batch = {
        "sketches": {size: torch.rand(4, 3, size, size) for size in (16, 32)},
        "labels": torch.tensor([0, 2, 1, 1]),
        "teacher_logits": torch.randn(4, 3),
    }
    found = Classification(recognizer, student, ClassificationConfig())(batch)

    def divergence(logits, teacher):
        p, q = (teacher.detach() / 2).softmax(1), (logits / 2).softmax(1)
        return 4 * (p * (p / q).log()).sum(1).mean()

    small, large = (
        F.linear(adapted.embed(batch["sketches"][size]) / 0.5, *recognizer.head.linear.parameters())
        for size in (16, 32)
    )
    rows = torch.arange(4)
    cross = [-each.softmax(1)[rows, batch["labels"]].log().mean() for each in (small, large)]
    taught = [divergence(each, batch["teacher_logits"]) for each in (small, large)]
    expected = [0.75 * one + 0.25 * other for one, other in zip(cross, taught, strict=True)]
    assert found["loss"].item() == pytest.approx((sum(expected) + 0.5 * divergence(small, large)).item() / 2, rel=1e-5)
    assert found["task"].item() == pytest.approx(sum(cross).item() / 2, rel=1e-5)
    alone = Classification(recognizer, None, ClassificationConfig())(
        {name: batch[name] for name in ("sketches", "labels")}
    )
    assert alone["loss"].item() == pytest.approx(sum(cross).item() / 2, rel=1e-5)


def test_what_is_saved_loads_equal_and_damage_is_named(adapted, draw, tmp_path):
    recognizer = Recognizer(adapted, CategoryHead(4, ["alarm clock", "Käse"]))
    drawings = draw("zigzag", 3)
    before = recognizer.recognize(drawings, canvas=16)
    recognizer.save_pretrained(tmp_path)
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)
    )
    loaded = Recognizer.from_pretrained(tmp_path, network)
    assert loaded.categories == ("alarm clock", "Käse")
    after = loaded.recognize(drawings, canvas=16)
    assert after.categories == before.categories
    np.testing.assert_array_equal(after.probabilities, before.probabilities)
    assert after.canvases.tolist() == [16, 16, 16]

    path = tmp_path / "categories.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(WeightsError, match=r"categories\.safetensors: not the categories"):
        Recognizer.from_pretrained(tmp_path, network)
    path.write_bytes(content)
    with torch.no_grad():
        adapted.backbone.network[0].bias += 1
    adapted.save_pretrained(tmp_path)
    with pytest.raises(WeightsError, match="belong to another network"):
        Recognizer.from_pretrained(tmp_path, network)
    path.unlink()
    with pytest.raises(MissingDataError, match="a network but no categories"):
        Recognizer.from_pretrained(tmp_path, network)


def test_heads_and_questions_that_fit_nothing(adapted):
    for names in (["cat"], ["cat", "cat"]):
        with pytest.raises(ParameterError, match="two different names or more"):
            CategoryHead(4, names)
    with pytest.raises(ParameterError, match="embeddings of 5 values, the network's have 4"):
        Recognizer(adapted, CategoryHead(5, ["cat", "dog"]))
    with pytest.raises(ParameterError, match="top must be at least 1"):
        Recognizer(adapted, CategoryHead(4, ["cat", "dog"])).recognize([], top=0)
