"""Is one predictor's F1 higher than another's? A paired test of each task over blocks of the genome."""

from dataclasses import dataclass

import numpy as np

from genome_lm.evaluation.blocks import Blocks
from genome_lm.evaluation.bootstrap import check_level, draw_weights
from genome_lm.metrics.ranking import check_pair
from genome_lm.threads import single_threaded_libraries

LEAST_HIT_BLOCKS = 10
"""Blocks in which either predictor finds a positive, below which there is no test; see `paired_f1_test`."""

BLOCK_ELEMENTS = 2**19
"""Entries of the arrays made for one group of tasks: 4 MB each in float64."""

_ROUNDING = 1e-12


@dataclass(frozen=True)
class PairedTest:
    """F1 of a minus F1 of b, for each task; arrays are float64 [n_tasks] unless said, NaN where undefined.

    Attributes:
        difference: NaN where an F1 is.
        low: lower end of the interval of the difference.
        high: upper end.
        t: the difference over its standard error; infinite where every block says the same.
        p: two-sided.
        q: p adjusted by `benjamini_hochberg` over the tasks that have one.
        hit_blocks: int64 [n_tasks], blocks in which either predictor finds a positive; fewer than
            `LEAST_HIT_BLOCKS` is the reason why low, high, t, p and q are NaN where the difference is not.
        undefined_resamples: int64 [n_tasks], resamples left out for want of positives or of negatives; 0
            where there is no test.
        n_resamples: resamples drawn.
    """

    difference: np.ndarray
    low: np.ndarray
    high: np.ndarray
    t: np.ndarray
    p: np.ndarray
    q: np.ndarray
    hit_blocks: np.ndarray
    undefined_resamples: np.ndarray
    n_resamples: int


@dataclass(frozen=True)
class _Totals:
    """Sums within blocks of one predictor, float64 [n_blocks, n_tasks]."""

    hits: np.ndarray
    size: np.ndarray  # calls plus positives: F1 is 2 hits / size

    @property
    def f1(self) -> np.ndarray:
        """float64 [n_tasks]; NaN without calls and positives."""
        with np.errstate(invalid="ignore"):
            return 2 * self.hits.sum(axis=0) / self.size.sum(axis=0)

    @property
    def residual(self) -> np.ndarray:
        """float64 [n_blocks, n_tasks]: 2 hits - F1 size, which sums to 0 over the blocks."""
        residual = 2 * self.hits - self.f1 * self.size
        residual[np.abs(residual) <= _ROUNDING * self.size] = 0
        return residual

    def of(self, tasks: np.ndarray) -> "_Totals":
        return _Totals(self.hits[:, tasks], self.size[:, tasks])


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
    difference d of two F1 is a sum over blocks of

        u = (2 h_a - F1_a s_a) / sum s_a - (2 h_b - F1_b s_b) / sum s_b,

    so its squared standard error se^2 is B / (B - 1) sum u^2 over B blocks (the delta method; Davison and
    Hinkley 1997, section 2.7.2). Every resample gets its own d* and se* in the same way, and
    t* = (d* - d) / se* stands in for the unknown distribution of t = d / se (bootstrap-t: Efron and
    Tibshirani 1993, chapter 12). Over n defined resamples p = (1 + #{|t*| >= |t|}) / (n + 1). The interval is
    d plus and minus se times the quantile of |t*| (the symmetric form, of smaller error: Hall 1988, J. Royal
    Statistical Society B 50:35), clipped to -1 and 1: it leaves out 0 where p <= 1 - level, and only there.

    - Both predictors have the same hits and sizes in every block: the difference is 0, the interval 0 to 0,
      t is 0 and p is 1.
    - se* is 0, as when the blocks drawn are all alike: t* is infinite unless d* = d, which counts against a
      difference.
    - A resample without positives or without negatives has no F1: it is left out and counted.
    - Fewer than `LEAST_HIT_BLOCKS` blocks hold a positive that a or b calls: only the difference is given.
      With fewer, equal predictors were found different too often in simulations (docs/uncertainty.md).

    Args:
        logits_a: floating, [n_windows, n_tasks].
        logits_b: floating, same shape.
        labels: 0 or 1, same shape.
        thresholds_a: float64 [n_tasks], on the logits of a; NaN for a task without one.
        thresholds_b: the same of b.
        blocks: the block of each window.
        n_resamples: at least 1; the least p is 1 / (n_resamples + 1).
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
    if thresholds_a.shape != (n_tasks,) or thresholds_b.shape != (n_tasks,):
        raise ValueError(
            f"thresholds {thresholds_a.shape} and {thresholds_b.shape} must be [n_tasks], here ({n_tasks},)"
        )
    if blocks.of_window.shape != (n_windows,):
        raise ValueError(f"blocks of {len(blocks.of_window)} windows do not fit {n_windows} windows")
    if n_resamples < 1:
        raise ValueError(f"n_resamples must be at least 1, got {n_resamples}")

    a, b, positives = _block_totals((logits_a, logits_b), labels, (thresholds_a, thresholds_b), blocks)
    hit_blocks = np.count_nonzero(a.hits + b.hits, axis=0)
    negatives = blocks.windows[:, None] - positives
    no_threshold = np.isnan(thresholds_a) | np.isnan(thresholds_b)
    counted = ~no_threshold & (positives.sum(axis=0) > 0) & (negatives.sum(axis=0) > 0)
    same = counted & (a.hits == b.hits).all(axis=0) & (a.size == b.size).all(axis=0)
    tested = counted & ~same & (hit_blocks >= LEAST_HIT_BLOCKS)
    difference = np.where(counted, a.f1 - b.f1, np.nan)
    low, high, t, p = (np.where(same, value, np.nan) for value in (0.0, 0.0, 0.0, 1.0))
    undefined = np.zeros(n_tasks, dtype=np.int64)

    weights = draw_weights(blocks.n_blocks, n_resamples, seed).astype(np.float64)
    step = max(1, BLOCK_ELEMENTS // max(n_resamples, blocks.n_blocks))
    chosen = np.flatnonzero(tested)
    with single_threaded_libraries():
        for start in range(0, len(chosen), step):
            tasks = chosen[start : start + step]
            se = _standard_error(a.of(tasks), b.of(tasks))
            with np.errstate(divide="ignore", invalid="ignore"):
                # Every block may say the same: then the difference is certain, or certainly none.
                t[tasks] = np.where(np.abs(difference[tasks]) <= _ROUNDING, 0, difference[tasks] / se)
            size, undefined[tasks] = _resampled_size(
                a.of(tasks), b.of(tasks), positives[:, tasks], negatives[:, tasks], weights
            )
            reach, p[tasks] = _compare(np.abs(t[tasks]), size, level)
            low[tasks] = np.maximum(difference[tasks] - reach * se, -1)
            high[tasks] = np.minimum(difference[tasks] + reach * se, 1)
    return PairedTest(difference, low, high, t, p, benjamini_hochberg(p), hit_blocks, undefined, n_resamples)


def benjamini_hochberg(p: np.ndarray) -> np.ndarray:
    """The least false discovery rate at which each p is rejected, float64 [n].

    Benjamini and Hochberg 1995 (J. Royal Statistical Society B 57:289). NaN stays NaN and is no test.

    Args:
        p: float64 [n], 0 to 1 or NaN.

    Raises:
        ValueError: a p lies outside 0 to 1.
    """
    defined = np.flatnonzero(~np.isnan(p))
    if len(defined) and (p[defined].min() < 0 or p[defined].max() > 1):
        raise ValueError(f"p must lie between 0 and 1, got {p[defined].min()} to {p[defined].max()}")
    order = defined[np.argsort(p[defined], kind="stable")]
    scaled = p[order] * len(order) / np.arange(1, len(order) + 1)
    q = np.full(len(p), np.nan)
    q[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1)
    return q


def _block_totals(
    logits: tuple[np.ndarray, np.ndarray],
    labels: np.ndarray,
    thresholds: tuple[np.ndarray, np.ndarray],
    blocks: Blocks,
) -> tuple[_Totals, _Totals, np.ndarray]:
    """Totals of a and of b, and positives, float64 [n_blocks, n_tasks]."""
    n_windows, n_tasks = labels.shape
    positives, hits_a, size_a, hits_b, size_b = np.empty((5, blocks.n_blocks, n_tasks))
    step = max(1, BLOCK_ELEMENTS // max(n_windows, 1))
    for start in range(0, n_tasks, step):
        tasks = slice(start, start + step)
        positive = labels[:, tasks].astype(bool)
        positives[:, tasks] = blocks.sums(positive)
        for scores, threshold, hits, size in zip(
            logits, thresholds, (hits_a, hits_b), (size_a, size_b), strict=True
        ):
            called = scores[:, tasks] >= threshold[tasks]
            size[:, tasks] = blocks.sums(called) + positives[:, tasks]
            hits[:, tasks] = blocks.sums(called & positive)
    return _Totals(hits_a, size_a), _Totals(hits_b, size_b), positives


def _standard_error(a: _Totals, b: _Totals) -> np.ndarray:
    """Of the difference of F1, float64 [n_tasks], for tasks with positives."""
    influence = a.residual / a.size.sum(axis=0) - b.residual / b.size.sum(axis=0)
    n_blocks = len(influence)
    return np.sqrt(n_blocks / (n_blocks - 1) * np.square(influence).sum(axis=0))


def _resampled_size(
    a: _Totals, b: _Totals, positives: np.ndarray, negatives: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """|t*|, float64 [n_resamples, n_tasks], NaN where undefined, and how many are, int64 [n_tasks].

    d* - d follows from the residuals, for F1* - F1 = sum w r / sum w s. u* is a combination of residual r and
    size s of either predictor with factors that depend on the resample alone, so the weighted sum of its
    squares takes ten products of weights and block totals.
    """
    undefined = (weights @ positives == 0) | (weights @ negatives == 0)
    parts = (a.residual, a.size, b.residual, b.size)
    n_blocks = weights.shape[1]
    with np.errstate(invalid="ignore", divide="ignore"):
        size_a, size_b = weights @ a.size, weights @ b.size
        shift_a, shift_b = weights @ a.residual / size_a, weights @ b.residual / size_b
        factors = (1 / size_a, -shift_a / size_a, -1 / size_b, shift_b / size_b)
        variance, magnitude = np.zeros_like(size_a), np.zeros_like(size_a)
        for i in range(4):
            for j in range(i + 1):
                term = weights @ (parts[i] * parts[j])
                term *= factors[i]
                term *= factors[j] if i == j else 2 * factors[j]
                variance += term
                magnitude += np.abs(term, out=term)
        shift = np.abs(shift_a - shift_b)
        # What rounding leaves of nothing is nothing: it would stand in a quotient.
        shift[shift <= _ROUNDING * (np.abs(shift_a) + np.abs(shift_b))] = 0
        variance[variance <= _ROUNDING * magnitude] = 0
        size = shift / np.sqrt(n_blocks / (n_blocks - 1) * variance)
    size[(shift == 0) & (variance == 0)] = 0
    size[undefined] = np.nan
    return size, np.count_nonzero(undefined, axis=0)


def _compare(t: np.ndarray, resampled: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Quantile of |t*| at `level`, infinite if there are too few, and p, float64 [n_tasks] each.

    Args:
        t: float64 [n_tasks], absolute.
        resampled: float64 [n_resamples, n_tasks], absolute; NaN is left out.
    """
    n = np.count_nonzero(~np.isnan(resampled), axis=0)
    beyond = np.count_nonzero(resampled >= t * (1 - _ROUNDING), axis=0)
    ordered = np.sort(resampled, axis=0)  # NaN last
    rank = np.ceil((n + 1) * level - _ROUNDING).astype(np.int64)
    reach = ordered[np.minimum(rank, np.maximum(n, 1)) - 1, np.arange(len(n))]
    return np.where(rank <= n, reach, np.inf), (1 + beyond) / (n + 1)
