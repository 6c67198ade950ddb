"""Mean cross-entropy of predicted bases, for any Lightning module and any number of ranks."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torchmetrics import Metric


class NextBaseCrossEntropy(Metric):
    """Mean cross-entropy over the known bases predicted, in nats; its exp is the perplexity over 4 letters.

    The states are a float64 total and an int64 count, both summed over ranks, so the mean does not depend on
    how bases fall into batches. Bases with a code of 4 or more (N) are left out.
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

    def update(self, logits: Tensor, targets: Tensor) -> None:
        """Add a batch.

        Args:
            logits: any floating type, [..., 4].
            targets: base codes of any integer type, [...].

        Raises:
            ValueError: the shapes do not belong together.
        """
        if logits.shape != (*targets.shape, 4):
            raise ValueError(f"logits {tuple(logits.shape)} and targets {tuple(targets.shape)} do not agree")
        known = targets < 4
        summed = cross_entropy(logits.detach()[known].float(), targets[known].long(), reduction="none")
        # Half-precision training casts every module, metrics included; the empty total loses nothing by it.
        self.total = self.total.double() + summed.double().sum()
        self.count += known.sum()

    def compute(self) -> Tensor:
        """float64 scalar; NaN before the first known base."""
        return self.total / self.count
