"""Where the figures of a run go."""

import os
from pathlib import Path

from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger, WandbLogger

from genome_lm.config import LoggerConfig, LoggerName
from genome_lm.errors import UserError


def loggers_from(config: LoggerConfig, run_name: str, run_dir: Path) -> list[Logger]:
    """`metrics.csv` in the run folder, and W&B or TensorBoard beside it when chosen.

    Raises:
        UserError: TensorBoard is chosen and not installed.
    """
    loggers: list[Logger] = [CSVLogger(run_dir, name="", version="")]
    if config.name is LoggerName.wandb:
        loggers.append(_wandb(config, run_name, run_dir))
    elif config.name is LoggerName.tensorboard:
        loggers.append(_tensorboard(run_dir))
    return loggers


def finish(loggers: list[Logger], *, failed: bool) -> None:
    """End W&B's run, also after an error: otherwise the next job of a sweep would write into it."""
    if any(isinstance(each, WandbLogger) for each in loggers):
        import wandb

        wandb.finish(exit_code=int(failed))


def _wandb(config: LoggerConfig, run_name: str, run_dir: Path) -> Logger:
    import wandb

    mode = os.environ.get("WANDB_MODE") or ("online" if wandb.api.api_key else "offline")
    return WandbLogger(
        name=run_name,
        save_dir=run_dir,
        project=config.project,
        entity=config.entity,
        group=config.group,
        tags=list(config.tags),
        mode=mode,
    )


def _tensorboard(run_dir: Path) -> Logger:
    try:
        return TensorBoardLogger(run_dir, name="tensorboard", version="")
    except ModuleNotFoundError as error:
        raise UserError(
            "logger=tensorboard needs the tensorboard package; pip install 'genome-lm[tensorboard]'"
        ) from error
