from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from sketchkit import AdaptedModel, Canvas, Sketch, adapt
from sketchkit.adapters import fold_batch_norm, mobilenet_v2

from models import MODELS, pooled, trunk

PHOTOS = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
SKETCHES = [Sketch.from_strokes([[(0, 0), (30, 5), (10, 40)]]), Sketch.from_strokes([[(0, 0), (9, 9), (3, 50)]])]


class NormAndActivation(nn.BatchNorm2d):
    """A batch norm that also activates, as in timm."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.act = nn.Hardswish()

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return self.act(super().forward(maps))


class Branches(nn.Module):
    """What must not be folded: a norm after a sum, a map that somebody else reads too, a norm used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.stem_norm = nn.Conv2d(3, 4, 3, 4), NormAndActivation(4)
        self.seen, self.seen_norm = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)
        self.summed, self.summed_norm = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)
        self.first, self.second, self.twice = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps = self.stem_norm(self.stem(images))
        seen = self.seen(maps)
        maps = self.seen_norm(seen) + seen
        maps = self.summed_norm(self.summed(maps) + maps)
        return self.twice(self.second(self.twice(self.first(maps))))


def trained(model: AdaptedModel) -> AdaptedModel:
    with torch.no_grad():
        for value in [*model.backbone.parameters(), *model.backbone.buffers()]:
            if value.is_floating_point():
                value.add_(0.3 * torch.rand_like(value))
    return model.eval()


def test_only_what_a_convolution_feeds_alone_is_folded() -> None:
    model = trained(adapt(Branches(), canvases=(32,), photo_size=32))
    folded = fold_batch_norm(model)
    left = [name for name, part in folded.backbone.network.named_modules() if isinstance(part, nn.BatchNorm2d)]
    assert left == ["seen_norm", "summed_norm", "twice"]
    torch.testing.assert_close(folded.embed_photos(PHOTOS), model.embed_photos(PHOTOS))
    assert isinstance(model.backbone.network.stem_norm, NormAndActivation)


@pytest.mark.parametrize("build", [mobilenet_v2, pooled, trunk, MODELS["half precision"].build])
@torch.no_grad()
def test_folded_is_the_same_network(tmp_path: Path, build: Any) -> None:
    original = build()
    model = trained(adapt(original, canvases=(32, 64), photo_size=32))
    folded = fold_batch_norm(model)
    close = {"rtol": 0.0, "atol": 1e-5 if model.embed_photos(PHOTOS).dtype == torch.float32 else 0.02}
    torch.testing.assert_close(folded.embed_photos(PHOTOS), model.embed_photos(PHOTOS), **close)
    torch.testing.assert_close(folded.embed_sketches(SKETCHES), model.embed_sketches(SKETCHES), **close)
    assert not any(isinstance(part, nn.BatchNorm2d) for part in folded.modules())
    assert folded.cost().per_canvas[64].flops < model.cost().per_canvas[64].flops
    folded.save_pretrained(tmp_path)
    back = AdaptedModel.from_pretrained(tmp_path, original)
    assert torch.equal(back.embed_photos(PHOTOS), folded.embed_photos(PHOTOS))


def planes(mode: Any = "shared") -> AdaptedModel:
    """Sketches of two planes have a first convolution of their own."""
    canvases = [Canvas(size, channels="orientation") for size in (32, 64)]
    return trained(adapt(pooled(), canvases=canvases, photo_size=64, batch_norm=mode))


def test_folding_keeps_the_norm_that_two_stems_share() -> None:
    model = planes()
    folded = fold_batch_norm(model)
    drawing = Sketch.from_strokes([[(0, 9), (5, 0), (9, 9)]])
    torch.testing.assert_close(folded.embed_sketches(drawing), model.embed_sketches(drawing), atol=1e-5, rtol=0)
    torch.testing.assert_close(folded.embed_photos(PHOTOS), model.embed_photos(PHOTOS), atol=1e-5, rtol=0)
