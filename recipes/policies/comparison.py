"""Policies side by side at equal mean FLOPs, each judged on folds that it was not fitted on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sketchkit.errors import ParameterError
from sketchkit.recipes.config import SelectorConfig
from sketchkit.recipes.policies.blind import BestMixture, EvenMixture, Fixed, Oracle, UniformRandom
from sketchkit.recipes.policies.cascades import LearnedCascade, LookThenChoose, MarginCascade
from sketchkit.recipes.policies.choices import Policy, Sees, photo_groups
from sketchkit.recipes.policies.drawn import MeasureNetwork, MeasureRule
from sketchkit.recipes.policies.judging import Judged, Setting, cross_fitted, default_budgets
from sketchkit.recipes.policies.outcomes import Outcomes
from sketchkit.recipes.policies.recurrent import StrokeReader

__all__ = ["Estimate", "Point", "all_policies", "best_affordable", "compare", "points_of"]

Values = NDArray[np.float64]


class Estimate(NamedTuple):
    """A `mean` with its 95 % interval, `low` to `high`, of shares from 0 to 1 or of differences between them."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Point:
    """One policy at one setting of its dial, over all folds and seeds.

    Args:
        policy: its name.
        sees: what it decides by.
        dial: `budget`, `lambda_F` or `none`.
        value: of the dial; None where there is none.
        accuracy: acc@1.
        flops: mean of a query, everything that the policy computes included.
        blind: acc@1 of the best random mixture of fixed canvases at that cost.
        over_blind: accuracy less that, paired.
        over_same_mix: accuracy less that of lots in the policy's own shares (one pass each).
        over_uniform: accuracy less that of lots among all canvases, whatever they cost.
        shares: canvas size -> share of the answers.
    """

    policy: str
    sees: Sees
    dial: str
    value: float | None
    accuracy: Estimate
    flops: float
    blind: Estimate
    over_blind: Estimate
    over_same_mix: Estimate
    over_uniform: Estimate
    shares: Mapping[int, float]


def compare(
    outcomes: Sequence[Outcomes],
    policies: Sequence[Policy] | None = None,
    *,
    budgets: Sequence[float] | None = None,
    seed: int = 0,
    draws: int = 2000,
) -> list[Point]:
    """Fit every policy on all folds but one, judge it on that one, each in turn.

    Intervals are of drawing photos with replacement: a photo's sketches, of all seeds, come and go together.

    Args:
        outcomes: of at least two folds, of one seed or more each.
        policies: `all_policies` by default.
        budgets: mean FLOPs, for policies whose dial is one; ten from the cheapest to the dearest canvas by default.
        seed: of the policies' training and of the draws.
        draws: bootstrap samples.

    Raises:
        ParameterError: there are fewer than two folds: no policy may be judged on what it was fitted on.
        DataError: canvases, or the sketches of a fold, are not the same for all.
    """
    policies = all_policies(outcomes) if policies is None else policies
    budgets = default_budgets(outcomes) if budgets is None else budgets
    return points_of(cross_fitted(outcomes, policies, budgets, seed), seed=seed, draws=draws)


def points_of(judged: Mapping[Setting, Sequence[Judged]], *, seed: int = 0, draws: int = 2000) -> list[Point]:
    """What each setting comes to, in the order given.

    Args:
        judged: the same outcomes for all settings, in the same order.
        seed: of the draws.
        draws: bootstrap samples.
    """
    owner = photo_groups([each.part for each in next(iter(judged.values()))])
    photos = int(owner.max()) + 1
    drawn = np.random.default_rng(seed).multinomial(photos, np.full(photos, 1 / photos), draws)
    return [_point(policy, value, parts, owner, drawn) for (policy, value), parts in judged.items()]


def all_policies(outcomes: Sequence[Outcomes], config: SelectorConfig | None = None) -> list[Policy]:
    """Every policy that these outcomes allow, those that know least first.

    Args:
        outcomes: their canvases are meant, and whether they keep embeddings.
        config: of the paper's policy.
    """
    kept = all(part.embeddings is not None for part in outcomes)
    return [
        *(Fixed(index, size) for index, size in enumerate(outcomes[0].canvases)),
        UniformRandom(),
        EvenMixture(),
        BestMixture(),
        MeasureRule("ink"),
        MeasureRule("points"),
        MeasureNetwork(),
        StrokeReader("reinforce", config),
        StrokeReader("expected", config),
        MarginCascade(),
        LearnedCascade(),
        *([LearnedCascade(embedding=True)] if kept else []),
        LookThenChoose(embedding=False),
        *([LookThenChoose(embedding=True)] if kept else []),
        Oracle(),
    ]


def best_affordable(points: Sequence[Point], budget: float) -> tuple[Point, str]:
    """The policy to use by default, and why: the most accurate of those whose mean FLOPs stay within a budget.

    Chosen as the best of many, its own figures are a little too good; a test that took no part says how good it is.

    Args:
        points: of `compare`, on folds of the training photos.
        budget: mean FLOPs of a query.

    Raises:
        ParameterError: not even one policy is so cheap.
    """
    affordable = [point for point in points if point.flops <= budget and point.sees != "truth"]
    if not affordable:
        cheapest = min(point.flops for point in points)
        raise ParameterError(f"no policy stays within {budget:g} FLOPs; the cheapest takes {cheapest:g}")
    best = max(affordable, key=lambda point: (point.accuracy.mean, -point.flops))
    gain = best.over_blind
    clear = "clear of chance" if gain.low > 0 else "not clear of chance"
    return best, (
        f"{best.policy}: {best.accuracy.mean:.1%} acc@1 at {best.flops / 1e9:.3f} GFLOPs, the most of "
        f"{len(affordable)} settings within {budget / 1e9:.3f}; {100 * gain.mean:+.1f} points "
        f"({100 * gain.low:+.1f} to {100 * gain.high:+.1f}, {clear}) against the best random mixture at that cost"
    )


def _point(
    policy: Policy,
    value: float,
    parts: Sequence[Judged],
    owner: NDArray[np.int64],
    drawn: NDArray[np.int64],
) -> Point:
    hits, blind = (
        np.concatenate([choice.hits(each.part) for each, choice in zip(parts, choices, strict=True)])
        for choices in ([each.choice for each in parts], [each.blind for each in parts])
    )
    same_mix = np.concatenate([each.same_mix for each in parts])
    uniform = np.concatenate([each.uniform for each in parts])
    flops = np.concatenate([each.choice.flops for each in parts])

    def estimate(values: Values) -> Estimate:
        sums, counts = np.bincount(owner, values), np.bincount(owner)
        low, high = np.quantile((drawn @ sums) / (drawn @ counts), [0.025, 0.975])
        return Estimate(float(values.mean()), float(low), float(high))

    shares = np.concatenate([each.choice.chances for each in parts]).mean(axis=0)
    return Point(
        policy.name,
        policy.sees,
        policy.dial,
        None if policy.dial == "none" else value,
        estimate(hits),
        float(flops.mean()),
        estimate(blind),
        estimate(hits - blind),
        estimate(hits - same_mix),
        estimate(hits - uniform),
        dict(zip(parts[0].part.canvases, shares.tolist(), strict=True)),
    )
