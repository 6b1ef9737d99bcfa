"""V2 rows on made outcomes, where it is known who chooses well."""

import csv
from dataclasses import replace

import numpy as np
import pytest

from sketchkit.recipes.config import load_config
from sketchkit.recipes.policies.blind import BestMixture, Fixed, Oracle
from sketchkit.recipes.policies.cascades import MarginCascade
from sketchkit.recipes.protocol.cells import Cell, Place
from sketchkit.recipes.protocol.results import CellFiles
from sketchkit.recipes.protocol.rows import RowConfig, TableConfig
from sketchkit.recipes.protocol.selecting import Student, chosen_before, select_canvases, selected_rows
from sketchkit.recipes.run_folder import write_json

BUDGET = 6e6
TABLE = TableConfig(
    rows={
        "v1": RowConfig(),
        "v2": RowConfig(kind="v2"),
        "v2-blind": RowConfig(kind="v2", policy="random, best mixture"),
        "v2-none": RowConfig(kind="v2", policy="GRU, REINFORCE"),
        "other": RowConfig(kind="v2", student="v0"),
    },
    budget=BUDGET,
)


@pytest.fixture(scope="module")
def outcomes(made):
    """Of three folds and two seeds, and of a test split of other photos."""
    found = {Place("fold", fold, seed): made("margin", fold=fold, seed=seed) for fold in range(3) for seed in (0, 1)}
    found |= {Place("test", 0, seed): replace(made("margin", fold=7, seed=seed), fold=0) for seed in (0, 1)}
    config = load_config("demo")
    return {Cell("v1", "v1", place, config, (), False, {"place": place.name}): part for place, part in found.items()}


@pytest.fixture(scope="module")
def selected(outcomes, tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    files = {}
    for cell, part in outcomes.items():
        files[cell] = CellFiles(folder / "cells" / f"{cell.place.name}.json")
        record = {"split": cell.place.split, "fold": cell.place.fold, "seed": cell.place.seed, "epoch": 3}
        write_json(files[cell].path, record | {"params": 100, "test_sketches": len(part.ranks), "network": "made"})
    photos = {cell: [f"{cell.place.part}-{index}" for index in range(60)] for cell in outcomes}
    student = Student("v1", files, photos)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sketchkit.recipes.protocol.selecting.all_policies", lambda *_: policies())
        record = select_canvases(TABLE, student, outcomes, folder / "policies")
    return student, record, folder / "policies"


def policies():
    return [*(Fixed(place, size) for place, size in enumerate((32, 64, 128))), BestMixture(), MarginCascade(), Oracle()]


def test_the_best_within_the_budget_is_chosen_on_the_folds(selected):
    _, record, _ = selected
    chosen = record["chosen"]
    assert list(chosen) == ["v2", "v2-blind", "v2-none"], "rows of this student alone"
    assert chosen["v2"]["policy"] == "margin cascade", "the margin tells right from wrong here"
    assert chosen["v2-blind"]["policy"] == "random, best mixture"
    assert chosen["v2-none"]["refused"].startswith("there is no policy 'GRU, REINFORCE' here; there are fixed 32 px")
    assert np.mean([chosen["v2"]["cells"][f"fold{fold}-seed0"]["flops"] for fold in range(3)]) <= BUDGET * 1.1
    shown = {point["policy"]: point for point in record["at_budget"]["fold"]}
    assert list(shown) == ["fixed 32 px", "fixed 64 px", "random, best mixture", "margin cascade", "oracle"]
    assert all(point["flops"] <= BUDGET for point in shown.values() if point["policy"] != "oracle")
    assert shown["margin cascade"]["accuracy"][0] > shown["fixed 64 px"]["accuracy"][0]


def test_the_test_split_is_answered_by_the_policy_fitted_on_all_folds(selected, outcomes):
    student, record, folder = selected
    chosen = record["chosen"]["v2"]
    cascade = MarginCascade()
    cascade.fit([part for cell, part in outcomes.items() if cell.place.split == "fold"], 0)
    by_hand = []
    (row, _) = selected_rows(record, student, folder, "test")
    assert (row.name, row.seeds, row.folds) == ("v2", [0, 1], 1)
    for cell, part in outcomes.items():
        if cell.place.split != "test":
            continue
        choice = cascade.choose(part, chosen["value"])
        own = row.ranks.where(seed=cell.place.seed).columns
        drawn = dict(zip(own["sketch"], zip(own["canvas"], own["rank"], own["photo"], strict=True), strict=True))
        for line, key in enumerate(part.sketches.columns["key"]):
            place = int(choice.canvas[line])
            expected = str(part.canvases[place]), part.ranks[line, place], f"test-{part.photo_of_sketch[line]}"
            assert drawn[key] == expected
        by_hand += choice.hits(part).tolist()
        assert chosen["cells"][cell.place.name]["flops"] == pytest.approx(choice.flops.mean())
    with (folder / "v1" / "test" / "policies.csv").open(newline="") as file:
        lines = [line for line in csv.DictReader(file) if line["policy"] == "margin cascade"]
    (written,) = [line for line in lines if float(line["value"]) == pytest.approx(chosen["value"], rel=1e-4)]
    assert float(written["acc@1"]) == pytest.approx(np.mean(by_hand), abs=1e-5)


def test_lots_are_drawn_in_their_shares(selected, outcomes):
    student, record, folder = selected
    row = next(row for row in selected_rows(record, student, folder, "fold") if row.name == "v2-blind")
    right = {}
    for cell, part in outcomes.items():
        if cell.place.split == "fold":
            for line, key in enumerate(part.sketches.columns["key"]):
                right |= {(cell.place.seed, key, str(c)): part.ranks[line, k] for k, c in enumerate(part.canvases)}
    columns = row.ranks.columns
    for seed, key, canvas, rank in zip(*(columns[n] for n in ("seed", "sketch", "canvas", "rank")), strict=True):
        assert right[seed, key, canvas] == rank
    point = next(point for point in record["at_budget"]["fold"] if point["policy"] == "random, best mixture")
    for size, share in point["shares"].items():
        assert np.mean(columns["canvas"] == str(size)) == pytest.approx(share, abs=0.05)


def test_what_was_chosen_on_other_cells_or_for_another_budget_is_not_taken(selected):
    student, record, folder = selected
    found = chosen_before(TABLE, student, folder)
    assert found is not None
    assert found["chosen"].keys() == record["chosen"].keys()
    assert chosen_before(replace(TABLE, budget=5e6), student, folder) is None
    fewer = Student("v1", {cell: files for cell, files in student.cells.items() if cell.place.seed == 0}, {})
    assert chosen_before(TABLE, fewer, folder) is None
    assert chosen_before(TABLE, student, folder / "nowhere") is None
