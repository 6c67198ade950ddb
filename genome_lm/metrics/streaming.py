"""Scores gathered batch by batch, for any Lightning module and any number of ranks."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from torchmetrics import Metric


class StreamingMean(Metric):
    """Mean of what subclasses add.

    The states are a float64 total and an int64 count, both summed over ranks, so the mean does not depend on
    how examples fall into batches (the mean of batch means does) nor on the precision of the forward pass.
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False

    total: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def _add(self, summed: Tensor, count: Tensor | int) -> None:
        # Half-precision training casts every module, metrics included; the empty total loses nothing by it.
        self.total = self.total.double() + summed
        self.count += count

    def sums(self) -> dict[str, Tensor]:
        """What was added on all ranks, for a checkpoint; every rank must ask."""
        with self.sync_context():
            return {"total": self.total.detach().clone(), "count": self.count.detach().clone()}

    def restore(self, sums: Mapping[str, Tensor], rank: int) -> None:
        """Go on from `sums` of a checkpoint: what was added then by all ranks counts once, on rank 0."""
        self.reset()
        if not rank:
            self.total += sums["total"].to(self.total)
            self.count += sums["count"].to(self.count)
        self._update_count = int(bool(sums["count"]))
        self._computed = None

    def compute(self) -> Tensor:
        """float64 scalar; NaN before anything was added."""
        return self.total / self.count


class MeanCrossEntropy(StreamingMean):
    """Mean binary cross-entropy over all tasks and examples seen, in nats; its exp is the perplexity."""

    def update(self, logits: Tensor, labels: Tensor) -> None:
        """Add a batch.

        Args:
            logits: any floating type, [batch, n_tasks].
            labels: 0 or 1 of any type, same shape.

        Raises:
            ValueError: the shapes differ.
        """
        if logits.shape != labels.shape:
            raise ValueError(f"logits {tuple(logits.shape)} and labels {tuple(labels.shape)} differ in shape")
        summed = binary_cross_entropy_with_logits(logits.detach().double(), labels.double(), reduction="sum")
        self._add(summed, logits.numel())
