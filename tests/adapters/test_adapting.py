from __future__ import annotations

import copy
import sys
import warnings
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import prune

from sketchkit import AdaptedModel, AdaptError, ParameterError, adapt
from sketchkit.adapters import mobilenet_v2, vgg16
from sketchkit.adapters.description import IMAGENET_MEAN
from sketchkit.adapters.onnx_graphs import float_copy
from sketchkit.errors import MissingDependencyError

from models import (
    MODELS,
    REFUSED,
    Functional,
    Interpolating,
    LateConvolution,
    MeanOfHeads,
    Pooled,
    Tokens,
    VggLike,
    Wrapped,
    flat_to_block,
    flat_to_linear,
    pooled,
    trunk,
)

SMALL: dict[str, Any] = {"canvases": (32, 64), "photo_size": 32, "selector_hidden": 8}


def state(model: nn.Module) -> tuple[Any, ...]:
    """Everything that adapting must leave alone."""
    return (
        repr(model),
        [module.training for module in model.modules()],
        [(name, value.requires_grad, value.grad) for name, value in model.named_parameters()],
        {name: value.clone() for name, value in model.state_dict().items()},
        [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules()],
    )


def assert_untouched(model: nn.Module, before: tuple[Any, ...]) -> None:
    after = state(model)
    assert after[:3] == before[:3]
    assert after[4] == before[4]
    assert all(torch.equal(after[3][name], value) for name, value in before[3].items())


@pytest.mark.parametrize("name", MODELS)
def test_finds_classifier_form_and_width(name: str) -> None:
    case = MODELS[name]
    adapted = adapt(case.build(), **SMALL)
    summary = adapted.summary()
    assert (summary.classifier, summary.output_form, summary.feature_width) == (case.classifier, case.form, case.width)
    assert adapted.description.channels == case.channels
    assert not adapted.training


@pytest.mark.parametrize("name", MODELS)
def test_leaves_the_model_as_it_was(name: str) -> None:
    model = MODELS[name].build().train()
    next(model.parameters()).requires_grad_(False)
    before = state(model)
    adapted = adapt(model, teacher=model, **SMALL)
    assert_untouched(model, before)
    own = {id(value) for value in model.parameters()}
    assert not own & {id(value) for value in adapted.parameters()}


@pytest.mark.parametrize("name", MODELS)
def test_embeds_any_number_of_pictures_alike(name: str) -> None:
    adapted = adapt(MODELS[name].build(), **SMALL)
    photos = torch.rand(3, 3, 32, 32)
    rasters = torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8)
    with torch.no_grad():
        for embed, pictures in ((adapted.embed_photos, photos), (adapted.embed_rasters, rasters)):
            together = embed(pictures).float()
            alone = torch.cat([embed(picture[None]) for picture in pictures]).float()
            assert together.shape == (3, MODELS[name].width)
            tolerance = 2e-2 if name == "half precision" else 1e-5
            torch.testing.assert_close(together, alone, atol=tolerance, rtol=0)
            torch.testing.assert_close(together.norm(dim=1), torch.ones(3), atol=tolerance, rtol=0)


@pytest.mark.parametrize("name", MODELS)
def test_gradients_reach_the_network(name: str) -> None:
    adapted = adapt(MODELS[name].build(), **SMALL)
    adapted.embed_photos(torch.rand(2, 3, 32, 32))[:, 0].sum().backward()
    gradients = [value.grad for value in adapted.backbone.parameters() if value.grad is not None]
    assert gradients
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.parametrize("name", REFUSED)
def test_refuses_with_the_reason_and_the_way_out(name: str) -> None:
    case = REFUSED[name]
    with pytest.raises(AdaptError) as caught:
        adapt(case.build(), **{**SMALL, **case.arguments})
    for word in case.words:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_features_are_those_before_the_classifier() -> None:
    model = pooled().eval()
    images = torch.rand(2, 3, 32, 32)
    adapted = adapt(model, mean=(0, 0, 0), std=(1, 1, 1), **SMALL)
    with torch.no_grad():
        expected = nn.functional.normalize(model.trunk(images).mean((2, 3)), dim=1)
        torch.testing.assert_close(adapted.embed_photos(images), expected)


def test_a_flattened_map_is_averaged_over_its_places() -> None:
    model = VggLike().eval()
    adapted = adapt(model, **SMALL)
    inputs = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        expected = model.avgpool(model.features(inputs)).mean((2, 3))
        torch.testing.assert_close(adapted.backbone(inputs), expected)


def test_a_linear_layer_on_the_whole_map_frees_the_input_size_when_taken_off() -> None:
    adapted = adapt(flat_to_linear(32), **SMALL)
    assert adapted.summary().classifier == ("1", "2", "3", "4")
    assert adapted.embed_rasters(torch.zeros(1, 64, 64, dtype=torch.uint8)).shape == (1, 8)


def test_classifier_by_hand() -> None:
    head = nn.Sequential(nn.Linear(8, 7), nn.ReLU(), nn.Linear(7, 5))
    model = Pooled("mlp", head)
    assert adapt(model, classifier="mlp.2", **SMALL).embedding_dim == 7
    assert adapt(model, classifier="mlp", **SMALL).embedding_dim == 8
    assert adapt(model, classifier=None, **SMALL).embedding_dim == 5
    late = adapt(LateConvolution(), classifier="flatten", **SMALL)
    assert (late.summary().classifier, late.embedding_dim) == (("flatten", "classifier"), 12)


def test_a_mean_of_heads_is_taken_off_by_name() -> None:
    model = MeanOfHeads().eval()
    adapted = adapt(model, classifier="head", **SMALL)
    assert adapted.summary().classifier == ("head", "head_dist")
    inputs = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(adapted.backbone(inputs), model.trunk(inputs).mean((2, 3)))


@pytest.mark.parametrize("kind", ["linear", "matmul", "cosine", "convolution"])
def test_a_function_of_parameters_gives_what_it_takes_when_taken_off(kind: str) -> None:
    model = Functional(kind).eval()
    adapted = adapt(model, **SMALL)
    inputs = torch.rand(2, 3, 32, 32)
    expected = F.normalize(model.trunk(inputs).mean((2, 3)))
    torch.testing.assert_close(adapted.embed(inputs), expected)
    assert not {name for name, _ in adapted.backbone.named_parameters()} & {"network.weight", "network.bias"} - {
        "network.bias" if kind == "cosine" else ""
    }


def test_places_of_maps_and_tokens_are_averaged() -> None:
    for name in ("map, channels last", "tokens, channels first"):
        model = MODELS[name].build().eval()
        inputs = torch.rand(2, 3, 64, 64)
        with torch.no_grad():
            expected = model.inner(inputs).mean((2, 3))
            torch.testing.assert_close(adapt(model, **SMALL).backbone(inputs), expected)


def test_scripted_and_quantized_networks() -> None:
    model = nn.Sequential(trunk(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)).eval()
    inputs = torch.rand(2, 3, 32, 32)
    expected = model[0](inputs).mean((2, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls both of them outdated
        scripted = torch.jit.script(model)
        quantized = torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8)
        networks = {"scripted": adapt(scripted, **SMALL), "quantized": adapt(quantized, **SMALL)}
    for adapted in networks.values():
        torch.testing.assert_close(adapted.backbone(inputs), expected)
        assert adapted.backbone(inputs).requires_grad
    assert networks["scripted"].description.classifier == ("3.weight=eye(8)", "3.bias=zeros(8)")
    assert scripted(inputs).shape == (2, 5)


def test_mean_std_and_size_are_those_the_network_states() -> None:
    adapted = adapt(Interpolating(), canvases=(32, 64), selector_hidden=8)
    assert (adapted.photo_size, adapted.description.mean, adapted.description.std) == (32, (0.5,) * 3, (0.25,) * 3)
    assert adapted.description.output.options == ("interpolate_pos_encoding",)
    given = adapt(Interpolating(), mean=(0.1, 0.2, 0.3), **SMALL).description
    assert (given.mean, given.std) == ((0.1, 0.2, 0.3), (0.25,) * 3)
    assert adapt(pooled(), canvases=(32,)).description.mean == IMAGENET_MEAN
    assert adapt(pooled(), canvases=(32,)).photo_size == 256
    fixed = adapt(Tokens(table=50, head=True), canvases=(56,))
    assert fixed.photo_size == 56


def test_what_timm_states_is_found_within_a_wrapper() -> None:
    model = pooled()
    model.pretrained_cfg = {"mean": (0, 0, 0), "std": (1, 1, 1), "input_size": (3, 48, 48), "fixed_input_size": True}
    adapted = adapt(Wrapped(model, lambda x: x), canvases=(32,))
    assert (adapted.description.mean, adapted.description.std, adapted.photo_size) == ((0, 0, 0), (1, 1, 1), 48)


def test_one_image_alone_in_training() -> None:
    model = Pooled("fc", nn.Sequential(nn.BatchNorm1d(8), nn.Linear(8, 5)))
    adapted = adapt(model, **SMALL).train()
    assert adapted.backbone(torch.rand(2, 3, 32, 32)).shape == (2, 8)
    with pytest.raises(ParameterError, match=r"32 x 32 px alone .* batches of 2"):
        adapted.backbone(torch.rand(1, 3, 32, 32))


def test_the_networks_statistics_are_not_changed_by_probing() -> None:
    model = pooled()
    adapted = adapt(model, **SMALL)
    assert torch.equal(adapted.backbone.network.trunk[1].running_mean, model.trunk[1].running_mean)


def test_embedding_dim_adds_a_projection() -> None:
    adapted = adapt(pooled(), embedding_dim=3, **SMALL)
    assert adapted.projection is not None
    assert adapted.embed_photos(torch.rand(2, 3, 32, 32)).shape == (2, 3)
    assert adapt(pooled(), **SMALL).projection is None


def test_the_random_state_is_left_alone_by_probing() -> None:
    model = pooled()
    torch.manual_seed(3)
    adapt(model, **SMALL)
    first = torch.rand(1)
    torch.manual_seed(3)
    adapt(model, **SMALL)
    assert torch.equal(first, torch.rand(1))


@pytest.mark.parametrize(
    ("build", "classifier", "width"),
    [(mobilenet_v2, ("classifier",), 1280), (vgg16, (), 512), (lambda: "mobilenet_v2", ("classifier",), 1280)],
)
def test_the_papers_networks(build: Callable[[], nn.Module | str], classifier: tuple[str, ...], width: int) -> None:
    adapted = adapt(build(), canvases=(32,), photo_size=32)
    assert (adapted.summary().classifier, adapted.embedding_dim) == (classifier, width)
    assert adapted.description.source is not None


def test_a_changed_network_of_ours_is_not_rebuilt_by_name() -> None:
    model = mobilenet_v2()
    model.features[0][0] = nn.Conv2d(3, 32, 5, 2, 2)
    assert adapt(model, canvases=(32,), photo_size=32).description.source is None


def test_teacher_is_frozen_and_stays_in_evaluation_mode() -> None:
    adapted = adapt(pooled(), teacher=VggLike(), **SMALL).train()
    assert adapted.kd_head is not None
    assert not any(value.requires_grad for value in adapted.kd_head.parameters())
    assert not any(module.training for module in adapted.kd_head.teacher.modules())
    assert adapted.backbone.training
    assert adapted.summary().teacher == "VggLike"
    assert adapt(pooled(), **SMALL).kd_head is None
    given = adapt(VggLike(), **SMALL)
    again = adapt(pooled(), teacher=given, **SMALL)
    assert again.kd_head is not None
    assert again.kd_head.teacher is not given
    assert all(value.requires_grad for value in given.parameters())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"canvases": ()}, "at least one"),
        ({"canvases": (32, 32)}, "different sizes"),
        ({"photo_size": 0}, "photo_size"),
        ({"embedding_dim": 0}, "embedding_dim"),
        ({"mean": (0.5,)}, "mean and std need 3"),
        ({"std": (0.0, 1.0, 1.0)}, "std must be above 0"),
        ({"selector_points": 1}, "points must be at least 2"),
        ({"pretrained": True}, "for names"),
    ],
)
def test_parameters_out_of_range(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ParameterError, match=words):
        adapt(pooled(), **{**SMALL, **arguments})


def test_what_is_no_network_is_refused() -> None:
    with pytest.raises(ParameterError, match="not int"):
        adapt(3)  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="adapted already"):
        adapt(adapt(pooled(), **SMALL))


class FakeTimm(ModuleType):
    """The three functions of timm that are used."""

    def __init__(self) -> None:
        super().__init__("timm")
        self.asked: list[tuple[str, bool]] = []

    def is_model(self, name: str) -> bool:
        return name == "tiny_net"

    def list_models(self) -> list[str]:
        return ["tiny_net"]

    def create_model(self, name: str, pretrained: bool) -> nn.Module:
        self.asked.append((name, pretrained))
        return pooled()


def _install_timm(monkeypatch: pytest.MonkeyPatch, module: Any) -> None:
    monkeypatch.setitem(sys.modules, "timm", module)
    monkeypatch.setattr("sketchkit.adapters.sources.find_spec", lambda name: module)


def test_names_of_timm(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    timm = FakeTimm()
    _install_timm(monkeypatch, timm)
    adapted = adapt("tiny_net", pretrained=True, **SMALL)
    adapted.save_pretrained(tmp_path)
    loaded = AdaptedModel.from_pretrained(tmp_path)
    assert timm.asked == [("tiny_net", True), ("tiny_net", False)]
    photos = torch.rand(2, 3, 32, 32)
    assert torch.equal(adapted.embed_photos(photos), loaded.embed_photos(photos))
    with pytest.raises(ParameterError, match="tiny_net"):
        adapt("tiny_nett")


def test_names_without_timm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sketchkit.adapters.sources.find_spec", lambda name: None)
    with pytest.raises(ParameterError, match=r"mobilenet_v2, vgg16.*pip install timm"):
        adapt("resnet18")


def test_a_broken_timm_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    _install_timm(monkeypatch, object())
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(MissingDependencyError, match="timm is installed but cannot be imported"):
        adapt("resnet18")


class Counted:
    """A hook that counts its calls in itself."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, *_: Any) -> None:
        self.calls += 1


def test_hooks_are_copied_with_the_network_and_run_in_trials() -> None:
    model, own, shared = pooled(), Counted(), []
    model.trunk[0].register_forward_hook(own)
    model.trunk[0].register_forward_hook(lambda *_: shared.append(1))
    adapted = adapt(model, **SMALL)
    assert own.calls == 0, "the copy counts in a copy"
    assert shared, "what a function holds is not copied"
    before = len(shared)
    adapted.embed_photos(torch.rand(1, 3, 32, 32))
    assert len(shared) == before + 1
    model(torch.rand(1, 3, 32, 32))
    assert own.calls == 1


@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")  # people have networks with the old one
@pytest.mark.parametrize(
    ("wrap", "trained"),
    [(nn.utils.weight_norm, "weight_v"), (lambda layer: prune.l1_unstructured(layer, "weight", 0.5), "weight_orig")],
)
def test_weights_that_a_hook_computes_are_adapted_and_trained(wrap: Any, trained: str) -> None:
    model = pooled().eval()
    wrap(model.trunk[3])
    inputs = torch.rand(2, 3, 32, 32)
    expected = F.normalize(model.trunk(inputs).mean((2, 3)))
    adapted = adapt(model, teacher=model, **SMALL)
    torch.testing.assert_close(adapted.embed(inputs), expected)
    adapted.embed(inputs)[:, 0].sum().backward()
    parameter = getattr(adapted.backbone.network.trunk[3], trained)
    assert parameter.grad.any()
    assert getattr(model.trunk[3], trained).grad is None
    with torch.no_grad():
        parameter.mul_(torch.linspace(0.5, 2, parameter.numel()).reshape(parameter.shape))
    changed = adapted.embed(inputs)
    assert not torch.allclose(changed, expected, atol=1e-3)
    torch.testing.assert_close(float_copy(adapted).embed(inputs), changed)


def test_a_copy_of_an_adapted_model_is_independent() -> None:
    adapted = adapt(flat_to_block(32), canvases=(32,), photo_size=32)
    other = copy.deepcopy(adapted)
    next(other.backbone.parameters()).data.zero_()
    assert next(adapted.backbone.parameters()).abs().sum() > 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"canvases": 32}, "canvases must be several"),
        ({"photo_size": (64, 48)}, "photo_size must be a whole number"),
        ({"photo_size": 0}, "photo_size must be a whole number"),
        ({"embedding_dim": 2.5}, "embedding_dim must be a whole number"),
        ({"mean": 0.5}, "mean must be one number a channel"),
    ],
)
def test_wrong_options_are_said_in_a_sentence(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ParameterError, match=said):
        adapt(pooled(), **options)


def test_statistics_may_be_arrays_and_tensors() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1))
    for values in (np.array([0.1, 0.2, 0.3]), torch.tensor([0.1, 0.2, 0.3])):
        adapted = adapt(network, canvases=(16,), photo_size=16, mean=values, std=values)
        assert adapted.description.mean == pytest.approx((0.1, 0.2, 0.3))


def test_what_is_adapted_in_inference_mode_can_be_trained() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1))
    with torch.inference_mode():
        adapted = adapt(network, canvases=(16,), photo_size=16)
    adapted.embed_photos(torch.rand(2, 3, 16, 16)).sum().backward()
    assert next(adapted.backbone.parameters()).grad is not None


def test_photos_in_half_precision_are_resized() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1))
    adapted = adapt(network, canvases=(16,), photo_size=16)
    photos = torch.rand(2, 3, 20, 18)
    torch.testing.assert_close(adapted.embed_photos(photos.half()), adapted.embed_photos(photos), atol=1e-3, rtol=0)
