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
def writing(path: Path) -> Iterator[Callable[[SketchSet, Values], None]]:
    """A function that appends the values of a set's drawings to a table, which appears whole at the end.

    Columns: `index` (from 0), `key` and `label` when the first set carries them, then the measures; where a measure is
    not defined for a drawing, the cell is empty in CSV and null elsewhere.

    Raises:
        OutputError: the file cannot be written.
        ParameterError: the suffix is none of .csv, .parquet, .ndjson.
    """
    if path.suffix.lower() not in _SUFFIXES:
        raise ParameterError(f"{path}: a table of measures is {', '.join(_SUFFIXES)}, not {path.suffix or 'a folder'}")
    with ExitStack() as stack:
        temporary = stack.enter_context(atomic.replacing(path))
        append: list[Callable[[Any], None]] = []
        start = 0

        def write(chunk: SketchSet, values: Values) -> None:
            nonlocal start
            table = _table(chunk, values, start)
            start += len(chunk)
            if not append:
                append.append(_writer(temporary, path.suffix.lower(), table.schema, stack))
            append[0](table)

        yield write


def summarize(parts: Sequence[Values]) -> str:
    """Quartiles and range of each measure over all drawings, a line each."""
    lines = [f"{'':<24}{'5 %':>11}{'median':>11}{'95 %':>11}{'undefined':>11}"]
    for name in parts[0] if parts else ():
        values = np.concatenate([part[name] for part in parts])
        finite = values[np.isfinite(values)]
        quantiles = np.quantile(finite, [0.05, 0.5, 0.95]) if len(finite) else [np.nan] * 3
        cells = [f"{value:>11.4g}" for value in quantiles]
        lines.append(f"{name:<24}{''.join(cells)}{len(values) - len(finite):>11}")
    return "\n".join(lines)


def _table(chunk: SketchSet, values: Values, start: int) -> Any:
    import pyarrow as pa

    columns: dict[str, Any] = {"index": pa.array(np.arange(start, start + len(chunk)))}
    for name in ("key", "label"):
        if name in chunk.columns:
            texts = [None if value is None else str(value) for value in chunk.columns[name].tolist()]
            columns[name] = pa.array(texts, pa.string())
    for name, measured in values.items():
        columns[name] = pa.array(np.where(np.isfinite(measured), measured, np.nan), from_pandas=True)
    return pa.table(columns)


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
