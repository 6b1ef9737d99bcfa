import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sketchkit import DataError, ParameterError, Sketch, SketchSet

from zoo import ZOO, drawings, zoo_set


def same(a: Sketch, b: Sketch) -> bool:
    return (
        np.array_equal(a.points, b.points, equal_nan=True)
        and np.array_equal(a.offsets, b.offsets)
        and (a.label, a.key) == (b.label, b.key)
        and set(a.point_columns) == set(b.point_columns)
        and all(np.array_equal(a.point_columns[name], b.point_columns[name]) for name in a.point_columns)
    )


@pytest.fixture(scope="module")
def numbered():
    """Ten drawings of the zoo as a set and as a list, each with its number as key."""
    chosen = [sketch for sketch in ZOO.values() if sketch.time is None][:10]
    listed = [Sketch(s.points, s.offsets, label=f"class {i % 3}", key=i) for i, s in enumerate(chosen)]
    return SketchSet.from_sketches(listed), listed


@pytest.mark.parametrize("timed", [False, True])
def test_the_zoo_survives_the_set(timed):
    chosen = [sketch for sketch in ZOO.values() if (sketch.time is not None) == timed]
    gathered = zoo_set(timed=timed, finite=False).validate()
    assert len(gathered) == len(chosen)
    assert all(same(a, b) for a, b in zip(gathered, chosen, strict=True))


@pytest.mark.parametrize(
    "index",
    [
        slice(None),
        slice(2, 7),
        slice(-3, None),
        slice(7, 2),
        slice(None, None, 3),
        slice(None, None, -1),
        slice(8, 1, -2),
        slice(20, 30),
        [3, 3, 0, -1],
        [],
        np.array([9, 8], np.uint8),
        np.arange(10) % 2 == 0,
        np.zeros(10, bool),
        [True] * 10,
    ],
    ids=str,
)
def test_indexing_is_that_of_a_list(numbered, index):
    gathered, listed = numbered
    chosen = gathered[index].validate()
    if isinstance(index, slice):
        expected = listed[index]
    else:
        positions = np.asarray(index)
        positions = np.flatnonzero(positions) if positions.dtype == bool else positions
        expected = [listed[int(position)] for position in positions]
    assert len(chosen) == len(expected)
    assert all(same(a, b) for a, b in zip(chosen, expected, strict=True))


@pytest.mark.parametrize("index", [0, 9, -1, -10, np.int64(4)])
def test_one_drawing_is_a_view(numbered, index):
    gathered, listed = numbered
    assert same(gathered[index], listed[int(index)])
    assert np.shares_memory(gathered[index].points, gathered.points) or not len(listed[int(index)].points)


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (10, "sketch 10 of 10"),
        (-11, "sketch -11 of 10"),
        ([0, 12], "sketch 12 of 10"),
        ([-11, 3], "sketch -1 of 10"),
        (np.ones(4, bool), r"a mask of shape \(4,\) does not fit 10 sketches"),
        ([0.5], "int, a slice, a boolean mask or a list of ints"),
        ([[1]], "int, a slice, a boolean mask or a list of ints"),
    ],
    ids=str,
)
def test_a_wrong_index_is_an_index_error(numbered, index, message):
    with pytest.raises(IndexError, match=message):
        numbered[0][index]


@given(st.lists(drawings, max_size=5), st.data())
def test_taking_and_joining_agree_with_lists(sketches, data):
    gathered = SketchSet.from_sketches(sketches).validate()
    cut = data.draw(st.integers(0, len(sketches)))
    joined = SketchSet.concat([gathered[cut:], gathered[:cut]]).validate()
    assert all(same(a, b) for a, b in zip(joined, sketches[cut:] + sketches[:cut], strict=True))


def test_concat_fills_columns_that_some_lack():
    plain = SketchSet.from_sketches([ZOO["hook"]])
    rated = SketchSet.from_sketches([ZOO["named"]]).with_columns(score=[0.5])
    joined = SketchSet.concat([plain, rated]).validate()
    assert joined.columns["label"].tolist() == [None, "house"]
    assert np.isnan(joined.columns["score"][0])
    assert joined.columns["score"].dtype == np.float64


def test_concat_with_an_empty_set_keeps_dtypes():
    numbers = SketchSet.from_sketches([ZOO["hook"]]).with_columns(number=np.array([7], np.int16))
    joined = SketchSet.concat([SketchSet.from_sketches([]), numbers, numbers[:0]])
    assert joined.columns["number"].dtype == np.int16
    assert len(SketchSet.concat([]).validate()) == 0
    assert SketchSet.concat([numbers[:0], numbers[:0]]).validate().columns["number"].dtype == np.int16


def test_large_keys_stay_whole():
    keys = [2**63 + 1, 5]
    gathered = SketchSet.from_sketches([Sketch.from_strokes([], key=key) for key in keys])
    assert gathered.columns["key"].dtype == np.uint64
    assert [sketch.key for sketch in gathered] == keys
    mixed = SketchSet.from_sketches([Sketch.from_strokes([], key=key) for key in (2**63 + 1, -5)])
    assert [sketch.key for sketch in mixed] == [2**63 + 1, -5]


def test_columns_keep_simple_types():
    metas = [{"flag": True, "score": 1, "name": "a"}, {"flag": False, "score": 2.5, "name": "b"}]
    gathered = SketchSet.from_sketches([Sketch.from_strokes([], meta=meta) for meta in metas])
    assert gathered.columns["flag"].dtype == bool
    assert gathered.columns["score"].dtype == np.float64
    assert [sketch.meta for sketch in gathered] == metas


def test_time_on_some_drawings_only_is_refused():
    with pytest.raises(DataError, match=r"some drawings lack a point column that others carry \(time\)"):
        SketchSet.from_sketches([ZOO["timed"], ZOO["hook"]])
    with pytest.raises(DataError, match="time"):
        SketchSet.concat([SketchSet.from_sketches([ZOO[name]]) for name in ("hook", "timed")])
    assert len(SketchSet.from_sketches([ZOO["timed"], ZOO["empty"]]).validate().point_columns["time"]) == 10


def test_from_sketches_takes_sketches_only():
    with pytest.raises(ParameterError, match="not list"):
        SketchSet.from_sketches([[(0, 0)]])


def test_keep_points_and_strokes_by_hand():
    block = SketchSet.from_sketches([ZOO["timed"], ZOO["timed empty"], ZOO["timed one point"]])
    kept = block.keep_points(np.arange(11) % 2 == 0).validate()
    assert kept.stroke_offsets.tolist() == [0, 3, 5, 6]
    assert kept.point_columns["time"].tolist() == [0, 90, 200, 700, 780, 17]
    fewer = block.keep_strokes(np.array([False, True, True])).validate()
    assert fewer.sketch_offsets.tolist() == [0, 1, 1, 2]
    assert fewer.point_columns["time"].tolist() == [700, 720, 780, 800, 17]
    assert fewer.columns["label"].tolist() == ["house", "nothing", "dot"]


def test_keep_takes_a_boolean_mask_of_the_right_length():
    block = SketchSet.from_sketches([ZOO["named"]])
    for keep in (np.ones(3, bool), np.ones(11, bool), np.arange(10)):
        with pytest.raises(ParameterError, match="does not fit 10 points; it must be boolean"):
            block.keep_points(keep)
    with pytest.raises(ParameterError, match="does not fit 2 strokes"):
        block.keep_strokes(np.ones(1, bool))


def test_with_columns_checks_lengths():
    with pytest.raises(ParameterError, match=r"column 'score' has \(2,\) values for 1 sketches"):
        SketchSet.from_sketches([ZOO["hook"]]).with_columns(score=[1, 2])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"points": np.zeros((5, 2))}, r"points must be \(points, 2\) float32"),
        ({"points": np.zeros((4, 2), np.float32)}, "stroke_offsets must start at 0, never decrease and end at 4"),
        ({"stroke_offsets": np.array([0, 5], np.int32)}, "stroke_offsets must be a non-empty"),
        ({"stroke_offsets": np.array([0, 6, 5])}, "never decrease"),
        ({"sketch_offsets": np.array([0, 2])}, "sketch_offsets must start at 0"),
        ({"columns": {"label": np.array(["a", "b"])}}, "column 'label' has 2 values for 1 sketches"),
        ({"point_columns": {"time": np.zeros(3)}}, "point column 'time' has 3 values for 5 points"),
    ],
)
def test_validate_says_what_does_not_fit(change, message):
    whole = SketchSet.from_sketches([ZOO["hook"]])
    arrays = {name: getattr(whole, name) for name in ("points", "stroke_offsets", "sketch_offsets", "columns")}
    with pytest.raises(DataError, match=message):
        SketchSet(**{**arrays, **change}).validate()


def test_pickle_gives_the_set_back(numbered):
    gathered, listed = numbered
    back = pickle.loads(pickle.dumps(gathered)).validate()
    assert all(same(a, b) for a, b in zip(back, listed, strict=True))


def test_the_arrays_are_the_ragged_layout_of_shapely():
    shapely = pytest.importorskip("shapely")
    chosen = [ZOO["hook"], ZOO["closed stroke"], ZOO["vertical line"], ZOO["named"]]
    block = SketchSet.from_sketches(chosen)
    lines = shapely.from_ragged_array(
        shapely.GeometryType.MULTILINESTRING, block.points.astype(float), (block.stroke_offsets, block.sketch_offsets)
    )
    assert [len(line.geoms) for line in lines] == [len(sketch.strokes) for sketch in chosen]
    np.testing.assert_array_equal(shapely.get_coordinates(lines), block.points)


def keyed(*keys):
    dot = Sketch.from_strokes([[(0, 0)]])
    return SketchSet.from_sketches([dot] * len(keys)).with_columns(key=np.array(keys))


@pytest.mark.parametrize(
    ("parts", "dtype"),
    [
        ([np.array([2**53 + 1]), np.array([7], np.uint64)], np.int64),
        ([np.array([2**53 + 1]), np.array([2**63 + 1], np.uint64)], np.uint64),
        ([np.array([-1]), np.array([2**63 + 1], np.uint64)], object),
        ([np.array([2**53 + 1]), np.array([0.5])], object),
        ([np.array([3]), np.array([0.5])], np.float64),
        ([np.array([True]), np.array([7])], object),
        ([np.array(["2017-03-02"], "M8[s]"), np.array([7])], object),
    ],
)
def test_joining_columns_changes_no_value(parts, dtype):
    joined = SketchSet.concat([keyed(*part) for part in parts]).columns["key"]
    assert joined.dtype == dtype
    for found, part in zip(joined, parts, strict=True):
        assert found == part[0]
        assert isinstance(found, (bool, np.bool_)) == isinstance(part[0], np.bool_)


def test_gathering_changes_no_value():
    values = [2**53 + 1, 0.5, [1, 2], [3, 4]]
    drawings = [Sketch.from_strokes([[(0, 0)]], meta={"a": value}) for value in values]
    assert SketchSet.from_sketches(drawings[:2]).columns["a"].tolist() == values[:2]
    assert SketchSet.from_sketches(drawings[2:]).columns["a"].tolist() == values[2:]


def test_offsets_beyond_the_points_are_an_error():
    wrong = Sketch(np.zeros((3, 2), np.float32), np.array([0, 40]))
    with pytest.raises(DataError, match="offsets up to 40 for 3 points"):
        SketchSet.from_sketches([wrong])
