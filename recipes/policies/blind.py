"""Policies that look at nothing, what every other must beat; and the oracle, which sees the truth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, linprog
from scipy.special import softmax

from sketchkit.recipes.policies.choices import Choice, Policy, stacked
from sketchkit.recipes.policies.outcomes import Outcomes

__all__ = ["BestMixture", "EvenMixture", "Fixed", "Oracle", "SameMix", "UniformRandom", "best_mixture", "even_mixture"]


class Fixed(Policy):
    """Every sketch on one canvas.

    Args:
        canvas: its index.
        size: in pixels, for the name.

    Example:
        >>> Fixed(1, 64).name
        'fixed 64 px'
    """

    def __init__(self, canvas: int, size: int) -> None:
        self.canvas, self.name = canvas, f"fixed {size} px"

    def choose(self, outcomes: Outcomes, dial: float) -> Choice:
        """The one canvas for all sketches of `outcomes`; `dial` does not count."""
        return _drawn(outcomes, np.eye(len(outcomes.canvases))[self.canvas])


class UniformRandom(Policy):
    """Lots among all canvases, each as likely."""

    name = "random, uniform"

    def choose(self, outcomes: Outcomes, dial: float) -> Choice:
        """Equal chances for all sketches of `outcomes`; `dial` does not count."""
        return _drawn(outcomes, np.full(len(outcomes.canvases), 1 / len(outcomes.canvases)))


class SameMix(Policy):
    """Lots in the shares in which another policy uses the canvases; that policy is fitted with it.

    Its answers come from the very canvases of the other, but one pass each: beside a cascade it is cheaper.

    Args:
        other: the policy whose shares it takes.
    """

    def __init__(self, other: Policy) -> None:
        self.other, self.name = other, f"random, mix of {other.name}"
        self.dial = other.dial

    def values(self, budgets: Sequence[float]) -> list[float]:
        """Those of the other for these `budgets`."""
        return self.other.values(budgets)

    def fit(self, training: Sequence[Outcomes], seed: int) -> None:
        """Fit the other, with `training` and `seed`."""
        self.other.fit(training, seed)

    def choose(self, outcomes: Outcomes, dial: float) -> Choice:
        """The shares of all sketches of `outcomes` that the other sends to each canvas at this `dial`."""
        return _drawn(outcomes, self.other.choose(outcomes, dial).chances.mean(axis=0))


class BestMixture(Policy):
    """Lots in the best shares for a budget: the upper hull of the fixed canvases, the toughest choice that is blind."""

    name = "random, best mixture"
    dial = "budget"

    def fit(self, training: Sequence[Outcomes], seed: int) -> None:
        """Learn for which share of the sketches of `training` each canvas finds the photo; `seed` does not count."""
        self._found = stacked(training, lambda part: part.right).mean(axis=0)

    def choose(self, outcomes: Outcomes, dial: float) -> Choice:
        """Shares that find the most for `dial` FLOPs, at what the canvases cost the very drawings of `outcomes`."""
        return _drawn(outcomes, best_mixture(self._found, outcomes.flops.mean(axis=0), dial))


class EvenMixture(Policy):
    """Lots as even as a budget allows: the shares of highest entropy, what somebody takes who knows no accuracies."""

    name = "random, even mixture"
    dial = "budget"

    def choose(self, outcomes: Outcomes, dial: float) -> Choice:
        """The most even shares for `dial` FLOPs, at what the canvases cost the very drawings of `outcomes`."""
        return _drawn(outcomes, even_mixture(outcomes.flops.mean(axis=0), dial))


class Oracle(Policy):
    """The cheapest canvas that finds the right photo, the cheapest of all where none does: a bound, not a policy."""

    name = "oracle"
    sees = "truth"

    def choose(self, outcomes: Outcomes, dial: float) -> Choice:
        """Looks at the ranks of `outcomes`; `dial` does not count."""
        canvas = outcomes.right.argmax(axis=1)
        flops = outcomes.flops[np.arange(len(canvas)), canvas]
        return Choice.of(canvas, flops, canvases=len(outcomes.canvases))


def best_mixture(found: NDArray[np.float64], costs: NDArray[np.float64], budget: float) -> NDArray[np.float64]:
    """Shares of the canvases that find the most at a mean cost; all on the cheapest where it costs too much already.

    Args:
        found: (K,) accuracy of each canvas.
        costs: (K,) of each.
        budget: the most that their mean may cost.

    Returns:
        (K,), at least 0, sum 1.

    Example:
        >>> best_mixture(np.array([0.2, 0.3, 0.6]), np.array([1.0, 2.0, 3.0]), 2.0).round(6).tolist()
        [0.5, 0.0, 0.5]
    """
    if budget <= costs.min():
        return np.asarray(np.eye(len(costs))[costs.argmin()])
    scale = costs.max()  # the solver's tolerances are absolute
    solved = linprog(
        -found, A_ub=costs[None] / scale, b_ub=[budget / scale], A_eq=np.ones((1, len(costs))), b_eq=[1], bounds=(0, 1)
    )
    shares = np.clip(np.asarray(solved.x, np.float64), 0, 1)
    return np.asarray(shares / shares.sum())


def even_mixture(costs: NDArray[np.float64], budget: float) -> NDArray[np.float64]:
    """Shares of highest entropy whose mean cost is a budget: falling exponentially with the cost.

    Equal shares where their mean costs no more; all on the cheapest where that costs too much already.

    Args:
        costs: (K,) of each canvas.
        budget: the most that their mean may cost.

    Returns:
        (K,), at least 0, sum 1.

    Example:
        >>> even_mixture(np.array([1.0, 2.0, 3.0]), 1.5).round(3).tolist()
        [0.616, 0.268, 0.116]
    """
    dearer = (costs - costs.min()) / max(float(np.ptp(costs)), 1e-300)
    goal = float((budget - costs.min()) / max(float(np.ptp(costs)), 1e-300))

    def excess(rate: float) -> float:
        return float(softmax(-rate * dearer) @ dearer) - goal

    if goal <= 0:
        return np.asarray(np.eye(len(costs))[costs.argmin()])
    if excess(0.0) <= 0:
        return np.full(len(costs), 1 / len(costs))
    steepest = 1.0
    while excess(steepest) > 0:
        steepest *= 2
    rate: float = brentq(excess, 0.0, steepest)
    return np.asarray(softmax(-rate * dearer))


def _drawn(outcomes: Outcomes, shares: NDArray[np.float64]) -> Choice:
    return Choice(np.broadcast_to(shares, outcomes.flops.shape).copy(), outcomes.flops @ shares)
