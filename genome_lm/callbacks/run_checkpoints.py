"""The checkpoints of a run: the last state, to go on from, and the best one."""

import os
import shutil
import time
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.utilities import rank_zero_only

from genome_lm.atomic import replacing
from genome_lm.callbacks.run_state import Moment, RunState
from genome_lm.callbacks.termination import Termination
from genome_lm.checkpoint_file import load_training
from genome_lm.errors import Terminated

LAST, BEST = "last.ckpt", "best.ckpt"


class RunCheckpoints(Checkpoint):
    """Writes `last.ckpt` and, after an epoch with the lowest figure so far, `best.ckpt`.

    `last.ckpt` is written before the validation of an epoch, after it, and in between if asked for. It comes
    first and already names the best epoch, so whoever goes on from it can put `best.ckpt` right if the
    process was killed between the two. Of a best epoch both are one file with two names, until the next
    `last.ckpt`; each is replaced whole (`genome_lm.checkpoint_io`).

    When a signal asks the training to end (`Termination`), `last.ckpt` is written before the next batch, and
    `Terminated` raised; during a validation at once, since the state before it is saved.

    Args:
        folder: for the files.
        monitor: the figure of which the lowest is best.
        keep_last: whether to write `last.ckpt`; without it there is `best.ckpt` alone.
        every_steps: write it after so many steps too.
        every_seconds: write it before the next batch if it is so old.
        state: told which moment a checkpoint is of.
        termination: takes the signals.
        resumed_from: the checkpoint in `folder` that the run goes on from; None if it begins, or goes on from
            one of another folder, so that its best is the best of the epochs trained here.

    Attributes:
        best_score: the lowest figure; None before the first validation.
        best_epoch: its epoch, counted from 0.
    """

    def __init__(
        self,
        folder: Path,
        monitor: str,
        *,
        keep_last: bool,
        every_steps: int | None,
        every_seconds: float | None,
        state: RunState,
        termination: Termination,
        resumed_from: Path | None,
    ) -> None:
        self.folder = folder
        self.monitor = monitor
        self.keep_last = keep_last
        self.every_steps = every_steps
        self.every_seconds = every_seconds
        self.state = state
        self.termination = termination
        self.resumed_from = resumed_from
        self.best_score: float | None = None
        self.best_epoch = -1
        self._best_step = -1
        self._saved_step = 0
        self._saved_at = time.monotonic()

    @property
    def best_path(self) -> Path:
        """Of the best checkpoint."""
        return self.folder / BEST

    def state_dict(self) -> dict[str, Any]:
        return {"score": self.best_score, "epoch": self.best_epoch, "step": self._best_step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if self.resumed_from is not None:
            self.best_score = state_dict["score"]
            self.best_epoch = state_dict["epoch"]
            self._best_step = state_dict["step"]

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self._saved_step = checkpoint["global_step"]

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Put `best.ckpt` right, or forget a best epoch that is not there to be found."""
        if self.resumed_from is None or self.best_score is None:
            return
        if self._best_step == self._saved_step and self.state.loaded_moment is Moment.epoch:
            self._name_best(self.resumed_from)
        elif not self.best_path.is_file() or _step_of(self.best_path) != self._best_step:
            self.best_score, self.best_epoch, self._best_step = None, -1, -1
        trainer.strategy.barrier()

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._saved_at = time.monotonic()

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: object, batch_idx: int
    ) -> None:
        due = self.keep_last and self._due(trainer)
        if not _any_rank(trainer, due or self.termination.requested):
            return
        ending = _any_rank(trainer, self.termination.requested)
        if trainer.global_step != self._saved_step:
            self._save_last(trainer, pl_module, Moment.batch)
        if ending:
            raise Terminated

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        ending = _any_rank(trainer, self.termination.requested)
        # Not if the time is up in mid-epoch: a resumed run would take that for the end, without validating.
        whole = trainer.fit_loop.epoch_loop.batch_progress.current.ready >= trainer.num_training_batches
        if (self.keep_last or ending) and whole and trainer.global_step != self._saved_step:
            self._save_last(trainer, pl_module, Moment.validation)
        if ending:
            raise Terminated

    def on_validation_batch_start(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        batch: object,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if _any_rank(trainer, self.termination.requested):
            raise Terminated

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        score = trainer.callback_metrics.get(self.monitor)
        better = score is not None and (self.best_score is None or float(score) < self.best_score)
        if better:
            assert score is not None
            self.best_score = float(score)
            self.best_epoch = trainer.current_epoch
            self._best_step = trainer.global_step
        if self.keep_last:
            self._save(trainer, self.folder / LAST, Moment.epoch)
            if better:
                self._name_best(self.folder / LAST)
                trainer.strategy.barrier()
        elif better:
            self._save(trainer, self.best_path, Moment.epoch)

    def _due(self, trainer: L.Trainer) -> bool:
        steps = trainer.global_step - self._saved_step
        by_time = self.every_seconds is not None and time.monotonic() - self._saved_at >= self.every_seconds
        return by_time or (self.every_steps is not None and steps >= self.every_steps)

    def _save_last(self, trainer: L.Trainer, pl_module: L.LightningModule, moment: Moment) -> None:
        """Within an epoch: no validation has seen these weights, so they are looked at here."""
        if all(bool(torch.isfinite(each).all()) for each in pl_module.parameters()):
            self._save(trainer, self.folder / LAST, moment)

    def _save(self, trainer: L.Trainer, path: Path, moment: Moment) -> None:
        self.state.moment = moment
        trainer.save_checkpoint(path, weights_only=False)
        self._saved_step = trainer.global_step
        self._saved_at = time.monotonic()

    @rank_zero_only
    def _name_best(self, source: Path) -> None:
        """Give a checkpoint the name of the best one too; a copy where a file can have but one name."""
        if self.best_path.exists() and self.best_path.samefile(source):
            return
        with replacing(self.best_path) as temporary:
            temporary.unlink()
            try:
                os.link(source, temporary)
            except OSError:
                shutil.copyfile(source, temporary)


def _any_rank(trainer: L.Trainer, decision: bool) -> bool:
    """Whether one rank at least has decided so; every rank must ask."""
    return bool(trainer.strategy.reduce_boolean_decision(decision, all=False))


def _step_of(path: Path) -> int:
    return int(load_training(path)["global_step"])
