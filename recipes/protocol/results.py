"""Results of finished cells as small files, which are kept when the trainings' own folders are gone.

results/
  cells/<row>/<fold0-seed0>.json      settings, accuracies and FLOPs per canvas, time, versions; written last
              <fold0-seed0>.parquet   the rank of every sketch on every canvas (`rank_table`)
              <fold0-seed0>.npz       what a canvas policy is fitted on, embeddings apart (`policies.outcomes`)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sketchkit.errors import ParameterError
from sketchkit.recipes.config import DataConfig, StudentConfig, TeacherConfig
from sketchkit.recipes.policies.outcomes import Outcomes
from sketchkit.recipes.protocol.cells import Cell
from sketchkit.recipes.rank_table import RankTable, read_ranks, write_ranks
from sketchkit.recipes.run_folder import clear_temporaries, make_folder, read_json, write_json
from sketchkit.sketch_set import SketchSet

__all__ = ["CellFiles", "Results"]


@dataclass(frozen=True)
class CellFiles:
    """The files of one cell.

    Args:
        path: of its JSON.
    """

    path: Path

    def record(self) -> dict[str, Any]:
        """What was found.

        Raises:
            DataError: the file is damaged.
        """
        return read_json(self.path)

    def ranks(self) -> RankTable:
        """The rank of every sketch on every canvas.

        Raises:
            MissingDataError, DataError: the table is gone or damaged.
        """
        return read_ranks(self.path.with_suffix(".parquet"))

    def outcomes(self, sketches: SketchSet) -> Outcomes:
        """What a canvas policy is fitted on.

        Args:
            sketches: drawings among which all of the cell's are.

        Raises:
            MissingDataError, DataError: the file is gone or damaged.
        """
        return Outcomes.load(self.path.with_suffix(".npz"), sketches)


class Results:
    """A folder of results.

    Args:
        path: made when something is written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def clear(self) -> None:
        """Remove what a killed command was writing."""
        clear_temporaries(self.path)

    def finished(self, cell: Cell) -> CellFiles | None:
        """The files of `cell`, or None where it is not finished.

        Raises:
            ParameterError: they are of other settings or data.
            DataError: they are damaged.
        """
        files = self._files(cell)
        if not files.path.is_file():
            return None
        wanted = _plain(cell.depends_on)
        found = _filled(files.record().get("settings") or {}, wanted, _DEFAULTS)
        if found != wanted:
            raise ParameterError(
                f"{files.path}: results of other settings: {_difference(found, wanted)}; choose another "
                f"--results=FOLDER, or remove this file to evaluate the cell anew, and to train it if it must be"
            )
        return files

    def write(self, cell: Cell, record: Mapping[str, Any], ranks: RankTable, outcomes: Outcomes | None) -> None:
        """Keep what was found; a kill leaves the cell finished or not.

        Args:
            cell: which.
            record: goes into the JSON.
            ranks: of every sketch on every canvas.
            outcomes: for the canvas policies, if any are fitted on this row.

        Raises:
            OutputError: the folder cannot be written.
        """
        path = self._files(cell).path
        make_folder(path.parent)
        write_ranks(ranks, path.with_suffix(".parquet"))
        if outcomes is not None:
            outcomes.save(path.with_suffix(".npz"))
        write_json(path, {**record, "settings": _plain(cell.depends_on)})

    def _files(self, cell: Cell) -> CellFiles:
        return CellFiles(self.path / "cells" / cell.row / f"{cell.place.name}.json")


def _plain(value: Any) -> Any:
    """As JSON gives it back."""
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value


def _filled(found: Any, wanted: Any, defaults: Sequence[Any]) -> Any:
    """With settings that results are too old to know: they had their defaults."""
    if isinstance(found, list) and isinstance(wanted, list):  # teachers
        return [_filled(one, other, defaults) for one, other in zip(found, wanted, strict=False)] + found[len(wanted) :]
    if not isinstance(found, Mapping) or not isinstance(wanted, Mapping):
        return found
    filled = dict(found)
    for name, value in wanted.items():
        known = [each[name] for each in defaults if isinstance(each, Mapping) and name in each]
        if name in found:
            filled[name] = _filled(found[name], value, defaults if name == "teachers" else known)
        elif value in known:
            filled[name] = value
    return filled


def _difference(found: Any, wanted: Any) -> str:
    """The first setting that differs, in words."""
    here, there = dict(_flat(wanted)), dict(_flat(found))
    name = next(name for name in [*here, *there] if here.get(name) != there.get(name))
    if name.endswith("data.content"):
        return "its photos or drawings are others than those given now"
    if name == "hub_neighbors" and name not in there:
        return "they were evaluated before hubs were discounted"
    return f"{name} was {there.get(name)!r} there and is {here.get(name)!r} now"


def _flat(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, list) and value and isinstance(value[0], Mapping):
        value = {str(place): each for place, each in enumerate(value)}
    if isinstance(value, Mapping):
        for name, each in value.items():
            yield from _flat(each, f"{prefix}{name}.")
    else:
        yield prefix.rstrip("."), value


# The direct student's settings have no distillation.
_DEFAULTS = [
    _plain({"teacher": asdict(TeacherConfig()), "student": asdict(student), "data": asdict(DataConfig())})
    for student in (StudentConfig(), StudentConfig().undistilled())
]
