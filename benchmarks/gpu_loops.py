"""Two training loops of one network, timed: the program's own, and what one writes first with Lightning."""

import logging
import resource
import threading
import time
import warnings
from dataclasses import dataclass, field

import lightning as L
import numpy as np
import torch
from gpu_models import Benchmarked, description_of, network_for
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset
from torch.utils.flop_counter import FlopCounterMode

from genome_lm.build import module_from
from genome_lm.callbacks.averaged_weights import AveragedWeights
from genome_lm.callbacks.finite_loss import FiniteLoss
from genome_lm.choices import OptimizerKind, Resident, ScheduleKind
from genome_lm.dataset.contents import Dataset
from genome_lm.dataset.datamodule import GenomeDataModule
from genome_lm.dataset.feature_rows import FeatureRows
from genome_lm.dataset.resident import ResidentWindows
from genome_lm.dna import reverse_complement
from genome_lm.network import Network
from genome_lm.optimizer import OptimizerSettings

PLAIN_ADAM = OptimizerSettings(
    OptimizerKind.adam,
    weight_decay=0.0,
    embedding_decay=0.0,
    warmup_fraction=0.0,
    schedule=ScheduleKind.constant,
)


MANY = 10**9
"""Epochs: the timer ends the training."""


@dataclass(frozen=True)
class Setting:
    """How both loops run.

    Attributes:
        device: cpu or cuda.
        precision: Lightning's, such as bf16-mixed.
        batch: windows a step.
        workers: loader processes of the plain loop.
        compile: whether the network is compiled in the program's own loop.
        warm_up: steps before the clock starts.
        seconds: that are timed, at least two steps.
        cpu_clock: speeds by processor seconds, for a machine with other work on it.
    """

    device: str
    precision: str
    batch: int
    workers: int = 0
    compile: bool = False
    warm_up: int = 2
    seconds: float = 5.0
    cpu_clock: bool = False


@dataclass
class Timer(L.Callback):
    """Times steps once they are warm and ends the training when the time is up; steps may cross epochs."""

    setting: Setting
    steps: int = 0
    windows: int = 0
    wall: float = 0.0
    cpu: float = 0.0
    utilisation: list[float] = field(default_factory=list)
    _started: tuple[float, float] | None = None
    _over: threading.Event = field(default_factory=threading.Event)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: object, batch: tuple, batch_idx: int
    ) -> None:
        self.steps += 1
        if self._started is None:
            if self.steps >= self.setting.warm_up:
                self._wait()
                self._started = time.perf_counter(), _cpu_seconds()
                if self.setting.device == "cuda":
                    threading.Thread(target=self._watch, daemon=True).start()
            return
        self.windows += len(batch[0])
        enough = self.steps >= self.setting.warm_up + 2
        if enough and time.perf_counter() - self._started[0] >= self.setting.seconds:
            self._wait()
            self.wall = time.perf_counter() - self._started[0]
            self.cpu = _cpu_seconds() - self._started[1]
            self._over.set()
            trainer.should_stop = True

    @property
    def windows_per_second(self) -> float:
        """By the clock that the setting names."""
        return self.windows / (self.cpu if self.setting.cpu_clock else self.wall)

    def _wait(self) -> None:
        if self.setting.device == "cuda":
            torch.cuda.synchronize()

    def _watch(self) -> None:
        """Percent of the time in which a kernel ran, as the driver has it, every tenth of a second."""
        while not self._over.wait(0.1):
            try:
                self.utilisation.append(float(torch.cuda.utilization()))
            except (ModuleNotFoundError, RuntimeError):  # pynvml is not installed, or finds no driver
                return


def _cpu_seconds() -> float:
    """Of this process and of its ended children: workers are counted once they are gone."""
    usage = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in usage)


def trainer_of(setting: Setting, callbacks: list[L.Callback], **limits: float) -> L.Trainer:
    """A trainer that writes and says nothing."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    warnings.filterwarnings("ignore", message=".*LeafSpec.*is deprecated.*")
    return L.Trainer(
        accelerator="cpu" if setting.device == "cpu" else "gpu",
        devices=1,
        precision=setting.precision,  # type: ignore[arg-type]
        gradient_clip_val=1.0,
        callbacks=callbacks,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        log_every_n_steps=50,
        **limits,  # type: ignore[arg-type]
    )


def rows_of(
    model: Benchmarked, dataset: Dataset, network: Network, device: torch.device
) -> FeatureRows | None:
    """The window features of every window, computed now and kept on the device, as a training keeps them."""
    features = network.window_features
    if not features.width:
        return None
    rows = FeatureRows(dataset, model.context_bp, features.to(device), features.width, keep=True)
    rows.reside(ResidentWindows(dataset, device), np.arange(dataset.n_windows))
    return rows


def own_data(model: Benchmarked, dataset: Dataset, batch: int) -> GenomeDataModule:
    """Batches cut on the device."""
    return GenomeDataModule(
        dataset,
        np.arange(len(dataset.tasks)),
        context_bp=model.context_bp,
        batch_size=batch,
        eval_batch_size=min(512, len(dataset.windows_of("valid"))),
        reverse_complement=model.strands,
        resident=Resident.always,
    )


def own(model: Benchmarked, dataset: Dataset, setting: Setting, rows: FeatureRows | None) -> Timer:
    """The program's own loop: resident data, kept features, fused optimizer, checks and averaged weights."""
    torch.manual_seed(0)
    module = module_from(
        description_of(model, len(dataset.tasks)), PLAIN_ADAM, ["genome_lm"], dataset.positive_rate()
    )
    module.feature_rows = rows
    if setting.compile:
        module.network.compile()
    timer = Timer(setting)
    callbacks = [FiniteLoss(), AveragedWeights(0.99), timer]
    trainer = trainer_of(setting, callbacks, max_epochs=MANY, limit_val_batches=0)
    trainer.fit(module, datamodule=own_data(model, dataset, setting.batch))
    return timer


class PerItem(TorchDataset[tuple[Tensor, ...]]):
    """One window at a time: its bases, its labels, and its window features where the network wants them."""

    def __init__(self, model: Benchmarked, dataset: Dataset, features: Tensor | None) -> None:
        self.model, self.dataset, self.features = model, dataset, features
        self.windows = dataset.windows_of("train")

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        data, window = self.dataset, self.windows[index]
        first = data.offset[window] + (data.window_bp - self.model.context_bp) // 2
        codes = data.sequence[first : first + self.model.context_bp]
        if self.model.strands and torch.rand(()) < 0.5:
            codes = reverse_complement(codes)
        row = np.unpackbits(data.packed_labels[window], count=len(data.tasks), bitorder="little")
        item = torch.from_numpy(codes.copy()), torch.from_numpy(row).float()
        return item if self.features is None else (*item, self.features[window])


class PlainModule(L.LightningModule):
    """The network, its loss and Adam, as in Lightning's first example."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def training_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> Tensor:
        logits = self.network(batch[0], batch[2] if len(batch) > 2 else None)
        loss = nn.functional.binary_cross_entropy_with_logits(logits.float(), batch[1])
        self.log("train_loss", loss, prog_bar=True)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=1e-3)


def plain(model: Benchmarked, dataset: Dataset, setting: Setting, rows: FeatureRows | None) -> Timer:
    """Lightning with a `DataLoader` over single windows; of the same network, precision and clipping."""
    torch.manual_seed(0)
    features = None
    if rows is not None:
        assert rows.resident_rows is not None
        features = rows.resident_rows.cpu()
    loader = DataLoader(
        PerItem(model, dataset, features),
        setting.batch,
        shuffle=True,
        num_workers=setting.workers,
        persistent_workers=setting.workers > 0,
        pin_memory=setting.device == "cuda",
    )
    timer = Timer(setting)
    trainer = trainer_of(setting, [timer], max_epochs=MANY, limit_val_batches=0)
    trainer.fit(PlainModule(network_for(model, len(dataset.tasks))), loader)
    return timer


def flops_of_window(model: Benchmarked, n_tasks: int) -> float:
    """Operations of a training step a window: products and convolutions, a multiply and an add each one.

    Counted on a CPU, where torch's recurrences are products that can be counted; known window features cost
    none.
    """
    network = network_for(model, n_tasks)
    codes = torch.randint(4, (2, model.context_bp), dtype=torch.uint8)
    features = torch.zeros(2, network.window_features.width) if network.window_features.width else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's switch warns of Intel GPUs
        without_onednn = torch.backends.mkldnn.flags(enabled=False)
        with without_onednn, FlopCounterMode(display=False) as counter:
            network(codes, features).sum().backward()
    return counter.get_total_flops() / 2
