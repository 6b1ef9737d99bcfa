"""Faults found by review, each as the user would meet it."""

import numpy as np
import pytest
import torch
from PIL import Image

from sketchkit import Sketch, rasterize, simplify
from sketchkit.errors import DataError, ParameterError
from sketchkit.recipes.config import load_config
from sketchkit.recipes.datasets import load_pairs, verify
from sketchkit.recipes.embedding import reduced_precision
from sketchkit.recipes.evaluation import accuracy, ranks
from sketchkit.recipes.frozen import FrozenFront, cached
from sketchkit.recipes.photos import check_photos, load_photo, load_photos, photo_files
from sketchkit.recipes.run_folder import clear_temporaries


def test_a_diverged_network_is_last_not_perfect():
    broken = torch.full((3, 4), float("nan"))
    assert accuracy(ranks(broken, broken, np.arange(3)), 1) == 0


def test_offsets_beyond_the_points_are_refused_not_read():
    wrong = Sketch(np.zeros((2, 2), np.float32), np.array([0, 50_000_000]))
    for verb in (lambda: rasterize(wrong, 8), lambda: simplify(wrong, 1.0)):
        with pytest.raises(DataError, match="stroke_offsets must start at 0"):
            verb()


def test_a_photo_is_held_as_its_camera_was(tmp_path):
    picture = Image.new("RGB", (40, 20), "white")
    picture.paste("red", (0, 0, 10, 20))
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees: the left side is the top
    picture.save(tmp_path / "turned.png", exif=exif)
    pixels = load_photo(tmp_path / "turned.png", 40)
    assert np.array_equal(load_photos(photo_files(str(tmp_path)), 40), pixels[None])  # a path may be text
    assert pixels[:, 2, 20].tolist() == [255, 0, 0]
    assert pixels[:, 38, 20].tolist() == [255, 255, 255]


def test_sixteen_bits_and_no_picture_are_named(tmp_path):
    Image.fromarray(np.full((4, 4), 40000, np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(DataError, match=r"deep\.png.*8 bits"):
        load_photo(tmp_path / "deep.png", 8)
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(DataError, match=r"text\.png: not a picture"):
        check_photos([tmp_path / "text.png"])


def test_two_photos_of_one_name(paired_folder, tmp_path):
    for name in ("sketch", "photo"):
        (tmp_path / name).mkdir()
        for path in (paired_folder / name).iterdir():
            (tmp_path / name / path.name).write_bytes(path.read_bytes())
    (tmp_path / "photo" / "shape00.jpg").write_bytes((tmp_path / "photo" / "shape00.png").read_bytes())
    with pytest.raises(DataError, match="have one name"):
        load_pairs("folder", tmp_path)


def test_a_set_that_the_registry_does_not_know_is_unknown(shared_data, tmp_path):
    for name, published in (("ChairV2_Coordinate", "as published"), ("ShoeV2_Coordinate", "unknown")):
        root = tmp_path / name
        root.mkdir()
        (root / name).symlink_to(shared_data / "chairv2" / "ChairV2_Coordinate")
        (root / "photo").symlink_to(shared_data / "chairv2" / "photo")
        assert verify("qmul", root) == {"train": published}


def test_a_damaged_cache_is_computed_anew(tmp_path):
    def rows():
        return cached(tmp_path, "key", 5, lambda rows: torch.arange(5.0)[rows, None], name="rows", chunk=2)

    assert rows()[:, 0].tolist() == [0, 1, 2, 3, 4]
    path = tmp_path / "key.npy"
    path.write_bytes(path.read_bytes()[:-4])
    assert rows()[:, 0].tolist() == [0, 1, 2, 3, 4]


def test_a_cache_belongs_to_one_precision():
    from sketchkit.adapters import adapt

    front = FrozenFront(adapt("mobilenet_v2", canvases=(32,)), 2)
    plain = front.identity
    with reduced_precision("bf16"):
        assert front.identity != plain
    assert front.identity == plain


def test_what_a_killed_run_was_writing_goes(tmp_path):
    (tmp_path / "cache").mkdir()
    kept = [tmp_path / ".hidden", tmp_path / "cache" / "key.npy"]
    lost = [tmp_path / ".results.0123456789abcdef.json", tmp_path / "cache" / ".key.fedcba9876543210.npy"]
    for path in kept + lost:
        path.write_text("")
    clear_temporaries(tmp_path)
    assert [path.exists() for path in kept + lost] == [True, True, False, False]


@pytest.mark.parametrize(
    "word",
    [
        "seed=-1",
        "selector.batch_sketches=0",
        "student.training.learning_rate=-1",
        "teacher.training.temperature=0",
        "evaluation.timed_queries=0",
        "evaluation.examples=-1",
        "student.canvases=[0,64]",
        "data.max_train_photos=-5",
    ],
)
def test_a_value_out_of_range_is_refused_before_any_training(word):
    with pytest.raises(ParameterError, match=word.split("=")[0].split(".")[-1]):
        load_config("demo", [word])
