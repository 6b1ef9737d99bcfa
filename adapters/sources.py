"""Networks by name: our own first, then timm's when it is installed."""

from __future__ import annotations

import difflib
import importlib
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from torch import nn

from sketchkit.adapters.networks import NETWORKS, name_of
from sketchkit.adapters.pretrained import load_pretrained
from sketchkit.adapters.rebuilding import rebuild, recipe_of
from sketchkit.errors import MissingDependencyError, ParameterError

__all__ = ["Source", "build", "by_name", "source_of"]


@dataclass(frozen=True)
class Source:
    """What builds a network again, without its weights.

    Args:
        origin: `sketchkit`, `timm`, `torchvision` or `transformers`.
        name: of the network there.
        arguments: of the function that builds it.
    """

    origin: str
    name: str
    arguments: dict[str, Any] = field(default_factory=dict)


def by_name(name: str, *, pretrained: bool = False, maps: bool = False) -> tuple[nn.Module, Source]:
    """A network of ours or of timm.

    Args:
        name: `vgg16`, `mobilenet_v2`, or a name that timm knows.
        pretrained: with ImageNet weights, ours from installed packages, timm's from where timm has them.
        maps: one of ours without classifier and average, so that the last maps come out.

    Raises:
        ParameterError: nobody knows the name.
        WeightsError: our weights are not installed.
        MissingDependencyError: timm is installed but does not work.
    """
    if name in NETWORKS:
        network = NETWORKS[name](None) if maps else load_pretrained(name) if pretrained else NETWORKS[name]()
        if maps and pretrained:
            network.load_state_dict(load_pretrained(name).state_dict(), strict=False)  # but for the classifier's
        return network, Source("sketchkit", name, {"num_classes": network.num_classes})
    timm = _timm()
    ours = ", ".join(NETWORKS)
    if timm is None:
        raise ParameterError(f"no network {name!r}; there are {ours}. With timm installed (pip install timm) its too")
    if not timm.is_model(name):
        near = ", ".join(difflib.get_close_matches(name, timm.list_models(), n=3)) or "see timm.list_models()"
        raise ParameterError(f"no network {name!r}; there are {ours} and those of timm: {near}")
    return timm.create_model(name, pretrained=pretrained), Source("timm", name)


def build(source: Source) -> nn.Module:
    """The network that `source` names, with random weights.

    Raises:
        ParameterError: nobody knows the name, or the arguments are not those that `source_of` writes: a description
            comes from outside, and what it says must not reach another package.
        MissingDependencyError: it is a network of another package that is not there or does not work.

    Example:
        >>> type(build(Source("sketchkit", "mobilenet_v2", {"num_classes": 5}))).__name__
        'MobileNetV2'
    """
    if source.origin != "sketchkit":
        return rebuild(source.origin, source.name, source.arguments)
    if unknown := set(source.arguments) - {"num_classes"}:
        raise ParameterError(f"the network {source.name} is described with {', '.join(sorted(unknown))}, unknown here")
    if source.name not in NETWORKS:
        raise ParameterError(f"no network {source.name!r}; there are {', '.join(NETWORKS)}")
    return NETWORKS[source.name](**source.arguments)


def source_of(model: nn.Module) -> Source | None:
    """The source of `model`, a network given as a module; None where nothing known builds one like it.

    Example:
        >>> source_of(NETWORKS["vgg16"]())
        Source(origin='sketchkit', name='vgg16', arguments={'num_classes': None})
    """
    known = name_of(model)
    if known is not None:
        return Source("sketchkit", known[0], known[1])
    recipe = recipe_of(model)
    return None if recipe is None else Source(*recipe)


def _timm() -> Any:
    try:
        if find_spec("timm") is None:
            return None
        return importlib.import_module("timm")
    except Exception as error:  # a torchvision of another build fails with RuntimeError
        raise MissingDependencyError(f"timm is installed but cannot be imported: {error}") from error
