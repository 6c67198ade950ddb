"""Signals that ask a training to end: taken note of at once, answered between two batches."""

import signal
import threading
from types import FrameType

import lightning as L

from genome_lm.errors import TERMINATION_SIGNALS


class Termination(L.Callback):
    """Takes the signals while a training runs, instead of Lightning's handlers.

    Those act inside of the handler: with several ranks they start a broadcast there, and a rank that is told
    alone leaves the others waiting; under SLURM they write a checkpoint in the middle of a step. Here a
    handler only takes a note, and `RunCheckpoints` has all ranks agree before the next batch.

    Attributes:
        requested: whether such a signal has come.
    """

    def __init__(self) -> None:
        self.requested = False

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Lightning has set its handlers just now; it puts back those of before at the end."""
        if threading.current_thread() is threading.main_thread():  # only that one may set handlers
            for each in TERMINATION_SIGNALS:
                signal.signal(each, self._take_note)

    def _take_note(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
