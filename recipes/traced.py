"""Drawings that are there as images only: their strokes, traced."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sketchkit.errors import DataError
from sketchkit.recipes.photos import on_white
from sketchkit.recipes.progress import progress
from sketchkit.sketch import Sketch
from sketchkit.sketch_set import SketchSet
from sketchkit.tracing import trace

__all__ = ["TRACED", "trace_files"]

TRACED = (
    "Its drawings are images, whose strokes were traced: shapes are as drawn, but order and direction of strokes are "
    "from top to bottom. What looks at these, V2's selector and the curve over the ink drawn, says nothing of people."
)
"""What must be said wherever a figure of traced drawings is shown."""


def trace_files(paths: Sequence[Path]) -> SketchSet:
    """The drawings in image files, in the order given; the column `key` has the files' names without suffix.

    Args:
        paths: dark ink on a light or transparent ground.

    Raises:
        DataError: a file is no picture or has no ink, or two have one name.
    """
    first: dict[str, Path] = {}
    for path in paths:
        if (other := first.setdefault(path.stem, path)) != path:
            raise DataError(f"{path} and {other} have one name; each drawing needs its own, whatever folder it is in")
    found = [_traced(path) for path in progress(paths, "tracing drawings", unit="drawing")]
    return SketchSet.from_sketches(found).with_columns(key=np.array([path.stem for path in paths], dtype=object))


def _traced(path: Path) -> Sketch:
    sketch = trace(np.asarray(on_white(path).convert("L")))
    if not len(sketch.points):
        raise DataError(f"{path}: no ink there; a drawing must be dark on a light ground")
    return sketch
