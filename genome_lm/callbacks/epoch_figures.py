"""The validation figures of every epoch, so that those of the best one can be told afterwards."""

from typing import Any

import lightning as L

PREFIX = "valid/"


class EpochFigures(L.Callback):
    """Keeps what was logged under `valid/`; `trainer.callback_metrics` holds the last epoch alone.

    Attributes:
        by_epoch: for each epoch validated, counted from 0 as in checkpoints, the figures by name without
            the prefix.
    """

    def __init__(self) -> None:
        self.by_epoch: dict[int, dict[str, float]] = {}

    def state_dict(self) -> dict[str, Any]:
        """So that a resumed run knows the figures of a best epoch that lies behind it."""
        return {"by_epoch": self.by_epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.by_epoch = dict(state_dict["by_epoch"])

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.by_epoch[trainer.current_epoch] = {
            name.removeprefix(PREFIX): float(value)
            for name, value in trainer.callback_metrics.items()
            if name.startswith(PREFIX)
        }
