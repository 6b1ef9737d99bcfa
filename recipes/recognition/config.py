"""Settings of a recognition run: frozen dataclasses, filled from a YAML file and `key=value` words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sketchkit.errors import ParameterError
from sketchkit.recipes.config import (
    RunConfig,
    SelectorConfig,
    StudentNetwork,
    TeacherNetwork,
    _above,
    _at_least,
    _between,
)
from sketchkit.recipes.settings import find_settings, load_settings, shipped_settings

__all__ = [
    "CategoriesConfig",
    "ClassificationConfig",
    "RecognitionConfig",
    "RecognitionStudentConfig",
    "RecognitionTeacherConfig",
    "load_recognition_config",
    "shipped_recognition_configs",
]


@dataclass(frozen=True)
class CategoriesConfig:
    """Which drawings: a folder that holds a file (or a folder) for each category."""

    root: str | None = None
    """The folder: `.ndjson`, `.bin`, `.npz` or any other format; a category is called as its file, without suffix."""
    categories: Any = 20
    """How many categories, the first ones by name; or their names: `[cat, alarm clock]`."""
    max_per_category: int | None = None
    """Of each file only so many drawings, the first ones; the rest of the file is not read."""
    recognized_only: bool = False
    """Only drawings that Quick, Draw!'s own network recognized while they were drawn. An easier set: say so."""
    validation_share: float = 0.2
    """Share of each category's drawings that no network is trained on: they give the selector's rewards."""
    test_share: float = 0.2
    """Share of each category's drawings that is evaluated at the end."""

    def __post_init__(self) -> None:
        _check_categories(self.categories)
        if self.max_per_category is not None:
            _at_least("data.max_per_category", self.max_per_category, 3)
        for name in ("validation_share", "test_share"):
            _above(f"data.{name}", getattr(self, name), 0)
        if self.validation_share + self.test_share >= 1:
            raise ParameterError(
                "data.validation_share and data.test_share leave nothing to train on; together below 1"
            )


@dataclass(frozen=True)
class ClassificationConfig:
    """One training: an optimizer, and what stays frozen."""

    epochs: int = 10
    """Passes over the training drawings."""
    batch: int = 64
    """Drawings a batch."""
    learning_rate: float = 1e-3
    """Peak of the cosine schedule (AdamW)."""
    weight_decay: float = 1e-3
    """AdamW's weight decay."""
    warmup: float = 0.05
    """Share of the steps over which the learning rate rises."""
    gradient_clip: float = 5.0
    """Largest gradient norm."""
    frozen_blocks: int = 0
    """How many blocks of the network's `features` keep their ImageNet weights; 0 trains all."""
    variants: int = 0
    """How many versions of each drawing, itself and jittered ones, go through the frozen blocks once and are kept on
    disk: quick, for some thousand drawings. 0 keeps none: all drawings are jittered and drawn anew in every epoch."""
    mirror: bool = True
    """Train on mirrored drawings too."""
    temperature: float = 0.05
    """Embeddings have length 1; they are divided by this before the linear layer that gives logits."""
    label_smoothing: float = 0.0
    """Of the cross-entropy: the share of the target that goes to all categories alike."""

    def __post_init__(self) -> None:
        _above("learning_rate", self.learning_rate, 0)
        _above("temperature", self.temperature, 0)
        _at_least("epochs", self.epochs, 1)
        _at_least("batch", self.batch, 1)
        _at_least("variants", self.variants, 0)
        _at_least("frozen_blocks", self.frozen_blocks, 0)
        if self.variants and not self.frozen_blocks:
            raise ParameterError(
                "training.variants keeps outputs of frozen blocks; set frozen_blocks too, or variants=0"
            )
        _between("label_smoothing", self.label_smoothing, 0, 1)


@dataclass(frozen=True)
class RecognitionTeacherConfig(TeacherNetwork):
    """The teacher of recognition."""

    training: ClassificationConfig = field(
        default_factory=lambda: ClassificationConfig(learning_rate=3e-4, frozen_blocks=17)
    )
    """How it is trained."""


@dataclass(frozen=True)
class RecognitionStudentConfig(StudentNetwork):
    """The student of recognition."""

    distillation_share: float = 0.5
    """Share of the distillation loss beside the cross-entropy; 0 leaves the teacher out."""
    temperature: float = 4.0
    """Of the softmaxes that are distilled: those of logits divided by it (Hinton's T)."""
    self_distillation: float = 0.0
    """Weight of what the largest canvas teaches the others, by the same loss."""
    training: ClassificationConfig = field(default_factory=ClassificationConfig)
    """How it is trained, directly and distilled alike."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _between("student.distillation_share", self.distillation_share, 0, 1)
        _above("student.temperature", self.temperature, 0)
        _at_least("student.self_distillation", self.self_distillation, 0)


@dataclass(frozen=True)
class RecognitionConfig(RunConfig):
    """A whole run; how the drawings are split does not depend on its seed."""

    out: str = "runs/recognition"
    """Folder of everything the run writes."""
    timed_queries: int = 24
    """How many test drawings are timed, one by one, on one thread."""
    data: CategoriesConfig = field(default_factory=CategoriesConfig)
    """The drawings."""
    teacher: RecognitionTeacherConfig = field(default_factory=RecognitionTeacherConfig)
    """The teacher."""
    student: RecognitionStudentConfig = field(default_factory=RecognitionStudentConfig)
    """The direct student and V1."""
    selector: SelectorConfig = field(default_factory=SelectorConfig)
    """V2's selector, as in retrieval: `lambda_r` weighs 1 / rank of the right category, `lambda_Tri` minus the
    cross-entropy; `variants` counts the versions of each validation drawing, itself included."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _at_least("timed_queries", self.timed_queries, 1)


def load_recognition_config(source: str | None, overrides: Sequence[str] = ()) -> RecognitionConfig:
    """Read a configuration: a YAML file or the name of a shipped one, then `key=value` words over it.

    Args:
        source: a path, or a name out of `shipped_recognition_configs()`; None: the defaults.
        overrides: for instance `["data.root=quickdraw", "data.categories=[cat, dog]"]`.

    Raises:
        MissingDataError: no such file, no such shipped configuration.
        ParameterError: an unknown key (the nearest one is named), a value of another type or out of range.

    Example:
        >>> load_recognition_config("quickdraw", ["data.categories=[cat, alarm clock]"]).data.categories
        ['cat', 'alarm clock']
    """
    path = None if source is None else find_settings(source, shipped_recognition_configs())
    return load_settings(RecognitionConfig, path, overrides)


def shipped_recognition_configs() -> dict[str, Path]:
    """The configurations that come with the package, by name."""
    return shipped_settings("sketchkit.recipes.recognition")


def _check_categories(categories: Any) -> None:
    if isinstance(categories, int) and not isinstance(categories, bool):
        _at_least("data.categories", categories, 2)
        return
    named = list(categories) if isinstance(categories, Sequence) and not isinstance(categories, str) else []
    if len(named) < 2 or not all(isinstance(name, str) and name for name in named):
        raise ParameterError(
            f"data.categories must be a number, or two names or more as in [cat, dog], not {categories!r}"
        )
    if len(set(named)) < len(named):
        raise ParameterError(f"data.categories names {next(n for n in named if named.count(n) > 1)!r} twice")
