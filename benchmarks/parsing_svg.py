"""Reading SVG files against svgpathtools, svgelements, vpype and a regular expression, interleaved in one process.

    python benchmarks/parsing_svg.py [--sketches 300] [--rounds 7] [--data FILE]

Each drawing is one file, each stroke one path: of lines as drawn, or of cubics through the same points (Catmull-Rom).
All read the files from disk; sketchkit reads them as a folder. Peers end with arrays too: one of points a stroke. On
cubics the peers take eight steps a curve; sketchkit flattens within a tolerance, of 0.1 units, and of what makes its
points no fewer than the peers'. Before timing, all results are compared: equal points for lines, and for cubics all of
the peers' points on sketchkit's polylines. Drawings are real ones where `--data` is there, else made ones.
"""

from __future__ import annotations

import importlib.util
import re
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import shapely

import sketchkit
from sketchkit import SketchSet
from sketchkit.formats.svg_documents import general_sketch, plain_documents
from sketchkit.formats.svg_files import document_of

from contest import Table, contest, markdown
from stroke_data import argument_parser, stroke_drawings

__all__ = ["tables"]

STEPS = 8
SHARES = np.arange(1, STEPS + 1) / STEPS
DRAWINGS = 300
Strokes = list[np.ndarray]


def main() -> None:
    """Print the tables."""
    parser = argument_parser(__doc__, rounds=7)
    parser.set_defaults(sketches=DRAWINGS)
    arguments = parser.parse_args()
    for table in tables(arguments.rounds, stroke_drawings(arguments.data, arguments.sketches)):
        print(markdown(table))


def tables(rounds: int, drawings: SketchSet | None = None) -> list[Table]:
    """Lines, then cubics; the drawings are the first 300 of ChairV2 unless others are given."""
    if drawings is None:
        drawings = stroke_drawings(argument_parser("", rounds=1).parse_args([]).data, DRAWINGS)
    with tempfile.TemporaryDirectory() as folder:
        lines, cubics = Path(folder, "lines"), Path(folder, "cubics")
        _write(lines, drawings, _lines)
        _write(cubics, drawings, _cubics)
        return [_table_of_lines(lines, rounds), _table_of_cubics(cubics, rounds)]


def _write(folder: Path, drawings: SketchSet, path_data: Callable[[np.ndarray], str]) -> None:
    folder.mkdir()
    for index, sketch in enumerate(drawings):
        paths = "\n".join(f'<path d="{path_data(stroke)}"/>' for stroke in sketch.strokes)
        text = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 256 256">\n{paths}\n</svg>\n'
        (folder / f"{index:05d}.svg").write_text(text)


def _lines(stroke: np.ndarray) -> str:
    first, *others = (f"{x} {y}" for x, y in stroke.astype(str))
    return f"M{first}L{' '.join(others)}"


def _cubics(stroke: np.ndarray) -> str:
    """Catmull-Rom: the tangent at each point is half the way from the point before it to the next."""
    points = stroke.astype(np.float64)
    padded = np.concatenate([points[:1], points, points[-1:]])
    tangents = (padded[2:] - padded[:-2]) / 6
    controls = np.stack([points[:-1] + tangents[:-1], points[1:] - tangents[1:], points[1:]], axis=1)
    curves = " ".join(" ".join(f"{value:.3f}" for value in curve.ravel()) for curve in controls)
    return f"M{points[0, 0]:.3f} {points[0, 1]:.3f}C{curves}"


def _table_of_lines(folder: Path, rounds: int) -> Table:
    files = sorted(folder.iterdir())
    contestants: dict[str, Callable[[], object]] = {"sketchkit.read": lambda: sketchkit.read(folder)}
    ours = _strokes_of(sketchkit.read(folder))
    readers: dict[str, Callable[[Path], Strokes] | None] = {
        "regular expression + numpy": _regex_lines,
        "svgpathtools": _svgpathtools_lines,
        "svgelements": _svgelements_lines if _is_installed("svgelements") else None,
        "vpype": _vpype if _is_installed("vpype") else None,
        "sketchkit's general parser": lambda file: list(general_sketch(file.read_bytes(), 0.1).strokes),
    }
    for name, reader in readers.items():
        if reader is None:
            continue
        theirs = [stroke for file in files for stroke in reader(file)]
        assert len(theirs) == len(ours), name
        for mine, other in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(mine, other, atol=1e-4, err_msg=name)
        contestants[name] = partial(_each, reader, files)
    return _table("SVG files of polylines", contestants, readers, files, rounds, ["15 x svgpathtools"])


def _table_of_cubics(folder: Path, rounds: int) -> Table:
    files = sorted(folder.iterdir())
    peers: dict[str, Callable[[Path], Strokes] | None] = {
        "regular expression + numpy, 8 steps": _regex_cubics,
        "svgpathtools, 8 steps": _svgpathtools_cubics,
        "svgelements, 8 steps": _svgelements_cubics if _is_installed("svgelements") else None,
    }
    theirs = [stroke for file in files for stroke in _regex_cubics(file)]
    tolerance = _tolerance_of(files, sum(map(len, theirs)))
    ours = _strokes_of(sketchkit.read(folder))
    fine = plain_documents([document_of(file) for file in files], tolerance)
    name_of_fine = f"sketchkit, {len(fine.points) / sum(map(len, theirs)):.2f} x the points of 8 steps"
    contestants: dict[str, Callable[[], object]] = {
        "sketchkit.read, tolerance 0.1": lambda: sketchkit.read(folder),
        name_of_fine: lambda: plain_documents([document_of(file) for file in files], tolerance),
    }
    for name, reader in peers.items():
        if reader is None:
            continue
        for mine, other in zip(ours, (stroke for file in files for stroke in reader(file)), strict=True):
            distances = shapely.distance(shapely.points(other), shapely.linestrings(mine.astype(np.float64)))
            assert distances.max() < 0.1 + 1e-4, name
        contestants[name] = partial(_each, reader, files)
    return _table("SVG files of cubics", contestants, peers, files, rounds, ["40 x svgpathtools", "40 x svgpathtools"])


def _tolerance_of(files: Sequence[Path], points: int) -> float:
    """The greatest tolerance, of those halved again and again, that gives at least so many points."""
    documents, tolerance = [document_of(file) for file in files], 0.1
    while len(plain_documents(documents, tolerance).points) < points:
        tolerance /= 1.05
    return tolerance


def _table(
    title: str,
    contestants: dict[str, Callable[[], object]],
    readers: dict[str, Callable[[Path], Strokes] | None],
    files: Sequence[Path],
    rounds: int,
    targets: Sequence[str],
) -> Table:
    times = contest(contestants, rounds)
    size = sum(file.stat().st_size for file in files)
    reference = next(time.cpu for name, time in times.items() if name.startswith("svgpathtools"))
    rows = [
        [
            name,
            f"{len(files) / time.cpu:,.0f}",
            f"{size / time.cpu / 1e6:,.0f}",
            f"{reference / time.cpu:.1f}",
            targets[index] if index < len(targets) else "",
        ]
        for index, (name, time) in enumerate(times.items())
    ]
    rows += [[name, "not installed", "", "", ""] for name, reader in readers.items() if reader is None]
    note = (
        f"{len(files)} files, {size / len(files):.0f} bytes each, read from disk; CPU time of all threads together, "
        f"best of {rounds}. Lines: all points equal within 1e-4; cubics: all peers' points within 0.1 of our polylines."
    )
    return Table(title, ["", "files/s", "MB/s", "x svgpathtools", "target"], rows, note)


def _each(reader: Callable[[Path], Strokes], files: Sequence[Path]) -> list[Strokes]:
    return [reader(file) for file in files]


def _strokes_of(drawings: SketchSet) -> Strokes:
    return [stroke for sketch in drawings for stroke in sketch.strokes]


def _is_installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


_DATA = re.compile(r'<path d="M([^"]*)"')
_LETTERS = str.maketrans("LC", "  ")


def _regex_lines(file: Path) -> Strokes:
    data = _DATA.findall(file.read_text())
    return [np.array(text.translate(_LETTERS).split(), np.float64).reshape(-1, 2) for text in data]


def _regex_cubics(file: Path) -> Strokes:
    strokes = []
    t = SHARES[:, None]
    for points in _regex_lines(file):
        p0, p1, p2, p3 = points[0:-1:3, None], points[1::3, None], points[2::3, None], points[3::3, None]
        curve = (1 - t) ** 3 * p0 + 3 * (1 - t) ** 2 * t * p1 + 3 * (1 - t) * t**2 * p2 + t**3 * p3
        strokes.append(np.concatenate([points[:1], curve.reshape(-1, 2)]))
    return strokes


def _svgpathtools_lines(file: Path) -> Strokes:
    from svgpathtools import svg2paths

    paths, _ = svg2paths(str(file))
    return [_of_complex([path[0].start, *(segment.end for segment in path)]) for path in paths]


def _svgpathtools_cubics(file: Path) -> Strokes:
    from svgpathtools import svg2paths

    paths, _ = svg2paths(str(file))
    return [_of_complex(np.concatenate([[path[0].start], *(s.points(SHARES) for s in path)])) for path in paths]


def _of_complex(values: Sequence[complex] | np.ndarray) -> np.ndarray:
    return np.array(values, np.complex128).view(np.float64).reshape(-1, 2)


def _svgelements_lines(file: Path) -> Strokes:
    from svgelements import SVG
    from svgelements import Path as Drawn

    drawn = [element for element in SVG.parse(file).elements() if isinstance(element, Drawn)]
    return [np.array([(segment.end.x, segment.end.y) for segment in path]) for path in drawn]


def _svgelements_cubics(file: Path) -> Strokes:
    from svgelements import SVG
    from svgelements import Path as Drawn

    strokes = []
    for path in (element for element in SVG.parse(file).elements() if isinstance(element, Drawn)):
        move, *curves = path
        start = np.array([[move.end.x, move.end.y]])
        strokes.append(np.concatenate([start, *(np.asarray(curve.npoint(SHARES)) for curve in curves)]))
    return strokes


def _vpype(file: Path) -> Strokes:
    import vpype

    lines, _, _ = vpype.read_svg(str(file), quantization=0.1, simplify=False)
    return [_of_complex(line) for line in lines]


if __name__ == "__main__":
    main()
