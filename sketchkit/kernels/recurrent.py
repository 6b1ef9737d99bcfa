"""A gated recurrent unit over ragged rows: one drawing costs what its own steps cost, without a dispatch a step.

Serial, hence `cache=True`. Each drawing is computed by itself, so that its state never depends on its neighbors'.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["last_states"]


@njit(cache=True, nogil=True)
def last_states(
    rows: NDArray[np.float32],
    offsets: NDArray[np.int64],
    input_weights: NDArray[np.float32],
    state_weights: NDArray[np.float32],
    input_biases: NDArray[np.float32],
    state_biases: NDArray[np.float32],
    states: NDArray[np.float32],
) -> None:
    """The state after each group's last row, (groups, hidden), in `torch.nn.GRU`'s equations and order of gates.

    `rows` (rows, inputs) are those of all groups, `offsets` (groups + 1,) where each group starts among them; `states`
    (groups, hidden) takes the result, 0 for a group without rows. `input_weights` (inputs, 3 * hidden) and
    `state_weights` (hidden, 3 * hidden) are torch's transposed, so that the inner loop runs along memory;
    `input_biases` and `state_biases` (3 * hidden,) are torch's.
    """
    one = np.float32(1)
    inputs, hidden = input_weights.shape[0], state_weights.shape[0]
    given, kept = np.empty(3 * hidden, np.float32), np.empty(3 * hidden, np.float32)
    for group in range(len(offsets) - 1):
        state = states[group]
        state[:] = np.float32(0)
        for row in range(offsets[group], offsets[group + 1]):
            for gate in range(3 * hidden):
                given[gate], kept[gate] = input_biases[gate], state_biases[gate]
            for source in range(inputs):
                value = rows[row, source]
                for gate in range(3 * hidden):
                    given[gate] += value * input_weights[source, gate]
            # Four at a time, added one after the other: fewer loads and stores, and the same sums to the bit.
            whole = hidden - hidden % 4
            for source in range(0, whole, 4):
                a, b, c, d = state[source], state[source + 1], state[source + 2], state[source + 3]
                of_a, of_b = state_weights[source], state_weights[source + 1]
                of_c, of_d = state_weights[source + 2], state_weights[source + 3]
                for gate in range(3 * hidden):
                    kept[gate] = kept[gate] + a * of_a[gate] + b * of_b[gate] + c * of_c[gate] + d * of_d[gate]
            for source in range(whole, hidden):
                value = state[source]
                for gate in range(3 * hidden):
                    kept[gate] += value * state_weights[source, gate]
            for unit in range(hidden):
                reset = one / (one + math.exp(-(given[unit] + kept[unit])))
                update = one / (one + math.exp(-(given[hidden + unit] + kept[hidden + unit])))
                fresh = math.tanh(given[2 * hidden + unit] + reset * kept[2 * hidden + unit])
                state[unit] = fresh + update * (state[unit] - fresh)
