"""Per-task scores of any number of windows in memory of a fixed size, for any Lightning module."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torchmetrics import Metric

from genome_lm.metrics.histogram_scores import (
    Bounded,
    CallBounds,
    best_f1,
    bounded_auroc,
    bounded_average_precision,
    calls_at,
)

BLOCK_ELEMENTS = 2**16
"""Bins in one block of tasks: the working memory of the scores does not grow with the number of tasks."""

N_ECE_BINS = 15
UNITS_PER_ONE = 2.0**32
"""Differences of probability and label are summed as whole numbers of this part of 1, in int64."""


@dataclass(frozen=True)
class TaskScores:
    """Scores of each task, [n_tasks], float64 where nothing else is said; NaN where undefined.

    Attributes:
        windows: int64, windows seen (the same for all tasks).
        positives: int64, positives among them.
        auroc: with bounds.
        average_precision: with bounds.
        threshold: bin edge of the highest F1, on the scale of the logits; minus infinity calls every window.
        f1: F1 at that threshold, exact; optimistic, as it is chosen on these same windows.
        cross_entropy: mean binary cross-entropy (log loss), nats, exact.
        brier: Brier score, exact.
        ece: expected calibration error in 15 bins of equal width; exact to 2^-33 (1e-10).
    """

    windows: Tensor
    positives: Tensor
    auroc: Bounded
    average_precision: Bounded
    threshold: Tensor
    f1: Tensor
    cross_entropy: Tensor
    brier: Tensor
    ece: Tensor

    @property
    def n_undefined(self) -> int:
        """Tasks without AUROC, AP and F1: no positives, no negatives, or a logit that was NaN."""
        return int(self.auroc.value.isnan().sum())


class TaskHistograms(Metric):
    """Histograms of the logits of negatives and positives, and sums, of each task.

    All states add up over batches and over ranks. They take 16 n_bins + 136 bytes a task, whatever the
    number of windows: 8.3 kB at 512 bins. Counts are int64 and hold 2^31 windows.

    The bins have equal width on the scale of the logits from `low` to `high`; the outermost also hold all
    that is beyond. The defaults, 512 bins of 1/32 from -12 to 4, are for rare labels: probabilities of 6e-6
    to 0.98. A width that is a power of two makes every logit fall exactly where its value says, whatever its
    type, so that counts at bin edges are those of the logits themselves.

    The result is deterministic: the histograms and calibration sums are integers, which add up to the same in
    any order; the two float64 sums depend on the split into batches in the last digits only.

    Args:
        n_tasks: number of tasks.
        n_bins: bins of each histogram, at least 2.
        low: lower end of the binned range of logits.
        high: upper end.

    Raises:
        ValueError: (high - low) / n_bins is not a power of two, `low` is not a multiple of it, or a number is
            too small.
    """

    is_differentiable = False
    higher_is_better = None
    full_state_update = False

    counts: Tensor
    excess: Tensor
    cross_entropy: Tensor
    squared_error: Tensor

    def __init__(self, n_tasks: int, n_bins: int = 512, low: float = -12.0, high: float = 4.0) -> None:
        super().__init__()
        if n_tasks < 0 or n_bins < 2:
            raise ValueError(f"expected n_tasks >= 0 and n_bins >= 2, got {n_tasks} and {n_bins}")
        width = (high - low) / n_bins
        if not (0 < width < math.inf and math.frexp(width)[0] == 0.5 and (low / width).is_integer()):
            raise ValueError(
                f"{n_bins} bins from {low} to {high} are {width} wide; expected a power of two, and low "
                "a multiple of it"
            )
        self.n_tasks = n_tasks
        self.n_bins = n_bins
        self.low = low
        self.width = width
        # Negatives, positives.
        self.add_state("counts", torch.zeros(2, n_tasks, n_bins, dtype=torch.int64), dist_reduce_fx="sum")
        # Sums of probability less label in bins of probability: all that the calibration error needs.
        self.add_state("excess", torch.zeros(n_tasks, N_ECE_BINS, dtype=torch.int64), dist_reduce_fx="sum")
        for name in ("cross_entropy", "squared_error"):
            self.add_state(name, torch.zeros(n_tasks, dtype=torch.float64), dist_reduce_fx="sum")

    @property
    def edges(self) -> Tensor:
        """float64 [n_bins + 1], on the CPU; the outermost are minus and plus infinity."""
        edges = torch.arange(self.n_bins + 1, dtype=torch.float64) * self.width + self.low
        edges[0], edges[-1] = -torch.inf, torch.inf
        return edges

    def update(self, logits: Tensor, labels: Tensor) -> None:
        """Add a batch. A NaN makes its task's scores NaN.

        Args:
            logits: any floating type, [batch, n_tasks].
            labels: 0 or 1 of any type, same shape.

        Raises:
            ValueError: the shapes differ, or are not [batch, n_tasks].
        """
        if logits.shape != labels.shape:
            raise ValueError(f"logits {tuple(logits.shape)} and labels {tuple(labels.shape)} differ in shape")
        if logits.ndim != 2 or logits.shape[1] != self.n_tasks:
            raise ValueError(f"logits {tuple(logits.shape)} must be [batch, n_tasks], n_tasks {self.n_tasks}")
        positive = labels.bool()
        logits = logits.detach().double()
        task = torch.arange(self.n_tasks, device=logits.device)

        place = (logits / self.width).floor_().nan_to_num_(self.low / self.width)
        place = place.sub_(self.low / self.width).clamp_(0, self.n_bins - 1).long()
        place += task * self.n_bins
        place += positive * (self.n_tasks * self.n_bins)
        self.counts = _writable(self.counts)
        self.counts.view(-1).index_add_(0, place.view(-1), torch.ones_like(place).view(-1))

        probability = logits.sigmoid()
        place = (probability * N_ECE_BINS).nan_to_num_().long().clamp_(max=N_ECE_BINS - 1)
        place += task * N_ECE_BINS
        error = probability - positive.double()
        units = (error * UNITS_PER_ONE).nan_to_num_().round_().long()
        self.excess = _writable(self.excess)
        self.excess.view(-1).index_add_(0, place.view(-1), units.view(-1))

        # For a positive, log(1 + exp(-z)): turning its sign never subtracts two large numbers.
        turned = torch.where(positive, -logits, logits)
        losses = turned.abs().neg_().exp_().log1p_().add_(turned.clamp_(min=0))
        # Half-precision training casts every module, metrics included; the empty sums lose nothing by it.
        self.cross_entropy = self.cross_entropy.double() + losses.sum(0)
        self.squared_error = self.squared_error.double() + error.square_().sum(0)

    def compute(self) -> dict[str, Tensor]:
        """Figures to log, scalars: means over the tasks in which each is defined, NaN if there is none.

        Keys: "auroc" and "ap" (the values between the bounds), "f1" (each task at its best bin edge:
        optimistic), "cross_entropy" (nats), "brier", "ece", and "undefined": how many tasks have no AUROC.
        """
        scores = self._scores()
        return {
            "auroc": scores.auroc.value.nanmean(),
            "ap": scores.average_precision.value.nanmean(),
            "f1": scores.f1.nanmean(),
            "cross_entropy": scores.cross_entropy.nanmean(),
            "brier": scores.brier.nanmean(),
            "ece": scores.ece.nanmean(),
            "undefined": scores.auroc.value.isnan().sum(),
        }

    def per_task(self) -> TaskScores:
        """Scores of each task over all ranks; every rank must call it."""
        with self.sync_context(dist_sync_fn=self.dist_sync_fn):
            return self._scores()

    def calls_at(self, thresholds: Tensor) -> CallBounds:
        """Calls at thresholds, float64 [n_tasks], over all ranks; every rank must call it.

        Exact at bin edges; within a bin, its windows are undecided.

        Raises:
            ValueError: the thresholds do not match the tasks.
        """
        with self.sync_context(dist_sync_fn=self.dist_sync_fn):
            negatives, positives = self.counts
        device = negatives.device
        return calls_at(negatives, positives, self.edges.to(device), thresholds.to(device))

    def _scores(self) -> TaskScores:
        negatives, positives = self.counts
        # A NaN has no place in a histogram: the task loses its counts, and with them its scores.
        seen = ~self.cross_entropy.isnan()[:, None]
        windows = self.counts.sum((0, 2))
        total = torch.where(windows > 0, windows.double(), torch.nan)
        edges = self.edges.to(self.counts.device)
        step = max(1, BLOCK_ELEMENTS // self.n_bins)
        blocks = zip((negatives * seen).split(step), (positives * seen).split(step), strict=True)
        ranked = torch.cat([_ranked(*block, edges) for block in blocks], dim=1)
        ece = self.excess.abs().sum(1).double() / UNITS_PER_ONE / total
        return TaskScores(
            windows=windows,
            positives=positives.sum(1),
            auroc=Bounded(*ranked[0:3]),
            average_precision=Bounded(*ranked[3:6]),
            threshold=ranked[6],
            f1=ranked[7],
            cross_entropy=self.cross_entropy.double() / total,
            brier=self.squared_error.double() / total,
            ece=ece.where(seen[:, 0], torch.nan),
        )


def _ranked(negatives: Tensor, positives: Tensor, edges: Tensor) -> Tensor:
    """AUROC and AP (value, low, high), threshold and F1 of a block of tasks, float64 [8, n_tasks]."""
    auroc = bounded_auroc(negatives, positives)
    precision = bounded_average_precision(negatives, positives)
    bounds = [score for each in (auroc, precision) for score in (each.value, each.low, each.high)]
    return torch.stack([*bounds, *best_f1(negatives, positives, edges)])


def _writable(state: Tensor) -> Tensor:
    """The state, or a copy if it was reset in inference mode and is now to change outside of it."""
    return state.clone() if state.is_inference() and not torch.is_inference_mode_enabled() else state
