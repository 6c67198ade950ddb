"""An exponential moving average of the weights, used wherever the network is judged."""

from collections.abc import Mapping
from itertools import chain
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


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
        super().__init__()
        self.decay = decay

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        # On the device of the training from the start. Lightning would take the module's, which is the host
        # still, and copy all weights there at each step.
        if stage == "fit":
            self._average_model = _Average(pl_module, self.decay, trainer.strategy.root_device)


class _Average(AveragedModel):
    """torch's, with the steps counted on the host, so that no step has to read the count from the device.

    The buffer `n_averaged` counts along for checkpoints.
    """

    def __init__(self, model: nn.Module, decay: float, device: torch.device) -> None:
        super().__init__(model, device=device, use_buffers=True)
        self.decay = decay
        self._steps: int | None = 0

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        self._steps = None  # read once, at the next step
        return super().load_state_dict(state_dict, strict, assign)

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Count a step of `model` and move towards its weights; the first one takes them as they are."""
        steps = int(self.n_averaged) if self._steps is None else self._steps
        weight = min(self.decay, (1 + steps) / (10 + steps))
        averages = chain(self.module.parameters(), self.module.buffers())
        currents = chain(model.parameters(), model.buffers())
        moving: list[Tensor] = []
        targets: list[Tensor] = []
        for average, current in zip(averages, currents, strict=True):
            if average.is_floating_point() and steps:
                moving.append(average)
                targets.append(current)
            else:
                average.copy_(current)
        if moving:
            torch._foreach_lerp_(moving, targets, 1 - weight)
        self.n_averaged += 1
        self._steps = steps + 1
