from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from torch import nn

from sketchkit.adapters.preprocessing import Preprocessing, preprocessing_of


def stating(**attributes: Any) -> nn.Module:
    network = nn.Identity()
    for name, value in attributes.items():
        setattr(network, name, value)
    return network


HALF = {"mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)}


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        (nn.Identity(), Preprocessing()),
        (stating(pretrained_cfg=HALF), Preprocessing((0.5,) * 3, (0.25,) * 3)),
        (stating(default_cfg=SimpleNamespace(**HALF)), Preprocessing((0.5,) * 3, (0.25,) * 3)),
        (
            stating(pretrained_cfg={**HALF, "input_size": (3, 224, 224), "fixed_input_size": True}),
            Preprocessing((0.5,) * 3, (0.25,) * 3, 224),
        ),
        (
            stating(pretrained_cfg={**HALF, "input_size": (3, 224, 224), "fixed_input_size": False}),
            Preprocessing((0.5,) * 3, (0.25,) * 3),
        ),
        (stating(config=SimpleNamespace(image_size=[96, 96])), Preprocessing(photo_size=96)),
        (stating(config={"depth": 3}), Preprocessing()),
        (stating(pretrained_cfg="of another kind", config="too"), Preprocessing()),
    ],
)
def test_what_is_stated(network: nn.Module, expected: Preprocessing) -> None:
    assert preprocessing_of(network) == expected
    assert preprocessing_of(nn.Sequential(nn.ReLU(), network)) == expected


def test_the_processor_beside_the_weights_of_transformers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"image_mean": [0.1] * 3, "image_std": [0.2] * 3}))
    asked = []

    def cached_file(name: str, file: str, *, local_files_only: bool) -> str:
        asked.append((name, file, local_files_only))
        return str(Path(name) / file)

    fake = ModuleType("transformers")
    fake.utils = SimpleNamespace(cached_file=cached_file)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "transformers", fake)
    network = stating(config=SimpleNamespace(image_size=224, name_or_path=str(tmp_path)))
    assert preprocessing_of(network) == Preprocessing((0.1,) * 3, (0.2,) * 3, 224)
    assert asked == [(str(tmp_path), "preprocessor_config.json", True)]
    absent = stating(config=SimpleNamespace(image_size=224, name_or_path="nobody/nothing"))
    assert preprocessing_of(absent) == Preprocessing(photo_size=224)
