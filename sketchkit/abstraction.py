"""One number for how abstract a drawing is, its weights fitted to drawings made sparse or detailed on purpose."""

from __future__ import annotations

from collections.abc import Mapping
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
    """What one feature adds to the log odds of "sparse": weight (feature - mean) / deviation."""

    mean: float
    deviation: float
    weight: float


# fitted: begin (python benchmarks/abstraction.py --write)
BIAS: Final = 0.0
TERMS: Final[Mapping[str, Term]] = {
    "strokes": Term(mean=2.0, deviation=0.6, weight=-0.5),
}
# fitted: end


def abstraction(block: SketchSet) -> Values:
    """How abstract the drawing is: 0 detailed, 1 abstract.

    The probability, by logistic regression, that a drawer was asked for no more detail than tells the object from
    objects of other kinds, not from others of its kind; 0.5 is as likely the one as the other. All it knows are
    chairs: the order of drawings carries further than the value itself.

    Unit: probability
    Same under: place, scale, sampling
    Degenerate: empty or no length: near 1.
    Source: the drawing game of Fan et al. 2020, its condition told from measures listed here; see docs/measures.md
    """
    values = features(block)
    # The weights are by standardized feature, so that their sizes can be compared.
    odds = BIAS + sum(
        (term.weight / term.deviation * (values[name] - term.mean) for name, term in TERMS.items()),
        np.zeros(len(block)),
    )
    # In this form neither end overflows.
    return np.asarray(0.5 * (1 + np.tanh(odds / 2)), np.float64)


def features(block: SketchSet) -> dict[str, Values]:
    """What the score may use, name -> (sketches,): amounts of detail without time, counts and lengths as log(1 + x)."""
    drawn = Geometry.of(block)
    return {
        "strokes": np.log1p(line_measures.strokes(drawn)),
        "corners": np.log1p(line_measures.corners(drawn)),
        "ink": np.log1p(line_measures.ink(drawn)),
        "travel": np.log1p(line_measures.travel(drawn)),
        "crossings": np.log1p(line_measures.crossings(drawn)),
        "description_length": np.log1p(layout_measures.description_length(drawn)),
        "coverage": np.log1p(1024 * layout_measures.coverage(drawn)),
        "ink_entropy": layout_measures.ink_entropy(drawn),
        "overlap": layout_measures.overlap(drawn),
    }
