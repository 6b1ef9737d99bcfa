"""The kernels that the recipes take: the same sums each time, and torch as it was before once they are left."""

import pytest
import torch
from torch.backends import mkldnn

from sketchkit.recipes.determinism import deterministic


def settings():
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.utils.deterministic.fill_uninitialized_memory,
        mkldnn.deterministic,
    )


def gradient_of_an_index():
    """Of photos chosen for many sketches: 120 rows added into 40, more numbers than one thread takes."""
    generator = torch.Generator().manual_seed(0)
    photos = torch.randn(40, 1280, generator=generator, requires_grad=True)
    owner = torch.randint(0, 40, (120,), generator=generator)
    weight = torch.randn(120, 1280, generator=generator)
    (photos[owner] * weight).sum().backward()
    return photos.grad


@pytest.fixture
def four_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("four_threads")
def test_sums_of_many_threads_are_the_same_each_time():
    with deterministic():
        first = gradient_of_an_index()
        assert all(torch.equal(gradient_of_an_index(), first) for _ in range(50))


@pytest.mark.parametrize("leave", [None, RuntimeError])
def test_torch_is_left_as_it_was(leave):
    before = settings()
    try:
        with deterministic():
            assert settings() == (True, False, False, True)
            if leave is not None:
                raise leave
    except RuntimeError:
        pass
    assert settings() == before
