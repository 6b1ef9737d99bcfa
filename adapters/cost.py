"""What a network costs: parameters, FLOPs in the paper's convention, and milliseconds.

The paper (arXiv 2505.23763) counts, checked against its figures for VGG-16 (40.18 G) and MobileNetV2 (0.833 G),

    FLOPs = 2 x (convolution multiply-adds + convolution bias adds + 2 per batch-norm output
                 + 1 per activation output + 1 per pooling input)

Other layers, which the paper's two networks do not have, are counted in its spirit: linear layers and the products
inside recurrent and attention layers as multiply-adds plus bias adds, other normalizations like batch norm (1 per
output without scale and shift), softmax as an activation. Element-wise sums and products, such as residuals and the
gates of a recurrent cell, are not counted. What is counted are the operations that run, each once, whether a module
or a function asked for it.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from sketchkit.errors import ParameterError

__all__ = ["Cost", "Latency", "cost", "latency"]


@dataclass(frozen=True)
class Cost:
    """What one pass costs.

    Args:
        params: the module's parameters.
        macs: multiply-adds of convolutions and matrix products alone.
        flops: in the paper's convention (see the module's docstring).
    """

    params: int
    macs: int
    flops: int


@dataclass(frozen=True)
class Latency:
    """How long a call takes, in milliseconds.

    Args:
        median: half of the calls were faster.
        p10: a tenth of the calls were faster.
        p90: nine tenths of the calls were faster.
    """

    median: float
    p10: float
    p90: float


def cost(module: nn.Module, size_or_input: int | torch.Tensor | Sequence[Any], *, channels: int = 3) -> Cost:
    """Count one forward pass of a module, in evaluation mode; the module itself is not touched.

    The pass runs on the meta device, where only shapes are computed; a module that cannot run there is copied and run.

    Args:
        module: any module.
        size_or_input: the side in pixels of one image (1, channels, size, size), an input tensor, or a sequence of
            the positional inputs.
        channels: of the image.

    Raises:
        ParameterError: the size is less than 1.

    Example:
        >>> cost(nn.Conv2d(3, 8, 3, padding=1), 32)
        Cost(params=224, macs=221184, flops=458752)
    """
    inputs = _inputs(module, size_or_input, channels)
    params = sum(parameter.numel() for parameter in module.parameters())
    try:
        counted = _count(_on_meta(module), _moved(inputs, "meta"))
    except Exception:  # a module that looks at values fails on the meta device in any way it likes
        counted = _count(copy.deepcopy(module).cpu(), _moved(inputs, "cpu"))
    return Cost(params, counted.macs, 2 * (counted.macs + counted.additions))


def latency(call: Callable[[], Any], *, repeats: int = 20, warmup: int = 3, threads: int | None = 1) -> Latency:
    """Time a call.

    Args:
        call: takes no arguments.
        repeats: how many calls are timed.
        warmup: how many calls run before.
        threads: torch threads while timing, set back afterwards; None leaves them.

    Raises:
        ParameterError: nothing would be timed.
    """
    if repeats < 1 or warmup < 0:
        raise ParameterError(f"latency needs repeats of at least 1 and warmup of at least 0, not {repeats}, {warmup}")
    before = torch.get_num_threads()
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        for _ in range(warmup):
            call()
        milliseconds = [_milliseconds(call) for _ in range(repeats)]
    finally:
        torch.set_num_threads(before)
    p10, median, p90 = np.percentile(milliseconds, [10, 50, 90]).tolist()
    return Latency(median=median, p10=p10, p90=p90)


def _milliseconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return (time.perf_counter() - start) * 1000


def _inputs(module: nn.Module, size_or_input: int | torch.Tensor | Sequence[Any], channels: int) -> tuple[Any, ...]:
    if isinstance(size_or_input, torch.Tensor):
        return (size_or_input,)
    if isinstance(size_or_input, int):
        if size_or_input < 1:
            raise ParameterError(f"an image's side is 1 pixel or more, not {size_or_input}")
        dtype = next((value.dtype for value in module.parameters() if value.is_floating_point()), torch.float32)
        return (torch.zeros(1, channels, size_or_input, size_or_input, dtype=dtype),)
    return tuple(size_or_input)


def _on_meta(module: nn.Module) -> nn.Module:
    """A copy whose parameters and buffers are shapes without memory."""
    memo: dict[int, Any] = {}
    for parameter in module.parameters():
        memo[id(parameter)] = nn.Parameter(parameter.detach().to("meta"), requires_grad=parameter.requires_grad)
    for buffer in module.buffers():
        memo[id(buffer)] = buffer.detach().to("meta")
    return copy.deepcopy(module, memo)


def _moved(inputs: tuple[Any, ...], device: str) -> tuple[Any, ...]:
    moved: tuple[Any, ...] = tree_map(lambda x: x.to(device) if isinstance(x, torch.Tensor) else x, inputs)
    return moved


def _count(module: nn.Module, inputs: tuple[Any, ...]) -> _Counter:
    fast_path = torch.backends.mha.get_fastpath_enabled()
    counter = _Counter()
    # The fused attention kernel is one operation that hides its products.
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.no_grad(), counter:
            module.eval()(*inputs)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)
    return counter


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch does not annotate its base
    """Adds up what runs, by the name of the operation that torch's dispatcher reaches."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch does not annotate it
        self.macs = 0
        self.additions = 0

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        name = func.name().removeprefix("aten::").split(".")[0]
        rule = _RULES.get(name)
        if rule is not None:
            macs, additions = rule(args, output)
            self.macs += macs
            self.additions += additions
        return output


# An operation's arguments and output -> multiply-adds, and what the convention adds to them.
_Rule = Callable[[tuple[Any, ...], Any], tuple[int, int]]


def _first(output: Any) -> torch.Tensor:
    tensor: torch.Tensor = output[0] if isinstance(output, (tuple, list)) else output
    return tensor


def _convolution(args: tuple[Any, ...], output: Any) -> tuple[int, int]:
    images, weight, bias = args[:3]
    transposed = bool(args[6]) if len(args) > 6 else False
    reached = images if transposed else output
    return reached.numel() * prod(weight.shape[1:]), 0 if bias is None else output.numel()


def _product(args: tuple[Any, ...], output: Any) -> tuple[int, int]:
    return _first(output).numel() * args[0].shape[-1], 0


def _product_plus(args: tuple[Any, ...], output: Any) -> tuple[int, int]:
    return output.numel() * args[1].shape[-1], output.numel()


def _linear(args: tuple[Any, ...], output: Any) -> tuple[int, int]:
    biased = len(args) > 2 and args[2] is not None
    return output.numel() * args[0].shape[-1], output.numel() if biased else 0


def _attention(args: tuple[Any, ...], output: Any) -> tuple[int, int]:
    query, key, value = args[:3]
    scores = prod(query.shape[:-1]) * key.shape[-2]
    return scores * (query.shape[-1] + value.shape[-1]), scores


def _normalization(scale: int) -> _Rule:
    def rule(args: tuple[Any, ...], output: Any) -> tuple[int, int]:
        scaled = len(args) > scale and args[scale] is not None
        return 0, (2 if scaled else 1) * _first(output).numel()

    return rule


def _activation(args: tuple[Any, ...], output: Any) -> tuple[int, int]:
    return 0, _first(output).numel()


def _pooling(args: tuple[Any, ...], output: Any) -> tuple[int, int]:
    return 0, args[0].numel()


_PRODUCTS: dict[str, _Rule] = {"mm": _product, "bmm": _product, "mv": _product, "dot": _product, "linear": _linear}
_PRODUCTS_PLUS = ("addmm", "baddbmm", "addmv")
_CONVOLUTIONS = ("convolution", "_convolution", "cudnn_convolution", "mkldnn_convolution")
_ATTENTIONS = ("attention_math", "cudnn_attention", "efficient_attention", "flash_attention", "flash_attention_for_cpu")
_BATCH_NORMS = (
    "native_batch_norm",
    "_native_batch_norm_legit",
    "_native_batch_norm_legit_no_training",
    "_batch_norm_with_update",
    "cudnn_batch_norm",
    "native_group_norm",
)
_ACTIVATIONS = (
    *("celu", "elu", "gelu", "glu", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu", "log_sigmoid_forward"),
    *("mish", "_prelu_kernel", "relu", "rrelu_with_noise", "sigmoid", "silu", "softplus", "softshrink", "tanh"),
    *("threshold", "_softmax", "_safe_softmax", "_log_softmax"),
)
_POOLINGS = (
    *("mean", "amax", "avg_pool2d", "avg_pool3d", "_adaptive_avg_pool2d", "_adaptive_avg_pool3d"),
    *("adaptive_max_pool2d", "adaptive_max_pool3d", "max_pool2d_with_indices", "max_pool3d_with_indices"),
)
_RULES: dict[str, _Rule] = {
    **_PRODUCTS,
    **dict.fromkeys(_PRODUCTS_PLUS, _product_plus),
    **dict.fromkeys(_CONVOLUTIONS, _convolution),
    **dict.fromkeys([f"_scaled_dot_product_{kind}" for kind in _ATTENTIONS], _attention),
    **dict.fromkeys(_BATCH_NORMS, _normalization(1)),
    "native_layer_norm": _normalization(2),
    **dict.fromkeys([name + suffix for name in _ACTIVATIONS for suffix in ("", "_")], _activation),
    **dict.fromkeys(_POOLINGS, _pooling),
}
