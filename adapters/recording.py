"""One forward pass, written down: which modules were called on what, and which operations ran between them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

__all__ = ["Call", "Operation", "Recording", "first_tensor", "noted_calls", "record", "storage_of"]


@dataclass(frozen=True, eq=False)
class Call:
    """A call of `module`, which `path` names in the network that was watched.

    `start` and `end` are places in the order of all events, `source` and `result` the storages of the first tensors
    that it was given and gave (None for no tensor), and `shape` is the result's.
    """

    path: str
    module: nn.Module
    start: int
    end: int
    source: int | None
    result: int | None
    shape: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Operation:
    """An operation of torch's dispatcher; `end` is its place in the order of all events.

    `name` is the dispatcher's, without `aten::` and the overload. `operands` are the storages and shapes of all tensors
    that it was given, `source` is the first one's storage. `result` and `shape` are the storage and the shape of the
    tensor that it gave; one that gives several is written down once for each.
    """

    name: str
    end: int
    source: int | None
    result: int
    shape: tuple[int, ...]
    operands: tuple[tuple[int, tuple[int, ...]], ...] = ()


@dataclass(eq=False)
class Recording:
    """A forward pass: its `output`, the `calls` of leaf modules, the `operations` that ran, both in their order.

    Tensors are known by their storage, so that views (flatten, squeeze, a token's slice) are seen through; all of
    them are kept alive in `kept`, else a storage's address could come back. `clock` is the last place given out in the
    order of all events.
    """

    output: Any = None
    calls: list[Call] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)
    kept: list[torch.Tensor] = field(default_factory=list)
    clock: int = 0

    def tick(self) -> int:
        """The next place in the order of events."""
        self.clock += 1
        return self.clock

    def last_call(self, storage: int, before: int) -> Call | None:
        """The last leaf module that gave this `storage` and ended at a place `before` that one; None for none."""
        return next((call for call in reversed(self.calls) if call.result == storage and call.end < before), None)

    def last_operation(self, storage: int, before: int) -> Operation | None:
        """The last operation `before` a place that gave this `storage`, or a view of it; None for none."""
        made = (op for op in reversed(self.operations) if op.result == storage and op.end < before)
        return next(made, None)


def storage_of(tensor: torch.Tensor) -> int:
    """What tells the memory of `tensor`, of any shape, apart while it is alive: where its storage begins."""
    return tensor.untyped_storage().data_ptr()


@contextmanager
def noted_calls(
    modules: Iterable[tuple[str, nn.Module]], tick: Callable[[], int], kept: list[torch.Tensor]
) -> Iterator[list[Call]]:
    """Write down the calls of modules while the block runs, in the order of their ends.

    Args:
        modules: path and module; hooks are set on them and taken off again. Scripted modules call one another without
            Python and are passed over: of them only operations are seen.
        tick: gives the next place in the order of all events.
        kept: gets the tensors, of any shape, which must live as long as their storages are to be told apart.

    Example:
        >>> network = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
        >>> places = iter(range(9))
        >>> with noted_calls(network.named_children(), lambda: next(places), []) as calls:
        ...     _ = network(torch.zeros(1, 2))
        >>> [(call.path, call.start, call.end, call.shape) for call in calls]
        [('0', 0, 1, (1, 3)), ('1', 2, 3, (1, 3))]
    """
    calls: list[Call] = []
    handles = []
    for path, module in modules:
        if isinstance(module, torch.jit.ScriptModule):
            continue
        starts: list[int] = []

        def before(module: nn.Module, args: Any, starts: list[int] = starts) -> None:
            starts.append(tick())

        def after(module: nn.Module, args: Any, output: Any, path: str = path, starts: list[int] = starts) -> None:
            source, result = first_tensor(args), first_tensor(output)
            kept.extend(tensor for tensor in (source, result) if tensor is not None)
            calls.append(
                Call(
                    path,
                    module,
                    starts.pop(),
                    tick(),
                    None if source is None else storage_of(source),
                    None if result is None else storage_of(result),
                    () if result is None else tuple(result.shape),
                )
            )

        handles += [module.register_forward_pre_hook(before), module.register_forward_hook(after)]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


def first_tensor(values: Any) -> torch.Tensor | None:
    """The first tensor, of any shape, among `values`: arguments or results, however nested; None for none.

    Example:
        >>> first_tensor(({"scores": torch.ones(1)}, 2))
        tensor([1.])
    """
    return next((leaf for leaf in tree_leaves(values) if isinstance(leaf, torch.Tensor)), None)


def record(
    network: nn.Module,
    inputs: torch.Tensor,
    leaf_types: tuple[type[nn.Module], ...],
    options: Sequence[str] = (),
) -> Recording:
    """Run a network on one input, in the mode it is in, without gradients.

    Args:
        network: hooks are set on it and taken off again.
        inputs: its one input, (batch, ...).
        leaf_types: modules of these types are leaves even when they have children (a parametrized Linear has).
        options: names of arguments of its forward that are set to True.
    """
    recording = Recording(kept=[inputs])
    leaves = (
        (path, module)
        for path, module in network.named_modules()
        if path and (isinstance(module, leaf_types) or not any(True for _ in module.children()))
    )
    with (
        torch.no_grad(),
        noted_calls(leaves, recording.tick, recording.kept) as recording.calls,
        _Operations(recording),
    ):
        recording.output = network(inputs, **dict.fromkeys(options, True))
    return recording


class _Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch does not annotate its base
    def __init__(self, recording: Recording) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch does not annotate it
        self.recording = recording

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        operands = [leaf for leaf in tree_leaves(args) if isinstance(leaf, torch.Tensor)]
        made = [leaf for leaf in tree_leaves(output) if isinstance(leaf, torch.Tensor)]
        known = tuple((storage_of(tensor), tuple(tensor.shape)) for tensor in operands)
        name = func.name().removeprefix("aten::").split(".")[0]
        for tensor in made:
            self.recording.operations.append(
                Operation(
                    name,
                    self.recording.tick(),
                    known[0][0] if known else None,
                    storage_of(tensor),
                    tuple(tensor.shape),
                    known,
                )
            )
        # Operands too: a copy of a weight that is dropped at once must not give its address away.
        self.recording.kept += [*operands, *made]
        return output
