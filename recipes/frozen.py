"""Frozen layers: computed once for each picture, kept on disk, so that an epoch costs only what is trained."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sketchkit import atomic
from sketchkit.adapters.adapted_model import AdaptedModel
from sketchkit.errors import ParameterError
from sketchkit.recipes.progress import note, progress
from sketchkit.recipes.run_folder import fingerprint, make_folder

__all__ = ["FrozenFront", "cached"]


class FrozenFront:
    """The first blocks of an adapted network's `features`, frozen; what is left of it trains on their outputs.

    Args:
        adapted: a network whose backbone has an `nn.Sequential` named `features` (VGG, MobileNetV2, EfficientNet of
            torchvision's make, ours).
        blocks: how many entries of `features` are frozen; 0 freezes none.

    Raises:
        ParameterError: the network has no such `features`, or not as many entries.
    """

    def __init__(self, adapted: AdaptedModel, blocks: int) -> None:
        owner, features = _features(adapted)
        if blocks and features is None:
            raise ParameterError("frozen_blocks needs a network with a Sequential named `features`; set it to 0")
        if features is not None and blocks >= len(features):
            raise ParameterError(f"frozen_blocks={blocks}, but the network's features have {len(features)} entries")
        self.adapted, self.blocks = adapted, blocks
        self._owner, self._features = owner, features
        self._front = features[:blocks] if features is not None else nn.Sequential()
        for parameter in self._front.parameters():
            parameter.requires_grad_(False)

    def __call__(self, inputs: torch.Tensor) -> torch.Tensor:
        """Outputs of the frozen blocks for normalized pictures (batch, channels, height, width)."""
        self._front.eval()
        with torch.no_grad():
            front: torch.Tensor = self._front(inputs)
        return front

    @contextmanager
    def removed(self) -> Iterator[AdaptedModel]:
        """The adapted network without its frozen blocks, over the same parameters; `embed` takes their outputs."""
        if self._owner is not None and self._features is not None:
            self._owner.features = self._features[self.blocks :]
        try:
            yield self.adapted
        finally:
            if self._owner is not None and self._features is not None:
                self._owner.features = self._features

    @contextmanager
    def restored(self) -> Iterator[AdaptedModel]:
        """Inside `removed`, the whole network again for a while: to look how far the training has come."""
        if self._owner is not None and self._features is not None:
            self._owner.features = self._features
        try:
            yield self.adapted
        finally:
            if self._owner is not None and self._features is not None:
                self._owner.features = self._features[self.blocks :]

    @property
    def identity(self) -> str:
        """Changes whenever an output could: a hash of the frozen blocks' parameters, make-up and precision."""
        precision = str(torch.get_autocast_dtype("cpu")) if torch.is_autocast_enabled("cpu") else "float32"
        return fingerprint(str(self._front), precision, *self._front.state_dict().values())


def cached(
    folder: Path,
    key: str,
    count: int,
    compute: Callable[[slice], torch.Tensor],
    *,
    name: str,
    chunk: int = 16,
) -> NDArray[np.float16]:
    """Rows computed once and kept as `folder/<key>.npy`, (count, ...) float16, opened memory-mapped.

    Rows go out by ordinary writes, not through the memory map: a full disk is then an error with words, not a crash.

    Args:
        folder: where caches lie.
        key: a fingerprint of all that the rows depend on.
        count: how many rows.
        compute: a run of row numbers -> their rows, (run, ...).
        name: shown on the bar.
        chunk: rows at a time.

    Raises:
        OutputError: the folder cannot be written, the disk is full.
    """
    path = folder / f"{key}.npy"
    kept = _open(path)
    if kept is None:
        _compute(make_folder(folder) / path.name, count, compute, name, chunk)
        kept = _open(path)
        assert kept is not None
    return kept


def _open(path: Path) -> NDArray[np.float16] | None:
    """The rows kept in a file; None when there is none, or only a damaged one."""
    if not path.is_file():
        return None
    try:
        array: NDArray[np.float16] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError):
        note(f"{path}: damaged, computed anew")
        return None
    return array


def _compute(path: Path, count: int, compute: Callable[[slice], torch.Tensor], name: str, chunk: int) -> None:
    with atomic.replacing(path) as temporary, temporary.open("wb") as file:
        for start in progress(range(0, count, chunk), name, unit=f"x{chunk} pictures"):
            rows = compute(slice(start, min(start + chunk, count))).half().cpu().numpy()
            if start == 0:
                shape = (count, *rows.shape[1:])
                header = {"descr": np.lib.format.dtype_to_descr(rows.dtype), "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(file, header)
            file.write(rows.tobytes())
        file.flush()
        os.fsync(file.fileno())


def _features(adapted: AdaptedModel) -> tuple[nn.Module | None, nn.Sequential | None]:
    for module in adapted.backbone.modules():
        features = getattr(module, "features", None)
        if isinstance(features, nn.Sequential):
            return module, features
    return None, None
