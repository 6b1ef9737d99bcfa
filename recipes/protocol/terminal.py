"""A table in columns for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sketchkit.recipes.tables import columns, giga

__all__ = ["format_splits"]


def format_splits(results: Mapping[str, Any]) -> str:
    """The rows of each split, accuracies in per cent.

    Args:
        results: as in `table.json`.
    """
    blocks = []
    for split, found in results["splits"].items():
        lines = [["row", "canvas", "FLOPs/query", "acc@1", "acc@5", "acc@10", "seeds"]]
        for row in found["rows"]:
            first = row["acc@1"]
            shown = f"{100 * first['value']:.1f} ({100 * first['low']:.1f} to {100 * first['high']:.1f})"
            others = [f"{100 * row[name]['value']:.1f}" for name in ("acc@5", "acc@10")]
            cost = giga(row["flops"]).replace("\N{NO-BREAK SPACE}", " ")
            lines.append([row["row"], row["canvas"], cost, shown, *others, str(len(row["seeds"]))])
        blocks.append(f"{split}:\n{columns(lines, [True, False, False, True, False, False, False])}")
    return "\n\n".join(blocks) or "Nothing is finished yet."
