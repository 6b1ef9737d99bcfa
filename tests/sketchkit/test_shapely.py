import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import sketchkit
from sketchkit import MissingDependencyError, ParameterError, Sketch, SketchSet

from zoo import FINITE, ZOO, drawings, zoo_set

shapely = pytest.importorskip("shapely")


def with_double_dots(strokes):
    return [stroke.repeat(2, axis=0) if len(stroke) == 1 else stroke for stroke in strokes]


def same_strokes(sketch, strokes):
    assert len(sketch.strokes) == len(strokes)
    for got, expected in zip(sketch.strokes, strokes, strict=True):
        np.testing.assert_array_equal(got, expected)


def round_trip(drawings):
    geometries = drawings.to_shapely()
    assert geometries.shape == (len(drawings),)
    assert (shapely.get_type_id(geometries) == shapely.GeometryType.MULTILINESTRING).all()
    back = SketchSet.from_shapely(geometries)
    assert len(back) == len(drawings)
    for before, after in zip(drawings, back, strict=True):
        same_strokes(after, with_double_dots(before.strokes))


@pytest.mark.parametrize("timed", [False, True])
def test_the_zoo_survives_the_way_there_and_back(timed):
    round_trip(zoo_set(timed=timed))
    round_trip(SketchSet.from_sketches([]))


@pytest.mark.parametrize("name", FINITE)
def test_each_drawing_survives_by_itself(name):
    round_trip(SketchSet.from_sketches([FINITE[name]]))


@given(st.lists(drawings, max_size=4))
def test_any_drawing_survives(sketches):
    round_trip(SketchSet.from_sketches(sketches))


def test_real_drawings_survive(shared_data):
    chairs = sketchkit.read(shared_data / "chairv2" / "ChairV2_Coordinate")
    geometries = chairs.to_shapely()
    back = SketchSet.from_shapely(geometries)
    np.testing.assert_array_equal(back.points, chairs.points)
    np.testing.assert_array_equal(back.stroke_offsets, chairs.stroke_offsets)
    np.testing.assert_array_equal(back.sketch_offsets, chairs.sketch_offsets)
    lengths = [sum(shapely.length(shapely.LineString(stroke)) for stroke in sketch.strokes) for sketch in chairs[:50]]
    np.testing.assert_allclose(shapely.length(geometries[:50]), lengths)


def test_shapely_reads_the_offsets_as_we_do():
    offsets = shapely.to_ragged_array(zoo_set().to_shapely())[2]
    lengths = np.array([max(len(s), 2) if len(s) else 0 for sketch in zoo_set() for s in sketch.strokes])
    np.testing.assert_array_equal(np.diff(offsets[0]), lengths)
    np.testing.assert_array_equal(offsets[1], zoo_set().sketch_offsets)


RING = [(0, 0), (4, 0), (4, 4), (0, 0)]
HOLE = [(2, 1), (3, 1), (3, 2), (2, 1)]
LINE = [(5, 5), (6, 7)]
GEOMETRIES = {
    "None": (None, []),
    "a line": (shapely.LineString(LINE), [LINE]),
    "an empty line": (shapely.LineString(), [[]]),
    "a ring": (shapely.LinearRing(RING), [RING]),
    "a point": (shapely.Point(1, 2), [[(1, 2)]]),
    "points": (shapely.MultiPoint([(1, 2), (3, 4)]), [[(1, 2)], [(3, 4)]]),
    "no lines": (shapely.MultiLineString(), []),
    "a polygon": (shapely.Polygon(RING, [HOLE]), [RING, HOLE]),
    "polygons": (shapely.MultiPolygon([(RING, []), (RING, [HOLE])]), [RING, RING, HOLE]),
    "an empty collection": (shapely.GeometryCollection(), []),
    "a collection": (
        shapely.GeometryCollection(
            [
                shapely.LineString(LINE),
                shapely.GeometryCollection([shapely.Polygon(RING, [HOLE]), shapely.MultiLineString([LINE, LINE])]),
                shapely.LineString(LINE),
            ]
        ),
        [LINE, RING, HOLE, LINE, LINE, LINE],
    ),
    "three dimensions": (shapely.LineString([(1, 2, 9), (3, 4, 9)]), [[(1, 2), (3, 4)]]),
}


@pytest.mark.parametrize("name", GEOMETRIES)
def test_from_each_kind_of_geometry(name):
    geometry, strokes = GEOMETRIES[name]
    drawing = SketchSet.from_shapely([geometry])[0]
    same_strokes(drawing, [np.reshape(stroke, (-1, 2)) for stroke in strokes])


def test_from_all_kinds_at_once():
    result = SketchSet.from_shapely([geometry for geometry, _ in GEOMETRIES.values()])
    for drawing, (_, strokes) in zip(result, GEOMETRIES.values(), strict=True):
        same_strokes(drawing, [np.reshape(stroke, (-1, 2)) for stroke in strokes])
    assert len(SketchSet.from_shapely([])) == 0
    assert len(SketchSet.from_shapely(shapely.LineString(LINE))) == 1


def test_what_is_no_geometry_is_named():
    with pytest.raises(ParameterError, match="geometry 1 is a str, not a shapely geometry or None"):
        SketchSet.from_shapely([None, "LINESTRING (0 0, 1 1)"])
    with pytest.raises(ParameterError, match=r"one row of them, not an array of shape \(1, 2\)"):
        SketchSet.from_shapely([[None, None]])


def test_a_dot_is_a_line_of_two_equal_points():
    dots = SketchSet.from_sketches([ZOO["dot first"]]).to_shapely()
    assert dots[0].wkt == "MULTILINESTRING ((1 1, 1 1), (0 0, 6 8))"


def test_points_of_any_memory_order_and_read_only_sets_go_in():
    strided = np.asfortranarray(ZOO["hook"].points)
    drawing = Sketch(strided, ZOO["hook"].offsets)
    block = SketchSet(drawing.points, drawing.offsets, np.array([0, 1]))
    same_strokes(SketchSet.from_shapely(block.to_shapely())[0], ZOO["hook"].strokes)


def test_without_shapely_the_error_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "shapely", None)
    with pytest.raises(MissingDependencyError, match="pip install 'shapely>=2'"):
        zoo_set().to_shapely()
    with pytest.raises(MissingDependencyError, match="shapely is not installed"):
        SketchSet.from_shapely([])
