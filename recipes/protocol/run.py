"""A table over folds and seeds: trains what is missing, then writes the table from all that is there."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sketchkit import atomic
from sketchkit.errors import ParameterError
from sketchkit.recipes.datasets import DATASETS, load_pairs, verify
from sketchkit.recipes.determinism import deterministic
from sketchkit.recipes.frame import launch, open_run
from sketchkit.recipes.pairs import PairedSet, split_pairs
from sketchkit.recipes.photos import check_photos
from sketchkit.recipes.progress import note, progress
from sketchkit.recipes.protocol.cells import Cell, cells_of, has_test_split, places_of
from sketchkit.recipes.protocol.evaluating import evaluate
from sketchkit.recipes.protocol.page import table_csv, table_page
from sketchkit.recipes.protocol.results import CellFiles, Results
from sketchkit.recipes.protocol.rows import TableConfig
from sketchkit.recipes.protocol.selecting import Student, chosen_before, select_canvases, selected_rows
from sketchkit.recipes.protocol.table import Evaluated, split_table
from sketchkit.recipes.protocol.training import Training, load_outcomes
from sketchkit.recipes.rank_table import concat_ranks, write_ranks
from sketchkit.recipes.run_folder import make_folder, write_json

__all__ = ["Asked", "run_table"]


@dataclass(frozen=True)
class Asked:
    """What of a table is asked for.

    Args:
        words: `key=value` over all settings.
        splits: of `fold` and `test`.
        seeds: of the trainings; None: the table's.
        rows: train only these, and those that teach them; None: all.
        train: False writes the table of what is finished.
        command: shown on the page as what repeats it.
    """

    words: Sequence[str] = ()
    splits: Sequence[str] = ("fold", "test")
    seeds: Sequence[int] | None = None
    rows: Sequence[str] | None = None
    train: bool = True
    command: str = ""


@deterministic()
def run_table(table: TableConfig, asked: Asked, results: Path, page: Path | None = None) -> dict[str, Any]:
    """Train the cells that are missing, and write the table.

    Args:
        table: its rows.
        asked: which splits, seeds and rows.
        results: folder of the finished cells, of `table.json`, `table.csv` and `ranks.parquet`.
        page: Markdown of the table; None: `table.md` in the results.

    Returns:
        The table, as in `table.json`.

    Raises:
        SketchkitError: data or weights are missing or damaged, a folder cannot be written, or the results are of other
            settings.
    """
    shared = table.config(None, asked.words)
    pairs = load_pairs(shared.data.name, shared.data.root)
    splits = _splits(asked.splits, pairs)
    seeds = list(dict.fromkeys(table.seeds if asked.seeds is None else asked.seeds))
    places = places_of(splits, shared.data.folds, seeds)
    every = cells_of(table, pairs, places, words=asked.words)
    kept = Results(results)
    kept.clear()
    done = {cell: kept.finished(cell) for cell in every}  # all are compared before anything is trained
    if asked.train:
        wanted = {(cell.row, cell.place) for cell in cells_of(table, pairs, places, rows=asked.rows, words=asked.words)}
        _train(table, [cell for cell in every if (cell.row, cell.place) in wanted], done, pairs, kept)
    evaluated, missing = _evaluated_rows(table, splits, done)
    compared = _selected(table, asked, pairs, done, evaluated, results)
    found = _table(table, asked, pairs, evaluated) | {"policies": compared, "missing": missing}
    write_json(results / "table.json", found)
    atomic.write_text(results / "table.csv", table_csv(found))
    page = results / "table.md" if page is None else page
    make_folder(page.parent)
    atomic.write_text(page, table_page(found, Path(os.path.relpath(results, page.parent)).as_posix()))
    if ranks := [row.ranks for rows in evaluated.values() for row in rows.values()]:
        write_ranks(concat_ranks(ranks), results / "ranks.parquet")
    return found


def _splits(asked: Sequence[str], pairs: PairedSet) -> list[str]:
    if "test" in asked and not has_test_split(pairs):
        if list(asked) == ["test"]:
            raise ParameterError(f"{pairs.name} holds no official test split here; --splits folds needs none")
        note(f"{pairs.name} holds no official test split here: folds of the training photos alone")
        return ["fold"]
    return list(asked)


def _train(
    table: TableConfig, cells: Sequence[Cell], done: dict[Cell, CellFiles | None], pairs: PairedSet, kept: Results
) -> None:
    missing = [cell for cell in cells if done[cell] is None]
    if not missing:
        return
    config = missing[0].config
    out = open_run(config.out)
    make_folder(kept.path)
    check_photos(pairs.photo_paths)
    training = Training(out, pairs, launch(config))
    selected = {row.student for row in table.rows.values() if row.kind == "v2"}
    note(f"{len(cells) - len(missing)} of {len(cells)} cells are finished")
    for cell in progress(missing, "cells", unit="cell"):
        note(str(cell))
        this, trained = training.trained(cell)
        found = evaluate(cell, this, trained)
        outcomes = found.outcomes if cell.row in selected else None
        if outcomes is not None:
            outcomes.save(training.outcomes_path(cell))
            outcomes = replace(outcomes, embeddings=None)  # too large to keep with the results
        kept.write(cell, found.record, found.ranks, outcomes)
        done[cell] = kept.finished(cell)
        if not any(done[other] is None for other in cells if other.place.part == cell.place.part):
            training.forget_cache(cell.place)


def _evaluated_rows(
    table: TableConfig, splits: Sequence[str], done: Mapping[Cell, CellFiles | None]
) -> tuple[dict[str, dict[str, Evaluated]], list[str]]:
    """Split -> row -> its finished seeds; and in words which cells are not."""
    found: dict[str, dict[str, Evaluated]] = {split: {} for split in splits}
    for split in splits:
        for name in table.rows:
            own = {cell: files for cell, files in done.items() if (cell.row, cell.place.split) == (name, split)}
            lacking = {cell.place.seed for cell, files in own.items() if files is None}
            whole = [files for cell, files in own.items() if files is not None and cell.place.seed not in lacking]
            if whole:
                ranks = concat_ranks([files.ranks() for files in whole])
                found[split][name] = Evaluated(name, [files.record() for files in whole], ranks)
    return found, [str(cell) for cell, files in done.items() if files is None]


def _selected(
    table: TableConfig,
    asked: Asked,
    pairs: PairedSet,
    done: Mapping[Cell, CellFiles | None],
    evaluated: dict[str, dict[str, Evaluated]],
    results: Path,
) -> dict[str, Any]:
    """Add the V2 rows to those evaluated; student row -> what was chosen."""
    compared = {}
    folder = results / "policies"
    for name in dict.fromkeys(row.student for row in table.rows.values() if row.kind == "v2"):
        if name not in evaluated.get("fold", {}) or evaluated["fold"][name].folds < 2:
            note(f"{name}: policies are fitted on other folds than they are judged on; they come when all are finished")
            continue
        cells = {
            cell: files
            for cell, files in done.items()
            if files is not None
            and cell.row == name
            and name in evaluated[cell.place.split]
            and cell.place.seed in evaluated[cell.place.split][name].seeds
        }
        cut = {cell: split_pairs(pairs, cell.config.data, cell.config.seed).test for cell in cells}
        student = Student(name, cells, {cell: part.photo_keys for cell, part in cut.items()})
        record = chosen_before(table, student, folder)
        if record is None:
            if not asked.train:
                note(f"{name}: its policies are not fitted on these cells yet")
                continue
            sketches = {cell: part.sketches for cell, part in cut.items()}
            outcomes = load_outcomes(cells, sketches, Path(table.config(None, asked.words).out))
            record = select_canvases(table, student, outcomes, folder)
        for split, rows in evaluated.items():
            rows |= {row.name: row for row in selected_rows(record, student, folder, split)}
        compared[name] = {key: record[key] for key in ("budget", "chosen", "at_budget")}
    return compared


def _table(
    table: TableConfig, asked: Asked, pairs: PairedSet, evaluated: Mapping[str, Mapping[str, Evaluated]]
) -> dict[str, Any]:
    splits: dict[str, Any] = {}
    best = None
    for split, rows in evaluated.items():
        if rows:
            # In the order of the table's rows; a canvas is chosen on the folds where there are any.
            splits[split] = split_table(table, [rows[name] for name in table.rows if name in rows], best=best)
            best = splits[split]["best_canvas"]
    trained = [row for rows in evaluated.values() for row in rows.values() if table.row(row.name).kind != "v2"]
    records = [record for row in trained for record in row.records]
    return {
        "title": table.title,
        "command": asked.command,
        "data": _data(table, asked, pairs, records),
        "splits": splits,
        "says": {name: row.says for name, row in table.rows.items()},
        "seconds": _seconds(records),
        "environments": _environments(records),
    }


def _data(table: TableConfig, asked: Asked, pairs: PairedSet, records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    config = table.config(None, asked.words).data
    source = DATASETS[config.name]
    verdicts = {} if config.root is None else verify(config.name, config.root, pairs)
    sentences = [f"The keys of its {split} split: {verdict}." for split, verdict in verdicts.items()]
    counts = {
        tuple(record[name] for name in ("description", "train_photos", "train_sketches", "test_photos")): None
        for record in records
    }
    sentences += [
        f"{held_out[0].upper()}{held_out[1:]}: trained on {sketches} sketches of {photos} photos, "
        f"a gallery of {gallery}."
        for held_out, photos, sketches, gallery in counts
    ]
    return {
        "name": pairs.name,
        "license": source.license,
        "citation": source.citation,
        "note": " ".join(filter(None, (source.note, pairs.note))),
        "splits": sentences,
    }


def _seconds(records: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    spent: dict[str, list[float]] = {}
    for record in records:
        spent.setdefault(record["row"], []).append(record["seconds"])
    return {row: sum(each) / len(each) for row, each in spent.items()}


def _environments(records: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The distinct ones, in the order in which they are met."""
    found: list[Mapping[str, Any]] = []
    for record in records:
        if record["environment"] not in found:
            found.append(record["environment"])
    return found
