"""One line an epoch, and the speed of the training loop."""

import logging
import time

import lightning as L
from lightning.pytorch.utilities import rank_zero_only

logger = logging.getLogger(__name__)


class EpochReport(L.Callback):
    """Logs a line an epoch, and `train/windows_per_second` and `train/data_wait_share`.

    The wait is the time between the end of one step and the start of the next: fetching the batch and moving
    it to the device, and the overhead of the loop, so it is an upper bound of the time spent on data.

    Args:
        task_set: the tasks over which the perplexities run, in words.
    """

    def __init__(self, task_set: str) -> None:
        self.task_set = task_set
        self.windows = 0
        self.seconds = 0.0
        self.total_windows = 0
        self.total_seconds = 0.0
        self.total_waited = 0.0
        self._waited = 0.0
        self._step_ended = 0.0
        self._epoch_started = 0.0

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.windows = 0
        self._waited = 0.0
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

    @rank_zero_only
    def _say(self, trainer: L.Trainer) -> None:
        values = trainer.callback_metrics
        train, valid, prior, auroc = (
            float(values.get(name, float("nan")))
            for name in ("train/perplexity", "valid/perplexity", "valid/prior_perplexity", "valid/auroc")
        )
        logger.info(
            "epoch %2d/%d   train perplexity %.4f   valid %.4f (prior %.4f)   AUROC %.3f   %s windows/s",
            trainer.current_epoch + 1,
            trainer.max_epochs,
            train,
            valid,
            prior,
            auroc,
            f"{self.windows / self.seconds:,.0f}" if self.seconds else "?",
        )
