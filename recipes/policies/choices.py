"""What a policy is, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sketchkit.errors import DataError, ParameterError
from sketchkit.recipes.policies.outcomes import Outcomes
from sketchkit.sketch_set import SketchSet

__all__ = ["Choice", "Dial", "Policy", "Sees", "by_fold", "over_seeds", "photo_groups", "stacked"]

Sees = Literal["nothing", "measures", "strokes", "retrieval", "truth"]
Dial = Literal["none", "budget", "lambda_F"]


@dataclass(frozen=True, eq=False)
class Choice:
    """The canvas whose answer counts for each sketch, and what it took to get there.

    Args:
        chances: (n, K) of each canvas; a policy that does not draw lots has one 1 a row.
        flops: (n,) expected, of all passes of the student, of searches after the first and of the policy itself.

    Example:
        >>> Choice.of(np.array([1, 0]), np.array([5.0, 1.0]), canvases=2).chances.tolist()
        [[0.0, 1.0], [1.0, 0.0]]
    """

    chances: NDArray[np.float64]
    flops: NDArray[np.float64]

    @classmethod
    def of(cls, canvas: NDArray[np.int64], flops: NDArray[np.float64], *, canvases: int) -> Choice:
        """A choice without lots.

        Args:
            canvas: (n,) index of each sketch's canvas.
            flops: (n,), as in `Choice`.
            canvases: K, how many there are to choose from.
        """
        return cls(np.eye(canvases)[canvas], flops)

    @property
    def canvas(self) -> NDArray[np.int64]:
        """(n,) index of the likeliest canvas."""
        likeliest: NDArray[np.int64] = self.chances.argmax(axis=1)
        return likeliest

    def hits(self, outcomes: Outcomes) -> NDArray[np.float64]:
        """(n,) how likely each sketch finds its photo; `outcomes` are of these sketches, in their order."""
        return np.asarray((self.chances * outcomes.right).sum(axis=1))


class Policy:
    """Names the canvas of a sketch; is fitted on outcomes of other photos than it is judged by.

    `name` stands in tables, `sees` says what it decides by, and `dial` what the number handed to `choose` means:
    `budget`, the mean FLOPs a query may cost, met on the outcomes that it was fitted on; `lambda_F`, the weight of
    compute in the paper's reward; `none`, nothing.
    """

    name: str
    sees: Sees = "nothing"
    dial: Dial = "none"

    def values(self, budgets: Sequence[float]) -> list[float]:
        """The dial's values to compare it at: `budgets`, in mean FLOPs, where that is its dial, else 0 for none."""
        return list(budgets) if self.dial == "budget" else [0.0]

    def fit(self, training: Sequence[Outcomes], seed: int) -> None:
        """Learn from outcomes; by default there is nothing to learn.

        Args:
            training: of any number of folds and seeds, of other photos than are judged.
            seed: of whatever is drawn in training, such as first weights.
        """

    def own_params(self, dial: float) -> int:
        """Parameters of its own that it keeps for a value of the `dial`; thresholds do not count."""
        return 0

    def choose(self, outcomes: Outcomes, dial: float) -> Choice:
        """Choose for each sketch, without a look at the truth.

        Args:
            outcomes: of the sketches; what is known of them when, `Outcomes` says.
            dial: one of `values`, or any budget where budgets are the dial.
        """
        raise NotImplementedError


def stacked(parts: Sequence[Outcomes], value: Callable[[Outcomes], NDArray[np.float64]]) -> NDArray[np.float64]:
    """What `value` gives for each of `parts`, (sketches, ...), one under another: (all sketches, ...).

    Raises:
        ParameterError: there are no outcomes.
        DataError: they are of different canvases.
    """
    if not parts:
        raise ParameterError("a policy is fitted on at least one table of outcomes")
    if len({part.canvases for part in parts}) > 1:
        raise DataError(f"outcomes are of different canvases: {sorted({part.canvases for part in parts})}")
    return np.concatenate([value(part) for part in parts])


def photo_groups(parts: Sequence[Outcomes]) -> NDArray[np.int64]:
    """(rows of `stacked` over `parts`,): one number a photo, the same for all its sketches and seeds."""
    pairs = np.concatenate([np.stack([np.full(len(p.ranks), p.fold), p.photo_of_sketch], 1) for p in parts])
    _, group = np.unique(pairs, axis=0, return_inverse=True)
    return np.asarray(group, np.int64).reshape(-1)


def over_seeds(
    parts: Sequence[Outcomes], value: Callable[[Outcomes], NDArray[np.float64]]
) -> tuple[SketchSet, NDArray[np.float64]]:
    """Each sketch once, with the mean over seeds of a value of it: one lucky rank says little.

    Args:
        parts: of any folds and seeds; the seeds of a fold have the same sketches in the same order.
        value: gives (sketches, ...) for each of them.

    Returns:
        The sketches, fold by fold, and their means (sketches, ...).

    Raises:
        DataError: seeds of one fold have other sketches.
    """
    blocks, means = [], []
    for fold in by_fold(parts):
        keys = [list(part.sketches.columns["key"]) for part in fold]
        if any(other != keys[0] for other in keys):
            raise DataError(f"the seeds of fold {fold[0].fold} have not the same sketches in the same order")
        blocks.append(fold[0].sketches)
        means.append(np.mean([value(part) for part in fold], axis=0))
    return SketchSet.concat(blocks), np.concatenate(means)


def by_fold(parts: Sequence[Outcomes]) -> Iterator[list[Outcomes]]:
    """Those of `parts` that are of one fold, for each fold in order."""
    for fold in sorted({part.fold for part in parts}):
        yield [part for part in parts if part.fold == fold]
