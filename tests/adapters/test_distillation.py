from __future__ import annotations

import math
from collections.abc import Callable
from itertools import combinations

import pytest
import torch
from torch.autograd import gradcheck

from sketchkit import ParameterError
from sketchkit.adapters import (
    batch_relational_loss,
    info_nce,
    pairwise_distances,
    relational_loss,
    scale_averaged,
    similarity_distillation_loss,
    triplet_loss,
)

Rows = list[list[float]]


def rows(count: int, width: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, width, generator=generator, dtype=dtype).requires_grad_(True)


def distance(a: list[float], b: list[float]) -> float:
    return math.sqrt(sum((x - y) ** 2 for x, y in zip(a, b, strict=True)))


def huber(a: float, b: float, beta: float) -> float:
    x = abs(a - b)
    return 0.5 * x * x if x <= beta else beta * (x - 0.5 * beta)


def cosine(a: list[float], b: list[float]) -> float:
    zero = [0.0] * len(a)
    return sum(x * y for x, y in zip(a, b, strict=True)) / (distance(a, zero) * distance(b, zero))


def softmax(values: list[float]) -> list[float]:
    total = sum(math.exp(value) for value in values)
    return [math.exp(value) / total for value in values]


S, P, N = rows(5, 4, 1), rows(5, 4, 2), rows(5, 4, 3)
TS, TP, TN = rows(5, 7, 4), rows(5, 7, 5), rows(5, 7, 6)
s, p, n = (each.tolist() for each in (S, P, N))
ts, tp, tn = (each.tolist() for each in (TS, TP, TN))


@pytest.mark.parametrize("margin", [0.0, 0.3, 5.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_triplet_loss_by_a_loop(margin: float, dtype: torch.dtype) -> None:
    expected = sum(max(0.0, margin + distance(s[i], p[i]) - distance(s[i], n[i])) for i in range(5)) / 5
    found = triplet_loss(S.to(dtype), P.to(dtype), N.to(dtype), margin=margin)
    assert found.item() == pytest.approx(expected, rel=1e-5)
    assert found.dtype == dtype


def test_triplet_loss_at_its_margins() -> None:
    anchor, near, far = torch.tensor([[0.0, 0]]), torch.tensor([[1.0, 0]]), torch.tensor([[3.0, 0]])
    assert triplet_loss(anchor, near, far, margin=2.0) == 0
    assert triplet_loss(anchor, near, far, margin=2.5) == 0.5
    assert triplet_loss(anchor, far, near, margin=0.0) == 2
    satisfied = triplet_loss(anchor.requires_grad_(True), near, far, margin=0.1)
    satisfied.backward()
    assert anchor.grad is not None
    assert anchor.grad.tolist() == [[0, 0]]


@pytest.mark.parametrize("beta", [0.05, 1.0, 10.0])
def test_relational_loss_by_a_loop(beta: float) -> None:
    expected = 0.0
    for i in range(5):
        expected += huber(distance(ts[i], tp[i]), distance(s[i], p[i]), beta)
        expected += huber(distance(ts[i], tn[i]), distance(s[i], n[i]), beta)
        expected += huber(distance(tp[i], tn[i]), distance(p[i], n[i]), beta)
    assert relational_loss(S, P, N, TS, TP, TN, beta=beta).item() == pytest.approx(expected / 5)


@pytest.mark.parametrize("beta", [0.05, 1.0])
def test_batch_relational_loss_by_a_loop(beta: float) -> None:
    photos, teacher_photos = p[:3], tp[:3]
    across = [
        huber(distance(s[i], photos[j]), distance(ts[i], teacher_photos[j]), beta) for i in range(5) for j in range(3)
    ]
    sketches = [huber(distance(s[i], s[j]), distance(ts[i], ts[j]), beta) for i, j in combinations(range(5), 2)]
    pictures = [huber(distance(p[i], p[j]), distance(tp[i], tp[j]), beta) for i, j in combinations(range(3), 2)]
    expected = sum(sum(part) / len(part) for part in (across, sketches, pictures))
    assert batch_relational_loss(S, P[:3], TS, TP[:3], beta=beta).item() == pytest.approx(expected)


@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_similarity_distillation_by_a_loop(temperature: float) -> None:
    def table(left: Rows, right: Rows) -> Rows:
        return [softmax([cosine(a, b) / temperature for b in right]) for a in left]

    def divergence(student: Rows, teacher: Rows) -> float:
        terms = [
            sum(q * math.log(q / r) for q, r in zip(wanted, found, strict=True))
            for wanted, found in zip(teacher, student, strict=True)
        ]
        return sum(terms) / len(terms)

    expected = divergence(table(s, p[:3]), table(ts, tp[:3])) + divergence(table(p[:3], s), table(tp[:3], ts))
    found = similarity_distillation_loss(S, P[:3], TS, TP[:3], temperature=temperature)
    assert found.item() == pytest.approx(expected)


@pytest.mark.parametrize("owner", [[0, 1, 2, 0, 1], [2, 2, 2, 2, 2], [0, 0, 1, 1, 1]])
def test_info_nce_by_a_loop(owner: list[int]) -> None:
    temperature, photos = 0.2, p[:3]
    to_photo = [-math.log(softmax([cosine(s[i], q) / temperature for q in photos])[owner[i]]) for i in range(5)]
    to_sketch = []
    for j in sorted(set(owner)):
        shares = softmax([cosine(photos[j], s[i]) / temperature for i in range(5)])
        to_sketch.append(-math.log(sum(share for share, own in zip(shares, owner, strict=True) if own == j)))
    expected = sum(to_photo) / 5 + sum(to_sketch) / len(to_sketch)
    found = info_nce(S, P[:3], owner=torch.tensor(owner), temperature=temperature)
    assert found.item() == pytest.approx(expected)


def test_info_nce_without_owner_pairs_the_rows() -> None:
    paired = info_nce(S, P, temperature=0.1, owner=torch.arange(5))
    torch.testing.assert_close(info_nce(S, P, temperature=0.1), paired)


LOSSES: dict[str, Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "distances": lambda a, b, c: pairwise_distances(a, b),
    "triplet": lambda a, b, c: triplet_loss(a, b, c, margin=5.0),
    "relational": lambda a, b, c: relational_loss(a, b, c, TS, TP, TN, beta=0.3),
    "batch": lambda a, b, c: batch_relational_loss(a, b, TS, TP, beta=0.3),
    "similarity": lambda a, b, c: similarity_distillation_loss(a, b, TS, TP, temperature=0.5),
    "info_nce": lambda a, b, c: info_nce(a, b, temperature=0.5, owner=torch.tensor([0, 0, 1, 2, 4])),
}


@pytest.mark.parametrize("name", LOSSES)
def test_gradients(name: str) -> None:
    assert gradcheck(LOSSES[name], (S, P, N))


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_collapsed_embeddings_have_finite_gradients(name: str, dtype: torch.dtype) -> None:
    collapsed = [torch.ones(5, 4, dtype=dtype).requires_grad_(True) for _ in range(3)]
    loss = LOSSES[name](*collapsed)
    loss.sum().backward()
    assert torch.isfinite(loss).all()
    gradients = [each.grad for each in collapsed if each.grad is not None]
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.parametrize("name", ["relational", "batch", "similarity"])
def test_the_teacher_gets_no_gradient(name: str) -> None:
    for teacher in (TS, TP, TN):
        teacher.grad = None
    LOSSES[name](rows(5, 4, 7), rows(5, 4, 8), rows(5, 4, 9)).backward()
    assert TS.grad is None
    assert TP.grad is None
    assert TN.grad is None


def test_a_student_like_its_teacher_has_nothing_to_learn() -> None:
    assert relational_loss(S, P, N, S, P, N, beta=0.1) == 0
    assert batch_relational_loss(S, P, S, P, beta=0.1) == 0
    assert similarity_distillation_loss(S, P, S, P, temperature=0.1).item() == pytest.approx(0, abs=1e-12)
    # Distances do not see a rotation.
    turned, _ = torch.linalg.qr(torch.randn(4, 4, dtype=torch.float64))
    assert relational_loss(S @ turned, P @ turned, N @ turned, S, P, N, beta=0.1).item() == pytest.approx(0, abs=1e-20)


def test_one_pair_is_a_batch() -> None:
    assert torch.isfinite(batch_relational_loss(S[:1], P[:1], TS[:1], TP[:1], beta=0.1))
    assert info_nce(S[:1], P[:1], temperature=0.1).item() == pytest.approx(0)


def test_pairwise_distances_against_torch() -> None:
    torch.testing.assert_close(pairwise_distances(S, P[:3]), torch.cdist(S, P[:3]))


def test_scale_averaged_is_the_mean_over_canvases() -> None:
    seen: list[int] = []

    def loss_at(size: int) -> torch.Tensor:
        seen.append(size)
        return torch.tensor(float(size), requires_grad=True)

    assert scale_averaged(loss_at, [32, 64, 128, 256]) == 120
    assert seen == [32, 64, 128, 256]
    with pytest.raises(ParameterError, match="at least one canvas"):
        scale_averaged(loss_at, [])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: triplet_loss(S, P[:2], N, margin=0.1), "alike"),
        (lambda: pairwise_distances(S, TS), "one width"),
        (lambda: relational_loss(S, P, N, TS[:2], TP[:2], TN[:2], beta=0.1), "rows must correspond"),
        (lambda: relational_loss(S, P, N, TS, TP, TN, beta=0), "beta must be above 0"),
        (lambda: batch_relational_loss(S, P, TS, TP[:2], beta=0.1), "rows must correspond"),
        (lambda: similarity_distillation_loss(S, P, TS, TP, temperature=0), "temperature must be above 0"),
        (lambda: info_nce(S, P[:3], temperature=0.1), "rows must correspond"),
        (lambda: info_nce(S, P, temperature=0.1, owner=torch.arange(3)), r"owner must be \(5,\)"),
    ],
)
def test_shapes_that_do_not_fit(call: Callable[[], torch.Tensor], words: str) -> None:
    with pytest.raises(ParameterError, match=words):
        call()
