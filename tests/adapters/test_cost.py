from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sketchkit import ParameterError
from sketchkit.adapters.cost import Cost, cost, latency
from sketchkit.adapters.networks import mobilenet_v2, vgg16

from models import MODELS, VggLike


def meta(build: Callable[[], nn.Module]) -> nn.Module:
    with torch.device("meta"):
        return build()


@pytest.mark.parametrize(
    ("build", "size", "giga", "digits"),
    [
        (lambda: vgg16().features, 256, 40.1759, 4),
        (lambda: mobilenet_v2().features, 256, 0.8332, 4),
        # With the global pool, 1 per input of it; ptflops <= 0.7 prints 0.8334 at 256.
        (lambda: nn.Sequential(mobilenet_v2().features, nn.AdaptiveAvgPool2d(1)), 256, 0.83336, 5),
        (lambda: nn.Sequential(mobilenet_v2().features, nn.AdaptiveAvgPool2d(1)), 128, 0.20834, 5),
        (lambda: nn.Sequential(mobilenet_v2().features, nn.AdaptiveAvgPool2d(1)), 64, 0.05208, 5),
        (lambda: nn.Sequential(mobilenet_v2().features, nn.AdaptiveAvgPool2d(1)), 32, 0.01302, 5),
    ],
)
def test_the_papers_flops(build: Callable[[], nn.Module], size: int, giga: float, digits: int) -> None:
    assert round(cost(meta(build), size).flops / 1e9, digits) == giga


def test_multiply_adds_alone_are_twice_what_torchs_own_counter_halves() -> None:
    """torch.utils.flop_counter counts 2 x multiply-adds of convolutions and products, on real tensors."""
    from torch.utils.flop_counter import FlopCounterMode

    for network, size in ((mobilenet_v2().eval(), 64), (VggLike().eval(), 32)):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(torch.zeros(1, 3, size, size))
        assert 2 * cost(network, size).macs == counter.get_total_flops()


class Functional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(4, 3, 3, 3))
        self.scale = nn.Parameter(torch.ones(4))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps = F.conv2d(images, self.weight, self.scale, padding=1)
        zeros, ones = torch.zeros_like(self.scale), torch.ones_like(self.scale)
        maps = F.relu(F.batch_norm(maps, zeros, ones, self.scale, self.scale))
        return F.adaptive_avg_pool2d(F.max_pool2d(maps, 2), 1)


PLACES = 4 * 8 * 8
BY_HAND = PLACES * 27, PLACES + 2 * PLACES + PLACES + PLACES + PLACES // 4


@pytest.mark.parametrize(
    "module",
    [
        Functional(),
        nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(1)
        ),
        nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU6(True), nn.AvgPool2d(2), nn.AdaptiveMaxPool2d(1)
        ),
    ],
    ids=["functions", "modules", "other modules"],
)
def test_each_operation_counts_once_however_it_is_called(module: nn.Module) -> None:
    macs, additions = BY_HAND
    counted = cost(module, 8)
    assert (counted.macs, counted.flops) == (macs, 2 * (macs + additions))


LENGTH, WIDTH = 7, 6


@pytest.mark.parametrize(
    ("module", "given", "macs", "additions"),
    [
        (nn.Linear(5, 3), torch.zeros(2, 5), 30, 6),
        (nn.Linear(5, 3, bias=False), torch.zeros(2, 5), 30, 0),
        (nn.Linear(5, 3), torch.zeros(2, 4, 5), 120, 24),
        (nn.Conv2d(4, 6, 3, groups=2), torch.zeros(1, 4, 5, 5), 54 * 2 * 9, 54),
        (nn.ConvTranspose2d(4, 6, 2, stride=2), torch.zeros(1, 4, 5, 5), 100 * 6 * 4, 600),
        (nn.Conv1d(2, 3, 2, bias=False), torch.zeros(1, 2, 5), 12 * 4, 0),
        (nn.LayerNorm(5), torch.zeros(2, 5), 0, 20),
        (nn.GroupNorm(2, 4), torch.zeros(1, 4, 3, 3), 0, 72),
        (nn.BatchNorm2d(4, affine=False), torch.zeros(1, 4, 3, 3), 0, 36),
        (nn.GELU(), torch.zeros(2, 5), 0, 10),
        (nn.Softmax(1), torch.zeros(2, 5), 0, 10),
        (nn.PReLU(), torch.zeros(2, 5), 0, 10),
        # A GRU: 3 gates from input and state, with both biases; 3 activations a step.
        (nn.GRU(5, WIDTH), torch.zeros(LENGTH, 1, 5), LENGTH * 3 * WIDTH * (5 + WIDTH), LENGTH * 9 * WIDTH),
        # An LSTM: 4 gates, 5 activations a step.
        (nn.LSTM(5, WIDTH), torch.zeros(LENGTH, 1, 5), LENGTH * 4 * WIDTH * (5 + WIDTH), LENGTH * 13 * WIDTH),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_other_layers_by_hand(module: nn.Module, given: torch.Tensor, macs: int, additions: int) -> None:
    counted = cost(module, given)
    assert (counted.macs, counted.flops) == (macs, 2 * (macs + additions))


def test_attention_is_four_projections_and_two_products() -> None:
    attention = nn.MultiheadAttention(WIDTH, 2, batch_first=True)
    given = torch.zeros(1, LENGTH, WIDTH)
    macs = 4 * LENGTH * WIDTH * WIDTH + 2 * LENGTH * LENGTH * WIDTH
    assert cost(attention, (given, given, given)).macs == macs
    # The encoder layer has a fused kernel, which must not hide anything.
    layer = nn.TransformerEncoderLayer(WIDTH, 2, 8, batch_first=True)
    assert cost(layer, given).macs == macs + 2 * LENGTH * WIDTH * 8
    assert torch.backends.mha.get_fastpath_enabled()


class LooksAtValues(nn.Module):
    """Cannot run on the meta device."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.inner(images) if images.sum().item() >= 0 else images


@pytest.mark.parametrize("name", MODELS)
def test_shapes_alone_cost_what_a_real_pass_costs(name: str) -> None:
    case = MODELS[name]
    network = case.build()
    assert cost(network, 32, channels=case.channels) == cost(LooksAtValues(network), 32, channels=case.channels)


def test_the_module_is_left_alone() -> None:
    network = VggLike().train()
    network.features[1].running_mean.fill_(0.5)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    cost(network, 32)
    cost(LooksAtValues(network), 32)
    assert all(module.training for module in network.modules())
    assert all(torch.equal(network.state_dict()[name], value) for name, value in before.items())
    assert all(value.device.type == "cpu" for value in network.state_dict().values())


def test_parameters_are_counted_once() -> None:
    shared = nn.Linear(4, 4)
    assert cost(nn.Sequential(shared, shared), torch.zeros(1, 4)) == Cost(params=20, macs=32, flops=80)


def test_an_error_of_the_module_comes_through() -> None:
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        cost(nn.Linear(3, 2), torch.zeros(1, 4))
    with pytest.raises(ParameterError, match="1 pixel or more"):
        cost(nn.Identity(), 0)


def test_latency_times_every_call_and_gives_the_threads_back() -> None:
    calls: list[int] = []
    threads = torch.get_num_threads()

    def call() -> None:
        calls.append(torch.get_num_threads())
        time.sleep(0.02 if len(calls) == 5 else 0.002)

    measured = latency(call, repeats=10, warmup=2, threads=1)
    assert calls == [1] * 12
    assert torch.get_num_threads() == threads
    assert 2 <= measured.p10 <= measured.median <= measured.p90
    assert measured.median < 20
    with pytest.raises(ParameterError, match="repeats"):
        latency(call, repeats=0, warmup=1)
