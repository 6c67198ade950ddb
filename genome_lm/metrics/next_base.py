"""Mean cross-entropy of predicted bases, for any Lightning module and any number of ranks."""

from torch import Tensor
from torch.nn.functional import cross_entropy

from genome_lm.metrics.streaming import StreamingMean


class NextBaseCrossEntropy(StreamingMean):
    """Mean cross-entropy over the known bases predicted, in nats; its exp is the perplexity over 4 letters.

    Bases with a code of 4 or more (N) are left out.
    """

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
        self._add(summed.double().sum(), known.sum())
