"""Train one model: from a composed configuration to a run folder."""

import warnings
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_only

from genome_lm import __version__
from genome_lm.allocator import keep_freed_memory
from genome_lm.build import datamodule_from, dataset_from, module_from, network_with_weights
from genome_lm.callbacks.resident_features import ResidentFeatures
from genome_lm.callbacks.settled_norm import SettledNorm
from genome_lm.checkpoint import VERSION, Description, read_checkpoint
from genome_lm.choices import TaskKind
from genome_lm.collectives import from_first
from genome_lm.commands.acceleration import accelerate
from genome_lm.commands.language_result import LanguageResult
from genome_lm.commands.resume import (
    RESULT,
    ResumePoint,
    check_same_settings,
    finished_result,
    resume_point,
    sole_owner,
)
from genome_lm.commands.session import Session, Undertaking, plain_settings, run, say, silence
from genome_lm.commands.settings import check_settings
from genome_lm.commands.start import start_for
from genome_lm.commands.train_language import train_language
from genome_lm.commands.training_result import TrainResult, training_result
from genome_lm.config import TrainConfig
from genome_lm.dataset.contents import Dataset
from genome_lm.dataset.datamodule import GenomeDataModule
from genome_lm.dataset.feature_rows import FeatureRows, rows_bytes
from genome_lm.dataset.fraction import rate_among, training_windows
from genome_lm.dataset.tasks import choose_tasks
from genome_lm.errors import UserError
from genome_lm.held_out import with_start
from genome_lm.loggers import errors_told_once
from genome_lm.module import MultitaskModule
from genome_lm.naming import task_set_name
from genome_lm.network import Network
from genome_lm.pretrained import start_from
from genome_lm.provenance import provenance
from genome_lm.subnormals import subnormals_as_zeros


def train(
    config: TrainConfig,
    run_dir: Path,
    interactive: bool,
    command: str,
    callbacks: Sequence[L.Callback] = (),
) -> TrainResult | LanguageResult:
    """Train as configured and leave a run folder behind.

    Args:
        config: the composed and resolved configuration, typed by `TrainConfig`.
        run_dir: the run folder; `config.yaml`, `metrics.csv`, `checkpoints/` and `training.json` go there.
        interactive: whether a person watches a terminal (decides on the progress bar when that is null).
        command: the shell command that repeats the run, for the record.
        callbacks: further ones, behind those of every training.

    Raises:
        UserError: the configuration or the data cannot be used, or the loss stops being finite.
    """
    check_settings(config)
    first = rank_zero_only.rank == 0  # type: ignore[attr-defined]
    with sole_owner(run_dir) if first else nullcontext():
        from_first(None)  # the others look once the folder is rank 0's
        if config.resume is not None and (done := _finished(config, run_dir)) is not None:
            return done
        resume = resume_point(config, run_dir)
        return _train(Session(config, run_dir, interactive, provenance(command), callbacks, resume))


def _finished(config: TrainConfig, run_dir: Path) -> TrainResult | LanguageResult | None:
    """The result of a run that is done already."""
    result = finished_result(run_dir, plain_settings(config))
    if result is None:
        return None
    kind = LanguageResult if config.task.name is TaskKind.language_model else TrainResult
    try:
        done = kind(**result)
    except TypeError as error:
        raise UserError(
            f"{run_dir / RESULT} was written by another version of genome_lm; give another run_dir"
        ) from error
    say("done    %s: valid perplexity %.4f; nothing is left to train", run_dir, done.valid_perplexity)
    return done


def _train(session: Session) -> TrainResult | LanguageResult:
    config = session.config
    if config.trainer.keep_freed_memory:
        keep_freed_memory()
    if config.trainer.threads is not None:
        torch.set_num_threads(config.trainer.threads)
    with warnings.catch_warnings(), errors_told_once(), subnormals_as_zeros():
        silence(warnings)
        L.seed_everything(config.seed, workers=True, verbose=False)
        if config.task.name is TaskKind.language_model:
            return train_language(session)
        return _train_multitask(session)


def _train_multitask(session: Session) -> TrainResult:
    config = session.config
    dataset = dataset_from(config.data.path)
    tasks = choose_tasks(
        dataset, config.data.min_positive_rate, config.data.tasks.ids, config.data.tasks.groups
    )
    now = dataset.origin | {"flank_bp": max(0, (config.data.context_bp - dataset.bin_bp) // 2)}
    start, started_from = start_for(config, now, session.resume)
    description = describe(config, dataset, tasks, started_from)
    datamodule = datamodule_from(dataset, tasks, config.data, config.seed)
    module = module_from(
        description,
        config.optimizer,
        config.allowed_packages,
        dataset.positive_rate("train")[tasks],
        config.task.weighting,
    )
    parameters = sum(parameter.numel() for parameter in module.parameters())
    if session.resume is not None:
        _check_resumable(config, description, session.resume)
    elif start is not None:
        start_from(module.network, vars(description), start)
    else:
        module.network.load_sources()
    accelerate(module.network, config.trainer)

    def announce() -> None:
        used, whole = len(datamodule.train_windows), len(dataset.windows_of("train"))
        say(
            "data    %s (%s): %s train and %s valid windows, the middle %d of %s bp",
            dataset.path.name,
            dataset.genome_build,
            f"{used:,}" if used == whole else f"{used:,} of {whole:,}",
            f"{len(dataset.windows_of('valid')):,}",
            description.context_bp,
            f"{dataset.window_bp:,}",
        )
        say("tasks   %s", description.task_set)
        say("model   %s, %s parameters, seed %d", description.model_name, f"{parameters:,}", config.seed)
        if config.model.init_from is not None:
            say("from    %s", config.model.init_from)
        say("run     %s", session.run_dir)
        if session.resume is not None:
            say("resume  %s, %s steps", session.resume.path, f"{session.resume.step:,}")

    module.feature_rows = feature_rows_for(config, module.network, dataset)
    rows = module.feature_rows
    resident = [] if rows is None else [ResidentFeatures(rows, datamodule)]
    settled = _settled_norm(config, module, datamodule)
    return run(
        replace(session, callbacks=(*resident, *settled, *session.callbacks)),
        module,
        datamodule,
        Undertaking(
            settings=description.config,
            facts={
                "task_set": description.task_set,
                "parameters": parameters,
                "dataset": description.dataset,
            },
            line=_line,
            announce=announce,
            gather=lambda finished: training_result(finished, module),
            done=_done,
        ),
    )


def _settled_norm(
    config: TrainConfig, module: MultitaskModule, datamodule: GenomeDataModule
) -> list[L.Callback]:
    """The callback that settles the head's normalisation, where it has one, on windows drawn by the seed."""
    norm = module.network.head.norm
    if norm is None or not config.callbacks.norm_windows:
        return []
    windows = datamodule.train_windows
    n_drawn = min(config.callbacks.norm_windows, len(windows))
    drawn = np.random.default_rng(config.seed).choice(windows, n_drawn, replace=False)
    codes = torch.from_numpy(datamodule.dataset.bases(drawn, datamodule.context_bp))
    features = None if module.feature_rows is None else module.feature_rows(drawn)
    return [SettledNorm(module.network, norm, codes, features, config.data.eval_batch_size)]


def feature_rows_for(config: TrainConfig, network: Network, dataset: Dataset) -> FeatureRows | None:
    """The window features, kept by window if they fit."""
    features = network.window_features
    if not features.width:
        return None
    keep = rows_bytes(dataset, features.width) <= config.data.feature_cache_mib * 2**20
    return FeatureRows(dataset, config.data.context_bp, features, features.width, keep=keep)


def _line(values: Mapping[str, float]) -> str:
    """The figures of an epoch."""
    train, valid, prior, auroc = (
        float(values.get(name, float("nan")))
        for name in ("train/perplexity", "valid/perplexity", "valid/prior_perplexity", "valid/auroc")
    )
    return f"train perplexity {train:.4f}   valid {valid:.4f} (prior {prior:.4f})   AUROC {auroc:.3f}"


def _done(result: TrainResult) -> str:
    return (
        f"valid perplexity {result.valid_perplexity:.4f}, prior {result.valid_prior_perplexity:.4f} "
        f"({result.task_set}); best of {result.epochs} epochs: {result.best_epoch}; "
        f"{result.seconds / 60:.1f} min"
    )


def describe(
    config: TrainConfig, dataset: Dataset, tasks: np.ndarray, started_from: Mapping[str, Any] | None = None
) -> Description:
    """What the checkpoints of this run will say about themselves."""
    table = dataset.tasks.subset(tasks)
    settings = plain_settings(config)
    windows = training_windows(dataset, config.data.train_fraction, config.seed)
    whole = config.data.train_fraction == 1
    rate = dataset.positive_rate("train") if whole else rate_among(dataset, windows)
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
        window_features=settings["window_features"],
        tasks={
            "id": list(table.id),
            "cell": list(table.cell),
            "target": list(table.target),
            "treatment": list(table.treatment),
            "group": list(table.group),
        },
        positive_rate=rate[tasks].tolist(),
        task_set=task_set_name(
            len(tasks),
            len(dataset.tasks),
            0.0 if config.data.tasks.ids else config.data.min_positive_rate,  # ids count whatever their rate
            "chosen by id or group" if config.data.tasks.ids or config.data.tasks.groups else "",
        ),
        dataset=with_start(dataset.origin, started_from)
        | {
            # The embedded dataset is found again wherever the package is installed.
            "path": str(dataset.path.resolve()) if config.data.path else None,
            "window_bp": dataset.window_bp,
            "bin_bp": dataset.bin_bp,
            "train_fraction": config.data.train_fraction,
        },
        config=settings,
    )


def _check_resumable(config: TrainConfig, description: Description, resume: ResumePoint) -> None:
    """A checkpoint to go on from must hold the same network and the same tasks, and leave epochs to train."""
    saved = read_checkpoint(resume.path)
    if resume.exact:
        check_same_settings(resume.config, description.config, resume.path.parents[1])
    parts = ("encoder", "tokenizer", "stem", "strand_encoding", "window_features", "head", "context_bp")
    for name in ("tasks", *parts):
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
    if resume.epochs >= config.trainer.max_epochs and not resume.exact:
        raise UserError(
            f"checkpoint {saved.path} has {resume.epochs} epochs behind it and trainer.max_epochs is "
            f"{config.trainer.max_epochs}; give more to go on"
        )
