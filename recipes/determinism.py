"""The same numbers from the same seed: kernels that add in an order of their own are left out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.backends import mkldnn
from torch.utils import deterministic as memory

__all__ = ["deterministic"]


@contextmanager
def deterministic() -> Iterator[None]:
    """Within this block torch takes kernels whose result is the same each time, on the same machine and thread count.

    Without it the gradient of an index, for instance, is added up by several threads at once where it is large, and
    oneDNN may do the like in a convolution's. Raises where an operation has no such kernel.
    """
    algorithms = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    filled, convolutions = memory.fill_uninitialized_memory, mkldnn.deterministic  # type: ignore[attr-defined]  # torch does not annotate it
    # CUDA's matrix products read it when they are first used.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    # Nothing here reads memory before it is written, so that filling it would only take time.
    memory.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # torch does not annotate it
    mkldnn.deterministic = True  # type: ignore[assignment]  # torch does not annotate it
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(algorithms, warn_only=warn_only)
        memory.fill_uninitialized_memory = filled  # type: ignore[attr-defined]  # torch does not annotate it
        mkldnn.deterministic = convolutions
