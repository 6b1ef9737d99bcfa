"""The report: one self-contained page, whatever the results hold."""

from __future__ import annotations

import base64
import copy
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from functools import cache
from html.parser import HTMLParser
from typing import Any

import pytest

from sketchkit.errors import DataError, OutputError
from sketchkit.recipes import figures, readings
from sketchkit.recipes.inline_svg import PAINTS, inline_svg
from sketchkit.recipes.report import render_report, write_report
from sketchkit.recipes.tables import format_table

PIXEL = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
HOSTILE = '"><script>alert(1)</script><img src=x onerror="alert(2)"> \' & {{ 7 * 7 }}'
FIGURES = [
    figures.accuracy_by_flops,
    figures.accuracy_by_canvas,
    figures.canvas_shares,
    figures.abstraction_by_canvas,
    figures.ink_curve,
    figures.training_curves,
    figures.query_time,
]
SECTIONS = ["models", "cost", "canvases", "abstraction", "examples", "time", "training", "run"]
VOID = {"br", "col", "hr", "img", "input", "link", "meta"}


def row(model: str, canvas: str, flops: float, first: float, mean: float | None = None) -> dict[str, Any]:
    return {
        "model": model,
        "title": {"teacher": "Teacher", "direct": "Direct student", "v1": "SketchyNetV1", "v2": "SketchyNetV2"}[model],
        "network": "vgg16" if model == "teacher" else "mobilenet_v2",
        "canvas": canvas,
        "params": 14_714_688 if model == "teacher" else 2_223_872,
        "flops": flops,
        "acc@1": first,
        "acc@5": first + 0.2,
        "acc@10": first + 0.3,
        "acc@1_interval": [first - 0.05, first + 0.05],
        "mean_acc@1": mean,
        "ms": {"median": flops / 1e8, "p10": flops / 1.2e8, "p90": flops / 0.8e8},
    }


def example(rank: int, canvas: int) -> dict[str, Any]:
    return {
        "sketch": "chair-1",
        "svg": '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 4 4"><path d="M0 0L4 4"/></svg>',
        "raster": {"size": canvas, "png": PIXEL},
        "canvas": canvas,
        "rank": rank,
        "photo": "chair",
        "photo_png": PIXEL,
        "top": [{"photo": f"photo {place}", "png": PIXEL, "right": place == rank} for place in range(1, 6)],
    }


def made_up(canvases: tuple[int, ...] = (32, 64)) -> dict[str, Any]:
    """A small dictionary of the right shape. Its numbers mean nothing."""
    costs = {str(size): 13e6 * (size / 32) ** 2 for size in canvases}
    largest = str(max(canvases))
    per_canvas = {str(size): {"acc@1": 0.1 + size / 640, "acc@5": 0.3, "acc@10": 0.4} for size in canvases}
    share = {str(size): 5 for size in canvases}
    chosen = [size for size in canvases for _ in range(5)]
    return {
        "title": "Fine-grained sketch-based image retrieval",
        "note": "A short training.",
        "command": "sketchkit fgsbir demo seed=1",
        "created": "2026-01-02",
        "seconds": {"teacher": 61.0, "evaluation": 3.0},
        "data": {
            "name": "emoji",
            "split": "fold 1 of 3",
            "license": "CC BY 4.0",
            "citation": "Somebody",
            "note": "Both sides are art, not human sketches.",
            "train_photos": 20,
            "train_sketches": 20,
            "test_photos": 10,
            "test_sketches": len(chosen),
        },
        "environment": {"python": "3.11"},
        "config": {"seed": 1, "student": {"canvases": list(canvases), "training": {"epochs": 3}}},
        "rows": [
            row("teacher", "256", 40e9, 0.5),
            row("direct", largest, costs[largest], 0.3, 0.2),
            row("v1", largest, costs[largest], 0.45, 0.35),
            row("v2", "selected", 0.6 * costs[largest], 0.4),
        ],
        "canvases": list(canvases),
        "canvas_flops": costs,
        "per_canvas": {"direct": copy.deepcopy(per_canvas), "v1": per_canvas},
        "selection": {
            "counts": share,
            "selector_params": 50_000,
            "selector_flops": 5e6,
            "random_same_mix": {"acc@1": 0.38, "flops": 0.5 * costs[largest]},
            "random_uniform": {"acc@1": 0.37, "flops": 0.5 * costs[largest]},
            "oracle": {"acc@1": 0.6, "flops": 0.2 * costs[largest]},
            "dial": [{"lambda_F": 0.1, "acc@1": 0.42, "flops": 0.8 * costs[largest], "counts": share}],
        },
        "abstraction": {
            "strokes": [float(place) for place in range(len(chosen))],
            "ink": [1.0] * len(chosen),
            "chosen": chosen,
        },
        "ink_curve": {
            "share": [0.5, 1.0],
            "v1": {"acc@1": [0.2, 0.4], "acc@5": [0.4, 0.6], "acc@10": [0.5, 0.7], "mean_rank": [5.0, 3.0]},
        },
        "histories": {
            "teacher": [{"epoch": 1.0, "loss": 2.0}, {"epoch": 2.0, "loss": 1.0}],
            "v1": [{"epoch": 1.0, "loss": 2.0, "task": 1.5, "distillation": 0.5}],
            "v2": [{"epoch": 1.0, "loss": 0.0, "reward": 0.2, "entropy": 1.3, "flops_share": 0.3}],
        },
        "examples": [example(1, canvases[0]), example(9, canvases[-1])],
    }


def one_canvas() -> dict[str, Any]:
    return made_up((64,))


def no_dial() -> dict[str, Any]:
    results = made_up()
    results["selection"]["dial"] = []
    return results


def no_examples() -> dict[str, Any]:
    return made_up() | {"examples": []}


def all_on_one_canvas() -> dict[str, Any]:
    results = made_up((32, 64, 128, 256))
    results["selection"]["counts"] = {"32": 0, "64": 20, "128": 0, "256": 0}
    results["abstraction"]["chosen"] = [64] * 20
    return results


def nothing_found() -> dict[str, Any]:
    """Every accuracy is zero, every measure NaN, nothing was recorded."""
    results = made_up()
    for line in results["rows"]:
        line |= {"acc@1": 0.0, "acc@5": 0.0, "acc@10": 0.0, "acc@1_interval": [0.0, 0.0]}
    for measured in results["per_canvas"].values():
        for accuracies in measured.values():
            accuracies |= {"acc@1": 0.0, "acc@5": 0.0, "acc@10": 0.0}
    results["ink_curve"]["v1"] |= {"acc@1": [0.0, 0.0], "acc@5": [0.0, 0.0], "acc@10": [0.0, 0.0]}
    results["abstraction"]["strokes"] = [float("nan")] * 10
    results["histories"] = {"teacher": []}
    return results


CASES = [made_up, one_canvas, no_dial, no_examples, all_on_one_canvas, nothing_found]


@cache
def rendered(case: Callable[[], dict[str, Any]]) -> str:
    return render_report(case())


class Page(HTMLParser):
    """Elements, ids and text of a page; closing tags must match."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.text += data

    def values(self, attribute: str) -> list[str]:
        return [attributes[attribute] or "" for _, attributes in self.elements if attribute in attributes]


@pytest.mark.parametrize("case", CASES)
def test_page_is_self_contained(case: Any) -> None:
    html = rendered(case)
    page = Page(html)
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "link", "iframe", "object", "embed", "base", "form", "video", "audio"}
    assert all(source.startswith("data:image/") for source in page.values("src"))
    assert all(target.startswith("#") for target in page.values("href") + page.values("xlink:href"))
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    # What is left of the network are the names of the SVG namespaces, which load nothing.
    left = set(re.findall(r"https?://[^\s\"'<>)]+", html))
    assert left == {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert "@import" not in html
    assert all(target.startswith("#") for target in re.findall(r"url\(['\"]?([^)'\"]*)", html))
    assert "undefined" not in page.text
    assert " nan" not in page.text.lower()


@pytest.mark.parametrize("case", CASES)
def test_ids_are_unique_and_references_resolve(case: Any) -> None:
    html = rendered(case)
    page = Page(html)
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    referenced = [target[1:] for target in page.values("href") + page.values("xlink:href")]
    referenced += re.findall(r"url\(#([^)]*)\)", html)
    assert set(referenced) <= set(ids)


def test_every_section_is_there() -> None:
    page = Page(rendered(made_up))
    assert [attributes["id"] for tag, attributes in page.elements if tag == "section"] == SECTIONS
    assert [target for target in page.values("href") if target[1:] in SECTIONS] == [f"#{name}" for name in SECTIONS]
    assert sum(tag == "svg" for tag, _ in page.elements) == len(FIGURES)
    for said in (
        "A short training.",
        "Both sides are art, not human sketches.",
        "sketchkit fgsbir demo seed=1",
        "student",
        "training.epochs",
        "1 min 1 s",
        "CC BY 4.0",
        "The right photo came at rank 9.",
    ):
        assert said in page.text


def test_examples_section_is_left_out_without_examples() -> None:
    page = Page(rendered(no_examples))
    sections = [attributes["id"] for tag, attributes in page.elements if tag == "section"]
    assert sections == [name for name in SECTIONS if name != "examples"]
    assert "#examples" not in page.values("href")


def test_saved_flops_are_computed_from_the_table() -> None:
    results = made_up()
    results["rows"][0]["flops"], results["rows"][3]["flops"] = 40.18e9, 0.254e9
    assert "\N{MINUS SIGN}99.37\N{NO-BREAK SPACE}%" in Page(render_report(results)).text  # 1 - 0.254 / 40.18


def test_pictures_and_figures_are_described() -> None:
    page = Page(rendered(made_up))
    assert all(attributes.get("alt") for tag, attributes in page.elements if tag == "img")
    assert all(attributes.get("aria-label") for tag, attributes in page.elements if tag == "svg")


def test_right_photo_is_framed() -> None:
    page = Page(rendered(made_up))
    framed = [attributes for tag, attributes in page.elements if tag == "li" and attributes.get("class") == "right"]
    assert len(framed) == 1  # of the two examples one has it among the first five


def test_raster_is_shown_at_its_relative_size() -> None:
    styles = Page(render_report(made_up((32, 256)))).values("style")
    assert "width: 12.5%" in styles
    assert "width: 100%" in styles


def test_hostile_strings_are_shown_not_obeyed() -> None:
    results = made_up()
    results |= {"title": HOSTILE, "note": HOSTILE, "command": HOSTILE}
    results["data"] |= {"name": HOSTILE, "split": HOSTILE, "license": HOSTILE, "citation": HOSTILE, "note": HOSTILE}
    results["environment"] = {HOSTILE: HOSTILE}
    results["config"] = {"out": HOSTILE, HOSTILE: {HOSTILE: [HOSTILE]}}
    results["seconds"] = {HOSTILE: 1.0}
    results["histories"] = {HOSTILE: [{"epoch": 1.0, "loss": 1.0}]}
    results["abstraction"][HOSTILE] = results["abstraction"]["strokes"]
    results["examples"][0] |= {"sketch": HOSTILE, "photo": HOSTILE}
    results["examples"][0]["top"][0]["photo"] = HOSTILE
    for line in results["rows"]:
        line |= {"title": HOSTILE, "network": HOSTILE}
    page = Page(render_report(results))
    assert {tag for tag, _ in page.elements}.isdisjoint({"script"})
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert all(source.startswith("data:image/") for source in page.values("src"))
    assert page.text.count(HOSTILE) >= 10  # as text, in full, the template language in it left alone
    assert sum(HOSTILE in text for text in page.values("alt")) == 2  # the drawing and the photo found


def test_drawing_is_an_image_whatever_it_holds() -> None:
    results = made_up()
    svg = '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
    results["examples"][0]["svg"] = svg
    page = Page(render_report(results))
    assert "script" not in {tag for tag, _ in page.elements}
    assert "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode() in page.values("src")


@pytest.mark.parametrize("uri", ["https://example.org/a.png", "javascript:alert(1)", "data:text/html;base64,AAAA", ""])
@pytest.mark.parametrize("place", ["raster", "photo_png", "top"])
def test_picture_that_would_load_something_is_refused(place: str, uri: str) -> None:
    results = made_up()
    shown = results["examples"][1]
    if place == "photo_png":
        shown["photo_png"] = uri
    else:
        (shown["raster"] if place == "raster" else shown["top"][0])["png"] = uri
    with pytest.raises(DataError, match=rf"examples\[1\]\.{place}: .* must be a base64 data URI"):
        render_report(results)


@pytest.mark.parametrize("missing", ["rows", "selection", "examples", "seconds"])
def test_missing_value_is_named(missing: str) -> None:
    results = made_up()
    del results[missing]
    with pytest.raises(DataError, match=missing):
        render_report(results)


def test_report_is_written_and_deterministic(tmp_path: Any) -> None:
    results = json.loads(json.dumps(made_up()))  # what has been through results.json makes the same page
    path = write_report(results, tmp_path / "report.html")
    assert path.read_text(encoding="utf-8") == rendered(made_up)
    assert [found.name for found in tmp_path.iterdir()] == ["report.html"]


def test_missing_folder_is_an_output_error(tmp_path: Any) -> None:
    with pytest.raises(OutputError):
        write_report(no_examples(), tmp_path / "nowhere" / "report.html")


@pytest.mark.parametrize("case", CASES)
def test_figures_are_svg_in_the_colors_of_the_page(case: Any) -> None:
    found = re.findall(r"<svg .*?</svg>", rendered(case), re.DOTALL)
    assert len(found) == len(FIGURES)
    for text in found:
        root = ET.fromstring(text)
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert root.get("viewBox")
        assert root.get("width") is None
        assert not root.findall(".//{http://www.w3.org/2000/svg}style")  # it would reach beyond the figure
        assert "<text" in text
        assert "nan" not in text.lower()
        colors = set(re.findall(r"(?:fill|stroke): (#[0-9a-f]{3,6})", text))
        assert colors == set()  # all are the page's, so that they turn with light and dark


@pytest.mark.parametrize("draw", FIGURES, ids=lambda draw: draw.__name__)
def test_figure_is_the_same_by_itself_as_on_the_page(draw: Any) -> None:
    assert draw(made_up()) in rendered(made_up)


def test_labels_are_text_not_markup() -> None:
    def draw(figure: Any) -> None:
        figure.subplots().set_title("a <b> & $x$", color=PAINTS["ink"])

    text = inline_svg("escaped", draw, height=100, label='"quoted" <label>')
    root = ET.fromstring(text)
    assert root.get("aria-label") == '"quoted" <label>'
    assert "a <b> & $x$" in [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize(
    ("chance", "said"),
    [
        (0.30, "outside V2's 95 % interval (35.0 % to 45.0 %): the selector chooses better than chance"),
        (0.38, "inside V2's 95 % interval (35.0 % to 45.0 %): whether the selector chooses better than chance is not"),
        (0.50, "outside V2's 95 % interval (35.0 % to 45.0 %): the selector chooses worse than chance"),
    ],
)
def test_selection_is_judged_by_its_interval(chance: float, said: str) -> None:
    results = made_up()
    results["selection"]["random_same_mix"]["acc@1"] = chance
    assert said in readings.read_selection(results).replace("\N{NO-BREAK SPACE}", " ")


def test_selection_on_one_canvas_claims_no_gain() -> None:
    assert "sends every sketch to 64 px" in readings.read_selection(all_on_one_canvas())
    assert "gains nothing" in readings.read_selection(all_on_one_canvas())
    assert "nothing to select" in readings.read_selection(one_canvas())
    assert "says nothing about abstraction" in readings.read_abstraction(all_on_one_canvas())


@pytest.mark.parametrize(
    ("strokes", "said"),
    [
        ([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], "Drawings with more strokes go to larger canvases."),
        ([10, 9, 8, 7, 6, 5, 4, 3, 2, 1], "Drawings with more strokes go to smaller canvases."),
        ([1, 2, 3, 4, 5, 1, 2, 3, 4, 5], "no clear relation"),
        ([3] * 10, "no clear relation"),
    ],
)
def test_abstraction_is_told_as_found(strokes: list[float], said: str) -> None:
    results = made_up()
    results["abstraction"]["strokes"] = strokes
    assert said in readings.read_abstraction(results)


@pytest.mark.parametrize(
    ("teacher", "v2", "said"),
    [
        (40.18e9, 0.254e9, "99.4 % fewer than the teacher"),
        (1e9, 1.5e9, "50.0 % more than the teacher"),
        (1e9, 1e9, "as many as the teacher"),
    ],
)
def test_headline_compares_cost(teacher: float, v2: float, said: str) -> None:
    results = made_up()
    results["rows"][0]["flops"], results["rows"][3]["flops"] = teacher, v2
    assert said in readings.read_headline(results).replace("\N{NO-BREAK SPACE}", " ")


def test_terminal_table_is_aligned() -> None:
    lines = format_table(made_up()).splitlines()
    assert lines[0].split("  ")[0] == "model"
    assert len(lines) == 5
    # Each number ends under the end of its heading.
    for heading, cells in {
        "params": ["14.71 M", "2.22 M", "2.22 M", "2.22 M"],
        "FLOPs/query": ["40.00 G", "0.052 G", "0.052 G", "0.031 G"],
        "acc@1 ": ["50.0", "30.0", "45.0", "40.0"],
        "mean acc@1": ["-", "20.0", "35.0", "-"],
        "ms/query": ["400", "0.52", "0.52", "0.31"],
    }.items():
        end = lines[0].index(heading) + len(heading.strip())
        assert [line[:end].endswith(cell) for line, cell in zip(lines[1:], cells, strict=True)] == [True] * 4, heading
