"""Counting what runs, against torch's own counter, and in the corners where operations hide."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from sketchkit import ParameterError, Sketch, adapt
from sketchkit.adapters.cost import cost
from sketchkit.adapters.networks import mobilenet_v2
from sketchkit.adapters.operations import Counter

from models import MODELS


class Attention(nn.Module):
    """By torch's function, by matrix products, or by einsum."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.way, self.qkv = way, nn.Linear(12, 36, bias=False)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        query, key, value = self.qkv(tokens).unflatten(-1, (3, 2, 6)).permute(2, 0, 3, 1, 4)
        if self.way == "function":
            return F.scaled_dot_product_attention(query, key, value)
        if self.way == "products":
            return (query @ key.transpose(-1, -2)).softmax(-1) @ value
        scores = torch.einsum("bhqd,bhkd->bhqk", query, key).softmax(-1)
        return torch.einsum("bhqk,bhkd->bhqd", scores, value)


@pytest.mark.parametrize("way", ["function", "products", "einsum"])
def test_attention_costs_the_same_however_it_is_written(way: str) -> None:
    counted = cost(Attention(way), torch.zeros(1, 5, 12))
    scores = 2 * 5 * 5
    assert counted.macs == 5 * 12 * 36 + 2 * scores * 6
    assert counted.flops == 2 * (counted.macs + scores)


@pytest.mark.parametrize("name", MODELS)
def test_multiply_adds_are_half_of_what_torchs_counter_says(name: str) -> None:
    case = MODELS[name]
    network = case.build().eval()
    dtype = next((each.dtype for each in network.parameters() if each.is_floating_point()), torch.float32)
    # Its counter does not see into the fused encoder layer.
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            # Nor into the attention of CPUs; on the meta device there is none of its own.
            network.to("meta")(torch.zeros(1, case.channels, 32, 32, dtype=dtype, device="meta"))
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
    if any(isinstance(module, (nn.GRU, nn.LSTM, nn.RNN)) for module in network.modules()):
        pytest.skip("torch's counter does not count recurrent layers")
    assert 2 * cost(case.build(), 32, channels=case.channels).macs == counter.get_total_flops()


def test_inference_mode_hides_nothing() -> None:
    network = mobilenet_v2()
    expected = cost(network, 32)
    with torch.inference_mode():
        assert cost(network, 32) == expected
    with torch.inference_mode():
        built_there = mobilenet_v2()
        assert cost(built_there, 32) == expected


def test_parts_add_up_to_the_whole() -> None:
    whole = cost(mobilenet_v2(), 64)
    for groups in (whole.by_module(), whole.by_module(depth=3), whole.by_operation()):
        assert sum(each.flops for each in groups.values()) == whole.flops
        assert sum(each.macs for each in groups.values()) == whole.macs
    assert sum(each.params for each in whole.by_module(2).values()) == whole.params
    assert set(whole.by_operation()) == {"convolution", "matrix product", "normalization", "activation", "pooling"}
    assert (whole + whole).flops == 2 * whole.flops
    assert "features" in whole.table()
    assert "<table>" in whole._repr_html_()


def test_inputs_by_name_and_images_that_are_not_square() -> None:
    convolution = nn.Conv2d(3, 4, 3, padding=1)
    assert cost(convolution, (8, 16)).macs == 2 * cost(convolution, 8).macs
    assert cost(convolution, {"input": torch.zeros(1, 3, 8, 16)}) == cost(convolution, (8, 16))


def test_what_cannot_be_looked_into_is_said() -> None:
    with pytest.raises(ParameterError, match="lazy parameters: run it once before"):
        cost(nn.LazyLinear(3), torch.zeros(1, 4))


def test_a_scripted_network_costs_what_it_was_scripted_from() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 5)).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch deprecates scripts, people have them
        scripted = torch.jit.trace(network, torch.zeros(1, 3, 8, 8), check_trace=False)
        found = cost(scripted, 8)
    assert found.macs == cost(network, 8).macs


def test_each_drawing_has_its_own_cost() -> None:
    adapted = adapt(nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1)), canvases=(16, 32), photo_size=32)
    dot, line = Sketch.from_strokes([[(0, 0)]]), Sketch.from_strokes([[(x, x % 3) for x in range(9)]])
    found = adapted.cost([dot, line, line])
    per_step = adapted.cost([line]).selector.flops - adapted.cost([dot]).selector.flops
    assert found.flops_per_drawing is not None
    assert found.flops_per_drawing.tolist() == [
        found.per_canvas[32].flops + adapted.cost([each]).selector.flops for each in (dot, line, line)
    ]
    assert per_step > 0
    assert found.mean_flops == pytest.approx(found.flops_per_drawing.mean())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    "operation",
    [
        lambda images, ones: F.batch_norm(images, ones, ones, ones, ones),
        lambda images, ones: F.batch_norm(images, ones, ones),
        lambda images, ones: F.batch_norm(images, None, None, ones, ones, training=True),
        lambda images, _: F.relu6(images.clone(), inplace=True),
        lambda images, _: F.relu(images),
        *(lambda images, _, name=name: getattr(F, name)(images) for name in ("hardtanh", "hardswish", "hardsigmoid")),
    ],
)
def test_what_is_counted_without_running_has_the_shape_that_torch_gives(operation, dtype: torch.dtype) -> None:
    images = torch.zeros(2, 4, 6, 5, device="meta", dtype=dtype)
    for each in (images, images.to(memory_format=torch.channels_last), images[:, :, 0]):
        with torch.no_grad():
            expected = operation(each, torch.ones(4, device="meta"))
            with Counter() as counter:
                found = operation(each, torch.ones(4, device="meta"))
        assert found.is_meta
        assert (found.shape, found.stride(), found.dtype) == (expected.shape, expected.stride(), expected.dtype)
        assert [tally.calls for tally in counter.tallies.values()] == [1]
