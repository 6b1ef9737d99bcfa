from __future__ import annotations

import math

import pytest
import torch

from sketchkit import ParameterError
from sketchkit.adapters import hub_discounts


def unit(*shape: int, seed: int) -> torch.Tensor:
    drawn = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.nn.functional.normalize(drawn, dim=-1)


@pytest.mark.parametrize("neighbors", [1, 3, 7, 50])
def test_by_a_loop(neighbors: int) -> None:
    """Lengths do not count, and where there are fewer drawings than neighbors all of them do."""
    photos, drawings = 3 * unit(5, 4, seed=0), 0.2 * unit(7, 4, seed=1)
    expected = []
    for photo in photos.tolist():
        cosines = sorted(
            (
                sum(a * b for a, b in zip(photo, drawing, strict=True)) / (math.hypot(*photo) * math.hypot(*drawing))
                for drawing in drawings.tolist()
            ),
            reverse=True,
        )
        nearest = cosines[:neighbors]
        expected.append(sum(nearest) / len(nearest) / 2)
    assert hub_discounts(photos, drawings, neighbors=neighbors).tolist() == pytest.approx(expected)


def test_the_order_is_that_of_csls() -> None:
    """Cross-domain similarity local scaling as its authors write it, 2 cos(x, y) - r(x) - r(y), with both means."""
    photos, drawings, queries = unit(30, 8, seed=2), unit(40, 8, seed=3), unit(12, 8, seed=4)
    similarity = queries @ photos.T
    of_photo = (photos @ drawings.T).sort(dim=1, descending=True).values[:, :10].mean(dim=1)
    of_query = similarity.sort(dim=1, descending=True).values[:, :10].mean(dim=1)
    csls = 2 * similarity - of_query[:, None] - of_photo
    ours = similarity - hub_discounts(photos, drawings)
    assert ours.argsort(dim=1).tolist() == csls.argsort(dim=1).tolist()


def test_a_planted_hub_answers_no_more_for_all() -> None:
    """Drawings lean to one direction; the photo that lies there is the nearest of most, until that is taken off."""
    photos = unit(40, 32, seed=5)
    lean = unit(32, seed=6)
    photos[0] = lean
    known, asked = (
        torch.nn.functional.normalize(unit(n, 32, seed=seed) + 1.5 * lean, dim=1) for n, seed in ((200, 7), (39, 8))
    )
    asked = torch.nn.functional.normalize(asked + 0.7 * photos[1:], dim=1)
    similarity = asked @ photos.T
    right = torch.arange(1, 40)
    plain = (similarity.argmax(dim=1) == right).double().mean()
    found = (similarity - hub_discounts(photos, known)).argmax(dim=1)
    assert plain < 0.3
    assert (found == right).double().mean() > 0.9


def test_reduced_precision_around_it_changes_nothing() -> None:
    photos, drawings = unit(50, 16, seed=9).float(), unit(30, 16, seed=10).float()
    expected = hub_discounts(photos, drawings)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(hub_discounts(photos, drawings), expected)
    assert hub_discounts(photos.bfloat16(), drawings.bfloat16()).dtype == torch.float32
    assert torch.equal(hub_discounts(photos.repeat(100, 1), drawings), expected.repeat(100)), "in parts"


def test_what_it_refuses() -> None:
    with pytest.raises(ParameterError, match="at least 1, not 0"):
        hub_discounts(torch.eye(2), torch.eye(2), neighbors=0)
    with pytest.raises(ParameterError, match="there is none"):
        hub_discounts(torch.eye(2), torch.empty(0, 2))
    with pytest.raises(ParameterError, match="3"):
        hub_discounts(torch.eye(2), torch.eye(3))
