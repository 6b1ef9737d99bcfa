"""The one training loop: bar, log, checkpoint, resume. A stage is a module whose forward maps a batch to losses."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import nn
from torch.utils.tensorboard import SummaryWriter

from sketchkit.errors import ParameterError
from sketchkit.recipes.progress import note, progress
from sketchkit.recipes.run_folder import StageFolder

__all__ = ["cosine_with_warmup", "fit"]

Batch = dict[str, Any]
Losses = dict[str, torch.Tensor]


def fit(
    fabric: Fabric,
    step: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Callable[[int], Iterator[Batch]],
    *,
    epochs: int,
    steps_per_epoch: int,
    stage: StageFolder,
    name: str,
    schedule: Callable[[float], float] = lambda progress: 1.0,
    gradient_clip: float | None = None,
    precision: Callable[[], AbstractContextManager[object]] = nullcontext,
    after_epoch: Callable[[], dict[str, float]] | None = None,
) -> list[dict[str, float]]:
    """Train, and keep a checkpoint after each epoch; a killed training goes on after its last finished epoch.

    Everything random in an epoch must come from `batches(epoch)`, never from a state that a restart would
    lose; then a resumed training equals an undisturbed one.

    Args:
        fabric: device and precision.
        step: forward(batch) -> dict of scalar tensors; `loss` is minimized, the others are logged.
        optimizer: over step's parameters.
        batches: epoch -> its batches, always the same for the same epoch.
        epochs: how many passes.
        steps_per_epoch: how many batches a pass has.
        stage: where checkpoint and log go.
        name: shown on the bar.
        schedule: share of the training done -> factor on the learning rate.
        gradient_clip: largest gradient norm.
        precision: gives the context of each forward pass. One context around the whole training would be wrong:
            autocast keeps the weights that it has cast until it ends, and would not see them change.
        after_epoch: what it measures joins the epoch's record; it must leave what is trained as it is.

    Returns:
        One record an epoch, with the mean of each logged value.

    Raises:
        ParameterError: the loss is not finite.
    """
    module, optimizer = fabric.setup(step, optimizer)
    rates = [group["lr"] for group in optimizer.param_groups]
    history = _resume(stage, step, optimizer, name, epochs)
    log = SummaryWriter(str(stage.path / "log"), purge_step=len(history) * steps_per_epoch)
    for epoch in range(len(history), epochs):
        sums: dict[str, float] = {}
        bar = progress(batches(epoch), f"{name} {epoch + 1}/{epochs}", unit="batch", total=steps_per_epoch)
        for index, batch in enumerate(bar):
            done = (epoch * steps_per_epoch + index) / (epochs * steps_per_epoch)
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * schedule(done)
            with precision():
                losses: Losses = module(fabric.to_device(batch))
            if not torch.isfinite(losses["loss"]):
                raise ParameterError(
                    f"{name}: the loss of epoch {epoch + 1} is {losses['loss'].item()}; lower its learning_rate, "
                    f"and remove {stage.path} to begin anew"
                )
            optimizer.zero_grad()
            fabric.backward(losses["loss"])
            if gradient_clip is not None:
                fabric.clip_gradients(module, optimizer, max_norm=gradient_clip)
            optimizer.step()
            for key, value in losses.items():
                sums[key] = sums.get(key, 0.0) + value.item()
        record = {"epoch": float(epoch + 1)} | {key: value / steps_per_epoch for key, value in sums.items()}
        if after_epoch is not None:
            record |= after_epoch()
        history.append(record)
        for key, mean in record.items():
            log.add_scalar(key, mean, (epoch + 1) * steps_per_epoch)
        stage.save_checkpoint(
            {"epoch": epoch + 1, "step": step.state_dict(), "optimizer": optimizer.state_dict(), "history": history}
        )
    log.close()
    return history


def cosine_with_warmup(warmup: float) -> Callable[[float], float]:
    """A schedule that rises linearly over the share `warmup` of the training, then falls to 0 as a cosine."""

    def factor(done: float) -> float:
        if done < warmup:
            return (done + 1e-3) / (warmup + 1e-3)
        return 0.5 * (1 + math.cos(math.pi * (done - warmup) / (1 - warmup)))

    return factor


def _resume(
    stage: StageFolder, step: nn.Module, optimizer: torch.optim.Optimizer, name: str, epochs: int
) -> list[dict[str, float]]:
    state = stage.load_checkpoint()
    if state is None:
        return []
    step.load_state_dict(state["step"])
    optimizer.load_state_dict(state["optimizer"])
    note(f"{name}: going on after epoch {state['epoch']} of {epochs}")
    return list(state["history"])
