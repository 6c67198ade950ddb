"""Decision thresholds, and F1, precision and recall at them."""

from dataclasses import dataclass

import numpy as np

from genome_lm.metrics.ranking import check_pair, ranked_blocks

FEW_POSITIVES = 30
"""With fewer positives, what is chosen on them (a threshold, a penalty) is hardly a choice."""


def best_f1_thresholds(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The threshold of the highest F1 for each task, float64 [n_tasks], on the same scale as the logits.

    A window is called positive when `logit >= threshold`, and every distinct logit is tried. Of several with
    the same F1 the highest is taken (the fewest calls). The threshold is then put half-way to the next lower
    distinct logit, so that a logit of another split that falls just short is not lost to rounding; if the
    best is to call every window, it is the lowest logit itself. It is NaN where a task has no positives or
    no negatives, for then no threshold is better than another.

    Choose on one split and apply to another: on its own split the F1 is optimistic.

    Args:
        logits: floating, [n_windows, n_tasks].
        labels: 0 or 1, same shape.

    Raises:
        ValueError: see `genome_lm.metrics.ranking.check_pair`.
    """
    thresholds = np.full(logits.shape[-1], np.nan)
    for ranks in ranked_blocks(logits, labels):
        # Only the scores of positives are tried: at any other, the calls are more and the hits the same.
        n_positives = np.repeat(ranks.n_positives, ranks.n_positives)
        f1 = 2 * ranks.hits / (ranks.calls + n_positives)
        # Equal fractions of integers give equal floats, so the comparison with the best is exact.
        best = np.repeat(np.maximum.reduceat(f1, ranks.first), ranks.n_positives)
        chosen = np.maximum.reduceat(np.where(f1 == best, np.arange(len(best)), -1), ranks.first)
        upper = ranks.score[chosen].astype(np.float64)
        below = ranks.below[chosen]
        rows = np.arange(len(chosen))
        lower = ranks.sorted_scores[rows, np.maximum(below - 1, 0)].astype(np.float64)
        # Halved before the sum, so that it cannot overflow; minus and plus infinity have no middle.
        with np.errstate(invalid="ignore"):
            middle = lower / 2 + upper / 2
        thresholds[ranks.task] = np.where((below > 0) & (middle > lower), middle, upper)
    return thresholds


@dataclass(frozen=True)
class Confusion:
    """Calls against labels, one entry a task: float64 [n_tasks] counts, NaN where there is no threshold."""

    true_positives: np.ndarray
    false_positives: np.ndarray
    false_negatives: np.ndarray
    true_negatives: np.ndarray

    @property
    def f1(self) -> np.ndarray:
        """Harmonic mean of precision and recall; 0 if no positive is called rightly.

        NaN where there is no threshold, or the windows hold no positives or no negatives.
        """
        positives = self.true_positives + self.false_negatives
        negatives = self.true_negatives + self.false_positives
        doubled = 2 * self.true_positives
        return _divide(
            doubled, doubled + self.false_positives + self.false_negatives, (positives > 0) & (negatives > 0)
        )

    @property
    def precision(self) -> np.ndarray:
        """Share of the calls that are right; NaN where nothing is called."""
        calls = self.true_positives + self.false_positives
        return _divide(self.true_positives, calls, calls > 0)

    @property
    def recall(self) -> np.ndarray:
        """Share of the positives that are called; NaN where there are none."""
        positives = self.true_positives + self.false_negatives
        return _divide(self.true_positives, positives, positives > 0)


def confusion_at(logits: np.ndarray, labels: np.ndarray, thresholds: np.ndarray) -> Confusion:
    """Count calls, `logit >= threshold`, against labels.

    Args:
        logits: floating, [n_windows, n_tasks].
        labels: 0 or 1, same shape.
        thresholds: float64 [n_tasks]; NaN for a task without one.

    Raises:
        ValueError: the thresholds do not match the tasks; also see `genome_lm.metrics.ranking.check_pair`.
    """
    check_pair(logits, labels)
    n_windows, n_tasks = logits.shape
    if thresholds.shape != (n_tasks,):
        raise ValueError(f"thresholds {thresholds.shape} must be [n_tasks], here ({n_tasks},)")
    called = logits >= thresholds
    undefined = np.isnan(thresholds)

    def counted(windows: np.ndarray) -> np.ndarray:
        return np.where(undefined, np.nan, np.count_nonzero(windows, axis=0))

    calls = counted(called)
    positives = counted(labels)
    called &= labels.astype(bool, copy=False)
    hits = counted(called)
    return Confusion(
        true_positives=hits,
        false_positives=calls - hits,
        false_negatives=positives - hits,
        true_negatives=n_windows - calls - positives + hits,
    )


def _divide(numerator: np.ndarray, denominator: np.ndarray, defined: np.ndarray) -> np.ndarray:
    return np.divide(numerator, denominator, out=np.full(numerator.shape, np.nan), where=defined)
