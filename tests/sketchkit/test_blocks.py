import numpy as np
import pytest

from sketchkit import DataError, ParameterError, Sketch, SketchSet
from sketchkit.blocks import as_block, like_input, require_finite

from zoo import NOT_FINITE, ZOO, zoo_set


@pytest.mark.parametrize("name", ZOO)
def test_a_sketch_is_a_valid_block_of_one_without_a_copy(name):
    sketch = ZOO[name]
    block = as_block(sketch).validate()
    assert len(block) == 1
    assert block.points is sketch.points


def test_a_set_is_its_own_block():
    drawings = zoo_set()
    assert as_block(drawings) is drawings


@pytest.mark.parametrize("other", [3, None, "house", [[(0, 0)]]])
def test_anything_else_is_refused(other):
    with pytest.raises(ParameterError, match="Sketch"):
        as_block(other)


def test_like_input_returns_what_it_was_given():
    def shift(block):
        return block.with_points(block.points + 1)

    sketch = ZOO["named"]
    moved = like_input(sketch, shift)
    assert isinstance(moved, Sketch)
    assert moved.fields == sketch.fields
    assert isinstance(like_input(zoo_set(), shift), SketchSet)
    gathered = like_input([sketch, sketch], shift)
    assert isinstance(gathered, SketchSet)
    assert gathered.columns["label"].tolist() == ["house", "house"]


@pytest.mark.parametrize("name", NOT_FINITE)
def test_require_finite_names_the_drawing(name):
    bad = ZOO[name]
    drawings = SketchSet.from_sketches([ZOO["one point"], ZOO["empty"], bad, ZOO["hook"]])
    with pytest.raises(DataError, match=r"sketch 2 has the point \(.*(nan|inf).*\).*keep_points") as caught:
        require_finite(drawings)
    assert "finite" in str(caught.value)
    kept = drawings.keep_points(np.isfinite(drawings.points).all(axis=1)).validate()
    assert require_finite(kept) is kept
