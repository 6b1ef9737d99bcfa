import csv
import json
import math
import re

import naive_measures
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sketchkit import ParameterError, Sketch, SketchSet
from sketchkit.blocks import as_block
from sketchkit.geometry import CELLS, Geometry
from sketchkit.measures import MEASURES, measure
from sketchkit.transforms import jitter, normalize

import naive
from rooms import REPOSITORY
from zoo import FINITE, NOT_FINITE, ZOO, drawings, whole_drawings, zoo_set

NAN = math.nan
PARTS = ("Unit", "Same under", "Degenerate", "Source")
QUARTER = math.pi / 4
# strokes, corners, ink, stroke_length, turning, straightness, diagonal_angle, duration, speed
BY_HAND = {
    "empty": (0, 0, 0, 0, 0, 1, QUARTER, NAN, NAN),
    "one empty stroke": (0, 0, 0, 0, 0, 1, QUARTER, NAN, NAN),
    "one point": (1, 1, 0, 0, 0, 1, QUARTER, NAN, NAN),
    "two equal points": (1, 2, 0, 0, 0, 1, QUARTER, NAN, NAN),
    "dots": (3, 3, 0, 0, 0, 1, math.atan2(8, 7), NAN, NAN),
    "empty stroke first": (1, 2, 1, 1, 0, 1, math.atan2(3, 4), NAN, NAN),
    "vertical line": (1, 2, 1, 1, 0, 1, math.pi / 2, NAN, NAN),
    "horizontal line": (1, 2, 1, 1, 0, 1, 0, NAN, NAN),
    "there and back": (1, 3, 2, 2, math.pi, 0, 0, NAN, NAN),
    "closed stroke": (1, 5, 4 / math.sqrt(2), 4 / math.sqrt(2), 1.5 * math.pi, 0, QUARTER, NAN, NAN),
    "repeated points": (1, 3, math.sqrt(2), math.sqrt(2), math.pi / 2, math.sqrt(0.5), QUARTER, NAN, NAN),
    "timed one point": (1, 1, 0, 0, 0, 1, QUARTER, 0, NAN),
    "timed standing still": (1, 2, 0, 0, 0, 1, QUARTER, 250, 0),
    "timed empty": (0, 0, 0, 0, 0, 1, QUARTER, 0, NAN),
}


COLUMNS = (
    ["strokes", "corners", "ink", "stroke_length", "turning", "straightness", "diagonal_angle", "duration", "speed"],
    ["points", "longest_stroke", "curvature", "closed_strokes", "crossings", "travel", "off_center", "pauses"],
    ["coverage", "ink_entropy", "box_dimension", "overlap", "description_length"],
)
MORE_BY_HAND = {
    "empty": (0, 1, 0, 0, 0, 0, 0, NAN),
    "one point": (1, 1, 0, 0, 0, 0, 0, NAN),
    "dots": (3, 1, 0, 0, 0, (math.sqrt(50) + math.sqrt(74)) / math.sqrt(113), 0, NAN),
    "vertical line": (3, 1, 0, 0, 0, 0, 0, NAN),
    "there and back": (5, 1, QUARTER * 2, 1, 0, 0, 0, NAN),
    "closed stroke": (5, 1, 1.5 * math.pi / (4 / math.sqrt(2)), 1, 0, 0, 0, NAN),
    # Ink 5 along the bottom and 5 up the side: its middle is (3.75, 1.25) of a box with the middle (2.5, 2.5).
    "repeated points": (7, 1, QUARTER * 2 / math.sqrt(2), 0, 0, 0, 0.25, NAN),
    "timed one point": (1, 1, 0, 0, 0, 0, 0, NAN),
    "timed standing still": (3, 1, 0, 0, 0, 0, 0, 0),
}
EDGES = math.log2(124) * 0.3 + math.log2(60) * 0.1 - math.log2(28) * 0.1 - math.log2(12) * 0.3
CELLS_BY_HAND = {
    "empty": (0, 0, 0, 0, 0),
    "one point": (0, 0, 0, 0, 3),
    "two equal points": (0, 0, 0, 0, 3 + 4),
    # Gamma codes: 1 point 1 bit; a step of 0 is 1, of 16 is 32, of 223 is 446, and so on.
    "dots": (0, 0, 0, 0, 3 + (11 + 1) + (17 + 13) + (17 + 17)),
    "vertical line": (32 / 1024, 3, 1, 0, 3 + (17 + 1) + (1 + 17)),
    "there and back": (32 / 1024, 3, 1, 0, 3 + (1 + 17) + (17 + 1) + (17 + 1)),
    # 24 cells with a 32nd of the ink, 4 in the corners with a 16th.
    "closed stroke": (124 / 1024, 24 / 32 * 5 + 4 / 16 * 4, EDGES, 0, 5 + (1 + 1) + 4 * 18),
}


@pytest.mark.parametrize(
    ("columns", "name"),
    [(index, name) for index, table in enumerate((BY_HAND, MORE_BY_HAND, CELLS_BY_HAND)) for name in table],
)
def test_measures_by_hand(columns, name):
    expected = (BY_HAND, MORE_BY_HAND, CELLS_BY_HAND)[columns][name]
    got = measure(ZOO[name], COLUMNS[columns])
    np.testing.assert_allclose(list(got.values()), np.reshape(expected, (-1, 1)), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", FINITE)
def test_measures_of_the_zoo_are_float64_and_finite_but_for_time(name):
    before = ZOO[name].points.copy()
    got = measure(ZOO[name])
    assert list(got) == list(MEASURES)
    for measured, values in got.items():
        assert values.dtype == np.float64
        assert values.shape == (1,)
        assert np.isfinite(values).all() or measured in ("duration", "speed", "pauses")
    np.testing.assert_array_equal(ZOO[name].points, before)


@pytest.mark.parametrize("timed", [False, True])
def test_a_set_gives_the_measures_of_its_drawings(timed):
    drawings = zoo_set(timed=timed, finite=False)
    together = measure(drawings)
    alone = [measure(sketch) for sketch in drawings]
    for name, values in together.items():
        expected = np.concatenate([values_of_one[name] for values_of_one in alone])
        np.testing.assert_allclose(values, expected, rtol=1e-12, err_msg=name)


@pytest.mark.parametrize("name", NOT_FINITE)
def test_coordinates_that_are_not_finite_give_nan_there_and_nowhere_else(name):
    timed = Sketch.from_strokes([[(0, 0), (3, 4)]], time=[[0, 500]])
    bad = Sketch(ZOO[name].points, ZOO[name].offsets, point_columns={"time": np.arange(len(ZOO[name].points)) * 1.0})
    got = measure([timed, bad, timed])
    for measured, values in got.items():
        assert np.isfinite(values[[0, 2]]).all(), measured
        assert np.isnan(values[1]) == (measured not in ("strokes", "points")), measured


def test_no_drawings_have_no_measures():
    assert all(values.shape == (0,) for values in measure(SketchSet.from_sketches([])).values())


def test_names_choose_measures_in_order():
    assert list(measure(ZOO["hook"], ["turning", "ink"])) == ["turning", "ink"]
    with pytest.raises(ParameterError, match="no measure is called 'inks'; did you mean 'ink'\\? there are strokes, c"):
        measure(ZOO["hook"], ["inks"])
    with pytest.raises(ParameterError, match="no measure is called 'beauty'; there are strokes"):
        measure(ZOO["hook"], "beauty")
    assert list(measure(ZOO["hook"], "ink")) == ["ink"]


@given(st.lists(drawings, max_size=4))
def test_twins_agree(sketches):
    got = measure(sketches)
    for index, sketch in enumerate(sketches):
        assert got["ink"][index] == pytest.approx(naive.ink(sketch), rel=1e-9)
        assert got["straightness"][index] == pytest.approx(naive.straightness(sketch), rel=1e-9)
        # The twin's arc cosine loses half the digits near a straight line.
        assert got["turning"][index] == pytest.approx(naive.turning(sketch), abs=1e-5)
        assert got["strokes"][index] == sum(len(stroke) > 0 for stroke in sketch.strokes)


@given(drawings, st.floats(0.1, 10), st.integers(0, 100))
def test_measures_do_not_depend_on_scale_or_place(sketch, factor, seed):
    sketch = normalize(sketch)
    moved = jitter(Sketch(sketch.points * np.float32(factor), sketch.offsets), seed=seed, rotation=0, scale=0)
    before, after = measure(sketch), measure(moved)
    for name in ("strokes", "ink", "stroke_length", "straightness", "diagonal_angle"):
        np.testing.assert_allclose(after[name], before[name], rtol=1e-3, atol=1e-4, err_msg=name)


def test_duration_and_speed_by_hand():
    sketch = Sketch.from_strokes([[(0, 0), (3, 4)], [(3, 0), (0, 4)]], time=[[100, 600], [1500, 2100]])
    got = measure(sketch, ["duration", "speed"])
    assert got["duration"].tolist() == [2000]
    assert got["speed"].tolist() == pytest.approx([1.0])


def test_denser_sampling_does_not_add_corners():
    sparse = Sketch.from_strokes([[(0, 0), (100, 0), (100, 80)]])
    dense = Sketch.from_strokes([[*((x, 0) for x in range(100)), *((100, y) for y in range(81))]])
    assert measure([sparse, dense], ["corners"])["corners"].tolist() == [3, 3]


def documented(name):
    """Unit, what does not change it, degenerate drawings and source of a measure."""
    text = MEASURES[name].__doc__
    found = [re.findall(rf"^    {part}: (.+)$", text, re.MULTILINE) for part in PARTS]
    assert [len(lines) for lines in found] == [1, 1, 1, 1], name
    return dict(zip(PARTS, (lines[0] for lines in found), strict=True))


def scribbles():
    """Drawings with every kind of stroke, timed, on no special place of any grid."""
    generator = np.random.default_rng(7)
    for strokes in (1, 2, 5, 9):
        steps = generator.normal(0, 7, (strokes, 12, 2))
        paths = [
            start + np.cumsum(step, axis=0)
            for start, step in zip(generator.uniform(0, 90, (strokes, 2)), steps, strict=True)
        ]
        time = np.cumsum(generator.uniform(5, 50, (strokes, 12))).reshape(strokes, 12).astype(np.float32)
        yield Sketch.from_strokes([*paths[:-1], np.vstack([paths[-1][:-1], paths[-1][:1]])], time=time)


def turned(points):
    return points @ np.array([[0.8, 0.6], [-0.6, 0.8]])


def denser(sketch):
    share = np.arange(0, len(sketch.strokes[0]) - 0.99, 0.25)
    whole = np.arange(len(sketch.strokes[0]))
    return Sketch.from_strokes(
        [np.stack([np.interp(share, whole, stroke[:, axis]) for axis in (0, 1)], axis=1) for stroke in sketch.strokes],
        time=[np.interp(share, whole, time) for time in np.split(sketch.time, sketch.offsets[1:-1])],
    )


def with_points(change):
    return lambda sketch: Sketch(
        change(sketch.points).astype(np.float32), sketch.offsets, point_columns=sketch.point_columns
    )


CHANGES = {
    "place": with_points(lambda points: points + np.float32([128, -64])),
    "scale": with_points(lambda points: points * 3.7),
    "rotation": with_points(turned),
    "sampling": denser,
}


@pytest.mark.parametrize("name", MEASURES)
def test_a_measure_is_the_same_under_what_it_says(name):
    said = documented(name)["Same under"].split(", ")
    assert set(said) <= set(CHANGES)
    drawn = list(scribbles())
    before = measure(drawn, name)[name]
    for change in said:
        after = measure([CHANGES[change](sketch) for sketch in drawn], name)[name]
        # A corner on the edge of a level, or of the tolerance, may fall to the other side.
        np.testing.assert_allclose(after, before, rtol=0.01, atol=1e-3, err_msg=change)
    if name == "points":
        assert (measure([denser(sketch) for sketch in drawn], name)[name] > before).all()


@pytest.mark.parametrize("name", MEASURES)
def test_an_empty_drawing_gives_what_the_docstring_says(name):
    said = documented(name)["Degenerate"]
    got = measure(ZOO["timed empty"], name)[name][0]
    if said.startswith("no time in the file, or none passed, NaN"):
        assert math.isnan(got)
    elif said == "empty or no extent pi/4.":
        assert got == QUARTER
    elif said == "empty, one point or no length near 1.":
        assert 0.95 < got < 1
    else:
        assert said.startswith("empty")
        assert got == int(re.search(r" (\d)[;.]", said)[1])


@pytest.mark.parametrize("name", [name for name in MEASURES if name != "abstraction"])
def test_the_page_has_each_measure_as_its_docstring_has_it(name):
    page = (REPOSITORY / "docs" / "measures.md").read_text(encoding="utf-8")
    cells = [f"`{name}`", MEASURES[name].__doc__.split("\n")[0], *documented(name).values()]
    assert f"\n| {' | '.join(cells)} |" in page


@given(st.lists(whole_drawings, max_size=3))
def test_crossings_equal_a_twin_in_exact_arithmetic(sketches):
    got = measure(sketches, "crossings")["crossings"]
    assert got.tolist() == [naive_measures.crossings(sketch) for sketch in sketches]


def test_crossings_by_hand():
    star = [(math.cos(angle), math.sin(angle)) for angle in np.arange(6) * 4 * math.pi / 5]
    cross = Sketch.from_strokes([[(0, 0), (2, 2)], [(0, 2), (2, 0)]])
    touch = Sketch.from_strokes([[(0, 0), (2, 2)], [(1, 1), (2, 0)]])
    assert measure([Sketch.from_strokes([star]), cross, touch], "crossings")["crossings"].tolist() == [5, 1, 0]


@given(st.lists(drawings, max_size=3))
def test_line_measures_equal_their_twins(sketches):
    names = ["corners", "longest_stroke", "travel", "closed_strokes", "off_center"]
    got = measure(sketches, names)
    for index, sketch in enumerate(sketches):
        for name in names:
            if name == "closed_strokes" and naive_measures.hardly_closed(sketch):
                continue
            expected = getattr(naive_measures, name)(sketch)
            assert got[name][index] == pytest.approx(expected, rel=1e-7, abs=1e-9), name


@given(st.lists(whole_drawings, max_size=3))
def test_the_description_is_as_long_as_one_that_can_be_read(sketches):
    got = measure(sketches, "description_length")["description_length"]
    for index, sketch in enumerate(sketches):
        bits, corners = naive_measures.described(sketch)
        assert got[index] == len(bits)
        assert naive_measures.told(bits) == corners


def test_ink_in_cells_equals_a_twin_in_shapely():
    for sketch in scribbles():
        cells, again = naive_measures.cells(sketch)
        got = Geometry.of(as_block(sketch)).cells
        np.testing.assert_allclose(got[0][0], cells, atol=1e-4)
        assert got[1][0] == pytest.approx(again, abs=1e-3)
        values = measure(sketch, COLUMNS[2][:4])
        for name, expected in naive_measures.of_cells(cells, again).items():
            assert values[name][0] == pytest.approx(expected, abs=1e-4), name


@given(drawings)
def test_all_ink_is_in_some_cell(sketch):
    geometry = Geometry.of(as_block(sketch))
    side = geometry.sides.max()
    expected = geometry.total_ink[0] / side * CELLS if side else 0.0
    assert geometry.cells[0].sum() == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_ink_over_ink_is_overlap():
    line, other = [(0, 0), (100, 0)], [(0, 100), (100, 100)]
    drawn = [[line, other], [line, other, line], [line, other, line, line], [[*line, *line[::-1]]]]
    assert measure([Sketch.from_strokes(strokes) for strokes in drawn], "overlap")["overlap"].tolist() == pytest.approx(
        [0, 1 / 3, 1 / 2, 0]
    )


def test_pauses_by_hand():
    strokes = [[(0, 0), (3, 4)], [], [(3, 0), (0, 4)]]
    sketch = Sketch.from_strokes(strokes, time=[[100, 600], [], [1500, 2100]])
    assert measure([sketch, sketch], "pauses")["pauses"].tolist() == pytest.approx([0.45, 0.45])


def test_more_drawings_than_are_measured_at_a_time():
    few = SketchSet.from_sketches(scribbles())
    many = SketchSet.concat([few] * 300)
    for name, values in measure(many).items():
        np.testing.assert_array_equal(values, np.tile(measure(few)[name], 300), err_msg=name)


def test_a_measure_of_ones_own_sees_the_columns(monkeypatch):
    monkeypatch.setitem(MEASURES, "stars", lambda block: block.columns["stars"] * 1.0)
    rated = zoo_set()
    assert measure(rated.with_columns(stars=np.arange(len(rated))), "stars")["stars"].tolist() == [*range(len(rated))]


def test_detailed_drawings_measure_as_less_abstract(shared_data):
    svgpathtools = pytest.importorskip("svgpathtools")
    file = shared_data / "refgame_chairs" / "sketchpad_basic_chairs.csv"
    if not file.is_file():
        pytest.skip(f"no file {file}")
    csv.field_size_limit(10**8)
    with file.open(newline="") as rows:
        records = list(csv.DictReader(rows))[::4]
    sketches = []
    for record in records:
        curves = [svgpathtools.parse_path(path) for path in json.loads(record["svg"])]
        ends = [[curve.start, *(piece.end for piece in curve)] for curve in curves if len(curve)]
        sketches.append(Sketch.from_strokes([[(z.real, z.imag) for z in stroke] for stroke in ends]))
    got = measure(sketches)
    detailed = np.array([record["condition"] == "closer" for record in records])
    # The finding of Fan et al. 2020: more strokes and more ink where detail is needed.
    for name in ("strokes", "corners", "ink"):
        assert got[name][detailed].mean() > got[name][~detailed].mean(), name
