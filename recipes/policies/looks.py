"""What a look at the gallery from some canvases says about the others: chances of success after having seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sketchkit.errors import ParameterError
from sketchkit.recipes.policies.choices import photo_groups, stacked
from sketchkit.recipes.policies.outcomes import Outcomes
from sketchkit.recipes.policies.success import SuccessModel

__all__ = ["AfterLooks", "look_features"]

Values = NDArray[np.float64]

_TEMPERATURE = 0.05  # of the softmax whose certainty is read off; the contrastive objective's
_COMPONENTS = 16


def look_features(outcomes: Outcomes, seen: Sequence[int]) -> Values:
    """What the retrieval from some canvases shows, (n, features), truth apart.

    For each canvas seen: the highest similarity, its lead over the second, third and fifth, and the share of the first
    in a softmax; and whether the last canvas found the same photo as each before it.

    Args:
        outcomes: of the sketches.
        seen: indices of the canvases.
    """
    columns = []
    for canvas in seen:
        similar = outcomes.similarities[:, canvas].astype(np.float64)
        last = similar.shape[1] - 1
        columns += [similar[:, 0], *(similar[:, 0] - similar[:, min(place, last)] for place in (1, 2, 4))]
        columns.append(1 / np.exp((similar - similar[:, :1]) / _TEMPERATURE).sum(axis=1))
    found = outcomes.nearest
    columns += [(found[:, canvas] == found[:, seen[-1]]).astype(np.float64) for canvas in seen[:-1]]
    return np.column_stack(columns)


class AfterLooks:
    """Chances of success of every canvas once some were looked at, from the looks and the drawing's measures.

    Args:
        seen: indices of the canvases looked at.
        training: the outcomes to learn from.
        seed: see `SuccessModel.fit`.
        embedding: learn also from the principal components of the last look's embedding. Students of other folds have
            other spaces, so what is learned there must be judged on a fold of its own.

    Raises:
        ParameterError: embeddings are asked for, but were not kept.
    """

    def __init__(
        self, seen: Sequence[int], training: Sequence[Outcomes], seed: int, *, embedding: bool = False
    ) -> None:
        self.seen, self._axes = tuple(seen), None
        if embedding:
            rows = stacked(training, self._embedded)
            self._center = rows.mean(axis=0)
            self._axes = np.linalg.svd(rows - self._center, full_matrices=False)[2][:_COMPONENTS]
        folds = np.concatenate([np.full(len(part.ranks), part.fold) for part in training])
        # Another fold has another student: what was learned is left out fold by fold where there is more than one.
        groups = folds if len(np.unique(folds)) > 1 else photo_groups(training)
        features, right = stacked(training, self._features), stacked(training, lambda part: part.right)
        self._model = SuccessModel.fit(features, right, groups, seed)

    @property
    def cross_fitted(self) -> Values:
        """(training rows, K), see `SuccessModel`."""
        return self._model.cross_fitted

    @property
    def fitted(self) -> Values:
        """(training rows, K), see `SuccessModel`."""
        return self._model.fitted

    @property
    def params(self) -> int:
        """Of the predictor, and of the projection of the embedding."""
        return self._model.params + (0 if self._axes is None else self._axes.size)

    @property
    def flops(self) -> float:
        """Of one prediction."""
        projected = 0 if self._axes is None else 2 * self._axes.size
        return self._model.flops + projected

    def __call__(self, outcomes: Outcomes) -> Values:
        """Chances of success, (n, K)."""
        return self._model(self._features(outcomes))

    def _features(self, outcomes: Outcomes) -> Values:
        parts = [look_features(outcomes, self.seen), outcomes.measures]
        if self._axes is not None:
            parts.append((self._embedded(outcomes) - self._center) @ self._axes.T)
        return np.concatenate(parts, axis=1)

    def _embedded(self, outcomes: Outcomes) -> Values:
        if outcomes.embeddings is None:
            raise ParameterError("this policy learns from embeddings, but the outcomes hold none; keep_embeddings=True")
        return outcomes.embeddings[:, self.seen[-1]].astype(np.float64)
