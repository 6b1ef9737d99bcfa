"""The paper's policy: a GRU that reads the strokes, by REINFORCE; and the same GRU on the exact expected reward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from sketchkit.adapters.cost import cost
from sketchkit.adapters.selector import CanvasSelector
from sketchkit.recipes.config import SelectorConfig
from sketchkit.recipes.policies.choices import Choice, Policy, over_seeds, stacked
from sketchkit.recipes.policies.outcomes import Outcomes
from sketchkit.recipes.policy import CanvasOutcomes, SelectorPolicy, policy_batches
from sketchkit.recipes.progress import progress
from sketchkit.sketch_set import SketchSet

__all__ = ["StrokeReader"]


class StrokeReader(Policy):
    """`CanvasSelector` trained for each value of lambda_F on the paper's reward, averaged over the student's seeds.

    Args:
        objective: `reinforce` (the paper's: one canvas is sampled a step) or `expected` (the mean over all canvases of
            the reward, which is known, in place of a sample of it).
        config: lambdas of the reward, epochs, learning rate, entropy bonus.
        lambdas: values of lambda_F that `choose` can be asked for.

    Example:
        >>> StrokeReader("reinforce").name
        'GRU, REINFORCE'
    """

    sees = "strokes"
    dial = "lambda_F"

    def __init__(
        self,
        objective: Literal["reinforce", "expected"],
        config: SelectorConfig | None = None,
        lambdas: Sequence[float] | None = None,
    ) -> None:
        self.objective, self.config = objective, config or SelectorConfig()
        self.lambdas = self.config.lambdas if lambdas is None else list(lambdas)
        self.name = {"reinforce": "GRU, REINFORCE", "expected": "GRU, expected reward"}[objective]

    def values(self, budgets: Sequence[float]) -> list[float]:
        """Its values of lambda_F: none of `budgets` can be asked of it."""
        return self.lambdas

    def fit(self, training: Sequence[Outcomes], seed: int) -> None:
        """Train a selector for each lambda_F on `training`; `seed` is of first weights, of order and of samples."""
        costs = torch.from_numpy(stacked(training, lambda part: part.flops).mean(axis=0))
        self.selectors = {}
        for lambda_F in progress(self.lambdas, self.name, unit="lambda_F"):
            config = replace(self.config, lambda_F=lambda_F)
            sketches, rewards = over_seeds(training, partial(_rewards, config=config, costs=costs))
            self.selectors[lambda_F] = self._trained(sketches, torch.from_numpy(rewards).float(), config, costs, seed)

    def own_params(self, dial: float) -> int:
        """Of the selector of lambda_F = `dial`."""
        return sum(parameter.numel() for parameter in self.selectors[dial].parameters())

    def choose(self, outcomes: Outcomes, dial: float) -> Choice:
        """The likeliest canvas for each sketch of `outcomes`, by the selector of lambda_F = `dial`, one of `values`."""
        selector = self.selectors[dial]
        canvas = selector.select(outcomes.sketches)
        passes = outcomes.flops[np.arange(len(canvas)), canvas]
        return Choice.of(canvas, passes + _own_flops(selector, outcomes.sketches), canvases=len(outcomes.canvases))

    def _trained(
        self, sketches: SketchSet, rewards: torch.Tensor, config: SelectorConfig, costs: torch.Tensor, seed: int
    ) -> CanvasSelector:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            selector = CanvasSelector(rewards.shape[1])
        policy = SelectorPolicy(selector, config, costs.float())
        optimizer = torch.optim.Adam(policy.parameters(), config.learning_rate)
        _, batches = policy_batches(
            selector, sketches, rewards, batch=config.batch_sketches, epochs=config.epochs, seed=seed
        )
        for epoch in range(config.epochs):
            for batch in batches(epoch):
                loss = policy(batch)["loss"] if self.objective == "reinforce" else _expected_loss(selector, batch)
                optimizer.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
                optimizer.step()
        return selector.eval()


def _expected_loss(selector: CanvasSelector, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Minus the mean over all canvases of the reward, which is known: nothing needs to be sampled."""
    chances = selector(batch["sequences"], batch["lengths"]).softmax(dim=1)
    loss: torch.Tensor = -(chances * batch["rewards"]).sum(dim=1).mean()
    return loss


def _rewards(part: Outcomes, config: SelectorConfig, costs: torch.Tensor) -> NDArray[np.float64]:
    outcomes = CanvasOutcomes(torch.from_numpy(part.ranks), torch.from_numpy(part.triplet_losses).double(), costs)
    return np.asarray(outcomes.rewards(config).numpy(), np.float64)


def _own_flops(selector: CanvasSelector, sketches: SketchSet) -> NDArray[np.float64]:
    """(n,): a recurrent network's cost is linear in its steps."""
    lengths = selector.encode(sketches)[1].numpy()
    one, two = (cost(selector, (torch.zeros(1, steps, 5), torch.tensor([steps]))).flops for steps in (1, 2))
    return np.asarray(one + (lengths - 1) * float(two - one))
