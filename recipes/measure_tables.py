"""Measures of drawings as a table on the disk, or as a few lines to read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sketchkit import SketchSet, atomic
from sketchkit.errors import ParameterError

__all__ = ["summarize", "writing"]

Values = Mapping[str, NDArray[np.float64]]
_SUFFIXES = (".csv", ".parquet", ".ndjson")


@contextmanager
def writing(path: Path, names: Sequence[str]) -> Iterator[Callable[[SketchSet, Values], None]]:
    """A function that appends the values of a set's drawings to a table, which appears whole at the end.

    Columns: `index` (from 0), `key` and `label` as text, then the measures in the order of `names`; where a drawing
    lacks one, or a measure is not defined for it, the cell is empty in CSV and null elsewhere.

    The suffix of `path` chooses the format: .csv, .parquet or .ndjson, a JSON object a line.

    Raises:
        OutputError: the file cannot be written.
        ParameterError: the suffix is none of .csv, .parquet, .ndjson.
    """
    if path.suffix.lower() not in _SUFFIXES:
        raise ParameterError(f"{path}: a table of measures is {', '.join(_SUFFIXES)}, not {path.suffix or 'a folder'}")
    with ExitStack() as stack:
        temporary = stack.enter_context(atomic.replacing(path))
        append = _writer(temporary, path.suffix.lower(), _schema(names), stack)
        start = 0

        def write(chunk: SketchSet, values: Values) -> None:
            nonlocal start
            append(_table(chunk, values, start, names))
            start += len(chunk)

        yield write


def summarize(parts: Sequence[Values]) -> str:
    """The 5th, 50th and 95th percentile of each measure, and how many drawings have no value, a line a measure.

    `parts` are the values of one set of drawings each: measure -> (drawings,), the same measures in all.
    """
    lines = [f"{'':<24}{'5 %':>11}{'median':>11}{'95 %':>11}{'undefined':>11}"]
    for name in parts[0] if parts else ():
        values = np.concatenate([part[name] for part in parts])
        finite = values[np.isfinite(values)]
        quantiles = np.quantile(finite, [0.05, 0.5, 0.95]) if len(finite) else [np.nan] * 3
        cells = [f"{value:>11.4g}" for value in quantiles]
        lines.append(f"{name:<24}{''.join(cells)}{len(values) - len(finite):>11}")
    return "\n".join(lines)


def _schema(names: Sequence[str]) -> Any:
    import pyarrow as pa

    texts = [pa.field(name, pa.string()) for name in ("key", "label")]
    return pa.schema([pa.field("index", pa.int64()), *texts, *(pa.field(name, pa.float64()) for name in names)])


def _table(chunk: SketchSet, values: Values, start: int, names: Sequence[str]) -> Any:
    import pyarrow as pa

    columns: list[Any] = [pa.array(np.arange(start, start + len(chunk)))]
    for name in ("key", "label"):
        given = chunk.columns[name].tolist() if name in chunk.columns else [None] * len(chunk)
        columns.append(pa.array([None if value is None else str(value) for value in given], pa.string()))
    for name in names:
        finite = np.where(np.isfinite(values[name]), values[name], np.nan)
        columns.append(pa.array(finite, pa.float64(), from_pandas=True))
    return pa.table(columns, schema=_schema(names))


def _writer(path: Path, suffix: str, schema: Any, stack: ExitStack) -> Callable[[Any], None]:
    if suffix == ".parquet":
        import pyarrow.parquet as pq

        parquet = stack.enter_context(pq.ParquetWriter(path, schema))
        return lambda table: parquet.write_table(table)
    if suffix == ".csv":
        from pyarrow import csv

        rows = stack.enter_context(csv.CSVWriter(path, schema))
        return lambda table: rows.write(table)
    file = stack.enter_context(path.open("wb"))

    def write_lines(table: Any) -> None:
        import orjson

        for row in table.to_pylist():
            file.write(orjson.dumps(row) + b"\n")

    return write_lines
