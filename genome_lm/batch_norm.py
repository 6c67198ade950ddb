"""Batch normalisation over the whole batch, however many ranks share it."""

import torch
from torch import Tensor, nn

from genome_lm.collectives import sum_over_ranks, world_size


class BatchNorm(nn.BatchNorm1d):
    """Batch normalisation (Ioffe and Szegedy 2015) of vectors, or of channels along a sequence.

    With several ranks mean and variance are those of the examples of all of them, weighted by their counts,
    so that a training is the same as that of one process on the same batches. torch's SyncBatchNorm is that
    on GPUs alone. Parameters and buffers are those of BatchNorm1d, and so are the results of one process. A
    single value a channel has no spread and takes the running statistics.
    """

    def forward(self, values: Tensor) -> Tensor:
        """Normalise values, float [batch, channels] or [batch, channels, length]."""
        if self.training and world_size() > 1:
            return self._over_ranks(values)
        if self.training and values.numel() == values.shape[1]:
            return nn.functional.batch_norm(
                values, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        normalised: Tensor = super().forward(values)
        return normalised

    def _over_ranks(self, values: Tensor) -> Tensor:
        wide = values.float()  # as torch does in half precision
        dims = [0] if values.ndim == 2 else [0, 2]
        # The sum of squares is taken about the common mean, in a second round: it would cancel otherwise.
        counted = wide.new_full((1,), values.numel() // values.shape[1])
        sums = sum_over_ranks(torch.cat([wide.sum(dims), counted]))
        count = sums[-1].detach()
        mean = sums[:-1] / count
        shape = [1, -1] + [1] * (values.ndim - 2)
        centred = wide - mean.view(shape)
        variance = sum_over_ranks(centred.square().sum(dims)) / count
        self._track(mean.detach(), variance.detach() * (count / (count - 1)))
        normalised = centred * (variance + self.eps).rsqrt().view(shape)
        return (normalised * self.weight.view(shape) + self.bias.view(shape)).to(values.dtype)

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor) -> None:
        """Move the running statistics as BatchNorm1d does; a momentum of None is a plain mean of batches."""
        assert self.num_batches_tracked is not None
        assert self.running_mean is not None
        assert self.running_var is not None
        self.num_batches_tracked.add_(1)
        weight = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), weight)
        self.running_var.lerp_(variance.to(self.running_var.dtype), weight)
