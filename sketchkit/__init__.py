"""sketchkit: human vector sketches, and efficient photo networks that understand them.

The vector library is here; `sketchkit.adapters` (torch) and `sketchkit.recipes` (training) build on it.
Names resolve on first use, so that importing sketchkit loads neither torch, numba nor cairo.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Public name -> module that defines it.
_EXPORTS = {
    "AdaptError": "errors",
    "AdaptedModel": "adapters.adapted_model",
    "Canvas": "canvas",
    "DataError": "errors",
    "FormatError": "errors",
    "MissingDataError": "errors",
    "MissingDependencyError": "errors",
    "OutputError": "errors",
    "ParameterError": "errors",
    "Sketch": "sketch",
    "SketchSet": "sketch_set",
    "SketchkitError": "errors",
    "SketchkitWarning": "errors",
    "SkippedRecord": "reading",
    "WeightsError": "errors",
    "adapt": "adapters.adapting",
    "cut_corners": "smoothing",
    "deform_locally": "augmenting",
    "drop_strokes": "transforms",
    "fit": "transforms",
    "jitter": "transforms",
    "measure": "measures",
    "normalize": "transforms",
    "quickdraw_simplify": "simplifying",
    "rasterize": "rasterizing",
    "rasterize_pyramid": "rasterizing",
    "read": "reading",
    "resample": "transforms",
    "reverse_strokes": "augmenting",
    "scan": "reading",
    "shuffle_strokes": "augmenting",
    "simplify": "simplifying",
    "smooth": "smoothing",
    "trace": "tracing",
    "trace_edges": "tracing",
    "truncate": "transforms",
    "visvalingam": "simplifying",
    "write": "writing",
}

__all__ = [*sorted(_EXPORTS), "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'sketchkit' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"sketchkit.{_EXPORTS[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__


if TYPE_CHECKING:
    from sketchkit.adapters.adapted_model import AdaptedModel as AdaptedModel
    from sketchkit.adapters.adapting import adapt as adapt
    from sketchkit.augmenting import deform_locally as deform_locally
    from sketchkit.augmenting import reverse_strokes as reverse_strokes
    from sketchkit.augmenting import shuffle_strokes as shuffle_strokes
    from sketchkit.canvas import Canvas as Canvas
    from sketchkit.errors import AdaptError as AdaptError
    from sketchkit.errors import DataError as DataError
    from sketchkit.errors import FormatError as FormatError
    from sketchkit.errors import MissingDataError as MissingDataError
    from sketchkit.errors import MissingDependencyError as MissingDependencyError
    from sketchkit.errors import OutputError as OutputError
    from sketchkit.errors import ParameterError as ParameterError
    from sketchkit.errors import SketchkitError as SketchkitError
    from sketchkit.errors import SketchkitWarning as SketchkitWarning
    from sketchkit.errors import WeightsError as WeightsError
    from sketchkit.measures import measure as measure
    from sketchkit.rasterizing import rasterize as rasterize
    from sketchkit.rasterizing import rasterize_pyramid as rasterize_pyramid
    from sketchkit.reading import SkippedRecord as SkippedRecord
    from sketchkit.reading import read as read
    from sketchkit.reading import scan as scan
    from sketchkit.simplifying import quickdraw_simplify as quickdraw_simplify
    from sketchkit.simplifying import simplify as simplify
    from sketchkit.simplifying import visvalingam as visvalingam
    from sketchkit.sketch import Sketch as Sketch
    from sketchkit.sketch_set import SketchSet as SketchSet
    from sketchkit.smoothing import cut_corners as cut_corners
    from sketchkit.smoothing import smooth as smooth
    from sketchkit.tracing import trace as trace
    from sketchkit.tracing import trace_edges as trace_edges
    from sketchkit.transforms import drop_strokes as drop_strokes
    from sketchkit.transforms import fit as fit
    from sketchkit.transforms import jitter as jitter
    from sketchkit.transforms import normalize as normalize
    from sketchkit.transforms import resample as resample
    from sketchkit.transforms import truncate as truncate
    from sketchkit.writing import write as write
