"""Cells of a table: one row on one split with one seed; what each depends on, and the order in which they are run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from sketchkit.recipes.config import FgsbirConfig
from sketchkit.recipes.own_networks import settings_of
from sketchkit.recipes.pairs import PairedSet, split_pairs
from sketchkit.recipes.protocol.rows import TableConfig
from sketchkit.recipes.run_folder import fingerprint

__all__ = ["Cell", "Place", "cells_of", "has_test_split", "places_of"]


@dataclass(frozen=True, order=True)
class Place:
    """Where and from what a row is trained: the split that is evaluated, which fold of it, and the seed.

    Args:
        split: `fold` (held-out training photos) or `test` (the official one).
        fold: from 0; 0 on the test split.
        seed: of the training.

    Example:
        >>> Place("fold", 2, 0).name, Place("test", 0, 1).name
        ('fold2-seed0', 'test-seed1')
    """

    split: str
    fold: int
    seed: int

    @property
    def name(self) -> str:
        """For files."""
        return f"{self.part}-seed{self.seed}"

    @property
    def part(self) -> str:
        """What is held out, for files."""
        return f"fold{self.fold}" if self.split == "fold" else self.split


@dataclass(frozen=True, eq=False)
class Cell:
    """One training of a table, and its evaluation.

    Args:
        row: its name.
        kind: `teacher`, `direct` or `v1`.
        place: split, fold and seed.
        config: of its run.
        teachers: the cells that teach it, of the same place.
        each_epoch: whether it is evaluated after every epoch.
        settings: all that its training depends on, readable: what changes nothing is left out, such as paths.
    """

    row: str
    kind: str
    place: Place
    config: FgsbirConfig
    teachers: tuple[Cell, ...]
    each_epoch: bool
    settings: Mapping[str, Any]

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the settings."""
        return fingerprint(self.settings)

    @property
    def depends_on(self) -> dict[str, Any]:
        """All that its results depend on: the settings, and how it is evaluated."""
        return {**self.settings, "hub_neighbors": self.config.evaluation.hub_neighbors}

    def __str__(self) -> str:
        return f"{self.row}, {self.place.name}"


def has_test_split(pairs: PairedSet) -> bool:
    """Whether `pairs` hold photos of an official test split."""
    return pairs.official_split is not None and bool((pairs.official_split == "test").any())


def places_of(splits: Sequence[str], folds: int, seeds: Sequence[int]) -> list[Place]:
    """Every place, all folds of a seed together.

    Args:
        splits: of `fold` and `test`.
        folds: how many; the test split is one.
        seeds: of the trainings.

    Example:
        >>> [place.name for place in places_of(["fold", "test"], 2, [0, 1])]
        ['fold0-seed0', 'fold1-seed0', 'fold0-seed1', 'fold1-seed1', 'test-seed0', 'test-seed1']
    """
    count = {"fold": folds, "test": 1}
    return [Place(split, fold, seed) for split in splits for seed in seeds for fold in range(count[split])]


def cells_of(
    table: TableConfig,
    pairs: PairedSet,
    places: Sequence[Place],
    *,
    rows: Sequence[str] | None = None,
    words: Sequence[str] = (),
) -> list[Cell]:
    """The cells of a table: all rows of a place together, those that teach before those that are taught.

    Args:
        table: the rows.
        pairs: the whole data set.
        places: in their order.
        rows: only these, and those that teach them; None: all.
        words: `key=value` over all settings.

    Raises:
        ParameterError: no such row; or as `split_pairs`.
    """
    asked = [name for name, row in table.rows.items() if row.kind != "v2"] if rows is None else list(rows)
    configs = {name: table.config(name, words) for name in table.rows}
    contents: dict[str, str] = {}
    found = []
    for place in places:
        made: dict[str, Cell] = {}
        for name in asked:
            row = table.row(name)
            for trained in [row.student] if row.kind == "v2" else [name]:
                found += list(_with_teachers(table, configs, pairs, place, trained, made, contents))
    return found


def _with_teachers(
    table: TableConfig,
    configs: Mapping[str, FgsbirConfig],
    pairs: PairedSet,
    place: Place,
    name: str,
    made: dict[str, Cell],
    contents: dict[str, str],
) -> Iterator[Cell]:
    """The cells that are not made yet, teachers first."""
    if name in made:
        return
    row, config = table.row(name), configs[name]
    config = replace(config, seed=place.seed, data=replace(config.data, split=place.split, fold=place.fold))
    teachers = table.teachers(name, config)
    for teacher in teachers:
        yield from _with_teachers(table, configs, pairs, place, teacher, made, contents)
    taught_by = tuple(made[teacher] for teacher in teachers)
    settings = _settings(row.kind, config, taught_by) | {"data": _data(config, pairs, contents)}
    made[name] = Cell(name, row.kind, place, config, taught_by, row.each_epoch, settings)
    yield made[name]


def _settings(kind: str, config: FgsbirConfig, teachers: tuple[Cell, ...]) -> dict[str, Any]:
    common = {"kind": kind, "seed": config.seed}
    if kind == "teacher":
        return common | {"teacher": settings_of(config.teacher), "fit": config.student.fit}
    student = config.student.undistilled()
    if kind == "direct":
        return common | {"student": settings_of(student)}
    if teachers:
        return common | {"student": settings_of(config.student), "teachers": [dict(cell.settings) for cell in teachers]}
    return common | {"student": settings_of(replace(student, self_distillation=config.student.self_distillation))}


def _data(config: FgsbirConfig, pairs: PairedSet, contents: dict[str, str]) -> dict[str, Any]:
    """How the data are cut, and a hash of what is in both parts; not where they lie."""
    used = {name: value for name, value in asdict(config.data).items() if name not in ("name", "root")}
    limits = [value for name, value in used.items() if name.startswith("max_")]
    key = fingerprint(used, None if limits == [None] * len(limits) else config.seed)
    if key not in contents:
        cut = split_pairs(pairs, config.data, config.seed)
        contents[key] = fingerprint(*(value for part in (cut.train, cut.test) for value in _content(part)))
    return used | {"content": contents[key]}


def _content(part: PairedSet) -> list[Any]:
    drawn = part.sketches
    keys = [str(key) for key in drawn.columns["key"]]
    arrays = [part.photo_of_sketch, drawn.points, drawn.stroke_offsets, drawn.sketch_offsets]
    return [part.photo_hashes, part.photo_keys, keys, *arrays]
