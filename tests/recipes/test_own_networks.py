"""Networks named `module:Callable`: what is imported, what is told, and a run of one from the command line."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from sketchkit import AdaptedModel, Sketch, adapt
from sketchkit.adapters import OnnxModel
from sketchkit.errors import MissingDataError, ParameterError, SketchkitError
from sketchkit.recipes.config import load_config
from sketchkit.recipes.own_networks import current_folder_first, own_network, own_source, settings_of
from sketchkit.recipes.photos import load_photos, photo_files
from sketchkit.recipes.query_bank import QueryBank
from sketchkit.recipes.recognition.recognizer import CategoryHead, Recognizer

from command_line import COMMAND, call, refused

# With it `python -c` leaves the current folder out, as the installed command does.
ENVIRONMENT = {**os.environ, "PYTHONSAFEPATH": "1"}

OWN = """
import torch
from torch import nn

from blocks_of_mynet import block


class PhoneNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(block(3, 8), block(8, 16))
        self.head = nn.Linear(16, 10)

    def forward(self, photos):
        return self.head(self.body(photos).mean(dim=(2, 3)))


def wide():
    convolution, pool = nn.Conv2d(3, 24, 3, stride=2, padding=1), nn.AdaptiveAvgPool2d(1)
    return nn.Sequential(convolution, nn.ReLU(), pool, nn.Flatten(), nn.Linear(24, 5))


class Family:
    Small = PhoneNet


network, weights, number = PhoneNet(), lambda: {"head": 1}, 3
"""
BLOCKS = """
from torch import nn


class Block(nn.Sequential):
    pass


def block(ins, outs):
    return Block(nn.Conv2d(ins, outs, 3, stride=2, padding=1), nn.BatchNorm2d(outs), nn.ReLU())
"""


@pytest.fixture
def write_modules(tmp_path, monkeypatch):
    """Write modules into the current folder, and forget them afterwards, and what was written there before."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    known = set(sys.modules)

    def forget() -> None:
        for name in set(sys.modules) - known:
            if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "") or ""):
                del sys.modules[name]

    def write(**texts: str) -> Path:
        forget()
        for name, text in texts.items():
            path = tmp_path.joinpath(*name.split("__")).with_suffix(".py")
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
            # A second text within a second would be taken for the first by its time.
            os.utime(path, (time.time() + len(text), time.time() + len(text)))
        return tmp_path

    yield write
    forget()


@pytest.fixture
def own(write_modules) -> Path:
    """The current folder with `mynet.py` and the module that it imports."""
    return write_modules(mynet=OWN, blocks_of_mynet=BLOCKS)


# What a name means


def test_a_class_a_function_and_a_name_inside_a_class(own):
    assert own_network("mynet:PhoneNet").head.out_features == 10
    assert own_network("mynet:wide")[-1].out_features == 5
    assert type(own_network("mynet:Family.Small")).__name__ == "PhoneNet"
    adapted = adapt(own_network("mynet:PhoneNet"), canvases=(32,), photo_size=32)
    assert adapted.embedding_dim == 16


def test_a_module_of_a_package(write_modules):
    write_modules(nets____init__="", nets__small="from torch import nn\n\ndef make():\n    return nn.Conv2d(3, 4, 3)\n")
    assert own_network("nets.small:make").out_channels == 4


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("mynett:PhoneNet", "mynett:PhoneNet: there is no module mynett, neither in {here} nor installed"),
        ("mynet.parts:PhoneNet", "there is no module mynet.parts, neither in"),
        ("mynet:PhoneNett", "mynet ({here}/mynet.py) has no PhoneNett; did you mean PhoneNet?"),
        ("mynet:Family.Large", "has no Large"),
        ("mynet:number", "mynet:number is a int, not a class or a function that gives a network"),
        ("mynet:network", "is a network already; name a class or a function that builds it"),
        ("mynet:weights", "mynet:weights gives a dict, not a torch.nn.Module"),
        ("mynet:block", "without arguments fails: TypeError: block() missing 2 required positional arguments"),
        ("mynet:", "is not package.module:Callable, such as mynet:PhoneNet"),
        ("my net:PhoneNet", "is not package.module:Callable"),
        ("hf-hub:timm/resnet18", "is not package.module:Callable"),
        ("broken:Net", "importing broken fails: {here}/broken.py:3: ModuleNotFoundError: No module named 'nowhere'"),
        ("wrong:Net", "importing wrong fails: {here}/wrong.py:1: SyntaxError: "),
        ("script:Net", "importing script fails: {here}/script.py:2: SystemExit: usage: give a file"),
        ("raising:Net", "without arguments fails: {here}/raising.py:4: TypeError: "),
        ("raising:ours", "without arguments fails: {here}/raising.py:7: ParameterError: pool_size must be"),
    ],
)
def test_what_is_wrong_with_a_name_is_told_in_one_line_with_its_place(own, write_modules, name, says):
    write_modules(
        broken="\n\nimport nowhere\n",
        wrong="class Net(:\n",
        script="import sys\nsys.exit('usage: give a file')\n",
        raising="from torch import nn\nfrom sketchkit import adapt\nclass Net(nn.Module):\n"
        "    def __init__(self): nn.Conv2d(3, 'x', 3)\n\ndef ours():\n    return adapt('mobilenet_v2', pool_size=0)\n",
    )
    with pytest.raises(ParameterError) as caught:
        own_network(name)
    assert says.format(here=own) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_the_current_folder_is_looked_up_first_only_for_own_networks(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["elsewhere"])
    current_folder_first("mobilenet_v2", None)
    assert sys.path == ["elsewhere"]
    for _ in range(2):
        current_folder_first(None, "mynet:PhoneNet")
        assert sys.path == [str(tmp_path), "elsewhere"]


# What a training depends on


def test_own_weights_are_started_from_whatever_is_said(own):
    for word in ("student.pretrained=true", "seed=0"):
        config = load_config("demo", ["student.network=mynet:PhoneNet", word])
        assert config.student.pretrained is False
    assert config.teacher.pretrained is True
    assert "mynet" not in sys.modules, "settings alone import nothing"


@pytest.mark.parametrize("part", ["teacher", "student"])
def test_a_slip_in_a_name_is_refused_with_the_setting(part):
    with pytest.raises(ParameterError, match=rf"{part}\.network='mynet:Phone-Net' is not package\.module:Callable"):
        load_config("demo", [f"{part}.network=mynet:Phone-Net"])


@pytest.mark.parametrize(
    ("change", "same"),
    [
        (("OWN", "nn.Linear(16, 10)", "nn.Linear(16, 11)"), False),
        (("OWN", "network, weights", "# A word more.\nnetwork, weights"), True),
        (("OWN", "nn.ReLU(), ", "nn.ELU(), "), True),
        (("BLOCKS", "pass", "inplace = True"), False),
    ],
    ids=["in the class", "elsewhere", "another function", "in a class of another module"],
)
def test_the_source_of_the_networks_classes_counts(write_modules, change, same):
    texts = {"OWN": OWN, "BLOCKS": BLOCKS}
    write_modules(mynet=texts["OWN"], blocks_of_mynet=texts["BLOCKS"])
    torch.manual_seed(3)
    before, drawn = own_source("mynet:PhoneNet"), torch.rand(1)
    torch.manual_seed(3)
    assert torch.equal(drawn, torch.rand(1)), "no random number is taken"
    text, old, new = change
    texts[text] = texts[text].replace(old, new)
    assert own_source("mynet:PhoneNet") == before
    write_modules(mynet=texts["OWN"], blocks_of_mynet=texts["BLOCKS"])
    assert (own_source("mynet:PhoneNet") == before) is same


def test_settings_of_known_networks_are_what_they_were(own):
    config = load_config("demo", ["student.network=mynet:PhoneNet"])
    assert settings_of(config.teacher)["network"] == "vgg16"
    assert "source" not in settings_of(config.teacher)
    assert settings_of(config.student)["source"] == own_source("mynet:PhoneNet")


# Folders


def saved(network: nn.Module, folder: Path) -> AdaptedModel:
    adapted = adapt(network, canvases=(32, 64), photo_size=64)
    adapted.save_pretrained(folder)
    return adapted


def test_a_folder_imports_nothing_whatever_it_says(write_modules, paired_folder, main_here):
    here = write_modules(mynet=OWN, blocks_of_mynet=BLOCKS, evil="open('attacked', 'w').close()\nNet = 3\n")
    adapted = saved(own_network("mynet:PhoneNet"), here / "saved")
    Recognizer(adapted, CategoryHead(16, ["a", "b"])).save_pretrained(here / "saved")
    adapted.export(here / "export")
    drawing = paired_folder / "sketch" / "shape00-1.svg"
    plain = json.loads((here / "saved" / "config.json").read_text())
    for source in (
        None,
        {"origin": "sketchkit", "name": "evil:Net", "arguments": {}},
        {"origin": "timm", "name": "evil:Net", "arguments": {}},
        {"origin": "evil", "name": "Net", "arguments": {}},
    ):
        said = {**plain, "model": {**plain["model"], "network": "evil:Net", "source": source}}
        (here / "saved" / "config.json").write_text(json.dumps(said))
        with pytest.raises(SketchkitError):
            AdaptedModel.from_pretrained(here / "saved")
        for words in (["search", "saved", paired_folder / "photo", drawing], ["recognize", "saved", drawing]):
            process = main_here(*words)
            assert process.returncode == 2, process.stderr
            assert process.stderr.startswith("sketchkit: ")
    said = json.loads((here / "export" / "onnx.json").read_text()) | {"network": "evil:Net", "source": "evil:Net"}
    (here / "export" / "onnx.json").write_text(json.dumps(said))
    assert main_here("search", "export", paired_folder / "photo", drawing).returncode == 0
    assert not (here / "attacked").exists()
    assert "evil" not in sys.modules


def test_an_exported_folder_is_searched_as_the_adapted_one(own, paired_folder, main_here):
    adapted = saved(own_network("mynet:PhoneNet"), own / "saved")
    adapted.export(own / "export")
    drawing = paired_folder / "sketch" / "shape03-1.svg"
    found = main_here("search", "export", paired_folder / "photo", drawing, "--top", "12")
    assert found.returncode == 0, found.stderr
    paths = photo_files(paired_folder / "photo")
    with torch.no_grad():
        similarity = adapted.embed_sketches(Sketch.from_svg(drawing)) @ adapted.embed_photos(load_photos(paths, 64)).T
    first, *lines = found.stdout.splitlines()
    assert first == "drawn at 64 px", "an untrained selector takes the largest"
    by_name = {line.split()[1]: float(line.split()[0]) for line in lines}
    assert [by_name[path.name] for path in paths] == pytest.approx(similarity[0].tolist(), abs=2e-4)
    again = main_here("search", "export", paired_folder / "photo", drawing, "--network", "mynet:PhoneNet")
    assert (again.returncode, again.stdout) == (2, "")
    assert "export holds an exported network, which runs by itself; leave out --network" in again.stderr


def test_each_kind_of_folder_says_what_reads_it(own):
    adapted = saved(own_network("mynet:PhoneNet"), own / "saved")
    adapted.export(own / "export")
    with pytest.raises(
        MissingDataError, match=r"export holds .* an exported one: sketchkit\.adapters\.OnnxModel reads"
    ):
        AdaptedModel.from_pretrained("export")
    with pytest.raises(
        MissingDataError, match=r"saved holds .* an adapted one: AdaptedModel\.from_pretrained reads it"
    ):
        OnnxModel("saved")


# The command line


@pytest.fixture
def words(tiny_config, paired_folder) -> list[str]:
    """The tiny run with `mynet:PhoneNet` as student and `mynet:wide` as teacher."""
    return [
        "fgsbir",
        str(tiny_config),
        f"data.root={paired_folder}",
        "out=run",
        "teacher.network=mynet:wide",
        "teacher.training.frozen_blocks=0",
        "student.network=mynet:PhoneNet",
        "student.training.frozen_blocks=0",
    ]


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("student.network=mynet:Phone", "mynet.py) has no Phone; did you mean PhoneNet?"),
        ("student.training.frozen_blocks=1", "student.training.frozen_blocks needs a network with a Sequential named"),
        ("student.pool_size=2", "student.network=mynet:PhoneNet: pool_size=2 needs a network whose forward gives maps"),
    ],
)
def test_an_own_student_is_tried_before_the_teacher_is_trained(own, words, main_here, word, says):
    refused(main_here(*words, word), says)
    assert not (own / "run" / "teacher").exists()


def test_a_killed_run_goes_on_and_its_folder_is_searched(own, words, paired_folder, main_here):
    """Killed in V1, as the teacher's and the direct student's folders are read back; then by the same command again."""
    with (own / "log").open("wb") as log:
        process = subprocess.Popen([*COMMAND, *words], stdout=log, stderr=log, start_new_session=True, env=ENVIRONMENT)
        while not (own / "run" / "v1" / "checkpoint.pt").exists():
            assert process.poll() is None, (own / "log").read_text()
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    again = main_here(*words)
    assert again.returncode == 0, again.stderr
    assert "V1: going on after epoch" in again.stderr
    assert "mynet:PhoneNet: batch norms that have seen no image yet" in again.stderr
    whole = main_here(*words, "out=whole")
    assert whole.returncode == 0, whole.stderr
    assert (own / "run" / "predictions.ndjson").read_text() == (own / "whole" / "predictions.ndjson").read_text()
    rows = json.loads((own / "run" / "results.json").read_text())["rows"]
    assert "mynet:wide: batch norms" not in again.stderr, "it has none"
    assert [row["network"] for row in rows] == ["mynet:wide", *["mynet:PhoneNet"] * 3]
    # 3x3 convolutions with bias, and batch norm; the classifier is off.
    assert [row["params"] for row in rows[:2]] == [24 * 28, 8 * 28 + 16 + 16 * 73 + 32]
    assert "mynet:PhoneNet" in (own / "run" / "report.html").read_text()

    drawing = paired_folder / "sketch" / "shape03-1.svg"
    search = ["search", "run/v2/model", paired_folder / "photo", drawing, "--top", "3"]
    found = call(*search, "--network", "mynet:PhoneNet", env=ENVIRONMENT)
    assert found.returncode == 0, found.stderr
    model = AdaptedModel.from_pretrained("run/v2/model", own_network("mynet:PhoneNet"))
    paths = photo_files(paired_folder / "photo")
    with torch.no_grad():
        photos = model.embed_photos(load_photos(paths, 64))
        similarity = (model.embed_sketches(Sketch.from_svg(drawing)) @ photos.T)[0]
    size = int(model.select(Sketch.from_svg(drawing))[0])
    similarity -= QueryBank.beside(Path("run/v2/model")).discounts(photos)[size]
    said = [float(line.split()[0]) for line in found.stdout.splitlines()[1:]]
    assert said == pytest.approx(similarity.sort(descending=True)[0][:3].tolist(), abs=2e-4)
    refused(main_here(*search), "a PhoneNet that only you can build", "--network mymodule:PhoneNet")
    refused(main_here(*search, "--network", "mynet:wide"), "the weights are not of this PhoneNet")
    refused(main_here(*search, "--network", "mobilenet_v2"), "is not package.module:Callable")


def test_edited_code_is_not_mixed_with_what_was_trained_before(own, write_modules, words, main_here, monkeypatch):
    assert main_here(*words).returncode == 0
    write_modules(mynet=OWN.replace("network, weights", "# A word more.\nnetwork, weights"))
    with monkeypatch.context() as patch:
        patch.setattr("sketchkit.recipes.fgsbir.fit", None)
        assert main_here(*words).returncode == 0, "what no stage depends on trains nothing again"
    write_modules(mynet=OWN.replace("self.head(self", "self.head(1 * self"))
    refused(main_here(*words), "direct holds a stage of other settings or data; choose another out=FOLDER")
