"""End a training early that somebody judges by its validation figures."""

from collections.abc import Callable
from typing import Any

import lightning as L


class Pruning(L.Callback):
    """Asks after every validation but the last whether to go on, and ends the training if not.

    The run ends in order after that epoch, with its checkpoints and figures.

    Args:
        monitor: the figure that is judged.
        gives_up: called with the number of epochs trained and the figure after them; true ends the training.

    Attributes:
        given_up: whether the training was ended so.
    """

    def __init__(self, monitor: str, gives_up: Callable[[int, float], bool]) -> None:
        self.monitor = monitor
        self.gives_up = gives_up
        self.given_up = False

    def state_dict(self) -> dict[str, Any]:
        """So that a resumed run that was given up stays so."""
        return {"given_up": self.given_up}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.given_up = state_dict["given_up"]

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.sanity_checking:
            return
        epochs = trainer.current_epoch + 1
        stop = self.gives_up(epochs, float(trainer.callback_metrics[self.monitor]))
        if stop and epochs != trainer.max_epochs:
            self.given_up = True
            trainer.should_stop = True
