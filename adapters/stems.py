"""A first convolution for canvases that hold other planes than photos have channels.

Photos have no strokes, so there is no orientation or drawing order to give them: where canvases have another number of
planes than the network has input channels, photos keep the first convolution and sketches get one of their own, made
from its weights. Everything behind it is shared, and an image's channels say which of the two it goes through. Planes
as many as channels need none: they go through the photos' own.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import nn

from sketchkit.adapters.description import Description, planes_of
from sketchkit.adapters.recording import record
from sketchkit.canvas import Canvas
from sketchkit.errors import AdaptError

__all__ = ["TwoStems", "add_stem", "restore_stem", "stem_for", "stem_weights"]


class TwoStems(nn.Module):
    """Two convolutions that give like maps: an image goes through the one that takes as many channels as it has.

    Args:
        photos: the network's first convolution.
        planes: channels of the other one's images, not those of `photos`.

    Example:
        >>> stems = TwoStems(nn.Conv2d(3, 8, 3, padding=1), planes=2)
        >>> stems(torch.zeros(1, 3, 16, 16)).shape == stems(torch.zeros(1, 2, 16, 16)).shape
        True
    """

    def __init__(self, photos: nn.Conv2d, planes: int) -> None:
        super().__init__()
        self.photos = photos
        # A copy, because a subclass of Conv2d may pad or standardize in ways of its own.
        self.sketches = copy.deepcopy(photos)
        self.sketches.in_channels = planes
        self.sketches.weight = nn.Parameter(stem_weights(photos.weight.detach(), planes))

    @property
    def weight(self) -> torch.Tensor:
        """The photos' weights (outputs, channels, height, width): some networks look at the type of their first."""
        return self.photos.weight

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """`images` (batch, channels or planes, height, width) -> maps (batch, outputs, height, width) of one stem."""
        stem = self.sketches if images.shape[1] == self.sketches.in_channels else self.photos
        maps: torch.Tensor = stem(images)
        return maps


def stem_weights(weight: torch.Tensor, planes: int) -> torch.Tensor:
    """Weights (outputs, planes, height, width) for images of `planes`, as timm makes them.

    They are made from those for channels, `weight` (outputs, channels, height, width). One plane gets the sum over the
    channels; more get the channels over and over, scaled by channels / planes, so that equal planes give what equal
    channels gave.

    Example:
        >>> stem_weights(torch.tensor([1.0, 2.0, 3.0]).reshape(1, 3, 1, 1), 1).flatten()
        tensor([6.])
        >>> stem_weights(torch.ones(1, 3, 1, 1), 6).flatten()
        tensor([0.5000, 0.5000, 0.5000, 0.5000, 0.5000, 0.5000])
    """
    if planes == 1:
        return weight.sum(dim=1, keepdim=True)
    channels = weight.shape[1]
    return weight.repeat(1, -(-planes // channels), 1, 1)[:, :planes] * (channels / planes)


def stem_for(network: nn.Module, name: str, canvases: Sequence[Canvas], channels: int, photo_size: int) -> str | None:
    """Give a network the stem that its canvases need.

    Args:
        network: changed in place, where one is needed.
        name: of the network, for messages.
        canvases: what sketches are drawn on, with the same channels.
        channels: of the photos.
        photo_size: side of the photos in pixels.

    Returns:
        The path of the first convolution where a stem was added, for `add_stem`; None where none is needed.

    Raises:
        AdaptError: which convolution is the first is not clear, or it cannot be copied.
    """
    planes = len(planes_of(canvases[0])) if canvases else 0
    if planes in (0, channels):
        return None
    parameter = next((value for value in network.parameters() if value.is_floating_point()), torch.zeros(0))
    images = torch.rand(2, channels, photo_size, photo_size, generator=torch.Generator().manual_seed(0))
    calls = record(network, images.to(parameter.device, parameter.dtype), (nn.Conv2d,)).calls
    convolutions = [call for call in sorted(calls, key=lambda call: call.start) if isinstance(call.module, nn.Conv2d)]
    path = convolutions[0].path if convolutions else ""
    if not convolutions or sum(call.module is convolutions[0].module for call in calls) > 1:
        found = "uses its first convolution more than once" if convolutions else "begins with no convolution"
        raise AdaptError(
            f"{name} {found}, so canvases of {planes} planes get no stem; draw canvases with {channels} planes or ink"
        )
    add_stem(network, path, planes)
    return path


def add_stem(network: nn.Module, path: str, planes: int) -> None:
    """Put `TwoStems` in the place of the convolution `path` of `network`, under every name that it has.

    Images of as many `planes` go through the new stem, all others through the convolution.

    Example:
        >>> network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU())
        >>> add_stem(network, "0", planes=5)
        >>> network(torch.zeros(1, 5, 16, 16)).shape
        torch.Size([1, 8, 14, 14])

    Raises:
        AdaptError: there is no plain convolution of this path.
    """
    first = dict(network.named_modules()).get(path)
    if not path or not isinstance(first, nn.Conv2d) or first.groups != 1 or "weight" not in first._parameters:
        raise AdaptError(
            f"the network's {path or 'first module'} is no plain Conv2d, so canvases of {planes} planes get no stem; "
            "draw canvases with as many planes as it has input channels, or ink"
        )
    stems = TwoStems(first, planes)
    for module in list(network.modules()):
        if module is not stems:
            for name, child in list(module.named_children()):
                if child is first:
                    setattr(module, name, stems)


def restore_stem(network: nn.Module, description: Description) -> None:
    """Add to `network`, in place, the stem that `description` tells of, if any."""
    if description.stem is not None:
        add_stem(network, description.stem, len(description.planes))
