"""What a network gives out, and where its classifier is: seen from a recorded forward pass, never from its name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import torch
from torch import nn

from sketchkit.adapters.recording import Call, Operation, Recording, storage_of
from sketchkit.errors import AdaptError

__all__ = [
    "LEAF_TYPES",
    "Output",
    "find_classifier",
    "locate",
    "modules_seen",
    "output_form",
    "take_off",
    "tensor_at",
]

_ACTIVATIONS: tuple[type[nn.Module], ...] = (
    *(nn.CELU, nn.ELU, nn.GELU, nn.GLU, nn.Hardsigmoid, nn.Hardswish, nn.Hardtanh, nn.LeakyReLU, nn.LogSigmoid),
    *(nn.LogSoftmax, nn.Mish, nn.PReLU, nn.ReLU, nn.SELU, nn.Sigmoid, nn.SiLU, nn.Softmax, nn.Softplus, nn.Tanh),
)
# What may lie between the linear layers of a classifier.
_BETWEEN = (*_ACTIVATIONS, nn.BatchNorm1d, nn.LayerNorm)
# What may go with its first linear layer.
_BEFORE: tuple[type[nn.Module], ...] = (nn.Dropout, nn.AlphaDropout, nn.Identity, nn.Flatten)
LEAF_TYPES: tuple[type[nn.Module], ...] = (nn.Linear, *_BETWEEN, *_BEFORE)
"""What a classifier may consist of; leaves of a recording, also when they are parametrized."""

# Operations outside modules that a chain may pass through ...
_PASSED = {
    name + suffix
    for name in (
        *("celu", "elu", "gelu", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu", "mish", "relu", "silu", "tanh"),
        *("dropout", "clone"),
    )
    for suffix in ("", "_")
}
# ... those that cannot be taken off with it when they come last, and those that only look at the same memory.
_LAST = {"_softmax", "_log_softmax", "sigmoid", "sigmoid_", "log_sigmoid_forward"}
_REORDERING = {"permute", "transpose", "t", "movedim"}
_VIEWS = {"view", "_unsafe_view", "reshape", "alias", "detach", "expand", "unsqueeze", "squeeze", "select", "slice"}
_VIEWS |= {"unbind", "split", "chunk", "as_strided"} | _REORDERING

# Where an output with several tensors keeps the one that matters, the first that is there.
_KEYS = ("logits", "pooler_output", "image_embeds", "embeddings", "features", "last_hidden_state", "out", "output")


@dataclass(frozen=True)
class Output:
    """What a network without its classifier gives out.

    Args:
        form: `features` (batch, features), `flattened map` (batch, channels * height * width), `map` (batch,
            channels, height, width) or `tokens` (batch, tokens, features).
        width: features or channels.
        at: where the tensor is in the output: keys and places, empty for a plain tensor.
    """

    form: str
    width: int
    at: tuple[str | int, ...]


def find_classifier(network: nn.Module, recording: Recording, named: str | None = "auto") -> tuple[str, ...]:
    """The paths of the modules that turn features into class scores.

    With `auto`, the trailing chain of Linear, Dropout, activation, normalization, Identity and Flatten modules that
    gives the output, from its first Linear on; none when no Linear comes last. Whole Sequentials are named once.

    Args:
        network: the one that was recorded.
        recording: a pass on images (batch, channels, height, width).
        named: `auto`, the path of the module where the classifier begins, or None for no classifier.

    Raises:
        AdaptError: there is no such module, or the classifier cannot be taken off.
    """
    if named not in (None, "auto") and named not in dict(network.named_modules()):
        paths = ", ".join(path for path, _ in network.named_modules() if path)
        raise AdaptError(f"there is no module {named!r}; classifier= takes one of: {paths}")
    if named is None:
        return ()
    calls = _trailing_chain(recording) if named == "auto" else _from(recording, named)
    if not calls:
        _refuse_doubtful(recording)
    chain = {call.path for call in calls}
    elsewhere = [call for call in recording.calls if call.path in chain and call not in calls]
    if elsewhere:
        raise AdaptError(
            f"{elsewhere[0].path} is also used before the classifier and cannot be taken off; pass classifier=None to "
            f"keep the network whole. {modules_seen(recording)}"
        )
    if calls and calls[0].source == storage_of(recording.kept[0]):
        raise AdaptError(
            "the network is one chain of linear layers from the image to the output, nothing would be left of it; pass "
            f"classifier= with the module where class scores begin. {modules_seen(recording)}"
        )
    whole = _whole_sequentials(network, chain, {call.path for call in recording.calls})
    if named == "auto":
        return whole
    return (named, *(path for path in whole if not f"{path}.".startswith(f"{named}.")))


def take_off(network: nn.Module, classifier: tuple[str, ...]) -> None:
    """Put an Identity in the place of each named module, under every name that it has.

    Raises:
        AdaptError: the network has no such module.
    """
    modules = dict(network.named_modules())
    missing = [path for path in classifier if path not in modules]
    if missing:
        raise AdaptError(f"the network has no module {missing[0]!r} to take off")
    removed = {id(modules[path]) for path in classifier}
    for module in modules.values():
        for name, child in module.named_children():
            if id(child) in removed:
                setattr(module, name, nn.Identity())


def output_form(recording: Recording) -> Output:
    """The form of what came out; a map that was flattened is recognized by the memory that it shares.

    Raises:
        AdaptError: it is none of the forms of `Output`.
    """
    at = locate(recording.output)
    tensor = tensor_at(recording.output, at)
    batch = recording.kept[0].shape[0]
    shape = tuple(tensor.shape)
    if not tensor.is_floating_point() or len(shape) not in (2, 3, 4) or shape[0] != batch or 0 in shape:
        raise AdaptError(
            f"the network gives {shape} {tensor.dtype} for {batch} images; features (batch, features), a map (batch, "
            f"channels, height, width) or tokens (batch, tokens, features) can be adapted. {modules_seen(recording)}"
        )
    if len(shape) == 4:
        return Output("map", shape[1], at)
    if len(shape) == 3:
        return Output("tokens", shape[2], at)
    channels = _flattened_channels(recording, tensor)
    return Output("features", shape[1], at) if channels is None else Output("flattened map", channels, at)


def modules_seen(recording: Recording, last: int = 8) -> str:
    """The end of the list of modules called, for messages."""
    seen = [f"{call.path} ({type(call.module).__name__})" for call in recording.calls[-last:]]
    if not seen:
        return "No module was called."
    return f"The last modules called were {', '.join(seen)}."


def locate(output: Any) -> tuple[str | int, ...]:
    """Where the tensor that matters is in a network's output: logits or pooled features before others.

    Raises:
        AdaptError: there is none, or no telling which.
    """
    if isinstance(output, torch.Tensor):
        return ()
    if isinstance(output, (tuple, list)) and output:
        return (0, *locate(output[0]))
    named = _named(output)
    usable = {key: value for key, value in named.items() if isinstance(value, (torch.Tensor, tuple, list, Mapping))}
    tensors = [key for key, value in usable.items() if isinstance(value, torch.Tensor)]
    key = next((key for key in _KEYS if key in usable), None)
    if key is None and len(tensors) == 1:
        key = tensors[0]
    if key is None:
        held = f" with {', '.join(map(str, named))}" if named else ""
        raise AdaptError(
            f"the network gives a {type(output).__name__}{held}, and which tensor to take is not clear; wrap the "
            "network in a module that returns one tensor"
        )
    return (key, *locate(usable[key]))


def tensor_at(output: Any, at: tuple[str | int, ...]) -> torch.Tensor:
    """The tensor at a place that `locate` found."""
    for key in at:
        output = output[key] if isinstance(key, int) else _named(output)[key]
    assert isinstance(output, torch.Tensor)
    return output


def _named(output: Any) -> Mapping[str, Any]:
    if isinstance(output, Mapping):
        return output
    if is_dataclass(output):
        return {item.name: getattr(output, item.name) for item in fields(output)}
    return getattr(output, "__dict__", {})


def _trailing_chain(recording: Recording) -> list[Call]:
    """The classifier's calls, first one first; empty when the output comes from anything but a chain with a Linear."""
    found: list[Call] = []
    blocking: Operation | None = None
    output = tensor_at(recording.output, locate(recording.output))
    storage, before = storage_of(output), recording.clock + 1
    while True:
        call, operation = recording.last_call(storage, before), recording.last_operation(storage, before)
        if operation is not None and (call is None or operation.end > call.end):
            if operation.name in _LAST and not found:
                blocking = operation
            elif operation.name not in _PASSED | _VIEWS:
                break
            storage, before = _source(operation), operation.end
        elif call is not None and isinstance(call.module, LEAF_TYPES) and call.source is not None:
            found.append(call)
            storage, before = call.source, call.start
        else:
            break
    linear = [place for place, call in enumerate(found) if isinstance(call.module, nn.Linear)]
    if not linear:
        return []
    if blocking is not None:
        raise AdaptError(
            f"the network's forward ends in a {blocking.name.strip('_')} that is no module and would stay behind when "
            f"the classifier {found[0].path} is taken off; let it return the scores before it. "
            f"{modules_seen(recording)}"
        )
    end = linear[-1] + 1
    while end < len(found) and isinstance(found[end].module, _BEFORE):
        end += 1
    return found[:end][::-1]


def _refuse_doubtful(recording: Recording) -> None:
    """Scores that are combined or scaled outside of modules must not be taken for features."""
    output = tensor_at(recording.output, locate(recording.output))
    layers = [call for call in recording.calls if not isinstance(call.module, (*_ACTIVATIONS, *_BEFORE))]
    if output.ndim == 2 and layers and isinstance(layers[-1].module, nn.Linear):
        raise AdaptError(
            f"the network ends in the linear layer {layers[-1].path}, but what it gives is changed outside of modules, "
            "and whether it is a classifier is not clear; pass classifier= with the module where scores begin, or "
            f"None to keep the network whole. {modules_seen(recording)}"
        )


def _source(operation: Operation) -> int:
    # An operation without an input (torch.zeros) is never passed through: its name is in neither list.
    assert operation.source is not None
    return operation.source


def _from(recording: Recording, path: str) -> list[Call]:
    """The calls of the named module and all that follow it."""
    inside = [call for call in recording.calls if call.path == path or call.path.startswith(f"{path}.")]
    if not inside:
        raise AdaptError(f"the module {path!r} takes no part in the forward pass. {modules_seen(recording)}")
    start = min(call.start for call in inside)
    after = sorted((call for call in recording.calls if call.start >= start), key=lambda call: call.start)
    kept = [call for call in after if call not in inside and not isinstance(call.module, LEAF_TYPES)]
    if kept:
        raise AdaptError(
            f"{kept[0].path} ({type(kept[0].module).__name__}) comes after {path!r} and is no part of a classifier; "
            f"name a module nearer to the output. {modules_seen(recording)}"
        )
    return after


def _whole_sequentials(network: nn.Module, chain: set[str], called: set[str]) -> tuple[str, ...]:
    """Paths of the chain, a Sequential in the place of its parts where all of those that were called are in it."""
    paths: dict[str, None] = {}
    modules = dict(network.named_modules())
    for path in sorted(chain):
        parts = path.split(".")
        whole = path
        for depth in range(len(parts) - 1, 0, -1):
            parent = ".".join(parts[:depth])
            inside = {other for other in called if other.startswith(f"{parent}.")}
            if not isinstance(modules[parent], nn.Sequential) or not inside <= chain:
                break
            whole = parent
        paths[whole] = None
    order = list(modules)
    return tuple(sorted(paths, key=order.index))


def _flattened_channels(recording: Recording, tensor: torch.Tensor) -> int | None:
    """The channels of the map (batch, channels, height, width) that this tensor is a flattened view or copy of."""
    features = tensor.shape[1]
    storage, before = storage_of(tensor), recording.clock + 1
    while (operation := recording.last_operation(storage, before)) is not None:
        if operation.name in _REORDERING:
            return None
        if len(operation.shape) == 4 and operation.name not in _VIEWS | {"clone"}:
            batch, channels, height, width = operation.shape
            whole = batch == tensor.shape[0] and channels * height * width == features
            return channels if whole and height * width > 1 else None
        # An activation that stayed behind as a function changes no place.
        if operation.name not in _VIEWS | _PASSED or operation.source is None:
            return None
        storage, before = operation.source, operation.end
    return None
