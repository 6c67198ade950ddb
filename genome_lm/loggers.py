"""Where the figures of a run go."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger
from lightning.pytorch.utilities import rank_zero_only

from genome_lm.config import LoggerConfig, LoggerName
from genome_lm.curve import CurveLogger
from genome_lm.errors import UserError
from genome_lm.tracking.keys import training_figures
from genome_lm.tracking.record import TENSORBOARD, TensorBoardRecord, WandbRecord, read_record, write_record


@dataclass(frozen=True)
class Before:
    """What an earlier part of the same run has logged up to the checkpoint that it goes on from.

    Attributes:
        rows: of `metrics.csv`.
        step: optimiser steps.
    """

    rows: int
    step: int


def loggers_from(config: LoggerConfig, run_dir: Path, before: Before | None = None) -> list[Logger]:
    """`metrics.csv` in the run folder, and W&B or TensorBoard beside it when chosen.

    Args:
        before: of a run that goes on; it is logged into what that has written.

    Raises:
        UserError: TensorBoard is chosen and not installed.
    """
    loggers: list[Logger] = [CurveLogger(run_dir, 0 if before is None else before.rows)]
    if config.name is LoggerName.wandb:
        loggers.append(_wandb(config, run_dir, goes_on=before is not None))
    elif config.name is LoggerName.tensorboard:
        loggers.append(_tensorboard(run_dir, before))
    return loggers


@rank_zero_only
def begin(loggers: list[Logger], run_dir: Path, settings: Mapping[str, Any]) -> None:
    """Log what the run is, and note in `tracking.json` where, so that an evaluation can add to it.

    Args:
        settings: nested plain values: the configuration, the dataset, where the run comes from.
    """
    for each in loggers:
        each.log_hyperparams(dict(settings))
        if isinstance(each, WandbLogger):
            from genome_lm.tracking.wandb_run import define_metrics, remember

            define_metrics(each.experiment)
            remember(each.experiment, run_dir, settings)
        elif isinstance(each, TensorBoardLogger):
            from genome_lm.tracking.tensorboard_run import declare_settings

            declare_settings(each.experiment, settings)
            write_record(run_dir, TensorBoardRecord(TENSORBOARD))


@rank_zero_only
def log_result(loggers: list[Logger], result: Mapping[str, Any]) -> None:
    """Log the figures of the best epoch and of the whole run, see `training_figures`.

    Args:
        result: the values of `training.json`.
    """
    figures = training_figures(result)
    for each in loggers:
        if isinstance(each, WandbLogger):
            each.experiment.summary.update(figures)
        elif isinstance(each, TensorBoardLogger):
            from genome_lm.tracking.tensorboard_run import log_figures

            log_figures(each.experiment, figures, int(result["best_epoch"]))


def finish(loggers: list[Logger], run_dir: Path, *, failed: bool) -> None:
    """End W&B's run, also after an error: otherwise the next job of a sweep would write into it."""
    if any(isinstance(each, WandbLogger) for each in loggers):
        import wandb

        from genome_lm.tracking.wandb_run import note_step

        try:
            if wandb.run is not None:
                note_step(wandb.run, run_dir)
        finally:
            wandb.finish(exit_code=int(failed))


def _wandb(config: LoggerConfig, run_dir: Path, *, goes_on: bool) -> Logger:
    from genome_lm.tracking.wandb_run import JOB_TYPE, mode

    record = read_record(run_dir) if goes_on else None

    return WandbLogger(
        name=run_dir.name,  # in a sweep "0_gru", "1_lstm": no two of a group are the same
        save_dir=run_dir,
        project=config.project,
        entity=config.entity,
        group=config.group,
        job_type=JOB_TYPE,
        tags=list(config.tags),
        mode=mode(),
        id=record.id if isinstance(record, WandbRecord) else None,
    )


def _tensorboard(run_dir: Path, before: Before | None) -> Logger:
    # TensorBoard then drops what was logged after the checkpoint: it will be again.
    purge_step = None if before is None else before.step
    try:
        return TensorBoardLogger(
            run_dir, name=TENSORBOARD, version="", default_hp_metric=False, purge_step=purge_step
        )
    except ModuleNotFoundError as error:
        raise UserError(
            "logger=tensorboard needs the tensorboard package; pip install 'genome-lm[tensorboard]'"
        ) from error
