"""How Lightning trains on several devices, in processes that exist and have met already."""

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


def _environment(launcher: Launcher) -> ClusterEnvironment:
    if launcher is Launcher.slurm:
        return SLURMEnvironment(auto_requeue=False)
    return TorchElasticEnvironment()  # its variables are those that `genome_lm.ranks.launch` sets, too
