"""What choosing a canvas costs beside the student's pass, and what V2 gains over V1 on the clock; one thread.

python benchmarks/selection.py [ROUNDS]   needs real drawings: SKETCHKIT_DATA with chairv2/ in it
"""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import nn

import sketchkit
from sketchkit import SketchSet, adapt
from sketchkit.adapters import AdaptedModel, CanvasSelector, mobilenet_v2
from sketchkit.simplifying import simplify

from contest import Table, contest, markdown

SHARES = {32: 0.30, 64: 0.25, 128: 0.23, 256: 0.22}
"""How many of the queries go to each canvas: 0.248 G on average, below the paper's 0.254 G."""
_QUERIES = 100


class Forced(CanvasSelector):
    """Does all the work of a selector, then answers what it was told: an untrained one would take one canvas."""

    answers: list[int]

    def select(self, sketches):  # type: ignore[no-untyped-def]  # as its parent
        """The next answer, after a real selection."""
        chosen = super().select(sketches)
        chosen[:] = self.answers.pop()
        return chosen


def tables(rounds: int) -> list[Table]:
    """Selection beside the student's pass, and V2 beside V1."""
    torch.set_num_threads(1)
    drawings = sketchkit.read(Path(os.environ.get("SKETCHKIT_DATA", "../shared/data")) / "chairv2")
    torch.manual_seed(0)
    with torch.inference_mode():
        model = adapt(mobilenet_v2()).eval()
        return [_selection(model, drawings, rounds), _end_to_end(model, drawings, max(rounds // 5, 1))]


def _median(drawings: SketchSet) -> SketchSet:
    points = np.diff(drawings.stroke_offsets[drawings.sketch_offsets])
    middle = int(np.argsort(points, kind="stable")[len(points) // 2])
    return drawings[middle : middle + 1]


def _selection(model: AdaptedModel, drawings: SketchSet, rounds: int) -> Table:
    selector, drawing = model.canvas_selector, _median(drawings)
    sequences, lengths = selector.encode(drawing)
    rows = selector._rows(drawing)
    image = torch.rand(1, 3, 256, 256).contiguous(memory_format=torch.channels_last)
    student = _session(model.backbone, (image,), ["images"], {"images": {0: "batch", 2: "height", 3: "width"}})
    axes = {"rows": {0: "batch", 1: "steps"}, "lengths": {0: "batch"}}
    policy = _session(selector, (sequences, lengths), ["rows", "lengths"], axes)
    pixels, feeds = {"images": image.numpy()}, {"rows": sequences.numpy(), "lengths": lengths.numpy()}
    times = contest(
        {
            "student at 256, torch": lambda: model.backbone(image),
            "simplify": lambda: simplify(drawing, max_points=selector.points),
            "encode (simplify included), padded": lambda: selector.encode(drawing),
            "GRU by torch, packed": lambda: selector(sequences, lengths),
            "GRU by our kernel": lambda: selector._logits_by_kernel(*rows),
            "select (encode and kernel)": lambda: selector.select(drawing),
            "student at 256, ONNX Runtime": lambda: student.run(None, pixels),
            "GRU by ONNX Runtime": lambda: policy.run(None, feeds),
            "encode and GRU by ONNX Runtime": lambda: policy.run(
                None, dict(zip(feeds, (each.numpy() for each in selector.encode(drawing)), strict=True))
            ),
        },
        rounds,
    )
    cells = []
    for name, timing in times.items():
        whole = times[f"student at 256, {'ONNX Runtime' if 'ONNX' in name else 'torch'}"]
        share = timing.wall / whole.wall
        cells.append([name, f"{timing.wall * 1e3:.3f}", f"{share:.1%}"])
    return Table(
        "Selecting a canvas beside MobileNetV2 at 256 px, the median ChairV2 drawing",
        ["what", "ms", "of the student"],
        cells,
        f"Batch 1, one thread, {int(lengths[0])} steps, random weights. Each row against the student in its runtime.",
    )


def _end_to_end(model: AdaptedModel, drawings: SketchSet, rounds: int) -> Table:
    random = np.random.default_rng(0)
    queries = [drawings[int(i) : int(i) + 1] for i in random.choice(len(drawings), _QUERIES, replace=False)]
    counts = [round(share * _QUERIES) for share in SHARES.values()]
    answers = random.permutation(np.repeat(np.arange(len(counts)), counts)).tolist()
    forced = Forced(len(counts))
    forced.load_state_dict(model.canvas_selector.state_dict())
    model.canvas_selector = forced

    def v2() -> None:
        forced.answers = list(answers)
        for query in queries:
            model.embed_sketches(query)

    def v1() -> None:
        for query in queries:
            model.embed_sketches(query, canvas=256)

    times = contest({"V1, every query at 256 px": v1, "V2, select and draw on its canvas": v2}, rounds)
    with torch.inference_mode(False):  # in inference mode torch hides the convolutions from who counts
        costs = {size: each.flops for size, each in model.cost().per_canvas.items()}
    flops = [costs[256], sum(share * costs[size] for size, share in SHARES.items())]
    whole = times["V1, every query at 256 px"].wall
    cells = [
        [name, f"{mean / 1e9:.3f}", f"{timing.wall * 1e3 / _QUERIES:.2f}", f"{whole / timing.wall:.2f}"]
        for (name, timing), mean in zip(times.items(), flops, strict=True)
    ]
    mix = ", ".join(f"{share:.0%} at {size}" for size, share in SHARES.items())
    return Table(
        "A query end to end by torch: select, rasterize, embed",
        ["what", "GFLOPs (pass alone)", "ms a query", "times as fast as V1"],
        cells,
        f"Batch 1, one thread, {_QUERIES} ChairV2 drawings. The mix is set by hand ({mix}): the selector computes as "
        "it always does, then its answer is replaced.",
    )


def _session(
    module: nn.Module, inputs: tuple[torch.Tensor, ...], names: list[str], axes: dict[str, dict[int, str]]
) -> onnxruntime.InferenceSession:
    """The module in ONNX Runtime on one thread; its outputs are compared with torch's."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch deprecates this exporter
        path = Path(folder) / "module.onnx"
        torch.onnx.export(module, inputs, str(path), dynamo=False, input_names=names, dynamic_axes=axes)
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    found = session.run(None, {name: value.numpy() for name, value in zip(names, inputs, strict=True)})[0]
    np.testing.assert_allclose(found, module(*inputs).numpy(), atol=1e-4)
    return session


def main() -> None:
    """Print the tables."""
    for table in tables(int(sys.argv[1]) if len(sys.argv) > 1 else 15):
        print(markdown(table))


if __name__ == "__main__":
    main()
