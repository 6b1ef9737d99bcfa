"""Batch norms that become part of the convolutions before them: the same embeddings for less time."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from sketchkit.adapters.batch_norm import replace_modules, set_batch_norm
from sketchkit.adapters.copying import copied
from sketchkit.adapters.execution import Execution, execute
from sketchkit.adapters.recording import Call
from sketchkit.adapters.stems import TwoStems
from sketchkit.errors import AdaptError, ParameterError

if TYPE_CHECKING:
    from sketchkit.adapters.adapted_model import AdaptedModel

__all__ = ["after_normalizing", "convolutions_before_norms", "fold_batch_norm", "restore_batch_norm"]


def fold_batch_norm(adapted: AdaptedModel) -> AdaptedModel:
    """A copy for inference whose batch norms are part of the convolutions before them: the same embeddings, faster.

    Folded is a batch norm that alone reads the output of a convolution, as one pass shows. Exact in evaluation mode
    within rounding, which is checked; the copy has no teacher, and can be saved and loaded, but not trained as before.

    Args:
        adapted: with `shared` or `frozen` batch norm.

    Raises:
        ParameterError: batch norm is per domain or per canvas, or folded already.
        AdaptError: the network is scripted, or the folded one gives other embeddings.

    Example:
        >>> from sketchkit.adapters import adapt, mobilenet_v2
        >>> folded = fold_batch_norm(adapt(mobilenet_v2(), canvases=(32,), photo_size=32))
        >>> any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
        False
    """
    mode = adapted.description.batch_norm
    if mode not in ("shared", "frozen"):
        raise ParameterError(
            f"batch norm is {mode}, and one convolution holds one set of statistics; set_batch_norm(copy, 'shared') "
            "keeps the photos' set"
            if mode != "folded"
            else "batch norm is folded already"
        )
    # Not even for a moment two teachers in memory.
    folded = copied(adapted, instead={id(adapted.kd_head): None})
    set_batch_norm(folded, "shared")
    folded.eval()
    before = _embeddings(folded)
    _fold(folded)
    after = _embeddings(folded)
    tolerance = min(1000 * torch.finfo(before.dtype).eps, 0.05)
    if not torch.allclose(before, after, rtol=0, atol=tolerance):
        apart = (before - after).abs().max().item()
        raise AdaptError(f"folding changes the embeddings by {apart:.2g}; keep {adapted.description.network} as it is")
    folded.description = replace(folded.description, batch_norm="folded")
    return folded


def restore_batch_norm(adapted: AdaptedModel) -> None:
    """Bring `adapted`, which was just built, into the form that its description's `batch_norm` names, in place.

    Example:
        >>> from sketchkit.adapters import adapt, mobilenet_v2
        >>> restore_batch_norm(adapt(mobilenet_v2(), canvases=(32,), photo_size=32))
    """
    mode = adapted.description.batch_norm
    if mode == "folded":
        _fold(adapted)
    elif mode != "shared":
        set_batch_norm(adapted, mode)  # type: ignore[arg-type]  # checked there


def convolutions_before_norms(execution: Execution) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """Convolutions and batch norms, each called once, with nothing in between and nobody else reading.

    Args:
        execution: one pass, as `execute` saw it.

    Example:
        >>> from sketchkit.adapters import adapt, mobilenet_v2
        >>> pairs = convolutions_before_norms(execute(adapt(mobilenet_v2(), canvases=(32,), photo_size=32)))
        >>> len(pairs), pairs[0][1].num_features
        (52, 32)
    """
    times: dict[int, int] = {}
    for call in execution.calls:
        times[id(call.module)] = times.get(id(call.module), 0) + 1
    made_by: dict[int, Call] = {}
    pairs = []
    for call in execution.calls:
        module = call.module
        if times[id(module)] > 1 or call.result is None:
            continue
        if isinstance(module, nn.Conv2d) and not hasattr(module, "parametrizations"):
            made_by[call.result] = call
        elif isinstance(module, nn.BatchNorm2d) and module.running_mean is not None and call.source in made_by:
            before = made_by[call.source]
            if execution.reads[call.source] == 1 and before.end < call.start:
                assert isinstance(before.module, nn.Conv2d)
                pairs.append((before.module, module))
    return pairs


def after_normalizing(norm: nn.BatchNorm2d) -> nn.Module | None:
    """What a batch norm does beside normalizing: nothing, or in a subclass its children one after another.

    Args:
        norm: with running statistics. A subclass is put into evaluation mode, and tried on noise.

    Returns:
        The rest as a module; None where a subclass does anything else.

    Example:
        >>> after_normalizing(nn.BatchNorm2d(8))
        Identity()
    """
    if type(norm) is nn.BatchNorm2d:
        return nn.Identity()
    rest = nn.Sequential(*norm.children())
    parameter = norm.running_mean
    assert parameter is not None
    noise = torch.randn(2, norm.num_features, 4, 4, generator=torch.Generator().manual_seed(0)).to(parameter)
    with torch.no_grad():
        plain = nn.functional.batch_norm(
            noise, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps
        )
        same = torch.allclose(norm.eval()(noise), copy.deepcopy(rest).eval()(plain), atol=1e-5)
    return rest if same else None


def _embeddings(adapted: AdaptedModel) -> torch.Tensor:
    """Of two photos of noise, and where sketches have a stem of their own, of two rasters."""
    embeddings = execute(adapted, images=2).result
    if adapted.description.stem is None:
        return embeddings
    canvas, planes = adapted.canvases[-1], adapted.description.sketch_channels
    rasters = torch.rand(2, planes, canvas.height, canvas.width, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return torch.cat([embeddings, adapted.embed(rasters.to(embeddings))])


def _fold(adapted: AdaptedModel) -> None:
    execution = execute(adapted)
    new: dict[int, nn.Module] = {}
    # The norm behind two stems serves both.
    stems = {id(module.photos) for module in adapted.backbone.modules() if isinstance(module, TwoStems)}
    for convolution, norm in convolutions_before_norms(execution):
        rest = after_normalizing(norm)
        if rest is not None and id(convolution) not in stems:
            mode = convolution.training
            new[id(convolution)] = fuse_conv_bn_eval(convolution.eval(), norm.eval())
            new[id(convolution)].train(mode)
            new[id(norm)] = rest
    replace_modules(adapted.backbone, new)
