from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sketchkit import ragged

GROUPS = st.lists(st.lists(st.floats(-1e6, 1e6, width=32), max_size=4), max_size=8)


def flat(groups):
    return np.array([value for group in groups for value in group], float), ragged.offsets_of(
        np.array([len(group) for group in groups], int)
    )


@given(GROUPS)
def test_sums_and_extents_are_those_of_each_group(groups):
    values, offsets = flat(groups)
    np.testing.assert_allclose(ragged.group_sums(values, offsets), [sum(group) for group in groups], atol=1e-6)
    least, greatest = ragged.group_extents(values, offsets)
    assert least.tolist() == [min(group, default=0) for group in groups]
    assert greatest.tolist() == [max(group, default=0) for group in groups]


@given(GROUPS)
def test_group_of_and_joined_agree_with_a_loop(groups):
    _, offsets = flat(groups)
    owner = [index for index, group in enumerate(groups) for _ in group]
    assert ragged.group_of(offsets).tolist() == owner
    assert ragged.joined(offsets).tolist() == [a == b for a, b in pairwise(owner)]


def test_nan_stays_in_its_group():
    values, offsets = flat([[1.0], [], [np.nan, 2.0], [3.0, 4.0]])
    np.testing.assert_array_equal(ragged.group_sums(values, offsets), [1, 0, np.nan, 7])
    np.testing.assert_array_equal(ragged.group_extents(values, offsets)[0], [1, 0, np.nan, 3])


def test_ranges_by_hand():
    assert ragged.ranges(np.array([5, 0, 2]), np.array([2, 0, 3])).tolist() == [5, 6, 2, 3, 4]


@pytest.mark.parametrize(("lengths", "steps"), [([3], [0, 5, 1]), ([1, 2], [0, 0, 1]), ([0, 3, 0], [0, 5, 1])])
def test_step_lengths_do_not_cross_groups(lengths, steps):
    points = np.array([(0, 0), (3, 4), (3, 5)], np.float32)
    assert ragged.step_lengths(points, ragged.offsets_of(np.array(lengths))).tolist() == steps
