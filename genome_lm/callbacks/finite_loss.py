"""Stop at the first loss that is no number, instead of training on."""

import lightning as L
import torch
from torch import Tensor

from genome_lm.errors import UserError


class FiniteLoss(L.Callback):
    """Raises at a NaN or infinite loss and names its step.

    On a CPU every step is checked before its gradient is taken. Elsewhere reading the loss would make the
    host wait for the device, so the first bad step is noted on the device and read every `every_n_steps`
    and before each validation, that is before a checkpoint can be written.

    Args:
        every_n_steps: how often the note is read.
        each_step: whether every loss is read at once; None for on a CPU.
    """

    def __init__(self, every_n_steps: int = 50, each_step: bool | None = None) -> None:
        self.every_n_steps = every_n_steps
        self.each_step = each_step
        self._first_bad: Tensor | None = None

    def on_before_backward(self, trainer: L.Trainer, pl_module: L.LightningModule, loss: Tensor) -> None:
        step = trainer.global_step
        bad = ~torch.isfinite(loss.detach())
        if loss.device.type == "cpu" if self.each_step is None else self.each_step:
            if bad:
                raise _stopped(step, trainer)
            return
        if self._first_bad is None:
            self._first_bad = torch.full((), -1, dtype=torch.int64, device=loss.device)
        self._first_bad = torch.where(bad & (self._first_bad < 0), step, self._first_bad)
        if step % self.every_n_steps == 0:
            self._read(trainer)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._read(trainer)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """The last step before a validation may spoil the weights after its own loss was checked."""
        value = trainer.callback_metrics.get("valid/perplexity")
        if value is not None and not torch.isfinite(value):
            raise _stopped(trainer.global_step, trainer)

    def _read(self, trainer: L.Trainer) -> None:
        if self._first_bad is not None and (step := int(self._first_bad)) >= 0:
            raise _stopped(step, trainer)


def _stopped(step: int, trainer: L.Trainer) -> UserError:
    return UserError(
        f"the loss is not finite at step {step} (epoch {trainer.current_epoch + 1}); training stops there. "
        "Lower optimizer.learning_rate or trainer.gradient_clip_norm, or use trainer.precision=float32"
    )
