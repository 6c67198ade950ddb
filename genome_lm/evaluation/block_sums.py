"""Scores made of sums over blocks: F1, precision, recall, cross-entropy, Brier score, calibration error."""

import numpy as np

from genome_lm.evaluation.blocks import Blocks
from genome_lm.metrics.calibration import ECE_EDGES
from genome_lm.metrics.thresholds import Confusion

BLOCK_ELEMENTS = 2**20
"""Entries of the largest arrays made for one group of tasks: 8 MB each in float64."""

_N_BINS = len(ECE_EDGES) - 1
_N_SUMS = 5 + _N_BINS  # calls, hits, positives, cross-entropy, Brier, and one a bin


def repeated_sums(
    logits: np.ndarray, labels: np.ndarray, thresholds: np.ndarray, blocks: Blocks, weights: np.ndarray
) -> dict[str, np.ndarray]:
    """F1, precision, recall, cross_entropy, brier and ece, float64 [n_resamples, n_tasks] each.

    Arguments as those of `genome_lm.evaluation.bootstrap.resample_scores`, already checked. Every sum over
    windows is first taken within blocks; one product with the weights then serves all resamples.
    """
    n_windows, n_tasks = logits.shape
    n_resamples, n_blocks = weights.shape
    weights = weights.astype(np.float64)
    windows = (weights @ blocks.windows.astype(np.float64))[:, None]
    scores = {
        measure: np.full((n_resamples, n_tasks), np.nan)
        for measure in ("f1", "precision", "recall", "cross_entropy", "brier", "ece")
    }
    step = max(1, BLOCK_ELEMENTS // max(n_windows, _N_SUMS * n_resamples, _N_SUMS * n_blocks))
    for start in range(0, n_tasks, step):
        tasks = slice(start, start + step)
        sums = _block_sums(logits[:, tasks], labels[:, tasks], thresholds[tasks], blocks)
        n_some = sums.shape[2]
        repeated = weights @ sums.reshape(n_blocks, _N_SUMS * n_some)
        repeated = repeated.reshape(n_resamples, _N_SUMS, n_some)
        calls, hits, positives, cross_entropy, brier = (repeated[:, row] for row in range(5))
        undefined = np.isnan(thresholds[tasks])
        calls, hits = (np.where(undefined, np.nan, counts) for counts in (calls, hits))
        confusion = Confusion(hits, calls - hits, positives - hits, windows - calls - positives + hits)
        apart = np.abs(repeated[:, 5:]).sum(axis=1)
        scores["f1"][:, tasks] = confusion.f1
        scores["precision"][:, tasks] = confusion.precision
        scores["recall"][:, tasks] = confusion.recall
        for measure, total in (("cross_entropy", cross_entropy), ("brier", brier), ("ece", apart)):
            np.divide(total, windows, out=scores[measure][:, tasks], where=windows > 0)
    return scores


def _block_sums(logits: np.ndarray, labels: np.ndarray, thresholds: np.ndarray, blocks: Blocks) -> np.ndarray:
    """float64 [n_blocks, n_sums, n_tasks]: the sums named at `_N_SUMS`, within each block."""
    n_tasks = logits.shape[1]
    positive = labels.astype(bool, copy=False)
    called = logits >= thresholds
    scores = logits.astype(np.float64)
    # In the same operations as genome_lm.metrics.calibration, so that no window changes its bin by rounding.
    with np.errstate(over="ignore"):  # exp of more than 709 is infinite, and the probability 0
        probability = 1 / (1 + np.exp(-scores))
    np.negative(scores, out=scores, where=positive)  # for a positive, log(1 + exp(-z))
    result = np.empty((blocks.n_blocks, _N_SUMS, n_tasks))
    result[:, 0] = blocks.sums(called)
    result[:, 1] = blocks.sums(called & positive)
    result[:, 2] = blocks.sums(positive)
    result[:, 3] = blocks.sums(np.logaddexp(0.0, scores))
    place = np.searchsorted(ECE_EDGES[1:-1], probability, side="right")
    probability -= positive
    # A bin's share of the calibration error is |sum of (probability - label)|, however many its windows.
    place += blocks.of_window[:, None] * _N_BINS
    place *= n_tasks
    place += np.arange(n_tasks)
    by_bin = np.bincount(
        place.ravel(), weights=probability.ravel(), minlength=blocks.n_blocks * _N_BINS * n_tasks
    )
    result[:, 5:] = by_bin.reshape(blocks.n_blocks, _N_BINS, n_tasks)
    probability *= probability
    result[:, 4] = blocks.sums(probability)
    return result
