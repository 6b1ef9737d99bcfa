"""Counting the operations that run: multiply-adds, and what the paper's convention adds to them.

The counter sits at torch's dispatcher, below modules and functions, so each operation counts once, whoever called it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from sketchkit.errors import ParameterError

__all__ = ["Counter", "Tally"]


@dataclass
class Tally:
    """What one kind of operation did inside one module.

    Args:
        calls: how often it ran.
        macs: multiply-adds.
        additions: what the convention counts beside them.

    Example:
        >>> Tally(calls=1, macs=10, additions=2).flops
        24
    """

    calls: int = 0
    macs: int = 0
    additions: int = 0

    @property
    def flops(self) -> int:
        """In the paper's convention."""
        return 2 * (self.macs + self.additions)


class Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch does not annotate its base
    """Adds up what runs inside `with counter:`, by module and by kind of operation.

    `tallies` maps (path of the module, kind of operation) to what it did; paths are known inside `following`.

    Example:
        >>> with Counter() as counter:
        ...     _ = torch.zeros(2, 3) @ torch.zeros(3, 4)
        >>> counter.tallies
        {('', 'matrix product'): Tally(calls=1, macs=24, additions=0)}
    """

    supports_higher_order_operators = True

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch does not annotate it
        self.tallies: dict[tuple[str, str], Tally] = {}
        self._stack = [""]
        self._rules: dict[Any, tuple[str, _Rule] | None] = {}
        self._whole: set[Any] = set()

    @contextlib.contextmanager
    def following(self, module: nn.Module) -> Iterator[None]:
        """Know which part of `module` is running, by forward hooks that go when the block ends."""
        handles = []
        for path, part in module.named_modules():
            # Inside of compiled TorchScript no Python runs, so a part of it cannot tell.
            if path and not isinstance(part, torch.jit.ScriptModule):
                handles.append(part.register_forward_pre_hook(self._entering(path), prepend=True))
                handles.append(part.register_forward_hook(self._leaving, always_call=True))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _entering(self, path: str) -> Callable[..., None]:
        return lambda *_: self._stack.append(path)

    def _leaving(self, *_: Any) -> None:
        if len(self._stack) > 1:
            self._stack.pop()

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func not in self._rules:
            self._rules[func] = _rule_of(func)
        found = self._rules[func]
        if found is None:
            return self._inside(func, args, kwargs)
        output = _shapes(func, args)
        if output is None:
            output = func(*args, **kwargs)
        kind, rule = found
        macs, additions = rule(args, output)
        tally = self.tallies.setdefault((self._stack[-1], kind), Tally())
        tally.calls += 1
        tally.macs += macs
        tally.additions += additions
        return output

    def _inside(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run an operation without a rule; in inference mode it may still be made of others, which are counted."""
        if func not in self._whole:
            with self:
                output = func.decompose(*args, **kwargs)
            if output is not NotImplemented:
                return output
            self._whole.add(func)
        return func(*args, **kwargs)


# An operation's arguments and output -> multiply-adds, and what the convention adds to them.
_Rule = Callable[[tuple[Any, ...], Any], tuple[int, int]]


def _rule_of(func: Any) -> tuple[str, _Rule] | None:
    """Kind and rule of an operation; None when it is not counted."""
    if isinstance(func, torch._ops.HigherOrderOperator):
        higher = func.name()  # type: ignore[no-untyped-call]  # torch does not annotate it
        if higher != "flex_attention":
            raise ParameterError(f"cost cannot look into torch's {higher}; count what was compiled or exported")
        return "attention", _attention
    space, _, name = func.name().partition("::")
    if space in ("quantized", "onednn"):
        raise ParameterError(
            f"cost cannot look into the packed layers of a quantized module ({func.name()}); "
            "count the float module that it was made from: it has as many multiply-adds"
        )
    if space != "aten":
        return None
    name = name.partition(".")[0]
    return _RULES.get(name) or _RULES.get(name.removesuffix("_"))  # in place: the same with an underscore


def _shapes(func: Any, args: tuple[Any, ...]) -> Any:
    """What an operation of plain shapes gives on the meta device; None for all others.

    There torch finds it by decompositions in Python, which take most of a count.
    """
    name = func.name().removeprefix("aten::").partition(".")[0]
    if name.removesuffix("_") not in _SAME_SHAPE or not args[0].is_meta:
        return None
    images: torch.Tensor = args[0]
    if name != "native_batch_norm":
        return images if name.endswith("_") else torch.empty_like(images)
    if args[5]:  # in training it gives the statistics of the batch too
        return None
    return torch.empty_like(images), images.new_empty(0), images.new_empty(0)


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


def _summed_products_plus(args: tuple[Any, ...], output: Any) -> tuple[int, int]:
    return args[1].numel() * args[2].shape[-1], output.numel()


def _linear(args: tuple[Any, ...], output: Any) -> tuple[int, int]:
    biased = len(args) > 2 and args[2] is not None
    return output.numel() * args[0].shape[-1], output.numel() if biased else 0


def _trilinear(args: tuple[Any, ...], output: Any) -> tuple[int, int]:
    """Of `nn.Bilinear`: a product of three, the weight being the second; one multiply-add for each of its terms."""
    factors = list(args[:3])
    for at, dimensions in enumerate(args[3:6]):
        for dimension in sorted(dimensions):
            factors[at] = factors[at].unsqueeze(dimension)
    return prod(torch.broadcast_shapes(*(factor.shape for factor in factors))), 0  # type: ignore[no-untyped-call]  # torch does not annotate it


def _recurrent_layer(args: tuple[Any, ...], output: Any) -> tuple[int, int]:
    """An LSTM layer in one kernel of the CPU: 4 gates of 2 products, 2 biases; 5 activations."""
    inputs, weight, recurrent, hidden, biased = args[0], args[1], args[2], args[10], args[12]
    steps = prod(inputs.shape[:-1])
    return steps * (weight.numel() + recurrent.numel()), steps * hidden * (5 + (8 if biased else 0))


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


_CONVOLUTIONS = ("convolution", "_convolution", "cudnn_convolution", "mkldnn_convolution")
_PRODUCTS = ("mm", "bmm", "mv", "dot", "vdot", "_int_mm", "_scaled_mm")
_PRODUCTS_PLUS = ("addmm", "baddbmm", "addmv")
_ATTENTIONS = (
    *("attention_math", "cudnn_attention", "efficient_attention", "flash_attention", "flash_attention_for_cpu"),
    "fused_attention_overrideable",
)
_BATCH_NORMS = (
    "native_batch_norm",
    "_native_batch_norm_legit",
    "_native_batch_norm_legit_no_training",
    "_batch_norm_with_update",
    "cudnn_batch_norm",
    "native_group_norm",
)
_ACTIVATIONS = (
    *("celu", "elu", "gelu", "glu", "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu"),
    *("log_sigmoid_forward", "mish", "_prelu_kernel", "relu", "rrelu_with_noise", "sigmoid", "silu", "softplus"),
    *("softshrink", "tanh", "threshold", "_softmax", "_safe_softmax", "_log_softmax"),
)
_SAME_SHAPE = {"native_batch_norm", "hardtanh", "hardswish", "hardsigmoid", "relu"}
_POOLINGS = (
    *("mean", "amax", "avg_pool2d", "avg_pool3d", "_adaptive_avg_pool2d", "_adaptive_avg_pool3d"),
    *("adaptive_max_pool2d", "adaptive_max_pool3d", "max_pool2d_with_indices", "max_pool3d_with_indices"),
)
_RULES: dict[str, tuple[str, _Rule]] = {
    **dict.fromkeys(_CONVOLUTIONS, ("convolution", _convolution)),
    **dict.fromkeys(_PRODUCTS, ("matrix product", _product)),
    **dict.fromkeys(_PRODUCTS_PLUS, ("matrix product", _product_plus)),
    "addbmm": ("matrix product", _summed_products_plus),
    "linear": ("matrix product", _linear),
    "_trilinear": ("matrix product", _trilinear),
    "mkldnn_rnn_layer": ("matrix product", _recurrent_layer),
    **dict.fromkeys([f"_scaled_dot_product_{kind}" for kind in _ATTENTIONS], ("attention", _attention)),
    **dict.fromkeys(_BATCH_NORMS, ("normalization", _normalization(1))),
    **dict.fromkeys(("native_layer_norm", "_fused_rms_norm"), ("normalization", _normalization(2))),
    **dict.fromkeys(_ACTIVATIONS, ("activation", _activation)),
    **dict.fromkeys(_POOLINGS, ("pooling", _pooling)),
}
