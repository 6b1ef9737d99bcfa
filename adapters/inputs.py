"""Photos and rasters as a network takes them: sized, in 0..1, normalized, channels last."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from sketchkit.adapters.description import Description
from sketchkit.errors import ParameterError

__all__ = ["Inputs"]

# ITU-R BT.601, for networks that take gray photos.
_LUMA = (0.299, 0.587, 0.114)
# Planes whose ink is a photo's dark line on white paper; the others are quantities, and are taken as they are.
_DARK = ("ink", "phases")


class Inputs(nn.Module):
    """Pixels -> a network's inputs; it has no weights, but moves with the network it belongs to.

    Its buffers, which are not saved: `mean` and `std` (channels, 1, 1) of pixels in 0..1; `ink_table` (256, channels),
    what each uint8 of ink becomes, as dark on light; and for canvases with planes `plane_scale` and `plane_shift`
    (planes, 1, 1), by which values in 0..1 are multiplied, and what is added then.

    Args:
        description: of the network.

    Example:
        >>> from sketchkit import adapt
        >>> inputs = adapt("mobilenet_v2", canvases=(32,), photo_size=32).inputs
        >>> inputs.rasters(torch.zeros(2, 32, 32, dtype=torch.uint8), torch.float32).shape
        torch.Size([2, 3, 32, 32])
    """

    mean: torch.Tensor
    std: torch.Tensor
    ink_table: torch.Tensor
    plane_scale: torch.Tensor
    plane_shift: torch.Tensor

    def __init__(self, description: Description) -> None:
        super().__init__()
        self.channels, self.photo_size = description.channels, description.photo_size
        self.planes = description.planes
        mean, std = (torch.tensor(values).reshape(-1, 1, 1) for values in (description.mean, description.std))
        # (pixel value, channel) -> normalized: a lookup replaces four passes over the images, and its rows lie as
        # channels-last images do.
        table = ((1 - torch.arange(256) / 255)[:, None] - mean.reshape(-1)) / std.reshape(-1)
        scale, shift = self._planes(mean, std)
        for name, values in (
            ("mean", mean),
            ("std", std),
            ("ink_table", table),
            ("plane_scale", scale),
            ("plane_shift", shift),
        ):
            self.register_buffer(name, values, persistent=False)

    def photos(self, images: torch.Tensor | NDArray[np.generic], dtype: torch.dtype) -> torch.Tensor:
        """Photos (batch, channels, photo_size, photo_size) in `dtype`; see `AdaptedModel.photo_inputs`.

        Raises:
            ParameterError: another shape, or floats that look like 0..255.
        """
        pixels = torch.as_tensor(images).to(self.mean.device)
        if pixels.ndim != 4 or pixels.shape[1] not in (3, self.channels):
            raise ParameterError(f"photos must be (batch, 3, height, width), not {tuple(pixels.shape)}")
        scaled = _in_unit_range(pixels, "photos")
        if self.channels == 1 and scaled.shape[1] == 3:
            scaled = (scaled * scaled.new_tensor(_LUMA).reshape(3, 1, 1)).sum(dim=1, keepdim=True)
        size = (self.photo_size, self.photo_size)
        if scaled.shape[2:] != size and len(scaled):
            scaled = F.interpolate(scaled, size, mode="bilinear", antialias=True, align_corners=False)
        return _channels_last((scaled - self.mean) / self.std, dtype)

    def rasters(self, rasters: torch.Tensor | NDArray[np.generic], dtype: torch.dtype) -> torch.Tensor:
        """Rasters (batch, channels or planes, height, width) in `dtype`; see `AdaptedModel.raster_inputs`.

        Raises:
            ParameterError: another shape, or floats that look like 0..255.
        """
        values = torch.as_tensor(rasters).to(self.mean.device)
        if self.planes:
            if values.ndim != 4 or values.shape[1] != len(self.planes):
                raise ParameterError(
                    f"rasters must be (batch, {len(self.planes)}, height, width), the planes {', '.join(self.planes)}, "
                    f"not {tuple(values.shape)}"
                )
            scaled = _in_unit_range(values, "rasters")
            return _channels_last(scaled * self.plane_scale + self.plane_shift, dtype)
        if values.ndim != 3:
            raise ParameterError(f"rasters must be (batch, height, width), not {tuple(values.shape)}")
        if values.dtype == torch.uint8:
            return _channels_last(F.embedding(values.int(), self.ink_table).permute(0, 3, 1, 2), dtype)
        ground = 1 - _in_unit_range(values, "rasters")
        return _channels_last((ground[:, None] - self.mean) / self.std, dtype)

    def _planes(self, mean: torch.Tensor, std: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Plane values in 0..1 times the first plus the second are normalized, both (planes, 1, 1)."""
        if len(self.planes) != self.channels:
            mean, std = (values.mean(dim=0, keepdim=True) for values in (mean, std))
        dark = torch.tensor([name in _DARK for name in self.planes]).reshape(-1, 1, 1)
        if not self.planes:
            return torch.zeros(0, 1, 1), torch.zeros(0, 1, 1)
        return torch.where(dark, -1.0, 1.0) / std, (dark.float() - mean) / std


def _channels_last(images: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    # Depthwise convolutions run some 2.5 times faster on a CPU in this layout; others do not mind.
    return images.to(dtype).contiguous(memory_format=torch.channels_last)


def _in_unit_range(values: torch.Tensor, name: str) -> torch.Tensor:
    if values.dtype == torch.uint8:
        return values.float() / 255
    if not values.is_floating_point():
        raise ParameterError(f"{name} must be uint8 or float in 0..1, not {values.dtype}")
    if values.numel() and values.max() > 2:
        raise ParameterError(f"{name} in floats must be in 0..1; these reach {values.max().item():.0f}, divide by 255")
    # Neither resizing nor subtracting is done in half precision; the network's own type comes last.
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values
