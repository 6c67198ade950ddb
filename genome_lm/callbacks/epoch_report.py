"""One line an epoch, and the speed of the training loop."""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import lightning as L
from lightning.pytorch.utilities import rank_zero_only

logger = logging.getLogger(__name__)

_KEPT = ("windows", "seconds", "_waited", "total_windows", "total_seconds", "total_waited")


class EpochReport(L.Callback):
    """Logs a line an epoch, and `train/windows_per_second` and `train/data_wait_share`.

    The wait is the time between the end of one step and the start of the next: fetching the batch and moving
    it to the device, and the overhead of the loop, so it is an upper bound of the time spent on data.

    Args:
        line: the figures of an epoch in words, from what was logged; the speed is added.
    """

    def __init__(self, line: Callable[[Mapping[str, float]], str]) -> None:
        self.line = line
        self.windows = 0
        self.seconds = 0.0
        self.total_windows = 0
        self.total_seconds = 0.0
        self.total_waited = 0.0
        self._waited = 0.0
        self._step_ended = 0.0
        self._epoch_started = 0.0

    def state_dict(self) -> dict[str, Any]:
        """So that a resumed run tells the speed of all that led to its end, and of an epoch as a whole."""
        return {name: getattr(self, name) for name in _KEPT}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for name in _KEPT:
            setattr(self, name, state_dict[name])

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """An epoch that a resumed run ends is not begun again."""
        self._step_ended = time.perf_counter()
        self._epoch_started = self._step_ended - self.seconds

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.windows = 0
        self.seconds = self._waited = 0.0
        self._epoch_started = self._step_ended = time.perf_counter()

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: object, batch_idx: int
    ) -> None:
        self._waited += time.perf_counter() - self._step_ended

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: object, batch: tuple, batch_idx: int
    ) -> None:
        self.windows += len(batch[0]) * trainer.world_size
        self._step_ended = time.perf_counter()
        self.seconds = self._step_ended - self._epoch_started  # each step: max_time may end an epoch early

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.sanity_checking or not self.windows:
            return
        self.total_windows += self.windows
        self.total_seconds += self.seconds
        self.total_waited += self._waited
        pl_module.log("train/windows_per_second", self.windows / self.seconds, rank_zero_only=True)
        pl_module.log("train/data_wait_share", self._waited / self.seconds, rank_zero_only=True)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._say(trainer)

    @property
    def windows_per_second(self) -> float | None:
        """Of the training loop over all epochs; None if no step was timed."""
        return self.total_windows / self.total_seconds if self.total_seconds else None

    @property
    def data_wait_share(self) -> float | None:
        """Of the time of the training loop over all epochs; None if no step was timed."""
        return self.total_waited / self.total_seconds if self.total_seconds else None

    @rank_zero_only
    def _say(self, trainer: L.Trainer) -> None:
        logger.info(
            "epoch %2d/%d   %s   %s windows/s",
            trainer.current_epoch + 1,
            trainer.max_epochs,
            self.line({name: float(value) for name, value in trainer.callback_metrics.items()}),
            f"{self.windows / self.seconds:,.0f}" if self.seconds else "?",
        )
