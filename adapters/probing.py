"""What a network gives out, and where its classifier is: seen from a recorded forward pass, never from its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import torch
from torch import nn

from sketchkit.adapters.chain import ACTIVATIONS, BEFORE, LEAF_TYPES, PASSED, REORDERING, VIEWS, Chain, trailing_chain
from sketchkit.adapters.recording import Call, Recording, storage_of
from sketchkit.errors import AdaptError

__all__ = [
    "LEAF_TYPES",
    "Output",
    "find_average",
    "find_classifier",
    "locate",
    "modules_seen",
    "output_form",
    "take_off",
    "tensor_at",
]

# Averages that may follow a classifier, and stay when it is taken off.
_POOLS = (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.AvgPool2d, nn.MaxPool2d, nn.AdaptiveAvgPool1d)
# Of features: what a description from outside may ask for.
_WIDEST = 1 << 16
# Where an output with several tensors keeps the one that matters, the first that is there.
_KEYS = ("logits", "pooler_output", "image_embeds", "embeddings", "features", "last_hidden_state", "out", "output")


@dataclass(frozen=True)
class Output:
    """What a network without its classifier gives out.

    Args:
        form: `features` (batch, features), `flattened map` (batch, channels * height * width), `map` (batch,
            channels, height, width), `map, channels last` (batch, height, width, channels), `tokens` (batch, tokens,
            features) or `tokens, channels first` (batch, channels, tokens).
        width: features or channels.
        at: where the tensor is in the output: keys and places, empty for a plain tensor.
        options: arguments of the network's forward that are set to True.
        pool_size: maps are averaged down to so many places a side; 1 is one average over the whole map.
    """

    form: str
    width: int
    at: tuple[str | int, ...]
    options: tuple[str, ...] = ()
    pool_size: int = 1

    @property
    def features(self) -> int:
        """Width of what the backbone gives for an image."""
        return self.width * self.pool_size**2


def find_classifier(network: nn.Module, recording: Recording, named: str | None = "auto") -> tuple[str, ...]:
    """The paths of what turns features into class scores, for `take_off`.

    With `auto`, the trailing chain of linear layers (or a 1x1 convolution), dropout, activations, normalization and
    Flatten that gives the output, from its first layer on; several chains where their scores are summed; none when the
    output comes from elsewhere. Whole Sequentials are named once. A parameter that a function multiplies with is named
    with what is put in its place: `weight=eye(512)`, `bias=zeros(512)`.

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
    if named != "auto":
        calls = _from(recording, named)
        whole = _whole_sequentials(network, {call.path for call in calls}, {call.path for call in recording.calls})
        _refuse_shared(recording, calls)
        return (named, *(path for path in whole if not f"{path}.".startswith(f"{named}.")))
    chain = _chain(network, recording)
    calls = [part.call for part in chain.parts if part.call is not None]
    _refuse_shared(recording, calls)
    whole = _whole_sequentials(network, {call.path for call in calls}, {call.path for call in recording.calls})
    return (*whole, *_neutral(chain))


def find_average(recording: Recording) -> tuple[str, ...]:
    """The path of the module that averages the last map over all its places, for `take_off`; none where none does.

    Args:
        recording: a pass without the classifier.
    """
    output = tensor_at(recording.output, locate(recording.output))
    if output.shape[2:] != (1, 1):
        return ()
    given = [call for call in recording.calls if call.result == storage_of(output)]
    averages = [call for call in given if isinstance(call.module, nn.AdaptiveAvgPool2d)]
    used = [call for call in recording.calls for average in averages if call.module is average.module]
    return (used[0].path,) if len(used) == 1 else ()


def take_off(network: nn.Module, classifier: tuple[str, ...]) -> None:
    """Put an Identity in the place of each of `network`'s modules that `classifier` names, under every name it has.

    The entries are paths. `path=eye(n)`, `path=zeros(n)` and `path=ones(n)` put a constant in the place of a parameter,
    so that the function that used it gives out what it takes.

    Raises:
        AdaptError: the network has no such module or parameter.
    """
    modules = dict(network.named_modules())
    parameters = dict(network.named_parameters())
    removed = set()
    for entry in classifier:
        path, _, neutral = entry.partition("=")
        if path not in (parameters if neutral else modules):
            raise AdaptError(f"the network has no {'parameter' if neutral else 'module'} {path!r} to take off")
        if neutral:
            _neutralize(network, path, parameters[path], neutral)
        else:
            removed.add(id(modules[path]))
    for module in modules.values():
        for name, child in module.named_children():
            if id(child) in removed:
                setattr(module, name, nn.Identity())


def output_form(recording: Recording) -> Output:
    """The form of what came out of the pass that `recording` is of.

    A map that was flattened is recognized by the memory that it shares.

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
        last = _is_channels_last(recording, shape)
        return Output("map, channels last", shape[3], at) if last else Output("map", shape[1], at)
    if len(shape) == 3:
        if _flattened_channels(recording, tensor, kept=2) == shape[1]:
            return Output("tokens, channels first", shape[1], at)
        return Output("tokens", shape[2], at)
    channels = _flattened_channels(recording, tensor)
    return Output("features", shape[1], at) if channels is None else Output("flattened map", channels, at)


def modules_seen(recording: Recording, last: int = 8) -> str:
    """The end of `recording`'s list of modules called, at most `last` of them, as a sentence for messages."""
    seen = [f"{call.path} ({type(call.module).__name__})" for call in recording.calls[-last:]]
    if not seen:
        return "No module was called."
    return f"The last modules called were {', '.join(seen)}."


def locate(output: Any) -> tuple[str | int, ...]:
    """Where the tensor that matters is in a network's `output`: logits or pooled features before others.

    The keys and places that lead there, one after the other; none when the output is the tensor.

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
    """The tensor, of any shape, at a place that `locate` found.

    Args:
        output: what a network gave.
        at: keys, positions and names of attributes, from the outside in.
    """
    if not at and not isinstance(output, torch.Tensor):
        # In training mode some networks give more than in evaluation: scores of heads on the way, as a tuple.
        at = locate(output)
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


def _chain(network: nn.Module, recording: Recording) -> Chain:
    """The trailing chain, when it can be taken off; it is empty when there is no classifier."""
    output = tensor_at(recording.output, locate(recording.output))
    parameters = {storage_of(value): path for path, value in network.named_parameters()}
    chain = trailing_chain(recording, storage_of(output), output.ndim, parameters)
    layers = [call for call in recording.calls if not isinstance(call.module, (*ACTIVATIONS, *BEFORE))]
    if not chain.parts and chain.unclear and output.ndim == 2 and layers and isinstance(layers[-1].module, nn.Linear):
        # Scores that are changed outside of modules must not be taken for features.
        raise AdaptError(
            f"the network ends in the linear layer {layers[-1].path}, but what it gives is changed outside of modules, "
            "and whether it is a classifier is not clear; pass classifier= with the module where scores begin, or "
            f"None to keep the network whole. {modules_seen(recording)}"
        )
    if chain.parts and chain.blocking is not None:
        raise AdaptError(
            f"the network's forward ends in a {chain.blocking.name.strip('_')} that is no module and would stay behind "
            f"when the classifier {chain.parts[0].path} is taken off; let it return the scores before it. "
            f"{modules_seen(recording)}"
        )
    if any(part.source == storage_of(recording.kept[0]) for part in chain.parts):
        raise AdaptError(
            "the network is one chain of linear layers from the image to the output, nothing would be left of it; pass "
            f"classifier= with the module where class scores begin. {modules_seen(recording)}"
        )
    return chain


def _refuse_shared(recording: Recording, calls: list[Call]) -> None:
    chain = {call.path for call in calls}
    elsewhere = [call for call in recording.calls if call.path in chain and call not in calls]
    if elsewhere:
        raise AdaptError(
            f"{elsewhere[0].path} is also used before the classifier and cannot be taken off; pass classifier=None to "
            f"keep the network whole. {modules_seen(recording)}"
        )


def _neutral(chain: Chain) -> tuple[str, ...]:
    """The entries for parameters: all as wide as what goes into the first layer."""
    parts = [part for part in chain.parts if part.neutral]
    width = next((part.width for part in reversed(parts) if part.layer), 0)
    return tuple(dict.fromkeys(f"{part.path}={part.neutral}({width})" for part in reversed(parts) if width))


def _neutralize(network: nn.Module, path: str, parameter: nn.Parameter, neutral: str) -> None:
    kind, _, width = neutral.rstrip(")").partition("(")
    makers: dict[str, Callable[[int], torch.Tensor]] = {"eye": torch.eye, "zeros": torch.zeros, "ones": torch.ones}
    if kind not in makers or not width.isdecimal() or int(width) > _WIDEST:
        raise AdaptError(f"{path}={neutral} says nothing that can be put in the place of a parameter")
    value = makers[kind](int(width)).to(parameter.device, parameter.dtype)
    leading = parameter.ndim - value.ndim
    if kind == "eye":
        value = value.reshape(*value.shape, *([1] * leading))
    else:
        value = value.reshape(*([1] * leading), *value.shape)
    parent, _, name = path.rpartition(".")
    module = dict(network.named_modules())[parent]
    if isinstance(module, torch.jit.ScriptModule):
        # Its attributes cannot be exchanged, but what a parameter holds can.
        parameter.data = value
        parameter.requires_grad_(False)
        return
    delattr(module, name)
    module.register_buffer(name, value)


def _from(recording: Recording, path: str) -> list[Call]:
    """The calls of the named module and all that follow it."""
    inside = [call for call in recording.calls if call.path == path or call.path.startswith(f"{path}.")]
    if not inside:
        raise AdaptError(f"the module {path!r} takes no part in the forward pass. {modules_seen(recording)}")
    start = min(call.start for call in inside)
    after = sorted((call for call in recording.calls if call.start >= start), key=lambda call: call.start)
    allowed = (*LEAF_TYPES, *_POOLS)
    kept = [call for call in after if call not in inside and not isinstance(call.module, allowed)]
    if kept:
        raise AdaptError(
            f"{kept[0].path} ({type(kept[0].module).__name__}) comes after {path!r} and is no part of a classifier; "
            f"name a module nearer to the output. {modules_seen(recording)}"
        )
    return [call for call in after if call in inside or not isinstance(call.module, _POOLS)]


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


def _is_channels_last(recording: Recording, shape: tuple[int, ...]) -> bool:
    """Whether a map is (batch, height, width, channels): the images are square, so the two equal sides are places."""
    first, last = shape[1] == shape[2], shape[2] == shape[3]
    if first != last:
        return first
    # All alike, or images of unequal strides: what worked on the map last tells its channels.
    layers = [call for call in recording.calls if not isinstance(call.module, (*ACTIVATIONS, *BEFORE))]
    return bool(layers) and isinstance(layers[-1].module, (nn.LayerNorm, nn.Linear)) and layers[-1].shape == shape


def _flattened_channels(recording: Recording, tensor: torch.Tensor, kept: int = 1) -> int | None:
    """The channels of the map (batch, channels, height, width) that this tensor is a flattened view or copy of.

    `kept` counts the axes that are still there: 1 when all but the batch were flattened, 2 when places alone were.
    """
    features = tensor[0].numel() if kept == 2 else tensor.shape[1]
    storage, before = storage_of(tensor), recording.clock + 1
    while (operation := recording.last_operation(storage, before)) is not None:
        if operation.name in REORDERING:
            return None
        if len(operation.shape) == 4 and operation.name not in VIEWS | {"clone"}:
            batch, channels, height, width = operation.shape
            whole = batch == tensor.shape[0] and channels * height * width == features
            return channels if whole and height * width > 1 else None
        # An activation that stayed behind as a function changes no place.
        if operation.name not in VIEWS | PASSED or operation.source is None:
            return None
        storage, before = operation.source, operation.end
    return None
