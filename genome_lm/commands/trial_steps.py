"""A few steps of a training as it is configured, for their memory and time; nothing is written."""

import time
import warnings
from dataclasses import dataclass
from statistics import median
from typing import Any

import lightning as L
import torch

from genome_lm.build import datamodule_from, module_from
from genome_lm.build_language import language_data_from, language_network_from, sequence_from
from genome_lm.callbacks.averaged_weights import AveragedWeights
from genome_lm.commands.device import device_from
from genome_lm.commands.session import silence
from genome_lm.commands.train import describe, feature_rows_for
from genome_lm.commands.train_language import describe as describe_language
from genome_lm.config import TrainConfig
from genome_lm.dataset.contents import Dataset
from genome_lm.dataset.datamodule import EpochSampler, GenomeDataModule
from genome_lm.doctor.peak import peak_growth
from genome_lm.language.datamodule import LanguageDataModule
from genome_lm.language.module import LanguageModule
from genome_lm.optimizer import OptimizerSettings


class StepTimes(L.Callback):
    """Seconds of each step of training or validation, once the device has done it."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._started = 0.0

    def _start(self, pl_module: L.LightningModule) -> None:
        _wait(pl_module.device)
        self._started = time.perf_counter()

    def _end(self, pl_module: L.LightningModule) -> None:
        _wait(pl_module.device)
        self.seconds.append(time.perf_counter() - self._started)

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        self._start(pl_module)

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        self._end(pl_module)

    def on_validation_batch_start(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        self._start(pl_module)

    def on_validation_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        self._end(pl_module)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@dataclass(frozen=True)
class Trial:
    """A training that can be tried.

    Attributes:
        config: how.
        module: fresh weights; they change.
        data: batches; its batch sizes change.
    """

    config: TrainConfig
    module: L.LightningModule
    data: GenomeDataModule | LanguageDataModule

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return device_from(self.config.trainer.accelerator, "trainer")

    @property
    def parameters(self) -> int:
        """Trained parameters."""
        return sum(each.numel() for each in self.module.parameters() if each.requires_grad)

    def windows(self) -> tuple[int, int]:
        """Windows or stretches of an epoch of training, and of validation."""
        loaders = self.data.train_dataloader(), self.data.val_dataloader()
        train, valid = (each.sampler for each in loaders)
        assert isinstance(train, EpochSampler)
        assert isinstance(valid, EpochSampler)
        return len(train.windows), len(valid.windows)

    def train(self, batch_size: int, steps: int) -> tuple[float, int | None]:
        """Train for some steps.

        Returns:
            seconds of a step, the median of all but the first; and the memory that it takes, bytes, None
            where that is unknown.
        """
        self.data.batch_size = batch_size
        times = StepTimes()
        trainer = self._trainer([times], steps, 0)
        memory = self._measured(lambda: trainer.fit(self.module, datamodule=self.data))
        self.module.zero_grad(set_to_none=True)
        return median(times.seconds[1:] or times.seconds), memory

    def validate(self, batch_size: int) -> float:
        """Seconds of one batch of validation."""
        self.data.eval_batch_size = batch_size
        times = StepTimes()
        trainer = self._trainer([times], 1, 1)
        with warnings.catch_warnings():
            silence(warnings)
            trainer.validate(self.module, datamodule=self.data, verbose=False)
        return times.seconds[0]

    def _measured(self, work: Any) -> int | None:
        with warnings.catch_warnings():
            silence(warnings)
            return peak_growth(work, self.device)

    def _trainer(self, callbacks: list[L.Callback], train: int, valid: int) -> L.Trainer:
        settings = self.config.trainer
        if self.config.callbacks.ema_decay and not valid:
            callbacks = [*callbacks, AveragedWeights(self.config.callbacks.ema_decay)]
        with warnings.catch_warnings():
            silence(warnings)
            return L.Trainer(
                accelerator=self.device.type,
                devices=1,
                precision=settings.precision.value,
                max_epochs=1,
                gradient_clip_val=settings.gradient_clip_norm or None,
                callbacks=callbacks,
                logger=False,
                limit_train_batches=train,
                limit_val_batches=valid,
                num_sanity_val_steps=0,
                use_distributed_sampler=False,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
            )


def trial_of_labels(config: TrainConfig, dataset: Dataset, tasks: Any) -> Trial:
    """A multitask training on a dataset that is open.

    Args:
        tasks: indices of the tasks, int64.

    Raises:
        UserError: the configuration cannot be used with this data.
    """
    data = datamodule_from(dataset, tasks, config.data, config.seed)
    module = module_from(
        describe(config, dataset, tasks),
        config.optimizer,
        config.allowed_packages,
        dataset.positive_rate("train")[tasks],
        config.task.weighting,
    )
    module.feature_rows = feature_rows_for(config, module.network, dataset)
    return Trial(config, module, data)


def trial_of_sequence(config: TrainConfig, optimizer: OptimizerSettings) -> Trial:
    """A training of a language model.

    Raises:
        UserError: the configuration or the sequence cannot be used.
    """
    sequence = sequence_from(config.task, config.data)
    description = describe_language(config, sequence)
    network = language_network_from(description, config.allowed_packages)
    data = language_data_from(sequence, config.data, config.seed)
    return Trial(config, LanguageModule(network, optimizer, {"prior": 1.0}, description.as_dict()), data)
