from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from sketchkit import (
    AdaptedModel,
    Canvas,
    MissingDataError,
    OutputError,
    ParameterError,
    Sketch,
    SketchkitError,
    WeightsError,
    adapt,
)
from sketchkit.adapters import mobilenet_v2, vgg16
from sketchkit.adapters import saving as saving_module

from models import MODELS, Wrapped, pooled

PHOTOS = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(5))
SKETCH = Sketch.from_strokes([[(0, 0), (30, 5), (10, 40)], [(3, 3), (9, 9)]])


def scrambled(adapted: AdaptedModel) -> AdaptedModel:
    """Every parameter and statistic off its first value, as after a training."""
    with torch.no_grad():
        for value in [*adapted.parameters(), *adapted.backbone.buffers()]:
            if value.is_floating_point():
                value.add_(0.05 * torch.rand_like(value))
    return adapted


def assert_same(first: AdaptedModel, second: AdaptedModel) -> None:
    with torch.no_grad():
        assert torch.equal(first.embed_photos(PHOTOS), second.embed_photos(PHOTOS))
        assert torch.equal(first.embed_sketches(SKETCH), second.embed_sketches(SKETCH))
    assert first.description == second.description
    assert not second.training


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    scrambled(adapt(pooled(), canvases=(32, 64), photo_size=32)).save_pretrained(tmp_path)
    return tmp_path


def weights_of(folder: Path) -> Path:
    (path,) = folder.glob("*.safetensors")
    return path


@pytest.mark.parametrize("name", MODELS)
def test_the_same_embedding_before_and_after(name: str, tmp_path: Path) -> None:
    adapted = scrambled(
        adapt(MODELS[name].build(), canvases=(Canvas(32, fit="keep"), 64), photo_size=32, embedding_dim=4)
    )
    adapted.save_pretrained(tmp_path)
    again = AdaptedModel.from_pretrained(tmp_path, MODELS[name].build())
    assert_same(adapted, again)


@pytest.mark.parametrize("build", [lambda: "mobilenet_v2", mobilenet_v2, vgg16])
def test_our_networks_are_rebuilt_by_name(build: Callable[[], nn.Module | str], tmp_path: Path) -> None:
    adapted = adapt(build(), canvases=(32,), photo_size=32)
    adapted.save_pretrained(tmp_path)
    torch.manual_seed(9)
    again = AdaptedModel.from_pretrained(tmp_path)
    after = torch.rand(1)
    assert_same(adapted, again)
    torch.manual_seed(9)
    assert torch.equal(after, torch.rand(1))


def test_the_memory_format_comes_back(tmp_path: Path) -> None:
    adapted = scrambled(adapt(mobilenet_v2(), canvases=(32,), photo_size=32)).to(memory_format=torch.channels_last)
    adapted.save_pretrained(tmp_path)
    assert_same(adapted, AdaptedModel.from_pretrained(tmp_path))


def test_other_networks_need_model(saved: Path) -> None:
    with pytest.raises(ParameterError, match=r"only you can build; call from_pretrained\(folder, model=...\)"):
        AdaptedModel.from_pretrained(saved)
    model = pooled()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    AdaptedModel.from_pretrained(saved, model)
    assert model.fc.out_features == 5
    assert all(torch.equal(model.state_dict()[name], value) for name, value in before.items())


@pytest.mark.parametrize("other", [lambda: pooled(channels=1), lambda: nn.Sequential(nn.Conv2d(3, 2, 3))])
def test_another_network_is_refused(saved: Path, other: Callable[[], nn.Module]) -> None:
    with pytest.raises(WeightsError, match="the weights are not of this Pooled"):
        AdaptedModel.from_pretrained(saved, other())


def test_the_folder_holds_json_safetensors_and_a_card_alone(saved: Path) -> None:
    names = sorted(path.suffix for path in saved.iterdir())
    assert names == [".json", ".md", ".safetensors"]
    config = json.loads((saved / "config.json").read_text())
    assert config["weights"]["file"] == weights_of(saved).name
    assert config["model"]["classifier"] == ["fc"]


def test_the_teacher_is_not_saved(tmp_path: Path) -> None:
    adapted = adapt(pooled(), teacher=pooled(), canvases=(32,), photo_size=32)
    adapted.save_pretrained(tmp_path)
    again = AdaptedModel.from_pretrained(tmp_path, pooled())
    assert again.kd_head is None
    assert_same(adapted, again)


def test_a_network_that_computes_something_else_is_refused(saved: Path) -> None:
    other = pooled()
    other.trunk[2] = nn.Hardtanh(-0.1, 0.1)
    with pytest.raises(WeightsError, match="computes something else than the one that was saved; pass model="):
        AdaptedModel.from_pretrained(saved, other)
    shrunk = Wrapped(pooled(), lambda scores: scores / 0)
    with pytest.raises(WeightsError):
        AdaptedModel.from_pretrained(saved, shrunk)


def test_a_folder_without_the_check_is_read(saved: Path) -> None:
    config = json.loads((saved / "config.json").read_text())
    assert len(config.pop("check")) == 8
    del config["model"]["stem"]
    (saved / "config.json").write_text(json.dumps(config))
    AdaptedModel.from_pretrained(saved, pooled())


def test_saving_leaves_modes_and_random_numbers_alone(tmp_path: Path) -> None:
    adapted = adapt(pooled(), canvases=(32,), photo_size=32).train()
    adapted.backbone.network.trunk[1].eval()
    before = [module.training for module in adapted.modules()], torch.get_rng_state()
    statistics = {name: value.clone() for name, value in adapted.named_buffers()}
    adapted.save_pretrained(tmp_path)
    assert [module.training for module in adapted.modules()] == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])
    assert all(torch.equal(value, statistics[name]) for name, value in adapted.named_buffers())


def test_weights_that_are_not_finite_are_saved_all_the_same(tmp_path: Path) -> None:
    adapted = adapt(pooled(), canvases=(32,), photo_size=32)
    with torch.no_grad():
        adapted.backbone.network.trunk[0].bias.fill_(float("nan"))
    adapted.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["check"] is None
    AdaptedModel.from_pretrained(tmp_path, pooled())


def test_a_module_that_looks_for_its_states_version(tmp_path: Path) -> None:
    AdaptedModel.save_pretrained(adapt(Versioned(), canvases=(32,), photo_size=32), tmp_path)
    AdaptedModel.from_pretrained(tmp_path, Versioned())


class Versioned(nn.Sequential):
    """Refuses states without a version, as torchvision's MNASNet does."""

    _version = 2

    def __init__(self) -> None:
        super().__init__(pooled())

    def _load_from_state_dict(self, states: dict[str, Any], prefix: str, metadata: Any, *rest: Any) -> None:
        assert metadata.get("version") == 2
        super()._load_from_state_dict(states, prefix, metadata, *rest)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "damaged: their SHA-256"),
        (lambda path: path.write_bytes(b""), "damaged"),
        (lambda path: path.unlink(), "cannot be read"),
        (lambda path: path.write_bytes(path.read_bytes()[:-8] + bytes(8)), "damaged"),
    ],
)
def test_damaged_weights(saved: Path, damage: Callable[[Path], object], words: str) -> None:
    damage(weights_of(saved))
    with pytest.raises(WeightsError, match=words):
        AdaptedModel.from_pretrained(saved, pooled())


def test_weights_that_are_no_safetensors(saved: Path) -> None:
    import hashlib

    path = weights_of(saved)
    path.write_bytes(b"\x80\x04K\x01.")
    config = json.loads((saved / "config.json").read_text())
    config["weights"]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (saved / "config.json").write_text(json.dumps(config))
    with pytest.raises(WeightsError, match="not a safetensors file"):
        AdaptedModel.from_pretrained(saved, pooled())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda config: {**config, "format": 99}, "format 99 is not known"),
        (lambda config: {}, "not the description"),
        (lambda config: [], "not the description"),
        (lambda config: {**config, "model": {**config["model"], "canvases": []}}, "not the description"),
        (lambda config: {**config, "model": {**config["model"], "surprise": 1}}, "not the description"),
    ],
)
def test_damaged_description(saved: Path, change: Callable[[dict[str, object]], object], words: str) -> None:
    path = saved / "config.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(WeightsError, match=words):
        AdaptedModel.from_pretrained(saved, pooled())


def test_text_that_is_no_json(saved: Path) -> None:
    (saved / "config.json").write_text("{")
    with pytest.raises(WeightsError, match="not the description"):
        AdaptedModel.from_pretrained(saved, pooled())


def test_a_path_in_the_description_does_not_leave_the_folder(saved: Path) -> None:
    config = json.loads((saved / "config.json").read_text())
    config["weights"]["file"] = f"../{weights_of(saved).name}"
    (saved / "config.json").write_text(json.dumps(config))
    AdaptedModel.from_pretrained(saved, pooled())


def test_no_model_there(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(MissingDataError, match="holds no adapted model"):
            AdaptedModel.from_pretrained(folder)


def test_a_kill_between_the_two_files_leaves_the_old_model(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = AdaptedModel.from_pretrained(saved, pooled())

    def killed(path: Path, text: str) -> None:
        raise KeyboardInterrupt

    other = scrambled(adapt(pooled(), canvases=(32, 64), photo_size=32))
    with monkeypatch.context() as patch:
        patch.setattr(saving_module.atomic, "write_text", killed)
        with pytest.raises(KeyboardInterrupt):
            other.save_pretrained(saved)
    assert_same(old, AdaptedModel.from_pretrained(saved, pooled()))
    new = adapt(pooled(), canvases=(32, 64), photo_size=32)
    new.save_pretrained(saved)
    assert len(list(saved.glob("*.safetensors"))) == 1
    assert_same(new, AdaptedModel.from_pretrained(saved, pooled()))


def test_files_of_others_are_left_alone(saved: Path) -> None:
    others = ["model-00001-of-00002.safetensors", "model-mine.safetensors", "model-0123456789ab.safetensors"]
    for name in others:
        (saved / name).write_bytes(b"weights of somebody else")
    old = json.loads((saved / "config.json").read_text())["weights"]["file"]
    scrambled(adapt(pooled(), canvases=(32,), photo_size=32)).save_pretrained(saved)
    assert not (saved / old).exists()
    assert all((saved / name).read_bytes() == b"weights of somebody else" for name in others)


@pytest.mark.parametrize("text", ['{"model_type": "vit", "architectures": ["ViTModel"]}', "[1]", "{", ""])
def test_a_config_of_others_is_not_replaced(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(OutputError, match=r"config\.json is not of sketchkit and is left as it is; choose another"):
        adapt(pooled(), canvases=(32,), photo_size=32).save_pretrained(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]
    assert (tmp_path / "config.json").read_text() == text


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=re.escape(str(tmp_path / "file"))):
        adapt(pooled(), canvases=(32,), photo_size=32).save_pretrained(tmp_path / "file")


@pytest.mark.parametrize("arguments", [{"classes": 3}, {"num_classes": "many"}, {"checkpoint_path": "/etc/passwd"}])
def test_a_description_with_foreign_arguments_is_refused(tmp_path: Path, arguments: dict[str, object]) -> None:
    adapt("mobilenet_v2", canvases=(32,)).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["model"]["source"]["arguments"] = arguments
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(SketchkitError):
        AdaptedModel.from_pretrained(tmp_path)


@pytest.mark.parametrize("error", [RuntimeError, KeyError, ZeroDivisionError, ImportError, IndexError, AttributeError])
def test_a_description_that_nothing_can_be_built_from(
    tmp_path: Path, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    adapt("mobilenet_v2", canvases=(32,)).save_pretrained(tmp_path)

    def broken(source: object) -> nn.Module:
        raise error("hidden_size")

    monkeypatch.setattr(saving_module, "build", broken)
    with pytest.raises(WeightsError, match=r"config\.json: mobilenet_v2 cannot be built as it says: .*hidden_size"):
        AdaptedModel.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("name", "value"), [("classifier", ["fc.weight.deeper"]), ("stem", "nothing.there"), ("selector_hidden", "many")]
)
def test_a_description_that_does_not_fit(saved: Path, name: str, value: object) -> None:
    config = json.loads((saved / "config.json").read_text())
    config["model"][name] = value
    (saved / "config.json").write_text(json.dumps(config))
    with pytest.raises(WeightsError):
        AdaptedModel.from_pretrained(saved, pooled())


def classified() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)
    ).eval()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_scripted_networks_come_back(tmp_path: Path) -> None:
    adapted = scrambled(adapt(torch.jit.script(classified()), canvases=(32,), photo_size=32))
    adapted.save_pretrained(tmp_path)
    again = AdaptedModel.from_pretrained(tmp_path, torch.jit.script(classified()))
    assert_same(adapted, again)
    again.embed_photos(PHOTOS).sum().backward()
    assert any(value.grad is not None for value in again.backbone.parameters())


@pytest.mark.parametrize("scripted", [False, True])
def test_quantized_networks_are_refused_at_once(tmp_path: Path, scripted: bool) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls both outdated
        model = nn.Sequential(*classified()[:-1], nn.Linear(8, 6), nn.ReLU())
        model = torch.ao.quantization.quantize_dynamic(model, {nn.Linear})
        adapted = adapt(classified(), canvases=(32,), photo_size=32)
        adapted.backbone.network = torch.jit.script(model) if scripted else model
        with pytest.raises(OutputError, match="is quantized or holds states that are no tensors"):
            adapted.save_pretrained(tmp_path / "folder")
    assert not (tmp_path / "folder").exists()
