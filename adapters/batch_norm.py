"""Batch norm over photos, sketches and canvases, whose statistics differ: one set of them, or one for each.

Modes of `set_batch_norm`:

- `shared`: one set of statistics, as in the network that was adapted. In training every pass normalizes by its own
  batch and moves the same running statistics, so in evaluation photos and each canvas are normalized by a mixture.
- `frozen`: the statistics stay as they are, in training too; scale and shift go on learning.
- `per_domain`: one set for photos, one for sketches.
- `per_canvas`: one set for photos, one for each canvas: all shapes of a rectangular canvas share its set, and canvases
  (height, width) of the same shorter side share one.

Scale and shift are shared in all modes, so the number of parameters stays the same. `embed_photos`, `embed_rasters` and
`embed_sketches` choose the right set; who calls `adapted.embed` says what is passing by `passing`. Sources: Chang et
al. 2019, arXiv 1906.03950 (a set for each domain); Yu et al. 2018, arXiv 1812.08928 (a set for each size).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import torch
from torch import nn

from sketchkit.adapters.copying import copied
from sketchkit.adapters.dry_run import attempt
from sketchkit.errors import AdaptError, ParameterError

if TYPE_CHECKING:
    from sketchkit.adapters.adapted_model import AdaptedModel

__all__ = ["SwitchableBatchNorm", "passing", "replace_modules", "set_batch_norm"]

_MODES = ("shared", "frozen", "per_domain", "per_canvas")
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)

# What is passing: of this thread and task alone, so that a server may embed photos and sketches at once.
_PASSING: ContextVar[tuple[str, int | None] | None] = ContextVar("sketchkit_passing", default=None)


@contextmanager
def passing(domain: Literal["photos", "sketches"], canvas: int | None = None) -> Iterator[None]:
    """Say what goes through the network in this block; without it, photos, but in training it has to be said.

    A gradient checkpoint that runs the network again in `backward` does so outside of this block: give it the block as
    its `context_fn`, or keep to `shared` or `frozen` batch norm.

    Args:
        domain: `photos` or `sketches`.
        canvas: side of the sketches' canvas in pixels, `Canvas.side` (of a rectangular one the longer side, whatever
            the shape of its images); of one that has no statistics, the nearest's are taken.

    Raises:
        ParameterError: there is no such domain.

    Example:
        >>> from sketchkit.adapters import adapt, mobilenet_v2
        >>> adapted = adapt(mobilenet_v2(), canvases=(32, 64), photo_size=32)
        >>> set_batch_norm(adapted, "per_canvas")
        >>> with passing("sketches", 64):
        ...     embeddings = adapted.embed(torch.zeros(1, 3, 64, 64))
    """
    if domain not in ("photos", "sketches"):
        raise ParameterError(f"photos or sketches pass, not {domain!r}")
    token = _PASSING.set((domain, canvas))
    try:
        yield
    finally:
        _PASSING.reset(token)


class SwitchableBatchNorm(nn.Module):
    """A batch norm with one set of statistics for each of what passes; scale and shift are shared.

    Args:
        norm: any batch norm of torch, or a subclass; it becomes the bank `photos`.
        mode: `frozen`, `per_domain` or `per_canvas`.
        canvases: sides in pixels, for `per_canvas`.

    Example:
        >>> norm = SwitchableBatchNorm(nn.BatchNorm2d(4), "per_domain").train()
        >>> with passing("sketches"):
        ...     _ = norm(torch.ones(2, 4, 8, 8))
        >>> norm.banks["photos"].running_mean[0].item(), round(norm.banks["sketches"].running_mean[0].item(), 3)
        (0.0, 0.1)
    """

    def __init__(self, norm: nn.Module, mode: str, canvases: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.mode, self.canvases = mode, canvases
        self.banks = nn.ModuleDict({"photos": norm})
        for name in _bank_names(mode, canvases):
            self.banks[name] = _with_own_statistics(norm)
        self.train(norm.training)

    def train(self, mode: bool = True) -> SwitchableBatchNorm:
        """Set the mode; frozen statistics stay in evaluation mode.

        Args:
            mode: whether statistics are taken over each pass.
        """
        super().train(mode)
        if self.mode == "frozen":
            self.banks.eval()
        return self

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Maps of the same shape, normalized by the statistics of what is passing.

        Args:
            maps: as the batch norm takes them: (batch, channels), or (batch, channels, height, width).
        """
        normalized: torch.Tensor = self.banks[self.bank()](maps)
        return normalized

    def bank(self) -> str:
        """The name of the set that is in use.

        Raises:
            ParameterError: sketches pass, and on which canvas was not said; or in training nothing was said at all.
        """
        said = _PASSING.get()
        if self.mode == "frozen" or len(self.banks) == 1:
            return "photos"
        if said is None:
            if self.training or _in_backward():
                raise ParameterError(
                    f"batch norm is {self.mode}, and what passes was not said: use embed_photos and embed_rasters, or "
                    "`with passing(...)`; checkpoints that run again in backward, and other threads, lose it"
                )
            return "photos"
        domain, canvas = said
        if domain == "photos":
            return "photos"
        if self.mode == "per_domain":
            return "sketches"
        if canvas is None:
            raise ParameterError("batch norm is per canvas: say passing('sketches', canvas) with its side in pixels")
        nearest = min(self.canvases, key=lambda size: abs(math.log(size / canvas)))
        return f"canvas_{nearest}"


def set_batch_norm(adapted: AdaptedModel, mode: Literal["shared", "frozen", "per_domain", "per_canvas"]) -> None:
    """Change how an adapted network's batch norms keep their statistics; see the module's text.

    New sets begin as copies of what was used for the same pictures before; `shared` keeps the photos'. The mode is part
    of the description: saved, loaded and copied with the network. A network without batch norm takes any mode.

    Args:
        adapted: changed in place.
        mode: `shared`, `frozen`, `per_domain` or `per_canvas`.

    Raises:
        ParameterError: there is no such mode, or batch norm has been folded away.
        AdaptError: the network keeps statistics that are not in a batch norm of torch: a training pass on a copy shows
            it.

    Example:
        >>> from sketchkit.adapters import adapt, mobilenet_v2
        >>> adapted = adapt(mobilenet_v2(), canvases=(32, 64), photo_size=32)
        >>> set_batch_norm(adapted, "per_domain")
        >>> adapted.description.batch_norm
        'per_domain'
    """
    if mode not in _MODES:
        raise ParameterError(f"batch_norm must be one of {', '.join(_MODES)}, not {mode!r}")
    if adapted.description.batch_norm == "folded":
        raise ParameterError("batch norm is folded into the convolutions; set the mode of the network before folding")
    if mode != "shared":
        _refuse_foreign_statistics(adapted)
    sizes = tuple(canvas.side for canvas in adapted.canvases)
    new: dict[int, nn.Module] = {}
    for module in _outermost_norms(adapted.backbone):
        old = module.banks if isinstance(module, SwitchableBatchNorm) else nn.ModuleDict({"photos": module})
        norm = old["photos"].train(module.training)
        if mode == "shared" or getattr(norm, "running_mean", None) is None:
            new[id(module)] = norm
            continue
        switchable = SwitchableBatchNorm(norm, mode, sizes)
        for name, bank in switchable.banks.items():
            if name != "photos":
                bank.load_state_dict(old[_predecessor(name, old)].state_dict())
        new[id(module)] = switchable
    replace_modules(adapted.backbone, new)
    adapted.description = replace(adapted.description, batch_norm=mode)


def _in_backward() -> bool:
    """Whether autograd is at work; torch tells it privately, and not in all of its releases."""
    task: Callable[[], int] = getattr(torch._C, "_current_graph_task_id", lambda: -1)
    return task() != -1


def _bank_names(mode: str, canvases: tuple[int, ...]) -> list[str]:
    if mode == "per_domain":
        return ["sketches"]
    return [f"canvas_{size}" for size in canvases] if mode == "per_canvas" else []


def _with_own_statistics(norm: nn.Module) -> nn.Module:
    """A copy over the same parameters."""
    memo = {id(parameter): parameter for parameter in norm.parameters()}
    return copy.deepcopy(norm, memo)


def _predecessor(name: str, old: nn.ModuleDict) -> str:
    """Which of the old sets was used for what the new set is for."""
    if name in old:
        return name
    if "sketches" in old:
        return "sketches"
    if name == "sketches":
        return next(reversed(list(old)))
    return "photos"


def _outermost_norms(network: nn.Module) -> list[nn.Module]:
    inside = {
        id(part)
        for module in network.modules()
        if isinstance(module, SwitchableBatchNorm)
        for part in module.banks.modules()
    }
    kinds = (*_NORMS, SwitchableBatchNorm)
    return [module for module in network.modules() if isinstance(module, kinds) and id(module) not in inside]


def _refuse_foreign_statistics(adapted: AdaptedModel) -> None:
    """Statistics of functions, scripts and other norms would go on moving, whatever the mode says.

    They are found by what two training passes on different images leave behind: what both leave alike, such as a count
    of the passes or the vectors of a spectral norm, holds nothing of the images.
    """
    first, second = (_after_training(adapted, seed) for seed in range(2))
    modules = dict(adapted.backbone.named_modules())
    for name, value in first.items():
        path, _, own = name.rpartition(".")
        # NaN, left by a pass of noise, is like NaN.
        if isinstance(modules[path], _NORMS) or torch.equal(value.nan_to_num(), second[name].nan_to_num()):
            continue
        module = modules[path]
        kind = getattr(module, "original_name", type(module).__name__)
        where = f"{kind} {path.removeprefix('network').lstrip('.')}".rstrip()
        raise AdaptError(
            f"training on images changes {own} of {where}, statistics outside of torch's batch norms (in a script, a "
            "function or another norm) that can neither be frozen nor kept apart; only batch_norm='shared' can be had"
        )


@torch.no_grad()
def _after_training(adapted: AdaptedModel, seed: int) -> dict[str, torch.Tensor]:
    """The floating-point buffers of a copy that was shown two images of noise in training mode."""
    backbone = copied(adapted.backbone).train()
    canvas = adapted.canvases[0]
    images = torch.rand(
        *(2, adapted.description.channels, canvas.height, canvas.width), generator=torch.Generator().manual_seed(seed)
    )
    parameter = next((value for value in backbone.parameters() if value.is_floating_point()), adapted.mean)
    # Dropout draws no number of the caller's. A network that cannot be trained here, as SyncBatchNorm cannot on a CPU,
    # shows nothing.
    with torch.random.fork_rng(devices=[]), passing("photos"):
        attempt(lambda: backbone(images.to(parameter.device, parameter.dtype)))
    return {name: value for name, value in backbone.named_buffers() if value.is_floating_point()}


def replace_modules(network: nn.Module, new: dict[int, nn.Module]) -> None:
    """Put other modules in the place of some, under every name that they have; what is inside of banks stays.

    Args:
        network: changed in place.
        new: id of a module -> what takes its place.

    Example:
        >>> network = nn.Sequential(nn.ReLU(), nn.Flatten())
        >>> replace_modules(network, {id(network[0]): nn.GELU()})
        >>> network[0]
        GELU(approximate='none')
    """
    for parent in list(network.modules()):
        if isinstance(parent, SwitchableBatchNorm):
            continue
        # named_children() leaves out a second name.
        for name, child in list(parent._modules.items()):
            if child is not None and id(child) in new:
                parent._modules[name] = new[id(child)]
