"""Training through frozen batch norms at the price of the convolutions alone.

A batch norm whose statistics are frozen is an affine map, so that it and the convolution before it are one convolution.
`fold_batch_norm` computes that once, for inference; here it is computed anew in every pass, as a function of all their
parameters, so that gradients reach each of them as if nothing were fused. What is saved is a map that would be written,
kept for `backward`, and read again for each batch norm: on a CPU some 30 % of MobileNetV2's training step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import nn

from sketchkit.adapters.batch_norm import SwitchableBatchNorm
from sketchkit.adapters.execution import execute
from sketchkit.adapters.folding import after_normalizing, convolutions_before_norms
from sketchkit.adapters.stems import TwoStems
from sketchkit.errors import ParameterError

if TYPE_CHECKING:
    from sketchkit.adapters.adapted_model import AdaptedModel

__all__ = ["fused_batch_norm"]


@contextmanager
def fused_batch_norm(adapted: AdaptedModel) -> Iterator[int]:
    """Within this block each convolution and the batch norm behind it are one convolution; parameters stay as they are.

    The same embeddings and gradients within rounding. Batch norm must not take statistics of batches: a model in
    evaluation mode, or one with `frozen` batch norm in any mode. Norms that do not directly follow a convolution, and
    alone read its output, run as ever.

    Args:
        adapted: changed for the time of the block.

    Yields:
        How many batch norms are fused.

    Raises:
        AdaptError: the network is scripted.
        ParameterError: within the block, a fused batch norm was asked to take statistics of a batch.

    Example:
        >>> from sketchkit.adapters import adapt, mobilenet_v2
        >>> adapted = adapt(mobilenet_v2(), canvases=(32,), photo_size=32)
        >>> photos = torch.rand(1, 3, 32, 32)
        >>> before = adapted.embed_photos(photos)
        >>> with fused_batch_norm(adapted) as count:
        ...     count, torch.allclose(adapted.embed_photos(photos), before, atol=1e-5)
        (52, True)
    """
    patched: list[nn.Module] = []
    try:
        count = 0
        for convolution, norm, rest in _fusible(adapted):
            banks = _banks(adapted, norm)
            # In the instance, where it goes before the class's own.
            convolution.__dict__["forward"] = _fused(convolution, banks)
            for bank in banks.banks.values() if isinstance(banks, SwitchableBatchNorm) else [norm]:
                bank.__dict__["forward"] = rest.forward
                patched.append(bank)
            patched.append(convolution)
            count += 1
        yield count
    finally:
        for module in patched:
            module.__dict__.pop("forward", None)


def _fusible(adapted: AdaptedModel) -> list[tuple[nn.Conv2d, nn.BatchNorm2d, nn.Module]]:
    # The norm behind two stems serves both.
    stems = {id(module.photos) for module in adapted.backbone.modules() if isinstance(module, TwoStems)}
    found = []
    for convolution, norm in convolutions_before_norms(execute(adapted)):
        rest = after_normalizing(norm)
        if rest is not None and id(convolution) not in stems and norm.track_running_stats:
            found.append((convolution, norm, rest))
    return found


def _banks(adapted: AdaptedModel, norm: nn.BatchNorm2d) -> nn.Module:
    """The module that says which statistics are in use: the norm, or what switches between it and others."""
    for module in adapted.backbone.modules():
        if isinstance(module, SwitchableBatchNorm) and any(bank is norm for bank in module.banks.values()):
            return module
    return norm


def _fused(convolution: nn.Conv2d, norms: nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
    def forward(maps: torch.Tensor) -> torch.Tensor:
        norm = norms.banks[norms.bank()] if isinstance(norms, SwitchableBatchNorm) else norms
        assert isinstance(norm, nn.BatchNorm2d)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        if norm.training:
            raise ParameterError("batch norm is to take statistics, and is fused; call eval() or freeze it")
        scale = torch.rsqrt(norm.running_var + norm.eps)
        scale = scale if norm.weight is None else scale * norm.weight
        shift = -norm.running_mean * scale
        if convolution.bias is not None:
            shift = shift + convolution.bias * scale
        if norm.bias is not None:
            shift = shift + norm.bias
        weight = convolution.weight * scale[:, None, None, None]
        convolved: torch.Tensor = convolution._conv_forward(maps, weight, shift)
        return convolved

    return forward
