from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import softmax
from scipy.stats import entropy

from sketchkit import ParameterError
from sketchkit.adapters import logit_distillation_loss


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_it_is_the_relative_entropy_of_the_softened_softmaxes(temperature: float) -> None:
    generator = np.random.default_rng(0)
    student, teacher = generator.normal(scale=3, size=(2, 6, 5))
    softened = [softmax(each / temperature, axis=1) for each in (teacher, student)]
    expected = temperature**2 * entropy(*softened, axis=1).mean()
    found = logit_distillation_loss(torch.from_numpy(student), torch.from_numpy(teacher), temperature=temperature)
    assert found.item() == pytest.approx(expected)


def test_its_gradient_keeps_its_size_and_spares_the_teacher() -> None:
    """Hinton: at high temperatures the gradient tends to (z - v) / N for logits of mean 0, whatever the temperature."""
    torch.manual_seed(0)
    student, teacher = torch.randn(2, 1, 4, dtype=torch.float64).unbind(0)
    student = (student - student.mean()).requires_grad_(True)
    teacher = (teacher - teacher.mean()).requires_grad_(True)
    logit_distillation_loss(student, teacher, temperature=1e4).backward()
    torch.testing.assert_close(student.grad, ((student - teacher) / 4).detach(), rtol=1e-3, atol=1e-5)
    assert teacher.grad is None


def test_shapes_and_temperatures_that_make_no_sense() -> None:
    with pytest.raises(ParameterError, match=r"\(2, 3\) and \(2, 4\)"):
        logit_distillation_loss(torch.zeros(2, 3), torch.zeros(2, 4), temperature=1)
    with pytest.raises(ParameterError, match="temperature"):
        logit_distillation_loss(torch.zeros(2, 3), torch.zeros(2, 3), temperature=0)
