"""The report of a run: one HTML file that needs no network and no script."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from sketchkit import atomic
from sketchkit.errors import DataError
from sketchkit.recipes import figures, readings
from sketchkit.recipes.tables import duration, format_table, giga, mega, percent, three_digits

__all__ = ["format_table", "render_report", "write_report"]

Results = Mapping[str, Any]

_STAGES = {"teacher": "Teacher", "direct": "Direct student", "v1": "SketchyNetV1", "v2": "SketchyNetV2"}
_PICTURE = re.compile(r"data:image/(?:png|jpeg|webp);base64,[A-Za-z0-9+/]+={0,2}")


def write_report(results: Mapping[str, Any], path: Path) -> Path:
    """Render the results of a run as one self-contained HTML file, written atomically.

    Args:
        results: as in `results.json`.
        path: of the file.

    Returns:
        The path.

    Raises:
        DataError: the results lack a value, or a picture in them is not a data URI.
        OutputError: the file cannot be written.
    """
    atomic.write_text(path, render_report(results))
    return path


def render_report(results: Mapping[str, Any]) -> str:
    """The report's HTML; the same text for the same `results`, which are as in `results.json`.

    Raises:
        DataError: the results lack a value, or a picture in them is not a data URI.
    """
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_template),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "duration": duration,
        "giga": giga,
        "mega": mega,
        "percent": percent,
        "three_digits": three_digits,
    }
    try:
        return environment.get_template("report.html").render(_page(results))
    except KeyError as error:
        raise DataError(f"the results lack {error.args[0]!r}; run the evaluation again") from None
    except jinja2.UndefinedError as error:
        raise DataError(f"the results lack a value ({error.message}); run the evaluation again") from None


def _page(results: Results) -> dict[str, Any]:
    """Everything that the template shows."""
    teacher = next(row for row in results["rows"] if row["model"] == "teacher")
    return {
        "results": results,
        "style": Markup(_template("report.css")),  # our own file, not data
        "rows": [_row(row, teacher) for row in results["rows"]],
        "examples": [_example(results, index) for index in range(len(results["examples"]))],
        "figures": _figures(results),
        "canvas_table": _canvas_table(results),
        "settings": _settings(results["config"]),
        "hub_neighbors": results["config"].get("evaluation", {}).get("hub_neighbors", 0),
        "stages": [(_STAGES.get(name, name.capitalize()), spent) for name, spent in results["seconds"].items()],
        "read": {
            "headline": readings.read_headline(results),
            "distillation": readings.read_distillation(results),
        },
    }


def _row(row: Results, teacher: Results) -> dict[str, Any]:
    """A model, with what it saves against the teacher (None for the teacher itself)."""
    saved = None if row["model"] == "teacher" else 1 - row["flops"] / teacher["flops"]
    return {**row, "saved": saved}


def _figures(results: Results) -> dict[str, dict[str, Any]]:
    drawn = {
        "cost": (figures.accuracy_by_flops, readings.read_selection),
        "canvases": (figures.accuracy_by_canvas, readings.read_canvases),
        "shares": (figures.canvas_shares, readings.read_shares),
        "abstraction": (figures.abstraction_by_canvas, readings.read_abstraction),
        "ink": (figures.ink_curve, readings.read_ink),
        "time": (figures.query_time, readings.read_time),
        "training": (figures.training_curves, readings.read_training),
    }
    # The drawings hold no string of the results unescaped: matplotlib writes text as XML text.
    return {name: {"svg": Markup(draw(results)), "reading": read(results)} for name, (draw, read) in drawn.items()}


def _canvas_table(results: Results) -> list[dict[str, Any]]:
    """The numbers behind the first figures, a line a canvas."""
    counts = results["selection"]["counts"]
    whole = max(sum(counts.values()), 1)
    return [
        {
            "size": size,
            "flops": results["canvas_flops"][str(size)],
            "direct": results["per_canvas"]["direct"][str(size)],
            "v1": results["per_canvas"]["v1"][str(size)],
            "share": counts.get(str(size), 0) / whole,
        }
        for size in results["canvases"]
    ]


def _example(results: Results, index: int) -> dict[str, Any]:
    """One retrieved example, its pictures checked and its raster sized against the largest canvas."""
    example, place = results["examples"][index], f"examples[{index}]"
    largest = max(results["canvases"])
    return {
        **example,
        "drawing": _drawing(example["svg"]),
        "raster": _picture(example["raster"]["png"], f"{place}.raster"),
        "side": 100 * min(example["raster"]["size"] / largest, 1),
        "photo_png": _picture(example["photo_png"], f"{place}.photo_png"),
        "top": [{**photo, "png": _picture(photo["png"], f"{place}.top")} for photo in example["top"]],
        "found": any(photo["right"] for photo in example["top"]),
    }


def _picture(uri: str, place: str) -> str:
    """A picture that loads nothing.

    Raises:
        DataError: it is anything but a data URI of a raster picture.
    """
    if not _PICTURE.fullmatch(uri):
        raise DataError(f"{place}: a picture of the report must be a base64 data URI, not {uri[:40]!r}")
    return uri


def _drawing(svg: str) -> str:
    """A drawing as an image source: as an image, an SVG runs no script and loads nothing, whatever it holds."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


def _settings(config: Results) -> list[tuple[str, list[tuple[str, str]]]]:
    """The settings in groups: those of the run, then each section with dotted names."""
    groups = [("run", [(name, _shown(value)) for name, value in config.items() if not isinstance(value, Mapping)])]
    groups += [(name, list(_flattened(value))) for name, value in config.items() if isinstance(value, Mapping)]
    return [(name, lines) for name, lines in groups if lines]


def _flattened(config: Results, prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from _flattened(value, f"{prefix}{name}.")
        else:
            yield prefix + name, _shown(value)


def _shown(value: Any) -> str:
    if value is None or value == "":
        return "\N{EN DASH}"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _template(name: str) -> str:
    return (files("sketchkit.recipes") / "templates" / name).read_text(encoding="utf-8")
