"""Whole tables, tiny."""

import csv
import json
import re
import shutil
import subprocess
import time
from dataclasses import replace

import numpy as np
import pytest
import safetensors.numpy
import torch
from typer.testing import CliRunner

from sketchkit.adapters import AdaptedModel
from sketchkit.adapters.selector import CanvasSelector
from sketchkit.errors import ParameterError
from sketchkit.recipes.cli import app
from sketchkit.recipes.datasets import load_pairs
from sketchkit.recipes.frame import launch
from sketchkit.recipes.photos import load_photos
from sketchkit.recipes.policies.blind import Fixed, Oracle
from sketchkit.recipes.protocol.cells import cells_of, places_of
from sketchkit.recipes.protocol.rows import load_table
from sketchkit.recipes.protocol.run import Asked, run_table
from sketchkit.recipes.protocol.training import Training
from sketchkit.recipes.rank_table import read_ranks
from sketchkit.recipes.teaching import joined

from command_line import COMMAND


def by_hand(folder, row):
    """(seed, key) -> rank of every line of a row of the cells' own tables."""
    ranks = {}
    name = row.partition("@")[0]
    for path in (folder / "results" / "cells" / name).glob("*.parquet"):
        columns = read_ranks(path).where(row=row).columns
        for seed, sketch, photo, rank in zip(*(columns[n] for n in ("seed", "sketch", "photo", "rank")), strict=True):
            ranks[int(seed), sketch] = (photo, int(rank))
    return ranks


def test_the_figures_are_those_of_the_ranks(finished):
    table = json.loads((finished / "results" / "table.json").read_text())
    assert list(table["splits"]) == ["fold"], "a folder has no official test split"
    rows = table["splits"]["fold"]["rows"]
    assert [(row["row"], row["canvas"]) for row in rows] == [
        ("teacher", "64"),
        ("v1", "32"),
        ("v1", "64"),
        ("v2", "selected"),
        ("v2-paper", "selected"),
    ]
    for row in rows[:3]:
        ranks = by_hand(finished, f"{row['row']}@{row['canvas']}")
        assert len(ranks) == 2 * 24, "two seeds, all sketches of both folds"
        for top in (1, 5, 10):
            right = [rank <= top for _, rank in ranks.values()]
            assert row[f"acc@{top}"]["value"] == pytest.approx(np.mean(right))
        seeds = [np.mean([rank == 1 for (seed, _), (_, rank) in ranks.items() if seed == wanted]) for wanted in (0, 1)]
        assert row["acc@1"]["seed_deviation"] == pytest.approx(np.std(seeds, ddof=1))
        assert (row["seeds"], row["folds"], row["photos"], row["sketches"]) == ([0, 1], 2, 12, 24)


def test_what_discounting_hubs_is_worth(finished, paired_folder, tmp_path):
    """By similarity alone the ranks are those of a table that discounts nothing; its networks are not trained anew."""
    rows = {
        (row["row"], row["canvas"]): row
        for row in json.loads((finished / "results" / "table.json").read_text())["splits"]["fold"]["rows"]
    }
    alone = again(finished, paired_folder, "evaluation.hub_neighbors=0", results=tmp_path / "results")
    for row in alone["splits"]["fold"]["rows"]:
        if row["kind"] == "v2":
            continue
        own = rows[row["row"], row["canvas"]]
        assert row["acc@1"] == row["acc@1, cosine"] == own["acc@1, cosine"]
        assert own["hub_gain"]["value"] == pytest.approx(own["acc@1"]["value"] - row["acc@1"]["value"])
        assert row["hub_gain"]["value"] == row["hub_gain"]["low"] == row["hub_gain"]["high"] == 0


def test_flops_and_params_of_the_networks(finished):
    table = json.loads((finished / "results" / "table.json").read_text())
    rows = {(row["row"], row["canvas"]): row for row in table["splits"]["fold"]["rows"]}
    assert rows["v1", "32"]["flops"] == pytest.approx(0.01302e9, rel=1e-3), "as the paper counts"
    assert rows["v1", "64"]["flops"] == pytest.approx(0.05209e9, rel=1e-3)
    assert rows["v1", "32"]["params"] == rows["v1", "64"]["params"] == 2_223_872
    selector = sum(parameter.numel() for parameter in CanvasSelector(2).parameters())
    assert rows["v2-paper", "selected"]["params"] == rows["v1", "64"]["params"] + selector


def test_a_picked_canvas_has_the_rank_that_the_student_has_there(finished):
    table = json.loads((finished / "results" / "table.json").read_text())
    row = next(row for row in table["splits"]["fold"]["rows"] if row["row"] == "v2-paper")
    columns = read_ranks(finished / "results" / "ranks.parquet").where(row="v2-paper").columns
    found = []
    for seed, sketch, canvas, rank in zip(*(columns[n] for n in ("seed", "sketch", "canvas", "rank")), strict=True):
        assert by_hand(finished, f"v1@{canvas}")[seed, sketch][1] == rank
        found.append(rank == 1)
    assert len(found) == 48
    assert row["acc@1"]["value"] == pytest.approx(np.mean(found))
    assert sum(row["shares"].values()) == pytest.approx(1)
    assert row["flops"] <= 0.05e9


def test_differences_are_paired(finished):
    table = json.loads((finished / "results" / "table.json").read_text())
    found = {(each["first"], each["second"]): each["acc@1"] for each in table["splits"]["fold"]["differences"]}
    assert list(found)[1:] == [("v1@32", "teacher@64"), ("v1@64", "teacher@64")]
    for (first, second), figure in list(found.items())[1:]:
        one, other = by_hand(finished, first), by_hand(finished, second)
        assert figure["value"] == pytest.approx(np.mean([(one[k][1] == 1) - (other[k][1] == 1.0) for k in one]))


def test_the_watched_epochs_end_at_what_is_reported(finished):
    """Watched with the frozen blocks put back in the middle of a training; evaluated from the saved model."""
    for path in (finished / "results" / "cells" / "v1").glob("*.json"):
        record = json.loads(path.read_text())
        for canvas, each_epoch in record["each_epoch"].items():
            assert len(each_epoch) == record["epoch"] == 2
            assert each_epoch[-1] == record["canvases"][canvas]["acc@1"]
    table = json.loads((finished / "results" / "table.json").read_text())
    for row in table["splits"]["fold"]["rows"][1:3]:
        assert row["best_epoch_acc@1"] >= row["acc@1"]["value"]


def test_how_long_a_training_took(finished):
    table = json.loads((finished / "results" / "table.json").read_text())
    cells = [json.loads(path.read_text()) for path in (finished / "results" / "cells" / "v1").glob("*.json")]
    assert list(table["seconds"]) == ["teacher", "v1"]
    assert table["seconds"]["v1"] == pytest.approx(np.mean([cell["seconds"] for cell in cells]))


def test_the_csv_holds_the_table(finished):
    table = json.loads((finished / "results" / "table.json").read_text())
    with (finished / "results" / "table.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    for row in table["splits"]["fold"]["rows"]:
        own = [line for line in lines if (line["row"], line["canvas"]) == (row["row"], row["canvas"])]
        alone = ["acc@1, cosine", "hub_gain"] if row["kind"] != "v2" else []
        assert [line["measure"] for line in own] == ["acc@1", "acc@5", "acc@10", *alone]
        assert [float(line["value"]) for line in own] == [row[line["measure"]]["value"] for line in own]
    assert sum(line["row"] == "v1@64 - teacher@64" for line in lines) == 1


def test_several_teachers_teach_the_mean_of_their_similarities(finished, paired_folder, write_table, tmp_path):
    """The teacher and V1 as they were trained; what they made of the training pairs is kept beside them."""
    shutil.copytree(finished / "run", tmp_path / "run")
    text = (finished / "made.yaml").read_text().replace("rows:", "rows:\n  both: {teachers: [teacher, v1]}")
    table = load_table(str(write_table(tmp_path, text)))
    pairs = load_pairs("folder", paired_folder)
    words = [f"data.root={paired_folder}", f"out={tmp_path / 'run'}"]
    cell = cells_of(table, pairs, places_of(["fold"], 2, [0])[:1], rows=["both"], words=words)[-1]
    training = Training(tmp_path / "run", pairs, launch(cell.config))
    kept = [safetensors.numpy.load_file(training.run_of(t).out / "embeddings.safetensors") for t in cell.teachers[:1]]
    this, trained = training.trained(cell)
    kept.append(safetensors.numpy.load_file(training.run_of(cell.teachers[1]).out / "embeddings.safetensors"))
    assert trained.history[0]["distillation"] > 0  # at the end nothing is left to distil but rounding
    both = joined([{name: torch.from_numpy(values) for name, values in each.items()} for each in kept])
    assert both["photos"].shape == (6, 2560)
    similarity = (both["sketches"] @ both["photos"].T).numpy()
    assert similarity == pytest.approx(
        np.mean([each["sketches"] @ each["photos"].T for each in kept], axis=0), abs=1e-5
    )
    model = AdaptedModel.from_pretrained(training.run_of(cell.teachers[1]).out / "v1" / "model")
    with torch.no_grad():
        photos = model.embed_photos(load_photos(this.pairs.train.photo_paths, 64)).numpy()
        sketches = model.embed_sketches(this.pairs.train.sketches, canvas=64).numpy()
    assert kept[1]["photos"] == pytest.approx(photos, abs=1e-4)
    assert kept[1]["sketches"] == pytest.approx(sketches, abs=1e-4)


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def again(folder, paired_folder, *words, out=None, results=None, **asked):
    settings = [f"data.root={paired_folder}", f"out={out or folder / 'run'}", *words]
    return run_table(
        load_table(str(folder / "made.yaml")),
        Asked(settings, command="sketchkit table", **asked),
        results or folder / "results",
    )


def test_what_is_finished_is_only_written_again(finished, paired_folder, monkeypatch):
    monkeypatch.setattr(Training, "trained", None)
    before = contents(finished / "results")
    (finished / "results" / "table.md").unlink()
    again(finished, paired_folder)
    assert contents(finished / "results") == before


def test_results_go_on_without_the_trainings_folders(finished, paired_folder, tmp_path, monkeypatch):
    """On another machine: cells alone, one of them missing, then the policies fitted without embeddings."""
    monkeypatch.setattr(Training, "trained", None)
    monkeypatch.setattr("sketchkit.recipes.protocol.selecting.all_policies", lambda parts, _: [Fixed(0, 32), Oracle()])
    copied = tmp_path / "results"
    shutil.copytree(finished / "results" / "cells", copied / "cells")
    gone = (copied / "cells" / "v1" / "fold1-seed1.json").rename(tmp_path / "kept.json")
    part = again(finished, paired_folder, out=tmp_path / "run", results=copied, train=False)
    rows = {(row["row"], row["canvas"]): row for row in part["splits"]["fold"]["rows"]}
    assert part["missing"] == ["v1, fold1-seed1"]
    assert rows["v1", "64"]["seeds"] == [0], "seed 1 lacks a fold"
    assert rows["teacher", "64"]["seeds"] == [0, 1]
    gone.rename(copied / "cells" / "v1" / "fold1-seed1.json")
    whole = again(finished, paired_folder, out=tmp_path / "run", results=copied)
    before = json.loads((finished / "results" / "table.json").read_text())
    assert whole["splits"]["fold"]["rows"][:3] == before["splits"]["fold"]["rows"][:3]
    assert whole["policies"]["v1"]["chosen"]["v2"]["policy"] == "fixed 32 px"
    assert "no policy 'GRU, REINFORCE'" in whole["policies"]["v1"]["chosen"]["v2-paper"]["refused"]


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("teacher.training.learning_rate=0.5", "teacher.training.learning_rate was 0.0005 there and is 0.5 now"),
        ("data.folds=3", "data.folds was 2 there and is 3 now"),
        ("student.training.margin=0.1", "student.training.margin was 0.3 there and is 0.1 now"),
        ("evaluation.hub_neighbors=5", "hub_neighbors was 10 there and is 5 now"),
    ],
)
def test_results_of_other_settings_are_refused(finished, paired_folder, word, says, monkeypatch):
    monkeypatch.setattr(Training, "trained", None)
    before = contents(finished / "results")
    with pytest.raises(ParameterError, match=rf"{re.escape(says)}; choose another --results=FOLDER"):
        again(finished, paired_folder, word)
    assert contents(finished / "results") == before


def test_results_older_than_a_setting_had_its_default(finished, paired_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(Training, "trained", None)
    copied = tmp_path / "results"
    shutil.copytree(finished / "results", copied)
    for path in (copied / "cells").rglob("*.json"):
        record = json.loads(path.read_text())
        for settings in [record["settings"], *record["settings"].get("teachers", [])]:
            for section, name in (("teacher", "weight_decay"), ("student", "margin")):
                assert settings.get(section, {"training": {name: 0}})["training"].pop(name) is not None
        path.write_text(json.dumps(record))
    again(finished, paired_folder, results=copied)
    path = copied / "cells" / "v1" / "fold1-seed0.json"
    record = json.loads(path.read_text())
    neighbors = record["settings"].pop("hub_neighbors")
    path.write_text(json.dumps(record))
    with pytest.raises(ParameterError, match="they were evaluated before hubs were discounted"):
        again(finished, paired_folder, results=copied)
    record["settings"]["hub_neighbors"] = neighbors
    del record["settings"]["student"]["training"]["variants"]
    path.write_text(json.dumps(record))
    with pytest.raises(ParameterError, match=r"student\.training\.variants was None there and is 1 now"):
        again(finished, paired_folder, results=copied)


def test_results_of_other_data_are_refused(finished, paired_folder, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(paired_folder, other)
    drawing = other / "sketch" / "shape03-1.svg"
    drawing.write_bytes((other / "sketch" / "shape04-1.svg").read_bytes())
    with pytest.raises(ParameterError, match="photos or drawings are others than those given now"):
        again(finished, other)


def test_a_set_without_a_test_split(finished, paired_folder):
    with pytest.raises(ParameterError, match="holds no official test split here; --splits folds needs none"):
        again(finished, paired_folder, splits=["test"])


def test_the_official_test_split(finished, paired_folder, tmp_path, monkeypatch):
    known = load_pairs("folder", paired_folder)
    official = replace(known, official_split=np.array(["train"] * 8 + ["test"] * 4))
    monkeypatch.setattr("sketchkit.recipes.protocol.run.load_pairs", lambda *_: official)
    folders = {"out": tmp_path / "run", "results": tmp_path / "results"}
    table = again(finished, paired_folder, **folders, splits=["test"], seeds=[3], rows=["teacher"])
    (row,) = table["splits"]["test"]["rows"]
    assert (row["seeds"], row["folds"], row["photos"], row["sketches"]) == ([3], 1, 4, 8)
    assert row["acc@5"]["value"] == 1, "the gallery has four photos"
    assert "The official test split: trained on 16 sketches of 8 photos, a gallery of 4." in table["data"]["splits"]
    assert "## The official test split" in (tmp_path / "results" / "table.md").read_text()


def test_kill_9_then_the_same_command_ends_with_the_same_files(finished, paired_folder, tmp_path):
    """Killed while the second cell trains, after the first was finished."""
    words = [f"data.root={paired_folder}", f"out={tmp_path / 'run'}"]
    options = ["--rows", "teacher", "--seeds", "0", "--results", tmp_path / "results"]
    command = [*COMMAND, "table", finished / "made.yaml"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([*map(str, [*command, *words, *options])], stdout=log, stderr=log)
        while not list((tmp_path / "run" / "teacher").glob("fold1-*/teacher")):
            assert process.poll() is None, (tmp_path / "log").read_text()
            time.sleep(0.01)
        process.kill()
        process.wait()
    cells = tmp_path / "results" / "cells" / "teacher"
    assert [path.name for path in cells.glob("*.json")] == ["fold0-seed0.json"]
    first = (cells / "fold0-seed0.json").read_bytes()
    again(finished, paired_folder, out=tmp_path / "run", results=tmp_path / "results", rows=["teacher"], seeds=[0])
    assert (cells / "fold0-seed0.json").read_bytes() == first
    for place in ("fold0-seed0", "fold1-seed0"):
        undisturbed = finished / "results" / "cells" / "teacher" / place
        records = [json.loads(path.with_suffix(".json").read_text()) for path in (cells / place, undisturbed)]
        assert {**records[0], "seconds": 0} == {**records[1], "seconds": 0}
        assert (cells / f"{place}.parquet").read_bytes() == undisturbed.with_suffix(".parquet").read_bytes()


def test_the_command_line_writes_and_prints_the_table(finished, paired_folder, tmp_path):
    words = [f"data.root={paired_folder}", f"out={finished / 'run'}", "--no-train", "--splits", "folds"]
    folders = ["--results", finished / "results", "--page", tmp_path / "docs" / "made.md"]
    done = CliRunner().invoke(app, ["table", *map(str, [finished / "made.yaml", *words, *folders])])
    assert done.exit_code == 0, done.output
    assert re.search(r"^v1 +64 +0\.052 G +\d+\.\d \(", done.output, re.MULTILINE)
    page = (tmp_path / "docs" / "made.md").read_text()
    figure = re.search(r"\]\((.*policies\.svg)\)", page)
    assert figure is not None
    assert (tmp_path / "docs" / figure[1]).is_file()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--rows", "v1,teecher"], "no row 'teecher'; did you mean teacher"),
        (["--seeds", "0,x"], "--seeds 0,x: give whole numbers"),
        (["student.canvas=3"], "did you mean student.canvases"),
    ],
)
def test_a_wrong_word_of_the_command_is_refused(finished, words, says):
    done = CliRunner().invoke(app, ["table", str(finished / "made.yaml"), *words])
    assert isinstance(done.exception, ParameterError)
    assert says in str(done.exception)
