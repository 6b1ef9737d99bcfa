"""The layers that give a network's scores, followed backwards from its output through a recorded pass."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod

import torch.ao.nn.quantized as quantized
from torch import nn

from sketchkit.adapters.recording import Call, Operation, Recording

__all__ = ["ACTIVATIONS", "BEFORE", "LEAF_TYPES", "PASSED", "REORDERING", "VIEWS", "Chain", "Part", "trailing_chain"]

ACTIVATIONS: tuple[type[nn.Module], ...] = (
    *(nn.CELU, nn.ELU, nn.GELU, nn.GLU, nn.Hardsigmoid, nn.Hardswish, nn.Hardtanh, nn.LeakyReLU, nn.LogSigmoid),
    *(nn.LogSoftmax, nn.Mish, nn.PReLU, nn.ReLU, nn.SELU, nn.Sigmoid, nn.SiLU, nn.Softmax, nn.Softplus, nn.Tanh),
)
# Activations that turn scores into probabilities: a convolution before one of them may still be the last layer.
_OF_SCORES = (nn.LogSigmoid, nn.LogSoftmax, nn.Sigmoid, nn.Softmax)
# What may lie between the linear layers of a classifier.
_BETWEEN = (*ACTIVATIONS, nn.BatchNorm1d, nn.LayerNorm)
BEFORE: tuple[type[nn.Module], ...] = (nn.Dropout, nn.AlphaDropout, nn.Dropout2d, nn.Identity, nn.Flatten)
"""What may go with the first layer of a classifier."""
_LINEAR: tuple[type[nn.Module], ...] = (nn.Linear, quantized.Linear)
LEAF_TYPES: tuple[type[nn.Module], ...] = (*_LINEAR, *_BETWEEN, *BEFORE)
"""What a classifier may consist of; leaves of a recording, also when they are parametrized."""

# Operations outside modules that a chain may pass through ...
_UNCHANGED = {"dropout", "dropout_", "clone", "_to_copy", "contiguous", "native_dropout", "lift_fresh"}
PASSED = _UNCHANGED | {
    name + suffix
    for name in (
        *("celu", "elu", "gelu", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu", "mish", "relu", "silu", "tanh"),
    )
    for suffix in ("", "_")
}
"""Operations that change no place: activations, dropout, copies."""
# ... those that cannot be taken off with it when they come last, and those that only look at the same memory.
_LAST = {"_softmax", "_log_softmax", "sigmoid", "sigmoid_", "log_sigmoid_forward"}
REORDERING = {"permute", "transpose", "t", "movedim"}
"""Views in which places change their order."""
VIEWS = {"view", "_unsafe_view", "reshape", "alias", "detach", "expand", "unsqueeze", "squeeze", "select", "slice"}
VIEWS |= {"unbind", "split", "chunk", "as_strided", "split_with_sizes"} | REORDERING
"""Operations that only look at the same memory."""
_POOLING = {"mean", "sum", "amax", "avg_pool2d", "_adaptive_avg_pool2d", "adaptive_avg_pool2d", "adaptive_max_pool2d"}
_POOLING |= {"max_pool2d_with_indices", "max_pool2d", "logsumexp", "max"}
_SCALING = {name + suffix for name in ("mul", "div") for suffix in ("", "_")}
_ADDING = {name + suffix for name in ("add", "sub") for suffix in ("", "_")}
_PRODUCTS = {"mm", "addmm", "bmm", "baddbmm", "convolution", "linear", "matmul"}
# What features may well end in; anything else after a linear layer is not clear.
_OF_FEATURES = {"convolution", "cat", "stack", "native_layer_norm", "native_batch_norm", "native_group_norm", "linear"}
_OF_FEATURES |= {
    "bmm",
    "mm",
    "addmm",
    "cudnn_batch_norm",
    "_native_batch_norm_legit_no_training",
    "quantize_per_tensor",
}
_OF_FEATURES |= {"_transformer_encoder_layer_fwd", "_scaled_dot_product_flash_attention_for_cpu", "linalg_vector_norm"}
_OF_FEATURES |= _SCALING | _ADDING | _POOLING | PASSED | VIEWS
# What a weight may go through before it is multiplied with: cosine classifiers normalize theirs.
_OF_WEIGHTS = VIEWS | _SCALING | _UNCHANGED | {"exp", "clamp_min", "clamp", "linalg_vector_norm", "norm", "softplus"}


@dataclass(frozen=True, eq=False)
class Part:
    """One piece of a classifier: a module's call, or a parameter that a function multiplies with or adds.

    Args:
        path: of the module or parameter.
        source: storage of what went in.
        call: of the module; None for a parameter.
        neutral: what a parameter becomes when the classifier is taken off: `eye`, `zeros` or `ones`.
        width: of the features that went in, for the weights of functions.
        layer: whether it makes scores out of features.
    """

    path: str
    source: int
    call: Call | None = None
    neutral: str = ""
    width: int = 0
    layer: bool = False


@dataclass(eq=False)
class Chain:
    """The classifier's parts, the last one first.

    Args:
        parts: empty when the output comes from no layer of scores.
        blocking: a function at the end that would stay behind (softmax).
        unclear: the output comes from something that is neither known of features nor of scores.
    """

    parts: list[Part] = field(default_factory=list)
    blocking: Operation | None = None
    unclear: bool = False

    @property
    def scored(self) -> bool:
        """Whether a layer of scores is in it."""
        return any(part.layer for part in self.parts)


def trailing_chain(
    recording: Recording, storage: int, dimensions: int, parameters: dict[int, str], before: int | None = None
) -> Chain:
    """What gave the output: linear layers, 1x1 convolutions, products with parameters, and what lies between.

    A convolution is a classifier when it has a bias, no norm after it, and either all places are averaged after it or
    there is one place alone and no activation follows. Sums and means of several such outputs (distilled heads) count
    as one.

    Args:
        recording: the pass.
        storage: of the output.
        dimensions: of the output; scores made by convolutions and functions have two.
        parameters: storage -> path.
        before: look only at what happened before this event.
    """
    walk = _Walk(recording, storage, recording.clock + 1 if before is None else before, dimensions, parameters)
    walk.run()
    return walk.chain


class _Walk:
    """One way back from one tensor."""

    def __init__(
        self, recording: Recording, storage: int, before: int, dimensions: int, parameters: dict[int, str]
    ) -> None:
        self.recording, self.storage, self.before = recording, storage, before
        self.dimensions, self.parameters = dimensions, parameters
        self.chain = Chain()
        self.pooled = self.activated = False

    def run(self) -> None:
        while True:
            call = self.recording.last_call(self.storage, self.before)
            operation = self.recording.last_operation(self.storage, self.before)
            # A leaf of a kind unknown here is looked into.
            if call is not None and not isinstance(call.module, (*LEAF_TYPES, nn.Conv2d)):
                call = None
            if call is not None and (operation is None or call.end > operation.end):
                if not self._past_call(call):
                    break
            elif operation is None or not self._past_operation(operation):
                break
        self._keep_classifier()

    def _past_call(self, call: Call) -> bool:
        if call.source is None:
            return False
        if isinstance(call.module, nn.Conv2d):
            if self.chain.scored or call.module.bias is None or not self._may_be_scores(call.module, call.shape):
                return False
        elif isinstance(call.module, ACTIVATIONS) and not isinstance(call.module, _OF_SCORES):
            self.activated = True
        layer = isinstance(call.module, (*_LINEAR, nn.Conv2d))
        self.chain.parts.append(Part(call.path, call.source, call, layer=layer))
        self.storage, self.before = call.source, call.start
        return True

    def _past_operation(self, operation: Operation) -> bool:
        scored = self.chain.scored
        if operation.name in _LAST and not self.chain.parts:
            self.chain.blocking = operation
        elif operation.name in _POOLING and not scored:
            self.pooled = True
        elif operation.name in PASSED:
            self.activated |= operation.name not in _UNCHANGED
        elif operation.name in _PRODUCTS:
            return self._past_product(operation)
        elif operation.name in _SCALING | _ADDING | {"stack"} and not scored:
            return self._past_arithmetic(operation)
        elif operation.name not in VIEWS:
            self.chain.unclear |= operation.name not in _OF_FEATURES and not scored
            return False
        return self._to(operation.source, operation.end)

    def _past_product(self, operation: Operation) -> bool:
        """A product with a parameter; the operands are (x, weight), with the bias first or last."""
        found = [(self._parameter(storage, operation.end), storage, shape) for storage, shape in operation.operands]
        others = [storage for path, storage, _ in found if path is None]
        weights = [(path, shape) for path, _, shape in found if path is not None and len(shape) > 1]
        if self.dimensions != 2 or len(others) != 1 or len(weights) != 1:
            return False
        path, shape = weights[0]
        if operation.name == "convolution":
            if len(found) < 3 or self.chain.scored or shape[2:] != (1, 1):
                return False
            if not self._only_place_or_pooled(operation.shape):
                return False
        # The features' axis of the weight: the last of (scores, features) @ x, else the one before.
        first = found[0][0] == path or operation.name in ("convolution", "linear")
        width = shape[1] if operation.name in ("convolution", "linear") else shape[-1 if first else -2]
        self.chain.parts += [
            Part(bias, others[0], neutral="zeros", layer=False)
            for bias, _, shape in found
            if bias is not None and bias != path and prod(shape) > 1
        ]
        self.chain.parts.append(Part(path, others[0], neutral="eye", width=width, layer=True))
        return self._to(others[0], operation.end)

    def _past_arithmetic(self, operation: Operation) -> bool:
        found = [(self._parameter(storage, operation.end), storage, shape) for storage, shape in operation.operands]
        others = [storage for path, storage, shape in found if path is None and prod(shape) > 1]
        if len(others) == 1 and (len(found) == 1 or operation.name != "stack"):
            neutral = "zeros" if operation.name in _ADDING else "ones"
            self.chain.parts += [
                Part(path, others[0], neutral=neutral)
                for path, _, shape in found
                if path is not None and prod(shape) > 1
            ]
            return self._to(others[0], operation.end)
        if operation.name in _SCALING or len(others) < 2:
            return False
        # Several heads whose scores are added; where one of them is none, it is a residual of features.
        ways = [self._way(storage, operation.end) for storage in others]
        if all(way.scored for way in ways):
            for way in ways:
                self.chain.parts += way.parts
                self.chain.blocking = self.chain.blocking or way.blocking
        return False

    def _way(self, storage: int, before: int) -> Chain:
        walk = _Walk(self.recording, storage, before, self.dimensions, self.parameters)
        walk.pooled, walk.activated = self.pooled, self.activated
        walk.run()
        return walk.chain

    def _may_be_scores(self, module: nn.Conv2d, shape: tuple[int, ...]) -> bool:
        single = module.kernel_size == (1, 1) and module.groups == 1
        return single and self.dimensions == 2 and self._only_place_or_pooled(shape)

    def _only_place_or_pooled(self, shape: tuple[int, ...]) -> bool:
        return self.pooled or (prod(shape[2:]) == 1 and not self.activated)

    def _parameter(self, storage: int, before: int) -> str | None:
        """The path of the parameter that this tensor is, or was made of alone."""
        for _ in range(16):
            if storage in self.parameters:
                return self.parameters[storage]
            operation = self.recording.last_operation(storage, before)
            if operation is None or operation.name not in _OF_WEIGHTS or operation.source is None:
                return None
            storage, before = operation.source, operation.end
        return None

    def _to(self, storage: int | None, before: int) -> bool:
        if storage is None:
            return False
        self.storage, self.before = storage, before
        return True

    def _keep_classifier(self) -> None:
        """Up to the first layer, and what goes with it; nothing when there is no layer."""
        parts = self.chain.parts
        layers = [place for place, part in enumerate(parts) if part.layer]
        end = layers[-1] + 1 if layers else 0
        while layers and end < len(parts) and _goes_along(parts[end]):
            end += 1
        self.chain.parts = parts[:end]


def _goes_along(part: Part) -> bool:
    return part.call is not None and isinstance(part.call.module, BEFORE)
