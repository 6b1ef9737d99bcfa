"""Meeting a budget on the training folds: by a price on FLOPs, or by who comes first in an order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Price", "first_by", "price_for"]

Values = NDArray[np.float64]

_HALVINGS = 60


@dataclass(frozen=True)
class Price:
    """What a FLOP must bring in chances of success; lots between two prices where one overshoots and one falls short.

    Args:
        low: the price that spends more.
        high: the price that spends less.
        share: how likely the low one is taken.

    Example:
        >>> expected, costs = np.array([[0.2, 0.5], [0.2, 0.3]]), np.array([1.0, 3.0])
        >>> Price(0.1, 0.1, 1.0).chances(expected, costs).tolist()
        [[0.0, 1.0], [1.0, 0.0]]
    """

    low: float
    high: float
    share: float

    def chances(self, expected: Values, costs: Values) -> Values:
        """Chances of each canvas, (n, K): where expected success less the price of its FLOPs is highest.

        Args:
            expected: (n, K) chances of success; minus infinity for a canvas that cannot be chosen.
            costs: (n, K) or (K,) FLOPs.
        """
        taken = [_best(expected, costs, price) for price in (self.low, self.high)]
        return self.share * taken[0] + (1 - self.share) * taken[1]


def price_for(expected: Values, costs: Values, budget: float) -> Price:
    """The price at which the mean FLOPs of a set of sketches are a budget.

    A price of 0 where that costs no more anyway; where even the cheapest canvases cost more, they are taken.

    Args:
        expected: (n, K) chances of success; minus infinity for a canvas that cannot be chosen.
        costs: (n, K) or (K,) FLOPs.
        budget: mean FLOPs.

    Example:
        >>> found = price_for(np.array([[0.2, 0.5], [0.2, 0.5]]), np.array([1.0, 3.0]), 1.5)
        >>> found.chances(np.array([[0.2, 0.5]]), np.array([1.0, 3.0])).round(6).tolist()
        [[0.75, 0.25]]
    """
    table = np.broadcast_to(costs, expected.shape)
    # Beyond the highest nothing but cost counts, below the lowest cost only breaks ties.
    low, high = 1e-12 / table.max(), 1e12 / table.max()
    if _spent(expected, table, low) <= budget:
        return Price(low, low, 1.0)
    if _spent(expected, table, high) >= budget:
        return Price(high, high, 1.0)
    for _ in range(_HALVINGS):
        middle = float(np.sqrt(low * high))
        if _spent(expected, table, middle) > budget:
            low = middle
        else:
            high = middle
    most, least = _spent(expected, table, low), _spent(expected, table, high)
    return Price(low, high, float((budget - least) / (most - least)))


def first_by(order: Values, costs: Values, budget: float) -> float:
    """The threshold below which `order` lies for as many sketches as can be paid for.

    Args:
        order: (n,), the lowest are paid for first; equal values stand or fall together.
        costs: (n,) of paying for each.
        budget: the most that all may cost together.

    Returns:
        Infinity where there is enough for all.

    Example:
        >>> first_by(np.array([0.3, 0.1, 0.2]), np.array([1.0, 1.0, 1.0]), 2.5)
        0.3
    """
    ranked = np.argsort(order, kind="stable")
    paid = int(np.searchsorted(np.cumsum(costs[ranked]), budget, side="right"))
    return float("inf") if paid == len(order) else float(order[ranked[paid]])


def _best(expected: Values, costs: Values, price: float) -> Values:
    table = expected - price * costs
    return np.asarray(np.eye(table.shape[1])[table.argmax(axis=1)])


def _spent(expected: Values, costs: Values, price: float) -> float:
    return float((_best(expected, costs, price) * costs).sum(axis=1).mean())
