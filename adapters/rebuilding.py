"""Building a network of timm, torchvision or transformers again, without its weights.

What a module was built with is not all to be seen in it, so a recipe is trusted only when what it builds has the same
modules, with the same plain attributes and shapes. Everything is tried on the meta device, which takes no memory.
"""

from __future__ import annotations

import importlib
import json
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from typing import Any, get_type_hints

import torch
from torch import nn

from sketchkit.errors import MissingDependencyError, ParameterError

__all__ = ["PACKAGES", "package_of", "rebuild", "recipe_of"]

# Keys of a configuration, at any depth, that make transformers fetch or run something else than its own class.
_REACHING = (
    "auto_map",
    "backbone",
    "model_args",
    "quantization_config",
    "use_kernels",
    "use_pretrained_backbone",
    "use_timm_backbone",
)
# Any other implementation, of attention or of experts, may be the name of a repository whose code is fetched and run.
_OWN_IMPLEMENTATIONS = ("eager", "sdpa")

Recipe = tuple[str, dict[str, Any]]


def recipe_of(model: nn.Module) -> tuple[str, str, dict[str, Any]] | None:
    """Package, name and arguments for `rebuild`; None when nothing known builds this network.

    Args:
        model: any network, as it was built.

    Example:
        >>> recipe_of(nn.Linear(2, 2)) is None
        True
    """
    package = package_of(model)
    if package is None:
        return None
    wanted = _traits(model)
    for name, arguments in _CANDIDATES[package](model):
        try:
            with torch.device("meta"):
                built = rebuild(package, name, arguments)
        except Exception:  # a foreign constructor may fail on the meta device in any way it likes
            continue
        if _traits(built) == wanted:
            return package, name, arguments
    return None


def rebuild(package: str, name: str, arguments: Mapping[str, Any]) -> nn.Module:
    """The network of a recipe, with random weights; nothing is fetched.

    Args:
        package: one of `PACKAGES`.
        name: of the network there.
        arguments: those that `recipe_of` gives: a recipe may come from outside, and others do not reach the package.

    Example:
        >>> rebuild("timm", "resnet18", {"checkpoint_path": "/etc/passwd"})
        Traceback (most recent call last):
        sketchkit.errors.ParameterError: the network resnet18 is described with checkpoint_path, unknown here

    Raises:
        ParameterError: the package has no such network, or an argument is not known here.
        MissingDependencyError: the package is not installed, or does not work.
    """
    if package not in PACKAGES:
        raise ParameterError(f"networks of {package!r} cannot be built; there are {', '.join(PACKAGES)}")
    allowed = {"config"} if package == "transformers" else {"num_classes", "in_chans"} if package == "timm" else set()
    if unknown := sorted(set(arguments) - allowed):
        raise ParameterError(f"the network {name} is described with {', '.join(unknown)}, unknown here")
    with warnings.catch_warnings():
        # What a package has to say about its constructors is not for those who build with its defaults.
        warnings.simplefilter("ignore")
        return _BUILDERS[package](_imported(package, name), name, dict(arguments))


def package_of(model: nn.Module) -> str | None:
    """Which of `PACKAGES` the class of `model` comes from; None for any other.

    Example:
        >>> package_of(nn.ReLU()) is None
        True
    """
    package = type(model).__module__.partition(".")[0]
    return package if package in PACKAGES else None


def _traits(model: nn.Module) -> list[object]:
    """Types, plain attributes and shapes of all modules."""
    traits: list[object] = [
        (path, type(module).__qualname__, _plain(module), module.extra_repr()) for path, module in model.named_modules()
    ]
    return traits + [(name, _form(value)) for name, value in model.state_dict().items()]


def _form(state: object) -> object:
    """Shape of a state; a quantized network's states are also types, and tuples of tensors."""
    if isinstance(state, torch.Tensor):
        return tuple(state.shape)
    return [_form(each) for each in state] if isinstance(state, (list, tuple)) else type(state).__qualname__


def _plain(module: nn.Module) -> list[tuple[str, object]]:
    return [
        (name, value)
        for name, value in sorted(vars(module).items())
        if isinstance(value, (bool, int, float, str, tuple)) and name != "training" and not name.startswith("_")
    ]


def _timm_recipes(model: nn.Module) -> Iterator[Recipe]:
    known = getattr(model, "pretrained_cfg", None)
    name = known.get("architecture") if isinstance(known, Mapping) else getattr(known, "architecture", None)
    if isinstance(name, str):
        classes = getattr(model, "num_classes", None)
        yield name, {}
        if isinstance(classes, int):
            yield name, {"num_classes": classes}
            yield name, {"num_classes": classes, "in_chans": 1}


def _torchvision_recipes(model: nn.Module) -> Iterator[Recipe]:
    models = importlib.import_module("torchvision.models")
    for name in models.list_models(module=models):
        builder = models.get_model_builder(name)
        if builder.__module__ == type(model).__module__ and get_type_hints(builder).get("return") is type(model):
            yield name, {}


def _transformers_recipes(model: nn.Module) -> Iterator[Recipe]:
    config: Any = getattr(model, "config", None)
    if config is not None and hasattr(config, "to_json_string"):
        values = json.loads(config.to_json_string(use_diff=False))
        yield type(model).__name__, {"config": {key: value for key, value in values.items() if key != "_name_or_path"}}


def _build_timm(timm: Any, name: str, arguments: dict[str, Any]) -> nn.Module:
    if not timm.is_model(name):
        raise ParameterError(f"timm has no network {name!r}")
    if not all(isinstance(value, int) for value in arguments.values()):
        raise ParameterError(f"the network {name} is described with {arguments}; those must be whole numbers")
    network: nn.Module = timm.create_model(name, pretrained=False, **arguments)
    return network


def _build_torchvision(torchvision: Any, name: str, arguments: dict[str, Any]) -> nn.Module:
    # Classification alone: detection and segmentation networks fetch weights for a backbone unless told not to.
    if name not in torchvision.models.list_models(module=torchvision.models):
        raise ParameterError(f"torchvision has no image network {name!r}")
    network: nn.Module = torchvision.models.get_model(name, weights=None)
    return network


def _build_transformers(transformers: Any, name: str, arguments: dict[str, Any]) -> nn.Module:
    found = getattr(transformers, name, None)
    config = arguments.get("config")
    if not (isinstance(found, type) and issubclass(found, transformers.PreTrainedModel)):
        raise ParameterError(f"transformers has no network {name!r}")
    if not isinstance(config, Mapping) or _reaches(config):
        raise ParameterError(f"{name} is described with a configuration that reaches beyond its own class")
    made: Any = found
    network: nn.Module = made(made.config_class.from_dict(dict(config)))
    return network


def _reaches(value: object, implementation: bool = False) -> bool:
    """Whether a part of a configuration names something outside of its own class."""
    if isinstance(value, Mapping):
        return any(
            (key in _REACHING and bool(each))
            # What timm takes by an address it fetches.
            or (key == "architecture" and isinstance(each, str) and not set(":/").isdisjoint(each))
            or _reaches(each, implementation or "_implementation" in str(key))
            for key, each in value.items()
        )
    if isinstance(value, (list, tuple)):
        return any(_reaches(each, implementation) for each in value)
    return implementation and isinstance(value, str) and value not in _OWN_IMPLEMENTATIONS


def _imported(package: str, name: str) -> Any:
    try:
        if package not in sys.modules and find_spec(package) is None:
            raise MissingDependencyError(f"{name} is a network of {package}; pip install {package}, or pass model=")
        return importlib.import_module(package)
    except MissingDependencyError:
        raise
    except Exception as error:  # a torchvision of another build fails with RuntimeError
        raise MissingDependencyError(f"{package} is installed but cannot be imported: {error}") from error


_CANDIDATES: dict[str, Callable[[nn.Module], Iterator[Recipe]]] = {
    "timm": _timm_recipes,
    "torchvision": _torchvision_recipes,
    "transformers": _transformers_recipes,
}
_BUILDERS: dict[str, Callable[[Any, str, dict[str, Any]], nn.Module]] = {
    "timm": _build_timm,
    "torchvision": _build_torchvision,
    "transformers": _build_transformers,
}
PACKAGES = tuple(_BUILDERS)
"""Packages whose networks can be built again."""
