"""ONNX graphs of an adapted network and of its canvas selector.

The network goes through torch's exporter; what comes out is run on one image and on three, on every canvas and on
photos, because an exporter may fix a size without a word. The selector's graph is written by hand: torch exports no
packed sequence, while ONNX's GRU takes lengths as they are.
"""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sketchkit.adapters.copying import copied
from sketchkit.adapters.onnx_runtime import run_student, session
from sketchkit.adapters.selector import CanvasSelector
from sketchkit.errors import AdaptError, MissingDependencyError

if TYPE_CHECKING:
    import onnx

    from sketchkit.adapters.adapted_model import AdaptedModel

__all__ = ["TOLERANCE", "float_copy", "require_onnx", "selector_graph", "student_graph"]

TOLERANCE = 1e-4
"""The most by which an fp32 graph's embeddings may differ from torch's."""


def require_onnx() -> Any:
    """The package onnx.

    Example:
        >>> require_onnx().__name__
        'onnx'

    Raises:
        MissingDependencyError: a package that exporting needs is not installed.
    """
    try:
        import onnx
        import onnxruntime  # noqa: F401 -- only whether it is there
        import onnxscript  # noqa: F401 -- torch's exporter needs it
    except ImportError as error:
        raise MissingDependencyError(
            f"exporting needs {error.name}, which is not installed: pip install sketchkit[export]"
        ) from None
    return onnx


def float_copy(adapted: AdaptedModel) -> AdaptedModel:
    """A copy of `adapted` in float32, on the CPU, in evaluation mode, without a teacher: what is exported.

    Example:
        >>> from sketchkit import adapt
        >>> float_copy(adapt("mobilenet_v2", canvases=(32,)).half()).canvas_selector.to_logits.weight.dtype
        torch.float32
    """
    # A teacher is no part of what leaves, and may be far larger than the rest.
    bare = copied(adapted, instead={id(adapted.kd_head): nn.Identity()} if adapted.kd_head is not None else None)
    return bare.cpu().float().eval()


def student_graph(adapted: AdaptedModel, opset: int) -> tuple[onnx.ModelProto, str]:
    """The network as ONNX: `images` (batch, channels, height, width) float32 in 0..1 -> `embeddings` (batch, dim).

    Args:
        adapted: in float32 on the CPU, in evaluation mode.
        opset: version of ONNX's operators.

    Returns:
        The graph, and how it was made.

    Raises:
        AdaptError: no way of exporting gives a graph that agrees with torch on all canvases.

    Example:
        >>> from sketchkit import adapt
        >>> graph, how = student_graph(float_copy(adapt(torch.nn.Conv2d(3, 8, 3), canvases=(32,))), opset=18)
        >>> [each.name for each in graph.graph.input], how
        (['images'], 'torch.export')
    """
    student = _Student(adapted).eval()
    faults = []
    for how in _ways(student):
        with _quiet():
            try:
                graph = _WAYS[how](student, adapted, opset)
            except Exception as error:  # the exporter raises errors of many kinds
                faults.append(f"{how}: {_first_line(error)}")
                continue
        fault = _fault(graph, student, adapted)
        if fault is None:
            return graph, how
        faults.append(f"{how}: {fault}")
    raise AdaptError(
        f"{adapted.description.network} cannot be exported for these canvases and photos ({'; '.join(faults)}); adapt "
        "it with one canvas of photo_size, which fixes the size of its images"
    )


def selector_graph(selector: CanvasSelector, opset: int) -> onnx.ModelProto:
    """The selector as ONNX: `rows` (batch, steps, 5) float32 and `lengths` (batch,) int64 -> `logits`.

    Args:
        selector: on the CPU.
        opset: version of ONNX's operators.

    Example:
        >>> [node.op_type for node in selector_graph(CanvasSelector(4), opset=18).graph.node]
        ['Transpose', 'Cast', 'GRU', 'Squeeze', 'Gemm']
    """
    package = require_onnx()
    helper, kind = package.helper, package.TensorProto
    gru, linear = selector.gru, selector.to_logits
    weights = {
        "input_weight": _update_first(gru.weight_ih_l0)[None],
        "state_weight": _update_first(gru.weight_hh_l0)[None],
        "bias": np.concatenate([_update_first(gru.bias_ih_l0), _update_first(gru.bias_hh_l0)])[None],
        "linear_weight": _array(linear.weight),
        "linear_bias": _array(linear.bias),
        "directions": np.array([0], np.int64),
    }
    nodes = [
        helper.make_node("Transpose", ["rows"], ["steps_first"], perm=[1, 0, 2]),
        helper.make_node("Cast", ["lengths"], ["lengths_32"], to=kind.INT32),
        helper.make_node(
            "GRU",
            ["steps_first", "input_weight", "state_weight", "bias", "lengths_32"],
            ["", "states"],
            hidden_size=gru.hidden_size,
            linear_before_reset=1,
        ),
        helper.make_node("Squeeze", ["states", "directions"], ["state"]),
        helper.make_node("Gemm", ["state", "linear_weight", "linear_bias"], ["logits"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "selector",
        [
            helper.make_tensor_value_info("rows", kind.FLOAT, ["batch", "steps", gru.input_size]),
            helper.make_tensor_value_info("lengths", kind.INT64, ["batch"]),
        ],
        [helper.make_tensor_value_info("logits", kind.FLOAT, ["batch", linear.out_features])],
        [package.numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    # Version 10 of the file format holds these operators, and runtimes of some years' age read it.
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    package.checker.check_model(model)
    return model


class _Student(nn.Module):
    """Images in 0..1 -> embeddings: the normalization goes into the graph."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, adapted: AdaptedModel) -> None:
        super().__init__()
        self.adapted = adapted
        self.register_buffer("mean", torch.tensor(adapted.description.mean).reshape(-1, 1, 1))
        self.register_buffer("std", torch.tensor(adapted.description.std).reshape(-1, 1, 1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.adapted.embed((images - self.mean) / self.std)


class _PoolByMatrices(nn.Module):
    """`nn.AdaptiveAvgPool2d` as two products, for any size: ONNX has no such pooling where the size is open."""

    def __init__(self, output_size: Any) -> None:
        super().__init__()
        self.rows, self.columns = output_size if isinstance(output_size, tuple) else (output_size, output_size)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        rows = _bins(self.rows, maps.shape[2], maps) @ maps
        return rows @ _bins(self.columns, maps.shape[3], maps).transpose(0, 1)


def _bins(count: int | None, size: int, like: torch.Tensor) -> torch.Tensor:
    """(count, size) weights of a mean over each bin; torch's bins: from floor(i size / n) to ceil((i + 1) size / n)."""
    bins = torch.arange(size if count is None else count, device=like.device)
    places = torch.arange(size, device=like.device)
    wanted = size if count is None else count
    first = (bins * size) // wanted
    end = ((bins + 1) * size + wanted - 1) // wanted
    within = (places[None] >= first[:, None]) & (places[None] < end[:, None])
    return within.to(like.dtype) / (end - first)[:, None].to(like.dtype)


def _by_torch_export(student: nn.Module, adapted: AdaptedModel, opset: int, *, strict: bool) -> onnx.ModelProto:
    open_size = torch.export.Dim.AUTO
    program = torch.export.export(
        student,
        (_noise(adapted, 2, _places(adapted)[-1]),),
        strict=strict,
        dynamic_shapes=({0: open_size, 2: open_size, 3: open_size},),
    )
    return _converted(program, opset)


def _with_matrices(student: nn.Module, adapted: AdaptedModel, opset: int) -> onnx.ModelProto:
    student = copy.deepcopy(student)
    for module in list(student.modules()):
        for name, child in list(module.named_children()):
            if _pools_to_bins(child):
                setattr(module, name, _PoolByMatrices(child.output_size))
    return _by_torch_export(student, adapted, opset, strict=True)


def _of_single_images(student: nn.Module, adapted: AdaptedModel, opset: int) -> onnx.ModelProto:
    open_size = torch.export.Dim.AUTO
    program = torch.export.export(
        student, (_noise(adapted, 1, _places(adapted)[-1]),), dynamic_shapes=({2: open_size, 3: open_size},)
    )
    return _converted(program, opset)


def _converted(program: torch.export.ExportedProgram, opset: int) -> onnx.ModelProto:
    converted = torch.onnx.export(
        program, dynamo=True, input_names=["images"], output_names=["embeddings"], opset_version=opset, verbose=False
    )
    assert converted is not None
    model: onnx.ModelProto = converted.model_proto
    _name_batch(model)
    return model


def _name_batch(model: onnx.ModelProto) -> None:
    """Sizes by what they are, not as s77; and no traces of the machine it was made on."""
    for value in [*model.graph.input, *model.graph.output]:
        names = ("batch", "channels", "height", "width") if value.name == "images" else ("batch", "dim")
        for size, name in zip(value.type.tensor_type.shape.dim, names, strict=False):
            if size.dim_param:
                size.dim_param = name
    del model.graph.value_info[:]
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""


def _pools_to_bins(module: nn.Module) -> TypeGuard[nn.AdaptiveAvgPool2d]:
    return isinstance(module, nn.AdaptiveAvgPool2d) and module.output_size not in (1, (1, 1))


_BY_MATRICES = "torch.export, strict, pooling by matrices"
_WAYS: dict[str, Callable[[nn.Module, Any, int], Any]] = {
    "torch.export": lambda *given: _by_torch_export(*given, strict=False),
    "torch.export, strict": lambda *given: _by_torch_export(*given, strict=True),
    _BY_MATRICES: _with_matrices,
    "torch.export, one image at a time": _of_single_images,
}


def _ways(student: nn.Module) -> list[str]:
    """The ways in the order to try them: those that trip over a pooling do so only after most of the work."""
    pools = any(_pools_to_bins(module) for module in student.modules())
    return sorted(_WAYS, key=lambda how: how != _BY_MATRICES) if pools else list(_WAYS)


def _fault(model: onnx.ModelProto, student: nn.Module, adapted: AdaptedModel) -> str | None:
    """What is wrong with a graph, by running it; None when it agrees with torch everywhere."""
    try:
        # Errors come as exceptions; ONNX Runtime need not print them as well.
        running = session(model.SerializeToString(), threads=1, log_level=4)
        for place in _places(adapted):
            for count in (1, 3):
                images = _noise(adapted, count, place)
                with torch.no_grad():
                    expected = student(images).numpy()
                found = run_student(running, images.numpy())
                difference = float(np.abs(found - expected).max()) if found.shape == expected.shape else float("inf")
                if not difference <= TOLERANCE:
                    return f"{place[0]} x {place[1]} px differ by {difference:.1e}"
    except Exception as error:  # ONNX Runtime's errors have no common base but this
        return _first_line(error)
    return None


def _places(adapted: AdaptedModel) -> list[tuple[int, int]]:
    """(height, width) of all images that the network gets, smallest first."""
    sizes = {shape for canvas in adapted.canvases for shape in canvas.shapes}
    return sorted(sizes | {(adapted.photo_size, adapted.photo_size)}, key=lambda place: (place[0] * place[1], place[0]))


def _noise(adapted: AdaptedModel, count: int, place: tuple[int, int]) -> torch.Tensor:
    generator = torch.Generator().manual_seed(count)
    return torch.rand(count, adapted.description.channels, *place, generator=generator)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what torch says of itself while it exports; what goes wrong comes as an error, and is checked."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "torch._dynamo", "onnxscript")]
    before = [logger.level for logger in loggers]
    fast = torch.backends.mha.get_fastpath_enabled()
    try:
        # The fast path of attention is one operator that ONNX does not have.
        torch.backends.mha.set_fastpath_enabled(False)
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        with warnings.catch_warnings():
            # Deprecations inside torch and onnxscript, and constants traced in code that is not ours.
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def _first_line(error: Exception) -> str:
    """The cause in one line: the exporter wraps it into pages of advice."""
    while error.__cause__ is not None and isinstance(error.__cause__, Exception):
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:160]}" if lines else type(error).__name__


def _array(values: torch.Tensor) -> NDArray[np.float32]:
    return values.detach().cpu().float().numpy()


def _update_first(values: Any) -> NDArray[np.float32]:
    """Torch's gates (reset, update, new) in ONNX's order (update, reset, new)."""
    reset, update, new = np.split(_array(values), 3)
    return np.concatenate([update, reset, new])
