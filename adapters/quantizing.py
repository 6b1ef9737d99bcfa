"""Smaller weights for an exported network: half precision, and whole numbers calibrated on real images."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sketchkit.adapters.onnx_graphs import require_onnx
from sketchkit.errors import ParameterError

if TYPE_CHECKING:
    import onnx

__all__ = ["half_precision", "whole_numbers"]

# Layers with weights, and the cheap ones between them, so that numbers stay whole from one to the next.
_QUANTIZED = ["Add", "AveragePool", "Clip", "Conv", "Gemm", "GlobalAveragePool", "MatMul", "MaxPool", "Relu"]


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

    Args:
        model: in float32.
        batches: images (batch, channels, height, width) in 0..1; the range of every activation is what these reach.

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
    if not any(len(batch) for batch in batches):
        raise ParameterError("int8 needs images to calibrate on; give calibration=(drawings, photos)")
    package = require_onnx()
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    root = logging.getLogger()
    level = root.level
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)  # within onnxruntime.quantization
        given, prepared, written = (Path(folder) / f"{name}.onnx" for name in ("given", "prepared", "whole"))
        package.save(model, given)
        try:
            root.setLevel(logging.ERROR)  # it reports on every step to the root logger
            quant_pre_process(given, prepared, skip_symbolic_shape=True)
            quantization.quantize_static(
                prepared,
                written,
                _reader(batches, quantization.CalibrationDataReader),
                quant_format=quantization.QuantFormat.QDQ,
                per_channel=True,
                op_types_to_quantize=_QUANTIZED,
                # Unsigned activations by signed weights: what processors multiply fastest.
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
                calibrate_method=quantization.CalibrationMethod.MinMax,
            )
        finally:
            root.setLevel(level)
        loaded: onnx.ModelProto = package.load(written)
        return loaded


def _reader(batches: Sequence[NDArray[np.float32]], base: Any) -> Any:
    """The batches as ONNX Runtime asks for them: one after the other, then None."""
    left: Iterator[NDArray[np.float32]] = iter([batch for batch in batches if len(batch)])

    def get_next(_: Any) -> dict[str, NDArray[np.float32]] | None:
        batch = next(left, None)
        return None if batch is None else {"images": batch}

    return type("Batches", (base,), {"get_next": get_next})()
