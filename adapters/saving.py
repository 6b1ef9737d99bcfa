"""Adapted networks in a folder: `config.json`, the weights file that it names, by its hash, and a model card.

The weights are written first, under a name of their own; then `config.json` is replaced in one step. So the folder
holds a whole model at any time, whenever a program is killed.

`config.json` also holds the embedding of one fixed image. A network that takes the weights and yet computes something
else (another activation, a rebuilt one whose parameters say less than it does) is found out by it.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import nn

from sketchkit import __version__, atomic
from sketchkit.adapters.copying import copied
from sketchkit.adapters.description import Description
from sketchkit.adapters.model_card import Results, model_card, write_card
from sketchkit.adapters.onnx_runtime import CONFIG as EXPORTED
from sketchkit.adapters.own_files import delete_superseded, own_config
from sketchkit.adapters.probing import take_off
from sketchkit.adapters.sources import build
from sketchkit.adapters.stems import restore_stem
from sketchkit.errors import AdaptError, MissingDataError, OutputError, ParameterError, SketchkitError, WeightsError

if TYPE_CHECKING:
    from sketchkit.adapters.adapted_model import AdaptedModel

__all__ = ["NetworkNeededError", "load", "save"]

_CONFIG = "config.json"
_FORMAT = 1
_WEIGHTS_NAMES = r"model-([0-9a-f]{12})\.safetensors"
# So many values of the fixed image's embedding are kept.
_CHECKED = 64


class NetworkNeededError(ParameterError):
    """A folder's network is of a class that no package has: only its owner can build it.

    Args:
        folder: where it was saved.
        network: the name of its class.
    """

    def __init__(self, folder: Path, network: str) -> None:
        super().__init__(
            f"{folder} was adapted from a {network} that only you can build; call "
            f"from_pretrained(folder, model=...) with a {network} made as before"
        )
        self.folder, self.network = folder, network


def save(
    adapted: AdaptedModel,
    folder: str | os.PathLike[str],
    *,
    results: Results = None,
    license: str | None = None,
    datasets: Sequence[str] = (),
) -> None:
    """Write an adapted network; see `AdaptedModel.save_pretrained`.

    Example:
        >>> import tempfile
        >>> from sketchkit import adapt
        >>> folder = Path(tempfile.mkdtemp())
        >>> save(adapt("mobilenet_v2", canvases=(32,), photo_size=32), folder)
        >>> sorted(path.suffix for path in folder.iterdir())
        ['.json', '.md', '.safetensors']
        >>> load(folder).embedding_dim
        1280
    """
    path = Path(folder)
    # Before anything is written: what is wrong must not leave half a folder behind.
    _require_tensors(adapted)
    previous = own_config(path / _CONFIG, ("format", "weights", "model"))
    card = model_card(adapted, results=results, license=license, datasets=datasets)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: cannot be made: {error.strerror}; choose another folder") from error
    states = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in adapted.state_dict().items()
        if not name.startswith("kd_head.")
    }
    content = safetensors.torch.save(states)
    digest = hashlib.sha256(content).hexdigest()
    weights = path / f"model-{digest[:12]}.safetensors"
    atomic.write_bytes(weights, content)
    config = {
        "format": _FORMAT,
        "sketchkit": __version__,
        "weights": {"file": weights.name, "sha256": digest, "channels_last": _is_channels_last(adapted)},
        "model": adapted.description.to_dict(),
        "check": _check(adapted),
    }
    atomic.write_text(path / _CONFIG, json.dumps(config, indent=2) + "\n")
    delete_superseded(path, _WEIGHTS_NAMES, named=_named(previous), kept=[weights.name])
    write_card(path, card)


def load(folder: str | os.PathLike[str], model: nn.Module | None = None) -> AdaptedModel:
    """Read an adapted network; see `AdaptedModel.from_pretrained`."""
    from sketchkit.adapters.adapted_model import AdaptedModel

    path = Path(folder)
    weights, description, expected = _read_config(path / _CONFIG)
    channels_last = weights["channels_last"]
    states = _read_weights(path, weights)
    # Weights are read over all that is drawn here: a program's random numbers do not depend on a load.
    with torch.random.fork_rng(devices=[]):
        network = _network(description, model, path)
        try:
            take_off(network, description.classifier)
            restore_stem(network, description)
            adapted = AdaptedModel(network, description)
            _put_in(adapted, states, channels_last)
        except Exception as error:  # a damaged description makes another network fail in any way it likes
            if isinstance(error, SketchkitError) and not isinstance(error, (AdaptError, ParameterError)):
                raise
            raise WeightsError(f"{path}: the weights are not of this {description.network}: {error}") from None
    adapted.eval()
    try:
        same = expected is None or _agrees(_check(adapted), expected)
    except Exception:  # another network may refuse the image in any way it likes
        same = False
    if not same:
        raise WeightsError(
            f"{path}: the weights fit this {description.network}, but it computes something else than the one that was "
            "saved; pass model= with the network as it was before adapt"
        )
    return adapted


def _require_tensors(adapted: AdaptedModel) -> None:
    """Refuse quantized networks: safetensors has no place for packed weights, nor for their scales."""
    packed = [
        name
        for name, state in adapted.state_dict().items()
        if not name.startswith("kd_head.") and (not isinstance(state, torch.Tensor) or state.is_quantized)
    ]
    # A script keeps packed weights outside of its states.
    packed += [
        name
        for name, module in adapted.backbone.named_modules()
        if isinstance(module, torch.jit.ScriptModule) and "quantized::" in _graph_of(module)
    ]
    if packed:
        raise OutputError(
            f"{adapted.description.network} is quantized or holds states that are no tensors ({packed[0]}), which "
            "cannot be saved; save the float network and quantize it after loading"
        )


def _graph_of(module: torch.jit.ScriptModule) -> str:
    try:
        return str(module.inlined_graph)
    except (AttributeError, RuntimeError):  # a part without a forward of its own
        return ""


def _named(config: dict[str, Any] | None) -> list[str]:
    weights = None if config is None else config["weights"]
    return [str(weights["file"])] if isinstance(weights, dict) and "file" in weights else []


def _check(adapted: AdaptedModel) -> list[float] | None:
    """The embedding of a fixed image on the smallest canvas; None where it is not finite."""
    canvas = adapted.canvases[0]
    ramp = torch.arange(math.prod(canvas.shape_of(1))).reshape(canvas.shape_of(1))
    modes = [(module, module.training) for module in adapted.modules()]
    adapted.eval()
    try:
        with torch.no_grad():
            embedding = adapted.embed_rasters((ramp * 37 % 251).to(torch.uint8))[0]
    finally:
        for module, training in modes:
            module.training = training
    values = [round(value, 6) for value in embedding.double().cpu().tolist()[:_CHECKED]]
    return values if all(map(math.isfinite, values)) else None


def _agrees(found: list[float] | None, expected: list[float]) -> bool:
    """Whether two embeddings are those of one network, on machines that may round differently."""
    if found is None or len(found) != len(expected):
        return False
    scale = max(max(map(abs, expected)), 1e-6)
    return all(abs(one - other) <= 0.05 * scale for one, other in zip(found, expected, strict=True))


def _put_in(adapted: AdaptedModel, states: dict[str, torch.Tensor], channels_last: bool) -> None:
    """Load in the types that were saved, and in the memory format: convolutions round differently in another one."""
    for name, value in [*adapted.named_parameters(), *adapted.named_buffers()]:
        if name in states:
            value.data = value.data.to(states[name].dtype)
    # Some modules look for the version of their state, which safetensors does not hold.
    whole = OrderedDict(states)
    whole._metadata = adapted.state_dict()._metadata  # type: ignore[attr-defined]  # as torch's own state dicts have
    adapted.load_state_dict(whole)
    if channels_last:
        adapted.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stubs


def _is_channels_last(adapted: AdaptedModel) -> bool:
    images = [value for value in adapted.backbone.parameters() if value.ndim == 4]
    return any(value.is_contiguous(memory_format=torch.channels_last) and not value.is_contiguous() for value in images)


def _network(description: Description, model: nn.Module | None, path: Path) -> nn.Module:
    if model is not None:
        return copied(model).cpu()
    if description.source is None:
        raise NetworkNeededError(path, description.network)
    try:
        return build(description.source)
    except ParameterError as error:
        raise WeightsError(f"{path / _CONFIG}: {error}; save the model again") from None
    except SketchkitError:
        raise
    except Exception as error:  # a constructor fails on damaged arguments in any way it likes
        raise WeightsError(
            f"{path / _CONFIG}: {description.source.name} cannot be built as it says: {error!r}; save the model again, "
            "or pass model="
        ) from error


def _read_config(path: Path) -> tuple[dict[str, Any], Description, list[float] | None]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        if (path.parent / EXPORTED).is_file():
            raise MissingDataError(
                f"{path.parent} holds no adapted model but an exported one: sketchkit.adapters.OnnxModel reads it"
            ) from None
        raise MissingDataError(f"{path.parent} holds no adapted model: there is no {path.name}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise WeightsError(f"{path}: cannot be read: {error}") from None
    try:
        config = json.loads(text)
        if config["format"] != _FORMAT:
            raise WeightsError(f"{path}: format {config['format']} is not known to sketchkit {__version__}; update it")
        # A name alone: a description from elsewhere must not lead out of the folder.
        weights = {**config["weights"], "file": Path(config["weights"]["file"]).name}
        if not isinstance(weights["sha256"], str) or not isinstance(weights["channels_last"], bool):
            raise TypeError("sha256 is a text, channels_last is true or false")
        # Folders of 0.1 have no check.
        check = config.get("check")
        return weights, Description.from_dict(config["model"]), None if check is None else [float(v) for v in check]
    except WeightsError:
        raise
    except (AttributeError, KeyError, OverflowError, RecursionError, TypeError, ValueError) as error:
        raise WeightsError(f"{path}: not the description of an adapted model: {error!r}; save it again") from None


def _read_weights(folder: Path, weights: dict[str, Any]) -> dict[str, torch.Tensor]:
    path = folder / weights["file"]
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"{path}: the weights cannot be read: {error.strerror}; save the model again") from None
    found = hashlib.sha256(content).hexdigest()
    if found != weights["sha256"]:
        raise WeightsError(
            f"{path}: the weights are damaged: their SHA-256 is {found}, config.json says {weights['sha256']}; save "
            "the model again"
        )
    try:
        states: dict[str, torch.Tensor] = safetensors.torch.load(content)
    except SafetensorError as error:
        raise WeightsError(f"{path}: not a safetensors file: {error}; save the model again") from None
    return states
