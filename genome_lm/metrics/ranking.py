"""Exact AUROC and average precision of many tasks at once.

Both are sums over the positive windows of a task, so all that is needed is where each positive stands among
the sorted scores: one sort of bare numbers a task (no sort of indices), then one binary search a positive.
The counts are integers and only the last step divides. Tasks go through in blocks, so that the working memory
does not grow with their number.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

BLOCK_ELEMENTS = 2**18
"""Scores in one block of tasks; a longer task is a block of its own."""


@dataclass(frozen=True)
class PositiveRanks:
    """Where the positives of a block of tasks stand: ascending by score within a task, tasks end to end.

    Attributes:
        task: int64 [n_tasks], which tasks these are; each has positives and negatives.
        first: int64 [n_tasks], where each task begins in the arrays over positives.
        n_positives: int64 [n_tasks], at least 1.
        sorted_scores: [n_tasks, n_windows], all scores of each task, ascending.
        score: [n_total], score of each positive.
        below: int64 [n_total], windows of the task with a lower score.
        up_to: int64 [n_total], windows of the task with this score or a lower one.
        positives_below: int64 [n_total], positives of the task with a lower score.
    """

    task: np.ndarray
    first: np.ndarray
    n_positives: np.ndarray
    sorted_scores: np.ndarray
    score: np.ndarray
    below: np.ndarray
    up_to: np.ndarray
    positives_below: np.ndarray

    @property
    def n_windows(self) -> int:
        return self.sorted_scores.shape[1]

    @property
    def n_negatives(self) -> np.ndarray:
        """int64 [n_tasks], at least 1."""
        return self.n_windows - self.n_positives

    @property
    def calls(self) -> np.ndarray:
        """int64 [n_total]: windows at or above each positive's score."""
        return self.n_windows - self.below

    @property
    def hits(self) -> np.ndarray:
        """int64 [n_total]: positives at or above each positive's score."""
        return np.repeat(self.n_positives, self.n_positives) - self.positives_below


def check_pair(scores: np.ndarray, labels: np.ndarray) -> None:
    """Check a pair of arrays [n_windows, n_tasks] of scores and 0/1 labels.

    Raises:
        ValueError: shapes differ or are not two-dimensional, a score is NaN or of no floating type, or a
            label is neither 0 nor 1 or of no integer type.
    """
    if scores.ndim != 2 or scores.shape != labels.shape:
        raise ValueError(f"scores {scores.shape} and labels {labels.shape} must both be [n_windows, n_tasks]")
    if not np.issubdtype(scores.dtype, np.floating):
        raise ValueError(f"scores must be of a floating type, got {scores.dtype}")
    if labels.dtype != np.bool_:
        if not np.issubdtype(labels.dtype, np.integer):
            raise ValueError(f"labels must be of an integer type or bool, got {labels.dtype}")
        if labels.size and (labels.min() < 0 or labels.max() > 1):
            raise ValueError(f"labels must be 0 or 1, got {labels.min()} to {labels.max()}")
    # The sum is NaN if any score is and needs no array of flags; opposite infinities are then told apart.
    with np.errstate(invalid="ignore", over="ignore"):
        suspicious = np.isnan(np.sum(scores))
    if suspicious and np.isnan(scores).any():
        raise ValueError("scores must not be NaN")


def rank_positives(scores: np.ndarray, labels: np.ndarray, task: np.ndarray) -> PositiveRanks:
    """Sort each task and find its positives.

    Args:
        scores: floating, [n_windows, n_tasks].
        labels: 0 or 1, same shape.
        task: int64 [n_chosen], the columns to take; each holds positives and negatives.
    """
    rows = np.ascontiguousarray(scores[:, task].T)
    positive = np.ascontiguousarray(labels[:, task].T).astype(bool, copy=False)
    score = rows[positive]
    n_positives = np.count_nonzero(positive, axis=1)
    end = np.cumsum(n_positives)
    first = end - n_positives
    rows.sort(axis=1)
    below = np.empty(len(score), dtype=np.int64)
    up_to = np.empty(len(score), dtype=np.int64)
    for row, start, stop in zip(rows, first, end, strict=True):
        own = score[start:stop]
        own.sort()
        below[start:stop] = np.searchsorted(row, own, side="left")
        up_to[start:stop] = np.searchsorted(row, own, side="right")
    # Positives below: the place of the first positive of the same score, counted from the task's first.
    place = np.arange(len(score))
    opens = np.ones(len(score), dtype=bool)
    np.not_equal(score[1:], score[:-1], out=opens[1:])
    opens[first] = True
    positives_below = np.maximum.accumulate(np.where(opens, place, 0)) - np.repeat(first, n_positives)
    return PositiveRanks(task, first, n_positives, rows, score, below, up_to, positives_below)


def ranked_blocks(scores: np.ndarray, labels: np.ndarray) -> Iterator[PositiveRanks]:
    """Check the pair, then yield its tasks that have positives and negatives, block by block."""
    check_pair(scores, labels)
    n_windows = scores.shape[0]
    n_positives = np.count_nonzero(labels, axis=0)
    both_classes = np.flatnonzero((n_positives > 0) & (n_positives < n_windows))
    step = max(1, BLOCK_ELEMENTS // max(n_windows, 1))
    for start in range(0, len(both_classes), step):
        yield rank_positives(scores, labels, both_classes[start : start + step])


def auroc(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Area under the ROC curve of each task, float64 [n_tasks].

    The share of the pairs of a positive and a negative window in which the positive has the higher score,
    ties counting half (Mann and Whitney 1947); equal to scikit-learn's `roc_auc_score`. NaN where a task has
    no positives or no negatives.

    Args:
        scores: floating, [n_windows, n_tasks]: any increasing function of the probability.
        labels: 0 or 1, same shape.

    Raises:
        ValueError: see `check_pair`.
    """
    return _each_task(scores, labels, (_auroc,))[0]


def average_precision(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Average precision of each task, float64 [n_tasks].

    The sum over the distinct scores of the precision at that score times the recall gained there, without
    interpolation; equal to scikit-learn's `average_precision_score`. NaN where a task has no positives or no
    negatives (where scikit-learn gives 0 with a warning, and 1).

    Args:
        scores: floating, [n_windows, n_tasks]: any increasing function of the probability.
        labels: 0 or 1, same shape.

    Raises:
        ValueError: see `check_pair`.
    """
    return _each_task(scores, labels, (_average_precision,))[0]


def auroc_and_average_precision(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`auroc` and `average_precision` from one sort: two float64 arrays [n_tasks]."""
    area, average = _each_task(scores, labels, (_auroc, _average_precision))
    return area, average


def _each_task(
    scores: np.ndarray, labels: np.ndarray, measures: tuple[Callable[[PositiveRanks], np.ndarray], ...]
) -> np.ndarray:
    """float64 [n_measures, n_tasks]."""
    result = np.full((len(measures), scores.shape[-1]), np.nan)
    for ranks in ranked_blocks(scores, labels):
        for row, measure in zip(result, measures, strict=True):
            row[ranks.task] = measure(ranks)
    return result


def _auroc(ranks: PositiveRanks) -> np.ndarray:
    # Twice the windows a positive beats, ties half; less the positives among them, which make P^2 in all.
    doubled = np.add.reduceat(ranks.below + ranks.up_to, ranks.first) - ranks.n_positives**2
    return doubled / (2 * ranks.n_positives * ranks.n_negatives)


def _average_precision(ranks: PositiveRanks) -> np.ndarray:
    return np.add.reduceat(ranks.hits / ranks.calls, ranks.first) / ranks.n_positives
