"""What a user sees when something is wrong: one line that says what to do, exit code 2, earlier results whole."""

import os
import pickle
import shutil
import subprocess

import pytest

from sketchkit import Sketch, SketchSet, write
from sketchkit.recipes.progress import resumable

from command_line import call, refused


def test_ctrl_c_ends_a_training_with_how_to_go_on(capsys):
    with pytest.raises(SystemExit) as ended, resumable():
        raise KeyboardInterrupt
    assert ended.value.code == 130
    assert capsys.readouterr().err == "sketchkit: stopped; run the same command again to go on\n"


def test_missing_data_path(tiny_config, tmp_path):
    process = call(
        "fgsbir", tiny_config, "data.name=qmul", f"data.root={tmp_path / 'nowhere'}", f"out={tmp_path / 'out'}"
    )
    refused(process, "nowhere: no such folder", "ChairV2_Coordinate")


def test_missing_configuration(tmp_path):
    refused(call("fgsbir", tmp_path / "none.yaml"), "none.yaml: no such file", "demo")


def test_unknown_setting(tiny_config):
    refused(call("fgsbir", tiny_config, "student.canvas=3"), "did you mean student.canvases")


@pytest.mark.parametrize("damage", ["flipped", "truncated", "absent"])
def test_corrupt_weights(tiny_config, paired_folder, tmp_path, damage, main_here, monkeypatch):
    from sketchkit.adapters.pretrained import FOLDER_VARIABLE, find_weights

    folder = tmp_path / "weights"
    folder.mkdir()
    if damage != "absent":
        original = find_weights("mobilenet_v2")
        content = bytearray(original.read_bytes())
        content[len(content) // 2] ^= 1
        (folder / original.name).write_bytes(content if damage == "flipped" else content[:1000])
    monkeypatch.setenv(FOLDER_VARIABLE, str(folder))
    settings = [f"data.root={paired_folder}", "teacher.network=mobilenet_v2", "teacher.pretrained=true"]
    process = main_here("fgsbir", tiny_config, *settings, f"out={tmp_path / 'out'}")
    refused(process, "mobilenet_v2", "pip install")


def broken_set(folder, paired_folder):
    shutil.copytree(paired_folder / "photo", folder / "photo")
    (folder / "sketch").mkdir()
    return folder


def test_svg_without_strokes(tiny_config, paired_folder, tmp_path, main_here):
    root = broken_set(tmp_path / "set", paired_folder)
    (root / "sketch" / "shape00-1.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"><g/></svg>')
    process = main_here("fgsbir", tiny_config, f"data.root={root}", f"out={tmp_path / 'out'}")
    refused(process, "shape00-1.svg", "draws nothing")


class Attack:
    def __reduce__(self):
        return (os.mkdir, ("attacked",))


@pytest.mark.parametrize("content", [b"garbage", pickle.dumps(Attack()), pickle.dumps({"/train/a_1": "text"})])
def test_broken_pickle(tiny_config, paired_folder, tmp_path, content, monkeypatch, main_here):
    monkeypatch.chdir(tmp_path)
    root = broken_set(tmp_path / "set", paired_folder)
    (root / "Made_Coordinate").write_bytes(content)
    process = main_here("fgsbir", tiny_config, "data.name=qmul", f"data.root={root}", f"out={tmp_path / 'out'}")
    refused(process, "Made_Coordinate")
    assert not (tmp_path / "attacked").exists()


def test_output_folder_that_cannot_be_made(tiny_config, paired_folder, tmp_path, main_here):
    (tmp_path / "file").write_text("whole")
    process = main_here("fgsbir", tiny_config, f"data.root={paired_folder}", f"out={tmp_path / 'file' / 'out'}")
    refused(process, "cannot be made", "out=FOLDER")
    assert (tmp_path / "file").read_text() == "whole"


@pytest.mark.skipif(shutil.which("mount") is None or os.geteuid() != 0, reason="mounting a small disk needs root")
@pytest.mark.parametrize("options", ["size=300k", "ro,size=50m"], ids=["full disk", "read-only disk"])
def test_disk(tiny_config, paired_folder, tmp_path, options):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk)], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.strip()}")
    try:
        process = call("fgsbir", tiny_config, f"data.root={paired_folder}", f"out={disk / 'out'}")
        left = sorted(path.name for path in disk.rglob("*") if path.is_file() and path.name.startswith("."))
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    refused(process, str(disk))
    assert left == [], "no half-written file stays"


def test_info_counts(tmp_path):
    path = tmp_path / "made.ndjson"
    write(SketchSet.from_sketches([Sketch.from_strokes([[(0, 0), (9, 9)]], label="line", key="1")] * 3), path)
    process = call("info", path)
    assert process.returncode == 0, process.stderr
    assert "3 sketches, 3 strokes, 6 points" in process.stdout


def test_version():
    assert call("--version").stdout.startswith("sketchkit ")
