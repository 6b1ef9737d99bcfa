"""SVG files, one drawing each, and folders of them (TU-Berlin, Sketchy, OpenMoji, QMUL).

Source: https://www.w3.org/TR/SVG11/. A subpath is a stroke; `Z` appends its start point; curves become polylines within
a tolerance. Outlines count as strokes whether they are painted with a stroke or filled. Not read: text, images, style
sheets, clipping, dashes.

    file     label and key from `data-label` and `data-key` of the root, which `write` puts there; key: the name
    folder   every `*.svg`, `*.svgz`, `*.svg.gz` beneath it, sorted; key: its path without the suffix;
             label: the folder it lies in, when that is not the folder itself;
             links: `sketchkit.formats.svg_files` says which are followed
"""

from __future__ import annotations

import math
import os
import re
import warnings
from pathlib import Path
from typing import BinaryIO
from xml.sax.saxutils import escape, quoteattr

import numpy as np
import orjson
from numpy.typing import NDArray

from sketchkit import atomic
from sketchkit.blocks import as_block, require_finite
from sketchkit.errors import DataError, MissingDataError, OutputError, ParameterError, SketchkitWarning
from sketchkit.formats.registry import Format
from sketchkit.formats.source import bare_suffix
from sketchkit.formats.svg_documents import TOLERANCE, sketch_of
from sketchkit.formats.svg_files import SUFFIXES, document_of, has_files, scan
from sketchkit.sketch import Sketch
from sketchkit.sketch_set import SketchSet

__all__ = ["FORMAT", "read_svg", "sketch_to_svg"]


def read_svg(
    source: str | bytes | os.PathLike[str], *, tolerance: float = TOLERANCE, group: str | None = None
) -> Sketch:
    """Read a drawing from an SVG file (also packed by gzip), or from SVG text.

    Args:
        source: a path; or the text itself, which starts with `<`.
        tolerance: how far a flattened curve may lie from the true one, in the SVG's user units.
        group: the id of an element; only what is beneath it is drawn (`group="line"`: OpenMoji's line art).

    Returns:
        The drawing in the SVG's user units; `meta["viewBox"]` is the view box as it is written there.

    Raises:
        DataError: this is no SVG, draws nothing, or something in it cannot be read.
        MissingDataError: the file is not there.
        ParameterError: the tolerance is not positive.

    Example:
        >>> read_svg('<svg><g transform="scale(2)"><path d="M0 0 h5 v5 z"/></g></svg>').strokes[0].tolist()
        [[0.0, 0.0], [10.0, 0.0], [10.0, 10.0], [0.0, 0.0]]
    """
    if not (tolerance > 0 and math.isfinite(tolerance)):
        raise ParameterError(f"tolerance must be a positive number of user units, not {tolerance}")
    if isinstance(source, bytes) or (isinstance(source, str) and source.lstrip("\ufeff \t\r\n").startswith("<")):
        return sketch_of(source.lstrip("\ufeff \t\r\n") if isinstance(source, str) else source, tolerance, group)
    path = Path(source)
    try:
        return sketch_of(document_of(path), tolerance, group)
    except FileNotFoundError:
        raise MissingDataError(f"{path}: there is no such file") from None
    except (DataError, OSError) as error:
        raise DataError(f"{path}: {error}") from error


def sketch_to_svg(sketch: Sketch, *, stroke_width: float | None = None) -> str:
    """SVG text, one path a stroke, in drawing order, on a tight view box; in the color of the text around it.

    Empty strokes are left out, a stroke of one point becomes a dot (which reads back as two equal points). All other
    strokes read back as the same float32, bit for bit; only -0 reads back as 0.

    Args:
        sketch: its label and key, when there, are written as `data-label` and `data-key`.
        stroke_width: in the drawing's own units; default 1 % of its longer side.

    Raises:
        DataError: a coordinate is not finite.
        ParameterError: the stroke width is not positive.
    """
    points = require_finite(as_block(sketch)).points.astype(np.float64)
    low, high = (points.min(axis=0), points.max(axis=0)) if len(points) else (np.zeros(2), np.zeros(2))
    width = stroke_width if stroke_width is not None else float((high - low).max()) / 100 or 1.0
    if not (width > 0 and math.isfinite(width)):
        raise ParameterError(f"stroke_width must be a positive number, not {stroke_width}")
    corner, size = low - width, high - low + 2 * width
    named = "".join(
        f" data-{name}={quoteattr(_legal(value))}"
        for name, value in (("label", sketch.label), ("key", sketch.key))
        if value is not None
    )
    title = "" if sketch.label is None else f"<title>{escape(_legal(sketch.label))}</title>\n"
    written = _written(sketch.points)
    paths = [
        f'<path d="{_path_data(written[a:b])}"/>\n'
        for a, b in zip(sketch.offsets[:-1], sketch.offsets[1:], strict=True)
        if b > a
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{corner[0]:.9g} {corner[1]:.9g} {size[0]:.9g} {size[1]:.9g}"'
        f' style="max-width:20em;max-height:20em"{named}>\n{title}'
        f'<g fill="none" stroke="currentColor" stroke-width="{width:.9g}"'
        f' stroke-linecap="round" stroke-linejoin="round">\n{"".join(paths)}</g>\n</svg>\n'
    )


def sniff(head: bytes, path: Path) -> bool:
    """Whether this is XML with an `svg` element, or a folder with SVG files."""
    if path.is_dir():
        return has_files(path)
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    return start.startswith(b"<") and (b"<svg" in start or bare_suffix(path) in SUFFIXES)


def write(sketches: SketchSet, stream: BinaryIO) -> None:
    """Write one drawing.

    Raises:
        DataError: there is not exactly one drawing, or a coordinate is not finite.
    """
    if len(sketches) != 1:
        raise DataError(f"an SVG file holds one drawing, not {len(sketches)}; name a folder (a path without a suffix)")
    stream.write(sketch_to_svg(sketches[0]).encode())


def write_folder(sketches: SketchSet, folder: Path) -> None:
    """Write one file a drawing, named by its key where all keys are plain relative paths, else by its number.

    Raises:
        OutputError: the folder holds SVG files already, or cannot be written.
    """
    if folder.is_dir() and sniff(b"", folder):
        raise OutputError(f"{folder}: holds SVG files already; name a new folder")
    names = [str(key) for key in sketches.columns.get("key", [])]
    # Names that differ only in case are one file on some systems.
    if not names or len({name.lower() for name in names}) < len(names) or not all(map(_PLAIN_NAME.fullmatch, names)):
        names = [f"{index:06d}" for index in range(len(sketches))]
    for name, sketch in zip(names, sketches, strict=True):
        path = folder / f"{name}.svg"
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic.write_text(path, sketch_to_svg(sketch))


FORMAT = Format(
    "svg",
    SUFFIXES,
    sniff,
    scan,
    write,
    write_folder,
    columns=frozenset({"label", "key", "viewBox"}),
)

# Parts that begin with no dot, so that none leads out of the folder.
_PLAIN_NAME = re.compile(r"[\w-][\w .+()-]*(/[\w-][\w .+()-]*)*")
_ILLEGAL_IN_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _legal(value: object) -> str:
    legal, changed = _ILLEGAL_IN_XML.subn("\ufffd", str(value))
    if changed:
        warnings.warn(f"XML has no place for {changed} characters of {value!r}", SketchkitWarning, stacklevel=4)
    return legal


def _written(points: NDArray[np.float32]) -> list[str]:
    """For each point its x and y: the shortest texts that read back as the same float32."""
    lists = orjson.dumps(np.ascontiguousarray(points, np.float32), option=orjson.OPT_SERIALIZE_NUMPY).decode()
    return lists[2:-2].replace("],[", ";").replace(",", " ").split(";")


def _path_data(points: list[str]) -> str:
    first, *others = points
    return f"M{first}L{' '.join(others)}" if others else f"M{first}Z"
