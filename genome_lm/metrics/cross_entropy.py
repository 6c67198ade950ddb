"""Binary cross-entropy in natural logarithms, perplexity, and the constant prediction of the prior."""

import math

import numpy as np

from genome_lm.metrics.ranking import check_pair

BLOCK_ELEMENTS = 2**18

LEAST_RATE = 1e-7
"""Rates are held this far from 0 and 1: one window in ten million, so that no counted rate is touched."""


def binary_cross_entropy_per_task(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Mean binary cross-entropy of each task over its windows, in nats, float64 [n_tasks].

    `log(1 + exp(z)) - y z` without overflow, summed in float64 over blocks of windows. NaN where there are no
    windows.

    Args:
        logits: floating, [n_windows, n_tasks].
        labels: 0 or 1, same shape.

    Raises:
        ValueError: see `genome_lm.metrics.ranking.check_pair`.
    """
    check_pair(logits, labels)
    n_windows, n_tasks = logits.shape
    total = np.zeros(n_tasks)
    step = max(1, BLOCK_ELEMENTS // max(n_tasks, 1))
    for start in range(0, n_windows, step):
        block = logits[start : start + step].astype(np.float64)
        # For a positive, log(1 + exp(-z)): turning its sign never subtracts two large numbers.
        np.negative(block, out=block, where=labels[start : start + step].astype(bool, copy=False))
        total += np.logaddexp(0.0, block).sum(axis=0)
    return total / n_windows if n_windows else np.full(n_tasks, np.nan)


def perplexity(mean_cross_entropy: float) -> float:
    """exp of a mean cross-entropy in nats: 1 if certain, 2 for a fair coin; infinite if too large."""
    try:
        return math.exp(mean_cross_entropy)
    except OverflowError:
        return math.inf


def skill(cross_entropy: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """Share of the prior's cross-entropy that a prediction removes, elementwise, float64.

    1 for certainty, 0 for the prior itself, negative where the prior is better; NaN where the prior's
    cross-entropy is 0. As a skill score in forecasting, with the logarithmic score: Murphy 1973, J. Applied
    Meteorology 12:595 (for the Brier score).
    """
    reference = np.asarray(prior, dtype=np.float64)
    return 1 - np.divide(cross_entropy, reference, out=np.full(reference.shape, np.nan), where=reference > 0)


def prior_logits(positive_rate: np.ndarray, least_rate: float = LEAST_RATE) -> np.ndarray:
    """Logit of each task's positive rate: the best constant prediction, float64 [n_tasks].

    Args:
        positive_rate: [n_tasks] shares of positive windows, counted on the training split.
        least_rate: rates are clipped to [least_rate, 1 - least_rate], so that a task without positives (or
            without negatives) in the training split keeps a finite cross-entropy elsewhere.

    Raises:
        ValueError: a rate outside 0 to 1, or `least_rate` outside 0 to 0.5, exclusive.
    """
    if not 0 < least_rate < 0.5:
        raise ValueError(f"least_rate must lie between 0 and 0.5, got {least_rate}")
    rate = np.asarray(positive_rate, dtype=np.float64)
    if not ((rate >= 0) & (rate <= 1)).all():
        raise ValueError("positive rates must lie between 0 and 1")
    rate = np.clip(rate, least_rate, 1 - least_rate)
    return np.log(rate) - np.log1p(-rate)


def prior_cross_entropy(train_rate: np.ndarray, positive_rate: np.ndarray) -> np.ndarray:
    """Cross-entropy of the prior on a split, in nats, float64 [n_tasks], from positive rates alone.

    Args:
        train_rate: [n_tasks], the rates predicted (those of the training split).
        positive_rate: [n_tasks], the rates of the split that is scored.

    Raises:
        ValueError: see `prior_logits`.
    """
    logits = prior_logits(train_rate)
    rate = np.asarray(positive_rate, dtype=np.float64)
    return rate * np.logaddexp(0.0, -logits) + (1 - rate) * np.logaddexp(0.0, logits)
