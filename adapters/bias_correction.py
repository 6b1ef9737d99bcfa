"""What rounding moves the mean of a layer's output by, taken off its bias.

The ground of a drawing is one color, so a rounded weight errs there in the same direction at every place, and the
errors of all inputs add up. Source: Nagel et al. 2019, arXiv 1906.04721, section 4.2, measured on images.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sketchkit.adapters.observing import constants, observed, put_constant
from sketchkit.adapters.onnx_graphs import require_onnx

if TYPE_CHECKING:
    import onnx

__all__ = ["correct_biases"]


def correct_biases(
    quantized: onnx.ModelProto, model: onnx.ModelProto, batches: Sequence[NDArray[np.float32]]
) -> onnx.ModelProto:
    """A copy of a quantized graph, each convolution and linear layer of which gives the mean that it gave in float32.

    A layer is compared by what it makes of the float32 network's own activations, so that each answers for its own
    rounding alone, and one pass over the images is enough.

    Args:
        quantized: QDQ nodes around layers of `model`, which have kept their names.
        model: in float32.
        batches: images (batch, channels, height, width) in 0..1; every image counts alike.

    Example:
        >>> graph = require_onnx().parser.parse_model(
        ...     '<ir_version: 10, opset_import: ["" : 18]> example (float[b, 3, h, w] images) => '
        ...     "(float[b, 3, h, w] embeddings) { positive = Relu(images) embeddings = Neg(positive) }"
        ... )
        >>> same = correct_biases(graph, graph, [np.random.rand(2, 3, 32, 32).astype(np.float32)])
        >>> same == graph  # nothing in it is rounded
        True
    """
    corrected: onnx.ModelProto = require_onnx().ModelProto()
    corrected.CopyFrom(quantized)
    twins, biases = _with_twins(quantized, model)
    values = constants(quantized)
    sums: dict[str, NDArray[np.float64]] = {}
    rows = dict.fromkeys(biases, 0)
    for found in observed(twins, biases, batches):
        for name, moved in found.items():
            sums[name] = sums.get(name, np.zeros(1)) + moved.astype(np.float64).sum(axis=0)
            # One an image, or one a token.
            rows[name] += len(moved)
    for name, (bias, scale) in biases.items():
        shift = sums[name] / rows[name]
        if scale is None:
            put_constant(corrected, bias, (values[bias] + shift).astype(np.float32))
        else:
            put_constant(corrected, bias, (values[bias] + np.round(shift / values[scale])).astype(np.int32))
    return corrected


def _with_twins(
    quantized: onnx.ModelProto, model: onnx.ModelProto
) -> tuple[onnx.ModelProto, dict[str, tuple[str, str | None]]]:
    """The float32 graph with a rounded twin beside each layer, and where the differences of their means come out.

    Returns:
        The graph, and: tensor (rows, channels) -> initializers of the bias and, where it is rounded, of its scale.
    """
    package = require_onnx()
    twins: onnx.ModelProto = package.ModelProto()
    twins.CopyFrom(model)
    makers = {name: node for node in quantized.graph.node for name in node.output}
    layers = {node.name: node for node in model.graph.node if node.op_type in ("Conv", "Gemm")}
    values, constant = constants(quantized), constants(model)
    put_constant(twins, "twin_places", np.array([2, 3], np.int64))
    nodes: dict[str, Any] = {}
    biases: dict[str, tuple[str, str | None]] = {}
    for node in quantized.graph.node:
        layer = layers.get(node.name)
        if layer is None or len(layer.input) < 3 or layer.input[2] not in constant:
            continue
        restored, weight = (makers.get(name) for name in node.input[:2])
        if restored is None or weight is None or weight.input[0] not in values:
            continue
        rounding = makers[restored.input[0]]
        source = f"restored_{layer.input[0]}"
        for each, read, made in (
            (rounding, layer.input[0], f"rounded_{layer.input[0]}"),
            (restored, f"rounded_{layer.input[0]}", source),
            (weight, f"twin_{weight.input[0]}", f"restored_{weight.output[0]}"),
        ):
            copied = nodes.setdefault(made, package.NodeProto())
            copied.CopyFrom(each)
            copied.input[0], copied.output[0], copied.name = read, made, made
            for place, name in enumerate(each.input):
                if name in values:
                    copied.input[place] = f"twin_{name}"
                    put_constant(twins, f"twin_{name}", values[name])
        convolved, moved = f"twin_{layer.output[0]}", f"moved_{layer.output[0]}"
        twin = nodes.setdefault(convolved, package.NodeProto())
        twin.CopyFrom(layer)
        twin.name, twin.output[0] = convolved, convolved
        twin.input[0], twin.input[1] = source, f"restored_{weight.output[0]}"
        nodes[moved] = package.helper.make_node("Sub", [layer.output[0], convolved], [moved])
        mean = moved
        if layer.op_type == "Conv":
            mean = f"mean_{layer.output[0]}"
            nodes[mean] = package.helper.make_node("ReduceMean", [moved, "twin_places"], [mean], keepdims=0)
        rounded = makers.get(node.input[2])
        biases[mean] = (node.input[2], None) if rounded is None else (rounded.input[0], rounded.input[1])
    twins.graph.node.extend(nodes.values())
    return twins, biases
