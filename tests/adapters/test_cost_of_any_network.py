"""Multiply-adds of every make of network, by hand, and against torchvision's published figures."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence

from sketchkit import ParameterError
from sketchkit.adapters.cost import Cost, cost
from sketchkit.adapters.networks import vgg16


class Function(nn.Module):
    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: torch.Tensor) -> Any:
        return self.function(*inputs)


class OnRealTensors(nn.Module):
    """Looks at a value, so the meta device cannot run it."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, *inputs: torch.Tensor) -> Any:
        return self.inner(*inputs) if inputs[0].sum().item() >= 0 else None


class InInferenceMode(nn.Module):
    """Where torch hands over whole functions instead of the operations they are made of."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    @torch.inference_mode()
    def forward(self, *inputs: torch.Tensor) -> Any:
        return self.inner(*inputs)


def small() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 5),
    )


B, N, M, K = 2, 3, 4, 5


@pytest.mark.parametrize("wrap", [lambda module: module, OnRealTensors, InInferenceMode], ids=["meta", "real", "infer"])
@pytest.mark.parametrize(
    ("function", "shapes", "macs"),
    [
        (torch.matmul, [(B, N, K), (B, K, M)], B * N * K * M),
        (torch.matmul, [(B, N, K), (K, M)], B * N * K * M),
        (torch.matmul, [(N, K), (K,)], N * K),
        (torch.dot, [(K,), (K,)], K),
        (torch.vdot, [(K,), (K,)], K),
        (lambda a, b: torch.einsum("bnk,bmk->bnm", a, b), [(B, N, K), (B, M, K)], B * N * K * M),
        (torch.baddbmm, [(B, N, M), (B, N, K), (B, K, M)], B * N * K * M),
        (lambda c, a, b: c.clone().baddbmm_(a, b), [(B, N, M), (B, N, K), (B, K, M)], B * N * K * M),
        (torch.addbmm, [(N, M), (B, N, K), (B, K, M)], B * N * K * M),
        (torch.addmv, [(N,), (N, K), (K,)], N * K),
        (torch.addmm, [(N, M), (N, K), (K, M)], N * K * M),
        (lambda a, b: torch.tensordot(a, b, dims=1), [(B, N, K), (K, M)], B * N * K * M),
        (F.linear, [(B, N, K), (M, K)], B * N * K * M),
        (F.bilinear, [(B, N), (B, K), (M, N, K)], B * M * N * K),
        (F.conv2d, [(1, 4, 6, 6), (8, 2, 3, 3)], None),
        (lambda x, w: F.conv2d(x, w, groups=2), [(1, 4, 6, 6), (8, 2, 3, 3)], 8 * 16 * 2 * 9),
        (lambda x, w: F.conv_transpose2d(x, w, stride=2), [(1, 4, 5, 5), (4, 6, 2, 2)], 25 * 4 * 6 * 4),
        (F.conv3d, [(1, 2, 4, 4, 4), (3, 2, 2, 2, 2)], 3 * 27 * 2 * 8),
        (F.scaled_dot_product_attention, [(1, 2, N, K), (1, 2, M, K), (1, 2, M, K)], 2 * 2 * N * M * K),
        (
            lambda q, k, v: F.scaled_dot_product_attention(q, k, v, enable_gqa=True),
            [(1, 4, N, K), (1, 2, M, K), (1, 2, M, K)],
            2 * 4 * N * M * K,
        ),
        (lambda q, k: (q @ k.transpose(-2, -1)).softmax(-1) @ k, [(2, N, K), (2, M, K)], 2 * 2 * N * M * K),
    ],
)
def test_products_by_hand(
    wrap: Callable[[nn.Module], nn.Module], function: Callable[..., Any], shapes: list[Any], macs: int | None
) -> None:
    module, inputs = wrap(Function(function)), [torch.zeros(shape) for shape in shapes]
    if macs is None:  # a shape that does not fit: the function's own error comes through
        with pytest.raises(RuntimeError, match="channels"):
            cost(module, inputs)
    else:
        assert cost(module, inputs).macs == macs


@pytest.mark.parametrize("wrap", [lambda module: module, OnRealTensors, InInferenceMode], ids=["meta", "real", "infer"])
@pytest.mark.parametrize(("layer", "gates", "activations"), [(nn.GRU, 3, 3), (nn.LSTM, 4, 5), (nn.RNN, 1, 1)])
def test_recurrent_layers_by_hand(
    wrap: Callable[[nn.Module], nn.Module], layer: type[nn.RNNBase], gates: int, activations: int
) -> None:
    steps, width, hidden = 7, 5, 6
    # The second layer reads both directions of the first one.
    products = gates * hidden * 2 * ((width + hidden) + (2 * hidden + hidden))
    counted = cost(wrap(layer(width, hidden, 2, bidirectional=True)), torch.zeros(steps, 1, width))
    assert counted.macs == steps * products
    assert counted.flops == 2 * (counted.macs + steps * 4 * hidden * (2 * gates + activations))


@pytest.mark.parametrize("layer", [nn.GRU, nn.LSTM, nn.RNN])
def test_packed_sequences_cost_their_steps_not_their_padding(layer: type[nn.RNNBase]) -> None:
    recurrent = layer(5, 6, batch_first=True)

    def run(sequences: torch.Tensor) -> Any:
        return recurrent(pack_padded_sequence(sequences, torch.tensor([7, 3]), batch_first=True))[0].data

    module = Function(run)
    module.inner = recurrent
    assert cost(OnRealTensors(module), torch.zeros(2, 7, 5)).macs == cost(recurrent, torch.zeros(1, 10, 5)).macs


@pytest.mark.parametrize(
    ("kernel", "extra"),
    [
        ("flash_attention", ()),
        ("flash_attention_for_cpu", ()),
        ("efficient_attention", (None, False)),
        ("cudnn_attention", (None, False)),
        ("attention_math", ()),
        ("fused_attention_overrideable", ()),
    ],
)
def test_every_fused_attention_counts_alike(kernel: str, extra: tuple[Any, ...]) -> None:
    """Kernels of GPUs too, on shapes alone."""
    attend = getattr(torch.ops.aten, f"_scaled_dot_product_{kernel}")
    shapes = [(1, 2, 16, 8), (1, 2, 24, 8), (1, 2, 24, 8)]
    module = Function(lambda query, key, value: attend(query, key, value, *extra)[0])
    counted = cost(module, [torch.zeros(shape, device="meta") for shape in shapes])
    assert (counted.macs, counted.flops) == (2 * 2 * 16 * 24 * 8, 2 * (2 * 2 * 16 * 24 * 8 + 2 * 16 * 24))


def test_what_was_made_of_a_network_costs_what_the_network_costs() -> None:
    network = small().eval()
    expected = cost(network, 16)
    for made in (
        torch.fx.symbolic_trace(network),
        torch.compile(network, backend="eager"),
        nn.Sequential(torch.compile(network, backend="eager")),
    ):
        assert cost(made, 16) == expected
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch deprecates scripts, people have them
        scripted = torch.jit.script(network)
        assert cost(scripted, 16) == expected
        # Frozen, its parameters are constants and batch norm is part of the convolution.
        assert cost(torch.jit.freeze(scripted), 16).macs == expected.macs


def test_parametrized_modules_hold_what_they_hold() -> None:
    plain = nn.Linear(8, 5)
    normed = nn.utils.parametrizations.weight_norm(nn.Linear(8, 5))
    counted = cost(normed, torch.zeros(1, 8))
    assert (counted.macs, counted.params) == (40, sum(value.numel() for value in plain.parameters()) + 5)


def test_inputs_by_name_and_outputs_of_any_form() -> None:
    class Hub(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = small()

        def forward(self, *, pixel_values: torch.Tensor, scale: float = 1.0) -> Any:
            return {"object": SimpleNamespace(logits=self.inner(pixel_values * scale)), "pair": (pixel_values, None)}

    images = torch.zeros(1, 3, 16, 16)
    assert cost(Hub(), {"pixel_values": images, "scale": 2.0}) == cost(small(), 16)


def test_images_that_are_not_square_and_inputs_of_several_modules() -> None:
    assert cost(small(), (16, 8)) == cost(small(), torch.zeros(1, 3, 16, 8))
    assert cost(small(), (16, 8)).macs < cost(small(), 16).macs


def test_a_module_that_cannot_be_copied_is_left_as_it_was() -> None:
    class Holds(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = small()
            self.doubled = self.inner[0].weight * 2  # a result, which cannot be copied

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.inner(images) if images.sum().item() == 0 else self.doubled

    module = Holds()
    module.inner[1].eval()
    modes = [part.training for part in module.modules()]
    assert cost(module, 16) == cost(small(), 16)
    assert [part.training for part in module.modules()] == modes
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())


def test_what_cannot_be_counted_says_so() -> None:
    with pytest.raises(ParameterError, match="run it once"):
        cost(nn.LazyConv2d(4, 3), 8)

    class Packed(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            scale, zero = torch.tensor(1.0), torch.tensor(0)
            return torch.ops.quantized.add_scalar(torch.quantize_per_tensor(images, scale, zero, torch.quint8), 1.0)

    with pytest.raises(ParameterError, match="quantized"):
        cost(Packed(), 8)


def test_a_meta_module_gives_its_own_error() -> None:
    with torch.device("meta"):
        network = small()
    with pytest.raises(RuntimeError, match="channel"):
        cost(network, torch.zeros(1, 4, 8, 8))


def test_each_module_costs_what_it_costs_alone() -> None:
    network = small()
    parts = cost(network, 16).by_module()
    assert parts["0"] == cost(network[0], 16)
    assert parts["1"] == cost(network[1], 16, channels=8)
    assert parts["5"] == cost(network[5], torch.zeros(1, 8))
    with pytest.raises(ParameterError, match="depth"):
        cost(network, 16).by_module(0)


def test_costs_are_read_by_people() -> None:
    with torch.device("meta"):
        network = vgg16().features
    counted = cost(network, 256)
    assert str(counted) == "40.18 GFLOPs, 20.04 GMACs, 14.71 M parameters"
    html = counted._repr_html_()
    assert html.count("<tr>") == len(counted.table().splitlines())
    assert f"<td>{counted.flops:,}</td>" in html
    assert counted + counted == Cost(2 * counted.params, 2 * counted.macs, 2 * counted.flops)
    with pytest.raises(TypeError):
        counted + 1  # type: ignore[operator]


PUBLISHED = (
    "mobilenet_v2",
    "mobilenet_v3_small",
    "resnet18",
    "efficientnet_b0",
    "regnet_y_400mf",
    "swin_t",
    "vit_b_16",
)


@pytest.mark.parametrize("name", PUBLISHED)
def test_torchvisions_published_multiply_adds(name: str) -> None:
    models = pytest.importorskip("torchvision.models", reason="torchvision publishes figures of its own")
    weights = models.get_model_weights(name)["IMAGENET1K_V1"]
    counted = cost(models.get_model(name), weights.transforms.keywords["crop_size"])
    assert round(counted.macs / 1e9, 3) == weights.meta["_ops"]
    assert counted.params == weights.meta["num_params"]
