"""Fine-tuning an adapted network: learning rates by depth, and frozen first layers.

Depth is the order in which a pass uses the weights (`execution.weight_layers`), so it means the same in every network.

Modes: `adapted.train()` sets dropout and batch norm to training, `adapted.eval()` to evaluation, as in all of torch;
`adapt` and `from_pretrained` give evaluation mode. The teacher in `kd_head` always evaluates. Layers that `freeze`
froze evaluate whatever the mode: their batch norm statistics do not move, their dropout drops nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn

from sketchkit.adapters.execution import Execution, execute, weight_layers
from sketchkit.errors import ParameterError

if TYPE_CHECKING:
    from sketchkit.adapters.adapted_model import AdaptedModel

__all__ = ["freeze", "parameter_groups"]

_NORMS = (
    *(
        nn.BatchNorm1d,
        nn.BatchNorm2d,
        nn.BatchNorm3d,
        nn.SyncBatchNorm,
        nn.GroupNorm,
        nn.LayerNorm,
        nn.LocalResponseNorm,
    ),
    *(nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d),
)
_CONVOLUTIONS = (
    *(nn.Conv1d, nn.Conv2d, nn.Conv3d),
    *(nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
)
_HELD = "held_in_evaluation"


def parameter_groups(
    adapted: AdaptedModel,
    *,
    lr: float,
    weight_decay: float = 0.0,
    layer_decay: float = 1.0,
    stages: int = 12,
) -> list[dict[str, Any]]:
    """Parameters for `torch.optim`: no weight decay on norms and biases, smaller learning rates for first layers.

    The network's weights in the order of their use are cut into `stages` parts of equal length; the last learns with
    `lr`, each earlier one with `layer_decay` times the rate of the next. Twelve stages are the twelve blocks of the
    transformers that layer decay was made for (Clark et al. 2020, arXiv 2003.10555), so a value means the same here.
    Left out are frozen parameters, the canvas selector (trained by itself) and the teacher.

    Args:
        adapted: the network; it is run once, in evaluation mode.
        lr: of the last stage.
        weight_decay: of weights. Vectors (biases, norms, class tokens, layer scales) and tables of positions have none:
            what has two axes or more behind a batch axis of 1, and is no convolution's, is such a table.
        layer_decay: above 0, at most 1.
        stages: how many parts.

    Returns:
        Groups with `params`, `lr`, `weight_decay` and `name`, first layers first.

    Raises:
        ParameterError: a number is out of range.
        AdaptError: the network is scripted.

    Example:
        >>> from sketchkit.adapters import adapt, mobilenet_v2
        >>> adapted = adapt(mobilenet_v2(), canvases=(32,), photo_size=32)
        >>> groups = parameter_groups(adapted, lr=1e-3, weight_decay=0.05, layer_decay=0.5, stages=2)
        >>> [(group["name"], group["lr"], group["weight_decay"]) for group in groups]  # doctest: +NORMALIZE_WHITESPACE
        [('stage 1 of 2', 0.0005, 0.05), ('stage 1 of 2, no decay', 0.0005, 0.0),
         ('stage 2 of 2', 0.001, 0.05), ('stage 2 of 2, no decay', 0.001, 0.0)]
    """
    if not lr > 0 or weight_decay < 0 or not 0 < layer_decay <= 1 or stages < 1:
        raise ParameterError(
            "lr must be above 0, weight_decay 0 or more, layer_decay above 0 and at most 1, stages 1 or more, not "
            f"{lr}, {weight_decay}, {layer_decay}, {stages}"
        )
    parameters = dict(adapted.named_parameters())
    layers = weight_layers(adapted)
    placed = {name: place for place, layer in enumerate(layers) for name in layer}
    count = max(min(stages, len(layers)), 1)
    norms, convolutions = _parameters_of(adapted, _NORMS), _parameters_of(adapted, _CONVOLUTIONS)
    groups: dict[tuple[int, bool], list[nn.Parameter]] = {}
    for name, value in parameters.items():
        if value.requires_grad and name.startswith(("backbone.", "projection.")):
            # What a pass does not use (an auxiliary head) may be used in training: it learns like the last layers.
            place = placed.get(name, len(layers) - 1)
            vector = value.ndim < 2 or (value.ndim > 2 and value.numel() == max(value.shape))
            table = value.ndim > 2 and value.shape[0] == 1 and id(value) not in convolutions
            decays = not (vector or table or id(value) in norms)
            groups.setdefault((place * count // max(len(layers), 1), decays), []).append(value)
    return [
        {
            "params": values,
            "lr": lr * layer_decay ** (count - 1 - stage),
            "weight_decay": weight_decay if decays else 0.0,
            "name": f"stage {stage + 1} of {count}" + ("" if decays else ", no decay"),
        }
        for (stage, decays), values in sorted(groups.items(), key=lambda item: (item[0][0], not item[0][1]))
    ]


def freeze(adapted: AdaptedModel, *, depth: int | None = None, share: float | None = None) -> tuple[str, ...]:
    """Freeze the first layers of the embedding network and make all deeper ones trainable.

    Frozen layers also evaluate, whatever mode is set: see the module's text. It survives `copy.deepcopy`, but is not
    saved.

    Args:
        adapted: changed in place; it is run once, in evaluation mode.
        depth: how many weights, in the order of their use, each with its bias and norm; 0 unfreezes all.
        share: of the weights, 0..1, in place of `depth`; rounded down.

    Returns:
        Names of the frozen parameters, in the order of their use.

    Raises:
        ParameterError: not exactly one of `depth` and `share` is given, or it is out of range.
        AdaptError: the network is scripted.

    Example:
        >>> from sketchkit.adapters import adapt, mobilenet_v2
        >>> adapted = adapt(mobilenet_v2(), canvases=(32,), photo_size=32)
        >>> [name.split("features.")[1] for name in freeze(adapted, depth=1)]
        ['0.0.weight', '0.1.weight', '0.1.bias']
    """
    execution = execute(adapted)
    layers = weight_layers(adapted, execution)
    count = _count(len(layers), depth, share)
    parameters = dict(adapted.named_parameters())
    frozen = [name for layer in layers[:count] for name in layer]
    for layer in layers:
        for name in layer:
            if parameters[name].is_floating_point():
                parameters[name].requires_grad_(False)
    for layer in layers[count:]:
        for name in layer:
            if parameters[name].is_floating_point():
                parameters[name].requires_grad_(True)
    _hold(adapted, execution, [name for layer in layers[count:] for name in layer], anything=count > 0)
    return tuple(frozen)


def _count(layers: int, depth: int | None, share: float | None) -> int:
    if (depth is None) == (share is None):
        raise ParameterError("freeze takes either depth= or share=")
    if share is not None:
        if not 0 <= share <= 1:
            raise ParameterError(f"share must be from 0 to 1, not {share}")
        return int(share * layers)
    assert depth is not None
    if not 0 <= depth <= layers:
        raise ParameterError(f"depth must be from 0 to {layers}, the weights of this network, not {depth}")
    return depth


def _hold(adapted: AdaptedModel, execution: Execution, trainable: list[str], *, anything: bool) -> None:
    """Keep in evaluation what is frozen, and what has no parameters but runs before the first trainable layer."""
    uses = (execution.first_use[name] for name in trainable if name in execution.first_use)
    boundary = min(uses, default=execution.clock + 1)
    last = {call.path: (call.module, call.end) for call in execution.calls}
    held: set[int] = set()
    for module, end in last.values() if anything else ():
        own = list(module.parameters())
        if not any(value.requires_grad for value in own) if own else end < boundary:
            held.update(map(id, module.modules()))
    for module in [*adapted.backbone.modules(), *([] if adapted.projection is None else adapted.projection.modules())]:
        if id(module) in held:
            if not hasattr(module, _HELD):
                module.register_forward_pre_hook(_stay_in_evaluation)
            setattr(module, _HELD, True)
            module.training = False
        elif hasattr(module, _HELD):
            setattr(module, _HELD, False)
            module.training = adapted.training


def _stay_in_evaluation(module: nn.Module, args: Any) -> None:
    # A function of the module, known to no object of ours: copies of the module keep it.
    if getattr(module, _HELD, False):
        module.training = False


def _parameters_of(adapted: AdaptedModel, kinds: tuple[type[nn.Module], ...]) -> set[int]:
    modules = (module for module in adapted.modules() if isinstance(module, kinds))
    return {id(value) for module in modules for value in module.parameters(recurse=False)}
