from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from sketchkit import Sketch, SketchSet, write
from sketchkit.errors import DataError, ParameterError
from sketchkit.recipes.config import DataConfig
from sketchkit.recipes.datasets import load_pairs
from sketchkit.recipes.pairs import PairedSet, split_pairs


def made_pairs(photos=12, per_photo=2, official=None):
    owners = np.repeat(np.arange(photos), per_photo)
    sketches = [
        Sketch.from_strokes([[(0, 0), (owner, 1)]], key=f"{owner}_{n}", meta={"owner": int(owner)})
        for n, owner in enumerate(owners)
    ]
    paths = tuple(Path(f"photo/{photo:03d}.png") for photo in range(photos))
    return PairedSet("made", SketchSet.from_sketches(sketches), owners, paths, official)


def owners_agree(side, original):
    """Every sketch still points at the photo that it was drawn from."""
    keys = [original.photo_keys[owner] for owner in side.sketches.columns["owner"]]
    return keys == [side.photo_keys[photo] for photo in side.photo_of_sketch]


def test_a_set_says_what_it_is_in_a_line():
    assert repr(made_pairs(photos=1200, per_photo=3)) == "PairedSet(made: 3,600 sketches of 1,200 photos)"


@pytest.mark.parametrize("fold", [0, 1, 2])
def test_folds_hold_no_photo_twice(fold):
    pairs = made_pairs()
    split = split_pairs(pairs, DataConfig(fold=fold), seed=0)
    assert set(split.train.photo_keys).isdisjoint(split.test.photo_keys)
    assert len(split.test.photo_paths) == 4
    assert owners_agree(split.train, pairs)
    assert owners_agree(split.test, pairs)
    assert split.description == f"fold {fold + 1} of 3 of the training photos"


def test_folds_cover_all_photos_once_and_do_not_move_with_the_seed():
    pairs = made_pairs()
    tests = [split_pairs(pairs, DataConfig(fold=fold), seed=fold).test.photo_keys for fold in range(3)]
    assert sorted(key for fold in tests for key in fold) == pairs.photo_keys
    assert tests[0] == split_pairs(pairs, DataConfig(fold=0), seed=99).test.photo_keys


def test_the_official_test_split_is_used_where_there_is_one():
    official = np.array(["train"] * 9 + ["test"] * 3)
    split = split_pairs(made_pairs(official=official), DataConfig(), seed=0)
    assert split.test.photo_keys == ["009", "010", "011"]
    assert split.description == "the official test split"


def test_folds_never_touch_the_test_split():
    official = np.array(["train"] * 9 + ["test"] * 3)
    split = split_pairs(made_pairs(official=official), DataConfig(split="fold"), seed=0)
    assert {"009", "010", "011"}.isdisjoint(split.train.photo_keys + split.test.photo_keys)


def test_a_set_without_its_test_split_says_so():
    split = split_pairs(made_pairs(official=np.array(["train"] * 12)), DataConfig(), seed=0)
    assert "the official test split is not in this folder" in split.description
    with pytest.raises(ParameterError, match="holds no test split"):
        split_pairs(made_pairs(official=np.array(["train"] * 12)), DataConfig(split="test"), seed=0)


def test_limits():
    config = DataConfig(max_train_photos=5, max_test_photos=2, max_sketches_per_photo=1)
    split = split_pairs(made_pairs(), config, seed=0)
    assert (len(split.train.photo_paths), len(split.train.sketches)) == (5, 5)
    assert (len(split.test.photo_paths), len(split.test.sketches)) == (2, 2)
    again = split_pairs(made_pairs(), config, seed=0)
    other = split_pairs(made_pairs(), config, seed=1)
    assert again.train.photo_keys == split.train.photo_keys
    assert other.train.photo_keys != split.train.photo_keys


def test_too_little_is_refused():
    with pytest.raises(DataError, match="too few"):
        split_pairs(made_pairs(photos=2), DataConfig(folds=2), seed=0)


@pytest.fixture
def photos(tmp_path):
    (tmp_path / "photo").mkdir()
    for name in ("chair.old", "stool"):
        Image.new("RGB", (4, 4)).save(tmp_path / "photo" / f"{name}.png")
    (tmp_path / "sketch").mkdir()
    return tmp_path


def test_drawings_without_keys_find_their_photo_by_their_file(photos):
    line = Sketch.from_strokes([[(0, 0), (1, 1)]])
    for name in ("chair.old-1.npz", "chair.old-2.npz.gz", "stool.npz"):
        write(line, photos / "sketch" / name, format="polylines-npz")
    pairs = load_pairs("folder", photos)
    assert [pairs.photo_keys[photo] for photo in pairs.photo_of_sketch] == ["chair.old", "chair.old", "stool"]


def test_a_drawing_that_nothing_names_is_refused(photos):
    write(Sketch.from_strokes([[(0, 0), (1, 1)]]), photos / "sketch" / "stool.npz", format="polylines-npz")
    with pytest.raises(DataError, match="neither a key nor a file"):
        load_pairs("folder", photos)


@pytest.fixture
def images(tmp_path):
    """Two categories of photos, each drawn twice, in PNG files: one on white, one on nothing."""
    for category, name in (("chair", "n01_7"), ("stool", "n02_9")):
        for side in ("photo", "sketch"):
            (tmp_path / side / category).mkdir(parents=True)
        Image.new("RGB", (4, 4)).save(tmp_path / "photo" / category / f"{name}.jpg")
        for drawn, mode, ground in ((1, "L", 255), (2, "RGBA", (0, 0, 0, 0))):
            picture = Image.new(mode, (40, 40), ground)
            draw = ImageDraw.Draw(picture)
            draw.line([(5, 5), (35, 5 + 10 * drawn)], fill=0 if mode == "L" else (0, 0, 0, 255), width=2)
            picture.save(tmp_path / "sketch" / category / f"{name}-{drawn}.png")
    return tmp_path


def test_drawings_that_are_images_are_traced_and_say_so(images):
    pairs = load_pairs("folder", images)
    assert [pairs.photo_keys[photo] for photo in pairs.photo_of_sketch] == ["n01_7", "n01_7", "n02_9", "n02_9"]
    assert pairs.sketches.columns["key"].tolist() == ["n01_7-1", "n01_7-2", "n02_9-1", "n02_9-2"]
    for sketch, drawn in zip(pairs.sketches, (1, 2, 1, 2), strict=True):
        (stroke,) = sketch.strokes
        assert stroke[[0, -1]] == pytest.approx(np.array([[5.5, 5.5], [35.5, 5.5 + 10 * drawn]]), abs=1.5)
    assert "images, whose strokes were traced" in pairs.note
    assert pairs.take_photos([1]).limit_sketches(1).note == pairs.note


def test_images_without_ink_and_beside_other_drawings_are_refused(images):
    write(Sketch.from_strokes([[(0, 0), (1, 1)]]), images / "sketch" / "stool" / "n02_9-3.svg")
    with pytest.raises(DataError, match=r"n01_7-1\.png is an image, n02_9-3\.svg is not"):
        load_pairs("folder", images)
    (images / "sketch" / "stool" / "n02_9-3.svg").unlink()
    Image.new("L", (8, 8), 255).save(images / "sketch" / "stool" / "n02_9-3.png")
    with pytest.raises(DataError, match=r"n02_9-3\.png: no ink"):
        load_pairs("folder", images)
    (images / "sketch" / "stool" / "n02_9-3.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"n02_9-3\.png: not a picture"):
        load_pairs("folder", images)
    Image.new("I;16", (8, 8)).save(images / "sketch" / "stool" / "n02_9-3.png")
    with pytest.raises(DataError, match="more than 8 bits"):
        load_pairs("folder", images)
    (images / "sketch" / "stool" / "n02_9-3.png").rename(images / "sketch" / "stool" / "n01_7-1.png")
    with pytest.raises(DataError, match=r"stool/n01_7-1\.png and .*chair/n01_7-1\.png have one name"):
        load_pairs("folder", images)


def test_what_is_hidden_is_not_read_and_names_are_unique_across_folders(images):
    for side in ("photo", "sketch"):
        (images / side / ".cache").mkdir()
        Image.new("L", (8, 8)).save(images / side / ".cache" / "n03_1.png")
    assert len(load_pairs("folder", images).photo_paths) == 2
    Image.new("L", (8, 8)).save(images / "photo" / "n01_7.png")
    with pytest.raises(DataError, match=r"photo/n01_7\.png and .*chair/n01_7\.jpg have one name"):
        load_pairs("folder", images)


def test_a_photo_of_a_drawing_is_turned_as_it_was_held(images):
    path = images / "sketch" / "chair" / "n01_7-1.jpg"
    with Image.open(images / "sketch" / "chair" / "n01_7-1.png") as picture:
        held = Image.Exif()
        held[0x0112] = 6
        picture.convert("L").save(path, exif=held, quality=95)
    (images / "sketch" / "chair" / "n01_7-1.png").unlink()
    (stroke,) = load_pairs("folder", images).sketches[0].strokes
    assert np.ptp(stroke[:, 1]) > 2 * np.ptp(stroke[:, 0]), "a line across became one down"
