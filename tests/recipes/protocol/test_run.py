"""Whole tables, tiny."""

import csv
import json

import numpy as np
import pytest

from sketchkit.recipes.rank_table import read_ranks


def by_hand(folder, row):
    """(seed, key) -> rank of every line of a row of the cells' own tables."""
    ranks = {}
    name = row.partition("@")[0]
    for path in (folder / "results" / "cells" / name).glob("*.parquet"):
        columns = read_ranks(path).where(row=row).columns
        for seed, sketch, photo, rank in zip(*(columns[n] for n in ("seed", "sketch", "photo", "rank")), strict=True):
            ranks[int(seed), sketch] = (photo, int(rank))
    return ranks


def test_the_figures_are_those_of_the_ranks(finished):
    table = json.loads((finished / "results" / "table.json").read_text())
    assert list(table["splits"]) == ["fold"], "a folder has no official test split"
    rows = table["splits"]["fold"]["rows"]
    assert [(row["row"], row["canvas"]) for row in rows] == [("teacher", "64"), ("v1", "32"), ("v1", "64")]
    for row in rows:
        ranks = by_hand(finished, f"{row['row']}@{row['canvas']}")
        assert len(ranks) == 2 * 24, "two seeds, all sketches of both folds"
        for top in (1, 5, 10):
            right = [rank <= top for _, rank in ranks.values()]
            assert row[f"acc@{top}"]["value"] == pytest.approx(np.mean(right))
        seeds = [np.mean([rank == 1 for (seed, _), (_, rank) in ranks.items() if seed == wanted]) for wanted in (0, 1)]
        assert row["acc@1"]["seed_deviation"] == pytest.approx(np.std(seeds, ddof=1))
        assert (row["seeds"], row["folds"], row["photos"], row["sketches"]) == ([0, 1], 2, 12, 24)
