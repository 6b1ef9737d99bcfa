"""Copies of networks as they are met: scripted ones, and those whose hooks compute weights."""

from __future__ import annotations

import copy
import io
from collections.abc import Mapping
from typing import Any, TypeVar

import torch
from torch import nn

__all__ = ["copied"]

_Module = TypeVar("_Module", bound=nn.Module)


def copied(module: _Module, *, instead: Mapping[int, Any] | None = None) -> _Module:
    """A deep copy, its hooks included: some networks compute by them (old weight norms, pruning).

    Such a hook leaves its result beside the parameters, a tensor with a history, which torch refuses to copy: the copy
    gets its values, until its own hook computes it again.

    Args:
        module: left as it is. A scripted one is written and read, because a deep copy of it could not be trained.
        instead: id of an object -> what the copy gets in its place.

    Example:
        >>> import torch.nn.utils.prune
        >>> layer = torch.nn.utils.prune.identity(nn.Linear(2, 3), "weight")
        >>> inputs = torch.rand(1, 2)
        >>> torch.equal(copied(layer)(inputs), layer(inputs))
        True
    """
    if isinstance(module, torch.jit.ScriptModule):
        buffer = io.BytesIO()
        torch.jit.save(module, buffer)
        buffer.seek(0)
        read: _Module = torch.jit.load(buffer)  # type: ignore[no-untyped-call]  # torch does not annotate it
        return read
    computed = {
        id(value): value.detach().clone()
        for part in module.modules()
        for value in vars(part).values()
        if isinstance(value, torch.Tensor) and not value.is_leaf
    }
    return copy.deepcopy(module, {**computed, **(instead or {})})
