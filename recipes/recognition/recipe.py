"""Sketch recognition by the paper's two parts (arXiv 2505.23763), with cross-entropy in place of the triplet.

Read top to bottom: `run` is the recipe, the stages follow in their order.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from sketchkit import atomic
from sketchkit.adapters.adapting import adapt
from sketchkit.adapters.fusing import fused_batch_norm
from sketchkit.canvas import Canvas
from sketchkit.recipes.embedding import channels_last, embed_kept, embed_on_canvases, reduced_precision
from sketchkit.recipes.evaluation import ranks
from sketchkit.recipes.fitting import cosine_with_warmup, fit
from sketchkit.recipes.frame import Run, Trained, launch, open_run, told, try_networks, with_native_precision
from sketchkit.recipes.frozen import FrozenFront
from sketchkit.recipes.inputs import jittered
from sketchkit.recipes.own_networks import named_network, settings_of, told_network
from sketchkit.recipes.policy import CanvasOutcomes, Selection, train_selectors
from sketchkit.recipes.progress import note
from sketchkit.recipes.recognition.config import (
    ClassificationConfig,
    RecognitionConfig,
    RecognitionStudentConfig,
    RecognitionTeacherConfig,
)
from sketchkit.recipes.recognition.drawings import LabeledDrawings, RecognitionData, load_drawings
from sketchkit.recipes.recognition.inputs import DrawnPictures, KeptPictures, steps_per_epoch
from sketchkit.recipes.recognition.measurement import measure_recognition, write_answers
from sketchkit.recipes.recognition.objective import Classification
from sketchkit.recipes.recognition.recognizer import CategoryHead, Recognizer
from sketchkit.recipes.run_folder import StageFolder, write_json
from sketchkit.recipes.settings import to_yaml
from sketchkit.sketch_set import SketchSet

__all__ = ["RecognitionRun", "run", "train_direct", "train_teacher", "train_v1", "train_v2"]


@dataclass(frozen=True, eq=False)
class RecognitionRun(Run):
    """What every stage needs.

    Args:
        config: all settings.
        fabric: the devices.
        out: folder of the stages.
        data: what is trained on, and what is evaluated.
    """

    config: RecognitionConfig
    data: RecognitionData

    @property
    def identity(self) -> tuple[Any, ...]:
        """Of the training drawings."""
        return self.data.categories, *_identity(self.data.train)


def run(config: RecognitionConfig, *, command: str = "") -> dict[str, Any]:
    """Teacher, direct student, V1, V2, evaluation. A stage that is finished is not run again.

    Args:
        config: all settings.
        command: kept in the results as what repeats the run.

    Returns:
        The results, as in `results.json`.

    Raises:
        SketchkitError: data or weights are missing or damaged, the output folder cannot be written or holds a run of
            other settings.
    """
    out = open_run(config.out)
    config = with_native_precision(config)
    data = load_drawings(config.data)
    note(f"{len(data.categories)} categories: training on {len(data.train)} drawings")
    note(f"validation {len(data.validation)}, test {len(data.test)}: {data.description}")
    this = RecognitionRun(config, launch(config), out, data)
    try_networks(
        config,
        {
            "teacher": lambda: _new(this, config.teacher, (this.teacher_canvas,)).adapted,
            "student": lambda: _new(this, config.student, this.canvases).adapted,
        },
    )

    teacher = train_teacher(this)
    direct = train_direct(this)
    v1 = train_v1(this, teacher.model)
    v2, selection = train_v2(this, v1.model)

    started = time.monotonic()
    trained = {"teacher": teacher, "direct": direct, "v1": v1, "v2": v2}
    results, answers = measure_recognition(this, {name: stage.model for name, stage in trained.items()}, selection)
    results |= told(trained, command=command, evaluation=time.monotonic() - started)
    write_json(out / "results.json", results)
    write_answers(out / "predictions.ndjson", answers)
    atomic.write_text(out / "config.yaml", to_yaml(config))  # not before: until now the folder may hold another run's
    return results


def train_teacher(this: RecognitionRun) -> Trained[Recognizer]:
    """The full network, trained to name categories at its one large canvas.

    Of the run `this`: kept in its folder as `teacher`, and read from there once it is finished.
    """
    config = this.config.teacher
    stage = this.stage("teacher", settings_of(config), this.config.student.fit)
    canvases = (this.teacher_canvas,)
    trained = stage.finished()
    if trained is None:
        model = _new(this, config, canvases)
        trained = _train(this, stage, "teacher", model, config.training, canvases, precision=config.precision)
    return _load(stage, trained, config)


def train_direct(this: RecognitionRun) -> Trained[Recognizer]:
    """The efficient network trained like the teacher: at the largest canvas, without distillation.

    Of the run `this`: kept in its folder as `direct`, and read from there once it is finished.
    """
    # Nothing of the distillation counts here: tuning it must not train this student again.
    student = replace(this.config.student, distillation_share=0.0, temperature=1.0, self_distillation=0.0)
    stage = this.stage("direct", settings_of(student))
    trained = stage.finished()
    if trained is None:
        model = _new(this, student, this.canvases)
        trained = _train(this, stage, "direct student", model, student.training, this.canvases[-1:])
    return _load(stage, trained, student)


def train_v1(this: RecognitionRun, teacher: Recognizer) -> Trained[Recognizer]:
    """The efficient network on all canvases, taught the teacher's logits.

    Args:
        this: the run; V1 is kept in its folder as `v1`, and read from there once it is finished.
        teacher: of `train_teacher`; asked for the training drawings, unless nothing is distilled.
    """
    student = this.config.student
    stage = this.stage("v1", settings_of(student), settings_of(this.config.teacher))
    trained = stage.finished()
    if trained is None:
        taught = _teacher_logits(this, teacher) if student.distillation_share else None
        model = _new(this, student, this.canvases)
        trained = _train(this, stage, "V1", model, student.training, this.canvases, student=student, taught=taught)
    return _load(stage, trained, student)


def train_v2(this: RecognitionRun, v1: Recognizer) -> tuple[Trained[Recognizer], Selection]:
    """V1 frozen, and a selector that looks at the strokes and names the canvas.

    Rewards come from the validation drawings, which V1 has not seen. A selector is trained for `lambda_F` and for each
    value of the dial; they share one table of rewards.

    Args:
        this: the run; V2 is kept in its folder as `v2`, and read from there once it is finished.
        v1: of `train_v1`; all but its selector stays as it is.
    """
    trained_as = (settings_of(this.config.student), settings_of(this.config.teacher))
    upstream = (asdict(this.config.selector), *trained_as, *_identity(this.data.validation))
    stage = this.stage("v2", *upstream)
    trained = stage.finished()
    if trained is None:
        started = time.monotonic()
        sketches, outcomes = _validation_outcomes(this, v1)
        history = train_selectors(this, stage, v1.adapted.canvas_selector, sketches, outcomes, *upstream)
        v1.save_pretrained(stage.model_path)
        shares = outcomes.accuracy(this.canvases)
        seconds = time.monotonic() - started
        trained = stage.finish({"history": history, "seconds": seconds, "validation_acc@1": shares})
    loaded = _load(stage, trained, this.config.student)
    return loaded, Selection.load(stage, loaded.model.adapted, this.config.selector, trained["validation_acc@1"])


def _identity(drawings: LabeledDrawings) -> tuple[Any, ...]:
    sketches = drawings.sketches
    return sketches.points, sketches.stroke_offsets, sketches.sketch_offsets, drawings.labels


def _new(
    this: RecognitionRun, config: RecognitionTeacherConfig | RecognitionStudentConfig, canvases: Sequence[Canvas]
) -> Recognizer:
    torch.manual_seed(this.config.seed)  # of the first weights of head and selector, and of a network not pretrained
    largest = canvases[-1].side
    adapted = adapt(
        named_network(config.network),
        pretrained=config.pretrained,
        canvases=canvases,
        photo_size=largest,
        pool_size=config.pool_size,
    )
    head = CategoryHead(adapted.embedding_dim, this.data.categories, temperature=config.training.temperature)
    return Recognizer(channels_last(adapted), head)


def _train(
    this: RecognitionRun,
    stage: StageFolder,
    name: str,
    model: Recognizer,
    training: ClassificationConfig,
    canvases: Sequence[Canvas],
    *,
    student: RecognitionStudentConfig | None = None,
    taught: torch.Tensor | None = None,
    precision: str = "fp32",
) -> dict[str, Any]:
    """Train all but the frozen blocks; batch norm keeps its ImageNet statistics, its scale and shift are trained."""
    started = time.monotonic()
    front = FrozenFront(model.adapted, training.frozen_blocks)
    inputs = replace(_inputs(this, front, training, canvases, name, precision), teacher_logits=taught)
    # Frozen statistics cost nothing beside their convolutions; behind frozen blocks little is left to gain.
    fused = nullcontext() if training.frozen_blocks else fused_batch_norm(model.adapted)
    model.eval()
    with front.removed(), fused:
        step = Classification(model, student, training)
        trained_parameters = [parameter for parameter in step.parameters() if parameter.requires_grad]
        history = fit(
            this.fabric,
            step,
            torch.optim.AdamW(trained_parameters, training.learning_rate, weight_decay=training.weight_decay),
            partial(inputs.batches, batch=training.batch, seed=this.config.seed),
            epochs=training.epochs,
            steps_per_epoch=steps_per_epoch(len(this.data.train), training.batch),
            stage=stage,
            name=name,
            schedule=cosine_with_warmup(training.warmup),
            gradient_clip=training.gradient_clip,
            precision=partial(reduced_precision, precision),
        )
    model.save_pretrained(stage.model_path)
    return stage.finish({"history": history, "seconds": time.monotonic() - started})


def _load(
    stage: StageFolder, finished: dict[str, Any], config: RecognitionTeacherConfig | RecognitionStudentConfig
) -> Trained[Recognizer]:
    model = Recognizer.from_pretrained(stage.model_path, told_network(config.network))
    channels_last(model.adapted)
    return Trained.of(model, finished)


def _inputs(
    this: RecognitionRun,
    front: FrozenFront,
    training: ClassificationConfig,
    canvases: Sequence[Canvas],
    name: str,
    precision: str,
) -> DrawnPictures | KeptPictures:
    if training.variants == 0:
        return DrawnPictures(front, this.data.train, canvases, training.mirror, precision)
    with reduced_precision(precision):
        return KeptPictures.compute(
            front,
            this.data.train,
            canvases,
            variants=training.variants,
            mirror=training.mirror,
            seed=this.config.seed,
            cache=this.out / "cache",
            name=name,
        )


@torch.no_grad()
def _teacher_logits(this: RecognitionRun, teacher: Recognizer) -> torch.Tensor:
    """What the teacher says of every training drawing as it is: jittered and mirrored versions are taught the same."""
    config, canvas = this.config.teacher, this.teacher_canvas
    front = FrozenFront(teacher.adapted, config.training.frozen_blocks)
    inputs = _inputs(this, front, config.training, (canvas,), "teacher", config.precision)
    with reduced_precision(config.precision):
        if isinstance(inputs, KeptPictures):
            with front.removed():
                embeddings = embed_kept(teacher.adapted, inputs.pictures[canvas.size][0])
        else:
            sketches = this.data.train.sketches
            embeddings = embed_on_canvases(teacher.adapted, sketches, [canvas], name="V1: teacher")[canvas.size]
    logits: torch.Tensor = teacher.head(embeddings)
    return logits


@torch.no_grad()
def _validation_outcomes(this: RecognitionRun, v1: Recognizer) -> tuple[SketchSet, CanvasOutcomes]:
    """Versions of the validation drawings, the drawings themselves first, and what happens to each on each canvas."""
    validation, versions = this.data.validation, this.config.selector.variants
    sketches = SketchSet.concat([jittered(validation.sketches, each, this.config.seed) for each in range(versions)])
    labels = np.tile(validation.labels, versions)
    embeddings = embed_on_canvases(v1.adapted, sketches, this.canvases, name="V2: drawings")
    logits = [v1.head(embedded) for embedded in embeddings.values()]
    categories = torch.eye(len(this.data.categories))  # a category's logit is the product with its unit vector
    found = torch.stack([torch.from_numpy(ranks(each, categories, labels)) for each in logits], dim=1)
    losses = [F.cross_entropy(each, torch.from_numpy(labels), reduction="none") for each in logits]
    flops = [each.flops for each in v1.adapted.cost().per_canvas.values()]
    return sketches, CanvasOutcomes(found, torch.stack(losses, dim=1), torch.tensor(flops))
