"""An adapted MobileNetV2 in torch and in ONNX Runtime: size, time of a query, agreement. Compare ratios, not rates.

    python benchmarks/exporting.py [--sketches 200] [--rounds 15] [--data FILE]

With ImageNet weights where their package is installed, else with random ones. Drawings and photos are ChairV2's, from
SKETCHKIT_DATA; where it is not there, made ones, which say little about agreement.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from sketchkit import AdaptedModel, SketchSet, adapt, rasterize
from sketchkit.adapters import OnnxModel, load_pretrained, mobilenet_v2, verify
from sketchkit.adapters.export import PRECISIONS, Exported
from sketchkit.errors import WeightsError
from sketchkit.recipes.photos import load_photos

from contest import Table, contest, markdown
from stroke_data import argument_parser, stroke_drawings

CALIBRATED = 50


def main() -> None:
    """Print the tables."""
    parser = argument_parser(__doc__, rounds=15)
    parser.set_defaults(sketches=200)
    arguments = parser.parse_args()
    print("\n".join(map(markdown, measured(arguments.data, arguments.sketches, arguments.rounds))))


def tables(rounds: int) -> list[Table]:
    """The tables on 200 drawings."""
    return measured(argument_parser(__doc__, rounds=rounds).parse_args([]).data, 200, rounds)


def measured(data: Path, count: int, rounds: int) -> list[Table]:
    """Time and agreement, of drawings and photos that int8 was not calibrated on."""
    torch.set_num_threads(1)
    drawings, photos = stroke_drawings(data, count + CALIBRATED), photos_beside(data, count)
    adapted, weights = network()
    with tempfile.TemporaryDirectory() as folder:
        exported = adapted.export(
            folder, precisions=PRECISIONS, calibration=(drawings[:CALIBRATED], photos[:CALIBRATED])
        )
        queries, gallery = drawings[CALIBRATED:], photos[CALIBRATED:]
        return [
            times(adapted, exported, queries, rounds, weights),
            agreement(adapted, exported, queries, gallery, weights),
        ]


def network() -> tuple[AdaptedModel, str]:
    """MobileNetV2, and which weights it has."""
    try:
        return adapt(load_pretrained("mobilenet_v2")).eval(), "ImageNet weights"
    except WeightsError:
        return adapt(mobilenet_v2()).eval(), "random weights"


def photos_beside(data: Path, count: int) -> np.ndarray:
    """Photos (count + CALIBRATED, 3, 256, 256) beside the drawings, or noise."""
    paths = sorted((data.parent / "photo").glob("*.png"))[: count + CALIBRATED]
    if paths:
        return load_photos(paths, 256)
    return np.random.default_rng(0).integers(0, 256, (count + CALIBRATED, 3, 256, 256), np.uint8)


def times(adapted: AdaptedModel, exported: Exported, drawings: SketchSet, rounds: int, weights: str) -> Table:
    """One drawing at a time: its raster to its embedding, on each canvas, and the selector."""
    models = {precision: OnnxModel(exported.folder, precision, threads=1) for precision in PRECISIONS}
    one = drawings[:1]
    columns: list[dict[str, Callable[[], object]]] = []
    for canvas in adapted.canvases:
        raster = rasterize(one, canvas)
        columns.append(
            {"torch": functools.partial(in_torch, adapted, raster)}
            | {name: functools.partial(model.embed_rasters, raster) for name, model in models.items()}
        )
    columns.append(
        {"torch": functools.partial(adapted.select, one), "fp32": functools.partial(models["fp32"].select, one)}
    )
    timings = [contest(column, rounds) for column in columns]
    rows = []
    for name in ("torch", *PRECISIONS):
        size = f"{exported.bytes_of[name] / 1e6:.2f}" if name in exported.bytes_of else ""
        cells = [f"{timing[name].cpu * 1e3:.2f}" if name in timing else "" for timing in timings]
        rows.append([name if name == "torch" else f"ONNX Runtime, {name}", size, *cells])
    header = ["", "MB", *(f"ms at {canvas.size}" for canvas in adapted.canvases), "ms to select"]
    note = (
        f"MobileNetV2, {weights}; one query at a time from its raster, processor time, best of {rounds}, one thread. "
        f"The selector ({exported.bytes_of['selector'] / 1e6:.2f} MB, always fp32) from the strokes to the canvas."
    )
    return Table("A query, exported", header, rows, note)


@torch.no_grad()
def in_torch(adapted: AdaptedModel, raster: np.ndarray) -> torch.Tensor:
    """Embeddings by torch."""
    return adapted.embed_rasters(raster)


def agreement(
    adapted: AdaptedModel, exported: Exported, drawings: SketchSet, photos: np.ndarray, weights: str
) -> Table:
    """How near the exports come to torch, and whether they find the same photos."""
    rows = [
        [
            precision,
            str(size),
            f"{each.max_difference:.1e}",
            f"{each.cosine:.4f}",
            f"{100 * each.top_1:.1f} %",
            f"{100 * each.top_10:.1f} %",
        ]
        for precision, sizes in verify(adapted, exported.folder, drawings, photos).items()
        for size, each in sizes.items()
    ]
    note = (
        f"MobileNetV2, {weights}; {len(drawings)} drawings search {len(photos)} photos, against torch in fp32. int8 "
        f"was calibrated on {CALIBRATED} other drawings on each canvas and as many photos."
    )
    header = ["precision", "canvas", "largest difference", "mean cosine", "same nearest photo", "same ten nearest"]
    return Table("Exported against torch", header, rows, note)


if __name__ == "__main__":
    main()
