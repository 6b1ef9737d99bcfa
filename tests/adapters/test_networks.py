from __future__ import annotations

import pytest
import torch
from torch import nn

from sketchkit.adapters.networks import NETWORKS, mobilenet_v2, name_of, vgg16


def parameters(module: nn.Module) -> int:
    return sum(value.numel() for value in module.parameters())


def test_the_papers_parameters() -> None:
    with torch.device("meta"):
        vgg, mobilenet, full = vgg16(), mobilenet_v2(), vgg16(num_classes=1000)
    assert parameters(vgg) == parameters(vgg.features) == 14_714_688
    assert parameters(mobilenet.features) == 2_223_872
    assert parameters(mobilenet) == 3_504_872
    assert parameters(full) == 138_357_544
    assert round(1 - 2_223_872 / 14_714_688, 4) == 0.8489


def test_modules_are_named_as_in_torchvision() -> None:
    with torch.device("meta"):
        vgg, mobilenet = vgg16(num_classes=1000).state_dict(), mobilenet_v2().state_dict()
    convolutions = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]
    linears = [0, 3, 6]
    names = [f"features.{index}" for index in convolutions] + [f"classifier.{index}" for index in linears]
    assert list(vgg) == [f"{name}.{kind}" for name in names for kind in ("weight", "bias")]
    assert len(mobilenet) == 314
    shapes = {name: tuple(value.shape) for name, value in mobilenet.items()}
    for name, shape in {
        "features.0.0.weight": (32, 3, 3, 3),
        "features.1.conv.0.0.weight": (32, 1, 3, 3),
        "features.1.conv.1.weight": (16, 32, 1, 1),
        "features.1.conv.2.running_var": (16,),
        "features.2.conv.0.0.weight": (96, 16, 1, 1),
        "features.2.conv.1.0.weight": (96, 1, 3, 3),
        "features.17.conv.2.weight": (320, 960, 1, 1),
        "features.17.conv.3.num_batches_tracked": (),
        "features.18.0.weight": (1280, 320, 1, 1),
        "features.18.1.bias": (1280,),
        "classifier.1.weight": (1000, 1280),
    }.items():
        assert shapes[name] == shape, name


@pytest.mark.parametrize("size", [32, 64, 100])
def test_outputs(size: int) -> None:
    images = torch.zeros(2, 3, size, size, device="meta")
    with torch.device("meta"):
        assert vgg16()(images).shape == (2, 512, size // 32, size // 32)
        assert vgg16(num_classes=7)(images).shape == (2, 7)
        assert mobilenet_v2(num_classes=7)(images).shape == (2, 7)


def test_name_of_knows_our_networks_only() -> None:
    class Derived(type(mobilenet_v2())):  # type: ignore[misc]
        pass

    with torch.device("meta"):
        assert name_of(mobilenet_v2(num_classes=3)) == ("mobilenet_v2", {"num_classes": 3})
        assert name_of(vgg16()) == ("vgg16", {"num_classes": None})
        assert name_of(Derived()) is None
    assert name_of(nn.Linear(1, 1)) is None
    assert sorted(NETWORKS) == ["mobilenet_v2", "vgg16"]
