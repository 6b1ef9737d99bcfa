from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from sketchkit import AdaptedModel, MissingDependencyError, ParameterError, adapt
from sketchkit.adapters import rebuilding
from sketchkit.adapters.rebuilding import rebuild, recipe_of

from models import pooled


def package(name: str) -> Any:
    # A torchvision beside another torch fails with RuntimeError.
    return pytest.importorskip(name, reason=f"{name} is not installed or does not work", exc_type=Exception)


def small_vit(**changes: Any) -> nn.Module:
    transformers = package("transformers")
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    network: nn.Module = transformers.ViTModel(transformers.ViTConfig(image_size=32, patch_size=16, **sizes, **changes))
    return network


BUILDS: dict[str, Callable[[], nn.Module]] = {
    "timm": lambda: package("timm").create_model("mobilenetv3_small_050"),
    "timm, classes": lambda: package("timm").create_model("resnet18", num_classes=7),
    "timm, gray": lambda: package("timm").create_model("resnet18", in_chans=1),
    "torchvision": lambda: package("torchvision").models.get_model("squeezenet1_1", weights=None),
    "torchvision, states with a version": lambda: package("torchvision").models.get_model("mnasnet0_5", weights=None),
    "transformers": small_vit,
}


@pytest.mark.parametrize("name", BUILDS)
def test_networks_of_packages_come_back_without_being_passed(name: str, tmp_path: Path) -> None:
    adapted = adapt(BUILDS[name](), canvases=(32,), photo_size=32)
    adapted.save_pretrained(tmp_path)
    again = AdaptedModel.from_pretrained(tmp_path)
    photos = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(adapted.embed_photos(photos), again.embed_photos(photos))
    assert again.description == adapted.description


def test_networks_built_otherwise_are_not_recognized() -> None:
    timm = package("timm")
    assert recipe_of(timm.create_model("vit_tiny_patch16_224", dynamic_img_size=True)) is None
    changed = timm.create_model("resnet18")
    changed.layer1 = nn.Identity()
    assert recipe_of(changed) is None


def test_other_networks_have_no_recipe() -> None:
    assert recipe_of(pooled()) is None


def test_what_comes_from_outside_does_not_reach_a_package() -> None:
    with pytest.raises(ParameterError, match="checkpoint_path, unknown here"):
        rebuild("timm", "resnet18", {"checkpoint_path": "/etc/passwd"})
    with pytest.raises(ParameterError, match="networks of 'os' cannot be built"):
        rebuild("os", "system", {})
    with pytest.raises(ParameterError, match="num_classes, unknown here"):
        rebuild("torchvision", "resnet18", {"num_classes": 3})


@pytest.mark.parametrize("name", ["AutoModel", "pipeline", "nothing", "__name__"])
def test_only_networks_of_transformers_are_built(name: str) -> None:
    package("transformers")
    with pytest.raises(ParameterError, match="transformers has no network"):
        rebuild("transformers", name, {"config": {}})


def test_configurations_that_reach_further_are_refused() -> None:
    package("transformers")
    for config in ({"use_timm_backbone": True}, {"auto_map": {"AutoModel": "x.y"}}, "text"):
        with pytest.raises(ParameterError, match="reaches beyond its own class"):
            rebuild("transformers", "ViTModel", {"config": config})


@pytest.mark.parametrize(
    "config",
    [
        {"_attn_implementation": "someone/kernel"},
        {"attn_implementation": "someone/kernel@main:function"},
        {"attn_implementation": {"": "eager", "text_config": "someone/kernel"}},
        {"_attn_implementation_internal": "flash_attention_2"},
        {"_experts_implementation": "someone/kernel"},
        {"vision_config": {"attn_implementation": "someone/kernel"}},
        {"parts": [{"deep": {"experts_implementation": "someone/kernel"}}]},
        {"backbone_config": {"use_timm_backbone": True}},
        {"text_config": {"quantization_config": {"quant_method": "gptq"}}},
        {"architecture": "hf-hub:someone/network"},
    ],
)
def test_a_configuration_names_no_repository(config: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    class Network(nn.Module):
        config_class = SimpleNamespace(from_dict=dict)

        def __init__(self, config: object) -> None:
            super().__init__()
            assert config != {**wanted}, "this was to be refused"

    wanted = config
    stand = SimpleNamespace(PreTrainedModel=nn.Module, Network=Network)
    monkeypatch.setattr(rebuilding, "_imported", lambda package, name: stand)
    with pytest.raises(ParameterError, match="reaches beyond its own class"):
        rebuild("transformers", "Network", {"config": config})
    own = {"attn_implementation": {"": "eager", "vision_config": "sdpa"}, "_experts_implementation": None}
    assert isinstance(rebuild("transformers", "Network", {"config": own}), Network)


def test_states_that_are_no_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls it outdated
        model = torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.Linear(3, 2)), {nn.Linear})
    monkeypatch.setattr(rebuilding, "package_of", lambda model: "timm")
    monkeypatch.setitem(rebuilding._CANDIDATES, "timm", lambda model: iter(()))
    assert recipe_of(model) is None


def test_unknown_names_and_arguments() -> None:
    package("timm")
    with pytest.raises(ParameterError, match="timm has no network 'nothing'"):
        rebuild("timm", "nothing", {})
    with pytest.raises(ParameterError, match="must be whole numbers"):
        rebuild("timm", "resnet18", {"num_classes": "many"})


def test_an_absent_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torchvision", raising=False)
    monkeypatch.setattr(rebuilding, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"pip install torchvision, or pass model="):
        rebuild("torchvision", "resnet18", {})


class Stand(nn.Module):
    """A network of a package that is made up."""

    def __init__(self, width: int = 4, *, doubled: bool = False) -> None:
        super().__init__()
        self.doubled = doubled
        self.conv = nn.Conv2d(3, width, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.conv(images) * (2 if self.doubled else 1)


@pytest.mark.parametrize("model", [Stand(), Stand(5), Stand(doubled=True)])
def test_a_recipe_is_trusted_only_when_it_builds_the_same(model: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(model: nn.Module) -> Any:
        yield "broken", {}
        yield "stand", {}

    def build(module: Any, name: str, arguments: dict[str, Any]) -> nn.Module:
        if name == "broken":
            raise RuntimeError("not on the meta device")
        return Stand()

    monkeypatch.setattr(rebuilding, "package_of", lambda model: "timm")
    monkeypatch.setattr(rebuilding, "_imported", lambda package, name: None)
    monkeypatch.setitem(rebuilding._CANDIDATES, "timm", broken)
    monkeypatch.setitem(rebuilding._BUILDERS, "timm", build)
    expected = ("timm", "stand", {}) if model.conv.out_channels == 4 and not model.doubled else None
    assert recipe_of(model) == expected
