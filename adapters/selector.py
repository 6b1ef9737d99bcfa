"""The canvas selector: a policy that looks at the strokes and names the canvas to draw them on.

Source: arXiv 2505.23763, section 4.2 (SketchyNetV2).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

from sketchkit.adapters.pen_rows import pen_rows, ragged_pen_rows
from sketchkit.errors import ParameterError
from sketchkit.sketch import Sketch
from sketchkit.sketch_set import SketchSet

__all__ = ["CanvasSelector", "canvas_reward", "policy_gradient_loss", "reinforce_loss"]


class CanvasSelector(nn.Module):
    """A one-layer GRU over the pen's path; its last state gives p(canvas | sketch) by a linear layer.

    A fresh selector gives every canvas the same chance; `select` then takes the last one.

    Args:
        canvases: how many canvases there are to choose from.
        hidden: width of the GRU's state.
        points: the most points of a drawing that it reads; Douglas-Peucker leaves out the others.

    Raises:
        ParameterError: a number is out of range.

    Example:
        >>> import sketchkit
        >>> roof = sketchkit.Sketch.from_strokes([[(0, 9), (5, 0), (9, 9)]])
        >>> selector = CanvasSelector(4, hidden=8)
        >>> selector(*selector.encode([roof, roof])).shape
        torch.Size([2, 4])
        >>> selector.select(roof)
        array([3])
    """

    def __init__(self, canvases: int, *, hidden: int = 128, points: int = 64) -> None:
        super().__init__()
        for name, value, least in (("canvases", canvases, 1), ("selector_hidden", hidden, 1), ("points", points, 2)):
            if value < least:
                raise ParameterError(f"{name} must be at least {least}, not {value}")
        self.canvases, self.hidden, self.points = canvases, hidden, points
        self.gru = nn.GRU(5, hidden, batch_first=True)
        self.to_logits = nn.Linear(hidden, canvases)
        # A policy that starts out uniform explores all canvases alike.
        nn.init.zeros_(self.to_logits.weight)
        nn.init.zeros_(self.to_logits.bias)

    def encode(self, sketches: Sketch | SketchSet | Iterable[Sketch]) -> tuple[torch.Tensor, torch.Tensor]:
        """Drawings as absolute stroke-5 rows (x, y, p1, p2, p3), coordinates in 0..1 over the longer side.

        Args:
            sketches: one drawing or many; an empty one is a single end row.

        Returns:
            (batch, steps, 5) float32, padded with zeros, and (batch,) int64 lengths, both on the CPU.

        Raises:
            DataError: a coordinate is NaN or infinite.
        """
        rows, lengths = pen_rows(sketches, self.points)
        return torch.from_numpy(rows), torch.from_numpy(lengths)

    def forward(self, sequences: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Logits (batch, canvases) of encoded drawings: (batch, steps, 5) and (batch,).

        While it is traced or exported nothing is packed: rows after a drawing's last cannot reach its state.

        Args:
            sequences: (batch, steps, 5), as `encode` gives them.
            lengths: (batch,) int64, how many rows of each are the drawing's.
        """
        tracing = torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]  # torch does not annotate it
        if tracing or torch.compiler.is_exporting():
            states, _ = self.gru(sequences)
            last = (lengths - 1).reshape(-1, 1, 1).expand(-1, 1, self.hidden)
            traced: torch.Tensor = self.to_logits(states.gather(1, last).squeeze(1))
            return traced
        if len(sequences) == 0:
            return sequences.new_zeros(0, self.canvases)
        packed = pack_padded_sequence(sequences, lengths.cpu(), batch_first=True, enforce_sorted=False)
        _, state = self.gru(packed)
        logits: torch.Tensor = self.to_logits(state[-1])
        return logits

    @torch.no_grad()
    def select(self, sketches: Sketch | SketchSet | Iterable[Sketch]) -> NDArray[np.int64]:
        """The most likely canvas of each drawing, (batch,) indices; of equally likely ones the last.

        On the CPU in float32 by a compiled kernel, which reads the GRU's own weights: torch spends more than half of
        a single drawing's time on calls between its steps.

        Args:
            sketches: what is asked about; nothing is drawn.
        """
        weight = self.to_logits.weight
        if weight.device.type == "cpu" and weight.dtype == torch.float32:
            logits = self._logits_by_kernel(*ragged_pen_rows(sketches, self.points))
        else:
            sequences, lengths = self.encode(sketches)
            logits = self(sequences.to(weight.device, weight.dtype), lengths)
        chosen: NDArray[np.int64] = (self.canvases - 1 - logits.flip(1).argmax(dim=1)).cpu().numpy()
        return chosen

    def _logits_by_kernel(self, rows: NDArray[np.float32], offsets: NDArray[np.int64]) -> torch.Tensor:
        from sketchkit.kernels.recurrent import last_states

        of_input, of_state, input_bias, state_bias = (value.detach() for value in self.gru.all_weights[0])
        states = np.empty((len(offsets) - 1, self.hidden), np.float32)
        last_states(
            rows,
            offsets,
            of_input.T.contiguous().numpy(),
            of_state.T.contiguous().numpy(),
            input_bias.numpy(),
            state_bias.numpy(),
            states,
        )
        logits: torch.Tensor = self.to_logits(torch.from_numpy(states))
        return logits


def canvas_reward(
    ranks: torch.Tensor,
    triplet_losses: torch.Tensor,
    flops: torch.Tensor,
    *,
    lambda_F: float,
    lambda_r: float = 1.0,
    lambda_Tri: float = 1.0,
) -> torch.Tensor:
    """R = lambda_F * R_comp + (1 - lambda_F) * R_acc for every sketch on every canvas, (sketches, canvases).

    R_acc = lambda_r / rank - lambda_Tri * L_Tri; R_comp = -L_F, with L_F the canvas's FLOPs scaled so that the
    cheapest canvas has 0 and the dearest 1 (0 for all when they cost the same).

    Args:
        ranks: (sketches, canvases) rank of the paired photo in the gallery, 1 = best.
        triplet_losses: (sketches, canvases), or any shape that broadcasts with it.
        flops: (canvases,) of one pass on each.
        lambda_F: from 0 (accuracy alone) to 1 (compute alone).
        lambda_r: weight of the rank.
        lambda_Tri: weight of the triplet loss.

    Raises:
        ParameterError: `lambda_F` is not in 0..1, a rank is below 1, or there is not one FLOPs value a canvas.

    Example:
        >>> canvas_reward(torch.tensor([[2, 1]]), torch.zeros(1, 2), torch.tensor([1.0, 16.0]), lambda_F=0.5)
        tensor([[0.2500, 0.0000]])
    """
    if not 0 <= lambda_F <= 1:
        raise ParameterError(f"lambda_F must be from 0 to 1, not {lambda_F}")
    if ranks.numel() and ranks.min() < 1:
        raise ParameterError("ranks start at 1")
    if flops.shape != ranks.shape[-1:]:
        raise ParameterError(f"flops must be ({ranks.shape[-1]},), one a canvas, not {tuple(flops.shape)}")
    # In float64 first: FLOPs beyond 2^24 are not whole in float32.
    scaled = flops.to(torch.float64) - flops.min()
    spread = scaled.max()
    dtype = triplet_losses.dtype if triplet_losses.is_floating_point() else torch.get_default_dtype()
    L_F = (scaled / spread if spread > 0 else scaled).to(dtype)
    R_acc = lambda_r / ranks.to(dtype) - lambda_Tri * triplet_losses
    return -lambda_F * L_F + (1 - lambda_F) * R_acc


def reinforce_loss(
    logits: torch.Tensor,
    actions: torch.Tensor,
    rewards: torch.Tensor,
    *,
    baseline: torch.Tensor | float | None = None,
    entropy_weight: float = 0.0,
) -> torch.Tensor:
    """L_PG = -(1 / B) sum log p(c | s) * R; a scalar.

    The paper has neither a baseline nor an entropy bonus; both are off unless asked for.

    Args:
        logits: (batch, canvases).
        actions: (batch,) int64, the canvases sampled.
        rewards: (batch,) of those.
        baseline: a scalar or (batch,), subtracted from rewards; changes the variance, not the mean, of the gradient.
        entropy_weight: how much a policy that still explores is favored.

    Raises:
        ParameterError: actions, rewards and baseline are not one a sketch.

    Example:
        >>> reinforce_loss(torch.zeros(2, 4), torch.tensor([0, 3]), torch.tensor([1.0, 0.0]))
        tensor(0.6931)
    """
    for name, values in (("actions", actions), ("rewards", rewards), ("baseline", baseline)):
        # A column would be broadcast to all pairs of sketches.
        if isinstance(values, torch.Tensor) and values.ndim and values.shape != logits.shape[:1]:
            raise ParameterError(f"{name} must be one a sketch, ({len(logits)},), not {tuple(values.shape)}")
    log_chances = logits.log_softmax(dim=1)
    taken = log_chances.gather(1, actions[:, None]).squeeze(1)
    advantage = (rewards if baseline is None else rewards - baseline).detach()
    entropy = -(log_chances.exp() * log_chances).sum(dim=1)
    return -(taken * advantage).mean() - entropy_weight * entropy.mean()


def policy_gradient_loss(
    logits: torch.Tensor,
    reward_table: torch.Tensor,
    *,
    generator: torch.Generator | None = None,
    entropy_weight: float = 0.0,
    baseline: bool = True,
) -> torch.Tensor:
    """`reinforce_loss` of one canvas sampled for each sketch, c ~ Categorical(p(c | s)); a scalar.

    The student is frozen, so the reward of every canvas can be known beforehand; the baseline is then the policy's
    expected reward of the same sketch (not in the paper).

    Args:
        logits: (batch, canvases).
        reward_table: (batch, canvases), see `canvas_reward`.
        generator: of the samples, on the CPU.
        entropy_weight: see `reinforce_loss`.
        baseline: False for the paper's own form, the reward as it is.

    Raises:
        ParameterError: shapes differ.

    Example:
        >>> logits = torch.zeros(2, 4, requires_grad=True)
        >>> loss = policy_gradient_loss(logits, torch.ones(2, 4), generator=torch.Generator().manual_seed(0))
        >>> loss.backward()  # every canvas is as good as any other: nothing to learn
        >>> logits.grad.abs().max()
        tensor(0.)
    """
    if logits.shape != reward_table.shape:
        raise ParameterError(f"logits are {tuple(logits.shape)}, rewards {tuple(reward_table.shape)}; they must agree")
    chances = logits.detach().softmax(dim=1)
    rewards = reward_table.to(chances)
    actions = torch.multinomial(chances.cpu(), 1, generator=generator).to(chances.device)
    return reinforce_loss(
        logits,
        actions.squeeze(1),
        rewards.gather(1, actions).squeeze(1),
        baseline=(chances * rewards).sum(dim=1) if baseline else None,
        entropy_weight=entropy_weight,
    )
