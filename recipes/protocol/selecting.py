"""V2 rows: policies that pick a canvas, compared on outcomes of students that saw none of the sketches.

On the folds each policy is fitted on the other folds; which policy a row takes, and at which setting of its dial, is
chosen there. On the test split that choice is fitted on all folds.

    results/policies/<student row>/
      policies.json                what was chosen and why, with the fingerprint of all it rests on; written last
      ranks.parquet                of the rows that were chosen
      folds/, test/                every policy: policies.csv, policies.svg
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sketchkit.errors import ParameterError
from sketchkit.recipes.policies.chart import write_comparison
from sketchkit.recipes.policies.comparison import Point, all_policies, best_affordable, points_of
from sketchkit.recipes.policies.judging import Judged, Setting, cross_fitted, default_budgets, judged_on
from sketchkit.recipes.policies.outcomes import Outcomes
from sketchkit.recipes.progress import note
from sketchkit.recipes.protocol.cells import Cell
from sketchkit.recipes.protocol.results import CellFiles
from sketchkit.recipes.protocol.rows import TableConfig
from sketchkit.recipes.protocol.table import Evaluated
from sketchkit.recipes.rank_table import RankTable, concat_ranks, read_ranks, write_ranks
from sketchkit.recipes.run_folder import fingerprint, make_folder, read_json, write_json

__all__ = ["Student", "chosen_before", "select_canvases", "selected_rows"]


_AIMS = (0.85, 0.9, 0.95, 1.0)


@dataclass(frozen=True, eq=False)
class Student:
    """A row whose canvases are chosen from.

    Args:
        name: of the row.
        cells: finished ones, seeds with all folds alone.
        photos: keys of each cell's gallery.
    """

    name: str
    cells: Mapping[Cell, CellFiles]
    photos: Mapping[Cell, Sequence[str]]

    def of(self, split: str) -> list[Cell]:
        """Its cells of a `split`, `fold` or `test`."""
        return [cell for cell in self.cells if cell.place.split == split]


def select_canvases(
    table: TableConfig, student: Student, outcomes: Mapping[Cell, Outcomes], folder: Path
) -> dict[str, Any]:
    """Compare all policies, choose for each V2 row, and write what was found.

    Args:
        table: its rows and budget.
        student: the row whose canvases are chosen from.
        outcomes: of its cells.
        folder: `results/policies`.

    Returns:
        What `policies.json` holds.

    Raises:
        ParameterError: there are fewer than two folds.
        OutputError: the folder cannot be written.
    """
    cells = student.of("fold")
    training = [outcomes[cell] for cell in cells]
    tests = student.of("test")
    policies = all_policies(training, cells[0].config.selector)
    # On other photos a budget is missed a little: some settings aim below it.
    budgets = sorted({*default_budgets(training), *(share * table.budget for share in _AIMS)})
    judged = cross_fitted(training, policies, budgets)
    points = points_of(judged)
    own = make_folder(folder / student.name)
    write_comparison(points, make_folder(own / "folds"))
    tested: dict[Setting, list[Judged]] = {}
    tested_points: list[Point] = []
    if tests:
        tested = judged_on(training, [outcomes[cell] for cell in tests], policies, budgets, name="policies: test")
        tested_points = points_of(tested)
        write_comparison(tested_points, make_folder(own / "test"))
    chosen: dict[str, Any] = {}
    ranks: list[RankTable] = []
    for name in _rows(table, student.name):
        picked = _picked(points, table.row(name).policy, table.budget)
        if isinstance(picked, str):
            chosen[name] = {"refused": picked}
            continue
        place, why = picked
        setting = list(judged)[place]
        chosen[name] = {
            "policy": points[place].policy,
            "dial": points[place].dial,
            "value": points[place].value,
            "why": why,
            "over_blind": list(points[place].over_blind),
            "over_same_mix": list(points[place].over_same_mix),
            "over_uniform": list(points[place].over_uniform),
        }
        # A split's parts are by fold and seed, its cells in whatever order.
        for split_cells, found in ((cells, judged[setting]), (tests, tested.get(setting, []))):
            of_cell = {(cell.place.fold, cell.place.seed): cell for cell in split_cells}
            for each in found:
                cell = of_cell[each.part.fold, each.part.seed]
                chosen[name].setdefault("cells", {})[cell.place.name] = {
                    "flops": float(each.choice.flops.mean()),
                    "params": each.params,
                }
                ranks.append(_ranks(name, cell, each, student))
    if ranks:
        write_ranks(concat_ranks(ranks), own / "ranks.parquet")
    record = {
        "settings": _settings(table, student),
        "embeddings": all(part.embeddings is not None for part in training),
        "budget": table.budget,
        "chosen": chosen,
        "at_budget": _at_budget(points, tested_points, table.budget),
    }
    write_json(own / "policies.json", record)
    return record


def chosen_before(table: TableConfig, student: Student, folder: Path) -> dict[str, Any] | None:
    """What `select_canvases` found on these very cells; None where it did not, or on others.

    Args:
        table: its rows and budget.
        student: the row whose canvases are chosen from.
        folder: `results/policies`.

    Raises:
        DataError: the file is damaged.
    """
    path = folder / student.name / "policies.json"
    record = read_json(path) if path.is_file() else {}
    return record if record.get("settings") == _settings(table, student) else None


def selected_rows(record: Mapping[str, Any], student: Student, folder: Path, split: str) -> list[Evaluated]:
    """The V2 rows of a student on a split, as they were chosen.

    Args:
        record: of `select_canvases`.
        student: the row whose canvases are chosen from.
        folder: `results/policies`.
        split: which is evaluated.

    Raises:
        DataError: a file is damaged.
    """
    own, rows = folder / student.name, []
    for name, chosen in record["chosen"].items():
        if "refused" in chosen:
            note(f"{name}: {chosen['refused']}")
            continue
        records = [_record(name, chosen, cell, student.cells[cell]) for cell in student.of(split)]
        if records:
            ranks = read_ranks(own / "ranks.parquet").where(row=name, split=split)
            rows.append(Evaluated(name, records, ranks))
    return rows


def _rows(table: TableConfig, student: str) -> list[str]:
    return [name for name, row in table.rows.items() if row.kind == "v2" and row.student == student]


def _settings(table: TableConfig, student: Student) -> str:
    """Fingerprint of all that the choice rests on."""
    cells = sorted((cell.place.name, fingerprint(cell.depends_on)) for cell in student.cells)
    rows = {name: table.row(name).policy for name in _rows(table, student.name)}
    selector = next((asdict(cell.config.selector) for cell in student.cells), None)
    return fingerprint(cells, rows, table.budget, selector)


def _picked(points: Sequence[Point], policy: str, budget: float) -> tuple[int, str] | str:
    """The place of the setting that a row takes, and why; or why there is none."""
    allowed = [point for point in points if policy in ("", point.policy)]
    if not allowed:
        known = ", ".join(dict.fromkeys(point.policy for point in points))
        return f"there is no policy {policy!r} here; there are {known}"
    try:
        best, why = best_affordable(allowed, budget)
    except ParameterError as error:
        return str(error)
    return next(place for place, point in enumerate(points) if point is best), why


def _at_budget(points: Sequence[Point], tested: Sequence[Point], budget: float) -> dict[str, list[dict[str, Any]]]:
    """Each policy's most accurate setting within the budget on the folds; the same settings on the test split."""
    places: dict[str, int] = {}
    for place, point in enumerate(points):
        within = point.flops <= budget or point.sees == "truth"
        best = places.get(point.policy)
        if within and (best is None or point.accuracy.mean > points[best].accuracy.mean):
            places[point.policy] = place
    shown = {"fold": points, "test": tested}
    return {split: [asdict(of[place]) for place in places.values()] for split, of in shown.items() if of}


def _ranks(name: str, cell: Cell, judged: Judged, student: Student) -> RankTable:
    part, canvas = judged.part, judged.drawn()
    return RankTable.of_run(
        name,
        [str(key) for key in part.sketches.columns["key"]],
        [student.photos[cell][photo] for photo in part.photo_of_sketch],
        part.ranks[np.arange(len(canvas)), canvas],
        canvas=[part.canvases[index] for index in canvas],
        split=cell.place.split,
        fold=cell.place.fold,
        seed=cell.place.seed,
        epoch=int(student.cells[cell].record()["epoch"]),
    )


def _record(name: str, chosen: Mapping[str, Any], cell: Cell, files: CellFiles) -> dict[str, Any]:
    """As of a trained cell: the student's, at the policy's cost."""
    record, own = files.record(), chosen["cells"][cell.place.name]
    return record | {
        "row": name,
        "kind": "v2",
        "params": record["params"] + own["params"],
        "canvases": {"selected": {"flops": own["flops"]}},
        "each_epoch": {},
        "seconds": 0.0,
    }
