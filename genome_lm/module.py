"""Multitask training: any network with multitask logits, one step shared by training and evaluation."""

from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from genome_lm.choices import TaskWeighting
from genome_lm.collectives import mean_over_ranks
from genome_lm.dataset.batch import Batch
from genome_lm.dataset.feature_rows import FeatureRows
from genome_lm.metrics import MeanCrossEntropy, TaskHistograms, prior_logits
from genome_lm.network import Network, average_strands
from genome_lm.optimizer import OptimizerSettings

LEAST_RATE = 0.01

TRAIN_LOSS = "train_loss"
"""In checkpoints: the sums behind the training perplexity, of the epoch so far."""


class MultitaskModule(L.LightningModule):
    """Trains a network by the mean binary cross-entropy over tasks and examples.

    Logs `train/perplexity`, `valid/perplexity` and `valid/prior_perplexity`: exp of the mean cross-entropy
    in nats over all tasks trained on and all examples of the split, of the network and of the constant
    prediction of the training rates. The training figure is taken while the weights change and with dropout.
    Of the validation split also, as means over the tasks in which they are defined: `valid/auroc`, `valid/ap`
    (from histograms, see `TaskHistograms`), `valid/f1` (each task at its best threshold there: optimistic),
    `valid/brier` and `valid/ece`; and `valid/skill`, 1 - cross-entropy / cross-entropy of the prior.

    Args:
        network: base codes to logits.
        positive_rate: float64 [n_tasks], training rate of positives.
        optimizer: how the weights are changed.
        average_strands: whether evaluation averages the logits of both strands.
        weighting: how much each task counts in the training loss.
        feature_rows: the network's window features, kept by window; None to compute them at every step.
        description: plain dict that makes the checkpoint self-describing; saved under the key "genome_lm".
    """

    weights: Tensor | None

    def __init__(
        self,
        network: Network,
        positive_rate: Tensor,
        optimizer: OptimizerSettings,
        *,
        average_strands: bool,
        description: dict[str, Any],
        weighting: TaskWeighting = TaskWeighting.uniform,
        feature_rows: FeatureRows | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.optimizer_settings = optimizer
        self.average_strands = average_strands
        self.feature_rows = feature_rows
        self.description = description
        prior = torch.as_tensor(prior_logits(positive_rate.double().cpu().numpy()), dtype=torch.float32)
        self.register_buffer("prior", prior, persistent=False)
        weights = task_weights(positive_rate, weighting)
        self.register_buffer(
            "weights", None if weighting is TaskWeighting.uniform else weights, persistent=False
        )
        self.train_loss = MeanCrossEntropy()
        self.valid_loss = MeanCrossEntropy()
        self.valid_prior_loss = MeanCrossEntropy()
        self.valid_tasks = TaskHistograms(len(prior))

    def forward(self, codes: Tensor, features: Tensor | None = None) -> Tensor:
        """Logits, float32 [batch, n_tasks], of base codes, uint8 [batch, length_bp].

        Args:
            codes: base codes.
            features: `window_features` of the codes where they are known already.
        """
        if self.average_strands and not self.training:
            return average_strands(self.network, codes, features)
        logits: Tensor = self.network(codes, features).float()
        return logits

    def _features(self, batch: Batch) -> Tensor | None:
        if self.feature_rows is None:
            return None
        return self.feature_rows(batch.window.numpy(force=True)).to(batch.codes.device)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        logits = self(batch.codes, self._features(batch))
        self.train_loss.update(logits, batch.labels)
        loss = mean_over_ranks(
            nn.functional.binary_cross_entropy_with_logits(
                logits,
                batch.labels.to(logits.dtype),
                self.weights,  # of shape [n_tasks]: the same in each example
            ),
            len(logits),
        )
        self.log("train/loss", loss, batch_size=len(batch.codes))
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        logits = self(batch.codes, self._features(batch))
        self.valid_loss.update(logits, batch.labels)
        self.valid_tasks.update(logits, batch.labels)
        self.valid_prior_loss.update(self.get_buffer("prior").expand(len(batch.labels), -1), batch.labels)

    def on_validation_epoch_end(self) -> None:
        # Sums are reduced over ranks inside compute(), so that the same value is logged on each of them.
        loss, prior_loss = self.valid_loss.compute(), self.valid_prior_loss.compute()
        self.log("valid/perplexity", loss.exp(), prog_bar=True)
        self.log("valid/prior_perplexity", prior_loss.exp())
        self.log("valid/skill", 1 - loss / prior_loss)
        scores = self.valid_tasks.compute()
        for name in ("auroc", "ap", "f1", "brier", "ece"):
            self.log(f"valid/{name}", scores[name])
        for metric in (self.valid_loss, self.valid_prior_loss, self.valid_tasks):
            metric.reset()
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


def task_weights(positive_rate: Tensor, weighting: TaskWeighting) -> Tensor:
    """Weight of each task in the training loss, float32 [n_tasks], of mean 1.

    Args:
        positive_rate: float64 [n_tasks]. Rates below 1% or above 99% count as these: the entropy of the
            rarest tasks is next to nothing and its inverse would drown the others.
        weighting: the rule.
    """
    rate = positive_rate.double().clamp(LEAST_RATE, 1 - LEAST_RATE)
    entropy = -(rate * rate.log() + (1 - rate) * (1 - rate).log())
    power = {
        TaskWeighting.uniform: 0.0,
        TaskWeighting.root_inverse_entropy: -0.5,
        TaskWeighting.inverse_entropy: -1.0,
    }[weighting]
    weights = entropy**power
    return (weights / weights.mean()).float()
