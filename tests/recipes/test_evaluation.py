import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sketchkit.recipes.evaluation import accuracy, bootstrap_interval, ranks


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
