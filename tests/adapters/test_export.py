from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from sketchkit import AdaptedModel, AdaptError, Canvas, Sketch, SketchSet, adapt
from sketchkit.adapters import CanvasSelector, OnnxModel, verify
from sketchkit.adapters import export as export_module
from sketchkit.adapters.pen_rows import pen_rows
from sketchkit.errors import MissingDataError, MissingDependencyError, OutputError, ParameterError, WeightsError

from models import MODELS, LateConvolution, Tokens, VggLike, pooled
from zoo import zoo_set

onnx = pytest.importorskip("onnx", reason="exporting needs sketchkit[export]")
pytest.importorskip("onnxscript", reason="exporting needs sketchkit[export]")
pytest.importorskip("onnxruntime", reason="exporting needs sketchkit[export]")


def drawings(count: int = 9) -> SketchSet:
    generator = np.random.default_rng(3)
    return SketchSet.from_sketches(
        Sketch.from_strokes([generator.uniform(0, 255, (points, 2)) for points in generator.integers(2, 30, 3)])
        for _ in range(count)
    )


def photos(count: int = 5, side: int = 64) -> np.ndarray:
    return np.random.default_rng(4).integers(0, 256, (count, 3, side, side), np.uint8)


def made(build: Callable[[], nn.Module], **arguments: object) -> AdaptedModel:
    adapted = adapt(build(), **{"canvases": (32, 64), "photo_size": 64, "embedding_dim": 4, **arguments})
    nn.init.normal_(adapted.canvas_selector.to_logits.weight, std=3)
    return adapted.eval()


def assert_alike(adapted: AdaptedModel, folder: Path) -> None:
    model = OnnxModel(folder, threads=1)
    with torch.no_grad():
        for count in (1, 3):
            expected = adapted.embed_photos(photos(count)).float().numpy()
            np.testing.assert_allclose(model.embed_photos(photos(count)), expected, rtol=0, atol=1e-4)
            for canvas in adapted.canvases:
                expected = adapted.embed_sketches(drawings(count), canvas).float().numpy()
                np.testing.assert_allclose(
                    model.embed_sketches(drawings(count), canvas.size), expected, rtol=0, atol=1e-4
                )


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[AdaptedModel, Path]:
    """Made once: tests that change the folder copy it."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("exported")
    adapted = made(pooled)
    adapted.export(folder, precisions=("fp32", "fp16", "int8"), calibration=(drawings(), photos()))
    return adapted, folder


@pytest.fixture
def copied(exported: tuple[AdaptedModel, Path], tmp_path: Path) -> Path:
    for path in exported[1].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


# The network


@pytest.mark.parametrize(
    ("build", "exporter"),
    [
        (MODELS["no classifier, a map"].build, "torch.export"),
        (MODELS["one channel"].build, "torch.export"),
        (MODELS["squeeze and excitation"].build, "torch.export"),
        (lambda: Tokens(head=True), "torch.export, strict"),
        (VggLike, "torch.export, strict, pooling by matrices"),
        (MODELS["object with tokens"].build, "torch.export, one image at a time"),
    ],
)
def test_embeddings_are_torchs_at_every_batch_and_canvas(
    build: Callable[[], nn.Module], exporter: str, tmp_path: Path
) -> None:
    adapted = made(build)
    exported = adapted.export(tmp_path, precisions=("fp32", "int8"), calibration=(drawings(), photos()))
    assert exported.exporter == exporter
    assert_alike(adapted, tmp_path)
    assert min(each.cosine for each in verify(adapted, tmp_path, drawings(), photos())["int8"].values()) > 0.99


def test_the_given_model_stays_as_it_was(tmp_path: Path) -> None:
    adapted = adapt(pooled(), teacher=pooled(), canvases=(32,), photo_size=32).train()
    before = {name: value.clone() for name, value in adapted.state_dict().items()}
    bare = adapt(pooled(), canvases=(32,), photo_size=32)
    assert adapted.export(tmp_path / "a").bytes_of == bare.export(tmp_path / "b").bytes_of, "the teacher stays behind"
    assert adapted.training
    assert all(torch.equal(adapted.state_dict()[name], value) for name, value in before.items())


def test_a_network_in_half_precision_leaves_in_float32(tmp_path: Path) -> None:
    adapted = adapt(pooled().to(torch.bfloat16), canvases=(32,), photo_size=32)
    adapted.export(tmp_path)
    whole = export_module.float_copy(adapted)
    with torch.no_grad():
        expected = whole.embed_photos(photos()).numpy()
    np.testing.assert_allclose(OnnxModel(tmp_path).embed_photos(photos()), expected, rtol=0, atol=1e-4)


def test_weights_are_stored_once(exported: tuple[AdaptedModel, Path]) -> None:
    adapted, folder = exported
    stored = sum(
        int(np.prod(tensor.dims))
        for tensor in onnx.load(OnnxModelFiles(folder)["fp32"]).graph.initializer
        if len(tensor.dims) > 1
    )
    weights = [value for value in adapted.backbone.parameters() if value.ndim > 1]
    assert stored <= sum(value.numel() for value in weights) + adapted.projection.weight.numel() + 6


def OnnxModelFiles(folder: Path) -> dict[str, Path]:
    files = json.loads((folder / "onnx.json").read_text())["files"]
    return {name: folder / file["file"] for name, file in files["student"].items()}


def test_a_network_that_decides_by_what_it_sees_is_refused(tmp_path: Path) -> None:
    class Deciding(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution = nn.Conv2d(3, 4, 3)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.convolution(images if float(images.mean()) > 0 else -images)

    with pytest.raises(AdaptError, match=r"Deciding cannot be exported .* adapt it with one canvas"):
        made(Deciding).export(tmp_path)
    assert not list(tmp_path.iterdir())


# The selector


def test_rows_are_those_of_the_selector() -> None:
    rows, lengths = pen_rows(zoo_set(), 64)
    expected, counts = CanvasSelector(3).encode(zoo_set())
    assert rows.tobytes() == expected.numpy().tobytes()
    assert lengths.tolist() == counts.tolist()


def test_logits_of_ragged_drawings_are_torchs(exported: tuple[AdaptedModel, Path]) -> None:
    adapted, folder = exported
    model = OnnxModel(folder, threads=1)
    for block in (drawings(), drawings(1), zoo_set()):
        with torch.no_grad():
            expected = adapted.canvas_selector(*adapted.canvas_selector.encode(block)).numpy()
        np.testing.assert_allclose(model.logits(block), expected, rtol=0, atol=1e-5)
        assert model.select(block).tolist() == adapted.select(block).tolist()
    assert len(set(model.select(drawings(40)))) == 2, "one canvas for all would show nothing"


def test_each_drawing_on_the_canvas_chosen_in_the_order_given(exported: tuple[AdaptedModel, Path]) -> None:
    adapted, folder = exported
    with torch.no_grad():
        expected = adapted.embed_sketches(drawings(40)).numpy()
    np.testing.assert_allclose(OnnxModel(folder).embed_sketches(drawings(40)), expected, rtol=0, atol=1e-4)
    assert OnnxModel(folder).embed_sketches(drawings(0)).shape == (0, 4)


def test_an_untrained_selector_takes_the_largest_canvas(tmp_path: Path) -> None:
    adapt(pooled(), canvases=(16, 32), photo_size=32).export(tmp_path)
    assert OnnxModel(tmp_path).select(drawings(2)).tolist() == [32, 32]


# Photos


@pytest.mark.parametrize("shape", [(64, 64), (100, 80), (33, 200), (20, 64)])
def test_photos_are_resized_as_torch_does(exported: tuple[AdaptedModel, Path], shape: tuple[int, int]) -> None:
    adapted, folder = exported
    images = np.random.default_rng(1).random((2, 3, *shape), np.float32)
    with torch.no_grad():
        expected = adapted.embed_photos(images).numpy()
    np.testing.assert_allclose(OnnxModel(folder).embed_photos(images), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda model: model.embed_photos(photos()[0]), r"photos must be \(batch, 3, height, width\)"),
        (lambda model: model.embed_photos(photos().astype(np.float32)), "divide by 255"),
        (lambda model: model.embed_photos(photos().astype(np.int64)), "uint8 or float"),
        (lambda model: model.embed_rasters(photos()), r"rasters must be \(batch, height, width\)"),
        (lambda model: model.embed_sketches(drawings(), 48), "no canvas of 48 px; there are 32, 64"),
    ],
)
def test_wrong_inputs(exported: tuple[AdaptedModel, Path], call: Callable[[OnnxModel], object], words: str) -> None:
    with pytest.raises(ParameterError, match=words):
        call(OnnxModel(exported[1]))


def test_any_canvas_can_be_given(exported: tuple[AdaptedModel, Path]) -> None:
    adapted, folder = exported
    canvas = Canvas((48, 40), line_width=0.05)
    with torch.no_grad():
        expected = adapted.embed_sketches(drawings(), canvas).numpy()
    np.testing.assert_allclose(OnnxModel(folder).embed_sketches(drawings(), canvas), expected, rtol=0, atol=1e-4)


def test_it_runs_without_torch(exported: tuple[AdaptedModel, Path], tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "class Gone:\n"
        "    def find_spec(self, name, *rest):\n"
        "        if name.partition('.')[0] in ('torch', 'onnx', 'onnxscript'): raise ImportError(name)\n"
        "sys.meta_path.insert(0, Gone())\n"
        "from sketchkit import Sketch\n"
        "from sketchkit.adapters import OnnxModel\n"
        f"model = OnnxModel({str(exported[1])!r}, threads=1)\n"
        "print(model.embed_sketches(Sketch.from_strokes([[(0, 0), (5, 9)]])).shape)\n"
    )
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.stdout == "(1, 4)\n", run.stderr


# Smaller weights


def test_smaller_weights_stay_near(exported: tuple[AdaptedModel, Path]) -> None:
    adapted, folder = exported
    report = verify(adapted, folder, drawings(), photos())
    assert report["fp32"][32].max_difference < 1e-4
    assert report["fp32"][64].top_1 == report["fp32"][64].top_10 == 1
    assert report["fp16"][64].cosine > 0.9999
    assert report["int8"][64].cosine > 0.98
    noted = json.loads((folder / "onnx.json").read_text())["agreement"]
    assert noted["int8"]["64"]["cosine"] == report["int8"][64].cosine


def test_smaller_weights_are_what_they_say(exported: tuple[AdaptedModel, Path]) -> None:
    kind = onnx.TensorProto
    graphs = {name: onnx.load(path).graph for name, path in OnnxModelFiles(exported[1]).items()}
    kernels = {
        name: {tensor.data_type for tensor in graph.initializer if len(tensor.dims) == 4}
        for name, graph in graphs.items()
    }
    assert kernels == {"fp32": {kind.FLOAT}, "fp16": {kind.FLOAT16}, "int8": {kind.INT8}}
    scales = [tensor.dims[0] for tensor in graphs["int8"].initializer if tensor.name.endswith("weight_scale")]
    assert max(scales, default=0) > 1, "each output channel has its own scale"
    for graph in graphs.values():
        assert {value.type.tensor_type.elem_type for value in [*graph.input, *graph.output]} == {kind.FLOAT}


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_smaller_weights_take_any_batch_and_canvas(exported: tuple[AdaptedModel, Path], precision: str) -> None:
    model = OnnxModel(exported[1], precision)
    for canvas in (32, 48, 64):
        together = model.embed_rasters(np.zeros((3, canvas, canvas), np.uint8))
        np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-3)


def test_another_network_is_found_out(copied: Path) -> None:
    torch.manual_seed(1)
    with pytest.raises(AdaptError, match="was another one exported"):
        verify(made(pooled), copied, drawings(), photos())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"precisions": ("int4",)}, "precisions must be of fp32, fp16, int8"),
        ({"precisions": ()}, "at least one"),
        ({"precisions": ("int8",)}, r"calibration=\(drawings, photos\)"),
        ({"precisions": ("int8",), "calibration": ([], photos(0))}, "images to calibrate on"),
        ({"opset": 12}, "18 or later"),
    ],
)
def test_options_out_of_range(tmp_path: Path, options: dict[str, object], words: str) -> None:
    with pytest.raises(ParameterError, match=words):
        made(pooled).export(tmp_path, **options)


# Files


@pytest.mark.parametrize("missing", ["onnx", "onnxruntime", "onnxscript"])
def test_a_missing_package_is_named_with_its_extra(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(MissingDependencyError, match=rf"{missing}.*pip install sketchkit\[export\]"):
        made(pooled).export(tmp_path)


def test_running_without_the_runtime(exported: tuple[AdaptedModel, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingDependencyError, match=r"pip install sketchkit\[export\]"):
        OnnxModel(exported[1])


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(b""),
        lambda path: path.unlink(),
    ],
)
@pytest.mark.parametrize("file", ["student-fp32-*.onnx", "selector-*.onnx"])
def test_damaged_graphs(copied: Path, damage: Callable[[Path], object], file: str) -> None:
    damage(next(copied.glob(file)))
    with pytest.raises(WeightsError, match="export the model again"):
        OnnxModel(copied)


@pytest.mark.parametrize(
    "change", [lambda _: "{", lambda _: "[]", lambda _: "{}", lambda text: text.replace('"format": 1', '"format": 9')]
)
def test_a_damaged_description(copied: Path, change: Callable[[str], str]) -> None:
    path = copied / "onnx.json"
    path.write_text(change(path.read_text()))
    with pytest.raises(WeightsError, match=r"onnx\.json"):
        OnnxModel(copied)


def test_no_export_there_and_no_such_precision(copied: Path) -> None:
    with pytest.raises(MissingDataError, match="holds no exported model"):
        OnnxModel(copied / "nowhere")
    with pytest.raises(ParameterError, match="holds no int4 network, but fp32, fp16, int8"):
        OnnxModel(copied, "int4")


def test_a_kill_before_the_description_leaves_the_old_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = made(pooled)
    old.export(tmp_path)

    def killed(path: Path, text: str) -> None:
        raise KeyboardInterrupt

    torch.manual_seed(1)
    new = made(pooled)
    with monkeypatch.context() as patch:
        patch.setattr(export_module.atomic, "write_text", killed)
        with pytest.raises(KeyboardInterrupt):
            new.export(tmp_path)
    assert_alike(old, tmp_path)
    new.export(tmp_path)
    assert_alike(new, tmp_path)
    assert len(list(tmp_path.iterdir())) == 3


def test_one_folder_for_weights_and_export(tmp_path: Path) -> None:
    adapted = made(pooled)
    adapted.save_pretrained(tmp_path)
    adapted.export(tmp_path)
    adapted.save_pretrained(tmp_path)
    assert_alike(AdaptedModel.from_pretrained(tmp_path, pooled()), tmp_path)


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    others = ["student-mine.onnx", "student-fp32-mine.onnx", "selector-0123456789ab.onnx"]
    for name in others:
        (tmp_path / name).write_bytes(b"of somebody else")
    made(pooled).export(tmp_path)
    torch.manual_seed(2)
    made(pooled).export(tmp_path)
    assert all((tmp_path / name).read_bytes() == b"of somebody else" for name in others)
    assert len(list(tmp_path.iterdir())) == 3 + len(others)


def test_a_description_of_others_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "onnx.json").write_text('{"opset": 17}')
    with pytest.raises(OutputError, match=r"onnx\.json is not of sketchkit and is left as it is"):
        made(pooled).export(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["onnx.json"]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be made"):
        made(pooled).export(tmp_path / "file")


# Real data


def test_real_drawings_and_photos(shared_data: Path, tmp_path: Path) -> None:
    import sketchkit
    from sketchkit.recipes.photos import load_photos

    folder = shared_data / "chairv2"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    queries = sketchkit.read(folder / "ChairV2_Coordinate")[:24]
    gallery = load_photos(sorted((folder / "photo").glob("*.png"))[:24], 64)
    adapted = made(LateConvolution)
    adapted.export(tmp_path, precisions=("fp32", "int8"), calibration=(queries[:8], gallery[:8]))
    report = verify(adapted, tmp_path, queries, gallery)
    assert report["fp32"][64].max_difference < 1e-4
    assert report["fp32"][64].top_1 == 1
    assert report["int8"][64].cosine > 0.8


def test_canvases_of_both_shapes_are_named_alike(tmp_path: Path) -> None:
    adapted = adapt(nn.Sequential(nn.Conv2d(3, 4, 3)), canvases=[Canvas((32, 64)), Canvas((64, 64))], photo_size=64)
    adapted.export(tmp_path)
    drawing = Sketch.from_strokes([[(0, 0), (9, 4)]])
    np.testing.assert_array_equal(OnnxModel(tmp_path).select(drawing), adapted.select(drawing))
