from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import sketchkit
from sketchkit import AdaptedModel, Canvas, DataError, ParameterError, Sketch, SketchSet, adapt
from sketchkit.adapters.cost import cost
from sketchkit.adapters.description import IMAGENET_MEAN, IMAGENET_STD

from models import VggLike, pooled

SIZES = (16, 32, 64)


def drawings(count: int = 7) -> SketchSet:
    generator = np.random.default_rng(0)
    return SketchSet.from_sketches(
        Sketch.from_strokes([generator.uniform(0, 256, (4, 2)) for _ in range(1 + index % 4)]) for index in range(count)
    )


@pytest.fixture
def adapted() -> AdaptedModel:
    return adapt(pooled(), canvases=SIZES, photo_size=32, selector_hidden=8)


class ByStrokes(nn.Module):
    """Stands in for a trained selector: canvas index = strokes modulo the number of canvases."""

    def __init__(self, canvases: int) -> None:
        super().__init__()
        self.canvases = canvases

    def select(self, sketches: SketchSet) -> np.ndarray[Any, np.dtype[np.int64]]:
        return np.diff(sketches.sketch_offsets) % self.canvases


def choosing(adapted: AdaptedModel) -> AdaptedModel:
    adapted.canvas_selector = ByStrokes(len(SIZES))  # type: ignore[assignment]
    return adapted


def test_sketches_come_back_in_order(adapted: AdaptedModel) -> None:
    choosing(adapted)
    sketches = drawings()
    sizes = adapted.select(sketches)
    assert set(sizes.tolist()) == set(SIZES)
    assert sizes.dtype == np.int64
    with torch.no_grad():
        together = adapted.embed_sketches(sketches)
        for index, (sketch, size) in enumerate(zip(sketches, sizes, strict=True)):
            torch.testing.assert_close(together[index], adapted.embed_sketches(sketch)[0], atol=1e-5, rtol=0)
            forced = adapted.embed_sketches(sketch, canvas=int(size))[0]
            torch.testing.assert_close(together[index], forced, atol=1e-5, rtol=0)
    assert len({tuple(row) for row in together.tolist()}) == len(sketches)


def test_one_pass_a_canvas(adapted: AdaptedModel) -> None:
    choosing(adapted)
    passes: list[tuple[int, ...]] = []
    adapted.backbone.register_forward_pre_hook(lambda module, args: passes.append(tuple(args[0].shape)))
    sketches = drawings()
    adapted.embed_sketches(sketches)
    counts = {size: int(np.sum(adapted.select(sketches) == size)) for size in SIZES}
    assert passes == [(count, 3, size, size) for size, count in counts.items()]
    passes.clear()
    adapted.embed_sketches(sketches, canvas=32)
    assert passes == [(7, 3, 32, 32)]


def test_sketches_are_drawn_by_their_canvas() -> None:
    keep = Canvas(32, fit="keep")
    adapted = adapt(pooled(), canvases=(keep,), photo_size=32)
    sketches = drawings()
    expected = adapted.embed_rasters(sketchkit.rasterize(sketches, keep))
    torch.testing.assert_close(adapted.embed_sketches(sketches), expected)
    other = Canvas(48)
    expected = adapted.embed_rasters(sketchkit.rasterize(sketches, other))
    torch.testing.assert_close(adapted.embed_sketches(sketches, canvas=other), expected)


def test_no_sketch_one_sketch_and_a_list(adapted: AdaptedModel) -> None:
    assert adapted.embed_sketches([]).shape == (0, 8)
    assert adapted.select([]).shape == (0,)
    assert adapted.embed_sketches(drawings()[0]).shape == (1, 8)
    assert torch.equal(adapted.embed_sketches(list(drawings())), adapted.embed_sketches(drawings()))
    assert torch.isfinite(adapted.embed_sketches(Sketch.from_strokes([]))).all()


def test_a_fresh_selector_takes_the_largest_canvas(adapted: AdaptedModel) -> None:
    assert adapted.select(drawings()).tolist() == [64] * 7


def test_canvases_are_sorted() -> None:
    adapted = adapt(pooled(), canvases=(64, Canvas(16, fit="keep"), 32), photo_size=32)
    assert adapted.canvases == (Canvas(16, fit="keep"), Canvas(32), Canvas(64))


def test_unknown_canvas_and_bad_points(adapted: AdaptedModel) -> None:
    with pytest.raises(ParameterError, match=r"no canvas of 48 px; there are 16, 32, 64"):
        adapted.embed_sketches(drawings(), canvas=48)
    with pytest.raises(DataError, match="finite"):
        adapted.embed_sketches(Sketch.from_strokes([[(0, float("nan"))]]))


def test_photo_inputs_by_hand(adapted: AdaptedModel) -> None:
    pixels = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    expected = (pixels / 255 - torch.tensor(IMAGENET_MEAN).reshape(3, 1, 1)) / torch.tensor(IMAGENET_STD).reshape(
        3, 1, 1
    )
    torch.testing.assert_close(adapted.photo_inputs(pixels), expected)
    torch.testing.assert_close(adapted.photo_inputs(pixels / 255), expected)
    torch.testing.assert_close(adapted.photo_inputs(pixels.numpy()), expected)
    flat = torch.full((1, 3, 50, 20), 0.25)
    resized = adapted.photo_inputs(flat)
    assert resized.shape == (1, 3, 32, 32)
    torch.testing.assert_close(resized, adapted.photo_inputs(torch.full((1, 3, 32, 32), 0.25)))
    assert adapted.photo_inputs(torch.zeros(0, 3, 40, 40)).shape[0] == 0


def test_raster_inputs_by_hand(adapted: AdaptedModel) -> None:
    ink = torch.zeros(1, 16, 16, dtype=torch.uint8)
    ink[0, 3, 4] = 255
    inputs = adapted.raster_inputs(ink)
    white = (1 - torch.tensor(IMAGENET_MEAN)) / torch.tensor(IMAGENET_STD)
    black = -torch.tensor(IMAGENET_MEAN) / torch.tensor(IMAGENET_STD)
    torch.testing.assert_close(inputs[0, :, 0, 0], white)
    torch.testing.assert_close(inputs[0, :, 3, 4], black)
    torch.testing.assert_close(adapted.raster_inputs(ink / 255), inputs)


def test_gray_networks() -> None:
    gray = adapt(pooled(channels=1), canvases=(32,), photo_size=32)
    assert gray.raster_inputs(torch.zeros(2, 32, 32, dtype=torch.uint8)).shape == (2, 1, 32, 32)
    same = torch.rand(2, 1, 32, 32)
    torch.testing.assert_close(gray.photo_inputs(same.expand(-1, 3, -1, -1)), gray.photo_inputs(same))
    assert gray.description.mean == (pytest.approx(sum(IMAGENET_MEAN) / 3),)


@pytest.mark.parametrize(
    ("photos", "words"),
    [
        (torch.zeros(3, 32, 32), r"\(batch, 3, height, width\), not \(3, 32, 32\)"),
        (torch.zeros(1, 4, 32, 32), "not (1, 4, 32, 32)"),
        (torch.full((1, 3, 32, 32), 200.0), "these reach 200, divide by 255"),
        (torch.zeros(1, 3, 32, 32, dtype=torch.int64), "torch.int64"),
    ],
)
def test_photos_of_another_kind(adapted: AdaptedModel, photos: torch.Tensor, words: str) -> None:
    with pytest.raises(ParameterError, match=words if "\\" in words else re.escape(words)):
        adapted.embed_photos(photos)


def test_rasters_of_another_kind(adapted: AdaptedModel) -> None:
    with pytest.raises(ParameterError, match=r"\(batch, height, width\)"):
        adapted.embed_rasters(torch.zeros(1, 3, 32, 32))


def test_cost_is_of_the_pass_and_the_selector(adapted: AdaptedModel) -> None:
    network = cost(adapted.backbone, 32)
    found = adapted.cost()
    assert found.per_canvas[32] == network
    assert list(found.per_canvas) == list(SIZES)
    assert found.mean_flops is None
    steps = adapted.canvas_selector.points + 1
    selector = cost(adapted.canvas_selector, (torch.zeros(1, steps, 5), torch.tensor([steps])))
    assert found.selector == selector


def test_mean_cost_over_drawings(adapted: AdaptedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    sketches = drawings()
    lengths = adapted.canvas_selector.encode(sketches)[1].tolist()
    monkeypatch.setattr(adapted.canvas_selector, "select", ByStrokes(len(SIZES)).select)
    sizes = adapted.select(sketches)
    assert len(set(sizes.tolist())) > 1
    found = adapted.cost(sketches)
    selectors = [cost(adapted.canvas_selector, (torch.zeros(1, n, 5), torch.tensor([n]))).flops for n in lengths]
    expected = np.mean([found.per_canvas[size].flops + own for size, own in zip(sizes, selectors, strict=True)])
    assert found.mean_flops == pytest.approx(expected, abs=1)
    assert found.shares == {size: pytest.approx(np.mean(sizes == size)) for size in SIZES}
    with pytest.raises(ParameterError, match="no drawing"):
        adapted.cost([])


def test_projection_is_part_of_cost_and_parameters() -> None:
    plain = adapt(pooled(), canvases=(32,), photo_size=32).summary()
    wider = adapt(pooled(), canvases=(32,), photo_size=32, embedding_dim=5).summary()
    assert wider.params - plain.params == 8 * 5 + 5
    assert wider.flops[32] - plain.flops[32] == 2 * (8 * 5 + 5)


def test_summary_is_what_repr_prints(adapted: AdaptedModel) -> None:
    summary = adapted.summary()
    assert repr(adapted) == str(summary)
    for word in ("Pooled", "classifier taken off: fc", "embedding: 8", "canvas   16 px", f"{summary.params:,}"):
        assert word in repr(adapted)
    adapted.backbone.network = nn.Conv2d(9, 1, 1)
    assert repr(adapted) == "AdaptedModel of Pooled"


def test_attributes_are_not_forwarded(adapted: AdaptedModel) -> None:
    assert not hasattr(adapted, "trunk")
    assert hasattr(adapted.backbone.network, "trunk")


def test_kd_head_is_the_relational_loss_against_the_teacher() -> None:
    from sketchkit.adapters import relational_loss

    adapted = adapt(pooled(), teacher=VggLike(), canvases=(32,), photo_size=32)
    assert adapted.kd_head is not None
    teacher = adapted.kd_head
    rasters = torch.randint(0, 256, (4, 32, 32), dtype=torch.uint8)
    photos, others = torch.rand(4, 3, 32, 32), torch.rand(4, 3, 32, 32)
    student = adapted.embed_rasters(rasters), adapted.embed_photos(photos), adapted.embed_photos(others)
    found = teacher(*student, rasters=rasters, positive_images=photos, negative_images=others, beta=0.1)
    taught = teacher.embed_rasters(rasters), teacher.embed_photos(photos), teacher.embed_photos(others)
    torch.testing.assert_close(found, relational_loss(*student, *taught, beta=0.1))
    found.backward()
    assert all(value.grad is None for value in teacher.parameters())
    assert any(value.grad is not None for value in adapted.backbone.parameters())


def test_embeddings_agree_with_the_bare_network(adapted: AdaptedModel) -> None:
    inputs = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(adapted(inputs), F.normalize(adapted.backbone(inputs), dim=1))
    assert torch.equal(adapted(inputs), adapted.embed(inputs))


def test_batches_of_any_size_give_the_same(adapted: AdaptedModel) -> None:
    choosing(adapted)
    sketches, photos = drawings(), torch.rand(7, 3, 40, 32)
    together, of_photos = adapted.embed_sketches(sketches), adapted.embed_photos(photos)
    for size in (1, 2, 100):
        found = adapted.embed_sketches(sketches, batch_size=size)
        torch.testing.assert_close(found, together, atol=1e-5, rtol=0)
        forced = adapted.embed_sketches(sketches, canvas=16, batch_size=size)
        torch.testing.assert_close(forced, adapted.embed_sketches(sketches, canvas=16), atol=1e-5, rtol=0)
        torch.testing.assert_close(adapted.embed_photos(photos, batch_size=size), of_photos, atol=1e-5, rtol=0)
    for size in (0, -1):
        with pytest.raises(ParameterError, match="batch_size must be at least 1"):
            adapted.embed_sketches(sketches, batch_size=size)
        with pytest.raises(ParameterError, match="batch_size must be at least 1"):
            adapted.embed_photos(photos, batch_size=size)


def test_no_pass_is_larger_than_asked(adapted: AdaptedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    counts: list[int] = []
    adapted.backbone.register_forward_pre_hook(lambda module, args: counts.append(len(args[0])))
    adapted.embed_sketches(drawings(), canvas=32, batch_size=3)
    adapted.embed_photos(torch.rand(5, 3, 32, 32), batch_size=2)
    assert counts == [3, 3, 1, 2, 2, 1]
    counts.clear()
    monkeypatch.setattr("sketchkit.adapters.adapted_model._PASS_PIXELS", 2 * 32 * 32)
    for canvas in SIZES:
        adapted.embed_sketches(drawings(), canvas=canvas)
    assert counts == [7, 2, 2, 2, 1, *[1] * 7]


def test_the_network_is_not_run_on_nothing(adapted: AdaptedModel) -> None:
    adapted = adapt(pooled().to(torch.bfloat16), canvases=SIZES, photo_size=32)
    adapted.backbone.register_forward_pre_hook(lambda module, args: pytest.fail("it was run"))
    for found in (
        adapted.embed_sketches([]),
        adapted.embed_sketches([], canvas=32),
        adapted.embed_photos(torch.zeros(0, 3, 50, 50)),
        adapted.embed_rasters(np.zeros((0, 16, 16), np.uint8)),
    ):
        assert found.shape == (0, 8)
        assert found.dtype == torch.bfloat16


def test_rectangular_canvases() -> None:
    adapted = adapt(pooled(), canvases=(64, (24, 40), Canvas((40, 24))), photo_size=32)
    assert [canvas.size for canvas in adapted.canvases] == [(24, 40), (40, 24), 64]
    adapted.canvas_selector = ByStrokes(3)  # type: ignore[assignment]
    sketches = drawings()
    sizes = adapted.select(sketches)
    assert sizes.shape == (7, 2)
    assert {tuple(size) for size in sizes.tolist()} == {(24, 40), (40, 24), (64, 64)}
    together = adapted.embed_sketches(sketches)
    for index, size in enumerate(sizes.tolist()):
        ink = sketchkit.rasterize(sketches[index], tuple(size))
        assert ink.shape == (1, *size)
        torch.testing.assert_close(together[index], adapted.embed_rasters(ink)[0], atol=1e-5, rtol=0)
    assert torch.equal(
        adapted.embed_sketches(sketches, canvas=(24, 40)),
        adapted.embed_rasters(sketchkit.rasterize(sketches, (24, 40))),
    )


def test_rectangular_canvases_cost_what_their_pixels_do() -> None:
    adapted = adapt(pooled(), canvases=((16, 64), 32), photo_size=32)
    wide = cost(adapted.backbone, torch.zeros(1, 3, 16, 64))
    assert adapted.cost().per_canvas[16, 64] == wide
    assert "canvas 16 x 64 px" in str(adapted.summary())


def test_threads_may_share_a_model(adapted: AdaptedModel) -> None:
    choosing(adapted)
    sketches = drawings()
    with torch.inference_mode():
        expected = adapted.embed_sketches(sketches)

    def embed(_: int) -> torch.Tensor:
        with torch.inference_mode():
            return adapted.embed_sketches(sketches)

    with ThreadPoolExecutor(4) as pool:
        assert all(torch.equal(found, expected) for found in pool.map(embed, range(16)))


def test_gradients_reach_the_network_and_rasters_not_the_points(adapted: AdaptedModel) -> None:
    adapted.embed_sketches(drawings())[:, 0].sum().backward()
    assert all(value.grad is not None for value in adapted.backbone.parameters())
    assert all(value.grad is None for value in adapted.canvas_selector.parameters())
    rasters = torch.rand(2, 16, 16, requires_grad=True)
    adapted.embed_rasters(rasters)[:, 0].sum().backward()
    assert rasters.grad is not None
    assert rasters.grad.abs().sum() > 0
    with torch.inference_mode():
        assert not adapted.embed_sketches(drawings()).requires_grad
