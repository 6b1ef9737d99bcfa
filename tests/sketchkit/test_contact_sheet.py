import io
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from sketchkit import ParameterError, Sketch, SketchSet, rasterize
from sketchkit.contact_sheet import sheet_fragment, sheet_html, sheet_png, sheet_svg

from zoo import FINITE

Image = pytest.importorskip("PIL.Image")
SVG = "{http://www.w3.org/2000/svg}"


def drawings(count=7):
    made = [Sketch.from_strokes([[(0, 0), (9, index), (3, 8)]], label=f"<no & {index}>") for index in range(count)]
    return SketchSet.from_sketches(made)


def test_png_holds_each_drawing_where_it_belongs():
    sheet = np.asarray(Image.open(io.BytesIO(sheet_png(drawings(), cell=32, columns=3))))
    assert sheet.shape == (3 * (32 + 16 + 8) + 8, 3 * 40 + 8)
    images = rasterize(drawings(), 32)
    for index, image in enumerate(images):
        top, left = 8 + index // 3 * 56, 8 + index % 3 * 40
        np.testing.assert_array_equal(sheet[top : top + 32, left : left + 32], 255 - image)
    assert (sheet[8 + 2 * 56 :, 48:] == 255).all(), "no drawing, no ink"


def test_svg_nests_every_drawing():
    root = ElementTree.fromstring(sheet_svg(drawings(), cell=50, columns=3))
    nested = root.findall(f"{SVG}svg")
    assert [(one.get("x"), one.get("y")) for one in nested[:4]] == [("8", "8"), ("66", "8"), ("124", "8"), ("8", "82")]
    assert all((one.get("width"), one.get("height")) == ("50", "50") for one in nested)
    assert [text.text for text in root.findall(f"{SVG}text")] == [f"<no & {index}>" for index in range(7)]
    assert "key of fifty unit…" in sheet_svg(drawings(1).with_columns(label=["key of fifty units and more"]), cell=90)
    again = SketchSet.from_sketches([Sketch.from_svg(ElementTree.tostring(one, "unicode")) for one in nested])
    np.testing.assert_array_equal(again.points, drawings().points)


def test_html_is_well_formed_and_escapes():
    page = sheet_html(drawings(), title="a <b> & c")
    body = page.split("<body>")[1].split("</body>")[0]
    root = ElementTree.fromstring(f"<body>{body}</body>")
    assert root.find("h1").text == "a <b> & c"
    assert len(root.findall(f"div/figure/{SVG}svg")) == 7
    assert root.find("div/figure/figcaption").text == "<no & 0>"
    assert "<script" not in page
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")


@pytest.mark.parametrize("name", FINITE)
def test_zoo(name):
    one = SketchSet.from_sketches([FINITE[name]])
    assert sheet_png(one, cell=20).startswith(b"\x89PNG")
    ElementTree.fromstring(sheet_svg(one, cell=20))
    ElementTree.fromstring(f"<body>{sheet_fragment(one)}</body>")


def test_a_notebook_shows_the_first_drawings():
    shown = drawings(30)._repr_html_()
    assert shown.count("<figure>") == 24
    assert "6 more" in shown
    broken = SketchSet.from_sketches([Sketch.from_strokes([[(0, 0), (np.nan, 1), (2, 2)]])])
    assert "<figure>" in broken._repr_html_()


def test_a_screen_reader_is_told_which_drawing_it_is():
    named, plain = drawings(2), drawings(2)[:2].with_columns(key=[None, None], label=["roof", None])
    for sheet, names in ((named, None), (plain, ["roof", "drawing 1"])):
        root = ElementTree.fromstring(f"<div>{sheet_fragment(sheet).split('</style>')[1]}</div>")
        found = [one.get("aria-label") for one in root.iter(f"{SVG}svg")]
        assert all(found)
        assert names is None or found == names


@pytest.mark.parametrize("make", [sheet_png, sheet_svg, sheet_html])
def test_wrong_sizes(make):
    with pytest.raises(ParameterError, match="cell must be at least 1, not 0"):
        make(drawings(), cell=0)
