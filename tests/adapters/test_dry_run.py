from __future__ import annotations

import pytest
import torch
from torch import nn

from sketchkit import AdaptError, Canvas, adapt
from sketchkit.adapters.dry_run import attempt, noise, reason

from models import trunk


class Shrinking(nn.Module):
    """Changes itself for a small image and takes no large one afterwards, as the Swin of transformers does."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk, self.window = trunk(), 8

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps = self.trunk(images)
        self.window = min(self.window, maps.shape[2])
        if self.window < 8:
            raise RuntimeError(f"window of {self.window}")
        return maps


def test_a_network_that_changes_itself_is_tried_on_copies() -> None:
    with pytest.raises(AdaptError, match=r"canvases of 32 px \(window of 4\); pass canvases=\(64, 128\)"):
        adapt(Shrinking(), canvases=(32, 64, 128), photo_size=64)
    model = Shrinking()
    assert adapt(model, canvases=(64, 128), photo_size=64).backbone.network.window == 8
    assert model.window == 8


def test_rectangular_canvases_are_tried_as_they_are() -> None:
    class Wide(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.trunk = trunk()

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            if images.shape[2] > images.shape[3]:
                raise RuntimeError("upright")
            return self.trunk(images)

    with pytest.raises(AdaptError, match=r"canvases of 64x32 px \(upright\); pass canvases=\(32, \(32, 48\)\)"):
        adapt(Wide(), canvases=(Canvas((64, 32)), Canvas((32, 48)), 32), photo_size=32)


def test_noise_is_of_the_networks_type() -> None:
    assert noise(trunk().to(torch.bfloat16), 2, 3, (4, 6)).dtype == torch.bfloat16
    assert noise(nn.Identity(), 2, 1, (4, 6)).shape == (2, 1, 4, 6)


def test_reasons_are_of_one_line() -> None:
    assert reason(ValueError("first.\nsecond")) == "first"
    assert reason(ValueError()) == "ValueError"
    error = attempt(lambda: torch.zeros(2, 3) @ torch.zeros(2, 3))
    assert "\n" not in reason(error)


def test_dropout_in_the_dry_run_draws_no_number_of_the_callers() -> None:
    # The selector's weights are drawn from the state, so two calls are compared.
    after = []
    for model in (trunk(), nn.Sequential(trunk(), nn.Dropout())):
        torch.manual_seed(5)
        adapt(model, canvases=(32,), photo_size=32, selector_hidden=8)
        after.append(torch.rand(1))
    assert torch.equal(*after)
