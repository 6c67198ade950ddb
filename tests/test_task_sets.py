"""Bins of tasks by their number of positives, and the ranges in which the model is ahead."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from small_comparison import N_TASKS, small_dataset, small_rivals

from genome_lm.evaluation.aligned import align
from genome_lm.evaluation.compare import compare
from genome_lm.evaluation.summary import PositivesFigures, summarise
from genome_lm.evaluation.task_sets import MOST_BINS, positives_bins, task_sets


@given(st.lists(st.integers(0, 300), min_size=1, max_size=400))
def test_bins_are_a_partition_in_order(counts):
    positives = np.array(counts)
    bins = positives_bins(positives)
    assert 1 <= len(bins) <= MOST_BINS
    np.testing.assert_array_equal(sum(each.tasks.astype(int) for each in bins), np.ones(len(positives)))
    for each in bins:
        inside = positives[each.tasks]
        assert (each.low, each.high) == (inside.min(), inside.max())
    for one, following in pairwise(bins):
        assert one.high < following.low  # equal counts stay together


def test_bins_of_different_counts_hold_equally_many_tasks():
    bins = positives_bins(np.random.default_rng(0).permutation(160))
    assert [each.tasks.sum() for each in bins] == [20] * 8
    assert [(each.low, each.high) for each in bins] == [(20 * place, 20 * place + 19) for place in range(8)]


def test_masks_are_all_tasks_then_groups_then_bins():
    dataset = small_dataset()
    sets = task_sets(compare(align(dataset, small_rivals(dataset), np.arange(N_TASKS)), "all"))
    assert list(sets.groups) == ["DNase", "TF"]
    np.testing.assert_array_equal(sets.groups["DNase"], [False, True, False, False, True])
    assert [mask.sum() for mask in sets.masks] == [5, 2, 3, 5]


def test_neighbouring_bins_that_are_ahead_make_one_range():
    dataset = small_dataset()
    split = summarise(compare(align(dataset, small_rivals(dataset), np.arange(N_TASKS)), "all")).test

    def bins(*intervals, wins=1):
        return tuple(
            PositivesFigures(10 * place, 10 * place + 9, 3, wins, 0, 2, 0.1, interval)
            for place, interval in enumerate(intervals)
        )

    above, around = (0.01, 0.2), (-0.1, 0.3)
    found = replace(split, by_positives=bins(above, above, around, above))
    assert found.ahead == [(0, 19), (30, 39)]
    assert found.as_dict()["ahead"] == [(0, 19), (30, 39)]
    nothing = replace(split, by_positives=bins(around, (-0.2, -0.1)))
    assert nothing.ahead == []
    assert replace(split, by_positives=bins(None, wins=3)).ahead == [(0, 9)]  # without intervals: wins decide
