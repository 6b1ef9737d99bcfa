"""The whole recipe, tiny: what it writes, and that a killed run ends like an undisturbed one."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from sketchkit import read
from sketchkit.adapters import AdaptedModel
from sketchkit.errors import ParameterError
from sketchkit.recipes.cli import app
from sketchkit.recipes.predictions import read_predictions
from sketchkit.recipes.recognition import recipe
from sketchkit.recipes.recognition.config import load_recognition_config
from sketchkit.recipes.recognition.measurement import format_recognition_table
from sketchkit.recipes.recognition.recognizer import Recognizer

from command_line import COMMAND

ROWS = ["teacher@64", "direct@32", "direct@64", "v1@32", "v1@64", "v2"]
TEST_DRAWINGS = 12


def outcome(out):
    """What must not depend on whether a run was killed: all but times."""
    results = json.loads((out / "results.json").read_text())
    rows = [{key: value for key, value in row.items() if key != "ms"} for row in results["rows"]]
    kept = {key: results[key] for key in ("selection", "histories", "canvas_flops", "data")}
    return rows, kept, (out / "predictions.ndjson").read_text()


@pytest.fixture(scope="module")
def undisturbed(categories_folder, recognition_text, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / "tiny.yaml").write_text(recognition_text)
    words = [f"data.root={categories_folder}", f"out={folder / 'run'}"]
    recipe.run(load_recognition_config(str(folder / "tiny.yaml"), words), command="sketchkit recognition tiny")
    return folder / "run"


def test_the_table(undisturbed):
    results = json.loads((undisturbed / "results.json").read_text())
    rows = dict(zip(ROWS, results["rows"], strict=True))
    # MobileNetV2's trunk as published, and a linear layer with bias over 1280 features.
    assert {rows[name]["params"] for name in ROWS[:-1]} == {2_223_872 + 3 * (1280 + 1)}
    assert rows["v2"]["params"] == rows["v1@32"]["params"] + results["selection"]["selector_params"]
    assert rows["v1@32"]["flops"] == pytest.approx(0.01302e9, rel=1e-3), "the paper's convention at 32 px"
    assert rows["v1@64"]["flops"] == rows["direct@64"]["flops"] == results["canvas_flops"]["64"]
    counts = results["selection"]["counts"]
    assert sum(counts.values()) == TEST_DRAWINGS
    passes = sum(counts[size] * results["canvas_flops"][size] for size in counts) / TEST_DRAWINGS
    assert rows["v2"]["flops"] == pytest.approx(passes + results["selection"]["selector_flops"])
    for row in results["rows"]:
        assert 0 <= row["acc@1"] <= row["acc@5"] == 1, "there are three categories"
        for top in (1, 5):
            assert row[f"acc@{top}_interval"][0] <= row[f"acc@{top}"] <= row[f"acc@{top}_interval"][1]
        assert 0 < row["ms"]["p10"] <= row["ms"]["median"] <= row["ms"]["p90"]
    heading, *lines = format_recognition_table(results).splitlines()
    assert heading.split()[:2] == ["model", "network"]
    assert [line.split()[0] for line in lines] == ["Teacher", "Direct", "Direct", *["SketchyNetV1"] * 2, "SketchyNetV2"]


def test_accuracies_follow_from_the_predictions(undisturbed, categories_folder):
    """By hand, from the predictions and the files alone: keys are numbers, a thousand for each category."""
    rows, kept, text = outcome(undisturbed)
    names = sorted(path.stem for path in categories_folder.iterdir())
    answers = {}
    for line in map(json.loads, text.splitlines()):
        right = names[int(line["sketch"]) // 1000]
        assert line["category"] == right
        answers.setdefault(line["row"], {})[line["sketch"]] = line["canvas"], line["ranking"].index(right) + 1
    assert list(answers) == ROWS
    for name, row in zip(ROWS, rows, strict=True):
        found = [rank for _, rank in answers[name].values()]
        assert len(found) == TEST_DRAWINGS
        assert row["acc@1"] == sum(rank == 1 for rank in found) / TEST_DRAWINGS
    for sketch, (canvas, rank) in answers["v2"].items():
        assert (canvas, rank) == answers[f"v1@{canvas}"][sketch]
    always = kept["selection"]["oracle"]["acc@1"] * TEST_DRAWINGS
    assert always == sum(min(answers["v1@32"][key][1], answers["v1@64"][key][1]) == 1 for key in answers["v2"])
    assert list(read_predictions(undisturbed / "predictions.ndjson")) == ROWS, "other verbs read them too"


def test_a_saved_recognizer_answers_as_in_the_run(undisturbed, categories_folder):
    """Softmax by hand over the saved layer; the network alone loads as any adapted one."""
    drawings = read(categories_folder / "ring.ndjson")
    recognizer = Recognizer.from_pretrained(undisturbed / "v1" / "model")
    assert recognizer.categories == ("cross", "ring", "zigzag")
    found = recognizer.recognize(drawings, top=3, canvas=32)
    adapted = AdaptedModel.from_pretrained(undisturbed / "v1" / "model")
    with torch.no_grad():
        embeddings = adapted.embed_sketches(drawings, 32).numpy() / 0.05
    weight, bias = (each.detach().numpy() for each in recognizer.head.linear.parameters())
    chances = np.exp(embeddings @ weight.T + bias)
    chances /= chances.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found.probabilities, -np.sort(-chances, axis=1), rtol=1e-3)
    said = {
        line["sketch"]: line["ranking"]
        for line in map(json.loads, (undisturbed / "predictions.ndjson").read_text().splitlines())
        if line["row"] == "v1@32"
    }
    compared = [key for key in drawings.columns["key"].tolist() if key in said]
    assert len(compared) == 4
    by_key = dict(zip(drawings.columns["key"].tolist(), found.categories, strict=True))
    assert [by_key[key] for key in compared] == [said[key] for key in compared]


def test_the_command_line_names_what_a_drawing_shows(undisturbed, categories_folder, tmp_path):
    model, file = undisturbed / "v2" / "model", categories_folder / "zigzag.ndjson"
    told = CliRunner().invoke(app, ["recognize", str(model), str(file), "--top", "2", "--first", "3", "--json"])
    assert told.exit_code == 0, told.output
    answers = [json.loads(line) for line in told.stdout.splitlines()]
    drawings = read(file)[:3]
    found = Recognizer.from_pretrained(model).recognize(drawings, top=2)
    assert [answer["drawing"] for answer in answers] == drawings.columns["key"].tolist()
    assert [list(answer["categories"]) for answer in answers] == found.categories
    (tmp_path / "one.svg").write_text(drawings[0].to_svg())
    told = CliRunner().invoke(app, ["recognize", str(model), str(tmp_path / "one.svg"), "--top", "1"])
    assert found.categories[0][0] in told.stdout
    assert f"drawn at {found.canvases[0]} px" in told.stdout


def test_a_finished_run_is_not_trained_again_and_other_settings_are_refused(undisturbed, monkeypatch):
    monkeypatch.setattr(recipe, "fit", None)
    before = outcome(undisturbed)
    recipe.run(load_recognition_config(str(undisturbed / "config.yaml")))
    assert outcome(undisturbed) == before
    with pytest.raises(ParameterError, match="stage of other settings or data; choose another out=FOLDER"):
        recipe.run(load_recognition_config(str(undisturbed / "config.yaml"), ["student.training.epochs=3"]))
    assert outcome(undisturbed) == before


def test_kill_9_then_the_same_command_ends_with_the_same_table(
    undisturbed, categories_folder, recognition_text, tmp_path
):
    (tmp_path / "tiny.yaml").write_text(recognition_text)
    out = tmp_path / "run"
    words = ["recognition", str(tmp_path / "tiny.yaml"), f"data.root={categories_folder}", f"out={out}"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([*COMMAND, *words], stdout=log, stderr=log, start_new_session=True)
        while not (out / "v1" / "checkpoint.pt").exists():
            assert process.poll() is None, (tmp_path / "log").read_text()
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    again = CliRunner().invoke(app, words)
    assert again.exit_code == 0, again.output
    assert "V1: going on after epoch" in again.stderr
    assert "SketchyNetV2" in again.stdout
    assert outcome(out) == outcome(undisturbed)


def test_a_network_of_the_users_own_is_trained_and_asked(categories_folder, recognition_text, tmp_path, monkeypatch):
    """A folder saved from it answers with `--network`, as the last line of the training says, and not without."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "ownrecognition.py").write_text(
        "from torch import nn\n\n\ndef small():\n"
        "    return nn.Sequential(nn.Conv2d(3, 8, 3, stride=4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())\n"
    )
    (tmp_path / "tiny.yaml").write_text(recognition_text)
    own = ["student.network=ownrecognition:small", "student.training.epochs=1"]
    words = ["recognition", "tiny.yaml", f"data.root={categories_folder}", "out=run", *own]
    told = CliRunner().invoke(app, words)
    assert told.exit_code == 0, told.output
    *command, drawing = told.stdout.splitlines()[-1].removeprefix("Ask it:  sketchkit ").split()
    assert [*command, drawing] == ["recognize", "run/v2/model", "--network", "ownrecognition:small", "DRAWING"]
    rows = json.loads((tmp_path / "run" / "results.json").read_text())["rows"]
    assert {row["network"] for row in rows[1:]} == {"ownrecognition:small"}
    assert rows[1]["params"] == 8 * 28 + 3 * (8 + 1)
    file = str(categories_folder / "ring.ndjson")
    asked = CliRunner().invoke(app, [*command, file, "--first", "2", "--json"])
    assert asked.exit_code == 0, asked.output
    assert len(asked.stdout.splitlines()) == 2
    with pytest.raises(ParameterError, match="a Sequential that only you can build; say what gives it: --network"):
        CliRunner().invoke(app, [*command[:2], file], catch_exceptions=False)
