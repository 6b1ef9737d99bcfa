"""The numbers of a run as a reader wants them: formatted, and as a table for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["columns", "duration", "format_table", "giga", "mega", "model_table", "percent", "three_digits"]


def format_table(results: Mapping[str, Any]) -> str:
    """The models of a run side by side, in columns for a terminal; accuracies are per cent.

    Args:
        results: as in `results.json`; only `rows` is read.

    Returns:
        Lines joined by newlines, a heading first, without a newline at the end.

    Example:
        >>> row = {"title": "V1", "network": "mobilenet_v2", "canvas": "64", "params": 2_223_872, "flops": 52.1e6,
        ...        "acc@1": 0.28, "acc@5": 0.6, "acc@10": 0.7, "mean_acc@1": None, "ms": {"median": 3.14}}
        >>> print(format_table({"rows": [row]}))
        model  network       canvas  params  FLOPs/query  acc@1  acc@5  acc@10  mean acc@1  ms/query
        V1     mobilenet_v2      64  2.22 M      0.052 G   28.0   60.0    70.0           -      3.14
    """
    measured = ("acc@1", "acc@5", "acc@10", "mean_acc@1")
    lines = [["-" if row[name] is None else f"{100 * row[name]:.1f}" for name in measured] for row in results["rows"]]
    return model_table(results, [name.replace("_", " ") for name in measured], lines)


def model_table(results: Mapping[str, Any], titles: Sequence[str], measured: Sequence[Sequence[str]]) -> str:
    """Models side by side in columns for a terminal: what they are, what was measured, how long a query takes.

    Args:
        results: as in `results.json`; only `rows` is read.
        titles: of the columns between FLOPs and milliseconds.
        measured: their cells, for each row.
    """
    lines = [["model", "network", "canvas", "params", "FLOPs/query", *titles, "ms/query"]]
    for row, cells in zip(results["rows"], measured, strict=True):
        model = [row["title"], row["network"], str(row["canvas"]), mega(row["params"]), giga(row["flops"])]
        line = [*model, *cells, three_digits(row["ms"]["median"])]
        lines.append([cell.replace("\N{NO-BREAK SPACE}", " ") for cell in line])
    return columns(lines, [True, True, *[False] * (len(lines[0]) - 2)])


def columns(lines: Sequence[Sequence[str]], left: Sequence[bool]) -> str:
    """Cells in columns for a terminal.

    Args:
        lines: of cells, the heading first.
        left: for each column whether it is read from the left.

    Returns:
        Lines joined by newlines, without a newline at the end.

    Example:
        >>> print(columns([["canvas", "acc@1"], ["64", "9.5"]], [True, False]))
        canvas  acc@1
        64        9.5
    """
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if from_left else cell.rjust(width)
            for cell, width, from_left in zip(line, widths, left, strict=True)
        ).rstrip()
        for line in lines
    )


def percent(share: float, digits: int = 1) -> str:
    r"""A `share`, of which 1 is all, as per cent with `digits` decimals, and with a space that does not break.

    Example:
        >>> percent(0.2789) == "27.9\N{NO-BREAK SPACE}%"
        True
    """
    return f"{100 * share:.{digits}f}\N{NO-BREAK SPACE}%"


def giga(count: float) -> str:
    r"""Billions: `count` with three decimals below ten of them and two from there, and a G.

    Example:
        >>> giga(40.1759e9) == "40.18\N{NO-BREAK SPACE}G", giga(13.02e6) == "0.013\N{NO-BREAK SPACE}G"
        (True, True)
    """
    return f"{count / 1e9:.{2 if count >= 1e10 else 3}f}\N{NO-BREAK SPACE}G"


def mega(count: float) -> str:
    r"""Millions: `count` with two decimals, and an M.

    Example:
        >>> mega(14_714_688) == "14.71\N{NO-BREAK SPACE}M"
        True
    """
    return f"{count / 1e6:.2f}\N{NO-BREAK SPACE}M"


def three_digits(value: float) -> str:
    """`value` with three significant digits, two decimals at most, never in powers of ten.

    Example:
        >>> three_digits(1234.5), three_digits(47.36), three_digits(3.0)
        ('1234', '47.4', '3.00')
    """
    whole = len(str(int(abs(value)))) if abs(value) >= 1 else 1
    return f"{value:.{max(0, 3 - whole)}f}"


def duration(seconds: float) -> str:
    """`seconds` as a reader says them: tenths below ten, whole ones below an hour, then whole minutes.

    Example:
        >>> [duration(value) for value in (0.4, 59.6, 754, 7385)]
        ['0.4 s', '1 min', '12 min 34 s', '2 h 3 min']
    """
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        parts = ((whole // 60, "min"), (whole % 60, "s"))
    else:
        minutes = round(seconds / 60)
        parts = ((minutes // 60, "h"), (minutes % 60, "min"))
    return " ".join(f"{count} {unit}" for count, unit in parts if count)
