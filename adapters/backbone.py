"""A network without its classifier, its output pooled to one row of features an image."""

from __future__ import annotations

import torch
from torch import nn

from sketchkit.adapters.probing import Output, tensor_at

__all__ = ["Backbone"]


class Backbone(nn.Module):
    """Images (batch, channels, height, width) -> features (batch, width).

    Maps are averaged over their places, also flattened ones (the fully connected layers of a VGG took those), tokens
    over the tokens; features pass as they are.

    Args:
        network: its classifier taken off.
        output: what comes out of it.
    """

    def __init__(self, network: nn.Module, output: Output) -> None:
        super().__init__()
        self.network = network
        self.output = output

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Features (batch, width) of normalized images (batch, channels, height, width)."""
        found: torch.Tensor = tensor_at(self.network(inputs), self.output.at)
        if self.output.form == "map":
            return found.mean(dim=(2, 3))
        if self.output.form == "flattened map":
            return found.reshape(len(found), self.output.width, -1).mean(dim=2)
        if self.output.form == "tokens":
            return found.mean(dim=1)
        return found
