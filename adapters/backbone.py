"""A network without its classifier, its output pooled to one row of features an image."""

from __future__ import annotations

import torch
from torch import nn

from sketchkit.adapters.probing import Output, tensor_at
from sketchkit.errors import ParameterError

__all__ = ["Backbone"]


class Backbone(nn.Module):
    """Images (batch, channels, height, width) -> features (batch, features).

    Maps are averaged over their places, also flattened ones (the fully connected layers of a VGG took those), tokens
    over the tokens; features pass as they are. With a `pool_size` maps are averaged over a grid of cells, and what is
    where stays known.

    Args:
        network: its classifier taken off.
        output: what comes out of it.
    """

    def __init__(self, network: nn.Module, output: Output) -> None:
        super().__init__()
        self.network = network
        self.output = output
        self.cells = None if output.pool_size == 1 else nn.AdaptiveAvgPool2d(output.pool_size)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Features (batch, features) of `inputs`, normalized images (batch, channels, height, width).

        Raises:
            ParameterError: one image alone is trained on, and batch norm sees one value a channel.
        """
        if self.training and len(inputs) == 1:
            return self._alone(inputs)
        return self._features(inputs)

    def _features(self, inputs: torch.Tensor) -> torch.Tensor:
        options = dict.fromkeys(self.output.options, True)
        found: torch.Tensor = tensor_at(self.network(inputs, **options), self.output.at)
        form = self.output.form
        if self.cells is not None:
            averaged: torch.Tensor = self.cells(found if form == "map" else found.permute(0, 3, 1, 2))
            return averaged.flatten(1)
        if form == "map":
            return found.mean(dim=(2, 3))
        if form == "map, channels last":
            return found.mean(dim=(1, 2))
        if form == "flattened map":
            return found.reshape(len(found), self.output.width, -1).mean(dim=2)
        if form == "tokens":
            return found.mean(dim=1)
        if form == "tokens, channels first":
            return found.mean(dim=2)
        return found

    def _alone(self, inputs: torch.Tensor) -> torch.Tensor:
        try:
            return self._features(inputs)
        except ValueError as error:
            # torch's message, on a map of one place.
            if "more than 1 value per channel" not in str(error):
                raise
            raise ParameterError(
                f"one image of {inputs.shape[2]} x {inputs.shape[3]} px alone cannot be trained on, its last maps are "
                "1 x 1 and batch norm has nothing to average; use batches of 2 or more, larger canvases, or set the "
                "batch norms to evaluation mode"
            ) from None
