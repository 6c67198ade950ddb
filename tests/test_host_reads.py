"""What a training step asks the device: nothing between the steps that log and check.

Without a GPU there are two stand-ins. Tensors of the meta device have no values, so whatever asks for one
fails. And on a CPU every read of a value by Python goes through one of a few operations, which are watched.
"""

from itertools import islice
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from genome_lm.callbacks.averaged_weights import AveragedWeights
from genome_lm.callbacks.epoch_report import EpochReport
from genome_lm.callbacks.finite_loss import FiniteLoss
from genome_lm.callbacks.resident_features import ResidentFeatures
from genome_lm.choices import NormKind, Resident
from genome_lm.dataset.batch import Batch
from genome_lm.dataset.datamodule import GenomeDataModule
from genome_lm.dataset.feature_rows import FeatureRows
from genome_lm.dataset.resident import ResidentBatches, ResidentWindows
from genome_lm.encoders.base import Encoder
from genome_lm.encoders.minimal import MinimalEncoder
from genome_lm.encoders.recurrent import RecurrentEncoder
from genome_lm.heads import MultitaskHead, Pooling
from genome_lm.module import MultitaskModule
from genome_lm.network import Network
from genome_lm.optimizer import OptimizerSettings, clip_gradients
from genome_lm.spaced_words import SpacedWordTokenizer
from genome_lm.window_features import WindowFeatures

TASKS = np.array([0, 3, 5, 17])
READS = {
    torch.ops.aten._local_scalar_dense.default,
    torch.ops.aten.equal.default,
    torch.ops.aten.nonzero.default,
    torch.ops.aten.masked_select.default,
}
EVERY = 4


class ShareOfBases(WindowFeatures):
    """The shares of A and T, and of C and G: the same for both strands."""

    def __init__(self) -> None:
        super().__init__()
        self.width = 2
        self.min_bp = 1
        self.register_buffer("of_base", torch.tensor([0, 1, 1, 0, 0]))

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        strong = self.get_buffer("of_base")[codes.int()].float().mean(1)
        return torch.stack([1 - strong, strong], dim=1)


def module_of(dataset, encoder: type[Encoder] = RecurrentEncoder, dropout: float = 0.4) -> MultitaskModule:
    """As in the default model, in small: words, a recurrence, window features, batch norm, dropout."""
    torch.manual_seed(0)
    tokenizer = SpacedWordTokenizer(masks=["11", "101"], words_per_token=5, width=6, word_dropout=dropout)
    network = Network(
        tokenizer,
        encoder(6, hidden_size=4, num_layers=2),
        pooling := Pooling(["centre_max", "mean"], 8 if encoder is RecurrentEncoder else 4, 0.5),
        MultitaskHead(
            pooling.width + 2, torch.full((len(TASKS),), 0.1), dropout=dropout, norm=NormKind.batch
        ),
        input_dropout=dropout / 4,
        window_features=ShareOfBases(),
    )
    return MultitaskModule(
        network,
        torch.full((len(TASKS),), 0.1),
        OptimizerSettings(),
        average_strands=True,
        description={},
        feature_rows=FeatureRows(dataset, 60, network.window_features, 2, keep=True),
    )


def data_of(dataset, resident: Resident) -> GenomeDataModule:
    return GenomeDataModule(
        dataset, TASKS, context_bp=60, batch_size=64, eval_batch_size=64, max_shift_bp=10,
        reverse_complement=True, resident=resident,
    )  # fmt: skip


class Reads(TorchDispatchMode):
    """Notes which operation read a value, and in which step."""

    def __init__(self) -> None:
        super().__init__()
        self.step: int | None = None
        self.found: dict[int, list[str]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if self.step is not None and func in READS:
            self.found.setdefault(self.step, []).append(str(func))
        return func(*args, **(kwargs or {}))


class Watch(L.Callback):
    """Tells `Reads` the step: from the fetch of its batch to that of the next, and nothing of validation."""

    def __init__(self, reads: Reads) -> None:
        self.reads = reads

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.reads.step = trainer.global_step

    def on_validation_start(self, trainer, pl_module):
        self.reads.step = None


def fit(
    module: MultitaskModule, data: GenomeDataModule, folder, each_step: bool, *watch: L.Callback
) -> L.Trainer:
    callbacks = [
        *watch, FiniteLoss(EVERY, each_step), EpochReport(lambda values: ""), AveragedWeights(0.9),
        ResidentFeatures(module.feature_rows, data),
    ]  # fmt: skip
    trainer = L.Trainer(
        accelerator="cpu", max_epochs=2, gradient_clip_val=1.0, callbacks=callbacks, log_every_n_steps=EVERY,
        logger=CSVLogger(folder, flush_logs_every_n_steps=1), enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
        use_distributed_sampler=False, precision="bf16-mixed",
    )  # fmt: skip
    trainer.fit(module, datamodule=data)
    return trainer


quiet = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers.*", "ignore:.*LeafSpec.*is deprecated.*"
)


@quiet
def test_steps_read_nothing_but_where_they_log_and_check(small, tmp_path):
    def watched(each_step: bool) -> dict[int, list[str]]:
        with Reads() as reads:
            trainer = fit(
                module_of(small), data_of(small, Resident.always), tmp_path, each_step, Watch(reads)
            )
        assert trainer.global_step == 22
        return reads.found

    reads = watched(each_step=False)
    checked = set(range(0, 22, EVERY))
    logged = set(range(EVERY - 1, 22, EVERY))
    assert reads  # else the watch sees nothing
    assert set(reads) <= checked | logged
    assert logged <= set(reads)
    # On a CPU, where waiting costs nothing, every loss is read.
    assert set(watched(each_step=True)) == set(range(22))


@quiet
def test_training_from_the_device_is_training_from_the_host(small, tmp_path):
    """Without dropout: torch's loader draws a seed for its workers, which a dropout on a CPU notices."""
    weights = []
    for resident in (Resident.never, Resident.always):
        module = module_of(small, dropout=0.0)
        fit(module, data_of(small, resident), tmp_path, True)
        weights.append(module.state_dict())
    for name, values in weights[0].items():
        torch.testing.assert_close(weights[1][name], values)


@pytest.mark.parametrize("encoder", [RecurrentEncoder, MinimalEncoder])
@pytest.mark.parametrize("keep", [True, False])
def test_a_step_needs_no_value_from_the_device(small, monkeypatch, encoder, keep):
    module = module_of(small, encoder)
    module.feature_rows.keep = keep
    monkeypatch.setattr(module, "log", lambda *_, **__: None)
    meta = torch.device("meta")
    average = AveragedWeights(0.9)
    module.to(meta)
    trainer = type("Trainer", (), {"strategy": type("Strategy", (), {"root_device": meta})})
    average.setup(trainer, module, "fit")
    windows = ResidentWindows(small, meta)
    module.feature_rows.reside(windows, np.arange(100))
    assert (module.feature_rows.resident_rows is not None) == keep
    sampler = data_of(small, Resident.never).train_dataloader().sampler
    check, optimizer = FiniteLoss(EVERY), torch.optim.AdamW(module.parameters())
    batches = ResidentBatches(windows, sampler, TASKS, 30, augmented=True)
    for step, batch in enumerate(islice(batches, 2)):  # slow: torch decomposes recurrences there in Python
        state = type("State", (), {"global_step": 1 + step % (EVERY - 1)})  # no step that reads
        loss = module.training_step(batch, step)
        check.on_before_backward(state, module, loss)
        loss.backward()
        clip_gradients(module, 1.0)
        optimizer.step()
        average._average_model.update_parameters(module)
    with pytest.raises(RuntimeError):  # else the stand-in proves nothing
        check.on_before_backward(type("State", (), {"global_step": EVERY}), module, loss)


def test_features_without_a_device_are_those_of_the_host(small):
    module = module_of(small)
    rows, windows = module.feature_rows, torch.tensor([5, 3, 5])
    batch = Batch(torch.empty(0), torch.empty(0), windows)
    expected = nn.Module.__call__(
        module.network.window_features, torch.from_numpy(small.bases(windows.numpy(), 60))
    )
    torch.testing.assert_close(module._features(batch), expected)
    rows.reside(ResidentWindows(small, torch.device("cpu")), np.array([3, 5]))
    torch.testing.assert_close(module._features(batch), expected)
