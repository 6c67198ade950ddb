"""An exponential moving average of the weights, used wherever the network is judged."""

import torch
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor


class AveragedWeights(WeightAveraging):
    """Validates and saves an average of the weights over the latest steps (Polyak and Juditsky 1992).

    After step n the average moves by 1 - min(decay, (1 + n) / (10 + n)) of the way to the weights, so that
    the first, poor ones are soon forgotten. Running statistics are averaged like weights; integer buffers
    are tables or counters, of which an average makes no sense, and are copied. (Lightning's own EMA callback
    averages and rounds them down at every step.)

    Args:
        decay: weight of the past once the beginning is over, 0 < decay < 1.
    """

    def __init__(self, decay: float) -> None:
        def average(averaged: Tensor, current: Tensor, n_averaged: Tensor | int) -> Tensor:
            if not averaged.is_floating_point():
                return current
            weight = min(decay, (1 + int(n_averaged)) / (10 + int(n_averaged)))
            return torch.lerp(averaged, current, 1 - weight)

        super().__init__(use_buffers=True, avg_fn=average)
