from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from sketchkit import AdaptError, Canvas, ParameterError, adapt
from sketchkit.adapters import AdaptedModel, fold_batch_norm, freeze, fused_batch_norm, parameter_groups
from sketchkit.adapters.execution import execute, weight_layers

from models import MODELS, Tokens, pooled

PHOTOS = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))


class Backwards(nn.Module):
    """Registered in one order, run in another; a dropout, and a norm without parameters, by the way."""

    def __init__(self) -> None:
        super().__init__()
        self.a_last = nn.Conv2d(6, 8, 1)
        self.third = nn.BatchNorm2d(6, affine=False)
        self.second = nn.Conv2d(4, 6, 1)
        self.early_dropout = nn.Dropout()
        self.norm = nn.BatchNorm2d(4)
        self.z_first = nn.Conv2d(3, 4, 3, stride=4)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps = self.early_dropout(self.norm(self.z_first(images)))
        return self.a_last(self.third(self.second(maps)))


def backwards() -> AdaptedModel:
    return adapt(Backwards(), canvases=(32,), photo_size=32)


def short(names: list[str] | tuple[str, ...]) -> list[str]:
    return [name.removeprefix("backbone.network.") for name in names]


def test_depth_is_the_order_of_use() -> None:
    layers = [short(layer) for layer in weight_layers(backwards())]
    assert layers == [
        ["z_first.weight", "z_first.bias", "norm.weight", "norm.bias"],
        ["second.weight", "second.bias"],
        ["a_last.weight", "a_last.bias"],
    ]


@pytest.mark.parametrize("name", MODELS)
def test_every_make_of_network_has_all_its_trained_parameters_in_one_layer(name: str) -> None:
    adapted = adapt(MODELS[name].build(), canvases=(32, 64), photo_size=32, embedding_dim=3).train()
    before = copy.deepcopy(adapted.state_dict())
    adapted.requires_grad_(True)
    layers = weight_layers(adapted)
    assert all(torch.equal(value, before[key]) for key, value in adapted.state_dict().items())
    assert all(module.training for module in adapted.modules())
    adapted.embed_photos(PHOTOS).sum().backward()
    reached = {key for key, value in adapted.named_parameters() if value.grad is not None}
    placed = [key for layer in layers for key in layer]
    assert len(placed) == len(set(placed))
    assert reached <= set(placed)
    # What runs beside the embedding is placed too: of these networks, a second head alone.
    assert all("head_dist" in key for key in set(placed) - reached)
    assert layers[-1] == ["projection.weight", "projection.bias"]


def test_groups_by_hand() -> None:
    adapted = backwards()
    groups = parameter_groups(adapted, lr=1.0, weight_decay=0.1, layer_decay=0.5)
    network = adapted.backbone.network
    expected = [
        (0.25, 0.1, [network.z_first.weight]),
        (0.25, 0.0, [network.norm.weight, network.norm.bias, network.z_first.bias]),
        (0.5, 0.1, [network.second.weight]),
        (0.5, 0.0, [network.second.bias]),
        (1.0, 0.1, [network.a_last.weight]),
        (1.0, 0.0, [network.a_last.bias]),
    ]
    found = [(group["lr"], group["weight_decay"], group["params"]) for group in groups]
    assert [each[:2] for each in found] == [each[:2] for each in expected]
    for (*_, mine), (*_, wanted) in zip(found, expected, strict=True):
        assert [id(value) for value in mine] == [id(value) for value in wanted]
    torch.optim.AdamW(groups)


def test_groups_leave_out_what_is_frozen_the_selector_and_the_teacher() -> None:
    adapted = adapt(pooled(), canvases=(32,), photo_size=32, teacher=pooled())
    freeze(adapted, depth=1)
    mine = {id(value) for group in parameter_groups(adapted, lr=1.0) for value in group["params"]}
    assert mine == {id(value) for value in adapted.backbone.parameters() if value.requires_grad}
    assert len(mine) == 2


def test_tokens_and_tables_of_positions_have_no_weight_decay() -> None:
    adapted = adapt(Tokens(table=17), canvases=(32,), photo_size=32)
    groups = parameter_groups(adapted, lr=1.0, weight_decay=0.1)
    decayed = {id(value) for group in groups if group["weight_decay"] for value in group["params"]}
    names = {name for name, value in adapted.backbone.network.named_parameters() if id(value) in decayed}
    assert not names & {"cls", "positions"}
    assert all(dict(adapted.backbone.network.named_parameters())[name].ndim >= 2 for name in names)
    assert "patches.weight" in names


def test_a_convolution_with_one_output_is_no_table() -> None:
    network = nn.Sequential(nn.Conv2d(3, 1, 3), nn.Conv2d(1, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    groups = parameter_groups(adapt(network, canvases=(32,), photo_size=32), lr=1.0, weight_decay=0.1)
    assert sum(len(group["params"]) for group in groups if group["weight_decay"]) == 2


@pytest.mark.parametrize("copied", [False, True])
def test_frozen_layers_stand_still_in_training(copied: bool) -> None:
    adapted = backwards()
    assert short(freeze(adapted, depth=1)) == ["z_first.weight", "z_first.bias", "norm.weight", "norm.bias"]
    if copied:
        adapted = copy.deepcopy(adapted)
    before = copy.deepcopy(adapted.state_dict())
    adapted.train()
    optimizer = torch.optim.SGD(parameter_groups(adapted, lr=1.0))
    torch.manual_seed(0)
    first = adapted.backbone.network.early_dropout(adapted.backbone.network.norm(torch.rand(1, 4, 2, 2)))
    assert first.count_nonzero() == first.numel()
    adapted.embed_photos(PHOTOS)[:, 0].sum().backward()
    optimizer.step()
    moved = {name for name, value in adapted.state_dict().items() if not torch.equal(value, before[name])}
    assert "backbone.network.second.weight" in moved
    assert "backbone.network.third.running_mean" in moved
    assert not [name for name in moved if "z_first" in name or "norm" in name]
    # And back: everything trains again.
    assert freeze(adapted, depth=0) == ()
    adapted.train()
    adapted.embed_photos(PHOTOS)
    assert not torch.equal(adapted.backbone.network.norm.running_mean, before["backbone.network.norm.running_mean"])
    assert all(value.requires_grad for value in adapted.backbone.parameters())


def test_a_share_is_rounded_down_and_all_can_be_frozen() -> None:
    adapted = backwards()
    assert len(freeze(adapted, share=0.5)) == 4
    assert len(freeze(adapted, share=1)) == 8
    adapted.train()
    assert not adapted.embed_photos(PHOTOS).requires_grad


def test_reads_count_who_looks_at_a_map() -> None:
    execution = execute(backwards())
    convolution = next(call for call in execution.calls if call.path.endswith("z_first"))
    assert convolution.result is not None
    assert execution.reads[convolution.result] == 1


def plain() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of scripts: torch deprecates them, people have them
def test_a_scripted_teacher_is_no_hindrance() -> None:
    adapted = adapt(plain(), canvases=(32,), photo_size=32, teacher=torch.jit.script(plain()))
    assert adapted.kd_head is not None
    assert any(isinstance(module, torch.jit.ScriptModule) for module in adapted.kd_head.modules())
    assert short(freeze(adapted, depth=1)) == ["0.weight", "0.bias", "1.weight", "1.bias"]
    assert parameter_groups(adapted, lr=1.0) == []
    embeddings = adapted.eval().embed_photos(PHOTOS)
    with fused_batch_norm(adapted) as count:
        assert count == 1
        torch.testing.assert_close(adapted.embed_photos(PHOTOS), embeddings)
    torch.testing.assert_close(fold_batch_norm(adapted).embed_photos(PHOTOS), embeddings)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    "look",
    [
        lambda adapted: freeze(adapted, depth=1),
        lambda adapted: parameter_groups(adapted, lr=1.0),
        fold_batch_norm,
        lambda adapted: fused_batch_norm(adapted).__enter__(),
    ],
)
def test_a_scripted_network_is_refused_with_the_way_out(look: Any) -> None:
    adapted = adapt(torch.jit.script(plain()), canvases=(32,), photo_size=32)
    said = "Sequential is scripted, and nobody can see .* adapt the module that it was scripted from"
    with pytest.raises(AdaptError, match=said):
        look(adapted)


def test_wrong_arguments() -> None:
    adapted = backwards()
    with pytest.raises(ParameterError, match="either depth= or share="):
        freeze(adapted)
    with pytest.raises(ParameterError, match="depth must be from 0 to 3"):
        freeze(adapted, depth=4)
    with pytest.raises(ParameterError, match="share must be"):
        freeze(adapted, share=1.5)
    with pytest.raises(ParameterError, match="lr must be above 0"):
        parameter_groups(adapted, lr=0)


def test_both_stems_are_of_the_first_layer() -> None:
    canvases = [Canvas(32, channels="orientation")]
    adapted = adapt(pooled(), canvases=canvases, photo_size=32)
    stems = {name for name in dict(adapted.named_parameters()) if ".photos." in name or ".sketches." in name}
    assert {name.split(".")[-2] for name in stems} == {"photos", "sketches"}
    assert stems <= set(weight_layers(adapted)[0])
    rates = {
        id(value): group["lr"]
        for group in parameter_groups(adapted, lr=1.0, layer_decay=0.1)
        for value in group["params"]
    }
    assert len({rates[id(dict(adapted.named_parameters())[name])] for name in stems}) == 1
    assert set(freeze(adapted, depth=1)) >= stems
    assert not any(dict(adapted.named_parameters())[name].requires_grad for name in stems)
