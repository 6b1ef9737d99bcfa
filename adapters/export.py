"""Adapted networks as ONNX: a folder that numpy and ONNX Runtime can run.

`onnx.json` names the graphs by their hashes and says how to feed them. The graphs are written first, under names of
their own, then `onnx.json` is replaced in one step: a kill at any time leaves the old export or the new one.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from sketchkit import __version__, atomic
from sketchkit.adapters.onnx_graphs import TOLERANCE, float_copy, require_onnx, selector_graph, student_graph
from sketchkit.adapters.onnx_runtime import CONFIG, FORMAT, OnnxModel, read_config
from sketchkit.adapters.own_files import delete_superseded, own_config
from sketchkit.adapters.quantizing import half_precision, whole_numbers
from sketchkit.blocks import as_block
from sketchkit.errors import AdaptError, OutputError, ParameterError
from sketchkit.rasterizing import rasterize
from sketchkit.sketch import Sketch
from sketchkit.sketch_set import SketchSet

if TYPE_CHECKING:
    from sketchkit.adapters.adapted_model import AdaptedModel

__all__ = ["PRECISIONS", "Agreement", "Exported", "export", "verify"]

PRECISIONS = ("fp32", "fp16", "int8")
"""What a network can be exported in."""
_GRAPH_NAMES = r"(?:student-(?:fp32|fp16|int8)|selector)-([0-9a-f]{12})\.onnx"
# Calibration keeps every activation of a batch.
_CALIBRATED_TOGETHER = 4
_TOGETHER = 32

Drawings = Sketch | SketchSet | Iterable[Sketch]
Photos = torch.Tensor | NDArray[np.generic]


@dataclass(frozen=True)
class Exported:
    """What was written.

    Args:
        folder: where.
        exporter: how the network went into ONNX.
        bytes_of: precision -> size of its network in bytes; "selector" -> of the selector.

    Example:
        >>> Exported(Path("phone"), "torch.export", {"fp32": 8_900_000, "selector": 210_000}).bytes_of["selector"]
        210000
    """

    folder: Path
    exporter: str
    bytes_of: dict[str, int]


@dataclass(frozen=True)
class Agreement:
    """How near an exported network comes to torch in float32, on one canvas.

    Args:
        max_difference: of any coordinate of an embedding, of the drawings and the photos.
        mean_difference: of all coordinates.
        cosine: mean between the two embeddings of a drawing.
        top_1: share of the drawings whose nearest photo is the same.
        top_10: mean share of the ten nearest photos that are the same; of all where there are fewer.

    Example:
        >>> near = Agreement(2e-6, 1e-7, cosine=1.0, top_1=1.0, top_10=1.0)
        >>> near.top_1
        1.0
    """

    max_difference: float
    mean_difference: float
    cosine: float
    top_1: float
    top_10: float


def export(
    adapted: AdaptedModel,
    folder: str | os.PathLike[str],
    *,
    precisions: Sequence[str] = ("fp32",),
    calibration: tuple[Drawings, Photos] | None = None,
    opset: int = 18,
) -> Exported:
    """Write a network and its canvas selector as ONNX; see `OnnxModel`, which runs them.

    The network takes `images` (batch, channels, height, width), float32 RGB in 0..1 (a drawing is dark on white), and
    gives `embeddings` of length 1; batch and size are open. The selector takes `rows` (batch, steps, 5) and `lengths`
    (batch,) int64, and gives `logits` (batch, canvases). A network in half precision is exported in float32; the
    teacher stays behind.

    Args:
        adapted: left as it is, whatever its mode and device.
        folder: made when it is not there; what an earlier export left is replaced.
        precisions: of "fp32", "fp16" (inputs and outputs stay float32) and "int8".
        calibration: drawings and photos for int8, some hundred of each; drawn on every canvas.
        opset: version of ONNX's operators, 18 or later.

    Raises:
        AdaptError: the network cannot be exported, or what comes out differs from torch by more than 1e-4.
        ParameterError: no such precision, or no calibration for int8.
        MissingDependencyError: onnx, onnxscript or onnxruntime is not installed.
        OutputError: the folder cannot be written, or holds an `onnx.json` that is not ours.

    Example:
        >>> from sketchkit import adapt
        >>> adapted = adapt(torch.nn.Conv2d(3, 8, 3), canvases=(32, 64), photo_size=64)
        >>> sorted(export(adapted, "exported", precisions=("fp32", "fp16")).bytes_of)
        ['fp16', 'fp32', 'selector']
    """
    require_onnx()
    _check(adapted, precisions, calibration, opset)
    path = Path(folder)
    previous = own_config(path / CONFIG, ("format", "files"))
    copied = float_copy(adapted)
    student, exporter = student_graph(copied, opset)
    students = {"fp32": student}
    if "fp16" in precisions:
        students["fp16"] = half_precision(student)
    if "int8" in precisions:
        assert calibration is not None
        students["int8"] = whole_numbers(student, _batches(copied, *calibration))
    contents = {name: students[name].SerializeToString() for name in precisions}
    contents["selector"] = selector_graph(copied.canvas_selector, opset).SerializeToString()
    kept = _write(path, contents, {"exporter": exporter, "opset": opset, **_description(copied)})
    delete_superseded(path, _GRAPH_NAMES, named=_named(previous), kept=kept)
    return Exported(path, exporter, {name: len(content) for name, content in contents.items()})


def verify(
    adapted: AdaptedModel, folder: str | os.PathLike[str], drawings: Drawings, photos: Photos
) -> dict[str, dict[int, Agreement]]:
    """Compare an export with the network it came from, on data of yours, and note the figures in `onnx.json`.

    Args:
        adapted: what was exported.
        folder: where.
        drawings: queries.
        photos: (batch, 3, height, width), the gallery.

    Returns:
        Precision -> canvas size -> how near it is.

    Raises:
        AdaptError: an embedding in fp32 differs by more than 1e-4.
        ParameterError: there are no drawings or no photos.
        MissingDataError, WeightsError: as for `OnnxModel`.

    Example:
        >>> from sketchkit import adapt
        >>> adapted = adapt(torch.nn.Conv2d(3, 8, 3), canvases=(32, 64), photo_size=64)
        >>> _ = export(adapted, "exported")
        >>> drawings = [Sketch.from_strokes([[(0, 0), (9, 4)]]), Sketch.from_strokes([[(0, 9), (9, 4), (3, 3)]])]
        >>> verify(adapted, "exported", drawings, torch.rand(3, 3, 64, 64))["fp32"][32].top_1
        1.0
    """
    block, gallery = as_block(drawings), np.asarray(photos)
    if not len(block) or not len(gallery):
        raise ParameterError("there is nothing to compare on; give drawings and photos")
    copied = float_copy(adapted)
    with torch.no_grad():
        expected_photos = np.concatenate([copied.embed_photos(part).numpy() for part in _parts(gallery)])
        expected = {
            index: copied.embed_sketches(block, canvas, batch_size=_TOGETHER).numpy()
            for index, canvas in enumerate(copied.canvases)
        }
    report: dict[str, dict[int, Agreement]] = {}
    for precision in read_config(folder)["files"]["student"]:
        model = OnnxModel(folder, precision)
        found_photos = model.embed_photos(gallery)
        report[precision] = {
            canvas.size: _agreement(
                (expected[index], expected_photos), (model.embed_sketches(block, canvas), found_photos)
            )
            for index, canvas in enumerate(copied.canvases)
        }
    _note(Path(folder), report)
    worst = max((each.max_difference for each in report.get("fp32", {}).values()), default=0.0)
    if not worst <= TOLERANCE:
        raise AdaptError(
            f"{folder}: embeddings differ by up to {worst:.1e} from this network's; was another one exported? Export "
            "it again"
        )
    return report


def _check(adapted: AdaptedModel, precisions: Sequence[str], calibration: object, opset: int) -> None:
    unknown = [name for name in precisions if name not in PRECISIONS]
    if unknown or not precisions:
        raise ParameterError(f"precisions must be of {', '.join(PRECISIONS)}, at least one, not {list(precisions)}")
    if "int8" in precisions and calibration is None:
        raise ParameterError("int8 needs images to calibrate on; give calibration=(drawings, photos)")
    if opset < 18:
        raise ParameterError(f"opset must be 18 or later, not {opset}")
    if adapted.description.batch_norm in ("per_domain", "per_canvas"):
        raise AdaptError(
            f"batch norm is {adapted.description.batch_norm}, and one graph holds one set of statistics; adapt with "
            "batch_norm='shared' or 'frozen' to export"
        )
    if any(canvas.channels != "ink" for canvas in adapted.canvases):
        raise AdaptError("canvases of other channels than ink cannot be exported; adapt the network with ink alone")


def _batches(adapted: AdaptedModel, drawings: Drawings, photos: Photos) -> list[NDArray[np.float32]]:
    """The images of calibration, in 0..1: every drawing on every canvas, and the photos."""
    block = as_block(drawings)
    images = [adapted.photo_inputs(part) for part in _parts(np.asarray(photos), _CALIBRATED_TOGETHER)]
    for canvas in adapted.canvases:
        shaped, which = canvas.fitted(block)
        for index, each in enumerate(shaped):
            rasters = rasterize(block[which == index], each)
            images += [adapted.raster_inputs(part) for part in _parts(rasters, _CALIBRATED_TOGETHER)]
    mean, std = (
        torch.tensor(values).reshape(-1, 1, 1) for values in (adapted.description.mean, adapted.description.std)
    )
    return [(each * std + mean).contiguous().numpy() for each in images]


def _parts(images: NDArray[Any], together: int = _TOGETHER) -> list[NDArray[Any]]:
    return [images[start : start + together] for start in range(0, len(images), together)]


def _description(adapted: AdaptedModel) -> dict[str, Any]:
    """All that a program without sketchkit needs to feed the graphs."""
    description = adapted.description
    return {
        "network": description.network,
        "canvases": [canvas.to_dict() for canvas in adapted.canvases],
        "photo_size": adapted.photo_size,
        "channels": description.channels,
        "embedding_dim": adapted.embedding_dim,
        "normalization": {"in_graph": True, "mean": description.mean, "std": description.std},
        "selector_points": adapted.canvas_selector.points,
    }


def _write(folder: Path, contents: dict[str, bytes], description: dict[str, Any]) -> list[str]:
    """Write graphs, then `onnx.json`; returns the names of the graphs."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made: {error.strerror}; choose another folder") from error
    files = {}
    for name, content in contents.items():
        digest = hashlib.sha256(content).hexdigest()
        stem = name if name == "selector" else f"student-{name}"
        files[name] = {"file": f"{stem}-{digest[:12]}.onnx", "sha256": digest, "bytes": len(content)}
        atomic.write_bytes(folder / str(files[name]["file"]), content)
    selector = files.pop("selector")
    config = {
        "format": FORMAT,
        "sketchkit": __version__,
        "files": {"selector": selector, "student": files},
        **description,
    }
    atomic.write_text(folder / CONFIG, json.dumps(config, indent=2) + "\n")
    return [str(file["file"]) for file in (selector, *files.values())]


def _named(config: dict[str, Any] | None) -> list[str]:
    files = None if config is None else config["files"]
    if not isinstance(files, dict):
        return []
    students = files.get("student")
    graphs = [files.get("selector"), *(students.values() if isinstance(students, dict) else ())]
    return [str(graph["file"]) for graph in graphs if isinstance(graph, dict) and "file" in graph]


def _note(folder: Path, report: dict[str, dict[int, Agreement]]) -> None:
    path = folder / CONFIG
    config = json.loads(path.read_text(encoding="utf-8"))
    config["agreement"] = {
        precision: {str(size): asdict(each) for size, each in rows.items()} for precision, rows in report.items()
    }
    atomic.write_text(path, json.dumps(config, indent=2) + "\n")


def _agreement(
    expected: tuple[NDArray[np.float32], NDArray[np.float32]], found: tuple[NDArray[np.float32], NDArray[np.float32]]
) -> Agreement:
    """Of (drawings, photos) in torch and in the export."""
    differences = np.abs(np.concatenate(expected) - np.concatenate(found))
    wanted, got = (np.argsort(-(drawings @ photos.T), axis=1, kind="stable") for drawings, photos in (expected, found))
    few = min(10, wanted.shape[1])
    shared = [len(np.intersect1d(*rows)) / few for rows in zip(wanted[:, :few], got[:, :few], strict=True)]
    return Agreement(
        float(differences.max()),
        float(differences.mean()),
        float((expected[0] * found[0]).sum(axis=1).mean()),
        float(np.mean(wanted[:, 0] == got[:, 0])),
        float(np.mean(shared)),
    )
