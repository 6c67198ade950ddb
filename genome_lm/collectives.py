"""Sums over the ranks of a training on several devices; of one process, they change nothing."""

from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

Value = TypeVar("Value")


def world_size() -> int:
    """Number of ranks that train together; 1 without a process group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Number of this one of them; 0 without a process group."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


class _Sum(torch.autograd.Function):
    """All-reduce whose gradient is the sum of the ranks' gradients: each rank's loss depends on the sum.

    torch.distributed.nn.functional.all_reduce does the same and is deprecated since torch 2.13.
    """

    @staticmethod
    def forward(context: Any, tensor: Tensor) -> Tensor:
        summed = tensor.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(summed)
        return summed

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        summed = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(summed)
        return summed


def sum_over_ranks(tensor: Tensor) -> Tensor:
    """The sum of a floating tensor over all ranks, of the same shape on each, with its gradient."""
    summed: Tensor = _Sum.apply(tensor) if world_size() > 1 else tensor
    return summed


def mean_over_ranks(mean: Tensor, count: Tensor | int) -> Tensor:
    """The mean over the examples of all ranks, from the mean over this rank's own.

    The value is the same on every rank, so that whoever checks or logs it (a loss that is not finite on one
    of them, say) decides alike on all. The gradient is that of this rank's examples times the number of
    ranks: their average, which DistributedDataParallel takes, is the gradient of the mean over all examples,
    however unequal the ranks' shares are.

    Args:
        mean: scalar.
        count: examples that this rank's mean is over; with none it is to be 0.
    """
    ranks = world_size()
    if ranks == 1:
        return mean
    own = torch.as_tensor(count, dtype=torch.float64, device=mean.device)
    total = torch.stack([mean.detach().double() * own, own])
    dist.all_reduce(total)
    summed, counted = total[0], total[1].clamp(min=1)
    share = mean * (own * ranks / counted).to(mean.dtype)
    return share + ((summed / counted).to(mean.dtype) - share).detach()


def from_first(value: Value) -> Value:
    """Rank 0's value, on every rank; of anything that can be pickled."""
    if world_size() == 1:
        return value
    values = [value]
    dist.broadcast_object_list(values, src=0)
    return values[0]
