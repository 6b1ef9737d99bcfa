"""Tables of ranks, and the figures of many runs."""

import itertools
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sketchkit.errors import DataError, MissingDataError, ParameterError
from sketchkit.recipes.rank_table import RankTable, concat_ranks, read_ranks, write_ranks
from sketchkit.recipes.run_statistics import difference, estimate, quoted, summarize

COLUMNS = "row,split,fold,seed,epoch,canvas,sketch,photo,rank"


def sketches_of(fold, photos=4):
    """Keys of a fold's sketches and of their photos: one to three sketches a photo."""
    pairs = [(f"f{fold}p{photo}_{n}", f"f{fold}p{photo}") for photo in range(photos) for n in range(1 + photo % 3)]
    return tuple(map(list, zip(*pairs, strict=True)))


def made_table(seed, rows=("v1@64", "v2"), folds=2, seeds=(0, 5), epochs=(1, 2, 3)):
    generator = np.random.default_rng(seed)
    tables = []
    for row, fold, run, epoch in itertools.product(rows, range(folds), seeds, epochs):
        sketches, photos = sketches_of(fold)
        found = generator.integers(1, 5, len(sketches))
        place = {"fold": fold, "seed": run, "epoch": epoch}
        tables.append(RankTable.of_run(row, sketches, photos, found, canvas=64, **place))
    return concat_ranks(tables)


def records(table):
    names = COLUMNS.split(",")
    columns = (table.columns[name] for name in names)
    return [dict(zip(names, line, strict=True)) for line in zip(*columns, strict=True)]


def slow_hits(table, row, top):
    """Of the last epoch: photo -> the hits of its sketches, of all seeds together; seed -> hits."""
    lines = [line for line in records(table) if line["row"] == row]
    last = max(line["epoch"] for line in lines)
    by_photo, by_seed = {}, {}
    for line in lines:
        if line["epoch"] == last:
            by_photo.setdefault(line["photo"], []).append(int(line["rank"] <= top))
            by_seed.setdefault(line["seed"], []).append(int(line["rank"] <= top))
    return by_photo, by_seed


def slow_interval(lists):
    drawn = np.random.default_rng(0).integers(0, len(lists), size=(2000, len(lists)))
    shares = [statistics.fmean(value for photo in line for value in lists[photo]) for line in drawn]
    return tuple(np.quantile(shares, [0.025, 0.975]))


@pytest.mark.parametrize("seed", range(3))
def test_an_estimate_equals_that_of_lists(seed):
    table = made_table(seed)
    by_photo, by_seed = slow_hits(table, "v2", 1)
    found = estimate(table, "v2")
    assert found.value == pytest.approx(statistics.fmean(hit for hits in by_photo.values() for hit in hits))
    assert (found.low, found.high) == pytest.approx(slow_interval([by_photo[photo] for photo in sorted(by_photo)]))
    assert found.seed_deviation == pytest.approx(statistics.stdev(statistics.fmean(hits) for hits in by_seed.values()))


@pytest.mark.parametrize("seed", range(3))
def test_a_difference_equals_that_of_lists(seed):
    table = made_table(seed)
    (first, of_seeds), (second, of_other_seeds) = (slow_hits(table, row, 2) for row in ("v1@64", "v2"))
    # Lines of both rows are in one order, so their differences are paired.
    paired = {photo: [a - b for a, b in zip(first[photo], second[photo], strict=True)] for photo in first}
    found = difference(table, "v1@64", "v2", "acc@2")
    assert found.value == pytest.approx(statistics.fmean(value for values in paired.values() for value in values))
    assert (found.low, found.high) == pytest.approx(slow_interval([paired[photo] for photo in sorted(paired)]))
    gaps = [statistics.fmean(of_seeds[n]) - statistics.fmean(of_other_seeds[n]) for n in of_seeds]
    assert found.seed_deviation == pytest.approx(statistics.stdev(gaps))
    opposite = difference(table, "v2", "v1@64", "acc@2")
    assert (opposite.value, opposite.low) == pytest.approx((-found.value, -found.high))


@given(st.integers(0, 2**31))
def test_the_order_of_the_lines_changes_nothing(seed):
    table = made_table(seed)
    order = np.random.default_rng(seed).permutation(len(table))
    shuffled = RankTable({name: values[order] for name, values in table.columns.items()})
    assert summarize(shuffled) == summarize(table)
    assert difference(shuffled, "v1@64", "v2") == difference(table, "v1@64", "v2")
    assert quoted(shuffled, "v2") == quoted(table, "v2")


@given(st.integers(0, 2**31), st.sampled_from(["acc@1", "acc@5", "mrr"]))
def test_equal_rows_differ_by_nothing(seed, measure):
    table = made_table(seed, rows=("v1",))
    twin = RankTable(dict(table.columns) | {"row": np.full(len(table), "v2", object)})
    found = difference(concat_ranks([table, twin]), "v1", "v2", measure)
    assert (found.value, found.low, found.high, found.seed_deviation) == (0, 0, 0, 0)


def test_a_paired_interval_is_narrower_than_two_apart():
    """Two models that err on the same photos: their difference is known better than either."""
    generator = np.random.default_rng(0)
    photos = [f"{photo}" for photo in range(200)]
    base = np.where(generator.random(200) < 0.5, 1, 9)
    better = np.where(generator.random(200) < 0.1, 1, base)
    table = concat_ranks(
        [RankTable.of_run(row, photos, photos, found, canvas=64) for row, found in (("a", base), ("b", better))]
    )
    gain, alone = difference(table, "b", "a"), estimate(table, "a")
    assert gain.low > 0
    assert gain.high - gain.low < 0.6 * (alone.high - alone.low)


def test_a_summary_by_hand():
    keys = ["a_1", "a_2", "b_1"], ["a", "a", "b"]
    runs = [([1, 3, 7], ["32", "64", "32"], 0), ([1, 1, 11], ["32", "32", "32"], 1)]
    tables = [RankTable.of_run("v2", *keys, found, canvas=drawn, seed=seed, epoch=9) for found, drawn, seed in runs]
    (row,) = summarize(concat_ranks(tables))
    assert (row.row, row.split, row.epoch, row.folds, row.seeds, row.photos, row.sketches) == (
        "v2",
        "fold",
        9,
        1,
        2,
        2,
        3,
    )
    assert row.canvases == {"32": pytest.approx(5 / 6), "64": pytest.approx(1 / 6)}
    values = {name: found.value for name, found in row.figures.items()}
    assert values == pytest.approx(
        {"acc@1": 3 / 6, "acc@5": 4 / 6, "acc@10": 5 / 6, "mrr": (3 + 1 / 3 + 1 / 7 + 1 / 11) / 6}
    )
    assert row.figures["acc@1"].seed_deviation == pytest.approx((1 / 3) / 2**0.5)  # of 1/3 and 2/3
    record = row.records()[0]
    assert (record["row"], record["measure"], record["value"], record["photos"]) == ("v2", "acc@1", 0.5, 2)


def test_flattering_figures_by_hand():
    keys = ["a_1", "b_1"], ["a", "b"]
    # Epochs 1, 2, 3 of each run: the share that is right is
    shares = {(0, 0): [1.0, 0.5, 0.5], (0, 1): [0.0, 0.5, 0.5]}
    tables = [
        RankTable.of_run(
            "v1", *keys, [1 + (share < 0.5), 1 + (share < 1)], canvas=64, fold=fold, seed=seed, epoch=epoch
        )
        for (fold, seed), run in shares.items()
        for epoch, share in enumerate(run, 1)
    ]
    found = quoted(concat_ranks(tables), "v1")
    assert (found.last_epoch, found.best_epoch, found.best_seed) == (0.5, 0.75, 1.0)
    assert found.epochs == {(0, 0): 1, (0, 1): 2}


@given(st.integers(0, 2**31))
def test_choosing_on_the_test_never_looks_worse(seed):
    found = quoted(made_table(seed), "v1@64")
    assert found.last_epoch <= found.best_epoch + 1e-12 <= found.best_seed + 2e-12


def test_rows_of_other_seeds_compare_but_have_no_deviation():
    few, many = made_table(0, rows=("v1",), seeds=(0,)), made_table(1, rows=("v2",))
    found = difference(concat_ranks([few, many]), "v1", "v2")
    assert found.seed_deviation is None
    table = concat_ranks([few, many])
    assert found.value == pytest.approx(estimate(table, "v1").value - estimate(table, "v2").value)


def test_what_cannot_be_summed_up_is_refused():
    table = made_table(0)
    with pytest.raises(ParameterError, match=r"no row 'v3'; it has v1@64, v2"):
        estimate(table, "v3")
    test = RankTable.of_run("v2", *sketches_of(9), [1] * 7, canvas=64, split="test", epoch=3)
    both = concat_ranks([table, test])
    with pytest.raises(DataError, match="holds the splits fold, test; take one"):
        summarize(both)
    assert [row.split for row in summarize(both.where(split="test"))] == ["test"]
    without = ~((table.columns["seed"] == 5) & (table.columns["fold"] == 1))
    partial = RankTable({name: values[without] for name, values in table.columns.items()})
    with pytest.raises(DataError, match="v2: seed 5 lacks fold 1"):
        estimate(partial, "v2")
    stopped = ~((table.columns["seed"] == 5) & (table.columns["epoch"] == 3))
    partial = RankTable({name: values[stopped] for name, values in table.columns.items()})
    with pytest.raises(DataError, match=r"v2: its runs end at epochs \[2, 3\]"):
        estimate(partial, "v2")
    apart = concat_ranks([made_table(0, rows=("v1",), folds=1), made_table(0, rows=("v2",))])
    with pytest.raises(DataError, match="not evaluated on the same sketches"):
        difference(apart, "v1", "v2")


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_table_reads_back_equal_whatever_the_order_of_its_lines(tmp_path, suffix):
    table = made_table(0)
    odd = ['comma, quote" and ;', "NA", "007", "é\N{GREEK SMALL LETTER LAMDA}"]
    table = concat_ranks([table, RankTable.of_run("odd, row", odd, odd, [1, 2, 3, 4], canvas="192x128", split="test")])
    first, second = tmp_path / f"first{suffix}", tmp_path / f"second{suffix}"
    write_ranks(table, first)
    order = np.random.default_rng(0).permutation(len(table))
    write_ranks(RankTable({name: values[order] for name, values in table.columns.items()}), second)
    assert first.read_bytes() == second.read_bytes()
    read = read_ranks(first)
    sorting = lambda line: tuple(map(str, line.values()))  # noqa: E731
    assert sorted(records(read), key=sorting) == sorted(records(table), key=sorting)
    assert read.columns["rank"].dtype == np.int64


GOOD = f"{COLUMNS}\nv1,fold,0,0,1,64,a_1,a,1\nv1,fold,0,0,1,64,b_1,b,2\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (GOOD.replace(",rank", ",place"), "has the column 'rank' once"),
        (GOOD.replace("b,2", "b,0"), "a rank must be at least 1; line 2"),
        (GOOD.replace("b,2", "b,"), "an empty rank"),
        (GOOD.replace("b_1,b", ",b"), "an empty sketch in line 2"),
        (GOOD.replace("b,2", "b,1.5"), "cannot be read"),
        (
            GOOD.replace("b_1", "a_1").replace("b,2", "a,2"),
            "row v1, split fold, fold 0, seed 0, epoch 1 has sketch 'a_1'",
        ),
        (GOOD + "v2,fold,0,0,1,64,a_1,b,1\n", "sketch 'a_1' has two photos"),
        (GOOD + "v1,fold,1,0,1,64,a_2,a,1\n", "photo 'a' is in two folds"),
        (GOOD + "v2,fold,0,0,1,64,a_1,a,1\n", "row v2, .* has 1 of the 2 sketches"),
        (GOOD.replace("v1,fold,0,0,1,64,b_1,b,2", "v1,fold"), "cannot be read"),
        ("", "cannot be read"),
    ],
)
def test_a_table_that_does_not_fit_together_is_refused(tmp_path, text, says):
    path = tmp_path / "ranks.csv"
    path.write_text(GOOD)
    assert len(read_ranks(path)) == 2
    path.write_text(text)
    with pytest.raises(DataError, match=says) as caught:
        read_ranks(path)
    assert str(path) in str(caught.value)


def test_files_that_are_no_tables(tmp_path):
    with pytest.raises(MissingDataError, match="no such table"):
        read_ranks(tmp_path / "ranks.parquet")
    (tmp_path / "ranks.parquet").write_bytes(b"PAR1 is not enough")
    with pytest.raises(DataError, match="cannot be read"):
        read_ranks(tmp_path / "ranks.parquet")
    for name in ("ranks", "ranks.json"):
        with pytest.raises(ParameterError, match=r"is \.csv or \.parquet"):
            write_ranks(made_table(0), tmp_path / name)
    with pytest.raises(ParameterError, match="no column 'model'"):
        made_table(0).where(model="v1")
