"""Drawings by category: a file each, read as far as needed, and split by a hash of their keys."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sketchkit.errors import DataError, MissingDataError, ParameterError
from sketchkit.formats.registry import lookup, names
from sketchkit.formats.source import bare_suffix
from sketchkit.reading import scan
from sketchkit.recipes.progress import progress
from sketchkit.recipes.recognition.config import CategoriesConfig
from sketchkit.sketch_set import SketchSet

__all__ = ["LabeledDrawings", "RecognitionData", "category_files", "load_drawings"]

_CHUNK = 4096
_PACKED = (".gz", ".zst")


@dataclass(frozen=True, eq=False)
class LabeledDrawings:
    """Drawings of several categories.

    Args:
        sketches: with the columns `key` and `label`.
        labels: (sketches,) int64 into the categories.
    """

    sketches: SketchSet
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class RecognitionData:
    """What is trained on, what gives the selector's rewards, what is evaluated, and how they were told apart.

    Args:
        categories: their names; a drawing's label is the place of its category here.
        train: drawings that networks are trained on.
        validation: drawings that only the selector learns from, by what a trained network makes of them.
        test: drawings that are evaluated at the end.
        description: in a few words how the three were cut.
    """

    categories: tuple[str, ...]
    train: LabeledDrawings
    validation: LabeledDrawings
    test: LabeledDrawings
    description: str


def load_drawings(config: CategoriesConfig) -> RecognitionData:
    """Read the categories and split them.

    In each category the drawings are sorted by the SHA-256 of their keys and cut by the shares: whatever the order in
    the file, the same drawings give the same split, and a drawing that is there twice is on one side. Where a file has
    no keys the drawing itself is hashed.

    Args:
        config: folder, categories, limits and shares.

    Raises:
        ParameterError: there is no `root`, or it holds fewer categories than asked for.
        MissingDataError: the folder or the file of a category is not there.
        DataError: a file cannot be read, or a category has too few drawings.
    """
    if config.root is None:
        raise ParameterError("recognition needs data.root=FOLDER, a folder with a file of drawings for each category")
    chosen = _choose(Path(config.root), config.categories)
    sides: dict[str, list[tuple[SketchSet, int]]] = {"train": [], "validation": [], "test": []}
    for label, (category, path) in enumerate(progress(chosen.items(), "reading drawings", unit="category")):
        drawings = _read(path, category, config)
        for name, rows in _cut(path, drawings.columns["key"], config).items():
            sides[name].append((drawings[rows], label))
    data = {name: _joined(parts) for name, parts in sides.items()}
    shares = f"{config.test_share:.0%} test, {config.validation_share:.0%} validation"
    description = f"of each category {shares}, by the SHA-256 of keys"
    return RecognitionData(tuple(chosen), description=description, **data)


def category_files(root: Path) -> dict[str, Path]:
    """The categories of a folder, by name without regard to case: files of drawings, and folders.

    Args:
        root: the folder; `cat.ndjson.gz` and a folder `cat` are both the category `cat`.

    Raises:
        MissingDataError: there is no such folder, or nothing in it.
        DataError: two files are of one category.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> for name in ("The Eiffel Tower.ndjson", "cat.ndjson.gz", "README.md"):
        ...     _ = (folder / name).write_text("")
        >>> list(category_files(folder))
        ['cat', 'The Eiffel Tower']
    """
    if not root.is_dir():
        raise MissingDataError(f"{root}: no such folder; data.root holds a file of drawings for each category")
    suffixes = {suffix for name in names() for suffix in lookup(name).suffixes}
    found: dict[str, Path] = {}
    for path in sorted(root.iterdir(), key=lambda path: (path.name.casefold(), path.name)):
        if path.name.startswith(".") or not (path.is_dir() or bare_suffix(path) in suffixes):
            continue
        category = path.name if path.is_dir() else _without_suffixes(path)
        if category in found:
            raise DataError(f"{path} and {found[category].name} are of one category; keep one of them in the folder")
        found[category] = path
    if not found:
        raise MissingDataError(f"{root}: no drawings there; data.root holds a file of drawings for each category")
    return dict(sorted(found.items(), key=lambda item: (item[0].casefold(), item[0])))


def _without_suffixes(path: Path) -> str:
    return Path(path.stem).stem if path.suffix.lower() in _PACKED else path.stem


def _choose(root: Path, wanted: int | Sequence[str]) -> dict[str, Path]:
    found = category_files(root)
    if isinstance(wanted, int):
        if wanted > len(found):
            raise ParameterError(f"data.categories={wanted}, but {root} holds {len(found)}")
        return {name: found[name] for name in list(found)[:wanted]}
    for name in wanted:
        if name not in found:
            near = difflib.get_close_matches(name, found, n=1)
            hint = (
                f"did you mean {near[0]!r}?" if near else f"there are {len(found)}, the first is {next(iter(found))!r}"
            )
            raise MissingDataError(f"{root}: no file of the category {name!r}; {hint}")
    return {name: found[name] for name in wanted}


def _read(path: Path, category: str, config: CategoriesConfig) -> SketchSet:
    """The drawings that are wanted, their keys as text; what comes after them in the file is not parsed."""
    limit = config.max_per_category
    parts: list[SketchSet] = []
    count = 0
    for drawings in scan(path, chunk=_CHUNK if limit is None else min(limit, _CHUNK)):
        kept = drawings
        if config.recognized_only and "recognized" in drawings.columns:
            kept = drawings[np.flatnonzero([bool(value) for value in drawings.columns["recognized"]])]
        _require_finite(path, kept)
        parts.append(_bare(kept))
        count += len(kept)
        if limit is not None and count >= limit:
            break
    joined = SketchSet.concat(parts)[:limit]
    return joined.with_columns(label=np.full(len(joined), category, object))


def _bare(drawings: SketchSet) -> SketchSet:
    """Strokes and keys: files of one set may differ in all else, such as times."""
    given = drawings.columns.get("key", np.full(len(drawings), None, object))
    keys = [_content_key(drawings, index) if key is None else str(key) for index, key in enumerate(given.tolist())]
    columns = {"key": np.array(keys, object)}
    return SketchSet(drawings.points, drawings.stroke_offsets, drawings.sketch_offsets, columns)


def _content_key(drawings: SketchSet, index: int) -> str:
    sketch = drawings[index]
    return hashlib.sha256(sketch.points.tobytes() + sketch.offsets.tobytes()).hexdigest()[:16]


def _require_finite(path: Path, drawings: SketchSet) -> None:
    if not np.isfinite(drawings.points).all():
        raise DataError(f"{path}: a drawing has a coordinate that is NaN or infinite; remove that drawing")


def _cut(path: Path, keys: NDArray[np.object_], config: CategoriesConfig) -> dict[str, NDArray[np.int64]]:
    hashes = [hashlib.sha256(key.encode()).digest() for key in keys.tolist()]
    place = {digest: index for index, digest in enumerate(sorted(set(hashes)))}
    count = len(place)
    if count < 3:
        raise DataError(
            f"{path}: {count} drawing{'s' * (count != 1)} that can be used; a category needs at least 3, "
            "one each for training, validation and test"
        )
    test = max(1, round(config.test_share * count))
    validation = min(max(1, round(config.validation_share * count)), count - test - 1)
    position = np.array([place[digest] for digest in hashes])
    return {
        "test": np.flatnonzero(position < test),
        "validation": np.flatnonzero((position >= test) & (position < test + validation)),
        "train": np.flatnonzero(position >= test + validation),
    }


def _joined(parts: Sequence[tuple[SketchSet, int]]) -> LabeledDrawings:
    labels: NDArray[np.int64] = np.repeat([label for _, label in parts], [len(drawings) for drawings, _ in parts])
    return LabeledDrawings(SketchSet.concat(drawings for drawings, _ in parts), labels)
