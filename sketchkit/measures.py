"""How abstract a drawing is: one number a drawing and measure, comparable between drawings of any size.

Lengths are in diagonals of the drawing's bounding box, so that scaling a drawing changes none of them. A coordinate
that is NaN or infinite makes the measures of its own drawing NaN, except `strokes` and `points`, and of no other.
Each measure's docstring says what it is, its unit, what does not change it, what an empty or flat drawing gives, and
where it comes from; docs/measures.md has them in one table, with how well each tells sparse from detailed.

"Same under": place, scale and rotation of the whole drawing; "sampling" is points added on the line.

Sources named there:

- Benhamou 2004, "How to reliably estimate the tortuosity of an animal's path",
  https://doi.org/10.1016/j.jtbi.2004.03.016: straightness, after Batschelet 1981.
- Berger et al. 2013, "Style and abstraction in portrait sketching", https://doi.org/10.1145/2461912.2461964: drawings
  under shrinking time limits, analyzed by strokes and by shape.
- Delaye and Anquetil 2013, "HBF49 feature set: a first unified baseline for online symbol recognition", Pattern
  Recognition 46, 117-130.
- Donderi 2006, "Visual complexity: a review", https://doi.org/10.1037/0033-2909.132.1.73.
- Douglas and Peucker 1973, https://doi.org/10.3138/FM57-6770-U75U-7727.
- Elias 1975, "Universal codeword sets and representations of the integers", https://doi.org/10.1109/TIT.1975.1055349.
- Fan et al. 2020, "Pragmatic inference and visual abstraction enable contextual flexibility during visual
  communication", https://doi.org/10.1007/s42113-019-00058-7: where the viewer needs less detail, drawers use fewer
  strokes, less ink and less time.
- Ha and Eck 2017, "A neural representation of sketch drawings", https://arxiv.org/abs/1704.03477.
- Ku et al. 2006, "Interpretation of overtracing freehand sketching for geometric shapes".
- Mandelbrot 1982, "The fractal geometry of nature".
- Muhammad et al. 2018, "Learning deep sketch abstraction", https://arxiv.org/abs/1804.04804: abstraction trades
  recognizability against the number of strokes.
- Mukherjee et al. 2023, "SEVA: leveraging sketches to evaluate alignment between human and machine visual
  abstraction", https://arxiv.org/abs/2312.03035: sparsity varied by time limits.
- Rissanen 1978, "Modeling by shortest data description", https://doi.org/10.1016/0005-1098(78)90005-5.
- Rubine 1991, "Specifying gestures by example", https://doi.org/10.1145/122718.122753: geometric features of a pen
  stroke.
- Shannon 1948, "A mathematical theory of communication".
- Willems et al. 2009, "Iconic and multi-stroke gesture recognition", Pattern Recognition 42, 3303-3312: such features
  as means over the strokes of a drawing; listed in https://arxiv.org/abs/1810.03970.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from difflib import get_close_matches

import numpy as np
from numpy.typing import NDArray

from sketchkit import abstraction, layout_measures, line_measures
from sketchkit.blocks import as_block
from sketchkit.errors import ParameterError
from sketchkit.geometry import Geometry
from sketchkit.sketch import Sketch
from sketchkit.sketch_set import SketchSet

__all__ = ["MEASURES", "measure"]

Values = NDArray[np.float64]
Measure = Callable[[SketchSet], Values]

# So many drawings at a time: what is computed on the way then stays in the processor's cache.
_CHUNK = 512

# Every public measure by name; add one of your own to have `measure` compute it.
MEASURES: dict[str, Measure] = {
    "strokes": line_measures.strokes,
    "corners": line_measures.corners,
    "ink": line_measures.ink,
    "stroke_length": line_measures.stroke_length,
    "turning": line_measures.turning,
    "straightness": line_measures.straightness,
    "diagonal_angle": layout_measures.diagonal_angle,
    "duration": line_measures.duration,
    "speed": line_measures.speed,
    "pauses": line_measures.pauses,
    "points": line_measures.points,
    "longest_stroke": line_measures.longest_stroke,
    "curvature": line_measures.curvature,
    "closed_strokes": line_measures.closed_strokes,
    "crossings": line_measures.crossings,
    "travel": line_measures.travel,
    "coverage": layout_measures.coverage,
    "ink_entropy": layout_measures.ink_entropy,
    "box_dimension": layout_measures.box_dimension,
    "overlap": layout_measures.overlap,
    "off_center": layout_measures.off_center,
    "description_length": layout_measures.description_length,
    "abstraction": abstraction.abstraction,
}


def measure(
    sketches: Sketch | SketchSet | Iterable[Sketch], names: str | Iterable[str] | None = None
) -> dict[str, Values]:
    """Measure the abstraction of drawings: name -> (sketches,) float64; `MEASURES[name].__doc__` defines each.

    Args:
        sketches: one drawing (then each array has one value) or many.
        names: which measures, in this order; all by default.

    Raises:
        ParameterError: a name is not in `MEASURES`.

    Example:
        >>> roof = Sketch.from_strokes([[(0, 4), (3, 0), (6, 4)], [(0, 4), (6, 4)]])
        >>> measure(roof, ["strokes", "corners"])
        {'strokes': array([2.]), 'corners': array([5.])}
    """
    chosen = [names] if isinstance(names, str) else list(MEASURES if names is None else names)
    for name in chosen:
        if name not in MEASURES:
            near = "".join(f"did you mean {close!r}? " for close in get_close_matches(str(name), MEASURES, 1))
            raise ParameterError(f"no measure is called {name!r}; {near}there are {', '.join(MEASURES)}")
    block = as_block(sketches)
    values = {name: np.empty(len(block)) for name in chosen}
    for start in range(0, len(block), _CHUNK):
        part = Geometry.of(block[start : start + _CHUNK])
        for name in chosen:
            values[name][start : start + _CHUNK] = MEASURES[name](part)
    return values
