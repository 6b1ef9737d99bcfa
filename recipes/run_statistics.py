"""What the ranks of many runs come to: means over folds and seeds, intervals, differences, and flattering figures.

Everything is of a run's last epoch unless it says otherwise. Folds hold different photos and are pooled; a sketch
counts by its mean over the seeds. Intervals come from drawing photos with replacement, each with all its sketches of
all seeds: they say how far other photos of the kind might move a figure; the deviation over seeds says how far another
training might.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sketchkit.errors import DataError, ParameterError
from sketchkit.recipes.evaluation import MEASURES, mean_interval, per_sketch
from sketchkit.recipes.rank_table import RankTable

__all__ = ["Estimate", "Quoted", "RowSummary", "difference", "estimate", "quoted", "summarize"]


@dataclass(frozen=True)
class Estimate:
    """A measure over folds and seeds.

    Args:
        value: the mean over all sketches and seeds.
        low: of the 95 % interval.
        high: of the 95 % interval.
        seed_deviation: standard deviation of the seeds' means (divided by seeds - 1); None: fewer than two seeds, or,
            of a difference, not the same seeds on both sides.
    """

    value: float
    low: float
    high: float
    seed_deviation: float | None


@dataclass(frozen=True)
class RowSummary:
    """One row of a table of results.

    Args:
        row: its name.
        split: what was evaluated.
        epoch: after which epoch.
        folds: how many.
        seeds: how many.
        photos: how many, of all folds.
        sketches: how many, of all folds.
        canvases: canvas -> share of the sketches, over all seeds.
        figures: of each measure.
    """

    row: str
    split: str
    epoch: int
    folds: int
    seeds: int
    photos: int
    sketches: int
    canvases: Mapping[str, float]
    figures: Mapping[str, Estimate]

    def records(self) -> list[dict[str, Any]]:
        """A flat record a measure, for a CSV."""
        counts = {name: getattr(self, name) for name in ("epoch", "folds", "seeds", "photos", "sketches")}
        return [
            {"row": self.row, "split": self.split, "measure": name, **vars(found), **counts}
            for name, found in self.figures.items()
        ]


@dataclass(frozen=True)
class Quoted:
    """One row's measure as it is reported, and as it looks when the data that are reported on choose.

    Args:
        last_epoch: the honest figure.
        best_epoch: the mean of each run's best epoch on these very data.
        best_seed: the same, of the best seed alone.
        epochs: (fold, seed) -> the epoch that was best there, the earliest of equals.
    """

    last_epoch: float
    best_epoch: float
    best_seed: float
    epochs: Mapping[tuple[int, int], int]


def summarize(table: RankTable, measures: Sequence[str] = MEASURES) -> list[RowSummary]:
    """Every row of a table, in the order of their names.

    Args:
        table: of one split; `table.where(split="test")`.
        measures: see `evaluation.per_sketch`.

    Raises:
        DataError: the table holds several splits, a row lacks a fold for one of its seeds, or its runs end at different
            epochs.

    Example:
        >>> table = RankTable.of_run("v1@64", ["a_1", "a_2", "b_1"], ["a", "a", "b"], [1, 3, 1], canvas=64)
        >>> (row,) = summarize(table, ["acc@1"])
        >>> row.photos, row.canvases, round(row.figures["acc@1"].value, 3)
        (2, {'64': 1.0}, 0.667)
    """
    return [_summary(_Runs.last(table, row), measures) for row in table.rows]


def estimate(table: RankTable, row: str, measure: str = "acc@1") -> Estimate:
    """One measure of one row.

    Args:
        table: of one split.
        row: its name.
        measure: see `evaluation.per_sketch`.

    Raises:
        DataError: as `summarize`.
        ParameterError: no such row or measure.

    Example:
        >>> table = RankTable.of_run("v1@64", ["a_1", "b_1"], ["a", "b"], [2, 2], canvas=64)
        >>> estimate(table, "v1@64", "mrr")
        Estimate(value=0.5, low=0.5, high=0.5, seed_deviation=None)
    """
    runs = _Runs.last(table, row)
    return _estimate(runs.values(measure), runs.photos)


def difference(table: RankTable, first: str, second: str, measure: str = "acc@1") -> Estimate:
    """How far the first row is above the second, with the same photos drawn for both.

    Args:
        table: of one split; both rows have its sketches, but not always the same seeds.
        first: a row.
        second: a row.
        measure: see `evaluation.per_sketch`.

    Raises:
        DataError: as `summarize`; the rows do not have the same sketches.
        ParameterError: no such row or measure.

    Example:
        >>> from sketchkit.recipes.rank_table import concat_ranks
        >>> keys = ["a_1", "b_1"], ["a", "b"]
        >>> v1, v2 = (RankTable.of_run(row, *keys, [1, rank], canvas=64) for row, rank in (("v1", 1), ("v2", 2)))
        >>> difference(concat_ranks([v1, v2]), "v1", "v2").value
        0.5
    """
    one, other = _Runs.last(table, first), _Runs.last(table, second)
    if one.sketches.tolist() != other.sketches.tolist():
        raise DataError(f"{first} and {second} were not evaluated on the same sketches; compare rows of the same folds")
    values, others = one.values(measure), other.values(measure)
    if one.seeds.tolist() == other.seeds.tolist():
        return _estimate(values - others, one.photos)
    return _estimate((values.mean(axis=0) - others.mean(axis=0))[None], one.photos)


def quoted(table: RankTable, row: str, measure: str = "acc@1") -> Quoted:
    """A row's honest figure beside those that choosing on the same data gives.

    Args:
        table: of one split, with ranks of several epochs.
        row: its name. For the best of several canvases, take the highest figure of their rows.
        measure: see `evaluation.per_sketch`.

    Raises:
        DataError: as `summarize`.
        ParameterError: no such row or measure.

    Example:
        >>> from sketchkit.recipes.rank_table import concat_ranks
        >>> ranks = {1: [1, 1], 2: [1, 2]}  # after each epoch
        >>> table = concat_ranks(
        ...     [RankTable.of_run("v1", ["a_1", "b_1"], ["a", "b"], ranks[n], canvas=64, epoch=n) for n in (1, 2)]
        ... )
        >>> quoted(table, "v1")
        Quoted(last_epoch=0.5, best_epoch=1.0, best_seed=1.0, epochs={(0, 0): 1})
    """
    last = _Runs.last(table, row)
    lines = _lines(table, row)
    values = per_sketch(lines["rank"], measure)
    run, places = _numbered(lines["fold"], lines["seed"], lines["epoch"])
    means = np.bincount(run, weights=values) / np.bincount(run)
    epochs: dict[tuple[int, int], int] = {}
    best: dict[tuple[int, int], float] = {}
    for (fold, seed, epoch), mean in sorted(zip(map(tuple, places.tolist()), means.tolist(), strict=True)):
        if mean > best.get((fold, seed), -1.0):
            epochs[fold, seed], best[fold, seed] = epoch, mean
    chosen = np.array([epochs[fold, seed] for fold, seed in zip(lines["fold"], lines["seed"], strict=True)])
    kept = chosen == lines["epoch"]
    of_seeds = [float(values[kept & (lines["seed"] == seed)].mean()) for seed in last.seeds]
    return Quoted(float(last.values(measure).mean()), float(np.mean(of_seeds)), max(of_seeds), epochs)


@dataclass(frozen=True, eq=False)
class _Runs:
    """One row's runs, side by side: (seeds, sketches), of all folds, sketches in the order of their keys."""

    row: str
    split: str
    epoch: int
    folds: NDArray[np.int64]
    seeds: NDArray[np.int64]
    sketches: NDArray[np.object_]
    photos: NDArray[np.object_]
    ranks: NDArray[np.int64]
    canvases: NDArray[np.object_]

    @classmethod
    def last(cls, table: RankTable, row: str) -> _Runs:
        """The last epoch of each run of a row."""
        lines = _lines(table, row)
        run, places = _numbered(lines["fold"], lines["seed"])
        folds, seeds = np.unique(places[:, 0]), np.unique(places[:, 1])
        if len(places) < len(folds) * len(seeds):
            done = set(map(tuple, places.tolist()))
            fold, seed = next((fold, seed) for seed in seeds for fold in folds if (fold, seed) not in done)
            raise DataError(f"{row}: seed {seed} lacks fold {fold}; finish that run, or leave the seed out")
        ends = np.zeros(len(places), np.int64)
        np.maximum.at(ends, run, lines["epoch"])
        if len(set(ends.tolist())) > 1:
            raise DataError(
                f"{row}: its runs end at epochs {sorted(set(ends.tolist()))}; finish those that were stopped"
            )
        kept = lines["epoch"] == ends[run]
        lines = {name: values[kept] for name, values in lines.items()}
        order = np.lexsort([_numbered(lines["sketch"])[0], lines["seed"]])
        shape = len(seeds), -1
        aligned = {name: lines[name][order].reshape(shape) for name in ("sketch", "photo", "rank", "canvas")}
        return cls(
            row,
            table.splits[0],
            int(ends[0]),
            folds,
            seeds,
            aligned["sketch"][0],
            aligned["photo"][0],
            aligned["rank"],
            aligned["canvas"],
        )

    def values(self, measure: str) -> NDArray[np.float64]:
        """(seeds, sketches): what each adds to the measure."""
        return per_sketch(self.ranks, measure)


def _lines(table: RankTable, row: str) -> dict[str, NDArray[Any]]:
    if len(table.splits) > 1:
        raise DataError(f'the table holds the splits {", ".join(table.splits)}; take one: table.where(split="...")')
    if row not in table.rows:
        raise ParameterError(f"the table has no row {row!r}; it has {', '.join(table.rows) or 'none'}")
    return dict(table.where(row=row).columns)


def _numbered(*columns: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Which distinct line each line is, and these lines, sorted."""
    if len(columns) == 1:
        distinct, codes = np.unique(columns[0], return_inverse=True)
    else:
        distinct, codes = np.unique(np.stack(columns, axis=1), axis=0, return_inverse=True)
    return codes.reshape(-1), distinct


def _summary(runs: _Runs, measures: Sequence[str]) -> RowSummary:
    names, counts = np.unique(runs.canvases.ravel(), return_counts=True)
    return RowSummary(
        row=runs.row,
        split=runs.split,
        epoch=runs.epoch,
        folds=len(runs.folds),
        seeds=len(runs.seeds),
        photos=len(set(runs.photos.tolist())),
        sketches=len(runs.sketches),
        canvases={str(name): float(count / runs.canvases.size) for name, count in zip(names, counts, strict=True)},
        figures={measure: _estimate(runs.values(measure), runs.photos) for measure in measures},
    )


def _estimate(values: NDArray[np.float64], photos: NDArray[np.object_]) -> Estimate:
    """Of (seeds, sketches) values; `photos` owns the sketches."""
    of_seeds = values.mean(axis=1)
    deviation = float(of_seeds.std(ddof=1)) if len(of_seeds) > 1 else None
    low, high = mean_interval(values.mean(axis=0), photos)
    return Estimate(float(values.mean()), low, high, deviation)
