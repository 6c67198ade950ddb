"""Train on one device or several: which processes do it, and what each of them is told."""

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from genome_lm import __version__
from genome_lm.choices import Launcher
from genome_lm.config import TrainConfig, TrainerConfig
from genome_lm.errors import UserError
from genome_lm.leaderboard.training import read_training
from genome_lm.ranks.launch import run_together
from genome_lm.ranks.started import HOW_TO_START, Rank, started_by, started_rank

RANK_COMMAND = (sys.executable, "-P", "-m", "genome_lm.commands.train_rank")
"""-P: what is importable is told by PYTHONPATH alone, as in the process that starts it."""


def train_on_devices(config: TrainConfig, run_dir: Path, interactive: bool, command: str) -> float:
    """Train as `genome_lm.commands.train.train` does, on the devices of the configuration.

    Where this command starts the processes they are fresh ones, and none of them is this one: they are given
    the composed configuration and the run folder, not the command line, so that a sweep's job is one job, and
    whatever becomes of them the next job starts anew.

    Returns:
        The validation perplexity of the best epoch; NaN if it is not a number.

    Raises:
        UserError: see `train`; or the processes are not those that the configuration asks for, or one failed.
    """
    trainer = config.trainer
    if trainer.launcher is not Launcher.local:
        rank = started_rank(trainer.launcher, os.environ)
        _count(trainer, rank)
        from genome_lm.commands.strategy import meeting_of
        from genome_lm.commands.train_rank import train_as_rank

        return train_as_rank(rank, meeting_of(trainer.launcher, rank), config, run_dir, interactive, command)
    _check_local(trainer)
    if trainer.devices is None:
        trainer.devices = _gpus(trainer)
    if trainer.devices <= 1:
        from genome_lm.commands.train import train

        return train(config, run_dir, interactive, command).valid_perplexity
    with tempfile.TemporaryDirectory(prefix="genome_lm_") as shared:
        order = {
            "config": plain(config),
            "run_dir": str(run_dir),
            "interactive": interactive,
            "command": command,
        }
        run_together(
            RANK_COMMAND,
            order,
            ranks=trainer.devices,
            shared=Path(shared),
            log_dir=run_dir,
            threads=trainer.threads,
        )
    perplexity = read_training(run_dir).valid_perplexity
    return float("nan") if perplexity is None else perplexity


def plain(config: TrainConfig) -> dict[str, Any]:
    """The configuration as plain values, to be read back by `typed`."""
    content = OmegaConf.to_container(OmegaConf.structured(config), enum_to_str=True)
    assert isinstance(content, dict)
    return {str(key): value for key, value in content.items()}


def typed(content: dict[str, Any]) -> TrainConfig:
    """The configuration from plain values."""
    config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(TrainConfig), content))
    assert isinstance(config, TrainConfig)
    return config


def identity(config: TrainConfig) -> dict[str, Any]:
    """What must be equal on all ranks before they train."""
    return {"version": __version__} | plain(config)


def _count(trainer: TrainerConfig, rank: Rank) -> None:
    """Take devices and nodes from what was started, and refuse other numbers than those."""
    for key, given, found in (
        ("devices", trainer.devices, rank.per_node),
        ("num_nodes", trainer.num_nodes, rank.nodes),
    ):
        if given not in (None, found):
            what = "on each node" if key == "devices" else "as the number of nodes"
            raise UserError(
                f"trainer.{key} is {given}, but {trainer.launcher.value} has started {rank.world} processes, "
                f"{rank.per_node} on each of {rank.nodes} nodes, so it is {found} {what}; leave it out"
            )
    trainer.devices, trainer.num_nodes = rank.per_node, rank.nodes


def _check_local(trainer: TrainerConfig) -> None:
    if trainer.num_nodes not in (None, 1):
        raise UserError(
            f"trainer.num_nodes is {trainer.num_nodes}, and this command starts processes on its own machine "
            f"only; use `{HOW_TO_START[Launcher.torchrun]}` on each node, or trainer=slurm under srun"
        )
    trainer.num_nodes = 1
    if starter := started_by(os.environ):
        raise UserError(
            f"this is one of several processes that {starter.value} has started, and each would train by "
            f"itself; use trainer={starter.value}, or start one process"
        )


def _gpus(trainer: TrainerConfig) -> int:
    """All GPUs of this machine."""
    from genome_lm.commands.device import device_from

    if device_from(trainer.accelerator, "trainer").type == "cpu":
        raise UserError(
            "trainer.devices must be given where there is no GPU: the number of processes, such as "
            "trainer.devices=2"
        )
    import torch

    return torch.cuda.device_count()
