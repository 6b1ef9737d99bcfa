"""The verbs of recognition: train a recognizer, and ask one."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from sketchkit.recipes.network_option import NetworkOption, from_folder
from sketchkit.recipes.own_networks import current_folder_first, is_own

__all__ = ["recognition", "recognize"]


def recognition(
    config: Annotated[str, typer.Argument(help="A YAML file, or a shipped configuration: quickdraw.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Settings over the file's: data.root=quickdraw/simplified"),
    ] = None,
) -> None:
    """Train and evaluate sketch recognition: teacher, direct student, V1, V2.

    data.root is a folder with a file of drawings for each category, data.categories a number or names: "[cat, dog]".

    A network of your own: student.network=mynet:PhoneNet, the class or function PhoneNet of mynet.py in this folder or
    of an installed module, called without arguments.

    Every stage keeps checkpoints: run the same command again after a kill, and it goes on.
    """
    from sketchkit.recipes.recognition.config import load_recognition_config

    words = overrides or []
    settings = load_recognition_config(config, words)  # before torch is loaded: a slip of the pen is answered at once

    current_folder_first(settings.teacher.network, settings.student.network)
    from sketchkit.recipes.progress import resumable
    from sketchkit.recipes.recognition.measurement import format_recognition_table
    from sketchkit.recipes.recognition.recipe import run

    with resumable():
        results = run(settings, command=shlex.join(["sketchkit", "recognition", config, *words]))
    typer.echo()
    typer.echo(format_recognition_table(results))
    if results["note"]:
        typer.echo(results["note"])
    typer.echo(f"Results: {Path(settings.out, 'results.json').resolve()}")
    ask = ["sketchkit", "recognize", str(Path(settings.out, "v2", "model"))]
    ask += ["--network", settings.student.network] if is_own(settings.student.network) else []
    typer.echo(f"Ask it:  {shlex.join(ask)} DRAWING")


def recognize(
    model: Annotated[
        Path, typer.Argument(help="A folder that `sketchkit recognition` wrote, for instance runs/quickdraw/v2/model.")
    ],
    drawings: Annotated[
        list[str], typer.Argument(metavar="DRAWING...", help="Files of drawings, of any format; - is standard input.")
    ],
    top: Annotated[int, typer.Option(help="How many categories to print.", min=1)] = 3,
    first: Annotated[int | None, typer.Option(min=1, help="Only so many drawings.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object a drawing.")] = False,
    network: NetworkOption = None,
) -> None:
    """Name what drawings show: the most likely categories and their probabilities."""
    from sketchkit.reading import scan
    from sketchkit.recipes.recognition.recognizer import Recognizer

    recognizer = from_folder(Recognizer.from_pretrained, model, network)
    seen = 0
    for sketches in scan(drawings, chunk=256):
        part = sketches if first is None else sketches[: first - seen]
        found = recognizer.recognize(part, top=top)
        for index in range(len(part)):
            named = dict(zip(found.categories[index], map(float, found.probabilities[index]), strict=True))
            answer = {
                "drawing": _name(part.columns, index, seen + index, drawings),
                "canvas": int(found.canvases[index]),
                "categories": named,
            }
            typer.echo(json.dumps(answer, ensure_ascii=False) if as_json else _line(answer))
        seen += len(part)
        if seen == first:
            break


def _name(columns: Any, index: int, number: int, given: list[str]) -> str:
    """What a reader knows the drawing by: its key, else its file, else its number."""
    for column in ("key", "file"):
        if column in columns and columns[column][index] is not None:
            return str(columns[column][index])
    return given[0] if len(given) == 1 and number == 0 else str(number + 1)


def _line(answer: dict[str, Any]) -> str:
    named = ", ".join(f"{name} {chance:.1%}" for name, chance in answer["categories"].items())
    return f"{answer['drawing']}: {named} (drawn at {answer['canvas']} px)"
