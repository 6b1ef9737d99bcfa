"""The verbs for drawings: convert, info, render, measure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from enum import Enum
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

import sketchkit
from sketchkit import SketchSet, SkippedRecord, atomic
from sketchkit.errors import ParameterError
from sketchkit.recipes.progress import counted

__all__ = ["OnError", "Reading", "convert", "info", "measure", "render"]


class OnError(str, Enum):
    """What becomes of bad records."""

    RAISE = "raise"
    SKIP = "skip"


Sources = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE...", help="Files, folders, quoted globs such as 'quickdraw/*.ndjson', or - (standard input)."
    ),
]
FormatOption = Annotated[
    str | None, typer.Option("--format", help="The sources' format; found by content when left out.")
]
OnErrorOption = Annotated[
    OnError, typer.Option("--on-error", help="skip leaves bad records of the sources out and counts them.")
]
SkippedOption = Annotated[
    Path | None, typer.Option("--skipped", help="Where to write what was skipped and why, a JSON object a line.")
]
FirstOption = Annotated[int | None, typer.Option("--first", min=1, help="Only so many drawings.")]


def convert(
    sources: Sources,
    target: Annotated[Path, typer.Argument(help="The suffix chooses the format; .gz or .zst after it packs the file.")],
    format: FormatOption = None,
    to: Annotated[
        str | None, typer.Option("--to", help="The target's format, when its suffix does not say it.")
    ] = None,
    fit: Annotated[float | None, typer.Option(help="1. Scale the longer side to this, from the origin.")] = None,
    resample: Annotated[float | None, typer.Option(help="2. Points at equal steps of this length.")] = None,
    simplify: Annotated[float | None, typer.Option(help="3. Douglas-Peucker with this tolerance.")] = None,
    max_points: Annotated[int | None, typer.Option(min=2, help="3. Douglas-Peucker down to so many points.")] = None,
    quickdraw: Annotated[
        bool,
        typer.Option("--quickdraw", help="Quick, Draw!'s own steps: 0..255, steps of 1, tolerance 2, whole numbers."),
    ] = False,
    first: FirstOption = None,
    on_error: OnErrorOption = OnError.RAISE,
    skipped: SkippedOption = None,
) -> None:
    """Turn drawings of any format into another, streaming; may simplify them on the way.

    Example: sketchkit convert 'simplified/*.ndjson' drawings.arrow
    """
    steps = _steps(fit, resample, simplify, max_points, quickdraw)
    with Reading(sources, format, first, on_error, skipped, "convert", target) as reading:
        sketchkit.write((steps(chunk) for chunk in reading), target, to)
    # Standard output may be where the drawings went.
    typer.echo(f"{reading.count} drawings -> {target}{reading.losses}", err=str(target) == "-")


def info(
    sources: Sources,
    format: FormatOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    first: FirstOption = None,
    on_error: OnErrorOption = OnError.RAISE,
    skipped: SkippedOption = None,
) -> None:
    """Say what files of drawings hold: counts, extent, columns with examples, the measures' medians."""
    from sketchkit.recipes.summary import Summary

    summary = Summary()
    with Reading(sources, format, first, on_error, skipped, "info") as reading:
        for chunk in reading:
            summary.add(chunk)
    found = summary.as_dict(skipped=reading.skipped)
    typer.echo(
        json.dumps(found, ensure_ascii=False, indent=2) if as_json else summary.as_text(", ".join(sources), found)
    )


def render(
    sources: Sources,
    target: Annotated[
        Path,
        typer.Argument(
            help="A contact sheet as .png, .svg or .html; or images of all drawings: a folder (<size>.npy) or .parquet."
        ),
    ],
    format: FormatOption = None,
    size: Annotated[
        list[int] | None,
        typer.Option(min=1, help="Side in pixels; may be given several times for images [32 64 128 256]."),
    ] = None,
    columns: Annotated[
        int, typer.Option(min=1, help="Drawings in a row of a sheet; HTML takes what the window has room for.")
    ] = 10,
    line_width: Annotated[float, typer.Option(help="As a share of the side; not for sheets as SVG or HTML.")] = 2.5
    / 256,
    first: FirstOption = None,
    shuffle: Annotated[
        int | None, typer.Option(min=0, help="Sheets: choose among all drawings with this seed.")
    ] = None,
    on_error: OnErrorOption = OnError.RAISE,
    skipped: SkippedOption = None,
) -> None:
    """Draw: a contact sheet of some drawings, or images of all of them on one or more canvases."""
    suffix = target.suffix.lower()
    if suffix in _SHEETS:
        count = first or 100
        with Reading(
            sources, format, None if shuffle is not None else count, on_error, skipped, "render", target
        ) as reading:
            chosen = _sample(reading, count, shuffle)
        _write_sheet(chosen, target, size or [96], columns, line_width)
        typer.echo(f"{len(chosen)} drawings -> {target}{reading.losses}")
        return
    if suffix not in ("", ".parquet"):
        raise ParameterError(
            f"{target}: a sheet is {', '.join(_SHEETS)}; images are a folder (no suffix) or .parquet; not {suffix}"
        )
    from sketchkit.recipes.pyramid_files import write_pyramid

    sizes = size or [32, 64, 128, 256]
    with Reading(sources, format, first, on_error, skipped, "render", target) as reading:
        written = write_pyramid(reading, target, sizes, line_width=line_width)
    typer.echo(f"{written} drawings at {', '.join(map(str, sizes))} px -> {target}{reading.losses}")


def measure(
    sources: Sources,
    out: Annotated[Path | None, typer.Option(help="Every drawing's values: .csv, .parquet or .ndjson.")] = None,
    name: Annotated[list[str] | None, typer.Option(help="Only this measure; may be given several times.")] = None,
    format: FormatOption = None,
    first: FirstOption = None,
    on_error: OnErrorOption = OnError.RAISE,
    skipped: SkippedOption = None,
) -> None:
    """Measure how abstract drawings are: a summary, or every drawing's values in a table."""
    from sketchkit.measures import MEASURES
    from sketchkit.recipes.measure_tables import summarize, writing

    names = list(name or MEASURES)
    parts: list[dict[str, Any]] = []
    with ExitStack() as stack:
        write = stack.enter_context(writing(out, names)) if out is not None else None
        reading = stack.enter_context(Reading(sources, format, first, on_error, skipped, "measure", out))
        for chunk in reading:
            values = sketchkit.measure(chunk, names)
            # For quantiles that are read, half the digits do.
            parts.append({known: found.astype(np.float32) for known, found in values.items()})
            if write is not None:
                write(chunk, values)
    typer.echo(summarize(parts))
    if out is not None:
        typer.echo(f"{reading.count} drawings -> {out}{reading.losses}")


class Reading:
    """The sources as sets of drawings under a bar; counts them and what is skipped, and writes that down.

    Args:
        sources: as `sketchkit.scan` takes them.
        format: of all sources; None: found by content.
        first: only so many drawings; None: all.
        on_error: whether bad records end it, or are left out and counted.
        skipped: a file of what was left out and why, written inside `with`; None: none.
        verb: shown on the bar.
        target: where the result goes, which `skipped` must not be.

    Raises:
        ParameterError: `skipped` is given but bad records are not left out, or it is `target`.
    """

    def __init__(
        self,
        sources: list[str],
        format: str | None,
        first: int | None,
        on_error: OnError,
        skipped: Path | None,
        verb: str,
        target: Path | None = None,
    ) -> None:
        if skipped is not None and on_error is OnError.RAISE:
            raise ParameterError("--skipped names a file for skipped records: add --on-error skip")
        if skipped is not None and target is not None and skipped.resolve() == target.resolve():
            raise ParameterError(f"--skipped and the result are both {target}; name another file for what is skipped")
        self.count = 0
        self.skipped = 0
        self._record: Callable[[dict[str, Any]], None] | None = None
        self._target = skipped
        self._stack = ExitStack()
        skipping: dict[str, Any] = {"on_error": "skip", "on_skip": self._skip} if on_error is OnError.SKIP else {}
        self._chunks = counted(
            _first(
                sketchkit.scan(sources if len(sources) > 1 else sources[0], format, **skipping),
                first,
            ),
            verb,
        )

    def __enter__(self) -> Reading:
        if self._target is not None:
            temporary = self._stack.enter_context(atomic.replacing(self._target))
            file = self._stack.enter_context(temporary.open("w", encoding="utf-8", errors="backslashreplace"))
            self._record = lambda row: print(json.dumps(row, ensure_ascii=False), file=file)
        return self

    def __exit__(self, *error: Any) -> bool | None:
        return self._stack.__exit__(*error)

    def __iter__(self) -> Iterator[SketchSet]:
        for chunk in self._chunks:
            self.count += len(chunk)
            yield chunk

    @property
    def losses(self) -> str:
        """What the last line of a verb adds about skipped records."""
        if not self.skipped:
            return ""
        return f"; skipped {self.skipped} bad records" + (f" ({self._target})" if self._target else "")

    def _skip(self, record: SkippedRecord) -> None:
        self.skipped += 1
        if self._record is not None:
            self._record({"file": record.file, "record": record.record, "error": record.fact})


def _first(chunks: Iterable[SketchSet], count: int | None) -> Iterator[SketchSet]:
    if count is None:
        yield from chunks
        return
    for chunk in chunks:
        yield chunk[:count]
        count -= len(chunk)
        if count <= 0:
            return


def _steps(
    fit: float | None, resample: float | None, simplify: float | None, max_points: int | None, quickdraw: bool
) -> Callable[[SketchSet], SketchSet]:
    def apply(chunk: SketchSet) -> SketchSet:
        if fit is not None:
            chunk = sketchkit.fit(chunk, fit, align="corner")
        if resample is not None:
            chunk = sketchkit.resample(chunk, resample)
        if quickdraw:
            chunk = sketchkit.quickdraw_simplify(chunk)
        if simplify is not None or max_points is not None:
            chunk = sketchkit.simplify(chunk, simplify, max_points=max_points)
        return chunk

    return apply


def _sample(chunks: Iterable[SketchSet], count: int, seed: int | None) -> SketchSet:
    """The first `count` drawings, or `count` of all, each as likely (Vitter 1985, algorithm R), in file order."""
    drawings = ((index, sketch) for index, sketch in enumerate(sketch for chunk in chunks for sketch in chunk))
    kept = list(islice(drawings, count))
    if seed is not None:
        generator = np.random.default_rng(seed)
        for index, sketch in drawings:
            place = int(generator.integers(index + 1))
            if place < count:
                kept[place] = (index, sketch)
        kept.sort(key=lambda pair: pair[0])
    # Times and the like are not drawn, and not all sources need have them.
    return SketchSet.from_sketches(replace(sketch, point_columns={}) for _, sketch in kept)


def _write_sheet(sketches: SketchSet, target: Path, sizes: list[int], columns: int, line_width: float) -> None:
    from sketchkit.contact_sheet import sheet_html, sheet_png, sheet_svg

    if len(sizes) > 1:
        raise ParameterError("a sheet has cells of one size; several sizes are for images (a folder or .parquet)")
    if not len(sketches):
        raise ParameterError("there are no drawings to put on a sheet")
    suffix = target.suffix.lower()
    if suffix == ".png":
        atomic.write_bytes(target, sheet_png(sketches, cell=sizes[0], columns=columns, line_width=line_width))
    elif suffix == ".svg":
        atomic.write_text(target, sheet_svg(sketches, cell=sizes[0], columns=columns))
    else:
        atomic.write_text(target, sheet_html(sketches, cell=sizes[0], title=target.stem))


_SHEETS = (".png", ".svg", ".html")
