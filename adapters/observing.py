"""What passes through an ONNX graph: the values of tensors inside it, on images; and the constants that it holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sketchkit.adapters.onnx_graphs import require_onnx
from sketchkit.adapters.onnx_runtime import session

if TYPE_CHECKING:
    import onnx

__all__ = ["best_ranges", "constants", "group_of", "observed", "put_constant"]

_BINS = 2048
_STEPS = 255


def constants(model: onnx.ModelProto) -> dict[str, NDArray[Any]]:
    """The initializers of `model`'s graph by name, each of the shape that it has there, such as (outputs, inputs).

    Example:
        >>> from sketchkit.adapters import CanvasSelector
        >>> from sketchkit.adapters.onnx_graphs import selector_graph
        >>> constants(selector_graph(CanvasSelector(4), opset=18))["linear_bias"]
        array([0., 0., 0., 0.], dtype=float32)
    """
    to_array = require_onnx().numpy_helper.to_array
    return {tensor.name: to_array(tensor) for tensor in model.graph.initializer}


def put_constant(model: onnx.ModelProto, name: str, value: NDArray[Any]) -> None:
    """Make `value`, of any shape, the initializer `name` of `model`, in place; adds one where none is called so.

    Example:
        >>> from sketchkit.adapters import CanvasSelector
        >>> from sketchkit.adapters.onnx_graphs import selector_graph
        >>> graph = selector_graph(CanvasSelector(2), opset=18)
        >>> put_constant(graph, "linear_bias", np.ones(2, np.float32))
        >>> constants(graph)["linear_bias"]
        array([1., 1.], dtype=float32)
    """
    tensor = require_onnx().numpy_helper.from_array(np.ascontiguousarray(value), name)
    known = next((each for each in model.graph.initializer if each.name == name), None)
    (model.graph.initializer.add() if known is None else known).CopyFrom(tensor)


def group_of(convolution: onnx.NodeProto) -> int:
    """Into how many groups `convolution`, a Conv node, divides its channels; 1 where it does not say.

    Example:
        >>> group_of(require_onnx().helper.make_node("Conv", ["maps", "weight"], ["convolved"], group=4))
        4
    """
    return next((int(each.i) for each in convolution.attribute if each.name == "group"), 1)


def observed(
    model: onnx.ModelProto, names: Iterable[str], batches: Sequence[NDArray[np.float32]]
) -> Iterator[dict[str, NDArray[np.float32]]]:
    """The values of float tensors inside a graph, batch after batch.

    Args:
        model: takes `images`.
        names: of tensors that nodes give.
        batches: images (batch, channels, height, width) in 0..1; empty ones are passed over.

    Example:
        >>> graph = require_onnx().parser.parse_model(
        ...     '<ir_version: 10, opset_import: ["" : 18]> example (float[b, 3, h, w] images) => '
        ...     "(float[b, 3, h, w] embeddings) { positive = Relu(images) embeddings = Neg(positive) }"
        ... )
        >>> images = [np.ones((2, 3, 8, 8), np.float32), np.zeros((1, 3, 4, 4), np.float32)]
        >>> [(each["positive"].shape, float(each["positive"].max())) for each in observed(graph, ["positive"], images)]
        [((2, 3, 8, 8), 1.0), ((1, 3, 4, 4), 0.0)]
    """
    package = require_onnx()
    names = list(dict.fromkeys(names))
    watched = package.ModelProto()
    watched.CopyFrom(model)
    del watched.graph.output[:]
    watched.graph.output.extend(
        package.helper.make_tensor_value_info(name, package.TensorProto.FLOAT, None) for name in names
    )
    running = session(watched.SerializeToString()) if names else None
    for batch in batches:
        if len(batch) and running is not None:
            yield dict(zip(names, running.run(names, {"images": batch}), strict=True))


def best_ranges(
    model: onnx.ModelProto, names: Iterable[str], batches: Sequence[NDArray[np.float32]]
) -> dict[str, tuple[float, float]]:
    """For each tensor the (low, high) that 8 bits should span: where rounding and clipping err least together.

    The squares of the errors count, over all values; a range includes 0, and tensors that are 0 throughout are left
    out. What few values reach is clipped so that all the others are rounded less.

    Args:
        model: in float32, takes `images`.
        names: of tensors that nodes give.
        batches: see `observed`.

    Example:
        >>> graph = require_onnx().parser.parse_model(
        ...     '<ir_version: 10, opset_import: ["" : 18]> example (float[b, 3, h, w] images) => '
        ...     "(float[b, 3, h, w] embeddings) { positive = Relu(images) embeddings = Neg(positive) }"
        ... )
        >>> images = np.linspace(0, 1, 768, dtype=np.float32).reshape(1, 3, 16, 16)
        >>> best_ranges(graph, ["positive", "embeddings"], [images])
        {'positive': (0.0, 1.0), 'embeddings': (-1.0, 0.0)}
    """
    names = list(dict.fromkeys(names))
    reached = dict.fromkeys(names, (0.0, 0.0))
    for found in observed(model, names, batches):
        for name, (low, high) in reached.items():
            reached[name] = min(low, float(found[name].min())), max(high, float(found[name].max()))
    reached = {name: (low, high) for name, (low, high) in reached.items() if high > low}
    counts: Mapping[str, NDArray[np.int64]] = {name: np.zeros(_BINS, np.int64) for name in reached}
    for found in observed(model, reached, batches):
        for name, count in counts.items():
            count += np.histogram(found[name], _BINS, reached[name])[0]
    return {name: _least_error(count, *reached[name]) for name, count in counts.items()}


def _least_error(counts: NDArray[np.int64], low: float, high: float) -> tuple[float, float]:
    """The share of a range whose rounding to 8 bits, and clipping, is nearest to the values of a histogram."""
    edges = np.linspace(low, high, _BINS + 1)
    values = (edges[1:] + edges[:-1]) / 2
    shares = np.linspace(0.3, 1, 36)[:, None]
    step = shares * (high - low) / _STEPS
    zero = np.round(-shares * low / step)
    rounded = (np.clip(np.round(values / step) + zero, 0, _STEPS) - zero) * step
    best = float(shares[((rounded - values) ** 2 @ counts).argmin(), 0])
    return best * low, best * high
