"""Fit the weights of the abstraction score, and tell how well each measure knows sparse from detailed.

    python benchmarks/abstraction.py            print the tables
    python benchmarks/abstraction.py --write    store weights in sketchkit/abstraction.py, tables in docs/measures.md
    python benchmarks/abstraction.py --check    fail where these do not hold what would be written

The data: 632 chairs of the drawing game of Fan et al. 2020 (`refgame_chairs` in SKETCHKIT_DATA), drawn with other
chairs beside them (`closer`: detailed) or things of other kinds (`further`: sparse). No game is ever on both sides of a
fold, and intervals resample whole games.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

import sketchkit
from sketchkit import Sketch, SketchSet, measure, normalize, resample, simplify, truncate
from sketchkit.abstraction import BIAS, TERMS, features
from sketchkit.formats.svg_paths import flatten, join, read_path
from sketchkit.measures import MEASURES

from contest import Table, markdown

REPOSITORY = Path(__file__).resolve().parents[1]
CODE = REPOSITORY / "sketchkit" / "abstraction.py"
PAGE = REPOSITORY / "docs" / "measures.md"
CODE_MARKS = ("# fitted: begin (python benchmarks/abstraction.py --write)\n", "# fitted: end\n")
PAGE_MARKS = ("<!-- begin: python benchmarks/abstraction.py --write -->\n", "<!-- end -->\n")

# Of squared weights: measures that say the same share what they say. Held-out AUC is 0.699 to 0.707 for 0.1 to 100.
PENALTY = 10.0
FOLDS, SEEDS, RESAMPLES = 5, 10, 2000

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Games:
    """The drawings, and for each the game it is from, whether it was to be sparse, and the seconds it took."""

    drawings: SketchSet
    game: NDArray[np.int64]
    sparse: NDArray[np.bool_]
    seconds: Values


def main() -> None:
    """Print, write or check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="store weights and tables")
    parser.add_argument("--check", action="store_true", help="exit with 1 where they are stale")
    default = os.environ.get("SKETCHKIT_DATA", REPOSITORY.parent / "shared" / "data")
    parser.add_argument("--data", type=Path, default=default, help="the folder of real sketch data")
    arguments = parser.parse_args()
    games = read_games(arguments.data / "refgame_chairs" / "sketchpad_basic_chairs.csv")
    bias, terms = fitted(features(games.drawings), games.sparse)
    if arguments.write:
        replace(CODE, CODE_MARKS, as_code(bias, terms))
    stored = (BIAS, {name: (term.mean, term.deviation, term.weight) for name, term in TERMS.items()})
    if not same(stored, (bias, terms)):
        again = "; stored now: run it again for the tables" if arguments.write else ""
        sys.exit(f"the weights in {CODE} were not the fitted ones{again}")
    pair = twice_stored(arguments.data / "quickdraw")
    text = "\n".join(markdown(table, 2) for table in [*tables_of(games, pair), sanity(arguments.data, pair)])
    if arguments.write:
        replace(PAGE, PAGE_MARKS, text)
    elif arguments.check and stale(between(PAGE, PAGE_MARKS), text):
        sys.exit(f"{PAGE} is stale; run python benchmarks/abstraction.py --write")
    else:
        print(text)


def read_games(path: Path) -> Games:
    """The drawings of the game's own table: a JSON list of SVG paths a row, one path a stroke."""
    if not path.exists():
        sys.exit(f"{path} is not there; set SKETCHKIT_DATA to the real sketch data")
    csv.field_size_limit(10**8)
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    drawings = []
    for row in rows:
        points, offsets = flatten(join([read_path(stroke) for stroke in json.loads(row["svg"])]), 0.1)
        drawings.append(Sketch(points, offsets))
    _, game = np.unique([row["gameID"] for row in rows], return_inverse=True)
    return Games(
        SketchSet.from_sketches(drawings),
        game,
        np.array([row["condition"] == "further" for row in rows]),
        np.array([float(row["drawDuration"]) for row in rows]),
    )


# The fit


def fitted(values: Mapping[str, Values], sparse: NDArray[np.bool_]) -> tuple[float, dict[str, tuple[float, ...]]]:
    """Bias, and mean, deviation and weight by feature, of a logistic regression; features without weight are left out.

    A penalty on squared weights, and no weight above 0: more detail never makes a drawing more abstract.
    """
    matrix = np.stack(list(values.values()), axis=1)
    mean, deviation = matrix.mean(axis=0), matrix.std(axis=0)
    standard = np.column_stack([(matrix - mean) / deviation, np.ones(len(matrix))])

    def loss(weights: Values) -> tuple[float, Values]:
        odds = standard @ weights
        free = np.append(weights[:-1], 0.0)
        slope = standard.T @ (0.5 * (1 + np.tanh(odds / 2)) - sparse) + PENALTY * free
        return np.logaddexp(0, np.where(sparse, -odds, odds)).sum() + PENALTY / 2 * free @ free, slope

    bounds = [(None, 0.0)] * len(values) + [(None, None)]
    options = {"ftol": 1e-14, "gtol": 1e-9, "maxiter": 1000}
    weights = minimize(loss, np.zeros(len(bounds)), jac=True, method="L-BFGS-B", bounds=bounds, options=options).x
    by_name = zip(values, mean.tolist(), deviation.tolist(), weights.tolist(), strict=False)
    return float(weights[-1]), {name: (m, d, w) for name, m, d, w in by_name if w < -1e-4}


def held_out(games: Games) -> Values:
    """(SEEDS, drawings) log odds, each by weights fitted to other games only."""
    values = features(games.drawings)
    odds = np.empty((SEEDS, len(games.drawings)))
    for seed in range(SEEDS):
        order = np.random.default_rng(seed).permutation(games.game.max() + 1)
        for fold in range(FOLDS):
            out = np.isin(games.game, order[fold::FOLDS])
            bias, terms = fitted({name: value[~out] for name, value in values.items()}, games.sparse[~out])
            odds[seed, out] = bias + sum(w / d * (values[name][out] - m) for name, (m, d, w) in terms.items())
    return odds


# How well values tell


@dataclass(frozen=True)
class Telling:
    """The area under the ROC curve, once for all games and once for each resampling of them."""

    value: float
    resampled: Values

    def __str__(self) -> str:
        low, high = np.percentile(self.resampled, [2.5, 97.5])
        return f"{self.value:.3f} ({low:.3f} to {high:.3f})"


def telling(values: Values, games: Games, *, within: bool = False) -> Telling:
    """How often a sparse drawing has a greater value than a detailed one; a tie is half. Of (runs, drawings) the mean.

    Pairs are summed by the two games they are from, so that a resampling of games is a matter of 79 x 79 numbers.
    `within` takes only pairs of one game, hence of one drawer.
    """
    member = np.eye(games.game.max() + 1)[games.game]
    of_sparse, of_detailed = member[games.sparse], member[~games.sparse]
    wins = np.zeros((member.shape[1],) * 2)
    runs = np.atleast_2d(values)
    for run in runs:
        greater = 0.5 + 0.5 * np.sign(run[games.sparse][:, None] - run[~games.sparse])
        wins += of_sparse.T @ greater @ of_detailed / len(runs)
    draws = np.random.default_rng(0).multinomial(len(wins), np.full(len(wins), 1 / len(wins)), RESAMPLES)
    times = np.vstack([np.ones(len(wins)), draws])
    pairs = np.outer(of_sparse.sum(axis=0), of_detailed.sum(axis=0))
    if within:
        areas = (times @ wins.diagonal()) / (times @ pairs.diagonal())
    else:
        areas = ((times @ wins) * times).sum(axis=1) / ((times @ pairs) * times).sum(axis=1)
    return Telling(float(areas[0]), areas[1:])


# The tables


def tables_of(games: Games, pair: tuple[SketchSet, SketchSet]) -> list[Table]:
    """Every measure, then the score beside what it is to be held against."""
    measured = {name: values for name, values in measure(games.drawings).items() if name != "abstraction"}
    areas = {name: telling(values, games) for name, values in measured.items() if np.isfinite(values).all()}
    raw, simplified = (measure(drawings) for drawings in pair)
    rows = [
        [f"`{name}`", *documented(name), moved(raw[name], simplified[name]), *towards(areas.get(name))]
        for name in measured
    ]
    odds = held_out(games)
    score, best = telling(odds, games), max(areas, key=lambda name: abs(areas[name].value - 0.5))
    single = telling(-measured[best], games)
    seconds = telling(-games.seconds, games)
    ahead = Telling(score.value - single.value, score.resampled - single.resampled)
    weights = ", ".join(f"{name} {term.weight:.2f}" for name, term in TERMS.items())
    return [
        Table(
            "Each measure",
            [
                "measure",
                "what it is",
                "unit",
                "same under",
                "degenerate",
                "source",
                "raw to simplified",
                "AUC",
                "greater in",
            ],
            rows,
            "AUC: how often a measure puts a detailed and a sparse drawing of the game in the right order, in the "
            "direction of the last column, with a 95 % interval over games; 0.5 is chance. The direction was taken from"
            " these data too, so an AUC near 0.5 says nothing. A dash: the file has no time for each point.",
        ),
        Table(
            "The score",
            ["told from", "AUC"],
            [
                ["`abstraction`, weights fitted to other games", str(score)],
                [f"`{best}`, the best single measure (chosen on these data)", str(single)],
                ["difference", str(ahead)],
                ["`abstraction`, its weights fitted to these games", str(telling(measure_score(games), games))],
                ["the file's drawing time", str(seconds)],
                [
                    "`abstraction`, weights fitted to other games, pairs by one drawer",
                    str(telling(odds, games, within=True)),
                ],
                [f"`{best}`, pairs by one drawer", str(telling(-measured[best], games, within=True))],
                ["the file's drawing time, pairs by one drawer", str(telling(-games.seconds, games, within=True))],
            ],
            f"{len(games.drawings)} drawings, {games.game.max() + 1} games; held out by game in {FOLDS} folds, mean of "
            f"{SEEDS} shuffles. Weights by standardized feature (a negative one: more is more detailed): {weights}.",
        ),
    ]


def measure_score(games: Games) -> Values:
    """The stored score."""
    return measure(games.drawings, "abstraction")["abstraction"]


def sanity(data: Path, pair: tuple[SketchSet, SketchSet]) -> Table:
    """The score on other drawings, which it never saw."""
    chairs = sketchkit.read(data / "chairv2" / "ChairV2_Coordinate")
    files = sorted((data / "quickdraw" / "simplified").glob("*.ndjson"))
    quick = SketchSet.concat(sketchkit.read(file) for file in files)
    rows = []
    for name, drawings in (("ChairV2", chairs), ("Quick, Draw! simplified", quick)):
        whole, unit = score_of(drawings), normalize(drawings)
        first, few = score_of(truncate(drawings, 0.3)), score_of(simplify(drawings, max_points=10))
        change = np.abs(score_of(resample(unit, 0.01)) - whole)
        rows.append(
            [
                f"{name} ({len(drawings):,})",
                f"{np.median(whole):.2f}",
                f"{np.mean(first > whole):.1%}",
                f"{np.mean(few > whole):.1%}, {np.mean(few >= whole):.1%}",
                f"{np.median(change):.3f}, {np.percentile(change, 99):.3f}",
            ]
        )
    raw, simplified = pair
    between_files = np.abs(score_of(raw) - score_of(simplified))
    return Table(
        "The score on other drawings",
        [
            "drawings",
            "median score",
            "first 30 % of the ink scores higher",
            "10 points score higher, at least as high",
            "change by resampling: median, 99th percentile",
        ],
        rows,
        "Resampled to a point every 1 % of the longer side, which also cuts corners. From the raw to the simplified "
        f"file of {len(raw):,} Quick, Draw! drawings the score moves by {np.median(between_files):.3f} (median), "
        f"{np.percentile(between_files, 99):.3f} (99th percentile).",
    )


def twice_stored(folder: Path) -> tuple[SketchSet, SketchSet]:
    """The Quick, Draw! drawings that are there both raw and simplified, in the same order."""
    raw, simplified = (
        SketchSet.concat(sketchkit.read(file) for file in sorted((folder / kind).glob("*.ndjson")))
        for kind in ("raw", "simplified")
    )
    place = {key: index for index, key in enumerate(raw.columns["key"].tolist())}
    both = [(place[key], index) for index, key in enumerate(simplified.columns["key"].tolist()) if key in place]
    return raw[[one for one, _ in both]], simplified[[other for _, other in both]]


def moved(raw: Values, simplified: Values) -> str:
    """The median of the change by the mean of the two."""
    size = (np.abs(raw) + np.abs(simplified)) / 2
    known = np.isfinite(size)
    change = np.abs(raw - simplified)[known] / np.where(size > 0, size, 1.0)[known]
    return f"{np.median(change):.1%}" if len(change) else "-"


def score_of(drawings: SketchSet) -> Values:
    """(drawings,) the stored score."""
    return measure(drawings, "abstraction")["abstraction"]


def documented(name: str) -> list[str]:
    """First sentence, unit, what does not change it, degenerate drawings and source, as the docstring has them."""
    text = MEASURES[name].__doc__ or ""
    parts = [
        re.search(rf"^\s*{part}: (.*)$", text, re.MULTILINE) for part in ("Unit", "Same under", "Degenerate", "Source")
    ]
    return [text.split("\n")[0], *(part[1] if part else "" for part in parts)]


def towards(area: Telling | None) -> list[str]:
    """The area in the direction that is above one half, and that direction."""
    if area is None:
        return ["-", "-"]
    if area.value >= 0.5:
        return [str(area), "sparse"]
    return [str(Telling(1 - area.value, 1 - area.resampled)), "detailed"]


# What is stored


def as_code(bias: float, terms: Mapping[str, tuple[float, ...]]) -> str:
    """The constants as Python."""
    lines = [
        f'    "{name}": Term(mean={mean:.5g}, deviation={deviation:.5g}, weight={weight:.4g}),'
        for name, (mean, deviation, weight) in terms.items()
    ]
    return "\n".join([f"BIAS: Final = {bias:.4g}", "TERMS: Final[Mapping[str, Term]] = {", *lines, "}\n"])


def same(stored: tuple[float, dict[str, tuple[float, ...]]], found: tuple[float, dict[str, tuple[float, ...]]]) -> bool:
    """Whether two fits agree to a thousandth."""
    if list(stored[1]) != list(found[1]):
        return False
    numbers = [[fit[0], *(number for term in fit[1].values() for number in term)] for fit in (stored, found)]
    return bool(np.allclose(*numbers, rtol=1e-3, atol=1e-3))


def stale(stored: str, found: str) -> bool:
    """Whether texts differ in their words, or in a number by more than rounding on another machine explains."""
    number = re.compile(r"\d+\.\d+")
    if number.sub("#", stored) != number.sub("#", found):
        return True
    pairs = zip(number.findall(stored), number.findall(found), strict=True)
    return any(abs(float(a) - float(b)) > max(0.005, 0.005 * abs(float(b))) for a, b in pairs)


def between(path: Path, marks: tuple[str, str]) -> str:
    """What a file has between two lines."""
    return path.read_text(encoding="utf-8").partition(marks[0])[2].partition(marks[1])[0]


def replace(path: Path, marks: tuple[str, str], text: str) -> None:
    """Put a text between two lines of a file."""
    head, begin, rest = path.read_text(encoding="utf-8").partition(marks[0])
    _, end, tail = rest.partition(marks[1])
    if not (begin and end):
        sys.exit(f"{path} lacks the line {marks[0]!r} or {marks[1]!r}")
    path.write_text(head + begin + text + end + tail, encoding="utf-8")


if __name__ == "__main__":
    main()
