"""What a table is made of: its rows, each a kind of training with settings of its own, read from YAML."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from sketchkit.errors import ParameterError
from sketchkit.recipes.config import FgsbirConfig, load_config
from sketchkit.recipes.settings import find_settings, load_settings, nearest, shipped_settings

__all__ = ["KINDS", "RowConfig", "TableConfig", "load_table", "shipped_tables"]

KINDS = ("teacher", "direct", "v1", "v2")
"""`teacher`, `direct` and `v1` are trained; `v2` picks canvases for a row that is."""


@dataclass(frozen=True)
class RowConfig:
    """One row of a table."""

    kind: str = "v1"
    """One of `KINDS`."""
    says: str = ""
    """In a sentence, what it is."""
    settings: list[str] = field(default_factory=list)
    """`key=value` words over those of the table, for instance `student.distillation=triplet`."""
    teachers: list[str] = field(default_factory=lambda: ["teacher"])
    """Of a `v1`: the rows that teach it; several teach the mean of their similarities. Those of
    `student.distillation=none` do not count."""
    each_epoch: bool = False
    """Evaluate after every epoch, for what would be quoted if the best epoch were chosen on the evaluated photos."""
    student: str = "v1"
    """Of a `v2`: the row whose canvases are chosen from."""
    policy: str = ""
    """Of a `v2`: a policy's name, such as `GRU, REINFORCE`; empty: the most accurate within the table's budget."""


@dataclass(frozen=True)
class TableConfig:
    """A table: rows over folds and seeds."""

    title: str = "Results"
    """Heading of the page."""
    base: str = "chairv2"
    """The run's configuration under all rows: a shipped one, or a file beside the table's."""
    settings: list[str] = field(default_factory=list)
    """`key=value` words over it."""
    seeds: list[int] = field(default_factory=lambda: [0, 1, 2])
    """Of the trainings."""
    rows: dict[str, RowConfig] = field(default_factory=dict)
    """Name -> row, in the order in which they are shown."""
    differences: list[list[str]] = field(default_factory=list)
    """Pairs of rows: how far the first is above the second, canvas by canvas."""
    budget: float = 0.254e9
    """The mean FLOPs that a query of a `v2` row may cost."""
    folder: str = "."
    """Where the table's file lies."""

    def row(self, name: str) -> RowConfig:
        """The row called `name`.

        Raises:
            ParameterError: there is none of this name; the nearest is named.
        """
        if name not in self.rows:
            raise ParameterError(f"the table has no row {name!r}{nearest(name, self.rows)}")
        return self.rows[name]

    def config(self, name: str | None, words: Sequence[str] = ()) -> FgsbirConfig:
        """The settings of a row's training; what comes later wins: base, table, row, words.

        Args:
            name: of the row; None: what all rows share.
            words: `key=value`, over all else.

        Raises:
            MissingDataError, ParameterError: as `load_config`.
        """
        beside = Path(self.folder, self.base)
        base = str(beside) if beside.is_file() else self.base
        own = [] if name is None else self.row(name).settings
        return load_config(base, [*self.settings, *own, *words])

    def teachers(self, name: str, config: FgsbirConfig) -> list[str]:
        """The rows that teach the row `name`, whose settings are `config`; none but a distilled `v1` has any."""
        row = self.row(name)
        return list(row.teachers) if row.kind == "v1" and config.student.distillation != "none" else []


def load_table(source: str) -> TableConfig:
    """Read a table.

    Args:
        source: a YAML file, or a name out of `shipped_tables()`.

    Raises:
        MissingDataError: there is no such file or table.
        ParameterError: an unknown key, a value of another type; a row that names one that is not there.

    Example:
        >>> table = load_table("chairv2")
        >>> table.row("v1").teachers
        ['teacher']
    """
    path = find_settings(source, shipped_tables())
    table = replace(load_settings(TableConfig, path), folder=str(path.parent))
    _check(table, path)
    return table


def shipped_tables() -> dict[str, Path]:
    """The tables that come with the package, by name."""
    return shipped_settings("sketchkit.recipes", "configs/tables")


def _check(table: TableConfig, path: Path) -> None:
    if not table.rows:
        raise ParameterError(f"{path}: the table has no rows")
    for seed in table.seeds:
        if seed < 0:
            raise ParameterError(f"{path}: seeds must be at least 0, not {seed}")
    for name, row in table.rows.items():
        if row.kind not in KINDS:
            raise ParameterError(f"{path}: rows.{name}.kind must be one of {', '.join(KINDS)}, not {row.kind!r}")
        if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", name):
            raise ParameterError(f"{path}: a row's name has small letters, digits, dots and dashes, unlike {name!r}")
        for other in row.teachers if table.teachers(name, table.config(name)) else []:
            if table.row(other).kind == "v2" or name in _above(table, other):
                raise ParameterError(f"{path}: row {name} cannot be taught by {other}")
        if row.kind == "v2" and table.row(row.student).kind not in ("direct", "v1"):
            raise ParameterError(f"{path}: row {name} picks canvases of {row.student}, which has only one")
    for pair in table.differences:
        if len(pair) != 2:
            raise ParameterError(f"{path}: a difference is of two rows, not {list(pair)}")
        for name in pair:
            table.row(name)


def _above(table: TableConfig, name: str, seen: frozenset[str] = frozenset()) -> frozenset[str]:
    """A row, those that teach it, those that teach these, ..."""
    if name in seen:
        return seen
    seen |= {name}
    for teacher in table.teachers(name, table.config(name)):
        seen = _above(table, teacher, seen)
    return seen
