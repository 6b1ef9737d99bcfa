"""Canvases as wide as the ink, through everything that an adapted network does with canvases."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from sketchkit import AdaptedModel, AdaptError, Canvas, Sketch, SketchSet, adapt, rasterize
from sketchkit.adapters import OnnxModel, set_batch_norm, verify
from sketchkit.adapters.cost import cost
from sketchkit.adapters.model_card import model_card

from models import VggLike, pooled, trunk

CANVASES = (32, Canvas(64, rectangular=True), Canvas(96, rectangular=True))
# Width and height of each drawing; on 96 px these are 32, 64 and 96 px, and on 64 px 32, 48 and 64.
EXTENTS = [(1, 9), (9, 1), (6, 9), (9, 9), (1, 9), (9, 6), (9, 8), (1, 9), (9, 1)]
ON_64 = [(64, 32), (32, 64), (64, 48), (64, 64), (64, 32), (48, 64), (64, 64), (64, 32), (32, 64)]
ON_96 = [(96, 32), (32, 96), (96, 96), (96, 96), (96, 32), (96, 96), (96, 96), (96, 32), (32, 96)]


def drawings() -> SketchSet:
    generator = np.random.default_rng(0)
    sketches = []
    for extents in EXTENTS:
        inside = generator.uniform(0, 1, (3, 4, 2)) * extents
        corners = np.array([(0, 0), extents], float)
        sketches.append(Sketch.from_strokes([corners, *inside]))
    return SketchSet.from_sketches(sketches)


CHOSEN = [index % 3 for index in range(len(EXTENTS))]


@pytest.fixture
def adapted(monkeypatch: pytest.MonkeyPatch) -> AdaptedModel:
    torch.manual_seed(0)
    model = adapt(pooled(), canvases=CANVASES, photo_size=32, embedding_dim=4, selector_hidden=8)
    # A selector that knows each drawing, whatever its place.
    chosen = {sketch.points.tobytes(): index for sketch, index in zip(drawings(), CHOSEN, strict=True)}

    def select(sketches: SketchSet) -> np.ndarray[Any, np.dtype[np.int64]]:
        return np.array([chosen[sketch.points.tobytes()] for sketch in sketches], np.int64)

    monkeypatch.setattr(model.canvas_selector, "select", select)
    return model


# Embedding


def test_one_at_a_time_is_as_all_together(adapted: AdaptedModel) -> None:
    sketches = drawings()
    assert adapted.select(sketches).tolist() == [(32, 64, 96)[index] for index in CHOSEN]
    with torch.no_grad():
        for canvas in (None, 64, 96, Canvas(128, rectangular=True, margin=0.1)):
            together = adapted.embed_sketches(sketches, canvas=canvas)
            alone = torch.cat([adapted.embed_sketches(SketchSet.from_sketches([each]), canvas) for each in sketches])
            torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)
            assert len({tuple(row) for row in together.tolist()}) == len(sketches)
            in_threes = adapted.embed_sketches(sketches, canvas=canvas, batch_size=3)
            torch.testing.assert_close(together, in_threes, atol=1e-5, rtol=0)


def test_order_is_kept(adapted: AdaptedModel) -> None:
    sketches = drawings()
    order = np.random.default_rng(1).permutation(len(sketches))
    with torch.no_grad():
        for canvas in (None, 96):
            expected = adapted.embed_sketches(sketches, canvas)[torch.from_numpy(order)]
            torch.testing.assert_close(adapted.embed_sketches(sketches[order], canvas), expected, atol=1e-5, rtol=0)


def test_each_is_embedded_as_its_own_raster(adapted: AdaptedModel) -> None:
    with torch.no_grad():
        found = adapted.embed_sketches(drawings(), canvas=96)
        for embedding, sketch, shape in zip(found, drawings(), ON_96, strict=True):
            ink = rasterize(sketch, Canvas(96, rectangular=True))
            assert ink.shape[1:] == shape
            torch.testing.assert_close(adapted.embed_rasters(ink)[0], embedding, atol=1e-5, rtol=0)


def test_one_pass_a_shape(adapted: AdaptedModel) -> None:
    passes: list[tuple[int, ...]] = []
    adapted.backbone.register_forward_pre_hook(lambda module, args: passes.append(tuple(args[0].shape)))
    adapted.embed_sketches(drawings(), canvas=64)
    assert passes == [(2, 3, 32, 64), (3, 3, 64, 32), (1, 3, 48, 64), (1, 3, 64, 48), (2, 3, 64, 64)]
    passes.clear()
    adapted.embed_sketches(drawings())
    assert sum(size[0] for size in passes) == len(EXTENTS)
    assert len(passes) == len(set(passes))
    assert adapted.embed_sketches([], canvas=96).shape == (0, 4)


def test_planes_on_rectangular_canvases() -> None:
    canvas = Canvas(64, rectangular=True, channels=("ink", "orientation", "order"))
    adapted = adapt(pooled(), canvases=(canvas,), photo_size=32)
    with torch.no_grad():
        together = adapted.embed_sketches(drawings())
        alone = torch.cat([adapted.embed_sketches(each) for each in drawings()])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


# What it costs


def by_hand(shape: tuple[int, int]) -> int:
    """Convolutions 3 x 3 of strides 2 and 4, batch norm, two activations, pooling, a projection to 4."""
    places, fewer = (shape[0] // 2) * (shape[1] // 2), (shape[0] // 8) * (shape[1] // 8)
    first, second = 4 * places, 8 * fewer
    network = first * 27 + second * 36 + 8 * 4
    network += (first + second + 4) + 2 * first + (first + second) + second
    return 2 * network


def test_a_canvas_costs_the_mean_of_the_drawings_shapes(adapted: AdaptedModel) -> None:
    found = adapted.cost(drawings())
    assert found.per_canvas[32].flops == by_hand((32, 32))
    assert found.per_canvas[64].flops == round(np.mean([by_hand(shape) for shape in ON_64]))
    assert found.per_canvas[96].flops == round(np.mean([by_hand(shape) for shape in ON_96]))
    assert found.per_canvas[64].params == found.per_canvas[32].params
    assert found.at_most == ()
    assert "at most" not in found._repr_html_()


def test_a_query_costs_its_own_shape(adapted: AdaptedModel) -> None:
    chosen = [((32, 32), on_64, on_96)[index] for index, on_64, on_96 in zip(CHOSEN, ON_64, ON_96, strict=True)]
    lengths = adapted.canvas_selector.encode(drawings())[1].tolist()
    selector = [cost(adapted.canvas_selector, (torch.zeros(1, n, 5), torch.tensor([n]))).flops for n in lengths]
    expected = [by_hand(shape) + own for shape, own in zip(chosen, selector, strict=True)]
    found = adapted.cost(drawings())
    assert found.flops_per_drawing is not None
    assert found.flops_per_drawing.tolist() == expected
    assert found.mean_flops == pytest.approx(np.mean(expected))
    assert found.shares == {32: 1 / 3, 64: 1 / 3, 96: 1 / 3}


def test_drawings_of_one_shape_have_a_pass_with_parts(adapted: AdaptedModel) -> None:
    upright = drawings()[[0, 4, 7]]
    assert adapted.cost(upright).per_canvas[96].by_module() != {}
    assert adapted.cost(upright).per_canvas[96].flops == by_hand((96, 32))


def test_without_drawings_the_square_is_a_bound(adapted: AdaptedModel) -> None:
    found = adapted.cost()
    assert [each.flops for each in found.per_canvas.values()] == [by_hand((size, size)) for size in (32, 64, 96)]
    assert found.at_most == (64, 96)
    assert found._repr_html_().count("at most") == 2
    lines = dict(adapted.summary().lines())
    assert lines["canvas   96 px"] == f"at most {by_hand((96, 96)) / 1e9:.5f} GFLOPs: as wide as the ink"
    assert "at most" not in lines["canvas   32 px"]
    card = model_card(adapted)
    assert f"| 96 | at most {by_hand((96, 96)) / 1e9:.5f} |" in card
    assert f"| 32 | {by_hand((32, 32)) / 1e9:.5f} |" in card
    assert "as wide as the ink" in card


# Batch norm


def test_all_shapes_of_a_canvas_share_its_statistics() -> None:
    model = adapt(pooled(), canvases=CANVASES, photo_size=32)
    set_batch_norm(model, "per_canvas")
    norm: Any = model.backbone.network.trunk[1]
    assert list(norm.banks) == ["photos", "canvas_32", "canvas_64", "canvas_96"]
    used: list[str] = []
    norm.register_forward_pre_hook(lambda module, args: used.append(module.bank()))
    model.embed_sketches(drawings(), canvas=64)
    assert set(used) == {"canvas_64"}
    for shape, bank in [
        ((96, 32), "canvas_96"),
        ((32, 64), "canvas_64"),
        ((32, 32), "canvas_32"),
        ((40, 70), "canvas_32"),
    ]:
        used.clear()
        model.embed_rasters(np.zeros((2, *shape), np.uint8))
        assert used == [bank]
    for canvas in (Canvas(90, rectangular=True), 96):
        used.clear()
        model.embed_rasters(np.zeros((2, 64, 32), np.uint8), canvas)
        assert used == ["canvas_96"]
    used.clear()
    # The nearest of its own size, whatever the shape.
    model.embed_sketches(drawings(), canvas=Canvas(128, rectangular=True))
    assert set(used) == {"canvas_96"}


def test_training_moves_the_statistics_of_its_canvas_alone() -> None:
    model = adapt(pooled(), canvases=CANVASES, photo_size=32, batch_norm="per_canvas").train()
    norm: Any = model.backbone.network.trunk[1]
    before = {name: bank.running_mean.clone() for name, bank in norm.banks.items()}
    model.embed_sketches(drawings(), canvas=96)
    assert {name for name, bank in norm.banks.items() if not torch.equal(bank.running_mean, before[name])} == {
        "canvas_96"
    }


# Leaving and coming back


def test_saved_and_loaded(adapted: AdaptedModel, tmp_path: Path) -> None:
    adapted.save_pretrained(tmp_path)
    back = AdaptedModel.from_pretrained(tmp_path, pooled())
    assert back.canvases == adapted.canvases == tuple(map(Canvas.of, CANVASES))
    with torch.no_grad():
        assert torch.equal(back.embed_sketches(drawings(), 96), adapted.embed_sketches(drawings(), 96))


@pytest.mark.parametrize("build", [pooled, VggLike])
def test_onnx_is_as_torch(build: Any, tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="exporting needs sketchkit[export]")
    pytest.importorskip("onnxscript", reason="exporting needs sketchkit[export]")
    pytest.importorskip("onnxruntime", reason="exporting needs sketchkit[export]")
    torch.manual_seed(0)
    adapted = adapt(build(), canvases=CANVASES, photo_size=64, embedding_dim=4)
    nn.init.normal_(adapted.canvas_selector.to_logits.weight, std=3)
    sketches, photos = drawings(), np.random.default_rng(4).integers(0, 256, (5, 3, 64, 64), np.uint8)
    adapted.export(tmp_path, precisions=("fp32", "int8"), calibration=(sketches, photos))
    canvases = json.loads((tmp_path / "onnx.json").read_text())["canvases"]
    assert [canvas["rectangular"] for canvas in canvases] == [False, True, True]
    model = OnnxModel(tmp_path, "fp32", threads=1)
    assert model.canvases == adapted.canvases
    assert model.select(sketches).tolist() == adapted.select(sketches).tolist()
    with torch.no_grad():
        for canvas in (None, 64, 96, Canvas(128, rectangular=True)):
            expected = adapted.embed_sketches(sketches, canvas).numpy()
            np.testing.assert_allclose(model.embed_sketches(sketches, canvas), expected, rtol=0, atol=1e-4)
    assert model.embed_sketches([], 96).shape == (0, 4)
    report = verify(adapted, tmp_path, sketches, photos)
    assert list(report["fp32"]) == [32, 64, 96]
    assert report["fp32"][96].max_difference < 1e-4


# What a network can take


class Low(nn.Module):
    """Takes no image below a height."""

    def __init__(self, least: int) -> None:
        super().__init__()
        self.trunk, self.least = trunk(), least

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if images.shape[2] < self.least:
            raise RuntimeError("too low")
        return self.trunk(images)


def test_every_shape_is_tried() -> None:
    adapt(Low(32), canvases=CANVASES, photo_size=32)
    words = r"canvases of 32, 32x64, 32x96 px \(too low\); pass canvases=\(64, 96\)$"
    with pytest.raises(AdaptError, match=words):
        adapt(Low(48), canvases=CANVASES, photo_size=64)
    words = r"canvases of 32, 32x64, 64x32, 48x64, 64x48, 64, 32x96, 64x96 px \(too low\); pass canvases=\(96,\)$"
    with pytest.raises(AdaptError, match=words):
        adapt(Low(65), canvases=CANVASES, photo_size=96)
    words = r"canvases of 24 px \(too low\); pass canvases=\(Canvas\(64, rectangular=True\),\)$"
    with pytest.raises(AdaptError, match=words):
        adapt(Low(32), canvases=(24, Canvas(64, rectangular=True)), photo_size=64)
