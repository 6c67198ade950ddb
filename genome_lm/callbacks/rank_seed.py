"""Dropout of its own on each rank, and the same again when a run is repeated or resumed."""

import lightning as L
import numpy as np
import torch

from genome_lm.collectives import rank, world_size


class RankSeed(L.Callback):
    """Seeds torch's generators before each step by (seed, step, rank) where several ranks train.

    All draw the same initial weights from the same seed, and would go on to drop the same features of
    different examples. One process is left as it is.

    Args:
        seed: of the run.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: object, batch_idx: int
    ) -> None:
        if world_size() > 1:
            drawn = np.random.SeedSequence([self.seed, trainer.global_step, rank()])
            torch.manual_seed(int(drawn.generate_state(1)[0]))
