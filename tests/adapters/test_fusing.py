"""A convolution and its frozen batch norm run as one, against the two run one after another."""

import pytest
import torch

from sketchkit.adapters import adapt, fused_batch_norm, mobilenet_v2, set_batch_norm
from sketchkit.errors import ParameterError


@pytest.fixture
def adapted():
    torch.manual_seed(0)
    model = adapt(mobilenet_v2(), canvases=(32, 64), photo_size=64).double()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, std=0.1)
    return model


def learned(model):
    """Embeddings of photos and of rasters on each canvas, and the gradients of a function of them all."""
    generator = torch.Generator().manual_seed(1)
    model.zero_grad()
    photos = torch.rand(2, 3, 64, 64, generator=generator, dtype=torch.float64)
    rasters = [torch.rand(2, side, side, generator=generator, dtype=torch.float64) for side in (32, 64)]
    embeddings = torch.cat([model.embed_photos(photos), *(model.embed_rasters(each) for each in rasters)])
    (embeddings**3).sum().backward()
    return embeddings.detach(), {name: each.grad for name, each in model.named_parameters() if each.grad is not None}


@pytest.mark.parametrize("mode", ["shared", "frozen", "per_domain", "per_canvas"])
def test_embeddings_and_gradients_are_those_of_the_two_layers(adapted, mode):
    set_batch_norm(adapted, mode)
    adapted.eval()
    for index, (name, buffer) in enumerate(adapted.named_buffers()):
        if name.endswith("running_mean"):
            buffer.add_(0.01 * (index % 7))  # the banks must differ, or a wrong one would not be seen
    if mode == "frozen":
        adapted.train()
    expected, gradients = learned(adapted)
    with fused_batch_norm(adapted) as count:
        found, fused = learned(adapted)
    assert count == 52, "MobileNetV2's batch norms"
    torch.testing.assert_close(found, expected)
    assert fused.keys() == gradients.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(fused[name], gradient, msg=lambda text, name=name: f"{name}: {text}")


def test_the_network_is_as_before_afterwards(adapted):
    before = {name: value.clone() for name, value in adapted.state_dict().items()}
    with pytest.raises(RuntimeError, match="stop"), fused_batch_norm(adapted):
        raise RuntimeError("stop")
    assert not any("forward" in module.__dict__ for module in adapted.modules())
    assert all(torch.equal(value, before[name]) for name, value in adapted.state_dict().items())


def test_statistics_cannot_be_taken(adapted):
    with (
        fused_batch_norm(adapted),
        pytest.raises(ParameterError, match="freeze it"),
    ):
        adapted.train().embed_photos(torch.rand(2, 3, 64, 64, dtype=torch.float64))
