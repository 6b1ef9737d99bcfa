"""Retrieved examples for the report: hits and misses, each drawing at its chosen canvas."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sketchkit.rasterizing import rasterize
from sketchkit.recipes.pairs import PairedSet
from sketchkit.recipes.photos import load_photo

__all__ = ["retrieved_examples"]

_THUMBNAIL = 112


def retrieved_examples(
    test: PairedSet,
    chosen: NDArray[np.int64],
    nearest: NDArray[np.int64],
    found: NDArray[np.int64],
    count: int,
) -> list[dict[str, Any]]:
    """Examples spread evenly over the ranks from best to worst, so that misses show in their true share.

    Args:
        test: the test pairs.
        chosen: (sketches,) canvas sizes.
        nearest: (sketches, photos) the gallery in the order in which it answers each, as of `rankings`.
        found: (sketches,) ranks.
        count: how many examples.

    Returns:
        One record an example; see the report's template.
    """
    order = np.argsort(found, kind="stable")
    picked = order[np.unique(np.linspace(0, len(order) - 1, min(count, len(order))).astype(int))]
    return [_example(test, int(row), int(chosen[row]), nearest[row, :5].tolist(), int(found[row])) for row in picked]


def _example(test: PairedSet, row: int, canvas: int, top: list[int], rank: int) -> dict[str, Any]:
    sketch, right = test.sketches[row], int(test.photo_of_sketch[row])
    keys = test.photo_keys
    return {
        "sketch": str(sketch.key),
        "svg": sketch.to_svg(),
        "raster": {"size": canvas, "png": _data_uri(Image.fromarray(255 - rasterize(sketch, canvas)[0]))},
        "canvas": canvas,
        "rank": rank,
        "photo": keys[right],
        "photo_png": _thumbnail(test.photo_paths[right]),
        "top": [{"photo": keys[p], "png": _thumbnail(test.photo_paths[p]), "right": p == right} for p in top],
    }


def _thumbnail(path: Path) -> str:
    return _data_uri(Image.fromarray(load_photo(path, _THUMBNAIL).transpose(1, 2, 0)))


def _data_uri(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
