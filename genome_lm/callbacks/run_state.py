"""What a checkpoint must hold besides Lightning's state so that a resumed run ends as an undisturbed one."""

import random
import time
from collections.abc import Callable
from enum import StrEnum
from typing import Any

import lightning as L
import numpy as np
import torch

KEY = "run_state"


class Moment(StrEnum):
    """When a checkpoint was taken."""

    batch = "batch"  # before a training batch, the one before it done
    validation = "validation"  # after the last batch of an epoch, its validation not begun
    epoch = "epoch"  # after the validation of an epoch


class RunState(L.Callback):
    """Saves and restores random states, the decision to stop, the time spent, and the length of the curve.

    Lightning goes on from the moments of `Moment` if its counters are as after a batch that is done; what it
    keeps while a batch or a validation begins is set right in the checkpoint.

    Args:
        started: when the run began, as training.json has it.
        rows: flushes the curve to disk and returns its rows.
        exact: whether the same command goes on, so that a run that had decided to stop stays stopped.

    Attributes:
        moment: of the next checkpoint.
    """

    def __init__(self, started: str, rows: Callable[[], int], *, exact: bool) -> None:
        self.started = started
        self.rows = rows
        self.exact = exact
        self.moment = Moment.epoch
        self._loaded: dict[str, Any] | None = None
        self._seconds_before = 0.0
        self._began = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Time spent on the fit, that of earlier parts of the run up to their checkpoints included."""
        return self._seconds_before + time.perf_counter() - self._began

    @property
    def loaded_moment(self) -> Moment | None:
        """Of the checkpoint that the run goes on from, until its random states are restored."""
        return None if self._loaded is None else Moment(self._loaded["moment"])

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        loops = checkpoint["loops"]["fit_loop"]
        if self.moment is Moment.batch:
            progress = loops["epoch_loop.batch_progress"]
            progress["is_last_batch"] = False
            for count in (progress["total"], progress["current"]):
                count["ready"] = count["completed"]
        elif self.moment is Moment.validation:
            # As of a validation whose first batch is not done: Lightning then goes back to it.
            loops["epoch_loop.val_loop.batch_progress"]["total"] = {
                "ready": 1,
                "started": 1,
                "processed": 0,
                "completed": 0,
            }
        checkpoint[KEY] = {
            "moment": self.moment.value,
            "random": _of_all_ranks(_random_state()),
            "should_stop": trainer.should_stop,
            "seconds": self.seconds,
            "started": self.started,
            "rows": self.rows() if trainer.is_global_zero else 0,
        }

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self._loaded = checkpoint.get(KEY)  # None in older ones

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._began = time.perf_counter()
        if self._loaded is not None and self.exact:
            self._seconds_before = self._loaded["seconds"]
            trainer.should_stop = self._loaded["should_stop"]

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._restore(trainer, Moment.batch)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self._restore(trainer, Moment.validation):
            trainer.fit_loop.epoch_loop.val_loop.batch_progress.total.reset()

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._restore(trainer, Moment.epoch)

    def _restore(self, trainer: L.Trainer, moment: Moment) -> bool:
        """Set the random states at the moment when they were saved; nothing at other moments, or twice."""
        if self._loaded is None or self._loaded["moment"] != moment:
            return False
        states = self._loaded["random"]
        if len(states) == trainer.world_size:  # else there is no telling who goes on as whom
            _set_random_state(states[trainer.global_rank])
        self._loaded = None
        return True


def _random_state() -> dict[str, Any]:
    """States of all generators that a training may draw from; plain values and tensors."""
    version, numbers, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state()  # noqa: NPY002 - others may draw from it
    assert isinstance(keys, np.ndarray)
    return {
        "python": [version, list(numbers), gauss],
        "numpy": [name, torch.from_numpy(keys.astype(np.int64)), position, has_gauss, cached],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_initialized() else None,
    }


def _set_random_state(state: dict[str, Any]) -> None:
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))
    name, keys, position, has_gauss, cached = state["numpy"]
    keys = keys.numpy().astype(np.uint32)
    np.random.set_state((name, keys, position, has_gauss, cached))  # noqa: NPY002
    torch.set_rng_state(state["torch"])
    if state["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])


def _of_all_ranks(state: dict[str, Any]) -> list[dict[str, Any]]:
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return [state]
    states: list[dict[str, Any]] = [{} for _ in range(torch.distributed.get_world_size())]
    torch.distributed.all_gather_object(states, state)
    return states
