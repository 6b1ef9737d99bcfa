"""Fine-grained sketch-based image retrieval, in the order in which the paper tells it (arXiv 2505.23763).

Read top to bottom: `run` is the recipe, the stages follow in their order.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from sketchkit import atomic
from sketchkit.adapters.adapted_model import AdaptedModel
from sketchkit.adapters.adapting import adapt
from sketchkit.adapters.fine_tuning import parameter_groups
from sketchkit.adapters.fusing import fused_batch_norm
from sketchkit.canvas import Canvas
from sketchkit.recipes.config import FgsbirConfig, StudentConfig, TeacherConfig, TrainingConfig
from sketchkit.recipes.datasets import load_pairs
from sketchkit.recipes.determinism import deterministic
from sketchkit.recipes.drawn_inputs import DrawnInputs
from sketchkit.recipes.embedding import (
    channels_last,
    embed_kept,
    reduced_precision,
)
from sketchkit.recipes.fitting import cosine_with_warmup, fit
from sketchkit.recipes.frame import Run, Trained, launch, open_run, told, try_networks, with_native_precision
from sketchkit.recipes.frozen import FrozenFront
from sketchkit.recipes.inputs import TrainingInputs
from sketchkit.recipes.measurement import measure_run
from sketchkit.recipes.objectives import DistilledRetrieval, Retrieval
from sketchkit.recipes.own_networks import named_network, settings_of, told_network
from sketchkit.recipes.pairs import TrainTest, split_pairs
from sketchkit.recipes.photos import check_photos
from sketchkit.recipes.policy import Selection, train_selectors, training_outcomes
from sketchkit.recipes.predictions import write_predictions
from sketchkit.recipes.progress import note
from sketchkit.recipes.report import write_report
from sketchkit.recipes.run_folder import StageFolder, write_json
from sketchkit.recipes.settings import to_yaml
from sketchkit.recipes.teaching import embed_versions, taught_warps

__all__ = [
    "FgsbirRun",
    "run",
    "teacher_embeddings",
    "train_direct",
    "train_teacher",
    "train_v1",
    "train_v2",
]


@dataclass(frozen=True, eq=False)
class FgsbirRun(Run):
    """What every stage needs.

    Args:
        config: all settings.
        fabric: the devices.
        out: folder of the stages.
        pairs: what is trained on, and what is evaluated.
        cache: outputs of frozen layers, which runs on the same pairs may share; None: `out/cache`.
        watch: looks at a network after each epoch of its training; what it returns joins the history.
    """

    config: FgsbirConfig
    pairs: TrainTest
    cache: Path | None = None
    watch: Callable[[AdaptedModel], dict[str, float]] | None = None

    @property
    def identity(self) -> tuple[Any, ...]:
        """Of the training pairs."""
        train = self.pairs.train
        drawings = (train.sketches.points, train.sketches.stroke_offsets, train.sketches.sketch_offsets)
        return train.name, train.photo_hashes, train.photo_of_sketch, *drawings

    @property
    def canvases(self) -> tuple[Canvas, ...]:
        """The student's canvases, smallest first."""
        least = self.config.student.rectangular_from
        return tuple(
            replace(canvas, rectangular=least is not None and canvas.side >= least) for canvas in super().canvases
        )


@deterministic()
def run(config: FgsbirConfig, *, command: str = "") -> dict[str, Any]:
    """Teacher, direct student, V1, V2, evaluation, report. A stage that is finished is not run again.

    Args:
        config: all settings.
        command: shown in the report as what repeats the run.

    Returns:
        The results, as in `results.json`.

    Raises:
        SketchkitError: data or weights are missing or damaged, the output folder cannot be written or holds a run of
            other settings.
    """
    out = open_run(config.out)
    config = with_native_precision(config)
    fabric = launch(config)
    pairs = split_pairs(load_pairs(config.data.name, config.data.root), config.data, config.seed)
    check_photos([*pairs.train.photo_paths, *pairs.test.photo_paths])
    train, test = pairs.train, pairs.test
    note(f"{train.name}: training on {len(train.sketches)} sketches of {len(train.photo_paths)} photos")
    note(f"evaluating on {len(test.sketches)} of {len(test.photo_paths)} photos: {pairs.description}")
    this = FgsbirRun(config, fabric, out, pairs)
    try_networks(
        config,
        {
            "teacher": lambda: _new(this, config.teacher, (this.teacher_canvas,)),
            "student": lambda: _new(this, config.student, this.canvases),
        },
    )

    teacher = train_teacher(this)
    direct = train_direct(this)
    v1 = train_v1(this, teacher.model)
    v2, selection = train_v2(this, v1.model)

    started = time.monotonic()
    trained = {"teacher": teacher, "direct": direct, "v1": v1, "v2": v2}
    models = {name: stage.model for name, stage in trained.items()}
    results, predictions, bank = measure_run(this, models, selection)
    results |= told(trained, command=command, evaluation=time.monotonic() - started)
    bank.save(out / "v2" / "model")
    write_json(out / "results.json", results)
    write_predictions(out / "predictions.ndjson", predictions)
    atomic.write_text(out / "config.yaml", to_yaml(config))  # not before: until now the folder may hold another run's
    write_report(results, out / "report.html")
    return results


def train_teacher(this: FgsbirRun) -> Trained[AdaptedModel]:
    """The full network, trained on the retrieval objective at its one large canvas.

    Of the run `this`: kept in its folder as `teacher`, and read from there once it is finished.
    """
    config, canvases = this.config.teacher, (this.teacher_canvas,)
    stage = this.stage("teacher", settings_of(config), this.config.student.fit, this.config.data.photo_size)
    trained = stage.finished()
    if trained is None:
        model = _new(this, config, canvases)
        trained = _train(this, stage, "teacher", model, config.training, canvases, precision=config.precision)
    return _load(stage, trained, config)


def train_direct(this: FgsbirRun) -> Trained[AdaptedModel]:
    """The efficient network trained like the teacher: at the largest canvas, without distillation.

    Of the run `this`: kept in its folder as `direct`, and read from there once it is finished.
    """
    student = this.config.student.undistilled()
    stage = this.stage("direct", settings_of(student), this.config.data.photo_size)
    trained = stage.finished()
    if trained is None:
        model = _new(this, student, this.canvases)
        lines = student.photo_lines > 0
        trained = _train(this, stage, "direct student", model, student.training, this.canvases[-1:], lines=lines)
    return _load(stage, trained, student)


def train_v1(this: FgsbirRun, teacher: AdaptedModel | Mapping[str, torch.Tensor]) -> Trained[AdaptedModel]:
    """SketchyNetV1: the efficient network on all canvases, taught the teacher's relations.

    Args:
        this: the run.
        teacher: a network, or what `teacher_embeddings` gave for it, (photos or sketches, embedding_dim): the teacher
            may be of another run, or several.
    """
    student = this.config.student
    stage = this.stage("v1", settings_of(student), settings_of(this.config.teacher), this.config.data.photo_size)
    trained = stage.finished()
    if trained is None:
        targets = {}
        if student.distillation != "none":
            if isinstance(teacher, AdaptedModel):
                teacher = teacher_embeddings(this, teacher)
            targets = dict(teacher)
        model = _new(this, student, this.canvases)
        lines = student.photo_lines > 0
        trained = _train(this, stage, "V1", model, student.training, this.canvases, targets, lines=lines)
    return _load(stage, trained, student)


def train_v2(this: FgsbirRun, v1: AdaptedModel) -> tuple[Trained[AdaptedModel], Selection]:
    """SketchyNetV2: V1 frozen, and a selector that looks at the strokes and names the canvas.

    A selector is trained for `lambda_F` and for each value of the dial; they share one table of rewards.

    Args:
        this: the run; V2 is kept in its folder as `v2`, and read from there once it is finished.
        v1: of `train_v1`; all but its selector stays as it is.
    """
    trained_as = (settings_of(this.config.student), settings_of(this.config.teacher))
    upstream = (asdict(this.config.selector), *trained_as)
    stage = this.stage("v2", *upstream)
    trained = stage.finished()
    if trained is None:
        started = time.monotonic()
        sketches, outcomes = training_outcomes(this, v1)
        selector, photo_size = v1.canvas_selector, this.config.data.photo_size
        history = train_selectors(this, stage, selector, sketches, outcomes, *upstream, photo_size)
        v1.save_pretrained(stage.model_path)
        shares = outcomes.accuracy(this.canvases)
        seconds = time.monotonic() - started
        trained = stage.finish({"history": history, "seconds": seconds, "training_acc@1": shares})
    loaded = _load(stage, trained, this.config.student)
    return loaded, Selection.load(stage, loaded.model, this.config.selector, trained["training_acc@1"])


def _new(this: FgsbirRun, config: TeacherConfig | StudentConfig, canvases: tuple[Canvas, ...]) -> AdaptedModel:
    torch.manual_seed(this.config.seed)  # of the selector's first weights, and of the network's if not pretrained
    photo_size = this.config.data.photo_size
    return adapt(
        named_network(config.network),
        pretrained=config.pretrained,
        canvases=canvases,
        photo_size=photo_size,
        pool_size=config.pool_size,
    )


def _train(
    this: FgsbirRun,
    stage: StageFolder,
    name: str,
    model: AdaptedModel,
    training: TrainingConfig,
    canvases: tuple[Canvas, ...],
    targets: dict[str, torch.Tensor] | None = None,
    *,
    precision: str = "fp32",
    lines: bool = False,
) -> dict[str, Any]:
    """Train all but the frozen blocks; batch norm keeps its ImageNet statistics, its scale and shift are trained."""
    started = time.monotonic()
    model = channels_last(model)
    front, kept = FrozenFront(model, training.frozen_blocks), training.keeps_frozen
    with reduced_precision(precision):
        inputs = _inputs(this, front, training, canvases, name, lines=lines)
    if targets:
        inputs = replace(inputs, targets=targets)
        if isinstance(inputs, DrawnInputs):
            photos = len(this.pairs.train.photo_paths)
            inputs = replace(inputs, warps=taught_warps(this.config.student, this.config.seed, photos))
    objective = DistilledRetrieval if targets else Retrieval
    # Frozen statistics cost nothing beside their convolutions; behind frozen blocks little is left to gain.
    fused = nullcontext() if kept else fused_batch_norm(model)
    model.eval()
    groups = parameter_groups(
        model, lr=training.learning_rate, weight_decay=training.weight_decay, layer_decay=training.layer_decay
    )
    with front.removed() if kept else nullcontext(), fused:
        step = objective(model, this.config.student, training)
        optimizer = torch.optim.AdamW(groups, training.learning_rate)
        history = fit(
            this.fabric,
            step,
            optimizer,
            lambda epoch: inputs.batches(
                epoch,
                batch_photos=training.batch_photos,
                sketches_per_photo=training.sketches_per_photo,
                seed=this.config.seed,
            ),
            epochs=training.epochs,
            steps_per_epoch=inputs.steps_per_epoch(training.batch_photos),
            stage=stage,
            name=name,
            schedule=cosine_with_warmup(training.warmup),
            gradient_clip=training.gradient_clip,
            precision=partial(reduced_precision, precision),
            after_epoch=None
            if this.watch is None
            else partial(_watched, this.watch, front if kept else None, model, precision),
        )
    model.save_pretrained(stage.model_path)
    return stage.finish({"history": history, "seconds": time.monotonic() - started})


def _watched(
    watch: Callable[[AdaptedModel], dict[str, float]], removed: FrozenFront | None, model: AdaptedModel, precision: str
) -> dict[str, float]:
    with nullcontext(model) if removed is None else removed.restored() as whole, reduced_precision(precision):
        return watch(whole)


def _load(stage: StageFolder, finished: dict[str, Any], config: TeacherConfig | StudentConfig) -> Trained[AdaptedModel]:
    model = AdaptedModel.from_pretrained(stage.model_path, told_network(config.network))
    return Trained.of(channels_last(model), finished)


def _inputs(
    this: FgsbirRun,
    front: FrozenFront,
    training: TrainingConfig,
    canvases: tuple[Canvas, ...],
    name: str,
    *,
    lines: bool = False,
) -> TrainingInputs | DrawnInputs:
    photo_size = this.config.data.photo_size
    if not training.keeps_frozen:
        return DrawnInputs.load(
            front.adapted,
            this.pairs.train,
            canvases,
            photo_size=photo_size,
            mirror=training.mirror,
            stretch=training.stretch,
            bend=training.bend,
            lines=lines,
        )
    return TrainingInputs.compute(
        front,
        this.pairs.train,
        [replace(canvas, rectangular=False) for canvas in canvases],
        photo_size=photo_size,
        variants=training.variants,
        mirror=training.mirror,
        seed=this.config.seed,
        stretch=training.stretch,
        bend=training.bend,
        cache=this.cache or this.out / "cache",
        name=name,
    )


def teacher_embeddings(
    this: FgsbirRun, teacher: AdaptedModel, student: StudentConfig | None = None
) -> dict[str, torch.Tensor]:
    """The teacher's view of every training photo and sketch, from what its frozen blocks left in the cache if it can.

    Jittered and mirrored versions are taught the relations of the plain ones; warped ones too, unless the student has
    `taught_versions`.

    Args:
        this: the run that trained it.
        teacher: trained by `train_teacher`.
        student: whom it teaches; None: that of the run.

    Returns:
        `photos` (photos, embedding_dim) and `sketches` (sketches, embedding_dim), a version after the other.
    """
    config, train = this.config.teacher, this.pairs.train
    warps = taught_warps(student or this.config.student, this.config.seed, len(train.photo_paths))
    with reduced_precision(config.precision):
        if warps or not config.training.keeps_frozen:
            return embed_versions(teacher, train, this.teacher_canvas, warps, name="V1: teacher's")
        front = FrozenFront(teacher, config.training.frozen_blocks)
        inputs = _inputs(this, front, config.training, (this.teacher_canvas,), "teacher")
        assert isinstance(inputs, TrainingInputs)
        with front.removed():
            return {
                "photos": embed_kept(teacher, inputs.photos[0]),
                "sketches": embed_kept(teacher, inputs.sketches[this.teacher_canvas.size][0]),
            }
