"""The whole recipe, tiny: what it writes, and that a killed run ends like an undisturbed one."""

import json
import os
import signal
import subprocess
import time

import pytest
import safetensors
import torch

from sketchkit import SketchSet, read, write
from sketchkit.adapters import AdaptedModel, hub_discounts
from sketchkit.recipes.config import load_config
from sketchkit.recipes.fgsbir import run
from sketchkit.recipes.photo_lines import embed_gallery
from sketchkit.recipes.photos import load_photos, photo_files
from sketchkit.sketch import Sketch

from command_line import COMMAND, call


def outcome(out):
    """What must not depend on whether a run was killed: all but times."""
    results = json.loads((out / "results.json").read_text())
    kept = ("per_canvas", "selection", "abstraction", "ink_curve", "histories", "canvas_flops")
    rows = [{key: value for key, value in row.items() if key != "ms"} for row in results["rows"]]
    return rows, {key: results[key] for key in kept}, (out / "predictions.ndjson").read_text()


@pytest.fixture(scope="module")
def undisturbed(paired_folder, tiny_text, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    config = folder / "tiny.yaml"
    config.write_text(tiny_text)
    run(
        load_config(str(config), [f"data.root={paired_folder}", f"out={folder / 'run'}"]),
        command="sketchkit fgsbir tiny",
    )
    return folder / "run"


def test_the_table(undisturbed):
    results = json.loads((undisturbed / "results.json").read_text())
    assert [row["model"] for row in results["rows"]] == ["teacher", "direct", "v1", "v2"]
    teacher, direct, v1, v2 = results["rows"]
    assert teacher["params"] == 14_714_688, "VGG-16's trunk"
    assert direct["params"] == v1["params"] == 2_223_872, "MobileNetV2's trunk"
    assert v2["params"] == v1["params"] + results["selection"]["selector_params"]
    assert direct["flops"] == v1["flops"] == results["canvas_flops"]["64"]
    counts = results["selection"]["counts"]
    passes = sum(counts[size] * results["canvas_flops"][size] for size in counts) / sum(counts.values())
    assert v2["flops"] == pytest.approx(passes + results["selection"]["selector_flops"])
    for row in results["rows"]:
        assert 0 <= row["acc@1"] <= row["acc@5"] <= row["acc@10"] <= 1
        assert row["acc@1_interval"][0] <= row["acc@1"] <= row["acc@1_interval"][1]
        assert 0 < row["ms"]["p10"] <= row["ms"]["median"] <= row["ms"]["p90"]


def test_accuracies_follow_from_the_predictions(undisturbed):
    """Another program, with the predictions file and the names of the files alone, comes to the same figures."""
    rows, _, predictions = outcome(undisturbed)
    found = {}
    for line in map(json.loads, predictions.splitlines()):
        right = line["sketch"].rpartition("-")[0]
        found.setdefault(line["row"], {})[line["sketch"]] = line["canvas"], line["ranking"].index(right) + 1
    assert sorted(found) == ["direct@32", "direct@64", "teacher@64", "v1@32", "v1@64", "v2"]
    for name, row in zip(("teacher@64", "direct@64", "v1@64", "v2"), rows, strict=True):
        ranks = [rank for _, rank in found[name].values()]
        assert [row[f"acc@{top}"] for top in (1, 5, 10)] == [
            sum(rank <= top for rank in ranks) / len(ranks) for top in (1, 5, 10)
        ]
    for sketch, (canvas, rank) in found["v2"].items():
        assert (canvas, rank) == found[f"v1@{canvas}"][sketch]


def test_the_command_line_scores_the_predictions_of_a_run(undisturbed):
    rows, _, _ = outcome(undisturbed)
    words = ["score", undisturbed / "predictions.ndjson", "--config", undisturbed / "config.yaml", "--json"]
    scored = call(*words)
    assert scored.returncode == 0, scored.stderr
    found = {score["row"]: score for score in json.loads(scored.stdout)["rows"]}
    for name, row in zip(("teacher@64", "direct@64", "v1@64", "v2"), rows, strict=True):
        for figure in ("acc@1", "acc@5", "acc@10", "acc@1_interval"):
            assert found[name][figure] == pytest.approx(row[figure])


def test_the_models_load_by_themselves(undisturbed):
    for name, sizes in (("teacher", [64]), ("direct", [32, 64]), ("v1", [32, 64]), ("v2", [32, 64])):
        model = AdaptedModel.from_pretrained(undisturbed / name / "model")
        assert [canvas.size for canvas in model.canvases] == sizes


def test_a_drawing_finds_a_photo_from_the_command_line(undisturbed, paired_folder):
    """`sketchkit search` gives the order that embedding and sorting by hand gives, hubs discounted as in the run."""
    drawing = paired_folder / "sketch" / "shape03-1.svg"
    words = ["search", str(undisturbed / "v2" / "model"), str(paired_folder / "photo"), str(drawing), "--top", "4"]
    found = call(*words)
    assert found.returncode == 0, found.stderr
    model = AdaptedModel.from_pretrained(undisturbed / "v2" / "model")
    paths = photo_files(paired_folder / "photo")
    with torch.no_grad():
        photos = model.embed_photos(load_photos(paths, model.photo_size))
        similarity = (model.embed_sketches(Sketch.from_svg(drawing)) @ photos.T)[0]
    size = int(model.select(Sketch.from_svg(drawing))[0])
    with safetensors.safe_open(undisturbed / "v2" / "model" / "query_bank.safetensors", "pt") as bank:
        discounts = hub_discounts(photos, bank.get_tensor(str(size)).float(), neighbors=10)
    similarity -= discounts - discounts.mean()
    first, *lines = found.stdout.splitlines()
    assert first == f"drawn at {size} px"
    assert [float(line.split()[0]) for line in lines] == pytest.approx(
        similarity.sort(descending=True)[0][:4].tolist(), abs=2e-4
    )
    assert len({line.split()[1] for line in lines}) == 4


def test_several_drawings_of_another_format_are_searched_one_by_one(undisturbed, paired_folder, tmp_path, main_here):
    shapes = [paired_folder / "sketch" / f"shape0{index}-1.svg" for index in (3, 7)]
    alone = [main_here("search", undisturbed / "v2" / "model", paired_folder / "photo", shape) for shape in shapes]
    write(SketchSet.concat([read(shape) for shape in shapes]), tmp_path / "two.ndjson")
    both = main_here("search", undisturbed / "v2" / "model", paired_folder / "photo", tmp_path / "two.ndjson")
    assert both.returncode == 0, both.stderr
    expected = [line.split()[-1] for one in alone for line in one.stdout.splitlines()]
    assert [line.split()[-1] for line in both.stdout.splitlines()] == expected
    assert [line.split(",")[0] for line in both.stdout.splitlines() if "drawn at" in line] == ["drawing 0", "drawing 1"]


def test_a_finished_run_is_not_trained_again(undisturbed, paired_folder, monkeypatch):
    monkeypatch.setattr("sketchkit.recipes.fgsbir.fit", None)
    before = outcome(undisturbed)
    config = load_config(str(undisturbed / "config.yaml"))
    run(config, command="sketchkit fgsbir tiny")
    assert outcome(undisturbed) == before


def test_other_settings_leave_an_earlier_run_whole(undisturbed, main_here):
    before = {path: path.read_bytes() for path in undisturbed.rglob("*") if path.is_file()}
    words = [f"out={undisturbed}", "student.training.epochs=3"]
    again = main_here("fgsbir", undisturbed / "config.yaml", *words)
    assert again.returncode == 2
    assert "holds a stage of other settings or data; choose another out=FOLDER" in again.stderr
    assert {path: path.read_bytes() for path in undisturbed.rglob("*") if path.is_file()} == before


def test_kill_9_in_each_stage_then_the_same_command_ends_with_the_same_table(
    undisturbed, paired_folder, tiny_config, tmp_path
):
    """One run, killed five times: each process goes on from where the one before it was, and trains no stage again."""
    out = tmp_path / "run"
    command = [*COMMAND, "fgsbir", str(tiny_config), f"data.root={paired_folder}", f"out={out}"]
    finished = {}
    for place in (
        "teacher/checkpoint.pt",
        "direct/started.json",
        "v1/done.json",
        "v2/selector_0.2.safetensors",
        "results.json",
    ):
        assert not (out / place).exists(), f"a process got farther than it was let, to {place}"
        with (tmp_path / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
            while not (out / place).exists():
                assert process.poll() is None, (tmp_path / "log").read_text()
                time.sleep(0.01)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        finished |= {path: path.read_bytes() for path in out.glob("*/done.json") if path not in finished}
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert "SketchyNetV2" in again.stdout
    assert outcome(out) == outcome(undisturbed)
    assert [path.parent.name for path in sorted(finished)] == ["direct", "teacher", "v1", "v2"]
    assert {path: path.read_bytes() for path in finished} == finished


def test_kill_9_in_a_training_that_draws_anew_ends_like_an_undisturbed_run(
    paired_folder, tiny_config, small_teacher, tmp_path
):
    """Nothing is kept of frozen blocks: each epoch's jitter and stretch come from the seed, whoever draws them.

    With photos' edges in the gallery, which V2 asks in a search too.
    """
    words = [f"data.root={paired_folder}", *small_teacher, "evaluation.examples=0"]
    words += ["teacher.training.variants=0", "teacher.training.epochs=3", "teacher.training.stretch=0.3"]
    words += ["student.training.frozen_blocks=0", "student.training.epochs=3", "student.training.stretch=0.3"]
    words += ["student.photo_lines=0.5"]
    run(load_config(str(tiny_config), [*words, f"out={tmp_path / 'undisturbed'}"]), command="sketchkit fgsbir tiny")
    out = tmp_path / "run"
    command = [*COMMAND, "fgsbir", str(tiny_config), *words, f"out={out}"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        while not (out / "v1" / "checkpoint.pt").exists():
            assert process.poll() is None, (tmp_path / "log").read_text()
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert not (out / "v1" / "done.json").exists(), "it was killed in the middle of this training"
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert outcome(out) == outcome(tmp_path / "undisturbed")
    drawing = paired_folder / "sketch" / "shape03-1.svg"
    found = call("search", str(out / "v2" / "model"), str(paired_folder / "photo"), str(drawing), "--top", "3")
    model, paths = AdaptedModel.from_pretrained(out / "v2" / "model"), photo_files(paired_folder / "photo")
    size = int(model.select(Sketch.from_svg(drawing))[0])
    gallery = embed_gallery(model, paths, model.canvases, weight=0.5, name="photos")[size]
    with torch.no_grad():
        similarity = (model.embed_sketches(Sketch.from_svg(drawing)) @ gallery.T)[0]
    with safetensors.safe_open(out / "v2" / "model" / "query_bank.safetensors", "pt") as bank:
        discounts = hub_discounts(gallery, bank.get_tensor(str(size)).float(), neighbors=10)
    similarity -= discounts - discounts.mean()
    assert [float(line.split()[0]) for line in found.stdout.splitlines()[1:]] == pytest.approx(
        similarity.sort(descending=True)[0][:3].tolist(), abs=2e-4
    )
