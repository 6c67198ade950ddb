"""Scores of multitask predictions: exact ones on arrays, and ones that stream.

Arrays are [n_windows, n_tasks]; a score that is undefined for a task is NaN.
"""

from genome_lm.metrics.calibration import (
    ECE_EDGES,
    PLOT_EDGES,
    Reliability,
    brier_score_per_task,
    expected_calibration_error,
    reliability,
)
from genome_lm.metrics.cross_entropy import (
    binary_cross_entropy_per_task,
    perplexity,
    prior_cross_entropy,
    prior_logits,
)
from genome_lm.metrics.histogram_scores import Bounded, CallBounds
from genome_lm.metrics.histograms import TaskHistograms, TaskScores
from genome_lm.metrics.ranking import auroc, auroc_and_average_precision, average_precision
from genome_lm.metrics.streaming import MeanCrossEntropy
from genome_lm.metrics.thresholds import Confusion, best_f1_thresholds, confusion_at

__all__ = [
    "ECE_EDGES",
    "PLOT_EDGES",
    "Bounded",
    "CallBounds",
    "Confusion",
    "MeanCrossEntropy",
    "Reliability",
    "TaskHistograms",
    "TaskScores",
    "auroc",
    "auroc_and_average_precision",
    "average_precision",
    "best_f1_thresholds",
    "binary_cross_entropy_per_task",
    "brier_score_per_task",
    "confusion_at",
    "expected_calibration_error",
    "perplexity",
    "prior_cross_entropy",
    "prior_logits",
    "reliability",
]
