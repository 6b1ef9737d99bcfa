"""Points of a comparison for readers: a table as CSV, and one figure."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, PercentFormatter

from sketchkit import atomic
from sketchkit.recipes.inline_svg import PAINTS, inline_svg
from sketchkit.recipes.policies.comparison import Point

__all__ = ["policies_csv", "policies_figure", "write_comparison"]

_GIGA = 1e9
# One color for what a policy sees, then a style and a marker for each that sees it.
_COLORS = {"nothing": "muted", "measures": "direct", "strokes": "v2", "retrieval": "v1", "truth": "oracle"}
_STYLES = (("-", "o"), ("--", "s"), (":", "D"), ("-.", "^"), ("-", "v"), ("--", "P"))


def write_comparison(points: Sequence[Point], folder: Path) -> None:
    """Write `points` as `policies.csv` and `policies.svg` into `folder`, which must be there, each atomically.

    Raises:
        OutputError: they cannot be written.
    """
    atomic.write_text(folder / "policies.csv", policies_csv(points))
    atomic.write_text(folder / "policies.svg", policies_figure(points) + "\n")


def policies_csv(points: Sequence[Point]) -> str:
    """One line for each of `points`; accuracies and shares from 0 to 1, intervals of 95 %.

    Columns: `policy`, `sees`, `dial` and its `value`, `acc@1` with `low` and `high`, `flops`, the same for the best
    random mixture at that cost (`blind`), for the differences to it, to random in the same mix and to uniform random,
    and the share of answers from each canvas.
    """
    sizes = list(points[0].shares) if points else []
    estimates = ("blind", "over_blind", "over_same_mix", "over_uniform")
    head = ["policy", "sees", "dial", "value", "acc@1", "low", "high", "flops"]
    head += [column for name in estimates for column in (name, f"{name}_low", f"{name}_high")]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*head, *(f"share_{size}" for size in sizes)])
    for point in points:
        known = [point.policy, point.sees, point.dial, "" if point.value is None else f"{point.value:g}"]
        compared = [f"{value:.5f}" for name in estimates for value in getattr(point, name)]
        found = [f"{value:.5f}" for value in point.accuracy]
        shares = [f"{point.shares[size]:.5f}" for size in sizes]
        writer.writerow([*known, *found, f"{point.flops:.0f}", *compared, *shares])
    return text.getvalue()


def policies_figure(points: Sequence[Point]) -> str:
    """acc@1 against FLOPs of every policy over its dial; below, its gain over the best blind choice at that cost.

    Those of `points` that are of one policy are joined, cheapest first; the fixed canvases count as one and are not.
    """

    def draw(figure: Figure) -> None:
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1.25, 1))
        for name, paint, style, marker, own in _curves(points):
            costs = [point.flops / _GIGA for point in own]
            line = style if len(own) > 1 else "none"
            look = {"color": PAINTS[paint], "linestyle": line, "marker": marker, "markersize": 3.2, "linewidth": 1.2}
            above.plot(costs, [point.accuracy.mean for point in own], label=name, **look)
            above.vlines(costs, *_ends([point.accuracy for point in own]), color=PAINTS[paint], alpha=0.25, linewidth=1)
            if own[0].sees in ("nothing", "truth"):
                continue
            below.plot(costs, [point.over_blind.mean for point in own], **look)
            below.vlines(
                costs, *_ends([point.over_blind for point in own]), color=PAINTS[paint], alpha=0.3, linewidth=1
            )
        below.axhline(0, color=PAINTS["muted"], linewidth=1)
        below.set_title("Gain over the best random mixture at equal cost")
        below.set_xlabel("GFLOPs per query, all passes counted")
        above.set_title("acc@1")
        for axes in (above, below):
            axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        _log_axis(below)
        figure.legend(loc="outside lower center", ncols=2, columnspacing=1.2, handletextpad=0.6)

    label = "Accuracy against FLOPs of every canvas policy, and its gain over the best random mixture at equal cost"
    return inline_svg("policies", draw, height=520, label=label)


def _curves(points: Sequence[Point]) -> Iterator[tuple[str, str, str, str, list[Point]]]:
    """Name, paint, line style, marker and points by cost of each policy; the fixed canvases are one."""
    used: dict[str, int] = {}
    named: dict[str, list[Point]] = {}
    for point in points:
        named.setdefault("fixed canvases" if point.policy.startswith("fixed ") else point.policy, []).append(point)
    for name, own in named.items():
        turn = used.get(own[0].sees, 0)
        used[own[0].sees] = turn + 1
        style, marker = _STYLES[turn % len(_STYLES)]
        line = "none" if name == "fixed canvases" else style
        yield name, _COLORS[own[0].sees], line, marker, sorted(own, key=lambda point: point.flops)


def _ends(estimates: Sequence[tuple[float, float, float]]) -> tuple[list[float], list[float]]:
    return [each[1] for each in estimates], [each[2] for each in estimates]


def _log_axis(axes: Axes) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
