"""Is one predictor's F1 higher than another's? A paired test of each task over blocks of the genome."""

from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from genome_lm.evaluation.blocks import Blocks
from genome_lm.evaluation.bootstrap import check_level, draw_weights
from genome_lm.metrics.ranking import check_pair

BLOCK_ELEMENTS = 2**19
"""Entries of an array [resamples, tasks] made for one group of tasks: 4 MB in float64."""

LEAST_BLOCKS = 10
"""Effective number of blocks below which there is no test; see `paired_f1_test`."""

_ROUNDING = 1e-12


@dataclass(frozen=True)
class PairedTest:
    """Difference of F1, a minus b, of each task: float64 [n_tasks] unless said, NaN where undefined."""

    difference: np.ndarray
    low: np.ndarray  # interval of the difference
    high: np.ndarray
    t: np.ndarray  # difference over its standard error; infinite if that is 0
    p: np.ndarray  # two-sided
    q: np.ndarray  # Benjamini-Hochberg over the tasks with a p
    effective_blocks: np.ndarray  # blocks that bear on the difference, see `paired_f1_test`
    undefined_resamples: np.ndarray  # int64 [n_tasks], resamples without positives or without negatives
    n_resamples: int


@dataclass(frozen=True)
class _Totals:
    """Sums within blocks, float64 [n_blocks, n_tasks], of one predictor."""

    hits: np.ndarray
    size: np.ndarray  # calls plus positives: F1 is 2 hits / size

    @property
    def f1(self) -> np.ndarray:
        """float64 [n_tasks]; NaN without calls and positives."""
        with np.errstate(invalid="ignore"):
            return 2 * self.hits.sum(axis=0) / self.size.sum(axis=0)

    @property
    def residual(self) -> np.ndarray:
        """float64 [n_blocks, n_tasks]: 2 hits - F1 size, which sums to 0 over blocks."""
        return 2 * self.hits - self.f1 * self.size


def paired_f1_test(
    logits_a: np.ndarray,
    logits_b: np.ndarray,
    labels: np.ndarray,
    thresholds_a: np.ndarray,
    thresholds_b: np.ndarray,
    blocks: Blocks,
    *,
    n_resamples: int = 10_000,
    level: float = 0.95,
    seed: int = 0,
) -> PairedTest:
    """Test each task for a difference of F1, a minus b, by a studentised bootstrap over blocks.

    With hits h and size s = calls + positives of each block, F1 = 2 sum h / sum s. To first order the
    difference of two F1 is a sum over blocks of

        u = (2 h_a - F1_a s_a) / sum s_a - (2 h_b - F1_b s_b) / sum s_b,

    so its squared standard error is B/(B - 1) sum u^2 over B blocks (the delta method; Davison and Hinkley
    1997, section 2.7.2). Every resample gets its own difference d* and standard error se* in the same way,
    and t* = (d* - d) / se* stands for the unknown distribution of t = d / se (bootstrap-t: Efron and
    Tibshirani 1993, chapter 12; Hall 1992, section 3.2). Over n defined resamples
    p = (1 + #{|t*| >= |t|}) / (n + 1), and the interval is d - t*_(1 - alpha/2) se to d - t*_(alpha/2) se,
    clipped to -1 and 1.

    - Both predictors have the same hits and sizes in every block: the difference is 0, the interval 0 to 0,
      p is 1.
    - se* is 0 (the blocks drawn are too few in kind): t* is infinite, and so counts against a difference.
    - A resample without positives or without negatives has no F1: it is left out and counted.
    - With few blocks, or most of the difference in few, se* says little about se. Where the effective number
      of blocks, (sum u^2)^2 / sum u^4, is below `LEAST_BLOCKS`, only the difference is given.

    Args:
        logits_a: floating, [n_windows, n_tasks].
        logits_b: floating, same shape.
        labels: 0 or 1, same shape.
        thresholds_a: float64 [n_tasks], on the logits of a; NaN for a task without one.
        thresholds_b: the same of b.
        blocks: the block of each window.
        n_resamples: at least 1; p is at least 1 / (n_resamples + 1).
        level: nominal coverage of the interval, between 0 and 1.
        seed: of the draw of blocks.

    Raises:
        ValueError: the arrays do not fit each other, or a number is out of its range; also see
            `genome_lm.metrics.ranking.check_pair`.
    """
    check_pair(logits_a, labels)
    check_pair(logits_b, labels)
    check_level(level)
    n_windows, n_tasks = labels.shape
    for thresholds in (thresholds_a, thresholds_b):
        if thresholds.shape != (n_tasks,):
            raise ValueError(f"thresholds {thresholds.shape} must be [n_tasks], here ({n_tasks},)")
    if blocks.of_window.shape != (n_windows,):
        raise ValueError(f"blocks of {len(blocks.of_window)} windows do not fit {n_windows} windows")
    if n_resamples < 1:
        raise ValueError(f"n_resamples must be at least 1, got {n_resamples}")

    weights = draw_weights(blocks.n_blocks, n_resamples, seed).astype(np.float64)
    columns = np.full((6, n_tasks), np.nan)  # difference, low, high, t, p, effective blocks
    undefined = np.zeros(n_tasks, dtype=np.int64)
    step = max(1, BLOCK_ELEMENTS // max(n_windows, n_resamples, blocks.n_blocks))
    with threadpool_limits(limits=1, user_api="blas"):
        for start in range(0, n_tasks, step):
            tasks = slice(start, start + step)
            some_labels = labels[:, tasks].astype(bool, copy=False)
            positives = blocks.sums(some_labels)
            totals = [
                _totals(logits[:, tasks] >= thresholds[tasks], some_labels, positives, blocks)
                for logits, thresholds in ((logits_a, thresholds_a), (logits_b, thresholds_b))
            ]
            no_threshold = np.isnan(thresholds_a[tasks]) | np.isnan(thresholds_b[tasks])
            columns[:, tasks], undefined[tasks] = _test(
                totals[0], totals[1], positives, no_threshold, blocks, weights, level
            )
    difference, low, high, t, p, effective = columns
    return PairedTest(difference, low, high, t, p, benjamini_hochberg(p), effective, undefined, n_resamples)


def benjamini_hochberg(p: np.ndarray) -> np.ndarray:
    """q of each p: the least false discovery rate at which it is rejected, float64 [n].

    Benjamini and Hochberg 1995 (J. Royal Statistical Society B 57:289). NaN stays NaN and is no test.

    Args:
        p: float64 [n], 0 to 1 or NaN.

    Raises:
        ValueError: a p lies outside 0 to 1.
    """
    defined = np.flatnonzero(~np.isnan(p))
    if len(defined) and (p[defined].min() < 0 or p[defined].max() > 1):
        raise ValueError("p must lie between 0 and 1")
    q = np.full(len(p), np.nan)
    order = defined[np.argsort(p[defined], kind="stable")]
    scaled = p[order] * len(order) / np.arange(1, len(order) + 1)
    q[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1)
    return q


def _totals(called: np.ndarray, labels: np.ndarray, positives: np.ndarray, blocks: Blocks) -> _Totals:
    return _Totals(hits=blocks.sums(called & labels), size=blocks.sums(called) + positives)


def _test(
    a: _Totals,
    b: _Totals,
    positives: np.ndarray,
    no_threshold: np.ndarray,
    blocks: Blocks,
    weights: np.ndarray,
    level: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Rows as in `paired_f1_test`, float64 [6, n_tasks], and undefined resamples, int64 [n_tasks]."""
    n_tasks, n_blocks = positives.shape[1], blocks.n_blocks
    windows = blocks.windows.astype(np.float64)
    total = positives.sum(axis=0)
    testable = ~no_threshold & (total > 0) & (total < windows.sum())
    drawn = weights @ positives
    undefined = (drawn == 0) | (drawn == (weights @ windows)[:, None])
    result = np.full((6, n_tasks), np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        difference = a.f1 - b.f1
        influence = a.residual / a.size.sum(axis=0) - b.residual / b.size.sum(axis=0)
        squares = influence**2
        effective = squares.sum(axis=0) ** 2 / (squares**2).sum(axis=0)
        variance = n_blocks / (n_blocks - 1) * squares.sum(axis=0) if n_blocks > 1 else np.zeros(n_tasks)
        t = difference / np.sqrt(variance)
    same = testable & (a.hits == b.hits).all(axis=0) & (a.size == b.size).all(axis=0)
    enough = testable & ~same & (effective >= LEAST_BLOCKS)
    result[0] = np.where(testable, difference, np.nan)
    result[5] = np.where(testable & ~same, effective, np.where(same, 0, np.nan))
    if enough.any():
        t_star = _resampled_t(a, b, weights)
        t_star[undefined] = np.nan
        for task in np.flatnonzero(enough):
            column = np.sort(t_star[~np.isnan(t_star[:, task]), task])
            n = len(column)
            beyond = np.count_nonzero(np.abs(column) >= abs(t[task]) * (1 - _ROUNDING))
            # The order statistics of Davison and Hinkley 1997, equation 5.7, taken outwards.
            rank = min(max(int((n + 1) * (1 - level) / 2), 1), n)
            se = np.sqrt(variance[task])
            result[1, task] = max(difference[task] - column[n - rank] * se, -1)
            result[2, task] = min(difference[task] - column[rank - 1] * se, 1)
            result[3, task] = t[task]
            result[4, task] = (1 + beyond) / (n + 1)
    result[1:4, same], result[4, same] = 0, 1
    return result, np.where(testable, undefined.sum(axis=0), 0)


def _resampled_t(a: _Totals, b: _Totals, weights: np.ndarray) -> np.ndarray:
    """t* of each resample, float64 [n_resamples, n_tasks]; NaN where nothing is called and nothing positive.

    F1* - F1 = sum w r / sum w s with the residual r, and u* is a combination of r and s of either predictor
    whose factors depend on the resample alone: its weighted sum of squares takes ten products of weights and
    block sums.
    """
    n_blocks = weights.shape[1]
    parts = (a.residual, a.size, b.residual, b.size)
    with np.errstate(invalid="ignore", divide="ignore"):
        size_a, size_b = weights @ a.size, weights @ b.size
        shift_a, shift_b = weights @ a.residual / size_a, weights @ b.residual / size_b
        factors = (1 / size_a, -shift_a / size_a, -1 / size_b, shift_b / size_b)
        variance = np.zeros_like(size_a)
        magnitude = np.zeros_like(size_a)
        for i in range(4):
            for j in range(i + 1):
                term = factors[i] * factors[j] * (weights @ (parts[i] * parts[j]))
                term *= 1 if i == j else 2
                variance += term
                magnitude += np.abs(term, out=term)
        shift = shift_a - shift_b
        shift[np.abs(shift) <= _ROUNDING * (np.abs(shift_a) + np.abs(shift_b))] = 0
        variance[variance <= _ROUNDING * magnitude] = 0  # what rounding leaves of exactly nothing
        t = shift / np.sqrt(variance * (n_blocks / (n_blocks - 1)))
    t[(shift == 0) & (variance == 0)] = 0
    return t
