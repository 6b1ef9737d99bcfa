"""Settings of a run: frozen dataclasses, filled from a YAML file and `key=value` words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sketchkit.errors import ParameterError
from sketchkit.recipes.own_networks import check_name, is_own
from sketchkit.recipes.settings import find_settings, load_settings, shipped_settings

__all__ = [
    "DataConfig",
    "EvaluationConfig",
    "FgsbirConfig",
    "RunConfig",
    "SelectorConfig",
    "StudentConfig",
    "StudentNetwork",
    "TeacherConfig",
    "TeacherNetwork",
    "TrainingConfig",
    "load_config",
    "shipped_configs",
]


@dataclass(frozen=True)
class RunConfig:
    """What any run is told."""

    out: str = "runs"
    """Folder of everything the run writes."""
    seed: int = 0
    """Of every random choice."""
    note: str = ""
    """A sentence printed with the results."""
    accelerator: str = "cpu"
    """Lightning Fabric's: `cpu`, `gpu`, `auto`, ... Only `cpu` has been tried so far."""
    devices: str = "1"
    """Lightning Fabric's: how many devices."""

    def __post_init__(self) -> None:
        _at_least("seed", self.seed, 0)


@dataclass(frozen=True)
class TeacherNetwork:
    """The full network: adapted, trained at its one large canvas, then frozen."""

    network: str = "vgg16"
    """A name that `adapt` takes, or `package.module:Callable`, a class or function of yours that gives a network."""
    pretrained: bool = True
    """Start from ImageNet weights. A network of yours starts from those that it is built with: this becomes false."""
    canvas: int = 256
    """Side of its sketches in pixels."""
    pool_size: int = 1
    """Maps are averaged over so many cells a side, so that what is where counts; see `adapt`. 1: over all."""
    precision: str = "auto"
    """Of its passes: `fp32`, `bf16`, or `auto`: bfloat16 on processors that multiply it natively."""

    def __post_init__(self) -> None:
        _check_network(self, "teacher")
        _one_of("teacher.precision", self.precision, ("auto", "fp32", "bf16"))
        _at_least("teacher.canvas", self.canvas, 1)
        _at_least("teacher.pool_size", self.pool_size, 1)


@dataclass(frozen=True)
class StudentNetwork:
    """The efficient network: once trained directly, once distilled over the canvases (V1)."""

    network: str = "mobilenet_v2"
    """A name that `adapt` takes, or `package.module:Callable`, a class or function of yours that gives a network."""
    pretrained: bool = True
    """Start from ImageNet weights. A network of yours starts from those that it is built with: this becomes false."""
    canvases: list[int] = field(default_factory=lambda: [32, 64, 128, 256])
    """Sides of the canvases in pixels, K of the paper's section 2."""
    pool_size: int = 1
    """Maps are averaged over so many cells a side, so that what is where counts; see `adapt`. 1: over all."""
    fit: str = "tight"
    """`tight` (the drawing fills the canvas) or `keep` (the paper's setting: margins stay as they are drawn)."""

    def __post_init__(self) -> None:
        _check_network(self, "student")
        _one_of("student.fit", self.fit, ("tight", "keep"))
        if len(set(self.canvases)) < len(self.canvases) or not self.canvases:
            raise ParameterError(f"student.canvases must be different sizes, not {list(self.canvases)}")
        _at_least("student.canvases", min(self.canvases), 1)
        _at_least("student.pool_size", self.pool_size, 1)


@dataclass(frozen=True)
class DataConfig:
    """Which paired set, and which part of it."""

    name: str = "emoji"
    """`emoji` (OpenMoji line art against Twemoji), `qmul` (ShoeV2 or ChairV2 in upstream's own layout) or `folder`."""
    root: str | None = None
    """The set's folder; `emoji` needs none, it comes from installed packages."""
    split: str = "auto"
    """What is evaluated: `test` (the official test split), `fold` (a fold of the training photos), `auto` (test when
    the set has one, else the fold)."""
    fold: int = 0
    """Which fold is held out when folds are used."""
    folds: int = 3
    """Into how many folds the training photos are cut."""
    max_train_photos: int | None = None
    """Train on at most so many photos (drawn by `seed`)."""
    max_test_photos: int | None = None
    """Evaluate on a gallery of at most so many photos (drawn by `seed`)."""
    max_sketches_per_photo: int | None = None
    """Use at most so many sketches of each photo."""
    photo_size: int = 256
    """Side of the photos in pixels."""

    def __post_init__(self) -> None:
        _one_of("data.split", self.split, ("auto", "test", "fold"))
        _at_least("data.folds", self.folds, 2)
        _between("data.fold", self.fold, 0, self.folds - 1)
        _at_least("data.photo_size", self.photo_size, 1)
        for name in ("max_train_photos", "max_test_photos", "max_sketches_per_photo"):
            if (limit := getattr(self, name)) is not None:
                _at_least(f"data.{name}", limit, 1)


@dataclass(frozen=True)
class TrainingConfig:
    """One training: an objective, an optimizer, and what stays frozen."""

    epochs: int = 10
    """Passes over the training sketches."""
    batch_photos: int = 40
    """Photos a batch; each brings its sketches."""
    sketches_per_photo: int = 3
    """At most so many sketches of a photo in a batch, drawn anew each time. Upstream's sets have three or a few more;
    all of them would tilt the batch to a few photos."""
    learning_rate: float = 1e-3
    """Peak of the cosine schedule (AdamW)."""
    weight_decay: float = 1e-3
    """AdamW's weight decay, of weights; biases and norms have none."""
    layer_decay: float = 1.0
    """First layers learn more slowly: the network is cut into twelve stages, and each learns with so many times the
    rate of the next."""
    warmup: float = 0.05
    """Share of the steps over which the learning rate rises."""
    gradient_clip: float = 5.0
    """Largest gradient norm."""
    frozen_blocks: int = 7
    """How many blocks of the network's `features` keep their ImageNet weights. With 0 all is trained."""
    objective: str = "info_nce"
    """`info_nce` (in-batch contrastive) or `triplet` (the paper's, with one random negative)."""
    temperature: float = 0.05
    """Of the contrastive softmax."""
    margin: float = 0.3
    """Of the triplet loss."""
    variants: int = 2
    """How many versions of each sketch frozen blocks see: the drawing itself and `variants - 1` jittered ones; what
    they make of them is computed once and kept on disk. With 0, or nothing frozen, sketches are jittered anew in every
    epoch and nothing is kept."""
    mirror: bool = True
    """Train on mirrored pairs too."""
    stretch: float = 0.0
    """Stretch and shear a photo and its sketches alike, by up to so much (0.2: a fifth wider or narrower): other
    shapes, so other pairs. Drawn anew in every epoch; with frozen blocks, once for each variant after the first."""
    bend: float = 0.0
    """Bend a photo and its sketches alike in a few long waves, of so large a share of the object's half side."""

    def __post_init__(self) -> None:
        _above("learning_rate", self.learning_rate, 0)
        _above("temperature", self.temperature, 0)
        _one_of("objective", self.objective, ("info_nce", "triplet"))
        _at_least("epochs", self.epochs, 1)
        _at_least("batch_photos", self.batch_photos, 2)
        _at_least("sketches_per_photo", self.sketches_per_photo, 1)
        _above("layer_decay", self.layer_decay, 0)
        _between("layer_decay", self.layer_decay, 0, 1)
        _at_least("weight_decay", self.weight_decay, 0)
        _at_least("variants", self.variants, 0)
        _at_least("frozen_blocks", self.frozen_blocks, 0)
        _at_least("stretch", self.stretch, 0)
        _at_least("bend", self.bend, 0)
        if (self.stretch or self.bend) and self.frozen_blocks and self.variants == 1:
            raise ParameterError(
                "stretch and bend make the variants after the first; with frozen blocks set variants=2, or 0 for new "
                "ones in every epoch"
            )

    @property
    def keeps_frozen(self) -> bool:
        """Whether outputs of frozen blocks are kept on disk; else pictures are drawn anew for every epoch."""
        return self.frozen_blocks > 0 and self.variants > 0


@dataclass(frozen=True)
class TeacherConfig(TeacherNetwork):
    """The teacher of retrieval."""

    training: TrainingConfig = field(
        default_factory=lambda: TrainingConfig(epochs=6, learning_rate=5e-4, frozen_blocks=24, variants=1, mirror=False)
    )
    """How it is trained."""


@dataclass(frozen=True)
class StudentConfig(StudentNetwork):
    """The student of retrieval."""

    rectangular_from: int | None = None
    """Canvases of so many pixels and more are as wide as the ink, which saves the network the ground beside it (see
    `Canvas`); small ones save little. Behind kept outputs of frozen blocks squares are trained on."""
    distillation: str = "similarity"
    """`similarity` (KL of in-batch similarity softmaxes), `triplet` (the paper's: Huber over a triplet's three
    distances), `batch` (Huber over the batch's distances) or `none`."""
    distillation_share: float = 0.5
    """1 - lambda of the paper: the share of the distillation loss in L_trn."""
    distillation_weight: float = 1.0
    """A factor on the distillation loss, to bring the two terms to like size."""
    taught_versions: int = 1
    """Teachers look at so many versions of each pair, stretched and bent alike, and V1 is trained on these alone. 1:
    teachers see each pair as it is, and V1 other shapes in every epoch."""
    beta: float = 0.05
    """Huber threshold."""
    photo_lines: float = 0.0
    """Weight, in the gallery, of a photo's own edges, traced and drawn on the canvas that is asked with, beside the
    photo itself (`with_lines`). The direct student and V1 are trained on such a gallery, V2 asks it. 0: none."""
    self_distillation: float = 0.0
    """Weight of what the largest canvas teaches the others: KL of their in-batch similarity softmaxes."""
    training: TrainingConfig = field(default_factory=TrainingConfig)
    """How it is trained, directly and distilled alike."""

    def undistilled(self) -> StudentConfig:
        """What the direct student depends on: another distillation must not train it again."""
        weightless: dict[str, Any] = dict.fromkeys(("distillation_share", "distillation_weight", "beta"), 0.0)
        return replace(self, distillation="none", self_distillation=0.0, taught_versions=1, **weightless)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rectangular_from is not None and self.fit != "tight":
            raise ParameterError(f"student.rectangular_from cuts canvases to the ink: set fit=tight, not {self.fit}")
        _one_of("student.distillation", self.distillation, ("similarity", "triplet", "batch", "none"))
        _between("student.distillation_share", self.distillation_share, 0, 1)
        _at_least("student.self_distillation", self.self_distillation, 0)
        _at_least("student.photo_lines", self.photo_lines, 0)
        if self.photo_lines and self.training.keeps_frozen:
            raise ParameterError("student.photo_lines are drawn anew: set student.training.variants=0")
        _at_least("student.taught_versions", self.taught_versions, 1)
        if self.taught_versions > 1 and self.training.keeps_frozen:
            raise ParameterError("student.taught_versions are drawn anew: set student.training.variants=0")
        if self.taught_versions > 1 and not (self.training.stretch or self.training.bend):
            raise ParameterError("student.taught_versions differ by student.training.stretch and bend: set one above 0")


@dataclass(frozen=True)
class SelectorConfig:
    """The canvas selector (V2), trained by REINFORCE on the frozen student."""

    lambda_F: float = 0.2
    """The dial: 0 cares for accuracy alone, 1 for FLOPs alone."""
    dial: list[float] = field(default_factory=lambda: [0.05, 0.1, 0.3, 0.5])
    """Further values of lambda_F: a selector is trained for each, for the curve in the report."""
    lambda_r: float = 1.0
    """Weight of 1 / rank in the reward."""
    lambda_Tri: float = 1.0
    """Weight of minus the triplet loss in the reward."""
    epochs: int = 30
    """Passes over the training sketches."""
    batch_sketches: int = 128
    """Sketches a batch."""
    learning_rate: float = 2e-3
    """Of Adam."""
    entropy_weight: float = 0.05
    """Weight of the entropy bonus at the start; it fades out linearly."""
    variants: int = 3
    """Jittered versions of each training sketch, other than those the student was trained on."""

    @property
    def lambdas(self) -> list[float]:
        """`lambda_F` and the values of the dial, smallest first."""
        return sorted({self.lambda_F, *self.dial})

    def __post_init__(self) -> None:
        for value in self.lambdas:
            _between("selector.lambda_F and selector.dial", value, 0, 1)
        _at_least("selector.epochs", self.epochs, 1)
        _at_least("selector.variants", self.variants, 1)
        _at_least("selector.batch_sketches", self.batch_sketches, 1)
        _above("selector.learning_rate", self.learning_rate, 0)


@dataclass(frozen=True)
class EvaluationConfig:
    """What is measured at the end."""

    hub_neighbors: int = 10
    """Photos that are near to all drawings answer too much: half the mean similarity of each to so many of the nearest
    training sketches is taken off (`hub_discounts`). 0: photos are ranked by their similarity alone."""
    timed_queries: int = 24
    """How many test sketches are timed, one by one, on one thread."""
    examples: int = 12
    """Retrieved examples in the report."""

    def __post_init__(self) -> None:
        _at_least("evaluation.hub_neighbors", self.hub_neighbors, 0)
        _at_least("evaluation.timed_queries", self.timed_queries, 1)
        _at_least("evaluation.examples", self.examples, 0)


@dataclass(frozen=True)
class FgsbirConfig(RunConfig):
    """A whole run of the paper's recipe."""

    out: str = "runs/fgsbir"
    """Folder of everything the run writes."""
    data: DataConfig = field(default_factory=DataConfig)
    """The data set."""
    teacher: TeacherConfig = field(default_factory=TeacherConfig)
    """The teacher."""
    student: StudentConfig = field(default_factory=StudentConfig)
    """The direct student and V1."""
    selector: SelectorConfig = field(default_factory=SelectorConfig)
    """V2's selector."""
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    """The measurements."""

    def photo_lines(self, model: str) -> float:
        """The weight of photos' edges in the gallery that a `model` is asked with: `teacher` has none, students do."""
        return 0.0 if model == "teacher" else self.student.photo_lines


def load_config(source: str | None, overrides: Sequence[str] = ()) -> FgsbirConfig:
    """Read a configuration: a YAML file or the name of a shipped one, then `key=value` words over it.

    Args:
        source: a path, or a name out of `shipped_configs()`; None: the defaults.
        overrides: for instance `["data.name=qmul", "data.root=ChairV2"]`.

    Raises:
        MissingDataError: no such file, no such shipped configuration.
        ParameterError: an unknown key (the nearest one is named), a value of another type or out of range.
    """
    path = None if source is None else find_settings(source, shipped_configs())
    return load_settings(FgsbirConfig, path, overrides)


def shipped_configs() -> dict[str, Path]:
    """The configurations that come with the package, by name."""
    return shipped_settings("sketchkit.recipes")


def _check_network(config: TeacherNetwork | StudentNetwork, part: str) -> None:
    """Nothing is imported yet; of a network of the user's own it is noted that ImageNet's weights are not asked for."""
    if not is_own(config.network):
        return
    try:
        check_name(config.network)
    except ParameterError as error:
        raise ParameterError(f"{part}.network={error}") from None
    object.__setattr__(config, "pretrained", False)  # frozen, but being made


def _one_of(name: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise ParameterError(f"{name} must be one of {', '.join(allowed)}, not {value!r}")


def _at_least(name: str, value: float, least: float) -> None:
    if value < least:
        raise ParameterError(f"{name} must be at least {least}, not {value}")


def _above(name: str, value: float, bound: float) -> None:
    if not value > bound:
        raise ParameterError(f"{name} must be above {bound}, not {value}")


def _between(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ParameterError(f"{name} must be from {low} to {high}, not {value}")
