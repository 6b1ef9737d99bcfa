from __future__ import annotations

import math

import pytest
import torch
from torch.autograd import gradcheck

from sketchkit import ParameterError
from sketchkit.adapters import batch_relational_loss, hard_triplet_loss, relational_loss

S = torch.randn(6, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64, requires_grad=True)
P = torch.randn(4, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64, requires_grad=True)
OWNER = torch.tensor([0, 1, 1, 3, 0, 2])


@pytest.mark.parametrize("margin", [0.1, 1.0, 5.0])
def test_hard_triplets_by_a_loop(margin: float) -> None:
    total = 0.0
    for sketch, own in zip(S.tolist(), OWNER.tolist(), strict=True):
        distances = [math.dist(sketch, photo) for photo in P.tolist()]
        total += max(0.0, margin + distances[own] - min(d for j, d in enumerate(distances) if j != own))
    assert hard_triplet_loss(S, P, margin=margin, owner=OWNER).item() == pytest.approx(total / 6)


def test_hard_triplets_have_gradients_also_when_there_is_no_negative() -> None:
    assert gradcheck(lambda s, p: hard_triplet_loss(s, p, margin=2.0, owner=OWNER), (S, P))
    alone = torch.randn(1, 4, requires_grad=True)
    loss = hard_triplet_loss(alone, torch.zeros(1, 4), margin=1.0)
    loss.backward()
    assert loss.item() == 0
    assert alone.grad is not None
    assert not alone.grad.any()
    with pytest.raises(ParameterError, match="rows must correspond"):
        hard_triplet_loss(S, P, margin=1.0)


@pytest.mark.parametrize("beta", [0.05, 0.5, 1.0])
def test_divided_by_beta_it_is_torchs_smooth_l1(beta: float) -> None:
    teacher = [torch.randn(4, 3, generator=torch.Generator().manual_seed(seed)).double() for seed in (3, 4, 5)]
    student = [S[:4], P, S[2:]]
    pairs = ((0, 1), (0, 2), (1, 2))
    expected = sum(
        torch.nn.functional.smooth_l1_loss(
            (student[a] - student[b]).norm(dim=1), (teacher[a] - teacher[b]).norm(dim=1), beta=beta
        )
        for a, b in pairs
    )
    found = relational_loss(*student, *teacher, beta=beta, divide_by_beta=True)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(found * beta, relational_loss(*student, *teacher, beta=beta))
    whole = batch_relational_loss(student[0], P, teacher[0], teacher[1], beta=beta)
    divided = batch_relational_loss(student[0], P, teacher[0], teacher[1], beta=beta, divide_by_beta=True)
    torch.testing.assert_close(divided * beta, whole)
