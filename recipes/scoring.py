"""Scores predictions of any program against what the data say themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sketchkit.errors import DataError
from sketchkit.recipes.config import DataConfig
from sketchkit.recipes.datasets import load_pairs, verify
from sketchkit.recipes.evaluation import MEASURES, mean_interval, median_interval, per_sketch
from sketchkit.recipes.pairs import PairedSet, split_pairs
from sketchkit.recipes.predictions import Answer, read_predictions, write_trec
from sketchkit.recipes.tables import columns

__all__ = ["Figure", "Score", "Scored", "format_scores", "rank_answers", "score_file", "score_predictions"]


@dataclass(frozen=True)
class Figure:
    """The `value` of a measure with its 95 % interval, `low` to `high`, by drawing photos with replacement."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Score:
    """What one row of a file of predictions comes to.

    Args:
        row: names the model.
        canvas: where all its sketches were drawn; `several`; or `-`, where the file does not say.
        figures: of `acc@1`, `acc@5`, `acc@10`, `mrr` and `median_rank`.
    """

    row: str
    canvas: str
    figures: Mapping[str, Figure]

    def as_dict(self) -> dict[str, Any]:
        """The same for JSON: each measure, and its interval under the measure's name and `_interval`."""
        values: dict[str, Any] = {"row": self.row, "canvas": self.canvas}
        for name, figure in self.figures.items():
            values |= {name: figure.value, f"{name}_interval": [figure.low, figure.high]}
        return values


@dataclass(frozen=True)
class Scored:
    """A file of predictions, scored.

    Args:
        data: the data set's name, its split, and for an official split whether its keys are the published ones.
        sketches: how many were to be answered.
        photos: how many the gallery holds.
        scores: one a row of the file.
    """

    data: str
    sketches: int
    photos: int
    scores: Sequence[Score]

    def as_dict(self) -> dict[str, Any]:
        """The same for JSON."""
        counts = {"data": self.data, "sketches": self.sketches, "photos": self.photos}
        return counts | {"rows": [score.as_dict() for score in self.scores]}

    def as_text(self) -> str:
        """The same for a terminal."""
        heading = f"{self.data}: {self.sketches} sketches, a gallery of {self.photos} photos"
        note = "In per cent, MRR and ranks; in brackets 95 % intervals, photos drawn with replacement."
        return f"{heading}\n\n{format_scores(self.scores)}\n\n{note}"


def score_file(path: Path, data: DataConfig, seed: int = 0, *, trec: Path | None = None) -> Scored:
    """Score a file of predictions against the data that it answers.

    Args:
        path: of the file, see `read_predictions`.
        data: which set, and which part of it, as for a training.
        seed: draws the photos where the settings limit their number, as in a training.
        trec: a folder for TREC runs of the file.

    Raises:
        MissingDataError: the file or the data are not there.
        DataError: the file does not answer these data, see `rank_answers`.
        OutputError: the TREC runs cannot be written.
    """
    predictions = read_predictions(path)
    pairs = load_pairs(data.name, data.root)
    split = split_pairs(pairs, data, seed)
    truth, described = split.test, split.description
    if truth.official_split is not None and data.root is not None and np.all(truth.official_split == "test"):
        described += f" (its keys: {verify(data.name, data.root, pairs)['test']})"
    scores = score_predictions(predictions, truth, where=f"{path}, scored on {pairs.name}, {split.description}")
    if trec is not None:
        shown = [truth.photo_keys[photo] for photo in truth.photo_of_sketch]
        write_trec(trec, predictions, dict(zip(map(str, truth.sketches.columns["key"]), shown, strict=True)))
    return Scored(f"{pairs.name}, {described}", len(truth.sketches), len(truth.photo_paths), scores)


def score_predictions(predictions: Mapping[str, Sequence[Answer]], truth: PairedSet, *, where: str) -> list[Score]:
    """Score every row of a file of predictions.

    Args:
        predictions: row -> answers, as of `read_predictions`.
        truth: what was to be answered; its photos are the gallery.
        where: names the file and the data in messages.

    Raises:
        DataError: as `rank_answers`.
    """
    scores = []
    for row, answers in predictions.items():
        found = rank_answers(answers, truth, where=f"{where}: {row}")
        owners = truth.photo_of_sketch
        figures = {}
        for measure in MEASURES:
            values = per_sketch(found, measure)
            figures[measure] = Figure(float(values.mean()), *mean_interval(values, owners))
        figures["median_rank"] = Figure(float(np.median(found)), *median_interval(found, owners))
        scores.append(Score(row, _canvas(answers), figures))
    return scores


def rank_answers(answers: Sequence[Answer], truth: PairedSet, *, where: str) -> NDArray[np.int64]:
    """The rank of each sketch's photo, 1 = best; a photo of the right one's score counts as before it.

    Args:
        answers: of one model, in any order.
        truth: what was to be answered; its photos are the gallery.
        where: what a message starts with.

    Returns:
        (sketches,) int64, in the order of `truth.sketches`.

    Raises:
        DataError: a key that the data do not know; a sketch without an answer or with two; a ranking that is not of the
            whole gallery; keys of the data that are not distinct.
    """
    photos, sketches = truth.photo_keys, [str(key) for key in truth.sketches.columns["key"]]
    for kind, keys in (("photo", photos), ("sketch", sketches)):
        if len(set(keys)) < len(keys):
            raise DataError(f"{where}: the data name two of their own things {_twice(keys)!r}; {kind} keys must differ")
    position = {key: index for index, key in enumerate(sketches)}
    gallery = set(photos)
    found = np.zeros(len(sketches), np.int64)
    for answer in answers:
        index = position.get(answer.sketch)
        if index is None:
            raise DataError(f"{where}: sketch {answer.sketch!r} is none of the {len(sketches)} that are to be answered")
        if found[index]:
            raise DataError(f"{where}: sketch {answer.sketch!r} is answered twice; give one ranking a sketch")
        _require_gallery(answer, gallery, where)
        found[index] = _rank(answer, photos[truth.photo_of_sketch[index]])
    if not found.all():
        first = sketches[int(np.argmin(found))]
        raise DataError(
            f"{where}: {int((found == 0).sum())} of {len(sketches)} sketches have no answer, the first is {first!r}; "
            f"answer all of them"
        )
    return found


def format_scores(scores: Sequence[Score]) -> str:
    """A line for each of `scores`, in columns for a terminal: accuracies in per cent, the interval after each figure.

    Example:
        >>> half = Figure(0.5, 0.4, 0.6)
        >>> figures = {"acc@1": half, "acc@5": half, "acc@10": half, "mrr": half, "median_rank": Figure(2, 1, 3.5)}
        >>> print(format_scores([Score("v1@64", "64", figures)]))
        row    canvas  acc@1                ... MRR                     median rank
        v1@64  64      50.0 (40.0 to 60.0)  ... 0.500 (0.400 to 0.600)  2 (1 to 3.5)
    """
    titles = [*MEASURES[:-1], "MRR", "median rank"]
    lines = [["row", "canvas", *titles]]
    for score in scores:
        cells = [_cell(name, figure) for name, figure in score.figures.items()]
        lines.append([score.row, score.canvas, *cells])
    return columns(lines, left=[True] * len(lines[0]))


def _twice(keys: Sequence[str]) -> str:
    return next(key for place, key in enumerate(keys) if key in keys[:place])


def _require_gallery(answer: Answer, gallery: set[str], where: str) -> None:
    unknown = [photo for photo in answer.ranking if photo not in gallery]
    if unknown:
        raise DataError(
            f"{where}: photo {unknown[0]!r}, ranked for sketch {answer.sketch!r}, is not in the gallery of "
            f"{len(gallery)} photos"
        )
    if len(answer.ranking) < len(gallery):
        raise DataError(
            f"{where}: sketch {answer.sketch!r} ranks {len(answer.ranking)} of the gallery's {len(gallery)} photos; "
            f"a smaller gallery is easier: rank all of them"
        )


def _rank(answer: Answer, right: str) -> int:
    place = answer.ranking.index(right)
    if answer.scores is None:
        return place + 1
    return sum(score >= answer.scores[place] for score in answer.scores)


def _canvas(answers: Sequence[Answer]) -> str:
    drawn = {"-" if answer.canvas is None else str(answer.canvas) for answer in answers}
    return drawn.pop() if len(drawn) == 1 else "several"


def _cell(name: str, figure: Figure) -> str:
    if name.startswith("acc@"):
        value, low, high = (f"{100 * number:.1f}" for number in (figure.value, figure.low, figure.high))
    elif name == "mrr":
        value, low, high = (f"{number:.3f}" for number in (figure.value, figure.low, figure.high))
    else:
        value, low, high = (f"{number:g}" for number in (figure.value, figure.low, figure.high))
    return f"{value} ({low} to {high})"
