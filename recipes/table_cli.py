"""The verb that makes a table over folds and seeds."""

from __future__ import annotations

import shlex
import sys
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from sketchkit.errors import ParameterError
from sketchkit.recipes.own_networks import current_folder_first

__all__ = ["Splits", "table"]


class Splits(str, Enum):
    """What is evaluated."""

    FOLDS = "folds"
    TEST = "test"
    BOTH = "both"


def table(
    config: Annotated[str, typer.Argument(help="A YAML file of rows, or a shipped table: chairv2.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Settings of all rows: data.root=ChairV2")
    ] = None,
    splits: Annotated[
        Splits, typer.Option(help="Folds of the training photos, the official test split, or both where there is one.")
    ] = Splits.BOTH,
    seeds: Annotated[str | None, typer.Option(help="Of the trainings, such as 0,1,2; else the table's.")] = None,
    rows: Annotated[
        str | None, typer.Option(help="Train only these rows, such as v1,v1-plain, and those that teach them.")
    ] = None,
    results: Annotated[
        Path | None, typer.Option(help="Folder of the finished cells and the table [results/ in the run's out].")
    ] = None,
    page: Annotated[Path | None, typer.Option(help="The table as Markdown [table.md in the results].")] = None,
    train: Annotated[
        bool, typer.Option(help="Train what is missing, or only write the table of what is there.")
    ] = True,
) -> None:
    """Make a table of results over folds and seeds: teacher, students and ablations, with intervals.

    What is finished is kept as small files in the results and never trained again; run the same command again after a
    kill, or on another machine with a copy of the results, and it goes on.

    Example: sketchkit table chairv2 data.root=ChairV2 --results docs/results/chairv2
    """
    from sketchkit.recipes.protocol.rows import load_table

    words = overrides or []
    configured = load_table(config)
    for name in (only := _names(rows)) or ():
        configured.row(name)
    folder = Path(configured.config(None, words).out, "results") if results is None else results
    asked_seeds = None if seeds is None else _numbers(seeds)
    every = [configured.config(name, words) for name in configured.rows]
    current_folder_first(*(config.teacher.network for config in every), *(config.student.network for config in every))

    from sketchkit.recipes.progress import resumable
    from sketchkit.recipes.protocol.run import Asked, run_table
    from sketchkit.recipes.protocol.terminal import format_splits

    chosen = {Splits.FOLDS: ("fold",), Splits.TEST: ("test",), Splits.BOTH: ("fold", "test")}[splits]
    command = " ".join(["sketchkit", *map(_shown, sys.argv[1:])])
    with resumable():
        found = run_table(configured, Asked(words, chosen, asked_seeds, only, train, command), folder, page)
    typer.echo()
    typer.echo(format_splits(found))
    typer.echo(f"Table: {(folder / 'table.md' if page is None else page).resolve()}")


def _shown(word: str) -> str:
    """A word of the command for others to repeat: where the data lie here is nobody's business."""
    name, equals, value = word.partition("=")
    return f"data.root=.../{Path(value).name}" if equals and name == "data.root" else shlex.quote(word)


def _names(text: str | None) -> list[str] | None:
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


def _numbers(text: str) -> list[int]:
    words = _names(text) or []
    if not words or not all(word.isdecimal() for word in words):
        raise ParameterError(f"--seeds {text}: give whole numbers, such as 0,1,2")
    return [int(word) for word in words]
