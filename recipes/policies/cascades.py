"""Policies that look before they spend: from a cheap canvas first, then from a dearer one where that seems to pay."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from sketchkit.recipes.policies.budgets import first_by, price_for
from sketchkit.recipes.policies.choices import Choice, Policy, stacked
from sketchkit.recipes.policies.looks import AfterLooks
from sketchkit.recipes.policies.outcomes import Outcomes

__all__ = ["Chain", "LearnedCascade", "LookThenChoose", "MarginCascade"]

Values = NDArray[np.float64]

_LONGEST = 3
# Of a chain of three, the shares of sketches that are tried to go on to its second canvas; the budget sets the third.
_SHARES = np.linspace(0.1, 1, 10)


@dataclass(frozen=True)
class Chain:
    """Canvases in the order in which they are looked at, and below which confidence a sketch goes on to the next.

    Args:
        canvases: indices, rising.
        thresholds: one fewer.

    Example:
        >>> chain = Chain((0, 2), (0.1,))
        >>> chain.walk(np.array([[0.05], [0.2]]))
        array([1, 0])
    """

    canvases: tuple[int, ...]
    thresholds: tuple[float, ...]

    def walk(self, confidence: Values) -> NDArray[np.int64]:
        """(n,) the step at which each sketch ends; `confidence` (n, steps - 1) after each look but the last."""
        goes = confidence < np.array(self.thresholds)
        ends: NDArray[np.int64] = np.cumprod(goes, axis=1).sum(axis=1)
        return ends


class MarginCascade(Policy):
    """Goes on to a larger canvas where the nearest photo is hardly nearer than the second.

    Every chain of two and three canvases, and each canvas alone, is tried on the training folds; chain and thresholds
    that found most for the budget are taken. All passes count, and all searches but the first.
    """

    name = "margin cascade"
    sees = "retrieval"
    dial = "budget"

    def fit(self, training: Sequence[Outcomes], seed: int) -> None:
        """Keep of `training` what chains and thresholds are chosen on; `seed` is for predictors, if there are any."""
        self._right = stacked(training, lambda part: part.right)
        self._costs = stacked(training, lambda part: part.flops + part.search_flops)
        self._first_search = max(part.search_flops for part in training)
        self._chains: dict[float, Chain] = {}
        self._learn(training, seed)

    def chain(self, budget: float) -> Chain:
        """The chain for a mean cost of `budget` FLOPs; the cheapest canvas alone where nothing costs so little."""
        if budget not in self._chains:
            self._chains[budget] = self._best_chain(budget + self._first_search)
        return self._chains[budget]

    def _best_chain(self, budget: float) -> Chain:
        tried = list(self._affordable(budget))
        if not tried:
            return Chain((0,), ())
        chain, shares = max(tried, key=lambda found: self._found(found[0]))
        # Which chain is judged on rows left out; where its thresholds lie depends on the very scale that will be used.
        own = self._thresholds(chain.canvases, budget, shares, fitted=True)
        return chain if own is None else Chain(chain.canvases, own)

    def choose(self, outcomes: Outcomes, dial: float) -> Choice:
        """Walk the chain for `dial` FLOPs with each sketch of `outcomes`."""
        chain = self.chain(dial)
        ends = chain.walk(self._confidences(outcomes, chain.canvases))
        costs = outcomes.flops[:, chain.canvases] + outcomes.search_flops
        own = np.array([*self._own_flops(chain.canvases), 0.0])
        spent = np.take_along_axis(np.cumsum(costs + own, axis=1), ends[:, None], axis=1)[:, 0]
        canvas = np.array(chain.canvases, np.int64)[ends]
        return Choice.of(canvas, spent - outcomes.search_flops, canvases=len(outcomes.canvases))

    def _learn(self, training: Sequence[Outcomes], seed: int) -> None:
        self._margins = stacked(training, lambda part: part.margins.astype(np.float64))

    def _confidence(self, outcomes: Outcomes, seen: tuple[int, ...], following: int) -> Values:
        """(n,) how sure the answer is after some looks; going on is for the lowest."""
        return outcomes.margins[:, seen[-1]].astype(np.float64)

    def _training_confidence(self, seen: tuple[int, ...], following: int, *, fitted: bool) -> Values:
        return self._margins[:, seen[-1]]

    def _own_flops(self, canvases: tuple[int, ...]) -> list[float]:
        """What a decision costs after each look but the last, beside passes and searches."""
        return [0.0] * (len(canvases) - 1)

    def _confidences(self, outcomes: Outcomes, canvases: tuple[int, ...]) -> Values:
        steps = range(1, len(canvases))
        columns = [self._confidence(outcomes, canvases[:step], canvases[step]) for step in steps]
        return np.stack(columns, axis=1) if columns else np.empty((len(outcomes.ranks), 0))

    def _training_confidences(self, canvases: tuple[int, ...], *, fitted: bool = False) -> Values:
        steps = range(1, len(canvases))
        columns = [self._training_confidence(canvases[:step], canvases[step], fitted=fitted) for step in steps]
        return np.stack(columns, axis=1) if columns else np.empty((len(self._right), 0))

    def _affordable(self, budget: float) -> Iterator[tuple[Chain, tuple[float, ...]]]:
        """Every chain, its last threshold as high as the budget allows; and which shares go on before that."""
        for length in range(1, _LONGEST + 1):
            for canvases in combinations(range(self._right.shape[1]), length):
                for shares in [()] if length < _LONGEST else [(share,) for share in _SHARES]:
                    thresholds = self._thresholds(canvases, budget, shares)
                    if thresholds is not None:
                        yield Chain(canvases, thresholds), shares

    def _thresholds(
        self, canvases: tuple[int, ...], budget: float, shares: tuple[float, ...], *, fitted: bool = False
    ) -> tuple[float, ...] | None:
        costs = self._costs[:, canvases] + np.array([*self._own_flops(canvases), 0.0])
        return _thresholds(self._training_confidences(canvases, fitted=fitted), costs, budget, shares)

    def _found(self, chain: Chain) -> float:
        ends = chain.walk(self._training_confidences(chain.canvases))
        canvas = np.array(chain.canvases)[ends]
        return float(self._right[np.arange(len(canvas)), canvas].mean())


class LearnedCascade(MarginCascade):
    """As `MarginCascade`, but confidence is what going on would lose: predicted chances here less those there.

    The predictors know all looks so far, whether these agree, and the drawing's measures.

    Args:
        embedding: they know the embedding too.
    """

    def __init__(self, *, embedding: bool = False) -> None:
        self._embedding = embedding
        self.name = "learned cascade, embedding" if embedding else "learned cascade"

    def _learn(self, training: Sequence[Outcomes], seed: int) -> None:
        count = self._right.shape[1]
        looks = [seen for steps in range(1, _LONGEST) for seen in combinations(range(count - 1), steps)]
        self._after = {seen: AfterLooks(seen, training, seed, embedding=self._embedding) for seen in looks}

    def _confidence(self, outcomes: Outcomes, seen: tuple[int, ...], following: int) -> Values:
        chances = self._after[seen](outcomes)
        return chances[:, seen[-1]] - chances[:, following]

    def _training_confidence(self, seen: tuple[int, ...], following: int, *, fitted: bool) -> Values:
        chances = self._after[seen].fitted if fitted else self._after[seen].cross_fitted
        return chances[:, seen[-1]] - chances[:, following]

    def own_params(self, dial: float) -> int:
        """Of the predictors after each look but the last, in the chain for `dial` FLOPs."""
        canvases = self.chain(dial).canvases
        return sum(self._after[canvases[:step]].params for step in range(1, len(canvases)))

    def _own_flops(self, canvases: tuple[int, ...]) -> list[float]:
        return [self._after[canvases[:step]].flops for step in range(1, len(canvases))]


class LookThenChoose(Policy):
    """Looks from one cheap canvas, then stays with its answer or goes to any larger one, at a price on FLOPs.

    Which canvas is looked at first is chosen on the training folds for the budget, and so is the price.

    Args:
        embedding: the predictor knows the first canvas's embedding, beside margin and measures.
    """

    sees = "retrieval"
    dial = "budget"

    def __init__(self, *, embedding: bool = True) -> None:
        self._embedding = embedding
        self.name = "look, then choose" + (", embedding" if embedding else "")

    def fit(self, training: Sequence[Outcomes], seed: int) -> None:
        """Train a predictor for each first canvas on `training`; `seed` as of `SuccessModel.fit`."""
        self._right = stacked(training, lambda part: part.right)
        self._after = {
            first: AfterLooks((first,), training, seed, embedding=self._embedding)
            for first in range(self._right.shape[1] - 1)
        }
        self._costs = {first: stacked(training, partial(self._total, first=first)) for first in self._after}
        self._firsts: dict[float, int] = {}

    def choose(self, outcomes: Outcomes, dial: float) -> Choice:
        """For the sketches of `outcomes`, from the first canvas and at the price that found most for `dial` FLOPs."""
        first = self._first(dial)
        price = price_for(_reachable(self._after[first].fitted, first), self._costs[first], dial)
        chances = price.chances(_reachable(self._after[first](outcomes), first), self._total(outcomes, first))
        return Choice(chances, (chances * self._total(outcomes, first)).sum(axis=1))

    def own_params(self, dial: float) -> int:
        """Of the predictor after a look at the first canvas that was chosen for `dial` FLOPs."""
        return self._after[self._first(dial)].params

    def _first(self, dial: float) -> int:
        if dial not in self._firsts:
            self._firsts[dial] = max(self._affordable(dial), key=lambda first: self._found(first, dial))
        return self._firsts[dial]

    def _affordable(self, budget: float) -> list[int]:
        return [first for first, costs in self._costs.items() if first == 0 or costs[:, first].mean() <= budget]

    def _found(self, first: int, budget: float) -> float:
        expected = _reachable(self._after[first].cross_fitted, first)
        chances = price_for(expected, self._costs[first], budget).chances(expected, self._costs[first])
        return float((chances * self._right).sum(axis=1).mean())

    def _total(self, outcomes: Outcomes, first: int) -> Values:
        """(n, K) FLOPs of ending on each canvas after the first look."""
        more = outcomes.flops + outcomes.search_flops
        more[:, first] = 0
        return np.asarray(outcomes.flops[:, [first]] + self._after[first].flops + more)


def _thresholds(
    confidences: Values, costs: Values, budget: float, shares: tuple[float, ...]
) -> tuple[float, ...] | None:
    """Thresholds after each look: the first ones send given shares on, the last one what the budget still allows.

    None where the budget does not reach to the last look.
    """
    left = budget * len(costs) - costs[:, 0].sum()
    goes, found = np.ones(len(costs), bool), []
    for step, share in enumerate(shares):
        found.append(float(np.quantile(confidences[goes, step], share)) if share < 1 else float("inf"))
        goes = goes & (confidences[:, step] < found[-1])
        left -= costs[goes, step + 1].sum()
        if not goes.any():
            return None
    if left < 0:
        return None
    if confidences.shape[1]:
        last = confidences.shape[1] - 1
        found.append(first_by(confidences[goes, last], costs[goes, last + 1], left))
    return tuple(found)


def _reachable(chances: Values, first: int) -> Values:
    """Going back to a smaller canvas is never worth its pass."""
    return np.where(np.arange(chances.shape[1]) < first, -np.inf, chances)
