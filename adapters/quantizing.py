"""Smaller weights for an exported network: half precision, and whole numbers calibrated on real images."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sketchkit.adapters.bias_correction import correct_biases
from sketchkit.adapters.equalizing import equalize
from sketchkit.adapters.observing import best_ranges, constants, observed, put_constant
from sketchkit.adapters.onnx_graphs import require_onnx
from sketchkit.errors import ParameterError

if TYPE_CHECKING:
    import onnx

__all__ = ["half_precision", "whole_numbers"]

# Layers with weights, and the cheap ones between them, so that numbers stay whole from one to the next.
_QUANTIZED = ["Add", "AveragePool", "Clip", "Conv", "Gemm", "GlobalAveragePool", "MatMul", "MaxPool", "Relu"]
_LAYERS = ("Conv", "Gemm", "MatMul")
# The share of the multiply-adds that the first layers may make up and stay in float32.
_KEPT_IN_FLOAT = 0.1


def half_precision(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy that computes in float16; inputs and outputs stay float32, and so does the length of the embedding.

    Args:
        model: in float32.

    Example:
        >>> from sketchkit.adapters import CanvasSelector
        >>> from sketchkit.adapters.onnx_graphs import selector_graph
        >>> half = half_precision(selector_graph(CanvasSelector(4), opset=18))
        >>> half.graph.input[0].type.tensor_type.elem_type, half.graph.initializer[-3].data_type
        (1, 10)
    """
    package = require_onnx()
    from onnxruntime.transformers import float16

    copied = package.ModelProto()
    copied.CopyFrom(model)
    with warnings.catch_warnings():
        # Constants below what float16 holds, such as the 1e-12 that keeps a length from 0.
        warnings.filterwarnings("ignore", message="the float32 number", category=UserWarning)
        converted: onnx.ModelProto = float16.convert_float_to_float16(
            copied,
            keep_io_types=True,
            # A sum of squares soon leaves float16's range.
            op_block_list=[*float16.DEFAULT_OP_BLOCK_LIST, "ReduceL2"],
        )
    return converted


def whole_numbers(model: onnx.ModelProto, batches: Sequence[NDArray[np.float32]]) -> onnx.ModelProto:
    """A copy with 8-bit weights (each output channel its own scale) and activations (static scales), as QDQ nodes.

    First the channels of each tensor are brought to one range (`equalizing.equalize`), then each tensor's range is
    chosen for the least error on the images (`observing.best_ranges`); last, what rounding moves the mean of a layer's
    output by is taken off its bias (`bias_correction.correct_biases`). Left in float32 are the first layers, up to a
    tenth of all multiply-adds: they have few channels, so 8 bits save little time there, and their error reaches
    everything behind them. What has no weights and is no cheap step between layers that have some (softmax,
    normalization, SiLU, the length of the embedding) is not quantized either.

    Processors that lack VNNI or ARM's dot product may overflow on sums of pairs: see on yours what `verify` says.

    Args:
        model: in float32.
        batches: images (batch, channels, height, width) in 0..1, like those that the network will be given.

    Raises:
        ParameterError: there are no images.

    Example:
        >>> import torch
        >>> from sketchkit import adapt
        >>> from sketchkit.adapters.onnx_graphs import float_copy, student_graph
        >>> graph, _ = student_graph(float_copy(adapt(torch.nn.Conv2d(3, 8, 3), canvases=(32,), photo_size=32)), 18)
        >>> whole = whole_numbers(graph, [np.random.rand(2, 3, 32, 32).astype(np.float32)])
        >>> "QuantizeLinear" in [node.op_type for node in whole.graph.node]
        True
    """
    # 0 where the size of a batch is open; what torch could export for one image alone takes no more at a time.
    together = model.graph.input[0].type.tensor_type.shape.dim[0].dim_value
    batches = [
        batch[start : start + (together or len(batch))]
        for batch in batches
        for start in range(0, len(batch), together or len(batch))
    ]
    if not batches:
        raise ParameterError("int8 needs images to calibrate on; give calibration=(drawings, photos)")
    with _quiet():
        even = equalize(_prepared(model), batches)
        kept = _first_layers(even, batches[0][:1])
        return correct_biases(_quantized(even, kept, batches), even, batches)


def _prepared(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy with batch norms folded, shapes known, nodes named, and weights and a bias for each layer alone."""
    package = require_onnx()
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as folder:
        given, written = (str(Path(folder) / f"{name}.onnx") for name in ("given", "prepared"))
        package.save(model, given)
        quant_pre_process(given, written, skip_symbolic_shape=True)
        prepared: onnx.ModelProto = package.load(written)
    values = constants(prepared)
    for place, node in enumerate(prepared.graph.node):
        node.name = f"{node.op_type}_{place}"
        if node.op_type not in ("Conv", "Gemm") or node.input[1] not in values:
            continue
        if node.op_type == "Conv" and len(node.input) == 2:
            node.input.append(f"{node.name}_bias")
            values[node.input[2]] = np.zeros(len(values[node.input[1]]), np.float32)
        for index, role in enumerate(("weight", "bias"), start=1):
            if index < len(node.input) and node.input[index] in values:
                value = values[node.input[index]]
                node.input[index] = f"{node.name}_{role}"
                put_constant(prepared, node.input[index], value)
    used = {name for node in prepared.graph.node for name in node.input}
    left = [tensor for tensor in prepared.graph.initializer if tensor.name in used]
    del prepared.graph.initializer[:]
    prepared.graph.initializer.extend(left)
    return prepared


def _first_layers(model: onnx.ModelProto, image: NDArray[np.float32]) -> list[str]:
    """The names of the nodes up to the last layer that ends within the share of the multiply-adds left in float."""
    values = constants(model)
    layers = [node for node in model.graph.node if node.op_type in _LAYERS and node.input[1] in values]
    if not layers:
        return []
    outputs = next(observed(model, [node.output[0] for node in layers], [image]))
    done = []
    for node in layers:
        found = outputs[node.output[0]]
        channels = found.shape[1 if node.op_type == "Conv" else -1]
        done.append(values[node.input[1]].size * found.size // channels)
    within = np.cumsum(done) <= _KEPT_IN_FLOAT * sum(done)
    last = layers[int(within.sum()) - 1].name if within.any() else None
    names = [node.name for node in model.graph.node]
    return names[: names.index(last) + 1] if last else []


def _quantized(model: onnx.ModelProto, kept: Sequence[str], batches: Sequence[NDArray[np.float32]]) -> onnx.ModelProto:
    package = require_onnx()
    from onnxruntime import quantization

    # Sums of sizes are no float numbers, and are not rounded.
    floats = {
        each.name
        for each in (*model.graph.value_info, *model.graph.output)
        if each.type.tensor_type.elem_type == package.TensorProto.FLOAT
    }
    inside = [
        name
        for node in model.graph.node
        if node.op_type in _QUANTIZED and node.name not in kept
        for name in (*node.input, *node.output)
        if name in floats
    ]
    ranges = best_ranges(model, inside, batches)
    with tempfile.TemporaryDirectory() as folder:
        given, written = (Path(folder) / f"{name}.onnx" for name in ("given", "whole"))
        package.save(model, given)
        quantization.quantize_static(
            given,
            written,
            _reader(batches, quantization.CalibrationDataReader),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            op_types_to_quantize=_QUANTIZED,
            nodes_to_exclude=list(kept),
            # Unsigned activations by signed weights: what processors multiply fastest.
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            calibrate_method=quantization.CalibrationMethod.MinMax,
            extra_options={
                "TensorQuantOverrides": {
                    name: [{"rmin": np.float32(low), "rmax": np.float32(high)}] for name, (low, high) in ranges.items()
                }
            },
        )
        loaded: onnx.ModelProto = package.load(written)
    return loaded


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what ONNX Runtime's tools report on every step to the root logger, and their deprecations."""
    root = logging.getLogger()
    level = root.level
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)  # within onnxruntime.quantization
        try:
            root.setLevel(logging.ERROR)
            yield
        finally:
            root.setLevel(level)


def _reader(batches: Sequence[NDArray[np.float32]], base: Any) -> Any:
    """The batches as ONNX Runtime asks for them: one after the other, then None."""
    left: Iterator[NDArray[np.float32]] = iter(batches)

    def get_next(_: Any) -> dict[str, NDArray[np.float32]] | None:
        batch = next(left, None)
        return None if batch is None else {"images": batch}

    return type("Batches", (base,), {"get_next": get_next})()
