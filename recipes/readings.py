"""What a run's numbers say, in sentences: computed, so that a report never claims what its run did not find."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from sketchkit.recipes.tables import giga, percent, three_digits

__all__ = [
    "read_abstraction",
    "read_canvases",
    "read_distillation",
    "read_headline",
    "read_ink",
    "read_selection",
    "read_shares",
    "read_time",
    "read_training",
]

Results = Mapping[str, Any]

# A rank correlation with a larger p value than this is called no relation.
_SIGNIFICANCE = 0.05
_ENOUGH_TO_CORRELATE = 3


def read_headline(results: Results) -> str:
    """V2 against the teacher: accuracy and FLOPs.

    Args:
        results: as in `results.json`; `rows` is read.
    """
    teacher, v2 = _row(results, "teacher"), _row(results, "v2")
    return (
        f"SketchyNetV2 puts the right photo first for {percent(v2['acc@1'])} of the test sketches, "
        f"at {giga(v2['flops'])}FLOPs a query, {_relative(v2['flops'], teacher['flops'])} the teacher, "
        f"which does so for {percent(teacher['acc@1'])}. {_overlap(v2, teacher)}"
    )


def read_distillation(results: Results) -> str:
    """V1 against the student that learned alone, at the largest canvas.

    Args:
        results: as in `results.json`; `rows` is read.
    """
    direct, v1 = _row(results, "direct"), _row(results, "v1")
    difference = v1["acc@1"] - direct["acc@1"]
    return (
        f"Of the two students on the {v1['canvas']} px canvas, the distilled one (V1) answers {percent(v1['acc@1'])}, "
        f"{_points(difference)} than the direct one. {_overlap(v1, direct)}"
    )


def read_selection(results: Results) -> str:
    """V2 against canvases dealt out at random in the same numbers, and against the oracle.

    Args:
        results: as in `results.json`; `rows`, `canvases` and `selection` are read.
    """
    selection, v2 = results["selection"], _row(results, "v2")
    oracle = selection["oracle"]
    if len(results["canvases"]) == 1:
        return "There is one canvas, so there is nothing to select."
    return (
        f"{_against_chance(selection, v2)} Of V2's {giga(v2['flops'])}FLOPs a query, "
        f"{giga(selection['selector_flops'])} are the selector's own; random choices need none. An oracle that knew "
        f"the smallest canvas on which V1 answers correctly would reach {percent(oracle['acc@1'])} "
        f"at {giga(oracle['flops'])}: a bound, lucky hits included."
    )


def read_canvases(results: Results) -> str:
    """How accuracy falls with the canvas, for both students.

    Args:
        results: as in `results.json`; `canvases` and `per_canvas` are read.
    """
    sizes = sorted(results["canvases"])
    firsts = {model: [results["per_canvas"][model][str(size)]["acc@1"] for size in sizes] for model in ("direct", "v1")}
    if len(sizes) == 1:
        direct, v1 = percent(firsts["direct"][0]), percent(firsts["v1"][0])
        return f"There is one canvas, {sizes[0]} px: the direct student answers {direct} there, V1 {v1}."
    losses = {model: values[-1] - values[0] for model, values in firsts.items()}
    ahead = sum(v1 > direct for v1, direct in zip(firsts["v1"], firsts["direct"], strict=True))
    return (
        f"From {sizes[-1]} to {sizes[0]} px the direct student {_change(losses['direct'])} of acc@1, "
        f"V1 {_change(losses['v1'])}. V1 is ahead on {ahead} of {len(sizes)} canvases; averaged over all of them "
        f"it answers {percent(float(np.mean(firsts['v1'])))}, "
        f"the direct student {percent(float(np.mean(firsts['direct'])))}."
    )


def read_shares(results: Results) -> str:
    """Where V2 sends the sketches, and what that saves against the largest canvas for all.

    Args:
        results: as in `results.json`; `rows`, `canvases`, `canvas_flops` and `selection` are read.
    """
    counts: Mapping[str, int] = results["selection"]["counts"]
    whole = max(sum(counts.values()), 1)
    largest = max(results["canvases"])
    shares = _listed([f"{percent(count / whole, 0)} to {size} px" for size, count in counts.items() if count])
    used = results["canvas_flops"][str(largest)]
    v2 = _row(results, "v2")["flops"]
    return (
        f"V2 sends {shares or 'no sketch anywhere'}. A query then costs {giga(v2)}FLOPs on average, "
        f"{_relative(v2, used)} {largest} px for every sketch."
    )


def read_abstraction(results: Results) -> str:
    """Whether detailed drawings go to large canvases: rank correlation of each measure with the chosen canvas.

    Args:
        results: as in `results.json`; `abstraction` is read.
    """
    measures = results["abstraction"]
    chosen = np.asarray(measures["chosen"], dtype=float)
    if len(np.unique(chosen)) < 2:
        return "All sketches went to one canvas, so this run says nothing about abstraction and canvas."
    found = {
        name: _correlation(np.asarray(values, float), chosen) for name, values in measures.items() if name != "chosen"
    }
    told = [f"{name.replace('_', ' ')} {_signed(rho)}" for name, (rho, _) in found.items()]
    return f"{_tendency(found.get('strokes'))} Rank correlations with the chosen canvas: {', '.join(told)}."


def read_ink(results: Results) -> str:
    """How early in the drawing retrieval works.

    Args:
        results: as in `results.json`; `ink_curve` is read.
    """
    shares, curve = results["ink_curve"]["share"], results["ink_curve"]["v1"]
    firsts = curve["acc@1"]
    half = int(np.argmin(np.abs(np.asarray(shares) - 0.5)))
    said = (
        f"With {percent(shares[half], 0)} of the ink drawn V1 answers {percent(firsts[half])}, "
        f"with {percent(shares[-1], 0)} of it {percent(firsts[-1])}; the mean rank of the right photo goes from "
        f"{curve['mean_rank'][half]:.1f} to {curve['mean_rank'][-1]:.1f}."
    )
    if firsts[-1] <= 0:
        return said
    enough = next(share for share, first in zip(shares, firsts, strict=True) if first >= 0.9 * firsts[-1])
    return f"{said} Nine tenths of the final acc@1 are reached at {percent(enough, 0)} of the ink."


def read_time(results: Results) -> str:
    """V2's query against the teacher's and V1's, measured.

    Args:
        results: as in `results.json`; `rows` is read.
    """
    teacher, v1, v2 = (_row(results, model)["ms"]["median"] for model in ("teacher", "v1", "v2"))
    return (
        f"The median query (select, rasterize, embed, search) takes V2 {three_digits(v2)} ms; the teacher takes "
        f"{_times(teacher, v2)}, V1 on its largest canvas {_times(v1, v2)}."
    )


def read_training(results: Results) -> str:
    """First and last value of each stage's main curve.

    Args:
        results: as in `results.json`; `histories` is read.
    """
    titles = {"teacher": "Teacher", "direct": "Direct student", "v1": "V1", "v2": "V2"}
    told = []
    for name, records in results["histories"].items():
        if not records:
            continue
        key = "reward" if "reward" in records[0] else "loss"
        epochs = f"{len(records)} epoch{'s' if len(records) != 1 else ''}"
        first, last = (three_digits(record[key]) for record in (records[0], records[-1]))
        told.append(f"{titles.get(name, name)}: {key} {first} → {last} in {epochs}")
    return f"{'; '.join(told)}." if told else "No training was recorded."


def _row(results: Results, model: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = next(row for row in results["rows"] if row["model"] == model)
    return found


def _against_chance(selection: Results, v2: Results) -> str:
    used = [size for size, count in selection["counts"].items() if count]
    chance = selection["random_same_mix"]["acc@1"]
    if len(used) == 1:
        return (
            f"The selector sends every sketch to {used[0]} px: it has settled on one canvas instead of choosing "
            f"for each sketch, and gains nothing over V1 on that fixed canvas."
        )
    low, high = v2["acc@1_interval"]
    difference = v2["acc@1"] - chance
    interval = f"V2's 95\N{NO-BREAK SPACE}% interval ({percent(low)} to {percent(high)})"
    if low <= chance <= high:
        verdict = f"That is inside {interval}: whether the selector chooses better than chance is not established here."
    else:
        verdict = (
            f"That is outside {interval}: the selector chooses {'better' if difference > 0 else 'worse'} than chance."
        )
    return (
        f"V2 answers {percent(v2['acc@1'])}; the same canvases in the same numbers, dealt out at random, would answer "
        f"{percent(chance)}, {_points(-difference)}. {verdict}"
    )


def _overlap(one: Results, other: Results) -> str:
    (low, high), (other_low, other_high) = one["acc@1_interval"], other["acc@1_interval"]
    separate = high < other_low or other_high < low
    return f"Their 95\N{NO-BREAK SPACE}% intervals {'do not overlap' if separate else 'overlap'}."


def _relative(cost: float, reference: float) -> str:
    """`99.4 % fewer than` and the like."""
    share = cost / reference - 1
    if abs(share) < 0.0005:
        return "as many as"
    return f"{percent(abs(share))} {'more' if share > 0 else 'fewer'} than"


def _points(difference: float) -> str:
    return f"{100 * abs(difference):.1f} points {'more' if difference >= 0 else 'fewer'}"


def _change(loss: float) -> str:
    return f"{'loses' if loss >= 0 else 'gains'} {100 * abs(loss):.1f} points"


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "\N{MINUS SIGN}")


def _times(slow: float, fast: float) -> str:
    return f"{slow / fast:.1f} times as long ({three_digits(slow)} ms)"


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}" if parts else ""


def _correlation(values: NDArray[np.float64], chosen: NDArray[np.float64]) -> tuple[float, float]:
    """Spearman's rho and its p value; 0 and 1 where there is nothing to correlate."""
    known = np.isfinite(values)
    values, chosen = values[known], chosen[known]
    if len(values) < _ENOUGH_TO_CORRELATE or np.ptp(values) == 0 or np.ptp(chosen) == 0:
        return 0.0, 1.0
    found = spearmanr(values, chosen)
    return float(found.statistic), float(found.pvalue)


def _tendency(strokes: tuple[float, float] | None) -> str:
    if strokes is None or strokes[1] > _SIGNIFICANCE:
        return "Stroke count and chosen canvas show no clear relation in this run."
    toward = "larger" if strokes[0] > 0 else "smaller"
    return f"Drawings with more strokes go to {toward} canvases."
