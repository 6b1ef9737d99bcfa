from __future__ import annotations

import copy
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.utils.checkpoint
from torch import nn

from sketchkit import AdaptedModel, AdaptError, Canvas, ParameterError, Sketch, adapt
from sketchkit.adapters import SwitchableBatchNorm, fold_batch_norm, mobilenet_v2, passing, set_batch_norm

from models import MODELS, pooled, trunk

PHOTOS = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
SKETCHES = [Sketch.from_strokes([[(0, 0), (30, 5), (10, 40)]]), Sketch.from_strokes([[(0, 0), (9, 9), (3, 50)]])]
MODES: list[Any] = ["shared", "frozen", "per_domain", "per_canvas"]


def adapted(mode: Any = "shared") -> AdaptedModel:
    made = adapt(pooled(), canvases=(32, 64), photo_size=32)
    set_batch_norm(made, mode)
    return made


def norm_of(model: AdaptedModel) -> Any:
    return model.backbone.network.trunk[1]


def means(model: AdaptedModel) -> dict[str, torch.Tensor]:
    norm = norm_of(model)
    banks = norm.banks if isinstance(norm, SwitchableBatchNorm) else {"photos": norm}
    return {name: bank.running_mean.clone() for name, bank in banks.items()}


@pytest.mark.parametrize(
    ("mode", "moves"),
    [
        ("shared", {"photo": {"photos"}, 32: {"photos"}, 64: {"photos"}}),
        ("frozen", {"photo": set(), 32: set(), 64: set()}),
        ("per_domain", {"photo": {"photos"}, 32: {"sketches"}, 64: {"sketches"}}),
        ("per_canvas", {"photo": {"photos"}, 32: {"canvas_32"}, 64: {"canvas_64"}}),
    ],
)
@pytest.mark.parametrize("copied", [False, True])
def test_each_pass_moves_its_own_statistics(mode: Any, moves: dict[Any, set[str]], copied: bool) -> None:
    model = adapted(mode)
    if copied:
        model = copy.deepcopy(model)
    model.train()
    for what, expected in moves.items():
        before = means(model)
        if what == "photo":
            model.embed_photos(PHOTOS)
        else:
            model.embed_sketches(SKETCHES, canvas=what)
        after = means(model)
        assert {name for name in after if not torch.equal(after[name], before[name])} == expected


@pytest.mark.parametrize("mode", MODES)
def test_a_change_of_mode_alone_changes_no_embedding(mode: Any) -> None:
    model = adapted().train()
    model.embed_photos(PHOTOS)
    model.eval()
    photos, sketches = model.embed_photos(PHOTOS), model.embed_sketches(SKETCHES)
    set_batch_norm(model, mode)
    assert torch.equal(model.embed_photos(PHOTOS), photos)
    assert torch.equal(model.embed_sketches(SKETCHES), sketches)
    assert sum(value.numel() for value in model.parameters()) == sum(value.numel() for value in adapted().parameters())
    set_batch_norm(model, "shared")
    assert isinstance(norm_of(model), nn.BatchNorm2d)
    assert torch.equal(model.embed_photos(PHOTOS), photos)


def test_statistics_against_a_batch_norm_for_each_by_hand() -> None:
    switchable = SwitchableBatchNorm(nn.BatchNorm2d(3), "per_canvas", (32, 64)).train()
    by_hand = {name: nn.BatchNorm2d(3).train() for name in ("photos", 32, 64)}
    with torch.no_grad():
        for norm in (switchable.banks["photos"], *by_hand.values()):
            norm.weight.copy_(torch.tensor([1.0, 2.0, 3.0]))
    for step, name in enumerate(["photos", 32, 64, 32, "photos"] * 2):
        maps = torch.rand(2, 3, 5, 5) + step
        domain, canvas = ("photos", None) if name == "photos" else ("sketches", name)
        with passing(domain, canvas):  # type: ignore[arg-type]
            torch.testing.assert_close(switchable(maps), by_hand[name](maps))
    switchable.eval()
    maps = torch.rand(2, 3, 5, 5)
    for size in (32, 64):
        with passing("sketches", size):
            torch.testing.assert_close(switchable(maps), by_hand[size].eval()(maps))
    # A canvas without statistics of its own takes the nearest's.
    with passing("sketches", 50):
        assert switchable.bank() == "canvas_64"


@pytest.mark.parametrize("mode", MODES)
def test_modes_survive_saving(tmp_path: Path, mode: Any) -> None:
    model = adapted(mode).train()
    for _ in range(3):
        model.embed_photos(PHOTOS)
        for size in (32, 64):
            model.embed_sketches(SKETCHES, canvas=size)
    model.eval().save_pretrained(tmp_path)
    back = AdaptedModel.from_pretrained(tmp_path, pooled())
    assert back.description.batch_norm == mode
    for size in (32, 64):
        assert torch.equal(back.embed_sketches(SKETCHES, size), model.embed_sketches(SKETCHES, size))
    assert torch.equal(back.embed_photos(PHOTOS), model.embed_photos(PHOTOS))
    assert {key: value.flops for key, value in back.cost().per_canvas.items()} == {
        key: value.flops for key, value in adapted().cost().per_canvas.items()
    }
    assert back.cost().per_canvas[32].params == adapted().cost().per_canvas[32].params


def test_per_domain_grows_to_per_canvas_and_back() -> None:
    model = adapted("per_domain").train()
    model.embed_sketches(SKETCHES, canvas=64)
    before = means(model)
    set_batch_norm(model, "per_canvas")
    assert torch.equal(means(model)["canvas_32"], before["sketches"])
    assert norm_of(model).training
    set_batch_norm(model, "per_domain")
    assert torch.equal(means(model)["sketches"], before["sketches"])


def test_frozen_statistics_train_scale_and_shift() -> None:
    model = adapted("frozen").train()
    model.embed_photos(PHOTOS)[:, 0].sum().backward()
    assert norm_of(model).banks["photos"].weight.grad.any()


def test_threads_do_not_see_each_others_domain() -> None:
    norm = SwitchableBatchNorm(nn.BatchNorm2d(3), "per_domain").eval()
    seen: list[str] = []
    with passing("sketches"):
        thread = threading.Thread(target=lambda: seen.append(norm.bank()))
        thread.start()
        thread.join()
        assert norm.bank() == "sketches"
    assert seen == ["photos"]


def test_wrong_arguments() -> None:
    with pytest.raises(ParameterError, match="batch_norm must be one of shared, frozen"):
        set_batch_norm(adapted(), "split")  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="photos or sketches pass"), passing("paintings"):  # type: ignore[arg-type]
        pass
    model = adapted("per_canvas")
    with passing("sketches"), pytest.raises(ParameterError, match=r"say passing\('sketches', canvas\)"):
        model.embed(PHOTOS)
    with pytest.raises(ParameterError, match="batch norm is per_canvas"):
        fold_batch_norm(model)
    with pytest.raises(ParameterError, match="folded already"):
        fold_batch_norm(fold_batch_norm(adapted()))
    with pytest.raises(ParameterError, match="folded into the convolutions"):
        set_batch_norm(fold_batch_norm(adapted()), "frozen")


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


class Checkpointed(nn.Module):
    """Runs its inside again in backward."""

    def __init__(self, inside: nn.Module) -> None:
        super().__init__()
        self.inside = inside

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if not torch.is_grad_enabled():
            return self.inside(images)
        return torch.utils.checkpoint.checkpoint(self.inside, images, use_reentrant=False)


@pytest.mark.parametrize("training", [True, False])
def test_a_pass_that_is_repeated_in_backward_is_not_taken_for_photos(training: bool) -> None:
    model = adapt(Checkpointed(pooled()), canvases=(32, 64), photo_size=32, batch_norm="per_domain").train(training)
    embeddings = model.embed_rasters(torch.rand(2, 32, 32))
    with pytest.raises(ParameterError, match="what passes was not said"):
        embeddings.sum().backward()
    model.embed_photos(PHOTOS)


def test_in_training_what_passes_has_to_be_said() -> None:
    model = adapted("per_domain").train()
    images = torch.rand(2, 3, 32, 32)
    with pytest.raises(ParameterError, match="what passes was not said"):
        model(images)
    with passing("sketches"):
        model(images)
    model.eval()
    model(images)


class Functional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 3)
        self.register_buffer("running_mean", torch.zeros(4))
        self.register_buffer("running_var", torch.ones(4))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps = self.convolution(images)
        return nn.functional.batch_norm(maps, self.running_mean, self.running_var, training=self.training)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of scripts: torch deprecates them, people have them
def test_statistics_that_no_mode_could_hold_are_refused() -> None:
    layers = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
    scripted = torch.jit.script(nn.Sequential(*layers))
    for network in (Functional(), scripted):
        adapt(network, canvases=(32,), photo_size=32)
        for mode in ("frozen", "per_domain"):
            with pytest.raises(AdaptError, match="only batch_norm='shared'"):
                adapt(network, canvases=(32,), photo_size=32, batch_norm=mode)
    with pytest.raises(AdaptError, match="is scripted"):
        fold_batch_norm(adapt(scripted, canvases=(32,), photo_size=32))
