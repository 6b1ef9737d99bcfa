"""Files of predictions: what a model answers to every query, for any program to score (docs/predictions.md).

Two kinds are read, told apart by their content:

- a JSON object a line: `{"row": "v1@64", "sketch": KEY, "canvas": 64, "ranking": [KEY, ...]}`, the whole gallery, best
  photo first; `row` names the model, a file may hold several. `canvas` and `scores` (one a photo, never rising) may be
  left out, and so may `row` in a file of one model. Further fields are left alone.
- TREC runs: `query Q0 photo rank score tag` in columns. The score decides, as in trec_eval; the tag names the model.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from sketchkit import atomic
from sketchkit.errors import DataError, MissingDataError, SketchkitError
from sketchkit.recipes.run_folder import make_folder

__all__ = ["Answer", "answers_from_order", "read_predictions", "write_predictions", "write_trec"]


@dataclass(frozen=True)
class Answer:
    """What a model answers to one query.

    Args:
        sketch: key of the query.
        ranking: keys of photos, best first.
        canvas: where the sketch was drawn: a side in pixels, or words such as `192x128`; None: not known.
        scores: one number a photo of `ranking`, never rising; photos of equal score are equally near.

    Raises:
        DataError: a key is empty or no text, a photo stands twice, the scores do not fit the ranking.

    Example:
        >>> Answer("chair_1", ("stool", "chair"), 64).ranking[0]
        'stool'
    """

    sketch: str
    ranking: tuple[str, ...]
    canvas: int | str | None = None
    scores: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if not _is_key(self.sketch):
            raise DataError(f"sketch must be a key, a text that is not empty, not {self.sketch!r}")
        if not self.ranking or not all(map(_is_key, self.ranking)):
            raise DataError(f"sketch {self.sketch!r}: ranking must be a list of photo keys, best first")
        if len(set(self.ranking)) < len(self.ranking):
            twice = next(photo for place, photo in enumerate(self.ranking) if photo in self.ranking[:place])
            raise DataError(f"sketch {self.sketch!r}: photo {twice!r} stands twice in its ranking; name each once")
        if isinstance(self.canvas, bool) or not isinstance(self.canvas, int | str | None):
            raise DataError(f"sketch {self.sketch!r}: canvas must be a whole number, a text or null")
        if self.scores is not None:
            self._check_scores(self.scores)

    def _check_scores(self, scores: tuple[float, ...]) -> None:
        if len(scores) != len(self.ranking):
            raise DataError(
                f"sketch {self.sketch!r}: {len(scores)} scores for {len(self.ranking)} photos; give one each"
            )
        if not all(isinstance(score, int | float) and math.isfinite(score) for score in scores):
            raise DataError(f"sketch {self.sketch!r}: scores must be finite numbers")
        if any(later > earlier for earlier, later in pairwise(scores)):
            raise DataError(f"sketch {self.sketch!r}: scores rise along the ranking; the best photo comes first")


Predictions = Mapping[str, Sequence[Answer]]


def answers_from_order(
    sketches: Sequence[str],
    photos: Sequence[str],
    order: NDArray[np.int64],
    canvases: int | str | Sequence[int | str] | None,
) -> list[Answer]:
    """The answers of one model, from indices.

    Args:
        sketches: keys of the queries.
        photos: keys of the gallery.
        order: (sketches, photos) indices of photos, best first, as of `evaluation.rankings`.
        canvases: one for all sketches, or one each.

    Example:
        >>> answers_from_order(["chair_1"], ["chair", "stool"], np.array([[1, 0]]), 64)
        [Answer(sketch='chair_1', ranking=('stool', 'chair'), canvas=64, scores=None)]
    """
    each = [canvases] * len(sketches) if isinstance(canvases, int | str | None) else canvases
    return [
        Answer(str(sketch), tuple(photos[index] for index in line), canvas)
        for sketch, line, canvas in zip(sketches, order.tolist(), each, strict=True)
    ]


def write_predictions(path: Path, predictions: Mapping[str, Sequence[Answer]]) -> None:
    """Write a JSON object a line, atomically.

    Args:
        path: of the file; `predictions.ndjson` in a run's folder.
        predictions: row -> the answers of that model.

    Raises:
        OutputError: the file cannot be written.

    Example:
        >>> write_predictions(Path("made.ndjson"), {"v1@64": [Answer("chair_1", ("stool", "chair"), 64)]})
        >>> print(Path("made.ndjson").read_text(), end="")
        {"row":"v1@64","sketch":"chair_1","canvas":64,"ranking":["stool","chair"]}
        >>> read_predictions(Path("made.ndjson"))["v1@64"][0].ranking
        ('stool', 'chair')
    """
    lines = []
    for row, answers in predictions.items():
        for answer in answers:
            line = {"row": row, "sketch": answer.sketch, "canvas": answer.canvas, "ranking": answer.ranking}
            scores = {} if answer.scores is None else {"scores": answer.scores}
            lines.append(orjson.dumps(line | scores, option=orjson.OPT_APPEND_NEWLINE))
    atomic.write_bytes(path, b"".join(lines))


def read_predictions(path: Path) -> dict[str, list[Answer]]:
    """Read a file of predictions of either kind: row -> the answers of that model.

    Args:
        path: of the file.

    Raises:
        MissingDataError: there is no such file.
        DataError: it is of neither kind, or a line does not hold what it should; the message names the line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise MissingDataError(f"{path}: no such file of predictions") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: this file of predictions cannot be read: {error}") from None
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not lines:
        raise DataError(f"{path}: the file is empty; it should hold an answer to every query")
    read = _from_objects if lines[0][1].lstrip().startswith("{") else _from_trec
    predictions: dict[str, list[Answer]] = {}
    for row, answer in read(path, lines):
        predictions.setdefault(row, []).append(answer)
    for row, answers in predictions.items():
        _require_distinct(f"{path}: {row}", answers)
    return predictions


def write_trec(
    folder: Path, predictions: Mapping[str, Sequence[Answer]], photo_of_sketch: Mapping[str, str]
) -> list[Path]:
    """Write what trec_eval, pytrec_eval and ranx take: `qrels.txt`, and a run for each row.

    Args:
        folder: made where needed; `v1@64.run` in it is the run of row `v1@64`.
        predictions: row -> the answers of that model.
        photo_of_sketch: the right photo of each sketch.

    Returns:
        The files.

    Raises:
        DataError: a key has white space in it, or two rows have one file name.
        OutputError: the folder cannot be written.
    """
    names = {row: re.sub(r"[^\w@.+-]+", "-", row) for row in predictions}
    if len(set(names.values())) < len(names):
        raise DataError(f"the rows {', '.join(names)} do not have a file name each; rename one of them")
    keys = {*photo_of_sketch, *photo_of_sketch.values()}
    for key in sorted(keys.union(*(answer.ranking for answers in predictions.values() for answer in answers))):
        if len(key.split()) != 1:
            raise DataError(f"the key {key!r} has white space in it, which a TREC run cannot hold; write no TREC runs")
    made = make_folder(folder)
    judged = "".join(f"{sketch} 0 {photo} 1\n" for sketch, photo in photo_of_sketch.items())
    texts = {"qrels.txt": judged} | {f"{names[row]}.run": _run(names[row], predictions[row]) for row in predictions}
    for name, text in texts.items():
        atomic.write_text(made / name, text)
    return [made / name for name in texts]


def _is_key(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _from_objects(path: Path, lines: Iterable[tuple[int, str]]) -> Iterable[tuple[str, Answer]]:
    for number, line in lines:
        yield _from_object(path, number, line)


def _from_object(path: Path, number: int, line: str) -> tuple[str, Answer]:
    try:
        value = orjson.loads(line)
        if not isinstance(value, dict):
            raise DataError("a line must be a JSON object")
        row = value.get("row", path.stem)
        if not _is_key(row):
            raise DataError(f"row must be a text that is not empty, not {row!r}")
        return row, _answer(value)
    except orjson.JSONDecodeError as error:
        raise DataError(f"{path}:{number}: each line must be one whole JSON object ({error})") from None
    except SketchkitError as error:
        raise DataError(f"{path}:{number}: {error}") from None


def _answer(value: Mapping[str, Any]) -> Answer:
    for name in ("sketch", "ranking"):
        if name not in value:
            raise DataError(f"{name} is missing; a line holds sketch and ranking, and may hold row, canvas and scores")
    if not isinstance(value["ranking"], list) or not isinstance(value.get("scores"), list | None):
        raise DataError("ranking, and scores where given, must be lists")
    scores = value.get("scores")
    given = None if scores is None else tuple(scores)
    return Answer(value["sketch"], tuple(value["ranking"]), value.get("canvas"), given)


def _from_trec(path: Path, lines: Iterable[tuple[int, str]]) -> Iterable[tuple[str, Answer]]:
    found: dict[tuple[str, str], list[tuple[float, str]]] = {}
    for number, line in lines:
        fields = line.split()
        if len(fields) != 6:
            raise DataError(
                f"{path}:{number}: neither a JSON object nor a line of a TREC run, which has six fields: "
                f"query Q0 photo rank score tag"
            )
        query, _, photo, _, score, tag = fields
        try:
            found.setdefault((tag, query), []).append((float(score), photo))
        except ValueError:
            raise DataError(f"{path}:{number}: the score {score!r} is not a number") from None
    for (tag, query), scored in found.items():
        ordered = sorted(scored, key=lambda pair: -pair[0])
        try:
            yield tag, Answer(query, tuple(photo for _, photo in ordered), None, tuple(score for score, _ in ordered))
        except SketchkitError as error:
            raise DataError(f"{path}: {tag}: {error}") from None


def _require_distinct(where: str, answers: Sequence[Answer]) -> None:
    seen: set[str] = set()
    for answer in answers:
        if answer.sketch in seen:
            raise DataError(f"{where}: sketch {answer.sketch!r} is answered twice; give one ranking a sketch")
        seen.add(answer.sketch)


def _run(tag: str, answers: Iterable[Answer]) -> str:
    lines = []
    for answer in answers:
        scores = answer.scores or range(len(answer.ranking), 0, -1)
        for place, (photo, score) in enumerate(zip(answer.ranking, scores, strict=True), 1):
            lines.append(f"{answer.sketch} Q0 {photo} {place} {score!r} {tag}\n")
    return "".join(lines)
