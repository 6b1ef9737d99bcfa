"""Trains the cells of a table, each in a folder of its own, its teachers before it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from lightning_fabric import Fabric

from sketchkit import atomic
from sketchkit.adapters.adapted_model import AdaptedModel
from sketchkit.recipes.config import StudentConfig
from sketchkit.recipes.fgsbir import FgsbirRun, teacher_embeddings, train_direct, train_teacher, train_v1
from sketchkit.recipes.frame import Trained, with_native_precision
from sketchkit.recipes.pairs import PairedSet, split_pairs
from sketchkit.recipes.policies.outcomes import Outcomes
from sketchkit.recipes.progress import note
from sketchkit.recipes.protocol.cells import Cell, Place
from sketchkit.recipes.protocol.evaluating import acc_per_canvas
from sketchkit.recipes.protocol.results import CellFiles
from sketchkit.recipes.run_folder import fingerprint, make_folder
from sketchkit.recipes.teaching import embed_versions, joined, taught_warps
from sketchkit.sketch_set import SketchSet

__all__ = ["Training", "load_outcomes"]


class Training:
    """Trains cells, or finds them trained.

    A cell's folder is named by its settings, so that those of other settings lie beside it; outputs of frozen layers
    are shared by all cells that hold out the same photos.

    Args:
        out: the folder of all.
        pairs: the whole data set.
        fabric: the devices.
    """

    def __init__(self, out: Path, pairs: PairedSet, fabric: Fabric) -> None:
        self.out, self.pairs, self.fabric = out, pairs, fabric

    def run_of(self, cell: Cell) -> FgsbirRun:
        """The run that trains `cell`, its folder made where it is missing."""
        config = with_native_precision(cell.config)
        cut = split_pairs(self.pairs, config.data, config.seed)
        lines = config.photo_lines(cell.kind)
        watch = partial(acc_per_canvas, test=cut.test, photo_lines=lines) if cell.each_epoch else None
        folder = make_folder(_folder(self.out, cell))
        return FgsbirRun(config, self.fabric, folder, cut, self._cache(cell.place), watch)

    def trained(self, cell: Cell) -> tuple[FgsbirRun, Trained[AdaptedModel]]:
        """The run and the network of `cell`; trained if it is not yet, and so are its teachers."""
        this = self.run_of(cell)
        if cell.kind == "teacher":
            return this, train_teacher(this)
        if cell.kind == "direct":
            return this, train_direct(this)
        finished = (this.out / "v1" / "done.json").is_file()
        targets = {} if finished else joined([self._targets(teacher, cell.config.student) for teacher in cell.teachers])
        return this, train_v1(this, targets)

    def forget_cache(self, place: Place) -> None:
        """Remove the outputs of frozen layers for what is held out at a place, when no more cells need them.

        The cells of all seeds share those of the split and fold of `place`.
        """
        shutil.rmtree(self._cache(place), ignore_errors=True)

    def outcomes_path(self, cell: Cell) -> Path:
        """Where the outcomes of `cell` lie, embeddings included."""
        return _outcomes_path(self.out, cell)

    def _cache(self, place: Place) -> Path:
        return self.out / "cache" / place.part

    def _targets(self, teacher: Cell, student: StudentConfig) -> dict[str, torch.Tensor]:
        """What a teacher makes of the training pairs, from its folder where it has taught such a student before."""
        kept = self.run_of(teacher).out / _embeddings_file(student)
        if kept.is_file():
            try:
                return safetensors.torch.load(kept.read_bytes())
            except safetensors.SafetensorError:
                note(f"{kept}: damaged, computed anew")
        this, trained = self.trained(teacher)
        found = _training_embeddings(teacher, this, trained, student)
        atomic.write_bytes(kept, safetensors.torch.save(found))
        return found


def load_outcomes(
    cells: Mapping[Cell, CellFiles], sketches: Mapping[Cell, SketchSet], out: Path
) -> dict[Cell, Outcomes]:
    """The outcomes of cells, with their embeddings if all were trained in this folder, else without.

    Args:
        cells: finished ones.
        sketches: each one's evaluated drawings.
        out: the folder of the trainings.

    Raises:
        MissingDataError, DataError: as `CellFiles.outcomes`.
    """
    paths = {cell: _outcomes_path(out, cell) for cell in cells}
    if all(path.is_file() for path in paths.values()):
        return {cell: Outcomes.load(path, sketches[cell]) for cell, path in paths.items()}
    note("policies that look at embeddings are left out: not all students were trained in this folder")
    return {cell: files.outcomes(sketches[cell]) for cell, files in cells.items()}


def _embeddings_file(student: StudentConfig) -> str:
    versions = student.taught_versions
    if versions == 1:
        return "embeddings.safetensors"
    warps = fingerprint(versions, student.training.stretch, student.training.bend)
    return f"embeddings-{warps[:8]}.safetensors"


def _outcomes_path(out: Path, cell: Cell) -> Path:
    """Named by how they are evaluated, which the folder is not."""
    return _folder(out, cell) / f"outcomes-{cell.config.evaluation.hub_neighbors}.npz"


def _folder(out: Path, cell: Cell) -> Path:
    return out / cell.row / f"{cell.place.name}-{cell.fingerprint[:8]}"


def _training_embeddings(
    cell: Cell, this: FgsbirRun, trained: Trained[AdaptedModel], student: StudentConfig
) -> dict[str, torch.Tensor]:
    """What a cell's network makes of the versions of the training pairs that a student is taught."""
    if cell.kind == "teacher":
        found = teacher_embeddings(this, trained.model, student)
    else:
        warps = taught_warps(student, this.config.seed, len(this.pairs.train.photo_paths))
        canvas = trained.model.canvases[-1]
        found = embed_versions(trained.model, this.pairs.train, canvas, warps, name=f"{cell}: training")
    return {name: embedded.contiguous() for name, embedded in found.items()}
