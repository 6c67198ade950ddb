"""Train one model: from a composed configuration to a run folder."""

import json
import logging
import time
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import OmegaConf

from genome_lm import __version__
from genome_lm.allocator import keep_freed_memory
from genome_lm.atomic import write_text
from genome_lm.build import datamodule_from, dataset_from, module_from, network_with_weights
from genome_lm.callbacks.averaged_weights import AveragedWeights
from genome_lm.callbacks.epoch_figures import EpochFigures
from genome_lm.callbacks.epoch_report import EpochReport
from genome_lm.callbacks.finite_loss import FiniteLoss
from genome_lm.checkpoint import VERSION, Description, read_checkpoint
from genome_lm.commands.device import device_from
from genome_lm.commands.settings import check_settings
from genome_lm.commands.training_result import TrainResult, training_result
from genome_lm.config import TrainConfig
from genome_lm.dataset.contents import Dataset
from genome_lm.dataset.datamodule import GenomeDataModule
from genome_lm.dataset.tasks import choose_tasks
from genome_lm.errors import UserError
from genome_lm.loggers import begin, finish, log_result, loggers_from
from genome_lm.module import MultitaskModule
from genome_lm.naming import task_set_name
from genome_lm.provenance import Provenance, provenance

logger = logging.getLogger(__name__)

MONITOR = "valid/perplexity"


def train(config: TrainConfig, run_dir: Path, interactive: bool, command: str) -> TrainResult:
    """Train as configured and leave a run folder behind.

    Args:
        config: the composed and resolved configuration, typed by `TrainConfig`.
        run_dir: the run folder; `config.yaml`, `metrics.csv`, `checkpoints/` and `training.json` go there.
        interactive: whether a person watches a terminal (decides on the progress bar when that is null).
        command: the shell command that repeats the run, for the record.

    Raises:
        UserError: the configuration or the data cannot be used, or the loss stops being finite.
    """
    check_settings(config)
    origin = provenance(command)
    if config.trainer.keep_freed_memory:
        keep_freed_memory()
    if config.trainer.threads is not None:
        torch.set_num_threads(config.trainer.threads)
    with warnings.catch_warnings():
        _silence(warnings)
        return _train(config, run_dir, interactive, origin)


def _train(config: TrainConfig, run_dir: Path, interactive: bool, origin: Provenance) -> TrainResult:
    L.seed_everything(config.seed, workers=True, verbose=False)
    dataset = dataset_from(config.data.path)
    tasks = choose_tasks(
        dataset, config.data.min_positive_rate, config.data.tasks.ids, config.data.tasks.groups
    )
    description = describe(config, dataset, tasks)
    datamodule = datamodule_from(dataset, tasks, config.data, config.seed)
    module = module_from(description, config.optimizer, config.allowed_packages)
    parameters = sum(parameter.numel() for parameter in module.parameters())
    if config.ckpt_path is None:
        module.network.load_sources()
    else:
        _check_resumable(config, description)

    _write(run_dir / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(description.config)))
    checkpoints = ModelCheckpoint(
        dirpath=run_dir / "checkpoints",
        filename="best",
        monitor=MONITOR,
        mode="min",
        save_top_k=1,
        enable_version_counter=False,
    )
    report = EpochReport(description.task_set)
    figures = EpochFigures()
    callbacks: list[L.Callback] = [
        FiniteLoss(config.trainer.log_every_n_steps),
        report,
        figures,
        checkpoints,
    ]
    if config.callbacks.save_last:
        # Every epoch: ModelCheckpoint's own save_last only follows where a best one was saved.
        callbacks.append(
            ModelCheckpoint(dirpath=run_dir / "checkpoints", filename="last", enable_version_counter=False)
        )
    if config.callbacks.ema_decay:
        callbacks.append(AveragedWeights(config.callbacks.ema_decay))
    if config.callbacks.early_stopping:
        callbacks.append(
            EarlyStopping(
                MONITOR,
                mode="min",
                patience=config.callbacks.patience,
                min_delta=config.callbacks.min_delta,
                check_finite=False,  # FiniteLoss says more
            )
        )
    loggers = loggers_from(config.logger, run_dir)
    failed = True
    try:
        begin(
            loggers,
            run_dir,
            description.config
            | {
                "task_set": description.task_set,
                "parameters": parameters,
                "dataset": description.dataset,
                "genome_lm_version": __version__,
            }
            | asdict(origin),
        )
        trainer = _trainer(config, run_dir, callbacks, loggers, interactive)
        _announce(config, dataset, description, parameters, run_dir)
        started = time.perf_counter()
        _fit(trainer, module, datamodule, config.ckpt_path)
        seconds = time.perf_counter() - started
        result = training_result(
            run_dir,
            trainer,
            module,
            checkpoints,
            report,
            figures,
            seed=config.seed,
            seconds=seconds,
            origin=origin,
        )
        _leave(run_dir, result)
        log_result(loggers, asdict(result))
        failed = False
    finally:
        finish(loggers, run_dir, failed=failed)
    return result


def _fit(
    trainer: L.Trainer, module: MultitaskModule, datamodule: GenomeDataModule, ckpt_path: str | None
) -> None:
    try:
        trainer.fit(module, datamodule=datamodule, ckpt_path=ckpt_path)
    except SystemExit as error:  # how Lightning answers Ctrl-C
        if trainer.interrupted:
            raise KeyboardInterrupt from error
        raise


def describe(config: TrainConfig, dataset: Dataset, tasks: np.ndarray) -> Description:
    """What the checkpoints of this run will say about themselves."""
    table = dataset.tasks.subset(tasks)
    plain = OmegaConf.to_container(OmegaConf.structured(config), resolve=True, enum_to_str=True)
    assert isinstance(plain, dict)
    settings: dict[str, Any] = {str(key): value for key, value in plain.items()}
    return Description(
        version=VERSION,
        genome_lm_version=__version__,
        model_name=config.model.name,
        tokenizer=settings["tokenizer"],
        encoder=settings["model"]["encoder"],
        head=settings["head"],
        context_bp=config.data.context_bp,
        average_strands=config.average_strands,
        stem=settings["stem"],
        strand_encoding=settings["strand_encoding"],
        tasks={
            "id": list(table.id),
            "cell": list(table.cell),
            "target": list(table.target),
            "treatment": list(table.treatment),
            "group": list(table.group),
        },
        positive_rate=dataset.positive_rate("train")[tasks].tolist(),
        task_set=task_set_name(
            len(tasks),
            len(dataset.tasks),
            0.0 if config.data.tasks.ids else config.data.min_positive_rate,  # ids count whatever their rate
            "chosen by id or group" if config.data.tasks.ids or config.data.tasks.groups else "",
        ),
        dataset={
            # The embedded dataset is found again wherever the package is installed.
            "path": str(dataset.path.resolve()) if config.data.path else None,
            "checksum": dataset.checksum,
            "genome_build": dataset.genome_build,
            "window_bp": dataset.window_bp,
            "bin_bp": dataset.bin_bp,
        },
        config=settings,
    )


def _check_resumable(config: TrainConfig, description: Description) -> None:
    """A checkpoint to go on from must hold the same network and the same tasks, and leave epochs to train."""
    saved = read_checkpoint(Path(str(config.ckpt_path)))
    for name in ("tasks", "encoder", "tokenizer", "stem", "strand_encoding", "head", "context_bp"):
        if getattr(saved.description, name) != getattr(description, name):
            what = "other tasks" if name == "tasks" else f"another {name}"
            raise UserError(
                f"checkpoint {saved.path} was trained with {what} than this configuration; "
                "repeat the settings of its config.yaml, or train anew without ckpt_path"
            )
    if saved.description.dataset.get("checksum") != description.dataset["checksum"]:
        used = description.dataset["path"] or "the embedded one"
        raise UserError(
            f"checkpoint {saved.path} was trained on another dataset than {used}; give that as data.path, "
            "or train anew without ckpt_path"
        )
    network_with_weights(saved, config.allowed_packages)
    if saved.epochs >= config.trainer.max_epochs:
        raise UserError(
            f"checkpoint {saved.path} has {saved.epochs} epochs behind it and trainer.max_epochs is "
            f"{config.trainer.max_epochs}; give more to go on"
        )


def _trainer(
    config: TrainConfig, run_dir: Path, callbacks: list[L.Callback], loggers: list[Any], interactive: bool
) -> L.Trainer:
    settings = config.trainer
    return L.Trainer(
        default_root_dir=run_dir,
        accelerator=device_from(settings.accelerator, "trainer").type,
        devices=settings.devices,
        precision=settings.precision.value,
        max_epochs=settings.max_epochs,
        max_time=settings.max_time,
        gradient_clip_val=settings.gradient_clip_norm or None,
        gradient_clip_algorithm="norm",
        callbacks=callbacks,
        logger=loggers,
        log_every_n_steps=settings.log_every_n_steps,
        limit_train_batches=settings.limit_train_batches,
        limit_val_batches=settings.limit_val_batches,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,  # EpochSampler takes each rank's share itself
        enable_progress_bar=interactive if settings.progress_bar is None else settings.progress_bar,
        enable_model_summary=False,
    )


def _silence(module: Any) -> None:
    """Drop advice that does not apply: batches are cut from memory, so workers would only add copies."""
    module.filterwarnings("ignore", message=".*does not have many workers.*")
    module.filterwarnings("ignore", message=".*exists and is not empty.*")
    module.filterwarnings("ignore", message=".*The dirpath has changed.*")  # a resumed run has its own folder
    module.filterwarnings("ignore", message=".*is smaller than the logging interval.*")
    module.filterwarnings("ignore", message=".*GPU available but not used.*")
    module.filterwarnings("ignore", message=".*LeafSpec.*is deprecated.*")  # Lightning's own use of torch
    module.filterwarnings("ignore", message=".*sync_dist=True.*")  # MeanCrossEntropy is reduced already
    for name in ("lightning.pytorch", "lightning.fabric"):  # their notes on devices and products
        logging.getLogger(name).setLevel(logging.WARNING)


# With several devices each rank runs this file; one of them speaks and writes.
_say = rank_zero_only(logger.info)
_write = rank_zero_only(write_text)


def _announce(
    config: TrainConfig, dataset: Dataset, description: Description, parameters: int, run_dir: Path
) -> None:
    _say(
        "data    %s (%s): %s train and %s valid windows, the middle %d of %s bp",
        dataset.path.name,
        dataset.genome_build,
        f"{len(dataset.windows_of('train')):,}",
        f"{len(dataset.windows_of('valid')):,}",
        description.context_bp,
        f"{dataset.window_bp:,}",
    )
    _say("tasks   %s", description.task_set)
    _say("model   %s, %s parameters, seed %d", description.model_name, f"{parameters:,}", config.seed)
    _say("run     %s", run_dir)


def _leave(run_dir: Path, result: TrainResult) -> None:
    """Write training.json and say how it went."""
    _write(run_dir / "training.json", json.dumps(asdict(result), indent=2) + "\n")
    _say(
        "done    valid perplexity %.4f, prior %.4f (%s); best of %d epochs: %d; %.1f min",
        result.valid_perplexity,
        result.valid_prior_perplexity,
        result.task_set,
        result.epochs,
        result.best_epoch,
        result.seconds / 60,
    )
    _say("        %s", run_dir.absolute() / result.best_checkpoint)
