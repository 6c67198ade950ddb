"""What torchrun or srun says of the processes that it has started, from their environment."""

from collections.abc import Mapping
from dataclasses import dataclass

from genome_lm.choices import Launcher
from genome_lm.errors import UserError


@dataclass(frozen=True)
class Rank:
    """One of the processes that train together.

    Attributes:
        number: from 0, over all nodes.
        world: of processes, over all nodes.
        local: number among those of its node, which is that of its device there.
        per_node: processes of a node.
    """

    number: int
    world: int
    local: int
    per_node: int

    @property
    def nodes(self) -> int:
        """Number of nodes."""
        return self.world // self.per_node


HOW_TO_START = {
    Launcher.torchrun: "torchrun --nproc-per-node 2 train.py trainer=torchrun",
    Launcher.slurm: "srun --nodes 1 --ntasks-per-node 2 genome-lm train trainer=slurm",
}
"""Commands that start two ranks on one node."""


def started_by(environment: Mapping[str, str]) -> Launcher | None:
    """Who has started this process as one of several; None if nobody has.

    A batch script has SLURM's variables of the whole job, so only those that srun sets count.
    """
    if _several(environment, "WORLD_SIZE") and "RANK" in environment:
        return Launcher.torchrun
    if _several(environment, "SLURM_STEP_NUM_TASKS") or (
        _several(environment, "SLURM_NTASKS") and environment.get("SLURM_PROCID", "0") != "0"
    ):
        return Launcher.slurm
    return None


def started_rank(launcher: Launcher, environment: Mapping[str, str]) -> Rank:
    """Which rank this process is.

    Args:
        launcher: torchrun or slurm.
        environment: the process's variables.

    Raises:
        UserError: a variable is missing or no number, or they do not agree.
    """

    def number(name: str, *others: str) -> int:
        for each in (name, *others):
            if (value := environment.get(each)) is not None:
                if not value.isdecimal():
                    raise UserError(f"{each} is {value!r} in the environment; expected a whole number")
                return int(value)
        raise UserError(
            f"trainer.launcher is {launcher.value} and {name} is not set in the environment; "
            f"start the processes by `{HOW_TO_START[launcher]}`, or use trainer=ddp"
        )

    if launcher is Launcher.torchrun:
        rank = Rank(
            number=number("RANK"),
            world=number("WORLD_SIZE"),
            local=number("LOCAL_RANK"),
            per_node=number("LOCAL_WORLD_SIZE"),
        )
    else:
        world, nodes = number("SLURM_NTASKS"), number("SLURM_NNODES", "SLURM_JOB_NUM_NODES")
        if not nodes or world % nodes:
            raise UserError(
                f"srun has started {world} tasks on {nodes} nodes; expected as many on each, one a device: "
                "use --ntasks-per-node"
            )
        rank = Rank(
            number=number("SLURM_PROCID"),
            world=world,
            local=number("SLURM_LOCALID"),
            per_node=world // nodes,
        )
    if not rank.per_node or rank.world % rank.per_node:
        raise UserError(
            f"{launcher.value} has started {rank.world} processes, {rank.per_node} of them on this node; "
            "expected as many on each node, one a device"
        )
    return rank


def _several(environment: Mapping[str, str], name: str) -> bool:
    value = environment.get(name, "")
    return value.isdecimal() and int(value) > 1
