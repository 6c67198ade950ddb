"""Scores from histograms of the logits of negatives and positives, with bounds on what the bins leave open.

Histograms are int64 [n_tasks, n_bins] by ascending logit. Two windows in different bins are ordered by their
bins; two in the same bin may stand either way, or be tied. An exact score, had the logits been kept, lies
between the worst and the best such order, and each of the two is reached by some logits.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

FULLY_EXPANDED = 256
"""From here on four terms of the harmonic numbers' asymptotic series are exact to 1e-16."""


@dataclass(frozen=True)
class Bounded:
    """A score of each task that the bins leave open, three float64 [n_tasks]: low <= value <= high.

    NaN for a task without positives or without negatives.

    Attributes:
        value: the score if each bin's windows are spread evenly over it.
        low: the score of the worst order within the bins.
        high: that of the best.
    """

    value: Tensor
    low: Tensor
    high: Tensor


def bounded_auroc(negatives: Tensor, positives: Tensor) -> Bounded:
    """AUROC of each task.

    The bounds are apart by the share of the pairs of a positive and a negative that lie within one bin; the
    value is half-way, so its error is at most half that share.
    """
    total = positives.sum(1) * negatives.sum(1)
    won = (positives * (negatives.cumsum(1) - negatives)).sum(1)
    undecided = (positives * negatives).sum(1)
    return Bounded(_ratio(2 * won + undecided, 2 * total), _ratio(won, total), _ratio(won + undecided, total))


def bounded_average_precision(negatives: Tensor, positives: Tensor) -> Bounded:
    """Average precision of each task: the mean over positives of hits/calls at their logit.

    In a bin of p positives and n negatives, with P positives and N negatives in higher bins, it is lowest if
    the negatives come first and no positives are tied: the terms are (P + i) / (P + i + N + n), i = 1 to p.
    It is highest if the positives come first, tied: each has P + p hits of P + p + N calls. The value takes
    half of the negatives and the middle positive, (P + (p+1)/2) / (P + (p+1)/2 + N + n/2).
    """
    hits, missed = _above(positives), _above(negatives)
    best = _ratio(hits + positives, hits + positives + missed)
    middle = hits + (positives.double() + 1) / 2
    even = _ratio(middle, middle + missed + negatives.double() / 2)
    others = missed + negatives
    worst = positives - others * _reciprocals(hits + others, positives)
    total = torch.where(negatives.sum(1) > 0, positives.sum(1), 0)

    def mean(sums: Tensor) -> Tensor:
        return _ratio(torch.where(positives > 0, sums, 0.0).sum(1), total)

    return Bounded(mean(positives * even), mean(worst), mean(positives * best))


def best_f1(negatives: Tensor, positives: Tensor, edges: Tensor) -> tuple[Tensor, Tensor]:
    """The bin edge of the highest F1 of each task and that F1, two float64 [n_tasks].

    A window is called positive at or above the threshold; of several edges with the same F1 the highest is
    taken, and minus infinity calls every window. The F1 is exact at that edge; a threshold within a bin may
    have a higher one. NaN without positives or negatives.

    Args:
        negatives: int64 [n_tasks, n_bins].
        positives: int64 [n_tasks, n_bins].
        edges: float64 [n_bins + 1], from minus to plus infinity.
    """
    hits = _above(positives) + positives
    calls = hits + _above(negatives) + negatives
    total = positives.sum(1)
    f1 = _ratio(2 * hits, calls + total[:, None])
    from_top = f1.nan_to_num(-1).flip(1).argmax(1)  # the first of several
    chosen = positives.shape[1] - 1 - from_top
    defined = (total > 0) & (negatives.sum(1) > 0)
    best = f1.gather(1, chosen[:, None])[:, 0]
    return edges[chosen].where(defined, torch.nan), best.where(defined, torch.nan)


@dataclass(frozen=True)
class CallBounds:
    """Calls at a threshold for each task, and the windows of its bin whose side of it is not known.

    At a bin edge nothing is undecided, and lowest and highest scores are the same.

    Attributes:
        hits: int64 [n_tasks], positives called for certain.
        false_calls: int64 [n_tasks], negatives called for certain.
        undecided_positives: int64 [n_tasks], positives in the threshold's bin.
        undecided_negatives: int64 [n_tasks], negatives there.
        positives: int64 [n_tasks], all positives.
        negatives: int64 [n_tasks], all negatives.
        defined: bool [n_tasks], whether there is a threshold.
    """

    hits: Tensor
    false_calls: Tensor
    undecided_positives: Tensor
    undecided_negatives: Tensor
    positives: Tensor
    negatives: Tensor
    defined: Tensor

    def f1(self) -> tuple[Tensor, Tensor]:
        """Lowest and highest F1, float64 [n_tasks]; NaN without threshold, positives or negatives."""
        defined = self.defined & (self.positives > 0) & (self.negatives > 0)
        most_hits, most_false = self._most()
        low = _ratio(2 * self.hits, self.hits + most_false + self.positives)
        high = _ratio(2 * most_hits, most_hits + self.false_calls + self.positives)
        return low.where(defined, torch.nan), high.where(defined, torch.nan)

    def precision(self) -> tuple[Tensor, Tensor]:
        """Lowest and highest precision, float64 [n_tasks], if any window is called; NaN if none can be."""
        most_hits, most_false = self._most()
        low = _ratio(self.hits, self.hits + most_false)
        high = _ratio(most_hits, most_hits + self.false_calls)
        # With no certain call, the calls may be all of the one kind that is undecided.
        low = low.where((self.hits + most_false > 0) | (most_hits == 0), 1.0)
        high = high.where((most_hits + self.false_calls > 0) | (most_false == 0), 0.0)
        return low.where(self.defined, torch.nan), high.where(self.defined, torch.nan)

    def recall(self) -> tuple[Tensor, Tensor]:
        """Lowest and highest recall, float64 [n_tasks]; NaN without threshold or positives."""
        low, high = _ratio(self.hits, self.positives), _ratio(self._most()[0], self.positives)
        return low.where(self.defined, torch.nan), high.where(self.defined, torch.nan)

    def _most(self) -> tuple[Tensor, Tensor]:
        return self.hits + self.undecided_positives, self.false_calls + self.undecided_negatives


def calls_at(negatives: Tensor, positives: Tensor, edges: Tensor, thresholds: Tensor) -> CallBounds:
    """Count calls, logit at or above the threshold; plus infinity calls nothing.

    Args:
        negatives: int64 [n_tasks, n_bins].
        positives: int64 [n_tasks, n_bins].
        edges: float64 [n_bins + 1], from minus to plus infinity.
        thresholds: float64 [n_tasks]; NaN for a task without one.

    Raises:
        ValueError: the thresholds do not match the tasks.
    """
    n_tasks = len(positives)
    if thresholds.shape != (n_tasks,):
        raise ValueError(f"thresholds {tuple(thresholds.shape)} must be [n_tasks], here ({n_tasks},)")
    thresholds = thresholds.to(edges)
    # The first edge that is not below the threshold: from its bin on, all is called.
    place = torch.searchsorted(edges, thresholds.nan_to_num(0.0, torch.inf, -torch.inf))
    within = edges[place] > thresholds

    def from_bin(histogram: Tensor) -> tuple[Tensor, Tensor]:
        padded = torch.nn.functional.pad(histogram, (0, 1))
        called = _above(padded) + padded
        last = (place - 1).clamp(min=0)[:, None]
        open_bin = histogram.gather(1, last)[:, 0]
        return called.gather(1, place[:, None])[:, 0], torch.where(within, open_bin, 0)

    hits, undecided_positives = from_bin(positives)
    false_calls, undecided_negatives = from_bin(negatives)
    return CallBounds(
        hits,
        false_calls,
        undecided_positives,
        undecided_negatives,
        positives.sum(1),
        negatives.sum(1),
        ~thresholds.isnan(),
    )


def _above(histogram: Tensor) -> Tensor:
    """Windows in higher bins, int64 [n_tasks, n_bins]."""
    return histogram.sum(1, keepdim=True) - histogram.cumsum(1)


def _ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Quotient in float64, NaN where the denominator is 0."""
    return numerator.double() / torch.where(denominator > 0, denominator.double(), torch.nan)


def _reciprocals(after: Tensor, count: Tensor) -> Tensor:
    """1/(after + 1) + ... + 1/(after + count), float64, without subtracting two large logarithms.

    For a small `after`, a difference of digamma functions; else one of asymptotic series of the harmonic
    numbers (Abramowitz and Stegun 1964, 6.3.18) whose logarithms are joined.
    """
    few, many = after.clamp(max=FULLY_EXPANDED).double(), after.clamp(min=FULLY_EXPANDED).double()
    small = torch.digamma(few + count + 1) - torch.digamma(few + 1)
    large = torch.log1p(count / many) + _series(many + count) - _series(many)
    return torch.where(after < FULLY_EXPANDED, small, large)


def _series(number: Tensor) -> Tensor:
    """Harmonic number less logarithm and Euler's constant."""
    square = number**-2
    return (1 / number - square * (1 / 6 - square / 60)) / 2
