from __future__ import annotations

import math

import pytest
import torch

from sketchkit import ParameterError
from sketchkit.adapters import distilled_loss, gradient_norms

E = torch.tensor([[1.0, 2.0], [3.0, -1.0]], dtype=torch.float64, requires_grad=True)


def task() -> torch.Tensor:
    return (3 * E[0]).sum()


def distillation() -> torch.Tensor:
    return E.square().sum()


def test_gradient_norms_by_hand() -> None:
    found = gradient_norms({"task": task(), "distillation": distillation()}, [E])
    assert found == pytest.approx({"task": 3 * math.sqrt(2), "distillation": 2 * math.sqrt(15)})


def test_without_balance_it_is_the_papers_sum() -> None:
    found = distilled_loss(task(), distillation(), share=0.25, weight=10.0)
    assert found.loss.item() == pytest.approx(0.75 * 9 + 0.25 * 10 * 15)
    assert (found.weight, found.task_gradient, found.distillation_gradient) == (10.0, None, None)


def test_balanced_parts_pull_alike_at_the_embeddings() -> None:
    found = distilled_loss(task(), 500 * distillation(), share=0.5, balance="gradient", embeddings=[E])
    parts = gradient_norms({"task": 0.5 * task(), "rest": found.loss - 0.5 * task()}, [E])
    assert parts["task"] == pytest.approx(parts["rest"])
    again = distilled_loss(task(), 500 * distillation(), share=0.5, balance="gradient", embeddings=[E])
    assert again.weight == found.weight
    assert "gradient norms: task 4.243, distillation 3873" in str(found)


@pytest.mark.parametrize(("factor", "weight"), [(0.0, 1.0), (1e-9, 7.0), (1e9, 1 / 7)])
def test_the_ratio_has_limits(factor: float, weight: float) -> None:
    found = distilled_loss(task(), factor * distillation(), balance="gradient", embeddings=[E], limit=7.0)
    assert found.weight == pytest.approx(weight)


def test_wrong_arguments() -> None:
    with pytest.raises(ParameterError, match="needs embeddings="):
        distilled_loss(task(), distillation(), balance="gradient")
    with pytest.raises(ParameterError, match="share must be from 0 to 1"):
        distilled_loss(task(), distillation(), share=2)
    with pytest.raises(ParameterError, match="none or gradient"):
        distilled_loss(task(), distillation(), balance="ema")  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="under no_grad"):
        gradient_norms({"task": task()}, [E.detach()])
