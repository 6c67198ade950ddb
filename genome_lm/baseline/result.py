"""What a baseline fit leaves behind."""

import math
from dataclasses import dataclass

import numpy as np

from genome_lm.baseline.kmers import LONGEST_K, Strands
from genome_lm.choices import PenaltyChoice


@dataclass(frozen=True)
class BaselineFit:
    """K-mer logistic regressions of some tasks at one context, and their logits on validation and test.

    Per-task arrays are float64 [n_tasks] unless stated.
    """

    dataset_checksum: str
    task_ids: tuple[str, ...]
    context_bp: int
    strands: Strands
    choice: PenaltyChoice

    window: np.ndarray
    """Dataset window indices of the logits' rows, int64 [n_windows], ascending."""
    split: np.ndarray
    """uint8 [n_windows], codes as in `genome_lm.dataset.format.SPLITS`."""
    logits: np.ndarray
    """float32 [n_windows, n_tasks]."""

    coefficients: np.ndarray
    """Of standardised counts, float32 [n_features, n_tasks]."""
    intercepts: np.ndarray
    feature_mean: np.ndarray
    """float64 [n_features]."""
    feature_scale: np.ndarray
    """float64 [n_features]."""

    penalty: np.ndarray
    """C."""
    path_penalties: np.ndarray
    """The grid that C was chosen from, float64 [n_penalties]; empty under `PenaltyChoice.poster`."""
    path_cross_entropy: np.ndarray
    """Mean validation cross-entropy, float64 [n_penalties, n_tasks]; NaN where no fit was made."""
    valid_cross_entropy: np.ndarray
    """Mean validation cross-entropy of the final fit, nats."""
    objective: np.ndarray
    gradient_norm: np.ndarray
    relative_gradient_norm: np.ndarray
    """As in `genome_lm.baseline.logistic.LogisticFit`, like the following."""
    iterations: np.ndarray
    converged: np.ndarray
    single_class: np.ndarray
    seconds: float
    """Wall time of counting, choosing and fitting, on the machine that made the fit."""

    @property
    def valid_perplexity(self) -> float:
        """exp of the mean validation cross-entropy over the tasks."""
        return math.exp(float(self.valid_cross_entropy.mean()))

    @property
    def n_unconverged(self) -> int:
        """Tasks that stopped short of the optimum, those without a finite one left out."""
        return int(np.count_nonzero(~self.converged & ~self.single_class))

    @property
    def description(self) -> str:
        """For tables, such as "1- to 5-mer logistic regression, 200 bp, both strands, C per task"."""
        strands = {Strands.FORWARD: "one strand", Strands.SUMMED: "both strands"}[self.strands]
        choice = {
            PenaltyChoice.per_task: "C per task",
            PenaltyChoice.overall: "one C",
            PenaltyChoice.poster: "C = 1e6",
        }[self.choice]
        return f"1- to {LONGEST_K}-mer logistic regression, {self.context_bp} bp, {strands}, {choice}"


@dataclass(frozen=True)
class ContextComparison:
    """Baseline fits of the same tasks at several contexts."""

    fits: tuple[BaselineFit, ...]
    """In the order asked for."""

    @property
    def best(self) -> BaselineFit:
        """The fit of the lowest validation perplexity."""
        return min(self.fits, key=lambda fit: fit.valid_perplexity)

    def at(self, context_bp: int) -> BaselineFit:
        """The fit at one context; KeyError if it is not among the fits."""
        return {fit.context_bp: fit for fit in self.fits}[context_bp]
