"""What a network costs: parameters, multiply-adds, and FLOPs in the paper's convention.

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

import contextlib
import copy
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy
from torch.utils._pytree import tree_map

from sketchkit.adapters.operations import Counter
from sketchkit.adapters.timing import Latency, latency
from sketchkit.errors import ParameterError, SketchkitError

__all__ = ["Cost", "Latency", "Part", "cost", "latency"]


@dataclass(frozen=True)
class Part:
    """A share of a cost: one kind of operation in one module, without the modules inside of it.

    Args:
        module: its path; "" for the whole.
        operation: "convolution", "matrix product", "attention", "normalization", "activation" or "pooling"; "" for
            what the module holds, its parameters.
        calls: how often the operation ran.
        params: the module's own parameters.
        macs: multiply-adds.
        flops: FLOPs in the paper's convention.

    Example:
        >>> cost(nn.Conv2d(3, 8, 1), 4).parts[1]
        Part(module='', operation='convolution', calls=1, params=0, macs=384, flops=1024)
    """

    module: str
    operation: str
    calls: int = 0
    params: int = 0
    macs: int = 0
    flops: int = 0


@dataclass(frozen=True)
class Cost:
    """What one pass costs; costs of several modules can be added.

    Args:
        params: the module's parameters.
        macs: multiply-adds of convolutions and matrix products alone.
        flops: FLOPs in the paper's convention (see the module's docstring).
        parts: where they come from.

    Example:
        >>> counted = cost(nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU()), 32)
        >>> print(counted)
        475.1 kFLOPs, 221.2 kMACs, 224 parameters
        >>> counted.by_module()
        {'0': Cost(params=224, macs=221184, flops=458752), '1': Cost(params=0, macs=0, flops=16384)}
    """

    params: int
    macs: int
    flops: int
    parts: tuple[Part, ...] = field(default=(), repr=False, compare=False)

    def by_module(self, depth: int = 1) -> dict[str, Cost]:
        """Path of a module, `depth` names deep -> its cost with all modules inside; "" for what lies above.

        Args:
            depth: how many names of a path count, from 1.

        Raises:
            ParameterError: `depth` is below 1.

        Example:
            >>> list(cost(nn.Sequential(nn.Sequential(nn.ReLU())), 4).by_module(depth=2))
            ['0.0']
        """
        if depth < 1:
            raise ParameterError(f"depth must be 1 or more, not {depth}")
        return self._by(self.parts, lambda part: ".".join(part.module.split(".")[:depth]))

    def by_operation(self) -> dict[str, Cost]:
        """Kind of operation -> its cost; no kind has parameters.

        Example:
            >>> cost(nn.Sequential(nn.Linear(4, 2), nn.ReLU()), torch.zeros(1, 4)).by_operation()["activation"]
            Cost(params=0, macs=0, flops=4)
        """
        return self._by((part for part in self.parts if part.operation), lambda part: part.operation)

    def table(self, depth: int = 1) -> str:
        """Modules and kinds of operation as lines of text.

        Args:
            depth: how many names of a path count, from 1.

        Example:
            >>> print(cost(nn.Sequential(nn.Linear(4, 2), nn.ReLU()), torch.zeros(1, 4)).table())
                            parameters  MACs  FLOPs   share
            0                       10     8     20   83.3%
            1                        0     0      4   16.7%
            matrix product           0     8     20   83.3%
            activation               0     0      4   16.7%
            all                     10     8     24  100.0%
        """
        rows = [_HEADER, *self._rows(depth)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADER))]
        return "\n".join(
            "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows
        )

    def __add__(self, other: Cost) -> Cost:
        if not isinstance(other, Cost):
            return NotImplemented
        return Cost(
            self.params + other.params, self.macs + other.macs, self.flops + other.flops, self.parts + other.parts
        )

    def __str__(self) -> str:
        return f"{_scaled(self.flops)}FLOPs, {_scaled(self.macs)}MACs, {_scaled(self.params).rstrip()} parameters"

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{escape(name)}</th>" for name in _HEADER)
        body = "\n".join(
            f"<tr><th>{escape(row[0])}</th>{''.join(f'<td>{cell}</td>' for cell in row[1:])}</tr>"
            for row in self._rows(1)
        )
        return f"<table>\n<tr>{head}</tr>\n{body}\n</table>"

    def _rows(self, depth: int) -> list[tuple[str, ...]]:
        named = [(name or "(itself)", each) for name, each in self.by_module(depth).items()]
        named += self.by_operation().items()
        return [
            (name, *(f"{value:,}" for value in (each.params, each.macs, each.flops)), f"{_share(each, self):.1%}")
            for name, each in [*named, ("all", self)]
        ]

    @staticmethod
    def _by(parts: Iterable[Part], name_of: Callable[[Part], str]) -> dict[str, Cost]:
        groups: dict[str, list[Part]] = {}
        for part in parts:
            groups.setdefault(name_of(part), []).append(part)
        return {name: _sum(group) for name, group in groups.items()}


_HEADER = ("", "parameters", "MACs", "FLOPs", "share")


def cost(
    module: nn.Module,
    size_or_input: int | tuple[int, int] | torch.Tensor | Sequence[Any] | Mapping[str, Any],
    *,
    channels: int = 3,
) -> Cost:
    """Count one forward pass of a module, in evaluation mode; the module itself is not touched.

    The pass runs on the meta device, where only shapes are computed; a module that cannot run there is copied and run.

    Args:
        module: any module; a compiled one is counted as it would run without the compiler.
        size_or_input: the side in pixels of one image (1, channels, size, size), its two sides (height, width), an
            input tensor, a sequence of the positional inputs, or a mapping of the inputs by name.
        channels: of the image.

    Raises:
        ParameterError: the size is less than 1, or the module is quantized or has lazy parameters.

    Example:
        >>> cost(nn.Conv2d(3, 8, 3, padding=1), 32)
        Cost(params=224, macs=221184, flops=458752)
        >>> cost(nn.Conv2d(3, 8, 3, padding=1), {"input": torch.zeros(1, 3, 32, 16)}).macs
        110592
    """
    inputs, named = _inputs(module, size_or_input, channels)
    if any(is_lazy(parameter) for parameter in module.parameters()):
        raise ParameterError("cost needs known shapes, and this module has lazy parameters: run it once before")
    counted = _counted(module, inputs, named)
    parts = (*_held(module), *_done(counted))
    whole = _sum(parts)
    return Cost(whole.params, whole.macs, whole.flops, parts)


def _counted(module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> Counter:
    try:
        return _count(_on_meta(module), _moved(inputs, "meta"), _moved(named, "meta"))
    except SketchkitError:
        raise
    except Exception:  # a module that looks at values fails on the meta device in any way it likes
        if any(tensor.is_meta for tensor in [*module.parameters(), *module.buffers()]):
            raise
    try:
        copied = copy.deepcopy(module).cpu()
    except Exception:  # some modules hold what cannot be copied: results of computations, handles of other libraries
        device = next((parameter.device for parameter in module.parameters()), torch.device("cpu"))
        return _count(module, _moved(inputs, device), _moved(named, device))
    return _count(copied, _moved(inputs, "cpu"), _moved(named, "cpu"))


def _count(module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> Counter:
    # A frozen script has no mode any more.
    training = [part for part in module.modules() if getattr(part, "training", False)]
    counter = Counter()
    if training:
        module.eval()
    try:
        with (
            torch.inference_mode(False),
            torch.no_grad(),
            _uncompiled(),
            _unfused(),
            counter.following(module),
            counter,
        ):
            module(*inputs, **named)
    finally:
        for part in training:
            part.training = True
    return counter


@contextlib.contextmanager
def _unfused() -> Iterator[None]:
    """Without the fused encoder layer, which is one operation that hides its products."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def _uncompiled() -> contextlib.AbstractContextManager[Any]:
    """Run what is compiled without the compiler, which is loaded only when something was compiled."""
    if "torch._dynamo" not in sys.modules:
        return contextlib.nullcontext()
    stance: contextlib.AbstractContextManager[Any] = torch.compiler.set_stance("force_eager")
    return stance


def _inputs(
    module: nn.Module, given: int | torch.Tensor | Sequence[Any] | Mapping[str, Any], channels: int
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(given, torch.Tensor):
        return (given,), {}
    if isinstance(given, Mapping):
        return (), dict(given)
    sides = (given, given) if isinstance(given, int) else tuple(given)
    if len(sides) != 2 or not all(isinstance(side, int) for side in sides):
        return sides, {}
    if min(sides) < 1:
        raise ParameterError(f"an image's side is 1 pixel or more, not {min(sides)}")
    dtype = next((value.dtype for value in module.parameters() if value.is_floating_point()), torch.float32)
    return (torch.zeros(1, channels, *sides, dtype=dtype),), {}


def _on_meta(module: nn.Module) -> nn.Module:
    """A copy whose tensors are shapes without memory."""
    memo: dict[int, Any] = {}
    for parameter in module.parameters():
        memo[id(parameter)] = nn.Parameter(parameter.detach().to("meta"), requires_grad=parameter.requires_grad)
    for buffer in module.buffers():
        memo[id(buffer)] = buffer.detach().to("meta")
    for part in module.modules():
        for value in vars(part).values():
            if isinstance(value, torch.Tensor):
                memo.setdefault(id(value), value.detach().to("meta"))
    return copy.deepcopy(module, memo)


def _moved(inputs: Any, device: str | torch.device) -> Any:
    return tree_map(lambda value: value.to(device) if isinstance(value, torch.Tensor) else value, inputs)


def _held(module: nn.Module) -> list[Part]:
    """The parameters of each module; those that several share are the first one's."""
    counts: dict[str, int] = {}
    for name, parameter in module.named_parameters():
        path = name.rpartition(".")[0]
        counts[path] = counts.get(path, 0) + parameter.numel()
    return [Part(path, "", params=count) for path, count in counts.items()]


def _done(counter: Counter) -> list[Part]:
    return [
        Part(path, kind, calls=tally.calls, macs=tally.macs, flops=tally.flops)
        for (path, kind), tally in counter.tallies.items()
    ]


def _sum(parts: Iterable[Part]) -> Cost:
    parts = tuple(parts)
    params, macs, flops = (sum(getattr(part, name) for part in parts) for name in ("params", "macs", "flops"))
    return Cost(params, macs, flops, parts)


def _share(part: Cost, whole: Cost) -> float:
    return part.flops / whole.flops if whole.flops else float(part is whole)


def _scaled(value: float) -> str:
    """A number in four digits, and the letter of its thousands: "40.18 G"."""
    for letter, unit in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= unit:
            digits = 2 if value < 100 * unit else 1
            return f"{value / unit:.{digits}f} {letter}"
    return f"{value:g} "
