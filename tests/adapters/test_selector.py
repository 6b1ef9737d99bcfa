from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
import torch

from sketchkit import DataError, ParameterError, Sketch, SketchSet
from sketchkit.adapters import CanvasSelector, canvas_reward, policy_gradient_loss, reinforce_loss
from sketchkit.adapters.pen_rows import ragged_pen_rows

SKETCHES = {
    "empty": Sketch.from_strokes([]),
    "empty strokes": Sketch.from_strokes([[], []]),
    "one point": Sketch.from_strokes([[(7, -3)]]),
    "two equal points": Sketch.from_strokes([[(7, 7), (7, 7)]]),
    "vertical": Sketch.from_strokes([[(5, 0), (5, 9)]]),
    "strokes and an empty one": Sketch.from_strokes([[(0, 0), (10, 0)], [], [(5, 5), (0, 2), (9, 9)]]),
    "huge": Sketch.from_strokes([[(-1e6, 1e6), (1e6, 3e5)], [(0, 0)]]),
    "long": Sketch.from_strokes([np.random.default_rng(0).uniform(0, 99, (300, 2)) for _ in range(3)]),
}


def random_sketch(generator: np.random.Generator, strokes: int) -> Sketch:
    return Sketch.from_strokes([generator.uniform(0, 256, (2, 2)) for _ in range(strokes)])


@pytest.mark.parametrize("name", SKETCHES)
def test_encoding_is_absolute_stroke5_in_the_unit_square(name: str) -> None:
    """Against `Sketch.to_stroke5` of the drawing scaled by hand."""
    sketch = SKETCHES[name]
    selector = CanvasSelector(4, points=900)
    padded, lengths = selector.encode(sketch)
    points = sketch.points.astype(np.float64)
    if len(points):
        points = points - points.min(axis=0)
        points /= max(points.max(), 1e-12) if points.max() > 0 else 1
    expected = Sketch(points.astype(np.float32), sketch.offsets).to_stroke5(absolute=True)
    assert lengths.tolist() == [len(expected)]
    torch.testing.assert_close(padded[0], torch.from_numpy(expected), atol=1e-6, rtol=0)


def test_encoding_many_is_encoding_each() -> None:
    selector = CanvasSelector(4, points=16)
    padded, lengths = selector.encode(SketchSet.from_sketches(SKETCHES.values()))
    assert padded.dtype == torch.float32
    assert lengths.dtype == torch.int64
    assert padded.shape == (len(SKETCHES), int(lengths.max()), 5)
    for row, length, sketch in zip(padded, lengths, SKETCHES.values(), strict=True):
        alone, _ = selector.encode(sketch)
        assert torch.equal(row[:length], alone[0])
        assert not row[length:].any()


@pytest.mark.parametrize("points", [2, 16, 64])
def test_the_number_of_points_is_bounded(points: int) -> None:
    _, lengths = CanvasSelector(4, points=points).encode(list(SKETCHES.values()))
    assert lengths.max() <= points + 1
    assert lengths.min() >= 1


def test_one_at_a_time_is_the_batch() -> None:
    selector = CanvasSelector(3, hidden=16, points=20)
    torch.nn.init.normal_(selector.to_logits.weight)
    sketches = list(SKETCHES.values())
    together = selector(*selector.encode(sketches))
    assert together.shape == (len(sketches), 3)
    for row, sketch in zip(together, sketches, strict=True):
        torch.testing.assert_close(row, selector(*selector.encode(sketch))[0], atol=1e-5, rtol=0)
    chosen = selector.select(sketches)
    assert chosen.tolist() == together.argmax(dim=1).tolist()


def test_a_fresh_policy_is_uniform_and_selects_the_last() -> None:
    selector = CanvasSelector(4)
    logits = selector(*selector.encode(list(SKETCHES.values())))
    assert torch.equal(logits, torch.zeros_like(logits))
    assert set(selector.select(list(SKETCHES.values())).tolist()) == {3}
    assert selector.select([]).shape == (0,)


def test_parameters_of_the_paper() -> None:
    assert sum(value.numel() for value in CanvasSelector(4, hidden=128).parameters()) == 52_356


def test_reward_by_hand() -> None:
    ranks, losses = torch.tensor([[1, 2, 10], [4, 1, 1]]), torch.tensor([[0.0, 0.1, 0.5], [0.2, 0.0, 0.3]])
    flops = torch.tensor([1e9, 4e9, 16e9])
    found = canvas_reward(ranks, losses, flops, lambda_F=0.3, lambda_r=2.0, lambda_Tri=0.5)
    for i in range(2):
        for j in range(3):
            accuracy = 2.0 / ranks[i, j].item() - 0.5 * losses[i, j].item()
            compute = -(flops[j].item() - 1e9) / 15e9
            assert found[i, j].item() == pytest.approx(0.3 * compute + 0.7 * accuracy)


def test_reward_at_the_ends_of_the_dial() -> None:
    ranks, losses, flops = torch.tensor([[5, 1]]), torch.zeros(1, 2), torch.tensor([1.0, 3.0])
    assert canvas_reward(ranks, losses, flops, lambda_F=1.0).tolist() == [[0, -1]]
    assert canvas_reward(ranks, losses, flops, lambda_F=0.0).tolist() == [[pytest.approx(0.2), 1]]
    assert canvas_reward(torch.tensor([[2]]), torch.zeros(1, 1), torch.tensor([7]), lambda_F=0.5).tolist() == [[0.25]]


def test_reinforce_by_a_loop() -> None:
    logits = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    actions, rewards = torch.tensor([0, 2, 1, 1, 0, 2]), torch.randn(6, dtype=torch.float64)
    chances = logits.detach().softmax(1)
    logs = chances.log()
    plain = -sum(logs[i, actions[i]].item() * rewards[i].item() for i in range(6)) / 6
    assert reinforce_loss(logits, actions, rewards).item() == pytest.approx(plain)
    entropy = -(chances * logs).sum().item() / 6
    shifted = -sum(logs[i, actions[i]].item() * (rewards[i].item() - 0.4) for i in range(6)) / 6
    found = reinforce_loss(logits, actions, rewards, baseline=0.4, entropy_weight=0.2)
    assert found.item() == pytest.approx(shifted - 0.2 * entropy)


def test_the_sampled_gradient_is_that_of_the_expected_reward() -> None:
    """The gradient of minus the expected reward is exact; the sampled one must agree on average."""
    logits = torch.tensor([[0.5, -0.2, 0.1]], dtype=torch.float64, requires_grad=True)
    rewards = torch.tensor([[1.0, 0.2, -0.5]], dtype=torch.float64)
    (exact,) = torch.autograd.grad(-(logits.softmax(1) * rewards).sum(), logits)
    many = logits.detach().expand(40000, 3).clone().requires_grad_(True)
    loss = policy_gradient_loss(many, rewards.expand(40000, 3), generator=torch.Generator().manual_seed(1))
    (sampled,) = torch.autograd.grad(loss, many)
    torch.testing.assert_close(sampled.sum(0, keepdim=True), exact, atol=5e-3, rtol=0)


def test_sampling_is_repeatable() -> None:
    logits, rewards = torch.randn(50, 4), torch.rand(50, 4)
    first, second = (
        policy_gradient_loss(logits, rewards, generator=torch.Generator().manual_seed(3)) for _ in range(2)
    )
    assert torch.equal(first, second)


def test_the_paper_has_no_baseline() -> None:
    """All rewards 1: the loss is the mean of -log p of whatever was sampled; with the baseline it is 0."""
    logits, rewards = torch.zeros(5, 4), torch.ones(5, 4)
    assert policy_gradient_loss(logits, rewards, baseline=False).item() == pytest.approx(np.log(4))
    assert policy_gradient_loss(logits, rewards).item() == pytest.approx(0)


def test_the_kernel_is_the_gru_of_torch() -> None:
    selector = CanvasSelector(3, hidden=24, points=20)
    torch.nn.init.normal_(selector.to_logits.weight)
    sketches = list(SKETCHES.values())
    found = selector._logits_by_kernel(*ragged_pen_rows(sketches, selector.points))
    torch.testing.assert_close(found, selector(*selector.encode(sketches)), atol=1e-5, rtol=0)
    for row, sketch in zip(found, sketches, strict=True):
        torch.testing.assert_close(
            row, selector._logits_by_kernel(*ragged_pen_rows(sketch, selector.points))[0], atol=1e-6, rtol=0
        )


def test_a_trace_pads_and_is_the_same() -> None:
    selector = CanvasSelector(3, hidden=16, points=20)
    torch.nn.init.normal_(selector.to_logits.weight)
    sketches = list(SKETCHES.values())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch deprecates tracing
        traced = torch.jit.trace(selector, selector.encode(sketches[3:6]))
    torch.testing.assert_close(traced(*selector.encode(sketches)), selector(*selector.encode(sketches)))


FLOPS = torch.tensor([1.0, 4.0, 16.0, 64.0])


def made(generator: np.random.Generator, count: int, lambda_F: float) -> tuple[SketchSet, torch.Tensor]:
    """Drawings of 1 to 4 strokes and their rewards: each stroke more needs the next larger canvas for rank 1."""
    strokes = generator.integers(1, 5, count)
    drawings = SketchSet.from_sketches(random_sketch(generator, each) for each in strokes)
    short = torch.from_numpy(strokes - 1)[:, None] - torch.arange(4)
    ranks = torch.where(short > 0, 4 * short + 1, 1)
    return drawings, canvas_reward(ranks, 0.03 * torch.arange(3.0, -1, -1)[None], FLOPS, lambda_F=lambda_F)


@cache  # two tests ask for the same trainings
def learned(seed: int, lambda_F: float) -> tuple[np.ndarray, torch.Tensor]:
    """What a selector trained by REINFORCE chooses for drawings that it has not seen, and their rewards."""
    torch.manual_seed(seed)
    generator, samples = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    (train, rewards), (test, wanted) = made(generator, 1500, lambda_F), made(generator, 300, lambda_F)
    selector = CanvasSelector(4, hidden=32, points=32)
    sequences, lengths = selector.encode(train)
    optimizer = torch.optim.Adam(selector.parameters(), lr=1e-2)
    for step in range(250):
        optimizer.param_groups[0]["lr"] = 1e-2 * min(1, 2 - step / 125)
        rows = torch.randint(0, len(train), (64,), generator=samples)
        logits = selector(sequences[rows], lengths[rows])
        # With less of it the policy gives up the canvas that few drawings need before it has learned to count.
        weight = 0.15 * (1 - step / 250)
        # Eight samples of each drawing instead of one: the same gradient on average, with less noise.
        several, table = logits.repeat(8, 1), rewards[rows].repeat(8, 1)
        loss = policy_gradient_loss(several, table, generator=samples, entropy_weight=weight)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(selector.parameters(), 1.0)
        optimizer.step()
    return selector.select(test), wanted


@pytest.mark.parametrize("seed", range(5))
def test_reinforce_finds_the_best_policy(seed: int) -> None:
    """Against the exact optimum, which is known: at most 2 % of its reward is lost on drawings not seen."""
    chosen, table = learned(seed, 0.4)
    assert len(table.argmax(dim=1).unique()) == 4
    found = table.gather(1, torch.from_numpy(chosen)[:, None]).mean().item()
    best = table.max(dim=1).values.mean().item()
    assert found >= 0.98 * best


@pytest.mark.parametrize("seed", range(3))
def test_the_dial_goes_from_the_largest_canvas_to_the_smallest(seed: int) -> None:
    chosen = [learned(seed, lambda_F)[0] for lambda_F in (0.0, 0.4, 0.7, 1.0)]
    means = [FLOPS[torch.from_numpy(each)].mean().item() for each in chosen]
    assert means == sorted(means, reverse=True)
    assert means[0] == 64
    assert means[-1] == 1


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: CanvasSelector(0), "canvases must be at least 1"),
        (lambda: CanvasSelector(2, hidden=0), "selector_hidden"),
        (lambda: CanvasSelector(2, points=1), "points must be at least 2"),
        (lambda: canvas_reward(torch.ones(1, 2), torch.zeros(1, 2), torch.ones(2), lambda_F=1.5), "lambda_F"),
        (lambda: canvas_reward(torch.zeros(1, 2), torch.zeros(1, 2), torch.ones(2), lambda_F=0.5), "ranks start at 1"),
        (
            lambda: canvas_reward(torch.ones(1, 2), torch.zeros(1, 2), torch.ones(3), lambda_F=0.5),
            r"flops must be \(2,\)",
        ),
        (lambda: policy_gradient_loss(torch.zeros(2, 3), torch.zeros(2, 4)), "must agree"),
    ],
)
def test_parameters_out_of_range(call: Callable[[], object], words: str) -> None:
    with pytest.raises(ParameterError, match=words):
        call()


def test_coordinates_must_be_finite() -> None:
    with pytest.raises(DataError, match="finite"):
        CanvasSelector(2).encode(Sketch.from_strokes([[(0, 0), (float("inf"), 1)]]))


def test_whole_losses_do_not_round_the_cost() -> None:
    flops, ranks = torch.tensor([1.0, 2, 5]), torch.ones(1, 3, dtype=torch.int64)
    found = canvas_reward(ranks, torch.zeros(1, 1, dtype=torch.int64), flops, lambda_F=1.0)
    torch.testing.assert_close(found, torch.tensor([[0.0, -0.25, -1.0]]))


@pytest.mark.parametrize("wrong", ["actions", "rewards", "baseline"])
def test_a_column_is_not_taken_for_one_value_a_sketch(wrong: str) -> None:
    given = {"actions": torch.zeros(3, dtype=torch.int64), "rewards": torch.ones(3), "baseline": torch.ones(3)}
    given[wrong] = given[wrong][:, None]
    with pytest.raises(ParameterError, match=f"{wrong} must be one a sketch"):
        reinforce_loss(torch.zeros(3, 4), **given)
    assert reinforce_loss(torch.zeros(3, 4), given["actions"].flatten(), torch.ones(3), baseline=1.0) == 0
