"""Means and counts over a set of tasks, with their intervals."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from genome_lm.evaluation.aligned import BASELINE, MODEL, PRIOR
from genome_lm.evaluation.compare import Comparison
from genome_lm.evaluation.significance import PairedTest
from genome_lm.evaluation.uncertainty import Interval, SetIntervals
from genome_lm.metrics.cross_entropy import perplexity, skill

SIGNIFICANT_Q = 0.05


@dataclass(frozen=True)
class Figures:
    """Means and counts over a set of tasks; dictionaries are by predictor.

    Means are over the tasks for which a score is defined, and NaN if there are none. Whether it is depends on
    the labels alone, so every predictor's mean is over the same tasks; precision, which also needs a call, is
    averaged over the tasks for which both model and baseline have one (NaN for a rival that lacks some).
    """

    n_tasks: int
    wins: int  # tasks on which the model's F1 is strictly higher than the baseline's
    ties: int
    losses: int
    significant_wins: int | None  # of the wins, those with q <= SIGNIFICANT_Q; None if nothing was tested
    significant_losses: int | None
    untested: int | None  # tasks with an outcome but without a test: hits in too few blocks
    few_valid_positives: int  # tasks with fewer positives in validation than a threshold needs
    f1: dict[str, float]  # and "difference", model minus baseline
    precision: dict[str, float]
    recall: dict[str, float]
    auroc: dict[str, float]  # and "difference"
    ap: dict[str, float]  # and "difference"
    brier: dict[str, float]
    ece: dict[str, float]
    perplexity: dict[str, float]  # exp of the mean cross-entropy over all tasks and windows
    bits: dict[str, float]  # that mean cross-entropy in bits: of one window, for one task
    skill: dict[str, float]  # share of the prior's mean cross-entropy removed; and "difference"
    task_skill: dict[str, float]  # mean of the tasks' own skills, each counting alike; and "difference"
    undefined: dict[str, int]  # by measure, tasks left out of its mean and of the counts above
    against: dict[
        str, dict[str, float]
    ]  # by rival other than the baseline: wins, ties, losses, f1_difference
    intervals: dict[str, dict[str, dict[str, Interval] | Interval]]  # by block length in bp, then measure
    undefined_resamples: dict[str, int]  # by block length, pairs of a task and a resample without an F1

    @property
    def counted(self) -> int:
        """Tasks with an outcome."""
        return self.wins + self.ties + self.losses

    def interval(self, measure: str, name: str, block_bp: int | None = None) -> Interval | None:
        """An interval, or None where nothing was resampled or it is undefined.

        Args:
            measure: such as "f1", or "wins".
            name: a predictor or "difference"; ignored for "wins".
            block_bp: length of the blocks; the first one by default.
        """
        if not self.intervals:
            return None
        by_measure = self.intervals[str(block_bp) if block_bp else next(iter(self.intervals))]
        found = by_measure[measure]
        interval = found[name] if isinstance(found, dict) else found
        return None if math.isnan(interval[0]) else interval


def figures(
    comparison: Comparison,
    split: str,
    chosen: np.ndarray,
    intervals: Mapping[int, SetIntervals],
    test: PairedTest | None,
) -> Figures:
    """Figures of one split over the tasks chosen.

    Args:
        chosen: bool [n_tasks].
        intervals: by block length, of these tasks; empty if nothing was resampled.
        test: of all tasks of the comparison, or None.
    """
    scores = comparison.scores[split]
    f1, precision, recall, auroc, ap, brier, ece, cross_entropy = (
        {name: getattr(values, measure)[chosen] for name, values in scores.items()}
        for measure in ("f1", "precision", "recall", "auroc", "ap", "brier", "ece", "cross_entropy")
    )
    called = ~np.isnan(precision[MODEL]) & ~np.isnan(precision[BASELINE])
    mean_loss = means(cross_entropy)
    prior = np.array(mean_loss[PRIOR])
    pooled = {name: float(skill(np.array(value), prior)) for name, value in mean_loss.items()}
    task_skill = means({name: comparison.skill(split, name)[chosen] for name in scores})
    differences = {rival: comparison.f1_difference(split, rival)[chosen] for rival in comparison.rivals}
    counted = {rival: outcomes(difference) for rival, difference in differences.items()}
    significant = None if test is None else (test.q[chosen] <= SIGNIFICANT_Q)
    own = differences[BASELINE]
    return Figures(
        n_tasks=int(chosen.sum()),
        wins=counted[BASELINE]["wins"],
        ties=counted[BASELINE]["ties"],
        losses=counted[BASELINE]["losses"],
        significant_wins=None if significant is None else int((significant & (own > 0)).sum()),
        significant_losses=None if significant is None else int((significant & (own < 0)).sum()),
        untested=None if test is None else int((np.isnan(test.q[chosen]) & ~np.isnan(own)).sum()),
        few_valid_positives=int(comparison.few_valid_positives[chosen].sum()),
        f1=means(f1) | {"difference": mean(own)},
        precision={name: mean_of_all(values[called]) for name, values in precision.items()},
        recall=means(recall),
        auroc=means(auroc) | {"difference": mean(auroc[MODEL] - auroc[BASELINE])},
        ap=means(ap) | {"difference": mean(ap[MODEL] - ap[BASELINE])},
        brier=means(brier),
        ece=means(ece),
        perplexity={name: perplexity(value) for name, value in mean_loss.items()},
        bits={name: value / math.log(2) for name, value in mean_loss.items()},
        skill=pooled | {"difference": pooled[MODEL] - pooled[BASELINE]},
        task_skill=task_skill | {"difference": task_skill[MODEL] - task_skill[BASELINE]},
        undefined={
            "f1": int(np.isnan(f1[MODEL]).sum()),
            "auroc": int(np.isnan(auroc[MODEL]).sum()),
            "ap": int(np.isnan(ap[MODEL]).sum()),
            "precision": int((~called).sum()),
            "task_skill": int((~comparison.has_prior[chosen]).sum()),
        },
        against={
            rival: counted[rival] | {"f1_difference": mean(differences[rival])}
            for rival in comparison.rivals
            if rival != BASELINE
        },
        intervals={str(length): {**each.by_measure, "wins": each.wins} for length, each in intervals.items()},
        undefined_resamples={str(length): each.undefined_resamples for length, each in intervals.items()},
    )


def outcomes(difference: np.ndarray) -> dict[str, int]:
    """Wins, ties and losses among differences, [n_tasks]; NaN is none of them."""
    return {
        "wins": int((difference > 0).sum()),
        "ties": int((difference == 0).sum()),
        "losses": int((difference < 0).sum()),
    }


def means(values: Mapping[str, np.ndarray]) -> dict[str, float]:
    """`mean` of every entry."""
    return {name: mean(array) for name, array in values.items()}


def mean(values: np.ndarray) -> float:
    """Mean of what is no NaN; NaN if there is nothing."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else math.nan


def mean_of_all(values: np.ndarray) -> float:
    """Mean; NaN if one of the values is, or if there is nothing."""
    return float(values.mean()) if len(values) else math.nan
