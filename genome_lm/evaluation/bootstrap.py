"""Scores when blocks of the genome are drawn again with replacement, and intervals from them.

The windows of a block, and all tasks, are drawn together, which keeps the correlation between neighbouring
windows and between tasks (fixed blocks, as in Carlstein 1986, Annals of Statistics 14:1171; Davison and
Hinkley 1997, Bootstrap Methods and their Application, section 8.2.3). A block drawn twice counts twice: every
score is that of the windows physically repeated. Thresholds and predictions are held fixed.
"""

from statistics import NormalDist

import numpy as np

from genome_lm.evaluation.block_ranking import repeated_ranking
from genome_lm.evaluation.block_sums import repeated_sums
from genome_lm.evaluation.blocks import Blocks
from genome_lm.metrics.ranking import check_pair
from genome_lm.threads import single_threaded_libraries

MEASURES = ("f1", "precision", "recall", "auroc", "ap", "cross_entropy", "brier", "ece")


def draw_weights(n_blocks: int, n_resamples: int, seed: int) -> np.ndarray:
    """How often each block is drawn, float32 [n_resamples, n_blocks]; each row sums to `n_blocks`.

    The first rows are the same however many are drawn. Use one draw for all predictors: their differences
    are then paired.
    """
    generator = np.random.default_rng(seed)
    weights = np.zeros((n_resamples, n_blocks), dtype=np.float32)
    if n_blocks:
        for row in weights:
            row[:] = np.bincount(generator.integers(n_blocks, size=n_blocks), minlength=n_blocks)
    return weights


def resample_scores(
    logits: np.ndarray, labels: np.ndarray, thresholds: np.ndarray, blocks: Blocks, weights: np.ndarray
) -> dict[str, np.ndarray]:
    """Every measure of `MEASURES` in every resample, float64 [n_resamples, n_tasks] each.

    Equal to the measure computed on the windows of each block repeated as often as the block was drawn, to
    rounding in float64. Undefined is NaN, as without resampling: F1, AUROC and average precision without
    positives or without negatives, recall without positives, precision without calls, and F1, precision and
    recall where there is no threshold.

    The working memory is about 100 MB and 12 bytes for each weight, whatever the number of windows, tasks and
    blocks (as long as a single task fits).

    Args:
        logits: floating, [n_windows, n_tasks].
        labels: 0 or 1, same shape.
        thresholds: float64 [n_tasks], on the logits; NaN for a task without one.
        blocks: the block of each window.
        weights: whole numbers of any type, [n_resamples, n_blocks]; see `draw_weights`.

    Raises:
        ValueError: the arrays do not fit each other, or a weight is negative or no whole number; also see
            `genome_lm.metrics.ranking.check_pair`.
    """
    check_pair(logits, labels)
    n_windows, n_tasks = logits.shape
    if thresholds.shape != (n_tasks,):
        raise ValueError(f"thresholds {thresholds.shape} must be [n_tasks], here ({n_tasks},)")
    _check_weights(n_windows, blocks, weights)
    with single_threaded_libraries():
        sums = repeated_sums(logits, labels, thresholds, blocks, weights)
        auroc, ap = repeated_ranking(logits, labels, blocks, weights)
    scores = sums | {"auroc": auroc, "ap": ap}
    return {measure: scores[measure] for measure in MEASURES}


def _check_weights(n_windows: int, blocks: Blocks, weights: np.ndarray) -> None:
    if blocks.of_window.shape != (n_windows,):
        raise ValueError(f"blocks of {len(blocks.of_window)} windows do not fit {n_windows} windows")
    if weights.ndim != 2 or weights.shape[1] != blocks.n_blocks:
        raise ValueError(
            f"weights {weights.shape} must be [n_resamples, n_blocks], here (.., {blocks.n_blocks})"
        )
    if not (np.isfinite(weights) & (weights >= 0) & (weights == np.rint(weights))).all():
        raise ValueError("weights must be whole numbers from 0 on: how often each block is drawn")


def percentile_interval(values: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Percentile interval (Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 13).

    Args:
        values: float64 [n_resamples]; NaN is left out.
        level: share of the resamples inside, between 0 and 1.

    Returns:
        low and high; both NaN where no value is defined.

    Raises:
        ValueError: `level` does not lie between 0 and 1.
    """
    check_level(level)
    defined = values[~np.isnan(values)]
    if not len(defined):
        return np.nan, np.nan
    low, high = np.quantile(defined, ((1 - level) / 2, (1 + level) / 2))
    return float(low), float(high)


def normal_interval(
    point: float, values: np.ndarray, level: float = 0.95, low: float = -np.inf, high: float = np.inf
) -> tuple[float, float]:
    """The point plus and minus normal quantiles times the standard deviation of the resamples, clipped.

    For a count of wins: each resample adds noise to every difference, which turns more wins into losses than
    losses into wins where wins prevail, so the resampled counts lie nearer to one half than the count itself,
    and a percentile interval need not even hold it.

    Args:
        point: the figure on all windows, each once.
        values: float64 [n_resamples], the same in each resample; NaN is left out.
        level: nominal coverage, between 0 and 1.
        low, high: the range of the figure, to which the interval is clipped.

    Returns:
        low and high; both NaN where the point is NaN or fewer than two values are defined.

    Raises:
        ValueError: `level` does not lie between 0 and 1.
    """
    check_level(level)
    defined = values[~np.isnan(values)]
    if len(defined) < 2:
        return np.nan, np.nan
    margin = NormalDist().inv_cdf((1 + level) / 2) * defined.std(ddof=1)
    first, last = np.clip((point - margin, point + margin), low, high)
    return float(first), float(last)


def check_level(level: float) -> None:
    """Raises ValueError unless a nominal coverage lies between 0 and 1, exclusive."""
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, got {level}")
