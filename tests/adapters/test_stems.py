from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import sketchkit
from sketchkit import AdaptedModel, AdaptError, Canvas, ParameterError, Sketch, SketchSet, adapt
from sketchkit.adapters import mobilenet_v2
from sketchkit.adapters.cost import cost
from sketchkit.adapters.stems import TwoStems, add_stem, stem_weights

from models import Tokens, Wrapped, pooled, trunk

SKETCHES = SketchSet.from_sketches(
    Sketch.from_strokes([np.random.default_rng(seed).uniform(0, 99, (5, 2)) for _ in range(1 + seed)])
    for seed in range(3)
)
THREE = ("ink", "orientation")
FOUR = ("ink", "order", "orientation")


def adapted_to(channels: str | tuple[str, ...], model: nn.Module | None = None, size: int = 32) -> AdaptedModel:
    canvases = [Canvas(side, channels=channels) for side in (size, 2 * size)]
    return adapt(pooled() if model is None else model, canvases=canvases, photo_size=32)


def test_as_many_planes_as_channels_go_through_the_network_itself() -> None:
    adapted = adapted_to(THREE)
    assert adapted.description.stem is None
    rasters = sketchkit.rasterize(SKETCHES, adapted.canvases[1])
    pixels = torch.from_numpy(rasters) / 255
    pixels[:, 0] = 1 - pixels[:, 0]
    expected = adapted.embed((pixels - adapted.mean) / adapted.std)
    torch.testing.assert_close(adapted.embed_sketches(SKETCHES), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(adapted.embed_rasters(torch.from_numpy(rasters) / 255), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("channels", [FOUR, ("order",), ("ink",), ("phases",), ("ink", "order")])
def test_other_planes_get_a_stem_and_photos_stay_as_they_were(channels: tuple[str, ...], tmp_path: Path) -> None:
    model = pooled()
    plain, adapted = adapt(model, canvases=(32,), photo_size=32), adapted_to(channels, model)
    photos = torch.rand(2, 3, 32, 32)
    assert torch.equal(adapted.embed_photos(photos), plain.embed_photos(photos))
    assert adapted.description.stem == "trunk.0"
    assert isinstance(model.trunk[0], nn.Conv2d)
    found = adapted.embed_sketches(SKETCHES)
    assert found.shape == (3, 8)
    for index, sketch in enumerate(SKETCHES):
        torch.testing.assert_close(found[index], adapted.embed_sketches(sketch)[0], atol=1e-5, rtol=0)
    with torch.no_grad():
        for value in adapted.parameters():
            value.add_(0.05 * torch.rand_like(value))
    adapted.save_pretrained(tmp_path)
    again = AdaptedModel.from_pretrained(tmp_path, model)
    assert torch.equal(again.embed_sketches(SKETCHES), adapted.embed_sketches(SKETCHES))
    assert torch.equal(again.embed_photos(photos), adapted.embed_photos(photos))
    assert again.description == adapted.description


def test_both_stems_and_the_trunk_learn() -> None:
    adapted = adapted_to(FOUR)
    stems = adapted.backbone.network.trunk[0]
    assert isinstance(stems, TwoStems)
    adapted.embed_sketches(SKETCHES)[:, 0].sum().backward()
    assert stems.sketches.weight.grad is not None
    assert stems.photos.weight.grad is None
    assert adapted.backbone.network.trunk[3].weight.grad is not None
    adapted.embed_photos(torch.rand(2, 3, 32, 32))[:, 0].sum().backward()
    assert stems.photos.weight.grad is not None


def test_what_is_computed_is_counted() -> None:
    plain, adapted = adapt(mobilenet_v2(), canvases=(32, 64)), adapted_to(FOUR, mobilenet_v2())
    more = 2 * 16 * 16 * 32 * 9  # another plane of a 3x3 convolution with 32 outputs and stride 2
    assert adapted.cost().per_canvas[32].flops - plain.cost().per_canvas[32].flops == more
    assert adapted.cost().per_canvas[32].params - plain.cost().per_canvas[32].params == 4 * 9 * 32
    assert adapted.cost().per_canvas[32] == cost(adapted.backbone, torch.zeros(1, 4, 32, 32))
    assert "ink, order, orientation, orientation, through a first convolution of their own" in str(adapted.summary())


def test_equal_planes_give_what_equal_channels_gave() -> None:
    weight = torch.rand(4, 3, 3, 3)
    gray = torch.rand(2, 1, 16, 16)
    expected = nn.functional.conv2d(gray.expand(-1, 3, -1, -1), weight)
    for planes in (1, 3, 6, 9):
        found = nn.functional.conv2d(gray.expand(-1, planes, -1, -1), stem_weights(weight, planes))
        torch.testing.assert_close(found, expected)


def test_weights_are_those_of_timm() -> None:
    manipulate = pytest.importorskip("timm.models._manipulate", reason="timm is not installed", exc_type=Exception)
    weight = torch.rand(4, 3, 3, 3)
    for planes in (1, 2, 4, 5, 7):
        torch.testing.assert_close(stem_weights(weight, planes), manipulate.adapt_input_conv(planes, weight))


def test_a_shared_convolution_is_replaced_under_every_name() -> None:
    network = nn.Sequential(trunk(), nn.Identity())
    network[1].again = network[0][0]
    add_stem(network, "0.0", planes=2)
    assert network[0][0] is network[1].again
    assert network[0][0].sketches.weight.shape == (4, 2, 3, 3)
    assert network[0][0].weight is network[0][0].photos.weight


def test_transformers_with_a_convolution_for_patches() -> None:
    adapted = adapted_to(FOUR, Tokens(head=True))
    assert adapted.description.stem == "patches"
    assert adapted.embed_sketches(SKETCHES).shape == (3, 8)


def test_gray_networks() -> None:
    adapted = adapted_to(("ink",), pooled(channels=1))
    assert adapted.description.stem is None
    plain = adapt(pooled(channels=1), canvases=(32,), photo_size=32)
    plain.backbone.load_state_dict(adapted.backbone.state_dict())
    expected = plain.embed_sketches(SKETCHES, canvas=32)
    torch.testing.assert_close(adapted.embed_sketches(SKETCHES, canvas=32), expected, atol=1e-5, rtol=0)


class Checks(nn.Module):
    """Looks at the channels of its images, as the networks of transformers do."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = pooled()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if images.shape[1] != 3:
            raise ValueError("three channels were expected")
        scores: torch.Tensor = self.inner(images)
        return scores


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.stem(self.stem(images)).mean((2, 3))


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (Checks(), "three channels were expected); draw ink, or as many planes as it takes channels, 3"),
        (Twice(), "Twice uses its first convolution more than once"),
        (Wrapped(nn.AdaptiveAvgPool2d(2), lambda maps: maps.flatten(1)), "begins with no convolution"),
        (nn.Sequential(nn.Conv2d(3, 3, 3, groups=3), nn.AdaptiveAvgPool2d(1)), "0 is no plain Conv2d"),
        (
            nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 3, 3)), nn.AdaptiveAvgPool2d(1)),
            "0 is no plain Conv2d",
        ),
    ],
    ids=["looks at channels", "used twice", "no convolution", "grouped", "parametrized"],
)
def test_networks_that_take_no_stem(model: nn.Module, words: str) -> None:
    with pytest.raises(AdaptError, match=re.escape(words)):
        adapted_to(FOUR, model)


def test_channels_must_agree() -> None:
    with pytest.raises(ParameterError, match="all canvases must have the same channels"):
        adapt(pooled(), canvases=(32, Canvas(64, channels=THREE)), photo_size=32)
    adapted = adapted_to(THREE)
    with pytest.raises(ParameterError, match="adapted to canvases of ink, orientation, not of ink; draw those"):
        adapted.embed_sketches(SKETCHES, canvas=Canvas(32))
    with pytest.raises(ParameterError, match=r"\(batch, 3, height, width\), the planes ink, orientation, orientation"):
        adapted.embed_rasters(np.zeros((1, 32, 32), np.uint8))
