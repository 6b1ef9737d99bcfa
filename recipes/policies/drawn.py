"""Policies that look at the drawing alone: one measure against a threshold, or a small network on all measures."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from sketchkit.measures import MEASURES
from sketchkit.recipes.policies.budgets import first_by, price_for
from sketchkit.recipes.policies.choices import Choice, Policy, photo_groups, stacked
from sketchkit.recipes.policies.outcomes import Outcomes
from sketchkit.recipes.policies.success import SuccessModel

__all__ = ["MeasureNetwork", "MeasureRule"]

Values = NDArray[np.float64]


class MeasureRule(Policy):
    """Two canvases, and a threshold on one measure between them; canvases, direction and threshold are learned.

    Args:
        measure: a key of `sketchkit.measures.MEASURES`; a drawing without a value counts as 0.

    Example:
        >>> MeasureRule("ink").name
        'rule on ink'
    """

    sees = "measures"
    dial = "budget"

    def __init__(self, measure: str) -> None:
        self.measure, self.name = measure, f"rule on {measure}"

    def fit(self, training: Sequence[Outcomes], seed: int) -> None:
        """Keep of `training` what thresholds are set on; `seed` does not count."""
        self._values = stacked(training, self._measured)
        self._right = stacked(training, lambda part: part.right)
        self._flops = stacked(training, lambda part: part.flops)

    def choose(self, outcomes: Outcomes, dial: float) -> Choice:
        """For each sketch of `outcomes`, by the rule that found most for `dial` FLOPs in training."""
        first, second, sign, threshold = self._rule(dial)
        canvas = np.where(sign * self._measured(outcomes) < threshold, second, first)
        flops = outcomes.flops[np.arange(len(canvas)), canvas]
        return Choice.of(canvas, flops, canvases=len(outcomes.canvases))

    def _rule(self, budget: float) -> tuple[int, int, float, float]:
        """The cheaper canvas, the dearer one, which drawings go there first, and up to where."""
        costs = self._flops.mean(axis=0)
        rules = [(k, k, 1.0, 0.0) for k, each in enumerate(costs) if each <= budget or k == 0]
        for first, second in combinations(range(len(costs)), 2):
            left = float(budget - costs[first]) * len(self._flops)
            if left > 0:
                more = self._flops[:, second] - self._flops[:, first]
                rules += [(first, second, s, first_by(s * self._values, more, left)) for s in (1.0, -1.0)]
        return max(rules, key=self._found)

    def _found(self, rule: tuple[int, int, float, float]) -> float:
        first, second, sign, threshold = rule
        goes = sign * self._values < threshold
        return float(np.where(goes, self._right[:, second], self._right[:, first]).mean())

    def _measured(self, outcomes: Outcomes) -> Values:
        return np.nan_to_num(outcomes.measures[:, list(MEASURES).index(self.measure)])


class MeasureNetwork(Policy):
    """Predicts from all measures how likely each canvas finds the photo; the best after the price of its FLOPs."""

    name = "network on measures"
    sees = "measures"
    dial = "budget"

    def fit(self, training: Sequence[Outcomes], seed: int) -> None:
        """Train the predictor on `training`; `seed` as of `SuccessModel.fit`."""
        features = stacked(training, lambda part: part.measures)
        right = stacked(training, lambda part: part.right)
        self._model = SuccessModel.fit(features, right, photo_groups(training), seed)
        self._flops = stacked(training, lambda part: part.flops)

    def own_params(self, dial: float) -> int:
        """Of the predictor, which is the same for each `dial`."""
        return self._model.params

    def choose(self, outcomes: Outcomes, dial: float) -> Choice:
        """For each sketch of `outcomes`, at the price that spends `dial` FLOPs on the training folds."""
        own = self._model.flops
        price = price_for(self._model.fitted, self._flops + own, dial)
        chances = price.chances(self._model(outcomes.measures), outcomes.flops)
        return Choice(chances, (chances * outcomes.flops).sum(axis=1) + own)
