"""How likely each canvas finds the photo, learned from a sketch's features: logistic regression or a small network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from sketchkit.adapters.cost import cost

__all__ = ["SuccessModel"]

Values = NDArray[np.float64]

# (hidden units or none, weight decay): the one that predicts left-out photos best is taken.
_CANDIDATES = ((0, 0.003), (0, 0.03), (0, 0.3), (12, 0.003), (12, 0.03))
_SPLITS = 5
_STEPS = 50


@dataclass(frozen=True, eq=False)
class SuccessModel:
    """Predicts for each canvas whether the right photo is found first.

    Args:
        network: standardized features -> logits.
        center: (features,), subtracted.
        spread: (features,), divided by.
        cross_fitted: (training rows, K), each row predicted by a network that saw no row of its group: what a choice
            between rules is made on, since a network is too sure of what it was trained on.
        fitted: (training rows, K), predicted by `network` itself: what prices are set on, since where a price moves
            many sketches at once, only the very network that will choose moves them at that price.
    """

    network: nn.Module
    center: Values
    spread: Values
    cross_fitted: Values
    fitted: Values

    @classmethod
    def fit(cls, features: Values, success: Values, groups: NDArray[np.int64], seed: int) -> SuccessModel:
        """Train on rows of features, which may hold NaN: a mean value takes its place.

        Args:
            features: (n, features).
            success: (n, K) from 0 to 1.
            groups: (n,), rows of one number are left out together.
            seed: of first weights and of the split into groups.

        Example:
            >>> sizes = np.linspace(-1, 1, 200)[:, None]
            >>> model = SuccessModel.fit(sizes, (sizes > 0).astype(float), np.arange(200), seed=0)
            >>> (model(np.array([[-0.5], [0.5]])) > 0.5).ravel().tolist()
            [False, True]
        """
        compressed = _compressed(features)
        defined = np.isfinite(compressed)
        count = np.maximum(defined.sum(axis=0), 1)
        center = np.where(defined, compressed, 0).sum(axis=0) / count
        spread = np.sqrt((np.where(defined, compressed - center, 0) ** 2).sum(axis=0) / count)
        spread = np.where(spread > 1e-12, spread, 1.0)
        inputs = torch.from_numpy(_standardized(compressed, center, spread))
        targets = torch.from_numpy(success)
        part = _parts(groups, seed)
        tried = {candidate: _cross_fitted(inputs, targets, part, *candidate, seed) for candidate in _CANDIDATES}
        losses = {
            candidate: F.binary_cross_entropy(predicted.clamp(1e-6, 1 - 1e-6), targets).item()
            for candidate, predicted in tried.items()
        }
        best = min(_CANDIDATES, key=lambda candidate: losses[candidate])
        network = _trained(inputs, targets, *best, seed)
        with torch.no_grad():
            fitted = network(inputs).sigmoid().numpy()
        return cls(network, center, spread, tried[best].numpy(), fitted)

    @torch.no_grad()
    def __call__(self, features: Values) -> Values:
        """Chances of success, (n, K), of rows of features."""
        inputs = _standardized(_compressed(features), self.center, self.spread)
        chances: Values = self.network(torch.from_numpy(inputs)).sigmoid().numpy()
        return chances

    @property
    def params(self) -> int:
        """Of the network; what its inputs are standardized by is folded into its first layer."""
        return sum(parameter.numel() for parameter in self.network.parameters())

    @property
    def flops(self) -> float:
        """Of one prediction, in the paper's convention."""
        return float(cost(self.network, (torch.zeros(1, len(self.center), dtype=torch.float64),)).flops)


def _compressed(features: Values) -> Values:
    """Counts and lengths have long tails; a logarithm of the size, the sign kept."""
    return np.sign(features) * np.log1p(np.abs(features))


def _standardized(compressed: Values, center: Values, spread: Values) -> Values:
    inputs = np.where(np.isfinite(compressed), (compressed - center) / spread, 0.0)
    return np.clip(inputs, -5, 5)  # what lies farther out than anything seen must not decide alone


def _parts(groups: NDArray[np.int64], seed: int) -> torch.Tensor:
    """Which part of the training is left out with each row."""
    names, group = np.unique(groups, return_inverse=True)
    order = np.random.default_rng([seed, 5]).permutation(len(names))
    return torch.from_numpy((order % min(_SPLITS, len(names)))[group.reshape(-1)])


def _cross_fitted(
    inputs: torch.Tensor, targets: torch.Tensor, part: torch.Tensor, hidden: int, decay: float, seed: int
) -> torch.Tensor:
    predicted = torch.empty_like(targets)
    for left_out in range(int(part.max()) + 1):
        kept, out = part != left_out, part == left_out
        network = _trained(inputs[kept], targets[kept], hidden, decay, seed)
        with torch.no_grad():
            predicted[out] = network(inputs[out]).sigmoid()
    return predicted


def _trained(inputs: torch.Tensor, targets: torch.Tensor, hidden: int, decay: float, seed: int) -> nn.Module:
    """The whole set at each step, by L-BFGS; the same network each time."""
    width, canvases = inputs.shape[1], targets.shape[1]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers = [nn.Linear(width, hidden), nn.Tanh(), nn.Linear(hidden, canvases)] if hidden else []
        network = nn.Sequential(*(layers or [nn.Linear(width, canvases)])).double()
    weights = [parameter for parameter in network.parameters() if parameter.ndim == 2]
    optimizer = torch.optim.LBFGS(network.parameters(), max_iter=_STEPS, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        missed = F.binary_cross_entropy_with_logits(network(inputs), targets)
        value = missed + decay * torch.stack([weight.square().sum() for weight in weights]).sum() / canvases
        value.backward()  # type: ignore[no-untyped-call]  # torch does not annotate it
        return value

    step: Callable[[Callable[[], torch.Tensor]], object] = optimizer.step
    step(loss)
    return network.eval()
