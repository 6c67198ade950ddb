"""How sure the figures of a comparison are: intervals of means and differences, and a test for each task.

Everything here resamples blocks of the genome; thresholds and networks stay as they are, so it says nothing
of how the figures would change with another seed or another choice of thresholds (docs/uncertainty.md).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from genome_lm.evaluation.aligned import BASELINE, MODEL, PRIOR, Aligned
from genome_lm.evaluation.blocks import genome_blocks
from genome_lm.evaluation.bootstrap import (
    draw_weights,
    normal_interval,
    percentile_interval,
    resample_scores,
)
from genome_lm.evaluation.compare import Comparison
from genome_lm.evaluation.significance import PairedTest, paired_f1_test
from genome_lm.evaluation.task_sets import TaskSets
from genome_lm.metrics.cross_entropy import skill

CONDITIONAL_ON = (
    "the tasks, the thresholds, the trained network or networks with their seeds, and the fitted baseline: "
    "windows are resampled, nothing is trained or chosen again"
)

LEAST_BLOCKS = 8
"""With fewer blocks there are no intervals: they would be far too short, and with one block of no width."""

Interval = tuple[float, float]

MEANS = ("f1", "precision", "recall", "auroc", "ap", "brier", "ece")
"""Measures whose mean over tasks gets an interval, besides those that follow from the cross-entropy."""


@dataclass(frozen=True)
class BootstrapSettings:
    """How blocks are resampled.

    Attributes:
        block_bp: lengths of the blocks in bp; the first is used for everything, the others for the test
            split's means once more.
        resamples: for the intervals of means; 0 leaves out all uncertainty.
        test_resamples: for the tests of single tasks.
        level: of the intervals.
        seed: of the draws.
    """

    block_bp: tuple[int, ...] = (100_000, 500_000)
    resamples: int = 1_000
    test_resamples: int = 10_000
    level: float = 0.95
    seed: int = 0


@dataclass(frozen=True)
class SetIntervals:
    """Intervals of one set of tasks."""

    by_measure: dict[str, dict[str, Interval]]  # by measure, then by predictor or "difference"
    wins: Interval
    undefined_resamples: int  # pairs of a task with an F1 and a resample in which it has none


@dataclass(frozen=True)
class SplitUncertainty:
    """Of one split. The lists of intervals follow `TaskSets.masks`."""

    n_blocks: dict[int, int]  # by length of the blocks
    intervals: dict[int, list[SetIntervals]]  # by length; all NaN with fewer than `LEAST_BLOCKS` blocks
    test: PairedTest | None  # of each task, model minus baseline, at the first length; on the test split only


@dataclass(frozen=True)
class Uncertainty:
    """Of a comparison."""

    settings: BootstrapSettings
    splits: dict[str, SplitUncertainty]


def estimate_uncertainty(
    aligned: Aligned, comparison: Comparison, sets: TaskSets, settings: BootstrapSettings
) -> Uncertainty:
    """Bootstrap validation and test.

    Args:
        aligned: the predictions that `comparison` was made from.
        sets: the sets of tasks that get intervals.
        settings: `resamples` is at least 1 here.
    """
    splits = {}
    for split, block_bp in {"valid": settings.block_bp[:1], "test": settings.block_bp}.items():
        labels = aligned.labels(split)
        logits = {name: aligned.logits(split, name) for name in aligned.predictions}
        every = {
            length: genome_blocks(aligned.dataset, aligned.windows(split), length) for length in block_bp
        }
        intervals = {}
        for length, blocks in every.items():
            weights = draw_weights(blocks.n_blocks, settings.resamples, settings.seed)
            resampled = {
                name: resample_scores(values, labels, comparison.thresholds[name], blocks, weights)
                for name, values in logits.items()
            }
            found = [
                _set_intervals(resampled, comparison, split, mask, settings.level) for mask in sets.masks
            ]
            intervals[length] = found if blocks.n_blocks >= LEAST_BLOCKS else [_blank(each) for each in found]
        # On validation, where the thresholds were chosen, a test would say nothing.
        test = None
        if split == "test":
            test = paired_f1_test(
                logits[MODEL],
                logits[BASELINE],
                labels,
                comparison.thresholds[MODEL],
                comparison.thresholds[BASELINE],
                every[settings.block_bp[0]],
                n_resamples=settings.test_resamples,
                level=settings.level,
                seed=settings.seed,
            )
        n_blocks = {length: blocks.n_blocks for length, blocks in every.items()}
        splits[split] = SplitUncertainty(n_blocks, intervals, test)
    return Uncertainty(settings, splits)


def _blank(found: SetIntervals) -> SetIntervals:
    nothing = (math.nan, math.nan)
    by_measure = {measure: dict.fromkeys(values, nothing) for measure, values in found.by_measure.items()}
    return SetIntervals(by_measure, nothing, found.undefined_resamples)


def _set_intervals(
    resampled: Mapping[str, Mapping[str, np.ndarray]],
    comparison: Comparison,
    split: str,
    tasks: np.ndarray,
    level: float,
) -> SetIntervals:
    means = {
        measure: {name: _mean(scores[measure][:, tasks]) for name, scores in resampled.items()}
        for measure in MEANS
    }
    means["precision"] = _precision({name: each["precision"][:, tasks] for name, each in resampled.items()})
    means["ece"] = _unbiased(means["ece"], comparison, split, tasks)
    cross_entropy = {name: _mean(scores["cross_entropy"][:, tasks]) for name, scores in resampled.items()}
    means["perplexity"] = {name: np.exp(values) for name, values in cross_entropy.items()}
    means["bits"] = {name: values / math.log(2) for name, values in cross_entropy.items()}
    means["skill"] = {name: skill(values, cross_entropy[PRIOR]) for name, values in cross_entropy.items()}
    prior = np.where(comparison.has_prior[tasks], resampled[PRIOR]["cross_entropy"][:, tasks], math.nan)
    means["task_skill"] = {
        name: _mean(skill(scores["cross_entropy"][:, tasks], prior)) for name, scores in resampled.items()
    }
    by_measure = {
        measure: {name: percentile_interval(each, level) for name, each in values.items()}
        | {"difference": percentile_interval(values[MODEL] - values[BASELINE], level)}
        for measure, values in means.items()
    }
    difference = resampled[MODEL]["f1"][:, tasks] - resampled[BASELINE]["f1"][:, tasks]
    observed = comparison.f1_difference(split)[tasks]
    defined = ~np.isnan(observed)
    wins = normal_interval(
        float((observed > 0).sum()),
        (difference > 0).sum(axis=1).astype(np.float64),
        level,
        0.0,
        float(defined.sum()),
    )
    return SetIntervals(by_measure, wins, int(np.isnan(difference[:, defined]).sum()))


def _precision(values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """As in `genome_lm.evaluation.figures.Figures`: over the tasks on which model and baseline both call."""
    called = ~np.isnan(values[MODEL]) & ~np.isnan(values[BASELINE])
    count = called.sum(axis=1)
    return {
        name: np.divide(
            np.where(called, precision, 0.0).sum(axis=1),
            count,
            out=np.full(len(precision), math.nan),
            where=count > 0,
        )
        for name, precision in values.items()
    }


def _unbiased(
    values: Mapping[str, np.ndarray], comparison: Comparison, split: str, tasks: np.ndarray
) -> dict[str, np.ndarray]:
    """Mean calibration errors of the resamples, less the bootstrap's estimate of their bias.

    The error adds up absolute values, and resampling adds noise to each: the resampled errors lie above the
    observed one by about as much as that lies above the true one (Efron and Tibshirani 1993, section 10.2).
    Their mean is therefore moved to the observed error.
    """
    shifted = {}
    for name, resampled in values.items():
        observed = comparison.scores[split][name].ece[tasks]
        shifted[name] = np.maximum(resampled - resampled.mean() + observed.mean(), 0.0)
    return shifted


def _mean(values: np.ndarray) -> np.ndarray:
    """Mean over the tasks defined in each resample, float64 [n_resamples]; NaN where there are none."""
    defined = ~np.isnan(values)
    count = defined.sum(axis=1)
    total = np.where(defined, values, 0.0).sum(axis=1)
    return np.divide(total, count, out=np.full(len(values), math.nan), where=count > 0)
