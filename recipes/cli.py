"""The command line: one verb a recipe."""

from __future__ import annotations

import errno
import json
import os
import shlex
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any, NoReturn

import numpy as np

try:
    import typer
except ModuleNotFoundError:
    sys.exit("sketchkit: the command line needs more packages: pip install 'sketchkit[recipes]'")

from sketchkit import __version__, read
from sketchkit.errors import ParameterError, SketchkitError, SketchkitWarning
from sketchkit.recipes import table_cli, vector_cli
from sketchkit.recipes.network_option import NetworkOption, from_folder
from sketchkit.recipes.own_networks import current_folder_first
from sketchkit.recipes.recognition import commands

__all__ = ["app", "main"]

app = typer.Typer(
    name="sketchkit",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Human vector sketches, and efficient photo networks that understand them.",
)

for verb in (vector_cli.convert, vector_cli.info, vector_cli.render, vector_cli.measure):
    app.command()(verb)
app.command()(table_cli.table)
app.command()(commands.recognition)
app.command()(commands.recognize)

# What the system says when results cannot be written: for the user to mend, not a defect of the program.
_WRITING_FAILED = {errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EPERM, errno.EDQUOT, errno.ENOTDIR}


def main() -> None:
    """Run the command line; an error that the user can mend is one line on standard error and exit code 2."""
    warnings.showwarning = _show_warning
    try:
        app()
    except SketchkitError as error:
        _fail(str(error))
    except OSError as error:
        if error.errno not in _WRITING_FAILED:
            raise
        where = f"{error.filename}: " if error.filename else ""
        _fail(f"{where}{os.strerror(error.errno or 0)}; choose another place or make room, then run again")


@app.command()
def fgsbir(
    config: Annotated[str, typer.Argument(help="A YAML file, or a shipped configuration: demo, chairv2, paper.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Settings over the file's: data.root=ChairV2")
    ] = None,
) -> None:
    """Train and evaluate fine-grained sketch-based image retrieval: teacher, direct student, V1, V2, report.

    A network of your own: student.network=mynet:PhoneNet, the class or function PhoneNet of mynet.py in this folder or
    of an installed module, called without arguments; most need student.training.frozen_blocks=0 too.

    Every stage keeps checkpoints: run the same command again after a kill, and it goes on.
    """
    from sketchkit.recipes.config import load_config

    words = overrides or []
    settings = load_config(config, words)  # before torch is loaded: a slip of the pen is answered at once

    current_folder_first(settings.teacher.network, settings.student.network)
    from sketchkit.recipes.fgsbir import run
    from sketchkit.recipes.progress import resumable
    from sketchkit.recipes.report import format_table

    with resumable():
        results = run(settings, command=shlex.join(["sketchkit", "fgsbir", config, *words]))
    typer.echo()
    typer.echo(format_table(results))
    for line in (results["data"]["note"], results["note"]):
        if line:
            typer.echo(line)
    typer.echo(f"Report: {Path(settings.out, 'report.html').resolve()}")


@app.command()
def score(
    predictions: Annotated[
        Path, typer.Argument(help="A file of predictions, for instance runs/demo/predictions.ndjson, or a TREC run.")
    ],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="The data: data.name=qmul data.root=ChairV2")
    ] = None,
    config: Annotated[
        str | None, typer.Option(help="Take the data's settings from here, for instance runs/demo/config.yaml.")
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="The same as data.split=: test, fold (then data.fold=0 to 2), or auto.")
    ] = None,
    trec: Annotated[
        Path | None, typer.Option(help="Also write a TREC run of each row, and qrels.txt, into this folder.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Score a file of predictions of any program against the data: acc@1, 5 and 10, reciprocal and median rank.

    Example: sketchkit score predictions.ndjson data.name=qmul data.root=ChairV2 --split test
    """
    from sketchkit.recipes.config import load_config

    words = [*(overrides or []), *([] if split is None else [f"data.split={split}"])]
    settings = load_config(config, words)

    from sketchkit.recipes.scoring import score_file

    scored = score_file(predictions, settings.data, settings.seed, trec=trec)
    typer.echo(json.dumps(scored.as_dict(), ensure_ascii=False, indent=2) if as_json else scored.as_text())


@app.command()
def search(
    model: Annotated[
        Path, typer.Argument(help="A folder that save_pretrained or export wrote, for instance runs/demo/v2/model.")
    ],
    photos: Annotated[Path, typer.Argument(help="A folder of photos: PNG, JPEG or SVG.")],
    sketch: Annotated[Path, typer.Argument(help="A drawing, or several: SVG, ndjson, or any other format of `read`.")],
    top: Annotated[int, typer.Option(help="How many photos to print.", min=1)] = 5,
    network: NetworkOption = None,
) -> None:
    """Find the photos that a drawing shows.

    Printed is the cosine similarity; for V2 as `sketchkit fgsbir` left it, less what makes a photo near to all
    drawings, as in its report. A copy, an export and the other stages' models have nothing beside them to tell that by.

    Examples: sketchkit search runs/demo/v2/model photos house.svg

    sketchkit search saved photos house.svg --network mynet:PhoneNet
    """
    import torch

    from sketchkit.adapters import AdaptedModel
    from sketchkit.recipes.embedding import embed_photos
    from sketchkit.recipes.exported import ExportedNetwork, SearchModel, is_export
    from sketchkit.recipes.gallery import Gallery
    from sketchkit.recipes.photo_lines import embed_gallery
    from sketchkit.recipes.photos import photo_files
    from sketchkit.recipes.query_bank import QueryBank

    drawings = read(sketch)
    adapted: SearchModel
    if is_export(model):
        if network is not None:
            raise ParameterError(f"{model} holds an exported network, which runs by itself; leave out --network")
        adapted = ExportedNetwork(model)
    else:
        adapted = from_folder(AdaptedModel.from_pretrained, model, network)
    files = photo_files(photos)
    bank = QueryBank.beside(model)
    embedded: torch.Tensor | dict[int, torch.Tensor]
    if bank is None or not isinstance(adapted, AdaptedModel) or not bank.photo_lines:
        embedded = embed_photos(adapted, files, name="photos")
    else:
        embedded = embed_gallery(adapted, files, adapted.canvases, weight=bank.photo_lines, name="photos")
    discounts = None if bank is None else bank.discounts(embedded)
    gallery = Gallery(embedded, [path.name for path in files], discounts)
    sizes = adapted.select(drawings)
    with torch.no_grad():
        hits = gallery.search(adapted.embed_sketches(drawings), top, canvases=sizes)
    for index, (size, keys, similarities) in enumerate(zip(sizes, hits.keys, hits.similarity, strict=True)):
        which = f"drawing {index}, " if len(drawings) > 1 else ""
        typer.echo(f"{which}drawn at {'x'.join(map(str, np.atleast_1d(size)))} px")
        for key, similarity in zip(keys, similarities, strict=True):
            typer.echo(f"{similarity:7.4f}  {key}")


def _show_warning(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
    """Ours are for the user, in one line; others are for a developer, with the place in the code."""
    if issubclass(category, SketchkitWarning):
        typer.echo(f"sketchkit: {message}", err=True)
    else:
        typer.echo(warnings.formatwarning(message, category, *where[:2]), err=True, nl=False)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"sketchkit {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def _fail(message: str) -> NoReturn:
    typer.echo(f"sketchkit: {' '.join(message.split())}", err=True)
    sys.exit(2)
