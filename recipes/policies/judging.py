"""What policies choose on outcomes that they were not fitted on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sketchkit.errors import ParameterError
from sketchkit.recipes.policies.blind import BestMixture
from sketchkit.recipes.policies.choices import Choice, Policy, by_fold, stacked
from sketchkit.recipes.policies.outcomes import Outcomes
from sketchkit.recipes.progress import progress

__all__ = ["Judged", "Setting", "cross_fitted", "default_budgets", "judged_on"]

Values = NDArray[np.float64]
Setting = tuple[Policy, float]
"""A policy, and the value of its dial."""


@dataclass(frozen=True, eq=False)
class Judged:
    """What one policy, at one value of its dial, chose on the sketches of one fold and seed.

    Args:
        part: the outcomes.
        choice: the policy's.
        blind: what the best random mixture at the same mean FLOPs chose.
        params: of the policy itself, as fitted for this part.
    """

    part: Outcomes
    choice: Choice
    blind: Choice
    params: int

    @property
    def same_mix(self) -> Values:
        """(n,) how likely lots in the policy's own shares find the photo."""
        return np.asarray(self.part.right @ self.choice.chances.mean(axis=0))

    @property
    def uniform(self) -> Values:
        """(n,) how likely lots among all canvases do."""
        return np.asarray(self.part.right.mean(axis=1))

    def drawn(self) -> NDArray[np.int64]:
        """(n,) index of the canvas whose answer counts; where the policy draws lots they are drawn, always alike."""
        lots = np.random.default_rng([self.part.fold, self.part.seed, 6]).random(len(self.choice.chances))
        below: NDArray[np.int64] = (self.choice.chances.cumsum(axis=1) <= lots[:, None]).sum(axis=1)
        return np.asarray(np.minimum(below, self.choice.chances.shape[1] - 1), np.int64)


def default_budgets(outcomes: Sequence[Outcomes]) -> list[float]:
    """Ten budgets of mean FLOPs, at equal ratios, from the cheapest to the dearest canvas of `outcomes`."""
    costs = stacked(outcomes, lambda part: part.flops).mean(axis=0)
    found: list[float] = np.geomspace(costs[0], costs[-1], 10).tolist()
    return found


def cross_fitted(
    outcomes: Sequence[Outcomes], policies: Sequence[Policy], budgets: Sequence[float], seed: int = 0
) -> dict[Setting, list[Judged]]:
    """Fit every policy on all folds but one, judge it on that one, each in turn.

    Args:
        outcomes: of at least two folds, of one seed or more each.
        policies: see `comparison.all_policies`.
        budgets: mean FLOPs, for policies whose dial is one.
        seed: of the policies' training.

    Returns:
        For each setting the folds in their order, each with all its seeds.

    Raises:
        ParameterError: there are fewer than two folds: no policy may be judged on what it was fitted on.
        DataError: canvases, or the sketches of a fold, are not the same for all.
    """
    folds = list(by_fold(outcomes))
    if len(folds) < 2:
        raise ParameterError("policies are judged on folds they were not fitted on; give outcomes of at least two")
    found: dict[Setting, list[Judged]] = defaultdict(list)
    for held_out in folds:
        training = [part for part in outcomes if part.fold != held_out[0].fold]
        name = f"policies: fold {held_out[0].fold + 1}"
        for setting, judged in judged_on(training, held_out, policies, budgets, seed, name=name).items():
            found[setting] += judged
    return dict(found)


def judged_on(
    training: Sequence[Outcomes],
    held_out: Sequence[Outcomes],
    policies: Sequence[Policy],
    budgets: Sequence[float],
    seed: int = 0,
    *,
    name: str = "policies",
) -> dict[Setting, list[Judged]]:
    """Fit every policy on some outcomes and judge it on others, of other photos.

    Args:
        training: of any number of folds and seeds.
        held_out: of one seed or more.
        policies: see `comparison.all_policies`.
        budgets: mean FLOPs, for policies whose dial is one.
        seed: of the policies' training.
        name: shown on the bar.
    """
    blind = BestMixture()
    blind.fit(training, seed)
    found: dict[Setting, list[Judged]] = {}
    for policy in progress(policies, name, unit="policy"):
        policy.fit(training, seed)
        for value in policy.values(budgets):
            choices = [(part, policy.choose(part, value)) for part in held_out]
            found[policy, value] = [
                Judged(part, choice, blind.choose(part, float(choice.flops.mean())), policy.own_params(value))
                for part, choice in choices
            ]
    return found
