"""Trying a network on every size before anyone relies on it, in evaluation and in training mode."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence, Set
from functools import partial

import torch
from torch import nn

from sketchkit.adapters.backbone import Backbone
from sketchkit.adapters.copying import copied
from sketchkit.adapters.description import Description
from sketchkit.canvas import Canvas
from sketchkit.errors import AdaptError

__all__ = ["attempt", "noise", "reason", "try_sizes"]

# Offered when none of the canvases asked for can be taken.
_OFFERED = (32, 48, 64, 96, 112, 128, 160, 192, 224, 256)


@torch.no_grad()
def try_sizes(network: nn.Module, description: Description) -> None:
    """One image of every shape on every canvas of `description`, and two in training mode; copies are tried.

    What `network`, one without its classifier, cannot take is found out now, not in the middle of a training.

    Raises:
        AdaptError: a canvas cannot be taken, or cannot be trained on.
    """
    sizes = list(dict.fromkeys(shape for canvas in description.canvases for shape in canvas.shapes))
    untaken = _refused(network, description, sizes, train=False)
    untrained = _refused(network, description, [size for size in sizes if size not in untaken], train=True)
    if untaken or untrained:
        raise AdaptError(_told(network, description, untaken, untrained))


def attempt(run: Callable[[], object]) -> object:
    """What `run`, a pass, gives, or the error that it raises: a foreign forward may raise anything."""
    try:
        return run()
    except Exception as error:
        return error


def noise(network: nn.Module, count: int, channels: int, sides: tuple[int, int]) -> torch.Tensor:
    """Noise (count, channels, height, width) on the network's device, in its type; no global random state is touched.

    Args:
        network: what the noise is for.
        count: how many images.
        channels: of each image.
        sides: height and width in pixels.
    """
    parameter = next((value for value in network.parameters() if value.is_floating_point()), torch.zeros(0))
    images = torch.rand(count, channels, *sides, generator=torch.Generator().manual_seed(0))
    return images.to(parameter.device, parameter.dtype)


def reason(error: object) -> str:
    """The line of `error`'s text that fits into a sentence: the first, of the messages of scripted code the last."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    scripted = "TorchScript" in str(error)
    return lines[-1 if scripted else 0].rstrip(".")


def _refused(
    network: nn.Module, description: Description, sizes: Sequence[tuple[int, int]], *, train: bool
) -> dict[tuple[int, int], str]:
    """The sizes that a network cannot take, with the reason.

    Copies are tried: batch norms learn from the noise in training mode, and some networks (the Swin of transformers)
    change themselves for a small image and take no large one afterwards.
    """
    # In training two images, because one alone has no variance on a map of one place.
    batch, width = 2 if train else 1, description.output.features
    backbone: Backbone | None = None
    found: dict[tuple[int, int], str] = {}
    # Dropout draws no number of the caller's.
    with torch.random.fork_rng(devices=[]):
        for size in sizes:
            backbone = backbone or Backbone(copied(network), description.output).train(train)
            features = attempt(partial(backbone, noise(network, batch, description.sketch_channels, size)))
            if not isinstance(features, torch.Tensor):
                found[size] = reason(features)
                backbone = None
            elif features.shape != (batch, width):
                found[size] = f"features {tuple(features.shape)} come out there, not ({batch}, {width})"
    return found


def _told(
    network: nn.Module,
    description: Description,
    untaken: dict[tuple[int, int], str],
    untrained: dict[tuple[int, int], str],
) -> str:
    """The sentence, with the canvases that can be taken and trained on."""
    parts = [
        f"cannot {verb} canvases of {', '.join(map(_text, refused))} px ({next(iter(refused.values()))})"
        for verb, refused in (("take", untaken), ("be trained on", untrained))
        if refused
    ]
    said = f"{description.network} {' and '.join(parts)}; "
    refused = untaken.keys() | untrained.keys()
    taken = [offer for canvas in description.canvases if (offer := _offer(canvas, refused)) is not None]
    table = _table(network, [*untaken.values()])
    fitted = f", or let its forward interpolate its table of positions, {table}, to the image's tokens" if table else ""
    if taken:
        return f"{said}pass canvases=({', '.join(taken)}{',' if len(taken) == 1 else ''}){fitted}"
    if description.stem is not None:
        return f"{said}draw ink, or as many planes as it takes channels, {description.channels}"
    photo = description.photo_size
    works = [(side, side) for side in sorted({*_OFFERED, photo}) if side <= photo]
    for train in (False, True):
        refused_there = _refused(network, description, works, train=train)
        works = [size for size in works if size not in refused_there]
    sides = tuple(side for side, _ in works)
    if not sides:
        return f"{said}no size up to its photos' {photo} px works; photo_size= sets another size"
    if len(sides) == 1:
        return f"{said}its size is fixed: pass canvases={sides}{fitted or ', or build it for images of any size'}"
    return f"{said}these work: canvases={sides[-4:]}"


def _table(network: nn.Module, reasons: Sequence[str]) -> str | None:
    """The parameter (1, tokens, width) of whose length a reason speaks: a table of positions for one size."""
    for name, value in network.named_parameters():
        tokens = value.shape[1] if value.ndim == 3 and value.shape[0] == 1 else 0
        if tokens > 1 and any(re.search(rf"\b{tokens}\b", why) for why in reasons):
            return name
    return None


def _offer(canvas: Canvas, refused: Set[tuple[int, int]]) -> str | None:
    """As code, what can be taken of a canvas: all of its shapes, its square alone, or nothing."""
    if canvas.rectangular and refused.isdisjoint(canvas.shapes):
        return f"Canvas({canvas.size}, rectangular=True)"
    return None if (canvas.height, canvas.width) in refused else str(canvas.size)


def _text(size: tuple[int, int]) -> str:
    return str(size[0]) if size[0] == size[1] else f"{size[0]}x{size[1]}"
