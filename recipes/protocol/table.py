"""The table itself, from finished cells: means over folds and seeds, differences, and what else would be quoted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sketchkit.recipes.protocol.evaluating import PLAIN, TOPS
from sketchkit.recipes.protocol.rows import TableConfig
from sketchkit.recipes.rank_table import RankTable, concat_ranks
from sketchkit.recipes.run_statistics import Estimate, difference, estimate

__all__ = ["Evaluated", "split_table"]

Record = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Evaluated:
    """A row on one split: the cells of those seeds that have all folds.

    Args:
        name: of the row.
        records: one a cell.
        ranks: of all cells; rows are `name@canvas`, or `name` where a policy chose, and `name, cosine@canvas` for the
            same by similarity alone.
    """

    name: str
    records: Sequence[Record]
    ranks: RankTable

    @property
    def seeds(self) -> list[int]:
        """Of the trainings."""
        return sorted({int(record["seed"]) for record in self.records})

    @property
    def folds(self) -> int:
        """How many."""
        return len({int(record["fold"]) for record in self.records})

    @property
    def canvases(self) -> list[str]:
        """The sizes, as they stand behind `name@`; empty where a policy chose."""
        named = [row.rpartition("@") for row in self.ranks.rows]
        return sorted((size for name, _, size in named if name == self.name), key=lambda size: int(size))

    @property
    def parts(self) -> list[str]:
        """The rows of the ranks, canvas by canvas."""
        return [f"{self.name}@{size}" for size in self.canvases] or [self.name]


def split_table(table: TableConfig, rows: Sequence[Evaluated], *, best: Mapping[str, str] | None = None) -> Record:
    """What one split comes to.

    Args:
        table: its rows and differences.
        rows: those that are finished.
        best: row -> best canvas, where that was chosen on another split; None: the most accurate here.

    Returns:
        `rows`: one a row and canvas; `differences`; `best_canvas` of each row, and whether the folds chose it.
    """
    lines = [line for row in rows for line in _lines(table, row)]
    chosen = dict(best or {})
    for row in rows:
        own = [line for line in lines if line["row"] == row.name]
        chosen.setdefault(row.name, max(own, key=lambda line: line["acc@1"]["value"])["canvas"])
    return {
        "rows": lines,
        "chosen_on_folds": best is not None,
        "best_canvas": {row.name: chosen[row.name] for row in rows},
        "differences": list(_differences(table, {row.name: row for row in rows}, chosen)),
    }


def _lines(table: TableConfig, row: Evaluated) -> Iterator[dict[str, Any]]:
    first = row.records[0]
    for part in row.parts:
        canvas = part.partition("@")[2] or "selected"
        flops = [record["canvases"][canvas]["flops"] for record in row.records]
        weights = [record["test_sketches"] for record in row.records]
        yield {
            "row": row.name,
            "kind": table.row(row.name).kind,
            "network": first["network"],
            "canvas": canvas,
            "shares": _shares(row) if not row.canvases else None,
            "params": round(float(np.mean([record["params"] for record in row.records]))),
            "flops": float(np.average(flops, weights=weights)),
            **{f"acc@{top}": _figure(estimate(row.ranks, part, f"acc@{top}")) for top in TOPS},
            **_undiscounted(row, part),
            "best_epoch_acc@1": _best_epoch(row.records, canvas),
            "epochs": first["epoch"],
            "seeds": row.seeds,
            "folds": row.folds,
            "photos": len(set(row.ranks.columns["photo"].tolist())),
            "sketches": len(set(row.ranks.columns["sketch"].tolist())),
            "seconds": float(np.mean([record["seconds"] for record in row.records])),
        }


def _undiscounted(row: Evaluated, part: str) -> dict[str, Any]:
    """acc@1 by similarity alone, and what discounting hubs adds to it; nothing where a policy chose."""
    plain = part.replace("@", f"{PLAIN}@")
    if plain == part:
        return {}
    gain = difference(row.ranks, part, plain)
    return {f"acc@1{PLAIN}": _figure(estimate(row.ranks, plain, "acc@1")), "hub_gain": _figure(gain)}


def _shares(row: Evaluated) -> dict[str, float]:
    """Canvas -> share of the sketches that a policy sent there."""
    sizes, counts = np.unique(row.ranks.columns["canvas"].astype(str), return_counts=True)
    order = np.argsort(sizes.astype(int))
    return {str(sizes[place]): float(counts[place] / counts.sum()) for place in order}


def _best_epoch(records: Sequence[Record], canvas: str) -> float | None:
    """The mean of each training's best epoch on the very photos that are reported; None where not all were watched."""
    if not all(canvas in record["each_epoch"] for record in records):
        return None
    best = [max(record["each_epoch"][canvas]) for record in records]
    return float(np.average(best, weights=[record["test_sketches"] for record in records]))


def _differences(
    table: TableConfig, rows: Mapping[str, Evaluated], best: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    for first, second in table.differences:
        if first not in rows or second not in rows:
            continue
        one, other = rows[first], rows[second]
        both = concat_ranks([one.ranks, other.ranks])
        for part, against in _compared(one, other, best):
            yield {"first": part, "second": against, "acc@1": _figure(difference(both, part, against))}


def _compared(one: Evaluated, other: Evaluated, best: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Canvas by canvas where both have several, else against the other's best."""
    alone = other.name if not other.canvases else f"{other.name}@{best[other.name]}"
    if len(other.canvases) < 2 or not one.canvases:
        yield from ((part, alone) for part in one.parts)
        return
    yield from ((f"{one.name}@{size}", f"{other.name}@{size}") for size in one.canvases if size in other.canvases)


def _figure(found: Estimate) -> dict[str, float | None]:
    return dict(vars(found))
