"""The frame of a run, whatever it trains: its folder, its devices, its stages, and what is kept of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from lightning_fabric import Fabric
from torch.nn.modules.batchnorm import _BatchNorm

from sketchkit.adapters.adapted_model import AdaptedModel
from sketchkit.canvas import Canvas
from sketchkit.errors import AdaptError, ParameterError
from sketchkit.recipes.allocator import keep_freed_memory
from sketchkit.recipes.config import FgsbirConfig, RunConfig
from sketchkit.recipes.embedding import native_precision, reduced_precision
from sketchkit.recipes.frozen import FrozenFront
from sketchkit.recipes.own_networks import is_own, settings_of
from sketchkit.recipes.progress import note
from sketchkit.recipes.recognition.config import RecognitionConfig
from sketchkit.recipes.run_folder import StageFolder, clear_temporaries, fingerprint, make_folder

__all__ = ["Run", "Trained", "launch", "open_run", "told", "try_networks", "with_native_precision"]

Config = TypeVar("Config", FgsbirConfig, RecognitionConfig)
Model = TypeVar("Model")


@dataclass(frozen=True, eq=False)
class Run(ABC):
    """What every stage needs.

    Args:
        config: all settings.
        fabric: the devices.
        out: folder of the stages.
    """

    config: FgsbirConfig | RecognitionConfig
    fabric: Fabric
    out: Path

    @property
    @abstractmethod
    def identity(self) -> tuple[Any, ...]:
        """What tells the training data from others, for `fingerprint`."""

    def stage(self, name: str, *depends_on: Any) -> StageFolder:
        """The folder of a stage whose outcome depends on the training data, the seed and `depends_on`.

        `name` is its place in the run's folder, such as `teacher` or `v2/lambda_F_0.1`.
        """
        return StageFolder(self.out / name, fingerprint(self.config.seed, *self.identity, *depends_on))

    @property
    def canvases(self) -> tuple[Canvas, ...]:
        """The student's canvases, smallest first."""
        return tuple(self._canvas(size) for size in sorted(self.config.student.canvases))

    @property
    def teacher_canvas(self) -> Canvas:
        """The teacher's canvas."""
        return self._canvas(self.config.teacher.canvas)

    def precision(self, name: str) -> AbstractContextManager[object]:
        """The context in which the network `name` is evaluated and timed: `fp32`, but for `teacher` as it is set."""
        return reduced_precision(self.config.teacher.precision if name == "teacher" else "fp32")

    def _canvas(self, size: int) -> Canvas:
        return Canvas.of({"size": size, "fit": self.config.student.fit})


@dataclass(frozen=True, eq=False)
class Trained(Generic[Model]):
    """A finished stage.

    Args:
        model: as it is in the stage's folder.
        history: one record an epoch, see `fitting.fit`; of V2 that of the selector for `lambda_F`.
        seconds: how long it took in the run that finished it; what a killed run had spent before is not counted.
    """

    model: Model
    history: list[dict[str, float]]
    seconds: float

    @classmethod
    def of(cls, model: Model, record: Mapping[str, Any]) -> Trained[Model]:
        """A model, and what the record of its stage says.

        Args:
            model: read from its file: a resumed run then measures the very same one.
            record: as of `StageFolder.finished`, with `history` and `seconds`.
        """
        return cls(model, list(record["history"]), float(record["seconds"]))


def open_run(out: str) -> Path:
    """The folder of a run, cleared of what a killed process was writing, and the process ready for long trainings.

    `out` and the folders above it are made where they are missing.

    Raises:
        OutputError: the folder cannot be made.
    """
    folder = make_folder(Path(out))
    keep_freed_memory()
    clear_temporaries(folder)
    return folder


def with_native_precision(config: Config) -> Config:
    """`config` with what `auto` means on this machine as the teacher's precision: stages depend on it."""
    return replace(config, teacher=replace(config.teacher, precision=native_precision(config.teacher.precision)))


def try_networks(config: FgsbirConfig | RecognitionConfig, adapted: Mapping[str, Callable[[], AdaptedModel]]) -> None:
    """Adapt the user's own networks once before anything is trained: the student's turn comes when the teacher is done.

    Args:
        config: of the run.
        adapted: `teacher` and `student` -> what adapts it as its training will.

    Raises:
        ParameterError, AdaptError: a network cannot be built or adapted, or has no blocks to freeze as it is set.
    """
    for part, adapt in adapted.items():
        settings = getattr(config, part)
        if not is_own(settings.network):
            continue
        settings_of(settings)  # the source that is trained is the one of now
        blocks = settings.training.frozen_blocks
        try:
            made = adapt()
        except (AdaptError, ParameterError) as error:
            raise type(error)(f"{part}.network={settings.network}: {error}") from None
        try:
            FrozenFront(made, blocks)
        except ParameterError as error:
            raise ParameterError(f"{part}.training.{error}") from None
        if blocks:
            note(f"{settings.network}: {blocks} blocks stay as they are built ({part}.training.frozen_blocks)")
        if _without_statistics(made):
            note(
                f"{settings.network}: batch norms that have seen no image yet; they are not adjusted here, so let "
                "what builds it load trained weights"
            )


def _without_statistics(model: AdaptedModel) -> bool:
    """Whether a batch norm's statistics are those of its first day, which trainings, in evaluation mode, leave it."""
    norms = [norm for norm in model.backbone.modules() if isinstance(norm, _BatchNorm)]
    kept = [(norm.running_mean, norm.running_var) for norm in norms]
    return any(mean is not None and var is not None and not mean.any() and bool((var == 1).all()) for mean, var in kept)


def launch(config: RunConfig) -> Fabric:
    """The devices that `config` names: its `accelerator`, and how many `devices`.

    Raises:
        ParameterError: they are not there.
    """
    try:
        fabric = Fabric(accelerator=config.accelerator, devices=config.devices)
        fabric.launch()
    except Exception as error:  # Fabric's errors have no common base
        raise ParameterError(f"accelerator={config.accelerator} devices={config.devices}: {error}") from None
    return fabric


def told(trained: Mapping[str, Trained[Any]], *, command: str, evaluation: float) -> dict[str, Any]:
    """What the results tell of how they came about.

    Args:
        trained: the stages by name.
        command: what repeats the run.
        evaluation: seconds it took.
    """
    return {
        "command": command,
        "seconds": {name: stage.seconds for name, stage in trained.items()} | {"evaluation": evaluation},
        "histories": {name: stage.history for name, stage in trained.items()},
    }
