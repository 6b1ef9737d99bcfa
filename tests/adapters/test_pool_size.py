"""Maps averaged over cells, against means of slices taken by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from sketchkit import AdaptedModel, AdaptError, ParameterError, Sketch, adapt
from sketchkit.adapters import OnnxModel, mobilenet_v2, vgg16


class Maps(nn.Module):
    """A small network of the operations of ours."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 8, 3, stride=4, padding=1), nn.BatchNorm2d(8), nn.ReLU6())

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps: torch.Tensor = self.layers(images)
        return maps


class ChannelsLast(Maps):
    """Its maps are (batch, height, width, channels)."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return super().forward(images).permute(0, 2, 3, 1)


def quadrants(maps: torch.Tensor) -> torch.Tensor:
    """The means over the four quarters of maps with even sides, each channel's four beside one another."""
    height, width = maps.shape[2] // 2, maps.shape[3] // 2
    cells = [maps[:, :, y : y + height, x : x + width].mean(dim=(2, 3)) for y in (0, height) for x in (0, width)]
    return torch.stack(cells, dim=2).flatten(1)


@pytest.mark.parametrize("build", [vgg16, lambda: mobilenet_v2(None), ChannelsLast])
def test_embeddings_are_the_normalized_means_of_cells(build) -> None:
    torch.manual_seed(0)
    network = build().eval()
    adapted = adapt(network, canvases=(32, 64), photo_size=128, pool_size=2)
    images = torch.rand(2, 3, 128, 64)
    with torch.no_grad():
        maps = network(images)
        if isinstance(network, ChannelsLast):
            maps = maps.permute(0, 3, 1, 2)
        expected = nn.functional.normalize(quadrants(maps), dim=1)
        assert adapted.embed(images) == pytest.approx(expected, abs=1e-5)
    assert adapted.embedding_dim == expected.shape[1]


def test_a_map_of_one_place_is_that_of_every_cell() -> None:
    torch.manual_seed(0)
    adapted = adapt("mobilenet_v2", canvases=(32, 64), photo_size=64, pool_size=2)
    with torch.no_grad():
        cells = adapted.embed(torch.rand(1, 3, 32, 32)).reshape(1280, 4)
    assert cells == pytest.approx(cells[:, :1].repeat(1, 4), abs=1e-7)


def test_one_cell_is_the_average_over_all() -> None:
    torch.manual_seed(0)
    network = mobilenet_v2(None)
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        maps = adapt(network, canvases=(32,), photo_size=64).embed(images)
        logits = mobilenet_v2(10)
        logits.features.load_state_dict(network.features.state_dict())
        pooled = adapt(logits, canvases=(32,), photo_size=64).embed(images)
    assert maps == pytest.approx(pooled, abs=1e-6)


def test_it_costs_no_more_than_one_average() -> None:
    plain, cells = (adapt("mobilenet_v2", canvases=(32, 256), pool_size=size) for size in (1, 2))
    for size in (32, 256):
        one, other = plain.cost().per_canvas[size].flops, cells.cost().per_canvas[size].flops
        assert other == pytest.approx(one, rel=1e-6)


SKETCHES = [Sketch.from_strokes([[(0, 0), (9, index), (4, 7)]]) for index in range(4)]


@pytest.mark.parametrize("embedding_dim", [None, 16])
def test_it_is_saved(tmp_path, embedding_dim) -> None:
    torch.manual_seed(0)
    adapted = adapt("mobilenet_v2", canvases=(32, 64), photo_size=64, pool_size=2, embedding_dim=embedding_dim)
    assert adapted.embedding_dim == (embedding_dim or 4 * 1280)
    adapted.save_pretrained(tmp_path)
    loaded = AdaptedModel.from_pretrained(tmp_path)
    with torch.no_grad():
        found = adapted.embed_sketches(SKETCHES, canvas=64)
        assert torch.equal(loaded.embed_sketches(SKETCHES, canvas=64), found)


@pytest.mark.parametrize("build", [Maps, ChannelsLast])
def test_it_is_exported(tmp_path, build) -> None:
    """Small networks: torch's exporter takes a minute for the many layers of MobileNetV2."""
    torch.manual_seed(0)
    adapted = adapt(build(), canvases=(32, 64), photo_size=64, pool_size=2)
    photos = np.random.default_rng(0).integers(0, 256, (2, 3, 64, 64), dtype=np.uint8)
    assert adapted.export(tmp_path).exporter == "torch.export, strict, pooling by matrices"
    exported = OnnxModel(tmp_path)
    with torch.no_grad():
        for canvas in (32, 64):
            expected = adapted.embed_sketches(SKETCHES, canvas=canvas).numpy()
            assert exported.embed_sketches(SKETCHES, canvas=canvas) == pytest.approx(expected, abs=1e-4)
        expected = adapted.embed_photos(torch.from_numpy(photos)).numpy()
        assert exported.embed_photos(photos) == pytest.approx(expected, abs=1e-4)


class Averaging(Maps):
    """Ends like most: an average over the map, then a classifier."""

    def __init__(self, *, shared: bool = False, by_function: bool = False) -> None:
        super().__init__()
        self.by_function = by_function
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.gate = nn.Sequential(self.pool, nn.Conv2d(8, 8, 1)) if shared else None
        self.flat, self.fc = nn.Flatten(), nn.Linear(8, 5)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps = super().forward(images)
        if self.gate is not None:
            maps = maps * self.gate(maps)
        averaged = nn.functional.adaptive_avg_pool2d(maps, 1) if self.by_function else self.pool(maps)
        scores: torch.Tensor = self.fc(self.flat(averaged))
        return scores


def test_an_average_before_the_classifier_is_taken_off_with_it(tmp_path) -> None:
    torch.manual_seed(0)
    network = Averaging().eval()
    adapted = adapt(network, canvases=(32, 64), photo_size=64, pool_size=2)
    assert adapted.description.classifier == ("pool", "flat", "fc")
    assert adapt(network, canvases=(32, 64), photo_size=64).description.classifier == ("flat", "fc")
    photos = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    with torch.no_grad():
        expected = nn.functional.normalize(quadrants(network.layers(adapted.photo_inputs(photos))), dim=1)
        assert torch.allclose(adapted.embed_photos(photos), expected, atol=1e-6)
        adapted.save_pretrained(tmp_path)
        again = AdaptedModel.from_pretrained(tmp_path, Averaging())
        assert torch.equal(again.embed_photos(photos), adapted.embed_photos(photos))


@pytest.mark.parametrize("case", [{"shared": True}, {"by_function": True}])
def test_a_map_of_one_place_is_refused(case) -> None:
    """The average that stays behind: a gate uses it too, or it is no module."""
    with pytest.raises(AdaptError, match="last map of Averaging has one place on photos of 64 px, which no pool_size"):
        adapt(Averaging(**case), canvases=(32,), photo_size=64, pool_size=2)


def test_a_network_that_averages_by_itself_is_refused_with_the_way_out() -> None:
    with pytest.raises(AdaptError, match=r"gives maps, and mobilenet_v2 gives features; leave out its average"):
        adapt(mobilenet_v2(), canvases=(32,), photo_size=64, pool_size=2)
    with pytest.raises(ParameterError, match="pool_size must be a whole number of 1 or more, not 0"):
        adapt("vgg16", canvases=(32,), photo_size=64, pool_size=0)
