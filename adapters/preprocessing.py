"""What a network says of the photos it wants: mean, standard deviation, a fixed size."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

__all__ = ["Preprocessing", "preprocessing_of"]


@dataclass(frozen=True)
class Preprocessing:
    """What a network says of its photos; None where it says nothing.

    Args:
        mean: subtracted from channels in 0..1.
        std: channels are divided by it.
        photo_size: side in pixels, where it is fixed or stated.
    """

    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    photo_size: int | None = None


def preprocessing_of(network: nn.Module) -> Preprocessing:
    """What `network`, or the first module in it that says anything, states; nothing where none does.

    Read are `pretrained_cfg` and `default_cfg` (timm), and `config` (transformers) with the `preprocessor_config.json`
    beside the weights it was loaded from.

    Example:
        >>> network = nn.Conv2d(3, 8, 3)
        >>> network.pretrained_cfg = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
        >>> preprocessing_of(nn.Sequential(network)).mean
        (0.5, 0.5, 0.5)
    """
    for module in network.modules():
        for name in ("pretrained_cfg", "default_cfg"):
            stated = _mapping(getattr(module, name, None))
            if "mean" in stated and "std" in stated:
                fixed = stated.get("fixed_input_size")
                size = _side((stated.get("input_size") or (None,))[-1]) if fixed else None
                return Preprocessing(_numbers(stated["mean"]), _numbers(stated["std"]), size)
        config = getattr(module, "config", None)
        if config is not None and (found := _of_config(config)) is not None:
            return found
    return Preprocessing()


def _of_config(config: Any) -> Preprocessing | None:
    size = getattr(config, "image_size", None)
    side = _side(size[-1] if isinstance(size, Sequence) and size else size)
    for stated in (_mapping(config), _processor(config)):
        mean, std = (_numbers(stated.get(name)) for name in ("image_mean", "image_std"))
        if mean and std:
            return Preprocessing(mean, std, side)
    return None if side is None else Preprocessing(photo_size=side)


def _processor(config: Any) -> Mapping[str, Any]:
    """The image processor's file beside the weights that transformers loaded; nothing is fetched."""
    transformers, name = sys.modules.get("transformers"), getattr(config, "name_or_path", None)
    if transformers is None or not name:
        return {}
    try:
        path = transformers.utils.cached_file(name, "preprocessor_config.json", local_files_only=True)
        return _mapping(json.loads(Path(path).read_text(encoding="utf-8")))
    except Exception:  # there is none; transformers says so in many ways
        return {}


def _mapping(value: Any) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        return value
    return getattr(value, "__dict__", {}) if value is not None else {}


def _numbers(values: Any) -> tuple[float, ...] | None:
    if not isinstance(values, Sequence) or isinstance(values, str) or not values:
        return None
    if not all(isinstance(value, (int, float)) for value in values):
        return None
    return tuple(float(value) for value in values)


def _side(value: Any) -> int | None:
    return value if isinstance(value, int) and value > 0 else None
