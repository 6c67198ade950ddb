"""Training as a language model: the loss, and the perplexity beside those of Markov chains."""

from collections.abc import Mapping
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from genome_lm.collectives import mean_over_ranks
from genome_lm.language.datamodule import StretchBatch
from genome_lm.language.network import N_LETTERS, LanguageNetwork, Prediction
from genome_lm.metrics.next_base import NextBaseCrossEntropy
from genome_lm.optimizer import OptimizerSettings

TRAIN_LOSS = "train_loss"
"""In checkpoints: the sums behind the training perplexity, of the epoch so far."""


class LanguageModule(L.LightningModule):
    """Trains a language network by the mean cross-entropy of the predicted bases, averaged over directions.

    Logs `train/perplexity` and `valid/perplexity`: exp of the mean cross-entropy in nats of the bases that
    the forward direction predicts, over the split (Zhang and Kamath 2016); 4 is knowing nothing, 1
    everything. With two directions also `valid/backward_perplexity`, and `valid/both_perplexity`, exp of the
    mean of both cross-entropies. Beside them are those of `rivals` on the same bases as the forward one, as
    `valid/NAME_perplexity`, and `valid/skill`, 1 - cross-entropy / that of the prior. The training figure is
    taken while the weights change.

    Args:
        network: base codes to predictions.
        optimizer: how the weights are changed.
        rivals: validation cross-entropies, nats; "prior", the base frequencies (a Markov chain of order 0),
            is among them.
        description: plain dict that makes the checkpoint self-describing; saved under the key "genome_lm".
    """

    def __init__(
        self,
        network: LanguageNetwork,
        optimizer: OptimizerSettings,
        rivals: Mapping[str, float],
        description: dict[str, Any],
    ) -> None:
        super().__init__()
        self.network = network
        self.optimizer_settings = optimizer
        self.rivals = dict(rivals)
        self.description = description
        self.train_loss = NextBaseCrossEntropy()
        self.forward_loss = NextBaseCrossEntropy()
        self.backward_loss = NextBaseCrossEntropy()

    def training_step(self, batch: StretchBatch, batch_idx: int) -> Tensor:
        ahead, back = self.network(batch.codes)
        self.train_loss.update(*ahead)
        losses = [next_base_loss(each) for each in (ahead, back) if each is not None]
        loss = torch.stack(losses).mean()
        self.log("train/loss", loss, batch_size=len(batch.codes))
        return loss

    def validation_step(self, batch: StretchBatch, batch_idx: int) -> None:
        ahead, back = self.network(batch.codes)
        self.forward_loss.update(*ahead)
        if back is not None:
            self.backward_loss.update(*back)

    def on_validation_epoch_end(self) -> None:
        # Sums are reduced over ranks inside compute(), so that the same value is logged on each of them.
        ahead = self.forward_loss.compute()
        self.log("valid/perplexity", ahead.exp(), prog_bar=True)
        for name, cross_entropy in self.rivals.items():
            self.log(f"valid/{name}_perplexity", torch.tensor(cross_entropy, dtype=torch.float64).exp())
        self.log("valid/skill", 1 - ahead / self.rivals["prior"])
        if self.backward_loss.update_called:
            back = self.backward_loss.compute()
            self.log("valid/backward_perplexity", back.exp())
            self.log("valid/both_perplexity", ((ahead + back) / 2).exp())
            self.backward_loss.reset()
        self.forward_loss.reset()
        if self.train_loss.update_called:  # not when validating alone
            self.log("train/perplexity", self.train_loss.compute().exp())
            self.train_loss.reset()

    def configure_optimizers(self) -> OptimizerLRScheduler:
        return self.optimizer_settings.configured(
            self.network.parameters(),
            self.network.tokenizer.parameters(),
            int(self.trainer.estimated_stepping_batches),
            self.trainer.precision,
        )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["genome_lm"] = self.description
        checkpoint[TRAIN_LOSS] = self.train_loss.sums()  # of an epoch that a resumed training ends

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if TRAIN_LOSS in checkpoint:  # older ones lack it
            self.train_loss.restore(checkpoint[TRAIN_LOSS], self.global_rank)


def next_base_loss(prediction: Prediction) -> Tensor:
    """Mean cross-entropy of the known bases of a prediction, in nats, of all ranks; 0 where none is known."""
    targets = prediction.targets.long()
    summed = nn.functional.cross_entropy(
        prediction.logits.flatten(0, 1).float(),
        targets.flatten(),
        ignore_index=N_LETTERS,  # the code of N
        reduction="sum",
    )
    known = (targets < N_LETTERS).sum()
    return mean_over_ranks(summed / known.clamp(min=1), known)
