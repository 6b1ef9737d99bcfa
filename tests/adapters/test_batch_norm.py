from __future__ import annotations

import copy
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.utils.checkpoint
from torch import nn

from sketchkit import AdaptedModel, AdaptError, ParameterError, Sketch, adapt
from sketchkit.adapters import SwitchableBatchNorm, fold_batch_norm, passing, set_batch_norm

from models import pooled

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
    """Statistics in buffers of a name of choice, moved by a function."""

    def __init__(self, name: str = "running_mean") -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 3)
        self.name = name
        self.register_buffer(name, torch.zeros(4))
        self.register_buffer("spread", torch.ones(4))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps = self.convolution(images)
        return nn.functional.batch_norm(maps, getattr(self, self.name), self.spread, training=self.training)


class Counting(nn.Module):
    """Buffers that every training pass moves, whatever its images."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.utils.parametrizations.spectral_norm(nn.Conv2d(3, 4, 3))
        self.norm = nn.BatchNorm2d(4)
        self.register_buffer("passes", torch.zeros(1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.passes += 1
        return nn.functional.dropout(self.norm(self.convolution(images)), training=self.training)


def layers(norm: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3), norm, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of scripts: torch deprecates them, people have them
@pytest.mark.parametrize(
    ("build", "said"),
    [
        (Functional, "running_mean of Functional,"),
        (lambda: nn.Sequential(nn.ReLU(), Functional("center")), "center of Functional 1,"),
        (lambda: layers(nn.InstanceNorm2d(4, track_running_stats=True)), "running_mean of InstanceNorm2d 1,"),
        (lambda: torch.jit.script(layers(nn.BatchNorm2d(4))), "running_mean of BatchNorm2d 1,"),
    ],
)
def test_statistics_that_no_mode_could_hold_are_refused(build: Any, said: str) -> None:
    network = build()
    model = adapt(network, canvases=(32,), photo_size=32)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for mode in ("frozen", "per_domain", "per_canvas"):
        with pytest.raises(AdaptError, match=f"training on images changes {said} .* only batch_norm='shared'"):
            set_batch_norm(model, mode)  # type: ignore[arg-type]
        with pytest.raises(AdaptError, match="only batch_norm='shared'"):
            adapt(network, canvases=(32,), photo_size=32, batch_norm=mode)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("mode", MODES)
def test_what_moves_with_any_images_is_no_statistics(mode: Any) -> None:
    torch.manual_seed(0)
    model = adapt(Counting(), canvases=(32,), photo_size=32)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    set_batch_norm(model, mode)
    assert torch.equal(torch.get_rng_state(), state)
    after = model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items() if name in after)


def test_a_network_that_cannot_be_trained_here_takes_any_mode() -> None:
    """`SyncBatchNorm` runs on GPUs alone."""
    model = adapted()
    model.backbone.network = nn.SyncBatchNorm.convert_sync_batchnorm(model.backbone.network)
    set_batch_norm(model, "frozen")
    assert model.train().embed_photos(PHOTOS).shape == (4, 8)


def test_statistics_of_frozen_norms_that_were_set_before_are_no_hindrance() -> None:
    model = adapted("per_canvas")
    set_batch_norm(model, "frozen")
    set_batch_norm(model, "per_domain")
    assert model.description.batch_norm == "per_domain"
