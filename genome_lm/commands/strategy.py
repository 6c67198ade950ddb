"""How Lightning trains on several devices, in processes that exist and have met already."""

import os
from datetime import timedelta

from lightning.pytorch.plugins.environments import (
    ClusterEnvironment,
    SLURMEnvironment,
    TorchElasticEnvironment,
)
from lightning.pytorch.strategies import DDPStrategy, Strategy

from genome_lm.choices import Launcher
from genome_lm.collectives import world_size
from genome_lm.config import TrainerConfig
from genome_lm.ranks.started import Rank


def strategy_from(config: TrainerConfig) -> str | Strategy:
    """DistributedDataParallel in a process group, and one device outside of one.

    Buffers are not sent around at each step: those that change, of batch normalisation, come from sums and
    are the same on all ranks.
    """
    if world_size() == 1:
        return "auto"
    return DDPStrategy(
        cluster_environment=_environment(config.launcher),
        timeout=timedelta(seconds=config.timeout_seconds),
        broadcast_buffers=False,
    )


def meeting_of(launcher: Launcher, rank: Rank) -> str:
    """Where processes that torchrun or srun has started find each other, as torch's `init_method`."""
    if launcher is Launcher.torchrun:
        return "env://"
    os.environ.setdefault("SLURM_NTASKS_PER_NODE", str(rank.per_node))  # Lightning insists on it
    slurm = SLURMEnvironment(auto_requeue=False)
    return f"tcp://{slurm.main_address}:{slurm.main_port}"


def _environment(launcher: Launcher) -> ClusterEnvironment:
    if launcher is Launcher.slurm:
        return SLURMEnvironment(auto_requeue=False)
    return TorchElasticEnvironment()  # its variables are those that `genome_lm.ranks.launch` sets, too
