"""The paired test of F1 against itself done slowly, its symmetries, its size, and Benjamini-Hochberg."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, false_discovery_control, kstest
from sklearn.metrics import f1_score

from genome_lm.evaluation import significance
from genome_lm.evaluation.blocks import Blocks
from genome_lm.evaluation.bootstrap import draw_weights
from genome_lm.evaluation.significance import LEAST_HIT_BLOCKS, benjamini_hochberg, paired_f1_test


def clustered(n_blocks: int, n_tasks: int, seed: int, gain: float = 0.0, rate: float = 0.2):
    """Logits of a and b, labels, thresholds of both, and blocks of 10 to 30 windows.

    Signal and errors are alike within a block. `gain` is how much more of the signal a has than b.
    """
    generator = np.random.default_rng(seed)
    block = np.repeat(np.arange(n_blocks), generator.integers(10, 31, size=n_blocks))

    def shared(within: float) -> np.ndarray:
        own = generator.normal(size=(len(block), n_tasks))
        return (
            math.sqrt(within) * generator.normal(size=(n_blocks, n_tasks))[block]
            + math.sqrt(1 - within) * own
        )

    signal = shared(0.3)
    labels = (signal > np.quantile(signal, 1 - rate)).astype(np.uint8)
    a, b = ((strength * signal + shared(0.6)).astype(np.float32) for strength in (1 + gain, 1.0))
    thresholds = np.full(n_tasks, 0.7)
    return a, b, labels, thresholds, thresholds + gain / 2, Blocks(1, n_blocks, block)


def slowly(a, b, labels, threshold_a, threshold_b, blocks, n_resamples, level):
    """t, p and interval of one task, from windows physically repeated, block by block."""

    def studentised(drawn):
        """Difference of F1 and its standard error over the blocks drawn, each a list of windows."""
        windows = np.concatenate(drawn)
        y = labels[windows]
        if y.min() == y.max():
            return math.nan, math.nan
        f1, influence = [], []
        for logits, threshold in ((a, threshold_a), (b, threshold_b)):
            called = logits >= threshold
            f1.append(f1_score(y, called[windows], zero_division=0))
            size = [called[some].sum() + labels[some].sum() for some in drawn]
            hits = [(called[some] & (labels[some] == 1)).sum() for some in drawn]
            influence.append((2 * np.array(hits) - f1[-1] * np.array(size)) / sum(size))
        u = influence[0] - influence[1]
        return f1[0] - f1[1], math.sqrt(len(u) / (len(u) - 1) * (u**2).sum())

    windows = [np.flatnonzero(blocks.of_window == block) for block in range(blocks.n_blocks)]
    difference, se = studentised(windows)
    sizes = []
    for row in draw_weights(blocks.n_blocks, n_resamples, 0).astype(int):
        again, its_se = studentised([windows[block] for block in np.repeat(np.arange(len(row)), row)])
        sizes.append(abs(again - difference) / its_se)
    sizes = np.sort([size for size in sizes if not math.isnan(size)])
    p = (1 + sum(sizes >= abs(difference) / se)) / (len(sizes) + 1)
    reach = sizes[math.ceil(level * (len(sizes) + 1)) - 1] * se
    return difference, difference / se, p, difference - reach, difference + reach


def test_equals_the_same_test_done_slowly():
    case = clustered(n_blocks=15, n_tasks=3, seed=1, gain=0.3)
    result = paired_f1_test(*case, n_resamples=99, level=0.9)
    assert result.n_resamples == 99
    for task in range(3):
        a, b, labels = (array[:, task] for array in case[:3])
        expected = slowly(a, b, labels, case[3][task], case[4][task], case[5], 99, 0.9)
        ours = (result.difference, result.t, result.p, result.low, result.high)
        np.testing.assert_allclose([array[task] for array in ours], expected, rtol=1e-9)


def test_resamples_of_one_class_are_left_out():
    a, b, labels, thresholds, _, blocks = clustered(n_blocks=16, n_tasks=2, seed=2)
    labels[:, 1] = blocks.of_window > 1  # all negatives in two blocks of sixteen
    thresholds[1] = -1
    result = paired_f1_test(a, b, labels, thresholds, thresholds, blocks, n_resamples=199, level=0.9)
    drawn = draw_weights(16, 199, 0)[:, :2].sum(axis=1)
    np.testing.assert_array_equal(result.undefined_resamples, [0, (drawn == 0).sum()])
    assert result.undefined_resamples[1] > 10
    expected = slowly(a[:, 1], b[:, 1], labels[:, 1], -1, -1, blocks, 199, 0.9)
    assert math.isclose(result.p[1], expected[2])


def test_by_hand():
    """Ten blocks of one positive and one negative; a finds all positives, b half of them, no false calls."""
    labels = np.tile([1, 0], 10).astype(np.uint8)[:, None]
    a = labels - 0.5
    b = np.where(np.arange(20)[:, None] < 10, a, -0.5)
    result = paired_f1_test(a, b, labels, np.zeros(1), np.zeros(1), Blocks(1, 10, np.arange(20) // 2))
    # F1 1 and 2 * 5 / 15; u is 0 of a, and of b (2 - 2/3 * 2) / 15 five times, (0 - 2/3) / 15 five times.
    np.testing.assert_allclose(result.difference, 1 / 3)
    np.testing.assert_allclose(result.t, (1 / 3) / math.sqrt(10 / 9 * 10 * (2 / 45) ** 2))
    np.testing.assert_array_equal(result.hit_blocks, 10)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10_000), st.floats(0.0, 0.5))
def test_swapping_a_and_b_mirrors_the_result(seed, gain):
    a, b, labels, of_a, of_b, blocks = clustered(n_blocks=15, n_tasks=4, seed=seed, gain=gain)
    one = paired_f1_test(a, b, labels, of_a, of_b, blocks, n_resamples=99)
    other = paired_f1_test(b, a, labels, of_b, of_a, blocks, n_resamples=99)
    np.testing.assert_allclose(one.difference, -other.difference, atol=1e-15)
    np.testing.assert_allclose(one.t, -other.t, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(one.low, -other.high, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(one.p, other.p)
    np.testing.assert_array_equal(one.q, other.q)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10_000), st.floats(0.0, 1.0), st.sampled_from([0.5, 0.8, 0.95]))
def test_the_interval_leaves_out_0_exactly_where_p_is_small(seed, gain, level):
    result = paired_f1_test(*clustered(20, 10, seed, gain), n_resamples=199, level=level)
    leaves_out = (result.low > 0) | (result.high < 0)
    np.testing.assert_array_equal(leaves_out, result.p <= 1 - level + 1e-9)
    assert (result.low <= result.difference).all()
    assert (result.difference <= result.high).all()
    assert (result.low >= -1).all()
    assert (result.high <= 1).all()


def test_order_of_windows_and_pieces_do_not_matter(monkeypatch):
    a, b, labels, of_a, of_b, blocks = clustered(n_blocks=15, n_tasks=6, seed=3)
    whole = paired_f1_test(a, b, labels, of_a, of_b, blocks, n_resamples=199)
    order = np.random.default_rng(0).permutation(len(a))
    shuffled = Blocks(1, 15, blocks.of_window[order])
    monkeypatch.setattr(significance, "BLOCK_ELEMENTS", 400)
    other = paired_f1_test(a[order], b[order], labels[order], of_a, of_b, shuffled, n_resamples=199)
    for name in ("difference", "low", "high", "t", "p", "q"):
        np.testing.assert_allclose(getattr(whole, name), getattr(other, name), rtol=1e-9, err_msg=name)


def test_the_same_calls_are_no_difference():
    a, _, labels, of_a, *_, blocks = clustered(n_blocks=15, n_tasks=2, seed=4)
    result = paired_f1_test(a, 2 * a, labels, of_a, 2 * of_a, blocks, n_resamples=50)
    for name, value in {"difference": 0, "low": 0, "high": 0, "t": 0, "p": 1, "q": 1}.items():
        np.testing.assert_array_equal(getattr(result, name), value, err_msg=name)


def test_a_better_predictor_is_found():
    result = paired_f1_test(*clustered(n_blocks=100, n_tasks=5, seed=5, gain=3.0), n_resamples=500)
    np.testing.assert_array_equal(result.p, 1 / 501)
    assert (result.low > 0).all()


def test_what_is_undefined():
    a, b, labels, of_a, of_b, blocks = clustered(n_blocks=20, n_tasks=5, seed=6)
    labels[:, 0], labels[:, 1], of_b[2] = 0, 1, math.nan
    labels[:, 3] = blocks.of_window < LEAST_HIT_BLOCKS - 1
    of_a[3] = -math.inf  # a calls everything, so it hits wherever there is a positive
    result = paired_f1_test(a, b, labels, of_a, of_b, blocks, n_resamples=99)
    np.testing.assert_array_equal(np.isnan(result.difference), [True, True, True, False, False])
    assert result.hit_blocks[3] == LEAST_HIT_BLOCKS - 1
    for name in ("low", "high", "t", "p", "q"):
        np.testing.assert_array_equal(np.isnan(getattr(result, name)), [True, True, True, True, False])
    assert result.q[4] == result.p[4]  # the only test


def test_resamples_without_spread_count_against_a_difference():
    """Two kinds of blocks: a resample of one kind has se* = 0, and its t* is infinite."""
    labels = np.tile([1, 0], 12).astype(np.uint8)[:, None]
    a = labels - 0.5
    b = np.where(np.arange(24)[:, None] >= 2, a, -0.5)  # b misses the positive of one block
    blocks = Blocks(1, 12, np.arange(24) // 2)
    result = paired_f1_test(a, b, labels, np.zeros(1), np.zeros(1), blocks, n_resamples=500)
    without = (draw_weights(12, 500, 0)[:, 0] == 0).sum()  # there b is as good as a
    assert 0.25 < without / 500 < 0.45
    assert result.p[0] >= (1 + without) / 501
    assert result.low[0] == -1  # an infinite quantile, clipped
    assert result.high[0] == 1


def test_blocks_that_all_say_the_same():
    """Every block has the same counts: the difference has no standard error, in no resample."""
    labels = np.tile([1, 1, 0], 12).astype(np.uint8)[:, None]
    a = labels - 0.5
    b = np.tile([0.5, -0.5, -0.5], 12)[:, None]
    result = paired_f1_test(a, b, labels, np.zeros(1), np.zeros(1), Blocks(1, 12, np.arange(36) // 3))
    np.testing.assert_allclose([result.difference, result.low, result.high], 1 / 3)
    assert np.isposinf(result.t)
    np.testing.assert_array_equal(result.p, 1 / 10_001)


def test_blocks_that_all_say_there_is_no_difference():
    """Two hits of four calls, and one hit of one call, of two positives: both F1 are 2/3 in every block."""
    labels = np.tile([1, 1, 0, 0], 12).astype(np.uint8)[:, None]
    a, b = np.ones((48, 1)), np.tile([1.0, -1, -1, -1], 12)[:, None]
    result = paired_f1_test(a, b, labels, np.zeros(1), np.zeros(1), Blocks(1, 12, np.arange(48) // 4))
    np.testing.assert_allclose([result.difference, result.low, result.high, result.t], 0, atol=1e-12)
    np.testing.assert_array_equal(result.p, 1)


def test_equal_predictors_are_found_different_as_often_as_said():
    """600 tasks of exchangeable a and b, correlated within blocks; bounds at 0.1% of the binomial."""
    result = paired_f1_test(*clustered(n_blocks=25, n_tasks=600, seed=7), n_resamples=999)
    assert not np.isnan(result.p).any()
    for size in (0.05, 0.1, 0.5):
        low, high = binom.ppf((0.001, 0.999), 600, size)
        assert low <= (result.p <= size).sum() <= high
    assert kstest(result.p, "uniform").pvalue > 0.001
    assert (result.q <= 0.05).sum() <= 2


def test_windows_as_blocks_find_too_much():
    """What the blocks are for: taken one by one, windows that are alike count as evidence each."""
    *case, blocks = clustered(n_blocks=25, n_tasks=300, seed=8)
    alone = Blocks(1, len(blocks.of_window), np.arange(len(blocks.of_window)))
    rejected = (paired_f1_test(*case, alone, n_resamples=199).p <= 0.05).mean()
    assert rejected > 2 * (paired_f1_test(*case, blocks, n_resamples=199).p <= 0.05).mean()


@settings(deadline=None)
@given(
    st.lists(st.one_of(st.floats(0, 1), st.just(math.nan), st.sampled_from([0.0, 0.01, 1.0])), max_size=20)
)
def test_benjamini_hochberg_equals_scipy(values):
    p = np.array(values)
    q = benjamini_hochberg(p)
    defined = ~np.isnan(p)
    np.testing.assert_array_equal(np.isnan(q), ~defined)
    if defined.any():
        np.testing.assert_allclose(q[defined], false_discovery_control(p[defined]), rtol=1e-12)


@pytest.mark.parametrize("p", [-0.1, 1.1])
def test_a_p_outside_0_to_1_is_refused(p):
    with pytest.raises(ValueError, match="p must lie between 0 and 1"):
        benjamini_hochberg(np.array([p, 0.5, math.nan]))


def test_arguments_that_do_not_fit_are_refused():
    a, b, labels, of_a, of_b, blocks = clustered(n_blocks=12, n_tasks=2, seed=9)
    with pytest.raises(ValueError, match=r"thresholds \(2,\) and \(1,\)"):
        paired_f1_test(a, b, labels, of_a, of_b[:1], blocks)
    with pytest.raises(ValueError, match=r"must both be"):
        paired_f1_test(a, b[1:], labels, of_a, of_b, blocks)
    with pytest.raises(ValueError, match=r"do not fit"):
        paired_f1_test(a[1:], b[1:], labels[1:], of_a, of_b, blocks)
    with pytest.raises(ValueError, match=r"n_resamples must be at least 1, got 0"):
        paired_f1_test(a, b, labels, of_a, of_b, blocks, n_resamples=0)
    with pytest.raises(ValueError, match=r"level"):
        paired_f1_test(a, b, labels, of_a, of_b, blocks, level=1.0)
