"""One number for how abstract a drawing is, its weights fitted to drawings made sparse or detailed on purpose."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sketchkit import layout_measures, line_measures
from sketchkit.geometry import Geometry
from sketchkit.sketch_set import SketchSet

__all__ = ["BIAS", "TERMS", "Term", "abstraction", "features"]

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Term:
    """What one feature adds to the log odds of "sparse": `weight` (feature - `mean`) / `deviation`.

    Mean and standard deviation are the feature's over the drawings of the fit, in its own unit.
    """

    mean: float
    deviation: float
    weight: float


# fitted: begin (python benchmarks/abstraction.py --write)
BIAS: Final = 0.009367
TERMS: Final[Mapping[str, Term]] = {
    "strokes": Term(mean=2.3201, deviation=0.47434, weight=-0.2698),
    "corners": Term(mean=3.9674, deviation=0.47436, weight=-0.4484),
    "description_length": Term(mean=6.9569, deviation=0.45299, weight=-0.1964),
    "overlap": Term(mean=0.078289, deviation=0.053009, weight=-0.03892),
}
# fitted: end


def abstraction(block: SketchSet) -> Values:
    """How abstract the drawing is: 0 detailed, 1 abstract.

    For each drawing of `block` the probability, by logistic regression, that its drawer was asked for no more detail
    than tells the object from objects of other kinds, not from others of its kind; 0.5 is as likely the one as the
    other. All it knows are chairs: the order of drawings carries further than the value itself.

    It is of what was drawn, not of how it was sampled: Quick, Draw!'s raw and simplified files of one drawing differ by
    0.01 (median) and 0.04 (99 of 100 by less).

    Unit: probability
    Same under: place, scale, sampling
    Degenerate: empty, one point or no length near 1.
    Source: the drawing game of Fan et al. 2020, its condition told from measures listed here; see docs/measures.md
    """
    values = features(block, TERMS)
    odds = np.full(len(block), BIAS)
    for name, term in TERMS.items():
        odds += term.weight / term.deviation * (values[name] - term.mean)
    # In this form neither end overflows.
    return np.asarray(0.5 * (1 + np.tanh(odds / 2)), np.float64)


def features(block: SketchSet, names: Iterable[str] | None = None) -> dict[str, Values]:
    """What the score may use of the drawings of `block`, name -> (sketches,): amounts of detail that need no time.

    `names` says which, None all. Each is 0 or more. Counts and lengths, whose distributions have long tails, come as
    log(1 + x).
    """
    drawn = Geometry.of(block)
    return {name: _FEATURES[name](drawn) for name in (_FEATURES if names is None else names)}


def _log(measure: Callable[[SketchSet], Values]) -> Callable[[SketchSet], Values]:
    return lambda block: np.log1p(measure(block))


_FEATURES: Mapping[str, Callable[[SketchSet], Values]] = {
    "strokes": _log(line_measures.strokes),
    "corners": _log(line_measures.corners),
    "ink": _log(line_measures.ink),
    "travel": _log(line_measures.travel),
    "crossings": _log(line_measures.crossings),
    "description_length": _log(layout_measures.description_length),
    "coverage": layout_measures.coverage,
    "ink_entropy": layout_measures.ink_entropy,
    "overlap": layout_measures.overlap,
}
