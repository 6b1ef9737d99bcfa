"""The ranks of many runs as one tidy table, `ranks.parquet` or `ranks.csv` in a folder of results.

A line a sketch and run; the columns are `row,split,fold,seed,epoch,canvas,sketch,photo,rank`:

- `row` names a model, with the canvas that all sketches share, if they do: `teacher@256`, `v1@64`, `v2`.
- `split` is `test`, `fold`, or what else was evaluated; `fold` is counted from 0, and 0 where nothing is cut.
- `seed` is the training's; `epoch` how many epochs it had had, the last one being the run's own.
- `canvas` is where this sketch was drawn: `64`, `192x128`. A selector sends each sketch to its own.
- `sketch` and `photo` are keys, `photo` that of the right one; `rank` is its rank, 1 = best.

(row, split, fold, seed, epoch) is one evaluation: it has each sketch of its fold once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sketchkit import atomic
from sketchkit.errors import DataError, MissingDataError, ParameterError

__all__ = ["RankTable", "concat_ranks", "read_ranks", "write_ranks"]

_TEXTS = ("row", "split", "canvas", "sketch", "photo")
_NUMBERS = ("fold", "seed", "epoch", "rank")
_COLUMNS = ("row", "split", "fold", "seed", "epoch", "canvas", "sketch", "photo", "rank")
_RUN = ("row", "split", "fold", "seed", "epoch")
_SUFFIXES = (".csv", ".parquet")


@dataclass(frozen=True, eq=False)
class RankTable:
    """Ranks of sketches, a line a sketch and evaluation; for the columns see the module.

    Args:
        columns: name -> (lines,) values: texts as objects, numbers as int64.

    Raises:
        DataError: columns are missing or of unequal length, a text is empty, a rank is below 1; an evaluation has a
            sketch twice or lacks one that another one of its fold has; a sketch has two photos, a photo two folds.

    Example:
        >>> table = RankTable.of_run("v1@64", ["chair_1", "chair_2"], ["chair", "chair"], [1, 7], canvas=64, seed=3)
        >>> len(table), table.columns["seed"], table.columns["canvas"]
        (2, array([3, 3]), array(['64', '64'], dtype=object))
    """

    columns: Mapping[str, NDArray[Any]]

    def __post_init__(self) -> None:
        missing = [name for name in _COLUMNS if name not in self.columns]
        if missing:
            raise DataError(f"a table of ranks lacks the column {missing[0]!r}; it has {','.join(_COLUMNS)}")
        lengths = {len(self.columns[name]) for name in _COLUMNS}
        if len(lengths) > 1:
            raise DataError(f"the columns of a table of ranks are of unequal length: {sorted(lengths)}")
        if len(self):
            self._check_values()
            self._check_evaluations()

    @classmethod
    def of_run(
        cls,
        row: str,
        sketches: Sequence[str],
        photos: Sequence[str],
        ranks: Sequence[int] | NDArray[np.int64],
        *,
        canvas: int | str | Sequence[int | str],
        split: str = "fold",
        fold: int = 0,
        seed: int = 0,
        epoch: int = 0,
    ) -> RankTable:
        """The table of one evaluation.

        Args:
            row: names the model, its fixed canvas included.
            sketches: keys.
            photos: key of each sketch's right photo.
            ranks: (sketches,) of the right photos, 1 = best.
            canvas: one for all sketches, or one each.
            split: what is evaluated.
            fold: from 0.
            seed: of the training.
            epoch: after how many epochs.
        """
        count = len(sketches)
        canvases = [canvas] * count if isinstance(canvas, int | str) else canvas
        texts: list[Sequence[int | str]] = [[row] * count, [split] * count, canvases, sketches, photos]
        numbers = ([fold] * count, [seed] * count, [epoch] * count, ranks)
        columns = {name: np.array(list(map(str, each)), object) for name, each in zip(_TEXTS, texts, strict=True)}
        return cls(columns | {name: np.asarray(each, np.int64) for name, each in zip(_NUMBERS, numbers, strict=True)})

    def __len__(self) -> int:
        return len(self.columns["rank"])

    @property
    def rows(self) -> list[str]:
        """The names of the rows, sorted."""
        return list(self._codes["row"][1])

    @property
    def splits(self) -> list[str]:
        """The names of the splits, sorted."""
        return list(self._codes["split"][1])

    def where(self, **values: str | int) -> RankTable:
        """The lines that have these values.

        Args:
            **values: column and value, such as `split="test"`.

        Example:
            >>> table = RankTable.of_run("v2", ["a_1", "b_1"], ["a", "b"], [1, 2], canvas=[32, 64])
            >>> table.where(canvas="64").columns["rank"]
            array([2])
        """
        unknown = [name for name in values if name not in _COLUMNS]
        if unknown:
            raise ParameterError(f"a table of ranks has no column {unknown[0]!r}; it has {','.join(_COLUMNS)}")
        kept = np.ones(len(self), bool)
        for name, value in values.items():
            kept &= self.columns[name] == value
        return RankTable({name: self.columns[name][kept] for name in _COLUMNS})

    @cached_property
    def _codes(self) -> dict[str, tuple[NDArray[np.int64], NDArray[Any]]]:
        """Each column but the ranks as numbers into its sorted distinct values."""
        return {name: _coded(self.columns[name]) for name in _COLUMNS if name != "rank"}

    def _joint(self, *names: str) -> NDArray[np.int64]:
        """Numbers that are equal where all the named columns are."""
        joint = np.zeros(len(self), np.int64)
        for name in names:
            codes, values = self._codes[name]
            joint = np.unique(joint * len(values) + codes, return_inverse=True)[1]
        return joint

    def _check_values(self) -> None:
        for name in _TEXTS:
            if "" in self._codes[name][1]:
                raise DataError(f"a table of ranks has an empty {name} in line {_first(self.columns[name] == '')}")
        if self.columns["rank"].min() < 1:
            raise DataError(f"a rank must be at least 1; line {_first(self.columns['rank'] < 1)} has another one")

    def _check_evaluations(self) -> None:
        run = self._joint(*_RUN)
        line = _repeated(self._joint(*_RUN, "sketch"))
        if line is not None:
            raise DataError(f"{self._named(line)} has sketch {self.columns['sketch'][line]!r} twice")
        line = _split_up(self._codes["sketch"][0], self._codes["photo"][0])
        if line is not None:
            raise DataError(f"sketch {self.columns['sketch'][line]!r} has two photos; a sketch shows one")
        line = _split_up(self._joint("split", "photo"), self._joint("split", "fold"))
        if line is not None:
            raise DataError(f"photo {self.columns['photo'][line]!r} is in two folds; folds share no photo")
        fold = self._joint("split", "fold")
        sketches_of_fold = np.bincount(np.unique(np.stack([fold, self._codes["sketch"][0]]), axis=1)[0])
        lacking = np.bincount(run)[run] < sketches_of_fold[fold]
        if lacking.any():
            line = int(lacking.argmax())
            count, whole = np.bincount(run)[run[line]], sketches_of_fold[fold[line]]
            raise DataError(
                f"{self._named(line)} has {count} of the {whole} sketches that others of its fold have; "
                f"every evaluation has all"
            )

    def _named(self, line: int) -> str:
        return ", ".join(f"{name} {self.columns[name][line]}" for name in _RUN)


def concat_ranks(tables: Sequence[RankTable]) -> RankTable:
    """One table of all lines of `tables`, in their order.

    Raises:
        ParameterError: there are none.
        DataError: as `RankTable`; an evaluation is in two of them.

    Example:
        >>> first, second = (RankTable.of_run("v2", ["a_1"], ["a"], [1], canvas=32, seed=seed) for seed in (0, 1))
        >>> len(concat_ranks([first, second]))
        2
    """
    if not tables:
        raise ParameterError("there are no tables of ranks to join")
    return RankTable({name: np.concatenate([table.columns[name] for table in tables]) for name in _COLUMNS})


def write_ranks(table: RankTable, path: Path) -> None:
    """Write a table, atomically; the same lines in whatever order give the same file.

    Args:
        table: of any number of runs.
        path: `.parquet` (small), or `.csv`.

    Raises:
        ParameterError: the suffix is neither.
        OutputError: the file cannot be written.

    Example:
        >>> write_ranks(RankTable.of_run("v2", ["a_1"], ["a"], [1], canvas=32), Path("ranks.csv"))
        >>> len(read_ranks(Path("ranks.csv")))
        1
    """
    import pyarrow as pa

    _require_suffix(path)
    ordered = np.lexsort([table._codes[name][0] for name in reversed((*_RUN, "sketch"))])
    columns = [pa.array(table.columns[name][ordered], _type(name)) for name in _COLUMNS]
    made = pa.table(columns, names=list(_COLUMNS))
    with atomic.replacing(path) as temporary:
        if path.suffix == ".csv":
            from pyarrow import csv

            csv.write_csv(made, temporary, csv.WriteOptions(quoting_style="needed"))
        else:
            import pyarrow.parquet as pq

            pq.write_table(made, temporary, compression="zstd")


def read_ranks(path: Path) -> RankTable:
    """Read a table and check it.

    Args:
        path: `.parquet` or `.csv`; further columns are left alone.

    Raises:
        MissingDataError: there is no such file.
        DataError: it cannot be read, or does not hold what `RankTable` asks for.
        ParameterError: the suffix is neither.
    """
    import pyarrow as pa

    _require_suffix(path)
    try:
        made = _read_csv(path) if path.suffix == ".csv" else _read_parquet(path)
        for name in _COLUMNS:
            if made.column_names.count(name) != 1:
                raise DataError(f"a table of ranks has the column {name!r} once; it has {','.join(_COLUMNS)}")
            if made[name].null_count:
                raise DataError(f"a table of ranks has an empty {name}; every cell holds a value")
        return RankTable({name: _values(made[name].cast(_type(name)).combine_chunks()) for name in _COLUMNS})
    except FileNotFoundError:
        raise MissingDataError(f"{path}: no such table of ranks") from None
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    except (pa.ArrowException, OSError, UnicodeError) as error:
        raise DataError(f"{path}: this table of ranks cannot be read: {error}") from None


def _values(column: Any) -> NDArray[Any]:
    """An Arrow array as numpy has it; equal texts share one object."""
    import pyarrow as pa

    if not pa.types.is_string(column.type):
        numbers: NDArray[Any] = column.to_numpy()
        return numbers
    encoded = column.dictionary_encode()
    texts: NDArray[Any] = encoded.dictionary.to_numpy(zero_copy_only=False)[encoded.indices.to_numpy()]
    return texts


def _type(name: str) -> Any:
    import pyarrow as pa

    return pa.string() if name in _TEXTS else pa.int64()


def _read_csv(path: Path) -> Any:
    from pyarrow import csv

    # Columns named here must be there, so unknown files are read without: the caller says what is missing.
    types = csv.ConvertOptions(column_types={name: _type(name) for name in _COLUMNS}, strings_can_be_null=False)
    return csv.read_csv(path, convert_options=types)


def _read_parquet(path: Path) -> Any:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        return file.read()


def _require_suffix(path: Path) -> None:
    if path.suffix not in _SUFFIXES:
        raise ParameterError(f"{path}: a table of ranks is {' or '.join(_SUFFIXES)}, not {path.suffix or 'a folder'}")


def _coded(values: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Indices into the sorted distinct values; texts by hashing, which is faster than sorting them all."""
    if values.dtype != object:
        distinct, codes = np.unique(values, return_inverse=True)
        return codes, distinct
    import pyarrow as pa

    encoded = pa.array(values, pa.string()).dictionary_encode()
    distinct = encoded.dictionary.to_numpy(zero_copy_only=False)
    order = np.argsort(distinct)
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    return place[encoded.indices.to_numpy()], distinct[order]


def _first(found: NDArray[np.bool_]) -> int:
    """The number of the first line that is meant, from 1."""
    return int(found.argmax()) + 1


def _repeated(joint: NDArray[np.int64]) -> int | None:
    """The index of a line whose number an earlier line has."""
    _, firsts = np.unique(joint, return_index=True)
    if len(firsts) == len(joint):
        return None
    again = np.ones(len(joint), bool)
    again[firsts] = False
    return int(again.argmax())


def _split_up(whole: NDArray[np.int64], part: NDArray[np.int64]) -> int | None:
    """The index of a line whose `part` is another than that of the first line of its `whole`."""
    _, firsts, owner = np.unique(whole, return_index=True, return_inverse=True)
    differs = part != part[firsts][owner]
    return int(differs.argmax()) if differs.any() else None
