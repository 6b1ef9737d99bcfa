"""The card beside saved weights: README.md with the metadata that the Hugging Face Hub reads.

It says what was adapted, what a pass costs, and what was measured, if anything was; it makes nothing up.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from sketchkit import atomic
from sketchkit.adapters.query_cost import size_words
from sketchkit.adapters.summary import Summary
from sketchkit.errors import MissingDataError, ParameterError

if TYPE_CHECKING:
    from sketchkit.adapters.adapted_model import AdaptedModel

__all__ = ["Results", "model_card", "read_results", "write_card"]

Results: TypeAlias = "Mapping[str, Any] | Sequence[Mapping[str, Any]] | str | os.PathLike[str] | None"
"""Rows of results, or where they are; see `AdaptedModel.save_pretrained`."""

_MARK = "<!-- written by sketchkit save_pretrained; remove this line to keep your own text -->"
# Columns of a row that say what was measured and are no measurement themselves.
_NOT_METRICS = ("dataset", "model", "params", "canvas")
_TASK = "image-feature-extraction"


def model_card(
    adapted: AdaptedModel, *, results: Results = None, license: str | None = None, datasets: Sequence[str] = ()
) -> str:
    """The text of README.md; see `AdaptedModel.save_pretrained`.

    Example:
        >>> from sketchkit import adapt
        >>> adapted = adapt("mobilenet_v2", canvases=(32,), photo_size=32)
        >>> card = model_card(adapted, results={"dataset": "ChairV2", "acc@1": 0.25}, license="mit")
        >>> "| ChairV2 | 0.25 |" in card
        True

    Raises:
        ParameterError, MissingDataError: the results are no rows, or not there.
    """
    rows = read_results(results)
    summary = adapted.summary()
    metadata = _metadata(adapted, rows, license, datasets)
    lines = ["---", *(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in metadata.items()), "---"]
    lines += [_MARK, "", f"# {summary.network}, adapted to sketches", ""]
    lines += [
        "One network that embeds photos and hand-drawn sketches, for retrieval of the one by the other, with a canvas "
        "selector that draws each sketch no larger than it needs.",
        "",
        *_table(["", ""], [[name, value] for name, value in summary.lines() if not name.startswith("canvas ")]),
        "",
        "## What a pass costs",
        "",
        *_table(["canvas, px", "GFLOPs"], _costs(summary)),
        "",
        f"Counted, not timed, in the convention of arXiv 2505.23763; the canvas selector adds at most "
        f"{summary.selector_flops / 1e9:.5f} GFLOPs a drawing."
        + (" A canvas with a cost of at most so much is rectangular: as wide as the ink." if summary.at_most else ""),
        "",
        "## Measured",
        "",
        *_measured(rows),
        "",
        "## Use",
        "",
        "```python",
        "from sketchkit import AdaptedModel, read",
        "",
        'adapted = AdaptedModel.from_pretrained("path/to/this/folder"' + _model_argument(adapted) + ")",
        'embeddings = adapted.embed_sketches(read("drawings.ndjson"))',
        "```",
    ]
    return "\n".join(lines) + "\n"


def write_card(folder: Path, card: str) -> None:
    """Write `card` as README.md into `folder`, unless there is one that is not ours.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "README.md").write_text("my own")
        >>> write_card(folder, "another")
        >>> (folder / "README.md").read_text()
        'my own'
    """
    path = folder / "README.md"
    if path.is_file() and _MARK.encode() not in path.read_bytes():
        return
    atomic.write_text(path, card)


def read_results(results: Results) -> list[dict[str, Any]]:
    """The rows of `results`, each a column -> a number or a text; other values are left out.

    Taken are one row, a sequence of them, a mapping that has them as `rows` (the set's name as `data.name`), the path
    of a JSON file of such, and None for no rows.

    Example:
        >>> read_results({"dataset": "ChairV2", "acc@1": 0.25, "interval": [0.2, 0.3]})
        [{'dataset': 'ChairV2', 'acc@1': 0.25}]
        >>> read_results(None)
        []

    Raises:
        MissingDataError: the file is not there.
        ParameterError: there are no rows in it.
    """
    if isinstance(results, (str, os.PathLike)):
        results = _read(Path(results))
    if results is None:
        return []
    rows: Any = results
    shared: dict[str, Any] = {}
    if isinstance(rows, Mapping) and "rows" in rows:
        data = rows.get("data")
        if isinstance(data, Mapping) and isinstance(data.get("name"), str):
            shared = {"dataset": data["name"]}
        rows = rows["rows"]
    if isinstance(rows, Mapping):
        rows = [rows]
    if not isinstance(rows, Sequence) or isinstance(rows, str) or not all(isinstance(row, Mapping) for row in rows):
        raise ParameterError("results must be a mapping of column to value, or a sequence of them, or a path to such")
    return [{str(name): value for name, value in {**shared, **row}.items() if _is_plain(value)} for row in rows]


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MissingDataError(f"{path}: there are no results; pass the rows themselves, or an existing file") from None
    except (OSError, ValueError) as error:
        raise ParameterError(f"{path}: cannot be read as results: {error}; pass the rows themselves") from None


def _is_plain(value: object) -> bool:
    return isinstance(value, (str, Real)) and not isinstance(value, bool)


def _metadata(
    adapted: AdaptedModel, rows: Sequence[Mapping[str, Any]], license: str | None, datasets: Sequence[str]
) -> dict[str, Any]:
    """Key -> value; written as JSON, which is YAML too."""
    source = adapted.description.source
    origin = [] if source is None or source.origin == "sketchkit" else [source.origin]
    metadata: dict[str, Any] = {
        "library_name": "sketchkit",
        "pipeline_tag": _TASK,
        "tags": ["sketchkit", "sketch", "sketch-based-image-retrieval", *origin],
    }
    if license is not None:
        metadata["license"] = license
    if datasets:
        metadata["datasets"] = list(datasets)
    named = [row for row in rows if isinstance(row.get("dataset"), str)]
    metrics = list(dict.fromkeys(name for row in named for name, _ in _metrics(row)))
    if metrics:
        metadata["metrics"] = metrics
        metadata["model-index"] = [{"name": adapted.description.network, "results": [_result(row) for row in named]}]
    return metadata


def _result(row: Mapping[str, Any]) -> dict[str, Any]:
    name = f", {row['model']}" if "model" in row else ""
    return {
        "task": {"type": _TASK, "name": f"sketch-based image retrieval{name}"},
        "dataset": {"type": row["dataset"], "name": row["dataset"]},
        "metrics": [{"type": name, "value": value} for name, value in _metrics(row)],
    }


def _metrics(row: Mapping[str, Any]) -> list[tuple[str, float]]:
    return [
        (name, value)
        for name, value in row.items()
        if isinstance(value, (int, float)) and name.lower() not in _NOT_METRICS
    ]


def _measured(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    if not rows:
        return ["Nothing was given to `save_pretrained(results=...)`, so nothing is claimed."]
    header = list(dict.fromkeys(name for row in rows for name in row))
    return _table(header, [[_cell(row.get(name, "")) for name in header] for row in rows])


def _cell(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _costs(summary: Summary) -> list[list[str]]:
    """Canvas and GFLOPs, a row each; of a rectangular one the bound."""
    return [
        [size_words(size), f"{'at most ' if size in summary.at_most else ''}{flops / 1e9:.5f}"]
        for size, flops in summary.flops.items()
    ]


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    cells = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(_escaped(cell) for cell in row) + " |" for row in cells]


def _escaped(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _model_argument(adapted: AdaptedModel) -> str:
    return ", model=..." if adapted.description.source is None else ""
