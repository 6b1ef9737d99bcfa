"""In which order a network uses its parameters and modules: seen from one pass, never from names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from sketchkit.adapters.recording import Call, noted_calls, storage_of
from sketchkit.adapters.stems import TwoStems
from sketchkit.errors import AdaptError

if TYPE_CHECKING:
    from sketchkit.adapters.adapted_model import AdaptedModel

__all__ = ["Execution", "execute", "weight_layers"]

# What an embedding goes through; beside it an adapted network has a canvas selector, and may have a teacher.
_EMBEDDING = ("backbone.", "projection.")


@dataclass(eq=False)
class Execution:
    """One pass of an embedding network.

    Args:
        first_use: parameter's name -> its place in the order of events; those that took part alone.
        calls: of the embedding network's modules, in the order of their ends.
        reads: memory -> how many operations (views aside) read it.
        result: the embeddings, (batch, embedding_dim).
        clock: the last place.
    """

    first_use: dict[str, int] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    reads: Counter[int] = field(default_factory=Counter)
    result: torch.Tensor = field(default_factory=lambda: torch.zeros(0))
    clock: int = 0

    def tick(self) -> int:
        """The next place."""
        self.clock += 1
        return self.clock


@torch.no_grad()
def execute(adapted: AdaptedModel, *, images: int = 1) -> Execution:
    """Embed noise, `images` of them at once, on the smallest canvas, in evaluation mode.

    Modes and statistics of `adapted` are left as they were. Its canvas selector and its teacher take no part, so a
    scripted teacher is no hindrance.

    Raises:
        AdaptError: the network is scripted.

    Example:
        >>> from sketchkit.adapters import adapt, mobilenet_v2
        >>> list(execute(adapt(mobilenet_v2(), canvases=(32,), photo_size=32)).first_use)[0]
        'backbone.network.features.0.0.weight'
    """
    parts = [(path, module) for path, module in adapted.named_modules() if f"{path}.".startswith(_EMBEDDING)]
    if any(isinstance(module, torch.jit.ScriptModule) for _, module in parts):
        raise AdaptError(
            f"{adapted.description.network} is scripted, and nobody can see in which order its layers run; adapt the "
            "module that it was scripted from"
        )
    execution = Execution()
    watch = _Watch(execution, _embedding_parameters(adapted))
    with (
        _evaluating([module for _, module in parts]),
        noted_calls(parts, execution.tick, watch.kept) as execution.calls,
        watch,
    ):
        execution.result = adapted.embed(_noise(adapted, images))
    return execution


def weight_layers(adapted: AdaptedModel, execution: Execution | None = None) -> list[list[str]]:
    """Names of `adapted`'s embedding network's parameters by depth, first layer first.

    An `execution` saves the pass that tells; None makes one.
    A layer begins with a weight (of a convolution, a linear layer, an attention's projection) and holds the biases,
    norms, tokens and scales used until the next one. Parameters that take no part in a pass are in no layer.

    Example:
        >>> from sketchkit.adapters import adapt, mobilenet_v2
        >>> layers = weight_layers(adapt(mobilenet_v2(), canvases=(32,), photo_size=32))
        >>> len(layers), [name.split("features.")[1] for name in layers[0]]
        (52, ['0.0.weight', '0.1.weight', '0.1.bias'])
    """
    used = (execution or execute(adapted)).first_use
    parameters = _embedding_parameters(adapted)
    layers: list[list[str]] = [[]]
    begun = False
    for name in sorted(used, key=lambda name: used[name]):
        if _is_weight(parameters[name]):
            if begun:
                layers.append([])
            begun = True
        layers[-1].append(name)
    # A pass takes one of two stems; they are of the same depth.
    for path, module in adapted.named_modules():
        if isinstance(module, TwoStems):
            layer = next(layer for layer in layers if f"{path}.photos.weight" in layer)
            layer += [f"{path}.sketches.{name}" for name, _ in module.sketches.named_parameters()]
    return [layer for layer in layers if layer]


def _is_weight(parameter: nn.Parameter) -> bool:
    # Class tokens, (1, 1, width), and layer scales, (width, 1, 1), have all their values along one axis.
    return parameter.ndim >= 2 and (parameter.ndim == 2 or parameter.numel() > max(parameter.shape))


def _embedding_parameters(adapted: AdaptedModel) -> dict[str, nn.Parameter]:
    """Without the canvas selector and the teacher."""
    return {name: value for name, value in adapted.named_parameters() if name.startswith(_EMBEDDING)}


def _noise(adapted: AdaptedModel, images: int) -> torch.Tensor:
    canvas = adapted.canvases[0]
    parameter = next((value for value in adapted.backbone.parameters() if value.is_floating_point()), adapted.mean)
    shape = (images, adapted.description.channels, canvas.height, canvas.width)
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    return noise.to(parameter.device, parameter.dtype)


@contextmanager
def _evaluating(modules: Sequence[nn.Module]) -> Iterator[None]:
    before = [(module, module.training) for module in modules]
    for module in modules:
        module.eval()
    try:
        yield
    finally:
        for module, training in before:
            module.training = training


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch does not annotate its base
    """Notes which parameters and which memory each operation reads."""

    def __init__(self, execution: Execution, parameters: dict[str, nn.Parameter]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch does not annotate it
        self.execution = execution
        self.names: dict[int, list[str]] = {}
        for name, value in parameters.items():
            self.names.setdefault(storage_of(value), []).append(name)
        # Memory that is freed could come back under the same address.
        self.kept: list[torch.Tensor] = []

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        read = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        made = [leaf for leaf in tree_leaves(output) if isinstance(leaf, torch.Tensor)]
        self.kept += made
        memories = [storage_of(tensor) for tensor in read]
        for memory in memories:
            for name in self.names.get(memory, ()):
                if name not in self.execution.first_use:
                    self.execution.first_use[name] = self.execution.tick()
        is_view = func.is_view or (
            all(storage_of(tensor) in memories for tensor in made) and not func._schema.is_mutable
        )
        if not is_view:
            self.execution.reads.update(set(memories))
        return output
