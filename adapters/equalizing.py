"""Channels of one range: what 8 bits for a whole tensor need, and a network in float32 does not care about.

Between two convolutions each channel can be multiplied by a factor of its own: the first one's weights give it, the
second one's take it away, and a channel that hardly moves is not rounded away beside one that moves much. Source: Nagel
et al. 2019, arXiv 1906.04721, section 4.1; here also along residual streams, whose convolutions all share the factors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sketchkit.adapters.observing import constants, group_of, observed, put_constant
from sketchkit.adapters.onnx_graphs import require_onnx

if TYPE_CHECKING:
    import onnx

__all__ = ["equalize"]

# Where a factor on a channel of the input is the same factor on that channel of the output.
_CARRYING = ("Add", "AveragePool", "Clip", "GlobalAveragePool", "LeakyRelu", "MaxPool", "Relu")
# Half of the way, as a logarithm: what activations gain, the weights behind them lose.
_SHARE = 0.5
_WIDEST = 64.0


@dataclass
class _Stream:
    """Tensors that must share the factors of their channels, with the convolutions that make and read them.

    `bounds` has the upper bound of each tensor that a Clip makes.
    """

    tensors: list[str] = field(default_factory=list)
    makers: list[onnx.NodeProto] = field(default_factory=list)
    readers: list[onnx.NodeProto] = field(default_factory=list)
    bounds: dict[str, float] = field(default_factory=dict)


def equalize(model: onnx.ModelProto, batches: Sequence[NDArray[np.float32]]) -> onnx.ModelProto:
    """A copy that computes the same on these images, in which the channels of a tensor reach about equally far.

    Factors pass through sums, pooling, ReLU, and clipping that begins at 0, up to where a channel would be clipped that
    was not before; where anything else reads a tensor, it stays as it is.

    Args:
        model: in float32; each convolution has weights and a bias that are its own initializers.
        batches: images (batch, channels, height, width) in 0..1.

    Example:
        >>> from sketchkit import adapt
        >>> from sketchkit.adapters.onnx_graphs import float_copy, student_graph
        >>> import torch
        >>> network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Conv2d(4, 8, 3))
        >>> graph, _ = student_graph(float_copy(adapt(network, canvases=(32,), photo_size=32)), 18)
        >>> images = [np.random.rand(2, 3, 32, 32).astype(np.float32)]
        >>> before, after = (next(observed(each, ["embeddings"], images)) for each in (graph, equalize(graph, images)))
        >>> np.allclose(before["embeddings"], after["embeddings"], atol=1e-5)
        True
    """
    copied: onnx.ModelProto = require_onnx().ModelProto()
    copied.CopyFrom(model)
    values = constants(copied)
    streams = _streams(copied, values)
    reached: dict[str, NDArray[np.float32]] = {}
    for found in observed(copied, [name for each in streams for name in (*each.tensors, *each.bounds)], batches):
        for name, maps in found.items():
            largest = np.abs(maps).max(axis=(0, 2, 3))
            reached[name] = np.maximum(reached[name], largest) if name in reached else largest
    for stream in streams:
        ranges = [reached[name] for name in stream.tensors]
        # A sum may have spread a single channel over all of them.
        if len({each.shape for each in ranges}) == 1 and np.max(ranges) > 0:
            clipped = [(reached[name], bound) for name, bound in stream.bounds.items()]
            _scale(stream, values, _factors(np.max(ranges, axis=0), clipped))
    for name in {name for stream in streams for node in (*stream.makers, *stream.readers) for name in node.input[1:3]}:
        put_constant(copied, name, values[name].astype(np.float32))
    return copied


def _factors(ranges: NDArray[np.float32], clipped: Sequence[tuple[NDArray[np.float32], float]]) -> NDArray[np.float32]:
    """At least 1 for each channel, from what it reaches, and from what it reaches behind clips with their bounds."""
    widest = ranges.max()
    factors = (widest / np.maximum(ranges, widest / _WIDEST)) ** _SHARE
    for reached, bound in clipped:
        factors = np.minimum(factors, bound / np.maximum(reached, bound / _WIDEST))
    return np.asarray(factors, np.float32)


def _scale(stream: _Stream, values: dict[str, NDArray[Any]], factors: NDArray[np.float32]) -> None:
    for node in stream.makers:
        weight, bias = node.input[1:3]
        values[weight] = values[weight] * factors[:, None, None, None]
        values[bias] = values[bias] * factors
    for node in stream.readers:
        weight, groups = node.input[1], group_of(node)
        outputs, inputs = values[weight].shape[:2]
        of_outputs = factors.reshape(groups, inputs).repeat(outputs // groups, axis=0)
        values[weight] = values[weight] / of_outputs[:, :, None, None]


def _streams(model: onnx.ModelProto, values: dict[str, NDArray[Any]]) -> list[_Stream]:
    """All tensors that convolutions alone make and read, with nothing between them but what carries factors."""
    parents: dict[str, str] = {}

    def root(name: str) -> str:
        while parents.setdefault(name, name) != name:
            name = parents[name]
        return name

    for node in model.graph.node:
        if _carries(node, values):
            for name in (*_maps(node, values), *node.output):
                parents[root(name)] = root(node.output[0])
    streams: dict[str, _Stream] = {}
    refused = {root(value.name) for value in (*model.graph.input, *model.graph.output)}
    for node in model.graph.node:
        convolves = node.op_type == "Conv" and len(values.get(node.input[1], np.zeros(0)).shape) == 4
        for name in _maps(node, values):
            stream = streams.setdefault(root(name), _Stream())
            # What a ReLU reads is never rounded: rounding and cutting off are one.
            if not _cuts(node):
                stream.tensors.append(name)
            if convolves and len(node.input) == 3 and node.input[2] in values:
                stream.readers.append(node)
            elif not _carries(node, values) and node.op_type != "Shape":
                refused.add(root(name))
        for name in node.output:
            stream = streams.setdefault(root(name), _Stream())
            if convolves and len(node.input) == 3 and node.input[2] in values:
                stream.makers.append(node)
            elif node.op_type == "Clip" and len(node.input) == 3 and node.input[2] in values:
                stream.bounds[name] = float(values[node.input[2]])
            elif not _carries(node, values):
                refused.add(root(name))
    return [stream for name, stream in streams.items() if name not in refused and stream.makers and stream.readers]


def _maps(node: onnx.NodeProto, values: dict[str, NDArray[Any]]) -> list[str]:
    """What a node reads, without constants."""
    return [name for name in dict.fromkeys(node.input) if name and name not in values]


def _cuts(node: onnx.NodeProto) -> bool:
    return node.op_type in ("Clip", "Relu")


def _carries(node: onnx.NodeProto, values: dict[str, NDArray[Any]]) -> bool:
    if node.op_type == "Clip":
        # From 0 on: below another bound a larger channel would be cut off elsewhere.
        low = values.get(node.input[1]) if len(node.input) > 1 else None
        return low is not None and not low.any() and len(_maps(node, values)) == 1
    if node.op_type == "Add":
        # A constant would need the factors too.
        return all(name not in values for name in node.input)
    return node.op_type in _CARRYING
