"""An exported network, run by ONNX Runtime: numpy in, numpy out, no torch."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sketchkit.adapters.pen_rows import pen_rows
from sketchkit.blocks import as_block
from sketchkit.canvas import Canvas, sizes_of
from sketchkit.errors import MissingDataError, MissingDependencyError, ParameterError, WeightsError
from sketchkit.rasterizing import rasterize
from sketchkit.sketch import Sketch
from sketchkit.sketch_set import SketchSet

__all__ = ["CONFIG", "FORMAT", "OnnxModel", "read_config", "run_student", "session"]

CONFIG = "onnx.json"
"""The file of an exported folder that names the others; `save_pretrained` may use the same folder."""
FORMAT = 1
# ITU-R BT.601, for networks that take gray photos.
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
# Images that go through the network together: more gain no speed, and take memory.
_TOGETHER = 32

Embeddings = NDArray[np.float32]


class OnnxModel:
    """What `AdaptedModel.export` wrote, for photos and sketches; embeddings have length 1.

    Args:
        folder: where it was exported.
        precision: "fp32", "fp16" or "int8"; by default the first that was exported.
        providers: ONNX Runtime's execution providers, the preferred first.
        threads: of each pass; by default as many as there are cores.

    Raises:
        MissingDataError: the folder holds no exported model.
        WeightsError: a file is damaged or missing.
        ParameterError: the precision was not exported.
        MissingDependencyError: onnxruntime is not installed.

    Example:
        >>> from sketchkit import Sketch, adapt
        >>> import torch
        >>> _ = adapt(torch.nn.Conv2d(3, 8, 3), canvases=(32, 64), photo_size=64).export("exported")
        >>> model = OnnxModel("exported", threads=1)
        >>> drawing = Sketch.from_strokes([[(0, 0), (9, 4)]])
        >>> model.embed_sketches(drawing).shape, model.select(drawing).tolist()
        ((1, 8), [64])
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        precision: str | None = None,
        *,
        providers: Sequence[str] = ("CPUExecutionProvider",),
        threads: int | None = None,
    ) -> None:
        config = read_config(folder)
        students = config["files"]["student"]
        self.precision = precision or next(iter(students))
        if self.precision not in students:
            raise ParameterError(f"{folder} holds no {self.precision} network, but {', '.join(students)}")
        self.canvases: tuple[Canvas, ...] = config["canvases"]
        self.photo_size: int = config["photo_size"]
        self.channels: int = config["channels"]
        self.embedding_dim: int = config["embedding_dim"]
        self.points: int = config["selector_points"]
        self._student, self._selector = (
            session(_checked(Path(folder), file), providers=providers, threads=threads)
            for file in (students[self.precision], config["files"]["selector"])
        )

    def embed_photos(self, images: NDArray[np.generic]) -> Embeddings:
        """Photos -> embeddings (batch, embedding_dim).

        Args:
            images: (batch, 3, height, width) RGB, uint8 or float in 0..1; resized to `photo_size` (bilinear,
                antialiased) where they differ.

        Raises:
            ParameterError: another shape, or floats that look like 0..255.
        """
        photos = np.asarray(images)
        if photos.ndim != 4 or photos.shape[1] not in (3, self.channels):
            raise ParameterError(f"photos must be (batch, 3, height, width), not {photos.shape}")
        return self._embedded(photos, self._photos)

    def embed_rasters(self, rasters: NDArray[np.generic]) -> Embeddings:
        """Rasters -> embeddings (batch, embedding_dim).

        Args:
            rasters: (batch, height, width), ink 255 on 0 in uint8, or 1 on 0 in float.

        Raises:
            ParameterError: another shape, or floats that look like 0..255.
        """
        ink = np.asarray(rasters)
        if ink.ndim != 3:
            raise ParameterError(f"rasters must be (batch, height, width), not {ink.shape}")
        return self._embedded(ink, self._grounds)

    def embed_sketches(
        self, sketches: Sketch | SketchSet | Iterable[Sketch], canvas: int | Canvas | None = None
    ) -> Embeddings:
        """Draw each sketch on its canvas and embed it: (batch, embedding_dim), in the order given.

        Args:
            sketches: one drawing or many.
            canvas: draw all of them on this one; the size of one of `canvases`, or any `Canvas`.

        Raises:
            ParameterError: no canvas has this size.
            DataError: a coordinate is NaN or infinite.
        """
        block = as_block(sketches)
        if canvas is not None:
            return self._embed_on(block, self._canvas(canvas))
        chosen = self._choose(block)
        if len(chosen) == 1:
            return self._embed_on(block, self.canvases[int(chosen[0])])
        return self._grouped(block, self.canvases, chosen, self._embed_on)

    def select(self, sketches: Sketch | SketchSet | Iterable[Sketch]) -> NDArray[np.int64]:
        """The size of the most likely canvas for each drawing; of equally likely ones the largest.

        Args:
            sketches: what is asked about; nothing is drawn.

        Returns:
            (batch,) sides in pixels, of a rectangular canvas the longer one; (batch, 2) heights and widths where one of
            `canvases` is declared with both.
        """
        return sizes_of(self.canvases)[self._choose(as_block(sketches))]

    def logits(self, sketches: Sketch | SketchSet | Iterable[Sketch]) -> NDArray[np.float32]:
        """The selector's scores (batch, canvases).

        Args:
            sketches: what is asked about; nothing is drawn.
        """
        rows, lengths = pen_rows(sketches, self.points)
        if not len(rows):
            return np.zeros((0, len(self.canvases)), np.float32)
        scores: NDArray[np.float32] = self._selector.run(None, {"rows": rows, "lengths": lengths})[0]
        return scores

    def _embed_on(self, block: SketchSet, canvas: Canvas) -> Embeddings:
        def embed(group: SketchSet, shaped: Canvas) -> Embeddings:
            return self.embed_rasters(rasterize(group, shaped))

        return embed(block, canvas) if not canvas.rectangular else self._grouped(block, *canvas.fitted(block), embed)

    def _grouped(
        self,
        block: SketchSet,
        canvases: Sequence[Canvas],
        which: NDArray[np.int64],
        embed: Callable[[SketchSet, Canvas], Embeddings],
    ) -> Embeddings:
        """The drawings of each canvas embedded together, in the order given."""
        embeddings = np.zeros((len(block), self.embedding_dim), np.float32)
        for index, canvas in enumerate(canvases):
            group = np.flatnonzero(which == index)
            if len(group) == len(block) > 0:
                return embed(block, canvas)
            if len(group):
                embeddings[group] = embed(block[group], canvas)
        return embeddings

    def _choose(self, block: SketchSet) -> NDArray[np.int64]:
        scores = self.logits(block)
        return np.asarray(len(self.canvases) - 1 - scores[:, ::-1].argmax(axis=1), np.int64)

    def _embedded(self, images: NDArray[Any], prepare: Any) -> Embeddings:
        if 0 < len(images) <= _TOGETHER:
            return run_student(self._student, prepare(images))
        parts = [
            run_student(self._student, prepare(images[start : start + _TOGETHER]))
            for start in range(0, len(images), _TOGETHER)
        ]
        return np.concatenate(parts) if parts else np.zeros((0, self.embedding_dim), np.float32)

    def _photos(self, photos: NDArray[Any]) -> NDArray[np.float32]:
        scaled = _in_unit_range(photos, "photos")
        if self.channels == 1 and scaled.shape[1] == 3:
            scaled = np.einsum("bchw,c->bhw", scaled, _LUMA)[:, None]
        down = _resizing(scaled.shape[2], self.photo_size)
        across = _resizing(scaled.shape[3], self.photo_size)
        if scaled.shape[2:] == (self.photo_size, self.photo_size):
            return scaled
        return np.asarray(down @ (scaled @ across.T), np.float32)

    def _grounds(self, ink: NDArray[Any]) -> NDArray[np.float32]:
        ground = 1 - _in_unit_range(ink, "rasters")
        return np.repeat(ground[:, None], self.channels, axis=1)

    def _canvas(self, canvas: int | Canvas) -> Canvas:
        if isinstance(canvas, Canvas):
            return canvas
        known = {each.size: each for each in self.canvases}
        if canvas not in known:
            raise ParameterError(f"no canvas of {canvas} px; there are {', '.join(map(str, known))}")
        return known[canvas]


def read_config(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """What a folder says of its exported network, checked; canvases as `Canvas`.

    Example:
        >>> read_config("nowhere")
        Traceback (most recent call last):
        sketchkit.errors.MissingDataError: nowhere holds no exported model: there is no onnx.json

    Raises:
        MissingDataError: the folder holds no exported model.
        WeightsError: its description is damaged, or of a later format.
    """
    path = Path(folder) / CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        if config["format"] != FORMAT:
            raise WeightsError(f"{path}: format {config['format']} is not known; update sketchkit")
        files = config["files"]
        for file in (files["selector"], *files["student"].values()):
            # A name alone: a description from elsewhere must not lead out of the folder.
            file["file"] = Path(file["file"]).name
            file["sha256"] = str(file["sha256"])
        if not files["student"]:
            raise ValueError("it names no network")
        config["canvases"] = tuple(Canvas.of(canvas) for canvas in config["canvases"])
        for name in ("photo_size", "channels", "embedding_dim", "selector_points"):
            config[name] = int(config[name])
    except FileNotFoundError:
        if (Path(folder) / "config.json").is_file():
            raise MissingDataError(
                f"{folder} holds no exported model but an adapted one: AdaptedModel.from_pretrained reads it, and its "
                "export writes what is read here"
            ) from None
        raise MissingDataError(f"{folder} holds no exported model: there is no {CONFIG}") from None
    except WeightsError:
        raise
    except (AttributeError, KeyError, OSError, TypeError, ValueError) as error:
        raise WeightsError(f"{path}: not the description of an exported model: {error!r}; export it again") from None
    return dict(config)


def session(
    content: bytes,
    *,
    providers: Sequence[str] = ("CPUExecutionProvider",),
    threads: int | None = None,
    log_level: int = 3,
) -> Any:
    """An ONNX Runtime session of a graph.

    Args:
        content: the graph's file.
        providers: execution providers, the preferred first.
        threads: of each pass; None for as many as there are cores.
        log_level: what ONNX Runtime prints: 3 for errors, 4 for what ends the process.

    Raises:
        MissingDependencyError: onnxruntime is not installed.

    Example:
        >>> from sketchkit.adapters.onnx_graphs import selector_graph
        >>> from sketchkit.adapters import CanvasSelector
        >>> running = session(selector_graph(CanvasSelector(4), opset=18).SerializeToString(), threads=1)
        >>> [each.name for each in running.get_inputs()]
        ['rows', 'lengths']
    """
    try:
        import onnxruntime
    except ImportError:
        raise MissingDependencyError(
            "running an exported model needs onnxruntime, which is not installed: pip install sketchkit[export]"
        ) from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = log_level
    # Sizes change from call to call: a plan of memory for the last one costs V2 a tenth of its time.
    options.enable_mem_pattern = False
    if threads is not None:
        if threads < 1:
            raise ParameterError(f"threads must be at least 1, not {threads}")
        options.intra_op_num_threads = options.inter_op_num_threads = threads
    return onnxruntime.InferenceSession(content, options, providers=list(providers))


def run_student(running: Any, images: NDArray[np.float32]) -> Embeddings:
    """Embeddings (batch, dim) of images (batch, channels, height, width) in 0..1, one by one if the graph asks for it.

    Args:
        running: a `session` of the network.
        images: (batch, channels, height, width) float32, 0 to 1.

    Example:
        >>> class Running:
        ...     def get_inputs(self):
        ...         return [type("Input", (), {"shape": ["batch", 3, "height", "width"]})]
        ...     def run(self, outputs, inputs):
        ...         return [inputs["images"].mean(axis=(2, 3))]
        >>> run_student(Running(), np.ones((2, 3, 8, 8), np.float32)).shape
        (2, 3)
    """
    together = running.get_inputs()[0].shape[0]
    step = together if isinstance(together, int) else max(len(images), 1)
    parts = [running.run(None, {"images": images[start : start + step]})[0] for start in range(0, len(images), step)]
    joined: Embeddings = parts[0] if len(parts) == 1 else np.concatenate(parts)
    return joined


def _checked(folder: Path, file: dict[str, str]) -> bytes:
    path = folder / file["file"]
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror}; export the model again") from None
    if hashlib.sha256(content).hexdigest() != file["sha256"]:
        raise WeightsError(f"{path}: damaged: its SHA-256 is not the one in {CONFIG}; export the model again")
    return content


def _in_unit_range(values: NDArray[Any], name: str) -> NDArray[np.float32]:
    if values.dtype == np.uint8:
        scaled: NDArray[np.float32] = values.astype(np.float32) / np.float32(255)
        return scaled
    if not np.issubdtype(values.dtype, np.floating):
        raise ParameterError(f"{name} must be uint8 or float in 0..1, not {values.dtype}")
    if values.size and values.max() > 2:
        raise ParameterError(f"{name} in floats must be in 0..1; these reach {values.max():.0f}, divide by 255")
    return np.asarray(values, np.float32)


def _resizing(before: int, after: int) -> NDArray[np.float32]:
    """(after, before) weights of bilinear resizing, antialiased as in torch: a triangle as wide as a new pixel."""
    scale = before / after
    reach = max(scale, 1.0)
    centers = (np.arange(after) + 0.5) * scale
    weights = np.maximum(0, 1 - np.abs(np.arange(before) + 0.5 - centers[:, None]) / reach)
    normalized: NDArray[np.float32] = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return normalized
