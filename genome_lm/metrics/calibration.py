"""How far predicted probabilities may be taken at their word: Brier score, reliability, calibration error."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from genome_lm.metrics.ranking import check_pair

BLOCK_ELEMENTS = 2**18
"""Scores in one block of windows; a block has at least one window."""

ECE_EDGES = np.linspace(0, 1, 16)
"""Fifteen bins of equal width, as in Guo et al. 2017 (Proc. Machine Learning Research 70:1321)."""

PLOT_EDGES = np.array(
    [0, 0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
)
"""Bins for plots: at 1 to 10% positives most predictions share the first of fifteen equal ones."""

for _edges in (ECE_EDGES, PLOT_EDGES):
    _edges.setflags(write=False)


@dataclass(frozen=True)
class Reliability:
    """Windows by predicted probability, for each task.

    Bin b holds the windows with `edges[b] <= probability < edges[b + 1]`; the last one also holds
    probability 1. Counts and sums of several sets of windows add up.

    Attributes:
        edges: float64 [n_bins + 1], ascending from 0 to 1.
        windows: int64 [n_tasks, n_bins], windows in each bin.
        positives: int64 [n_tasks, n_bins], positives among them.
        predicted: float64 [n_tasks, n_bins], sums of their predicted probabilities.
    """

    edges: np.ndarray
    windows: np.ndarray
    positives: np.ndarray
    predicted: np.ndarray

    def expected_calibration_error(self) -> np.ndarray:
        """Expected calibration error of each task, float64 [n_tasks]; NaN where there are no windows.

        The mean over windows of |mean prediction - rate of positives| of the window's bin (Guo et al. 2017,
        equation 3, of the probability of a positive instead of that of the class called).
        """
        return calibration_error(self.windows, self.positives, self.predicted)


def calibration_error(windows: np.ndarray, positives: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """`Reliability.expected_calibration_error` of its three arrays [n_tasks, n_bins]."""
    total = windows.sum(axis=1)
    apart = np.abs(predicted - positives).sum(axis=1)
    return np.divide(apart, total, out=np.full(len(total), np.nan), where=total > 0)


def brier_score_per_task(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Brier score of each task, float64 [n_tasks]: the mean of (probability - label)^2 over its windows.

    Brier 1950 (Monthly Weather Review 78:1), in the form for two classes that runs from 0 to 1. Summed in
    float64 over blocks of windows. NaN where there are no windows.

    Args:
        logits: floating, [n_windows, n_tasks].
        labels: 0 or 1, same shape.

    Raises:
        ValueError: see `genome_lm.metrics.ranking.check_pair`.
    """
    check_pair(logits, labels)
    n_windows, n_tasks = logits.shape
    total = np.zeros(n_tasks)
    for probability, label in _blocks(logits, labels):
        probability -= label
        total += np.einsum("wt,wt->t", probability, probability)
    return total / n_windows if n_windows else np.full(n_tasks, np.nan)


def reliability(logits: np.ndarray, labels: np.ndarray, edges: np.ndarray = ECE_EDGES) -> Reliability:
    """Count windows and positives of each task in bins of predicted probability.

    Args:
        logits: floating, [n_windows, n_tasks].
        labels: 0 or 1, same shape.
        edges: float64 [n_bins + 1], ascending from 0 to 1.

    Raises:
        ValueError: the edges do not ascend from 0 to 1; also see `genome_lm.metrics.ranking.check_pair`.
    """
    check_pair(logits, labels)
    edges = np.asarray(edges, dtype=np.float64)
    if edges.ndim != 1 or len(edges) < 2 or edges[0] != 0 or edges[-1] != 1 or not (np.diff(edges) > 0).all():
        raise ValueError(f"edges must ascend from 0 to 1, got {edges}")
    n_tasks, n_bins = logits.shape[1], len(edges) - 1
    shape = (n_tasks, n_bins)
    windows, positives = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    predicted = np.zeros(shape)
    first = np.arange(n_tasks) * n_bins
    for probability, label in _blocks(logits, labels):
        # The inner edges alone: what is below the first is in bin 0, and probability 1 is in the last bin.
        place = np.searchsorted(edges[1:-1], probability, side="right")
        place += first
        windows += np.bincount(place.ravel(), minlength=windows.size).reshape(shape)
        positives += np.bincount(place[label], minlength=windows.size).reshape(shape)
        predicted += np.bincount(place.ravel(), weights=probability.ravel(), minlength=windows.size).reshape(
            shape
        )
    return Reliability(edges, windows, positives, predicted)


def expected_calibration_error(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Expected calibration error of each task in fifteen bins of equal width, float64 [n_tasks].

    Equal to torchmetrics' `binary_calibration_error(n_bins=15, norm="l1")`, but for predictions of exactly 1
    (logits above 36): they belong to the last bin here, as in the paper, and have one of their own there.

    Args:
        logits: floating, [n_windows, n_tasks].
        labels: 0 or 1, same shape.

    Raises:
        ValueError: see `genome_lm.metrics.ranking.check_pair`.
    """
    return reliability(logits, labels).expected_calibration_error()


def _blocks(logits: np.ndarray, labels: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Probabilities, float64, and labels, bool, of blocks of windows; the probabilities may be changed."""
    step = max(1, BLOCK_ELEMENTS // max(logits.shape[1], 1))
    for start in range(0, len(logits), step):
        probability = logits[start : start + step].astype(np.float64)
        np.negative(probability, out=probability)
        with np.errstate(over="ignore"):  # exp of more than 709 is infinite, and the probability 0
            np.exp(probability, out=probability)
        probability += 1
        np.reciprocal(probability, out=probability)
        yield probability, labels[start : start + step].astype(bool, copy=False)
