import numpy as np
import pytest

from sketchkit import SketchSet
from sketchkit.columns import LazyColumns, column_lengths, row_of, rows_of

from zoo import ZOO

NUMBERS = np.arange(10)


def lazy(made):
    def numbers(start, stop):
        made.append((start, stop))
        return NUMBERS[start:stop]

    return LazyColumns({"number": numbers}, 0, 10)


def test_rows_of_rows_count_from_the_first_ones():
    made = []
    part = lazy(made).rows(2, 8).rows(1, 4)
    assert part.length == 3
    assert made == []
    assert part["number"].tolist() == [3, 4, 5]
    assert part.row(1) == {"number": 4}
    assert part.rows(1, 3)["number"].tolist() == [4, 5]
    assert made == [(3, 6)], "what is made is made once"


def test_a_missing_column_is_a_key_error_as_in_any_mapping():
    columns = lazy([])
    assert "number" in columns
    assert columns.get("other") is None
    with pytest.raises(KeyError):
        columns["other"]
    assert repr(columns) == "LazyColumns(10 rows: number)"


def test_a_set_of_lazy_columns_is_as_one_of_arrays():
    made = []
    one = SketchSet.from_sketches([ZOO["hook"]] * 10)
    drawings = SketchSet(one.points, one.stroke_offsets, one.sketch_offsets, lazy(made)).validate()
    assert drawings[-1].meta == {"number": 9}
    assert type(drawings[3].meta["number"]) is int
    assert drawings[2:5].columns["number"].tolist() == [2, 3, 4]
    assert drawings[::2].columns["number"].tolist() == [0, 2, 4, 6, 8]
    assert drawings[NUMBERS > 7].columns["number"].tolist() == [8, 9]
    assert SketchSet.concat([drawings, drawings[:1]]).columns["number"].tolist() == [*range(10), 0]


def test_the_functions_take_both_kinds():
    for columns in (lazy([]), {"number": NUMBERS}):
        assert column_lengths(columns) == {"number": 10}
        assert rows_of(columns, 2, 4)["number"].tolist() == [2, 3]
        assert row_of(columns, 3) == {"number": 3}
