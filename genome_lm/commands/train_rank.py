"""One rank of a training: meets the others, agrees with them, and trains."""

import os
from pathlib import Path
from typing import Any

from genome_lm.collectives import from_first
from genome_lm.commands.device import device_from
from genome_lm.commands.several import identity, typed
from genome_lm.commands.train import train
from genome_lm.config import TrainConfig
from genome_lm.errors import UserError
from genome_lm.ranks.group import check_agreement, joined
from genome_lm.ranks.started import Rank
from genome_lm.ranks.working import work


def train_as_rank(
    rank: Rank, meeting: str, config: TrainConfig, run_dir: Path, interactive: bool, command: str
) -> float:
    """Train as one of the ranks; rank 0 says where, and writes.

    Args:
        rank: which one this process is.
        meeting: where it finds the others, see `joined`.
        config: of the training; its numbers of devices and nodes are those of the ranks.
        run_dir, interactive, command: as for `train`; those of rank 0 count.

    Returns:
        The validation perplexity of the best epoch.

    Raises:
        UserError: see `train`; or the ranks do not find each other or were told different things.
    """
    settings = config.trainer
    if settings.threads is not None:  # or Lightning chooses
        os.environ["OMP_NUM_THREADS"] = str(settings.threads)
    device = device_from(settings.accelerator, "trainer")
    try:
        with joined(rank, meeting, device, settings.backend, settings.timeout_seconds):
            check_agreement(identity(config))
            folder = Path(from_first(str(run_dir.absolute())))
            return train(config, folder, interactive and not rank.number, command).valid_perplexity
    except UserError as error:
        if rank.number:
            raise UserError(f"rank {rank.number} of {rank.world}: {error}") from error
        raise


def _train(rank: Rank, shared: Path, order: dict[str, Any]) -> None:
    train_as_rank(
        rank,
        f"file://{shared.absolute()}/meeting",
        typed(order["config"]),
        Path(order["run_dir"]),
        order["interactive"],
        order["command"],
    )


if __name__ == "__main__":
    work(_train)
