"""Where in an epoch a training goes on: the epoch and the batch, kept in checkpoints."""

from typing import Any

import lightning as L


class ResumableLoading(L.LightningDataModule):
    """A data module that knows how many batches of the epoch are trained, and begins there when resumed.

    Batches that loader processes have prepared in advance do not count: Lightning counts those it trained on.

    Attributes:
        first_epoch: of the training's loader to begin with.
        first_batch: in that epoch, over all ranks alike.
    """

    def __init__(self) -> None:
        super().__init__()
        self.first_epoch = 0
        self.first_batch = 0

    def state_dict(self) -> dict[str, Any]:
        assert self.trainer is not None
        loop = self.trainer.fit_loop
        epochs, batches = loop.epoch_progress.current, loop.epoch_loop.batch_progress.current
        within = epochs.processed < epochs.started
        # A batch counts once its step is done; `ready` may be one more when the next is at hand.
        return {"epoch": epochs.processed, "batch": batches.processed if within else 0}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.first_epoch = int(state_dict["epoch"])
        self.first_batch = int(state_dict["batch"])
