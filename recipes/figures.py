"""The figures of a run's report, each from `results.json` alone, as SVG for the page (`inline_svg`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter, PercentFormatter
from numpy.typing import NDArray

from sketchkit.recipes.inline_svg import PAINTS, inline_svg

__all__ = [
    "abstraction_by_canvas",
    "accuracy_by_canvas",
    "accuracy_by_flops",
    "canvas_shares",
    "ink_curve",
    "query_time",
    "training_curves",
]

Results = Mapping[str, Any]

_GIGA = 1e9
_TITLES = {"teacher": "Teacher", "direct": "Direct student", "v1": "V1", "v2": "V2"}
_DETAIL_MEASURES = ("strokes", "ink")
_MEASURE_LABELS = {"strokes": "Strokes", "ink": "Ink, in diagonals"}
_STEPS = (1, 2, 2.5, 5, 10)  # of the ticks of an axis


def accuracy_by_flops(results: Results) -> str:
    """acc@1 against FLOPs per query on a log axis: every model, and choices of canvas that know nothing or all.

    Args:
        results: as in `results.json`; `rows`, `canvases`, `canvas_flops`, `per_canvas` and `selection` are read.
    """
    rows = {row["model"]: row for row in results["rows"]}
    selection = results["selection"]
    sizes = [str(size) for size in results["canvases"]]
    costs = [results["canvas_flops"][size] / _GIGA for size in sizes]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for model, marker in (("direct", "s"), ("v1", "o")):
            accuracies = [results["per_canvas"][model][size]["acc@1"] for size in sizes]
            label = f"{_TITLES[model]}, fixed canvases"
            axes.plot(costs, accuracies, f"{marker}-", color=PAINTS[model], markersize=5.5, label=label)
        for size, cost in zip(sizes, costs, strict=True):
            at = (cost, results["per_canvas"]["v1"][size]["acc@1"])
            axes.annotate(size, at, (-4, 5), textcoords="offset points", ha="right", color=PAINTS["v1"], size=10)
        dial = sorted([*selection["dial"], rows["v2"]], key=lambda point: float(point["flops"]))
        if selection["dial"]:
            path = [point["flops"] / _GIGA for point in dial], [point["acc@1"] for point in dial]
            axes.plot(*path, "--", color=PAINTS["v2"], marker=".", linewidth=1.2, label="V2, its dial turned")
        _point(axes, selection["random_uniform"], "v", PAINTS["muted"], "Random, uniform", hollow=True)
        _point(axes, selection["random_same_mix"], "d", PAINTS["ink"], "Random, V2's mix", hollow=True)
        _point(axes, selection["oracle"], "^", PAINTS["oracle"], "Oracle")
        for model, marker, width in (("teacher", "s", 8.0), ("v2", "*", 13.0)):
            _interval(axes, rows[model], PAINTS[model])
            _point(axes, rows[model], marker, PAINTS[model], _TITLES[model], size=width)
        _log_axis(axes, margin=1.6)
        axes.set_xlabel("GFLOPs per query")
        _percent_axis(axes)
        figure.legend(loc="outside lower center", ncols=2, columnspacing=1.4, handletextpad=0.6)

    label = "Accuracy against FLOPs per query, for fixed canvases, the canvas selector, random choices and the oracle"
    return inline_svg("cost", draw, height=348, label=label)


def accuracy_by_canvas(results: Results) -> str:
    """acc@1 (full), acc@5 (paler) and acc@10 (palest) of V1 and of the direct student on each fixed canvas.

    Args:
        results: as in `results.json`; `canvases` and `per_canvas` are read.
    """
    sizes = [str(size) for size in results["canvases"]]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        width = 0.36
        for model, shift in (("direct", -width / 2), ("v1", width / 2)):
            measured = results["per_canvas"][model]
            places = np.arange(len(sizes)) + shift
            floor = np.zeros(len(sizes))
            for top, strength in (("acc@1", 1), ("acc@5", 0.45), ("acc@10", 0.2)):
                heights = np.array([measured[size][top] for size in sizes])
                label = f"{_TITLES[model]}, {top}"
                axes.bar(places, heights - floor, width * 0.94, floor, color=PAINTS[model], alpha=strength, label=label)
                floor = heights
            firsts = [measured[size]["acc@1"] for size in sizes]
            for place, first in zip(places, firsts, strict=True):
                axes.annotate(
                    f"{100 * first:.0f}", (place, first), (0, 2), textcoords="offset points", ha="center", size=10
                )
        axes.set_xticks(range(len(sizes)), sizes)
        axes.set_xlim(-0.6, len(sizes) - 0.4)
        axes.grid(axis="x", visible=False)
        axes.set_xlabel("Canvas, px")
        _percent_axis(axes)
        figure.legend(loc="outside lower center", ncols=2, columnspacing=1.4, handletextpad=0.6)

    label = "Accuracy of the direct student and of SketchyNetV1 on each canvas"
    return inline_svg("canvases", draw, height=310, label=label)


def canvas_shares(results: Results) -> str:
    """The share of test sketches on each canvas, for V2 and for every other value of its dial.

    Args:
        results: as in `results.json`; `canvases` and `selection` are read.
    """
    sizes = [str(size) for size in results["canvases"]]
    selection = results["selection"]
    bars = [("V2", selection["counts"])]
    bars += [(f"λ_F = {point['lambda_F']:g}", point["counts"]) for point in selection["dial"]]
    strengths = _strengths(len(sizes))

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for line, (_, counts) in enumerate(bars):
            whole = max(sum(counts.values()), 1)
            start = 0.0
            for size, strength in zip(sizes, strengths, strict=True):
                share = counts.get(size, 0) / whole
                label = f"{size} px" if line == 0 else None
                axes.barh(line, share, 0.66, start, color=PAINTS["v1"], alpha=strength, label=label, linewidth=0)
                if share >= 0.08:
                    paint = PAINTS["ground"] if strength > 0.8 else PAINTS["ink"]
                    axes.text(start + share / 2, line, f"{share:.0%}", ha="center", va="center", color=paint, size=10)
                start += share
        axes.set_yticks(range(len(bars)), [name for name, _ in bars])
        axes.tick_params(axis="y", labelcolor=PAINTS["ink"])
        axes.set_ylim(len(bars) - 0.5, -0.5)
        axes.set_xlim(0, 1)
        axes.grid(visible=False)
        axes.spines["bottom"].set_visible(False)
        axes.tick_params(axis="x", bottom=False, labelbottom=False)
        figure.legend(loc="outside lower center", ncols=min(len(sizes), 4), columnspacing=1.2, handlelength=1)

    label = "Share of the test sketches that the selector sends to each canvas"
    return inline_svg("shares", draw, height=64 + 32 * len(bars), label=label)


def abstraction_by_canvas(results: Results) -> str:
    """Strokes and ink of the drawings sent to each canvas: 10th to 90th percentile, quartiles, median.

    Args:
        results: as in `results.json`; `canvases` and `abstraction` are read.
    """
    sizes = list(results["canvases"])
    chosen = np.asarray(results["abstraction"]["chosen"])
    names = [name for name in _DETAIL_MEASURES if name in results["abstraction"]]

    def draw(figure: Figure) -> None:
        panels = figure.subplots(1, max(len(names), 1), squeeze=False)[0]
        for axes, name in zip(panels, names, strict=False):
            values = np.asarray(results["abstraction"][name], dtype=float)
            for place, size in enumerate(sizes):
                _spread(axes, place, values[(chosen == size) & np.isfinite(values)])
            axes.set_title(_MEASURE_LABELS.get(name, name))
            axes.set_xticks(range(len(sizes)), [str(size) for size in sizes])
            axes.set_xlim(-0.6, len(sizes) - 0.4)
            axes.set_ylim(0, max(axes.dataLim.y1, 1e-9) * 1.15)  # the counts stand above the lines
            axes.yaxis.set_major_locator(MaxNLocator(5, steps=_STEPS))
            axes.grid(axis="x", visible=False)
            axes.set_xlabel("Chosen canvas, px")

    label = "Stroke count and ink of the drawings, by the canvas that the selector chose for them"
    return inline_svg("abstraction", draw, height=230, label=label)


def ink_curve(results: Results) -> str:
    """V1's accuracy, and the mean rank of the right photo, when only the first part of the ink is drawn.

    Args:
        results: as in `results.json`; `ink_curve` is read.
    """
    shares = results["ink_curve"]["share"]
    curve = results["ink_curve"]["v1"]

    def draw(figure: Figure) -> None:
        accuracy, rank = figure.subplots(1, 2)
        for top, strength in (("acc@10", 0.35), ("acc@5", 0.6), ("acc@1", 1)):
            accuracy.plot(shares, curve[top], "o-", color=PAINTS["v1"], alpha=strength, markersize=3.5, label=top)
        accuracy.set_title("Accuracy")
        accuracy.legend(loc="best", handlelength=1.4)
        _percent_axis(accuracy)
        rank.plot(shares, curve["mean_rank"], "o-", color=PAINTS["ink"], markersize=3.5)
        rank.set_title("Mean rank")
        rank.set_ylim(bottom=0)
        rank.yaxis.set_major_locator(MaxNLocator(5, steps=_STEPS))
        for axes in (accuracy, rank):
            axes.set_xlim(0, 1.04)
            axes.xaxis.set_major_locator(FixedLocator((0, 0.25, 0.5, 0.75, 1)))
            axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
            axes.set_xlabel("Ink drawn")

    label = "Accuracy and mean rank of SketchyNetV1 against the share of the drawing's ink that is there"
    return inline_svg("ink", draw, height=220, label=label)


def training_curves(results: Results) -> str:
    """Loss of each stage by epoch (V1: its two parts too); for the selector the reward and the share of FLOPs.

    Args:
        results: as in `results.json`; `histories` is read.
    """
    stages = [(name, records) for name, records in results["histories"].items() if records]

    def draw(figure: Figure) -> None:
        if not stages:
            _only_text(figure, "No training was recorded.")
            return
        columns = min(len(stages), 2)
        panels = figure.subplots(-(-len(stages) // columns), columns, squeeze=False).ravel()
        for axes, (name, records) in zip(panels, stages, strict=False):
            _history(axes, name, records)
        for axes in panels[len(stages) :]:
            axes.set_axis_off()

    height = 20 + 150 * max(1, -(-len(stages) // 2))
    return inline_svg("training", draw, height=height, label="Training curves of each stage, by epoch")


def query_time(results: Results) -> str:
    """Milliseconds of one query end to end, on a log axis: the median in a bar from 10th to 90th percentile.

    Args:
        results: as in `results.json`; `rows` is read.
    """
    rows = results["rows"]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for line, row in enumerate(rows):
            paint, ms = PAINTS.get(row["model"], PAINTS["ink"]), row["ms"]
            axes.barh(line, ms["p90"] - ms["p10"], 0.42, ms["p10"], color=paint, alpha=0.3, linewidth=0)
            axes.plot([ms["median"]] * 2, [line - 0.21, line + 0.21], color=paint, linewidth=2.4)
            text = f"{ms['median']:.3g} ms"
            axes.annotate(text, (ms["p90"], line), (7, 0), textcoords="offset points", va="center")
        axes.set_yticks(range(len(rows)), [_TITLES.get(row["model"], row["model"]) for row in rows])
        axes.tick_params(axis="y", labelcolor=PAINTS["ink"])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        _log_axis(axes, margin=1.4, room_right=2.2)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("Milliseconds per query, one thread")

    label = "Milliseconds per query of each model, median with the 10th to 90th percentile"
    return inline_svg("time", draw, height=70 + 34 * len(rows), label=label)


def _point(
    axes: Axes, point: Results, marker: str, paint: str, label: str, *, size: float = 7.0, hollow: bool = False
) -> None:
    """One labeled point of the accuracy/cost plane."""
    axes.plot(
        [point["flops"] / _GIGA],
        [point["acc@1"]],
        marker,
        color=paint,
        markerfacecolor=PAINTS["ground"] if hollow else paint,
        markeredgewidth=1.5 if hollow else 0,
        markersize=size,
        label=label,
        zorder=4,
    )


def _interval(axes: Axes, row: Results, paint: str) -> None:
    low, high = row["acc@1_interval"]
    axes.plot([row["flops"] / _GIGA] * 2, [low, high], color=paint, alpha=0.45, linewidth=1.6, zorder=2)


def _log_axis(axes: Axes, *, margin: float, room_right: float = 1.0) -> None:
    """A log axis in plain numbers, with ticks also where the values span less than a decade."""
    axes.set_xscale("log")
    low, high = axes.dataLim.intervalx
    low, high = max(low, high * 1e-9), max(high, 1e-12)
    axes.set_xlim(low / margin, high * margin * room_right)
    axes.xaxis.set_major_locator(LogLocator(subs=(1,) if high / low > 30 else (1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _percent_axis(axes: Axes) -> None:
    axes.set_ylim(0, min(1.0, max(axes.dataLim.y1 * 1.12, 0.05)))
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=_STEPS))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))


def _strengths(count: int) -> NDArray[np.float64]:
    """Opacities that rise from the smallest canvas to the largest, the last one full."""
    return np.append(np.linspace(0.16, 0.52, count)[: count - 1], 1.0)


def _spread(axes: Axes, place: int, values: NDArray[np.float64]) -> None:
    """Percentiles 10 to 90 as a line, quartiles as a bar, the median as a dot, the count beneath."""
    if len(values):
        p10, quarter, median, three_quarters, p90 = np.quantile(values, [0.1, 0.25, 0.5, 0.75, 0.9])
        axes.plot([place, place], [p10, p90], color=PAINTS["v2"], linewidth=1.2)
        axes.bar(place, three_quarters - quarter, 0.34, quarter, color=PAINTS["v2"], alpha=0.35, linewidth=0)
        axes.plot([place], [median], "o", color=PAINTS["v2"], markersize=5)
    top = np.quantile(values, 0.9) if len(values) else 0.0
    text = f"n {len(values)}"
    axes.annotate(text, (place, top), (0, 4), textcoords="offset points", ha="center", size=9, color=PAINTS["muted"])


def _history(axes: Axes, name: str, records: Sequence[Mapping[str, float]]) -> None:
    """One stage: its loss, or, where a policy was trained, what the policy gained and spent."""
    wanted = ("reward", "flops_share", "entropy") if "reward" in records[0] else ("loss", "task", "distillation")
    lines = [key for key in wanted if key in records[0]]
    epochs = [record["epoch"] for record in records]
    paint = PAINTS.get(name, PAINTS["ink"])
    for key, style in zip(lines, ("-", "--", ":"), strict=False):
        values = [record.get(key, np.nan) for record in records]
        marker = "o" if len(records) == 1 else ""
        label = key.replace("_", " ")
        axes.plot(epochs, values, style, marker=marker, color=paint, linewidth=1.6, label=label)
    axes.set_title(_TITLES.get(name, name))
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=_STEPS))
    axes.grid(axis="x", visible=False)
    axes.set_xlabel("Epoch" if len(lines) > 1 else f"Epoch ({lines[0]})" if lines else "Epoch")
    if len(lines) > 1:
        axes.legend(loc="best", handlelength=1.6, labelspacing=0.25)


def _only_text(figure: Figure, text: str) -> None:
    axes = figure.subplots()
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, ha="center", va="center", color=PAINTS["muted"], transform=axes.transAxes)
