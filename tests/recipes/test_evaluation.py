import statistics

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import bootstrap

from sketchkit.errors import ParameterError
from sketchkit.recipes.evaluation import (
    accuracy,
    bootstrap_interval,
    mean_interval,
    median_interval,
    per_sketch,
    rankings,
    ranks,
)


def naive_rank(sketch, photos, right):
    distances = [float(((sketch - photo) ** 2).sum()) for photo in photos]
    return sum(distance <= distances[right] for distance in distances)


@given(st.integers(0, 2**31), st.integers(2, 9), st.integers(1, 12))
def test_ranks_equal_sorting_by_distance(seed, photo_count, sketch_count):
    generator = np.random.default_rng(seed)
    photos = generator.normal(size=(photo_count, 5))
    photos /= np.linalg.norm(photos, axis=1, keepdims=True)
    sketches = generator.normal(size=(sketch_count, 5))
    sketches /= np.linalg.norm(sketches, axis=1, keepdims=True)
    right = generator.integers(0, photo_count, sketch_count)
    found = ranks(torch.from_numpy(sketches), torch.from_numpy(photos), right)
    assert found.tolist() == [naive_rank(sketches[i], photos, right[i]) for i in range(sketch_count)]


def test_a_collapsed_network_is_last_not_first():
    same = torch.ones(4, 3) / 3**0.5
    assert ranks(same, same, np.arange(4)).tolist() == [4, 4, 4, 4]


def test_accuracy_by_hand():
    found = np.array([1, 2, 10, 11])
    assert [accuracy(found, top) for top in (1, 5, 10, 100)] == [0.25, 0.5, 0.75, 1.0]


def test_interval_matches_the_binomial_where_each_photo_has_one_sketch():
    found = np.where(np.arange(400) < 160, 1, 5)
    low, high = bootstrap_interval(found, np.arange(400))
    spread = 1.96 * (0.4 * 0.6 / 400) ** 0.5
    assert (low, high) == pytest.approx((0.4 - spread, 0.4 + spread), abs=0.01)


def test_interval_is_wider_where_sketches_of_a_photo_agree():
    owners = np.repeat(np.arange(100), 4)
    together = np.where(owners < 40, 1, 5)
    alone = bootstrap_interval(together, np.arange(400))
    grouped = bootstrap_interval(together, owners)
    assert grouped[1] - grouped[0] > 1.6 * (alone[1] - alone[0])


@given(st.integers(0, 2**31), st.integers(2, 9), st.integers(1, 12), st.booleans())
def test_a_ranking_has_each_photo_once_in_order_and_the_right_one_at_its_rank(seed, photo_count, sketch_count, ties):
    generator = np.random.default_rng(seed)
    photos, sketches = (torch.from_numpy(generator.normal(size=(n, 3))) for n in (photo_count, sketch_count))
    if ties:
        photos = photos.round()  # some are equal, some are zero
    right = generator.integers(0, photo_count, sketch_count)
    order = rankings(sketches, photos, right)
    assert [sorted(line) for line in order.tolist()] == [list(range(photo_count))] * sketch_count
    found = ranks(sketches, photos, right)
    assert [line.index(photo) + 1 for line, photo in zip(order.tolist(), right.tolist(), strict=True)] == found.tolist()
    similarity = np.take_along_axis((sketches @ photos.T).numpy(), order, axis=1)
    assert (np.diff(similarity, axis=1) <= 0).all()


def test_embeddings_that_are_nan_are_ranked_last():
    photos = torch.eye(3)
    assert rankings(torch.full((1, 3), torch.nan), photos, np.array([1]))[0, -1] == 1


def test_measures_by_hand():
    found = np.array([1, 2, 10, 11])
    assert per_sketch(found, "acc@10").tolist() == [1, 1, 1, 0]
    assert per_sketch(found, "mrr").mean() == pytest.approx((1 + 1 / 2 + 1 / 10 + 1 / 11) / 4)


@pytest.mark.parametrize("measure", ["acc", "acc@0", "acc@-1", "acc@x", "acc@1.5", "map", ""])
def test_an_unknown_measure_is_refused(measure):
    with pytest.raises(ParameterError, match=r"known are mrr and acc@N"):
        per_sketch(np.array([1]), measure)


def drawn_one_by_one(photos, draws, seed):
    """The photos of each draw, as lists of sketches."""
    generator = np.random.default_rng(seed)
    for line in generator.integers(0, len(photos), size=(draws, len(photos))):
        yield [sketch for photo in line for sketch in photos[photo]]


@given(st.integers(0, 2**31), st.integers(1, 6), st.integers(1, 20))
def test_intervals_equal_those_of_lists(seed, photo_count, sketch_count):
    generator = np.random.default_rng(seed)
    owners = generator.integers(0, photo_count, sketch_count)
    found = generator.integers(1, 30, sketch_count)
    photos = [found[owners == photo].tolist() for photo in np.unique(owners)]
    drawn = list(drawn_one_by_one(photos, 50, 3))
    reciprocal = [statistics.fmean(1 / rank for rank in sketches) for sketches in drawn]
    medians = [statistics.median(sketches) for sketches in drawn]
    bounds = [0.025, 0.975]
    mean = mean_interval(per_sketch(found, "mrr"), owners, draws=50, seed=3)
    assert mean == pytest.approx(tuple(np.quantile(reciprocal, bounds)))
    assert median_interval(found, owners, draws=50, seed=3) == tuple(np.quantile(medians, bounds))


def test_intervals_are_near_those_of_scipy():
    generator = np.random.default_rng(0)
    owners = np.repeat(np.arange(120), generator.integers(1, 5, 120))
    values = (generator.random(len(owners)) < generator.random(120)[owners]).astype(float)
    sums, counts = np.bincount(owners, weights=values), np.bincount(owners)

    def share(sums, counts, axis):
        return sums.sum(axis=axis) / counts.sum(axis=axis)

    theirs = bootstrap((sums, counts), share, paired=True, method="percentile", rng=np.random.default_rng(1))
    ours = mean_interval(values, owners)
    assert ours == pytest.approx(tuple(theirs.confidence_interval), abs=0.01)
