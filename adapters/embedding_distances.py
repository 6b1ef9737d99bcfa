"""Distances and similarities of embeddings, and the checks of their shapes that every loss shares."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from sketchkit.errors import ParameterError

__all__ = [
    "check_batch",
    "check_rows",
    "check_widths",
    "cosine_similarities",
    "pairwise_distances",
    "positive_number",
    "row_distances",
]


def pairwise_distances(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Euclidean distances of all pairs: (n, embedding_dim), (m, embedding_dim) -> (n, m).

    Two equal embeddings have distance 0 with gradient 0, where a plain square root would give NaN.

    Args:
        first: (n, embedding_dim).
        second: (m, embedding_dim).

    Example:
        >>> pairwise_distances(torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
        tensor([[5., 0.]])
    """
    check_widths(first, second)
    return row_distances(first[:, None, :], second[None, :, :])


def row_distances(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Euclidean distances of `first` and `second` along the last axis, (..., embedding_dim) -> (...).

    Where they are equal the gradient is 0.

    Example:
        >>> row_distances(torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, 4.0]]))
        tensor([5.])
    """
    squared = (first - second).square().sum(dim=-1)
    # The root's slope at 0 is infinite; there the root of 1 is taken and thrown away.
    apart = squared > 0
    return torch.where(apart, torch.where(apart, squared, 1).sqrt(), 0)


def cosine_similarities(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Cosines of all pairs: `first` (n, embedding_dim), `second` (m, embedding_dim) -> (n, m); 0 with a row of zeros.

    Example:
        >>> cosine_similarities(torch.tensor([[2.0, 0.0]]), torch.tensor([[3.0, 0.0], [0.0, 1.0]]))
        tensor([[1., 0.]])
    """
    check_widths(first, second)
    return F.normalize(first, dim=1) @ F.normalize(second, dim=1).T


def positive_number(name: str, value: float) -> float:
    """The `value`, when it is above 0; `name` is what the message calls it.

    Raises:
        ParameterError: it is not.

    Example:
        >>> positive_number("beta", 0.5)
        0.5
    """
    if not value > 0:
        raise ParameterError(f"{name} must be above 0, not {value}")
    return value


def check_widths(first: torch.Tensor, second: torch.Tensor) -> None:
    """Both, `first` and `second`, are (batch, embedding_dim) of one width; of batches nothing is asked.

    Raises:
        ParameterError: they are not.

    Example:
        >>> check_widths(torch.zeros(2, 4), torch.zeros(3, 4))
    """
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1]:
        shapes = f"{tuple(first.shape)} and {tuple(second.shape)}"
        raise ParameterError(f"embeddings must be (batch, embedding_dim) of one width, not {shapes}")


def check_rows(*embeddings: torch.Tensor) -> None:
    """All are (batch, embedding_dim) of one shape.

    Raises:
        ParameterError: they are not.

    Example:
        >>> check_rows(torch.zeros(2, 4), torch.zeros(2, 4), torch.zeros(2, 4))
    """
    shapes = [tuple(each.shape) for each in embeddings]
    if len(set(shapes)) > 1 or len(shapes[0]) != 2:
        raise ParameterError(f"anchor, positive and negative must be (batch, embedding_dim) alike, not {shapes}")


def check_batch(first: torch.Tensor, second: torch.Tensor) -> None:
    """Both, `first` and `second`, (batch, ...), have as many rows.

    Raises:
        ParameterError: they do not.

    Example:
        >>> check_batch(torch.zeros(2, 4), torch.zeros(2, 7))
    """
    if len(first) != len(second):
        raise ParameterError(f"{len(first)} embeddings on one side, {len(second)} on the other; rows must correspond")
