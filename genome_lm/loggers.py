"""Where the figures of a run go."""

import os
from pathlib import Path

from lightning.pytorch.loggers import CSVLogger, Logger

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


def finish(loggers: list[Logger]) -> None:
    """End W&B's run, also after an error: otherwise the next job of a sweep would write into it."""
    for each in loggers:
        if type(each).__name__ == "WandbLogger":
            import wandb

            wandb.finish()


def _wandb(config: LoggerConfig, run_name: str, run_dir: Path) -> Logger:
    import wandb
    from lightning.pytorch.loggers import WandbLogger

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
    from lightning.pytorch.loggers import TensorBoardLogger

    try:
        return TensorBoardLogger(run_dir, name="tensorboard", version="")
    except ModuleNotFoundError as error:
        raise UserError(
            "logger=tensorboard needs the tensorboard package; pip install 'genome-lm[tensorboard]'"
        ) from error
