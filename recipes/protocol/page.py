"""A table for readers: Markdown for the docs, CSV for programs; both from `table.json` alone."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sketchkit.recipes.tables import duration, giga, mega

__all__ = ["table_csv", "table_page"]

Results = Mapping[str, Any]

_SPLITS = {"fold": "Held-out folds of the training photos", "test": "The official test split"}


def table_page(results: Results, figures: str = ".") -> str:
    """The page, as Markdown.

    Args:
        results: as in `table.json`.
        figures: the folder of results, as seen from the page.
    """
    lines = [f"# {results['title']}", "", *_opening(results)]
    for split, found in results["splits"].items():
        lines += ["", f"## {_SPLITS[split]}", "", *_split(found)]
        for student, compared in results["policies"].items():
            if split in compared["at_budget"]:
                lines += ["", *_policies(student, compared, split, figures)]
    lines += ["", "## Rows", "", *(f"- **{name}**: {says}" for name, says in results["says"].items() if says)]
    if results["missing"]:
        counts = Counter(cell.partition(",")[0] for cell in results["missing"])
        cells = ", ".join(f"{count} of {name}" for name, count in counts.items())
        lines += ["", f"Cells that are not finished, whose seeds are therefore not above: {cells}."]
    lines += ["", "## Where it comes from", "", *_origin(results)]
    return "\n".join(lines).replace("\N{NO-BREAK SPACE}", " ") + "\n"


def table_csv(results: Results) -> str:
    """One line a row, canvas and measure, and one a difference (`row` is then `first - second`).

    Columns: `split`, `row`, `canvas`, `measure`, `value` with `low` and `high` (95 %), `seed_deviation`, `params`,
    `flops`, `epochs`, `seeds`, `folds`, `photos`, `sketches`. Accuracies from 0 to 1. The measures are `acc@1`,
    `acc@5`, `acc@10`, `acc@1, cosine` by similarity alone, and `hub_gain`, `acc@1` less that.

    Args:
        results: as in `table.json`; only `splits` is read.
    """
    text = io.StringIO()
    shared = ("params", "flops", "epochs", "seeds", "folds", "photos", "sketches")
    figures = ("value", "low", "high", "seed_deviation")
    writer = csv.DictWriter(text, ["split", "row", "canvas", "measure", *figures, *shared], lineterminator="\n")
    writer.writeheader()
    for split, found in results["splits"].items():
        for row in found["rows"]:
            counts = {name: row[name] for name in shared} | {"seeds": len(row["seeds"])}
            for measure in (name for name in row if name.startswith("acc@") or name == "hub_gain"):
                named = {"split": split, "row": row["row"], "canvas": row["canvas"], "measure": measure}
                writer.writerow(named | row[measure] | counts)
        for each in found["differences"]:
            named = {"split": split, "row": f"{each['first']} - {each['second']}", "measure": "acc@1"}
            writer.writerow(named | each["acc@1"])
    return text.getvalue()


def _opening(results: Results) -> Iterator[str]:
    data = results["data"]
    cited = f" {data['citation']}." if data["citation"] else ""
    yield f"Data: {data['name']}.{cited} License: {data['license']}."
    if data["note"]:
        yield data["note"]
    yield from data["splits"]
    yield ""
    yield "acc@k is the share of sketches whose photo is among the first k of the gallery, in per cent. A figure is"
    yield "the mean over all sketches and seeds after the last epoch; in brackets its 95 % interval, by drawing photos"
    yield "with replacement, each with all its sketches of all seeds; after ± the standard deviation over seeds. FLOPs"
    yield "are of a query, in the paper's convention."


def _split(found: Results) -> Iterator[str]:
    best = [row for row in found["rows"] if row["canvas"] == found["best_canvas"][row["row"]]]
    watched = any(row["best_epoch_acc@1"] is not None for row in best)
    head = ["row", "network", "canvas", "params", "FLOPs", "acc@1", "acc@5", "acc@10", "seeds"]
    if watched:
        head.insert(6, "best epoch, cosine")
    yield "Each row on its most accurate canvas" + (", chosen on the folds:" if found["chosen_on_folds"] else ":")
    yield ""
    yield from _markdown(head, [_cells(row, watched=watched) for row in best])
    if watched:
        yield ""
        yield "*Best epoch* is not a result: it is what would be quoted, by cosine similarity alone, if each training's"
        yield "best epoch were chosen on the very photos that are reported."
    yield from _per_canvas(found["rows"])
    yield from _hubs(found["rows"])
    if found["differences"]:
        yield ""
        yield "Differences of acc@1 in points, with the same photos drawn for both sides:"
        yield ""
        yield from _markdown(["", "points", "95 % interval", ""], [_compared(each) for each in found["differences"]])


def _per_canvas(rows: Sequence[Results]) -> Iterator[str]:
    """acc@1 of each row on each canvas, those that have several."""
    sizes = sorted({row["canvas"] for row in rows if row["canvas"].isdecimal()}, key=int)
    per_row: dict[str, dict[str, Results]] = {}
    for row in rows:
        per_row.setdefault(row["row"], {})[row["canvas"]] = row
    several = {name: canvases for name, canvases in per_row.items() if len(canvases) > 1}
    if not several:
        return
    yield ""
    yield "acc@1 on each canvas, in pixels:"
    yield ""
    lines = []
    for name, canvases in several.items():
        lines.append([name, *(_interval(canvases[size]["acc@1"]) if size in canvases else "" for size in sizes)])
    yield from _markdown(["row", *sizes], lines)


def _hubs(rows: Sequence[Results]) -> Iterator[str]:
    """What discounting hubs is worth, in points of acc@1."""
    discounted = [row for row in rows if "hub_gain" in row]
    if not any(row["hub_gain"]["value"] for row in discounted):
        return
    yield ""
    yield "Above, what makes a photo the neighbor of all drawings is taken off its similarity (`hub_discounts`, by the"
    yield "training sketches). By cosine similarity alone:"
    yield ""
    head = ["row", "canvas", "acc@1", "gained by discounting", "95 % interval", ""]
    lines = [
        [row["row"], row["canvas"], _interval(row["acc@1, cosine"]), *_gain(row["hub_gain"])] for row in discounted
    ]
    yield from _markdown(head, lines)


def _cells(row: Results, *, watched: bool) -> list[str]:
    cells = [row["row"], row["network"], row["canvas"], mega(row["params"]), giga(row["flops"])]
    deviation = row["acc@1"]["seed_deviation"]
    cells.append(_interval(row["acc@1"]) + ("" if deviation is None else f" ± {100 * deviation:.1f}"))
    if watched:
        quoted = row["best_epoch_acc@1"]
        cells.append("" if quoted is None else _percent(quoted))
    return [*cells, _percent(row["acc@5"]["value"]), _percent(row["acc@10"]["value"]), str(len(row["seeds"]))]


def _interval(figure: Results) -> str:
    return f"{_percent(figure['value'])} ({_percent(figure['low'])} to {_percent(figure['high'])})"


def _compared(each: Results) -> list[str]:
    return [f"{each['first']} - {each['second']}", *_gain(each["acc@1"])]


def _gain(found: Results) -> list[str]:
    """In points, its interval, and in words."""
    verdict = "above" if found["low"] > 0 else "below" if found["high"] < 0 else "not told apart"
    points, low, high = (f"{100 * found[name]:+.1f}" for name in ("value", "low", "high"))
    return [points, f"{low} to {high}", verdict]


def _policies(student: str, compared: Results, split: str, figures: str) -> Iterator[str]:
    yield f"### Which canvas: policies for {student}"
    yield ""
    if split == "fold":
        yield "Each policy was fitted on the other folds, and stands here at its most accurate setting within"
    else:
        yield "Each policy at the setting that was chosen on the folds, fitted on all of them; the budget was"
    yield f"{giga(compared['budget'])}FLOPs a query, everything counted. Gains are in points of acc@1, over the best"
    yield "random mixture of fixed canvases at equal mean FLOPs, and over random canvases in the policy's own shares."
    yield ""
    head = ["policy", "decides by", "FLOPs", "acc@1", "over the best mixture", "over its own shares"]
    yield from _markdown(head, [_policy(point) for point in compared["at_budget"][split]])
    if split == "fold":
        yield ""
        yield from (
            f"- {name}: {chosen.get('why') or chosen['refused']}" for name, chosen in compared["chosen"].items()
        )
    yield ""
    folder = f"{figures}/policies/{student}/{'folds' if split == 'fold' else 'test'}"
    yield f"![Accuracy against FLOPs of every policy]({folder}/policies.svg)"


def _policy(point: Results) -> list[str]:
    mean, low, high = map(_percent, point["accuracy"])
    gains = [
        "{:+.1f} ({:+.1f} to {:+.1f})".format(*(100 * value for value in point[name]))
        for name in ("over_blind", "over_same_mix")
    ]
    return [point["policy"], point["sees"], giga(point["flops"]), f"{mean} ({low} to {high})", *gains]


def _origin(results: Results) -> Iterator[str]:
    yield f"Repeat with `{results['command']}`: it trains what is missing, and rewrites this page."
    yield ""
    for environment in results["environments"]:
        yield "- " + ", ".join(f"{name} {value}" for name, value in environment.items())
    spent = [f"{name} {duration(seconds)}" for name, seconds in results["seconds"].items()]
    yield ""
    yield f"A training took, on average: {', '.join(spent)}."


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(cells) + " |" for cells in lines]


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"
