"""What is read of which file, and who lands on which side of the split."""

import gzip
import hashlib
import shutil

import numpy as np
import pytest

from sketchkit import Sketch, write
from sketchkit.errors import DataError, MissingDataError, ParameterError
from sketchkit.recipes.recognition.config import CategoriesConfig
from sketchkit.recipes.recognition.drawings import load_drawings


def settings(root, **values):
    return CategoriesConfig(
        **{"root": str(root), "categories": 3, "validation_share": 0.25, "test_share": 0.34} | values
    )


def keys(drawings):
    return drawings.sketches.columns["key"].tolist()


def test_the_split_by_hand(categories_folder):
    data = load_drawings(settings(categories_folder))
    assert data.categories == ("cross", "ring", "zigzag")
    for label, category in enumerate(data.categories):
        own = [str(1000 * label + number) for number in range(12)]
        ordered = sorted(own, key=lambda key: hashlib.sha256(key.encode()).hexdigest())
        for side, expected in (("test", ordered[:4]), ("validation", ordered[4:7]), ("train", ordered[7:])):
            drawings = getattr(data, side)
            here = drawings.labels == label
            assert sorted(np.array(keys(drawings))[here]) == sorted(expected)
            assert set(drawings.sketches.columns["label"][here]) == {category}
    assert "34% test, 25% validation" in data.description


def test_the_order_in_the_file_and_duplicates_change_no_side(categories_folder, tmp_path):
    shutil.copytree(categories_folder, tmp_path / "made")
    path = tmp_path / "made" / "ring.ndjson"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[::-1], *lines[3:5]]) + "\n")
    before, after = load_drawings(settings(categories_folder)), load_drawings(settings(tmp_path / "made"))
    for side in ("train", "validation", "test"):
        assert set(keys(getattr(before, side))) == set(keys(getattr(after, side)))
    assert sum(len(getattr(after, side)) for side in ("train", "validation", "test")) == 38


@pytest.mark.filterwarnings("ignore:.*has no place for")
def test_categories_are_as_listed_whatever_their_format(categories_folder, tmp_path, draw):
    root = tmp_path / "mixed"
    root.mkdir()
    (root / "zigzag.ndjson.gz").write_bytes(gzip.compress((categories_folder / "zigzag.ndjson").read_bytes()))
    write(draw("cross", 5), root / "cross.bin")
    write(draw("ring", 4).with_columns(split=np.array(["train"] * 4)), root / "ring.npz")  # has no keys
    (root / "ring folder").mkdir()
    for index, sketch in enumerate(draw("ring", 4)):
        (root / "ring folder" / f"{index}.svg").write_text(sketch.to_svg())
    (root / "README.md").write_text("about")
    data = load_drawings(settings(root, categories=["zigzag", "ring folder", "ring", "cross"]))
    assert data.categories == ("zigzag", "ring folder", "ring", "cross")
    assert np.bincount(data.train.labels).tolist() == [5, 2, 2, 2]
    assert load_drawings(settings(root, categories=2)).categories == ("cross", "ring"), "the first by name"


def test_no_more_of_a_file_is_read_than_is_needed(categories_folder, tmp_path):
    """What comes after the last drawing that is wanted is damaged, and nobody notices."""
    shutil.copytree(categories_folder, tmp_path / "made")
    path = tmp_path / "made" / "cross.ndjson"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:6], "{damaged"]) + "\n")
    data = load_drawings(settings(tmp_path / "made", max_per_category=6))
    everything = [*keys(data.train), *keys(data.validation), *keys(data.test)]
    assert sorted(everything, key=int) == [str(1000 * label + number) for label in range(3) for number in range(6)]
    with pytest.raises(DataError, match=r"cross\.ndjson: record 6"):
        load_drawings(settings(tmp_path / "made"))


def test_only_recognized_drawings(tmp_path, draw):
    for category in ("cross", "ring"):
        flags = np.arange(8) % 2 == 0
        write(draw(category, 8).with_columns(recognized=flags), tmp_path / f"{category}.ndjson")
    data = load_drawings(settings(tmp_path, categories=2, recognized_only=True, max_per_category=3))
    everything = [*keys(data.train), *keys(data.validation), *keys(data.test)]
    assert sorted(everything, key=int) == ["0", "2", "4", "1000", "1002", "1004"]


@pytest.mark.filterwarnings("ignore:.*has no place for")
def test_defects_of_data(categories_folder, tmp_path, draw):
    root = tmp_path / "made"
    shutil.copytree(categories_folder, root)
    with pytest.raises(ParameterError, match=r"recognition needs data\.root"):
        load_drawings(CategoriesConfig())
    with pytest.raises(MissingDataError, match="nowhere: no such folder"):
        load_drawings(settings(tmp_path / "nowhere"))
    with pytest.raises(MissingDataError, match="no file of the category 'rings'; did you mean 'ring'"):
        load_drawings(settings(root, categories=["cross", "rings"]))
    with pytest.raises(ParameterError, match=r"data\.categories=20, but .* holds 3"):
        load_drawings(settings(root, categories=20))
    write(draw("ring", 1), root / "ring.ndjson")
    with pytest.raises(DataError, match=r"ring\.ndjson: 1 drawing that can be used; a category needs at least 3"):
        load_drawings(settings(root))
    write(draw("ring", 4), root / "ring.bin")
    with pytest.raises(DataError, match="are of one category"):
        load_drawings(settings(root))
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingDataError, match="no drawings there"):
        load_drawings(settings(tmp_path / "empty"))
    broken = Sketch.from_strokes([[(0, 0), (np.nan, 1)]], key="7")
    arrow = tmp_path / "arrow"
    arrow.mkdir()
    for name in ("cross", "ring"):
        write(draw(name, 4), arrow / f"{name}.arrow")
    write([*draw("ring", 4), broken], arrow / "ring.arrow")
    with pytest.raises(DataError, match=r"ring\.arrow: .*NaN"):
        load_drawings(settings(arrow, categories=2))


@pytest.mark.parametrize("wrong", [1, "cat", ["cat"], ["cat", "cat"], ["cat", 3], True])
def test_categories_that_are_none(wrong):
    with pytest.raises(ParameterError, match=r"data\.categories"):
        CategoriesConfig(categories=wrong)
