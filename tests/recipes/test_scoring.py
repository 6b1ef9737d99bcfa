"""`sketchkit score`: what a file of predictions comes to, and what it is refused for."""

import json
import statistics
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sketchkit import Sketch, SketchSet, write
from sketchkit.errors import DataError, MissingDataError
from sketchkit.recipes.config import DataConfig
from sketchkit.recipes.datasets import DATASETS, key_hash, load_pairs
from sketchkit.recipes.evaluation import MEASURES
from sketchkit.recipes.pairs import PairedSet, split_pairs
from sketchkit.recipes.predictions import Answer, answers_from_order, read_predictions, write_predictions, write_trec
from sketchkit.recipes.scoring import rank_answers, score_file, score_predictions

from command_line import call

LINE = {"row": "v1@64", "sketch": "0_0", "canvas": 64, "ranking": ["000", "001"]}


def made_truth(photos, owners):
    sketches = [Sketch.from_strokes([[(0, 0), (1, 1)]], key=f"{owner}_{n}") for n, owner in enumerate(owners)]
    paths = tuple(Path(f"photo/{photo:03d}.png") for photo in range(photos))
    return PairedSet("made", SketchSet.from_sketches(sketches), np.array(owners), paths)


def right_photos(truth):
    keys = (str(key) for key in truth.sketches.columns["key"])
    return {key: truth.photo_keys[photo] for key, photo in zip(keys, truth.photo_of_sketch, strict=True)}


def random_answers(truth, seed, scored=False):
    generator = np.random.default_rng(seed)
    answers = []
    for key in truth.sketches.columns["key"]:
        ranking = tuple(generator.permutation(truth.photo_keys).tolist())
        scores = tuple(sorted(generator.integers(0, 4, len(ranking)).tolist(), reverse=True)) if scored else None
        answers.append(Answer(str(key), ranking, 64, scores))
    return answers


def slow_score(path, right):
    """Another program: from the file's lines and the right photos alone, with lists."""
    found = {}
    for line in path.read_text().splitlines():
        answer = json.loads(line)
        scores = answer.get("scores", range(0, -len(answer["ranking"]), -1))
        of_right = scores[answer["ranking"].index(right[answer["sketch"]])]
        found.setdefault(right[answer["sketch"]], []).append(sum(score >= of_right for score in scores))

    def figures(lists):
        ranks = [rank for ranks in lists for rank in ranks]
        shares = [sum(rank <= top for rank in ranks) / len(ranks) for top in (1, 5, 10)]
        return [*shares, statistics.fmean(1 / rank for rank in ranks), statistics.median(ranks)]

    photos = [found[photo] for photo in sorted(found)]
    drawn = np.random.default_rng(0).integers(0, len(photos), size=(2000, len(photos)))
    spread = np.array([figures([photos[photo] for photo in line]) for line in drawn])
    return np.array([figures(photos), *np.quantile(spread, [0.025, 0.975], axis=0)]).T


@pytest.mark.parametrize("scored", [False, True])
def test_another_program_comes_to_the_same_figures(tmp_path, scored):
    truth = made_truth(15, [photo for photo in range(15) for _ in range(1 + photo % 3)])
    path = tmp_path / "predictions.ndjson"
    write_predictions(path, {"guess": random_answers(truth, 0, scored)})
    (ours,) = score_predictions(read_predictions(path), truth, where="")
    assert list(ours.figures) == [*MEASURES, "median_rank"]
    found = [[figure.value, figure.low, figure.high] for figure in ours.figures.values()]
    np.testing.assert_allclose(found, slow_score(path, right_photos(truth)), rtol=1e-12)


def test_a_file_made_by_hand(tmp_path):
    truth = made_truth(12, [0, 0, 5, 11])
    path = tmp_path / "hand.ndjson"
    keys = [f"{photo:03d}" for photo in range(12)]
    # The photos in the order of their names: the right ones are 1st, 1st, 6th and 12th.
    path.write_text("\n".join(json.dumps({"sketch": key, "ranking": keys}) for key in ("11_3", "5_2", "0_1", "0_0")))
    (score,) = score_predictions(read_predictions(path), truth, where="")
    assert (score.row, score.canvas) == ("hand", "-")
    values = [figure.value for figure in score.figures.values()]
    assert values == [0.5, 0.5, 0.75, pytest.approx((1 + 1 + 1 / 6 + 1 / 12) / 4), 3.5]


@given(st.integers(0, 2**31), st.booleans())
def test_the_order_of_the_lines_does_not_matter(seed, scored):
    truth = made_truth(6, [0, 1, 1, 3, 5])
    answers = random_answers(truth, seed, scored)
    shuffled = [answers[index] for index in np.random.default_rng(seed).permutation(len(answers))]
    assert rank_answers(answers, truth, where="").tolist() == rank_answers(shuffled, truth, where="").tolist()


def test_equal_scores_count_against_the_model():
    truth = made_truth(3, [1])
    for ranking in (("001", "000", "002"), ("000", "001", "002")):
        assert rank_answers([Answer("1_0", ranking, None, (2.0, 2.0, 1.0))], truth, where="") == [2]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda a: [*a[:-1], Answer("stranger", a[0].ranking)], "sketch 'stranger' is none of the 4"),
        (lambda a: [*a, a[0]], "sketch '0_0' is answered twice"),
        (lambda a: a[1:3], "2 of 4 sketches have no answer, the first is '0_0'"),
        (
            lambda a: [Answer(each.sketch, ("005", *each.ranking)) for each in a],
            "photo '005', .* is not in the gallery",
        ),
        (
            lambda a: [Answer(each.sketch, ("001", "000")) for each in a],
            "sketch '0_0' ranks 2 of the gallery's 3 photos",
        ),
        (lambda a: [], "4 of 4 sketches have no answer"),
    ],
)
def test_what_does_not_answer_the_data_is_refused(change, says):
    truth = made_truth(3, [0, 1, 2, 2])
    answers = random_answers(truth, 0)
    assert len(rank_answers(answers, truth, where="")) == 4
    with pytest.raises(DataError, match=f"^file: {says}"):
        rank_answers(change(answers), truth, where="file")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "the file is empty"),
        ('{"row": "v1",\n "sketch": "a"}', r":1: each line must be one whole JSON object"),
        ('{"sketch": "a"}', r":1: ranking is missing"),
        ('{"ranking": ["a"]}', r":1: sketch is missing"),
        (json.dumps(LINE) + "\n" + json.dumps(LINE), "v1@64: sketch '0_0' is answered twice"),
        (json.dumps(LINE | {"ranking": ["a", "b", "a"]}), ":1: sketch '0_0': photo 'a' stands twice in its ranking"),
        (json.dumps(LINE | {"ranking": "ab"}), ":1: ranking, and scores where given, must be lists"),
        (json.dumps(LINE | {"ranking": []}), ":1: sketch '0_0': ranking must be a list of photo keys"),
        (json.dumps(LINE | {"ranking": ["a", 1]}), ":1: sketch '0_0': ranking must be a list of photo keys"),
        (json.dumps(LINE | {"sketch": 7}), ":1: sketch must be a key"),
        (json.dumps(LINE | {"row": ["v1"]}), ":1: row must be a text"),
        (json.dumps(LINE | {"canvas": 1.5}), "canvas must be a whole number, a text or null"),
        (json.dumps(LINE | {"scores": [1]}), "1 scores for 2 photos"),
        (json.dumps(LINE | {"scores": [1, 2]}), "scores rise along the ranking"),
        (json.dumps(LINE | {"scores": [1, "x"]}), "scores must be finite numbers"),
        (json.dumps(LINE) + "\n[1]", ":2: a line must be a JSON object"),
        ("[1]", ":1: neither a JSON object nor a line of a TREC run"),
        ("0_0 Q0 000 1 high tag", ":1: the score 'high' is not a number"),
        ("0_0 Q0 000 1 nan tag", "tag: sketch '0_0': scores must be finite numbers"),
        ("0_0 Q0 000 1 2 tag\n0_0 Q0 000 2 1 tag", "photo '000' stands twice"),
        ("0_0 Q0 000 1 2", ":1: neither a JSON object nor a line of a TREC run, which has six fields"),
    ],
)
def test_what_is_no_file_of_predictions_is_refused(tmp_path, text, says):
    path = tmp_path / "guess.ndjson"
    path.write_text(text)
    with pytest.raises(DataError, match=says) as caught:
        read_predictions(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_or_is_no_text(tmp_path):
    with pytest.raises(MissingDataError, match="no such file of predictions"):
        read_predictions(tmp_path / "none")
    (tmp_path / "photo.png").write_bytes(b"\x89PNG\xff")
    with pytest.raises(DataError, match="cannot be read"):
        read_predictions(tmp_path / "photo.png")


@pytest.mark.parametrize("scored", [False, True])
def test_what_is_written_reads_back_equal_of_both_kinds(tmp_path, scored):
    truth = made_truth(5, [0, 1, 1, 4])
    written = {name: random_answers(truth, seed, scored) for seed, name in enumerate(("v1@64", "v2"))}
    write_predictions(tmp_path / "all.ndjson", written)
    assert read_predictions(tmp_path / "all.ndjson") == written
    paths = write_trec(tmp_path / "trec", written, right_photos(truth))
    assert [path.name for path in paths] == ["qrels.txt", "v1@64.run", "v2.run"]
    for name, answers in written.items():
        ((tag, read),) = read_predictions(tmp_path / "trec" / f"{name}.run").items()
        assert (tag, [answer.ranking for answer in read]) == (name, [answer.ranking for answer in answers])
        assert rank_answers(read, truth, where="").tolist() == rank_answers(answers, truth, where="").tolist()
    assert (tmp_path / "trec" / "qrels.txt").read_text().splitlines()[0] == "0_0 0 000 1"


def test_in_a_trec_run_the_score_decides_and_queries_may_be_mixed(tmp_path):
    path = tmp_path / "other.run"
    path.write_text("a Q0 x 2 0.5 bm\nb Q0 x 1 0.5 bm\na Q0 y 1 1e1 bm\nb\tQ0\ty\t2\t-3\tbm\n")
    answers = {answer.sketch: answer.ranking for answer in read_predictions(path)["bm"]}
    assert answers == {"a": ("y", "x"), "b": ("x", "y")}


def test_keys_that_a_trec_run_cannot_hold(tmp_path):
    with pytest.raises(DataError, match="'a b' has white space in it"):
        write_trec(tmp_path / "trec", {"v1": [Answer("s", ("a b",))]}, {"s": "a b"})
    with pytest.raises(DataError, match="do not have a file name each"):
        write_trec(tmp_path / "trec", {"v 1": [], "v/1": []}, {})
    assert not (tmp_path / "trec").exists()


def test_answers_from_indices():
    answers = answers_from_order(["s", "t"], ["a", "b"], np.array([[1, 0], [0, 1]]), [32, "192x128"])
    assert answers == [Answer("s", ("b", "a"), 32), Answer("t", ("a", "b"), "192x128")]


@pytest.fixture(scope="module")
def folds(paired_folder, tmp_path_factory):
    """A perfect model's answers to the first fold of the made set."""
    truth = split_pairs(load_pairs("folder", paired_folder), DataConfig(name="folder"), 0).test
    photos = truth.photo_keys
    answers = [
        Answer(sketch, (right, *(photo for photo in photos if photo != right)), 32)
        for sketch, right in right_photos(truth).items()
    ]
    path = tmp_path_factory.mktemp("folds") / "perfect.ndjson"
    write_predictions(path, {"perfect": answers})
    return path


def test_the_command(folds, paired_folder, tmp_path):
    data = ["data.name=folder", f"data.root={paired_folder}"]
    process = call("score", folds, *data, "--trec", tmp_path / "trec")
    assert process.returncode == 0, process.stderr
    heading, _, titles, row, *_ = process.stdout.splitlines()
    assert heading.endswith("fold 1 of 3 of the training photos: 8 sketches, a gallery of 4 photos")
    assert titles.split()[:4] == ["row", "canvas", "acc@1", "acc@5"]
    assert row.startswith("perfect  32      100.0 (100.0 to 100.0)  100.0")
    again = call("score", tmp_path / "trec" / "perfect.run", *data, "--split", "fold", "--json")
    (figures,) = json.loads(again.stdout)["rows"]
    assert (figures["acc@1"], figures["median_rank_interval"]) == (1, [1, 1])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["data.fold=1"], "is none of the 8 that are to be answered"),
        (["--split", "test"], "holds no test split here"),
        (["data.flod=1"], "did you mean data.fold"),
        (["data.max_test_photos=3"], "perfect: "),
    ],
)
def test_what_the_command_refuses(folds, paired_folder, words, says, main_here):
    process = main_here("score", folds, "data.name=folder", f"data.root={paired_folder}", *words)
    assert process.returncode == 2, process.stderr
    assert "Traceback" not in process.stderr
    (line,) = process.stderr.strip().splitlines()
    assert line.startswith("sketchkit: ")
    assert says in line


def test_an_official_split_says_whether_its_keys_are_the_published_ones(tmp_path, monkeypatch):
    keys = ["/test/b_1", "/test/c_1", "/train/a_1", "/train/d_1"]
    sketches = SketchSet.from_sketches([Sketch.from_strokes([[(0, 0), (9, 9)]], key=key) for key in keys])
    write(sketches, tmp_path / "Made_Coordinate", "qmul")
    (tmp_path / "photo").mkdir()
    for name in "abcd":
        (tmp_path / "photo" / f"{name}.png").write_bytes(b"")
    answers = [Answer("/test/c_1", ("c", "b")), Answer("/test/b_1", ("c", "b"))]
    write_predictions(tmp_path / "guess.ndjson", {"guess": answers})
    data = DataConfig(name="qmul", root=str(tmp_path), split="test")
    for published, verdict in (({}, "unknown"), ({"test": "other"}, "differs"), ({"test": None}, "as published")):
        digests = {("Made_Coordinate", split): digest or key_hash(keys[:2]) for split, digest in published.items()}
        monkeypatch.setitem(DATASETS, "qmul", replace(DATASETS["qmul"], splits=digests))
        scored = score_file(tmp_path / "guess.ndjson", data)
        assert scored.data.endswith(f"the official test split (its keys: {verdict})")
        assert (scored.sketches, scored.photos, scored.scores[0].figures["acc@1"].value) == (2, 2, 0.5)
