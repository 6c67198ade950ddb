"""Statistics of the head's batch normalisation under which the network is judged: without dropout."""

import lightning as L
import torch
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor, nn

from genome_lm.collectives import rank, world_size


class SettledNorm(L.Callback):
    """Measures the running statistics anew before each validation, on training windows.

    In training they are taken of features under dropout, of words above all: a maximum over noisy states is
    larger and its spread wider than over the states that the network is judged by, which moved the logits of
    frequent tasks (perplexity 1.223 against 1.214 of the same weights). With an average of the weights they
    also are of other weights than the average. Goes behind the callback that averages: what is validated is
    then in place. (Izmailov et al. 2018, section 3.2, do the same after averaging.) Several ranks share every
    batch, and the normalisation sums over them.

    Args:
        network: the module's.
        norm: the head's normalisation, which is part of the network.
        codes: base codes of training windows, uint8 [windows, context_bp].
        features: the network's window features of them, float32 [windows, width], where they are known.
        batch_size: windows at once.
    """

    def __init__(
        self,
        network: nn.Module,
        norm: nn.BatchNorm1d,
        codes: Tensor,
        features: Tensor | None,
        batch_size: int,
    ) -> None:
        self.network = network
        self.norm = norm
        self.codes = codes
        self.features = features
        self.batch_size = batch_size

    @torch.no_grad()
    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.state.fn is not TrainerFn.FITTING:
            return
        momentum = self.norm.momentum
        self.norm.reset_running_stats()
        self.norm.momentum = None  # a plain mean over the batches
        self.norm.train()  # this part alone: Lightning has set the module to evaluation
        device = pl_module.device
        # Of one size, since they count alike, and of two or more windows, since one has no spread; and of one
        # or more for each rank.
        ranks = world_size()
        n_batches = min(-(-len(self.codes) // self.batch_size), max(1, len(self.codes) // max(2, ranks)))
        for batch in torch.arange(len(self.codes)).tensor_split(n_batches):
            rows = batch.tensor_split(ranks)[rank()]
            features = None if self.features is None else self.features[rows].to(device)
            with trainer.precision_plugin.forward_context():  # as in validation
                self.network(self.codes[rows].to(device), features)
        self.norm.eval()
        self.norm.momentum = momentum
