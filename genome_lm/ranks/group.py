"""The process group of a training: joined, agreed on what is trained, and left."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from genome_lm.choices import Backend
from genome_lm.collectives import world_size
from genome_lm.errors import UserError
from genome_lm.ranks.started import Rank


@contextmanager
def joined(
    rank: Rank, meeting: str, device: torch.device, backend: Backend, timeout_seconds: int
) -> Iterator[None]:
    """Within it this process is one of a group; at its end all wait for each other, unless one has failed.

    Args:
        rank: which one it is.
        meeting: torch's `init_method`: where the processes find each other, such as "file:///tmp/x/meeting",
            "tcp://node7:12345", or "env://" for the address in MASTER_ADDR and MASTER_PORT.
        device: the kind that is computed on; of GPUs, this rank takes that of its local number.
        backend: of the sums.
        timeout_seconds: that a process waits for the others in a sum.

    Raises:
        UserError: the processes cannot meet.
    """
    own = torch.device("cpu")
    if device.type == "cuda":
        own = torch.device("cuda", rank.local)
        torch.cuda.set_device(own)
    chosen = ("nccl" if device.type == "cuda" else "gloo") if backend is Backend.auto else backend.value
    try:
        dist.init_process_group(
            chosen,
            init_method=meeting,
            rank=rank.number,
            world_size=rank.world,
            timeout=timedelta(seconds=timeout_seconds),
            device_id=own if chosen == "nccl" else None,
        )
    except (RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(
            f"the {rank.world} ranks do not find each other by {meeting}: {reason}; see that all were started, and "
            "that the address (MASTER_ADDR and MASTER_PORT say another) can be reached from each node"
        ) from error
    try:
        yield
        dist.barrier()
    finally:
        dist.destroy_process_group()


def check_agreement(facts: Mapping[str, Any]) -> None:
    """Refuse ranks that are about to train different things.

    Args:
        facts: nested plain values that must be equal on all ranks.

    Raises:
        UserError: on every rank, with the first key in which some rank differs from rank 0.
    """
    gathered: list[dict[str, Any]] = [{} for _ in range(world_size())]
    if len(gathered) == 1:
        return
    dist.all_gather_object(gathered, _flat(facts))
    for number, theirs in enumerate(gathered):
        for key in sorted({*gathered[0], *theirs}):
            ours, other = gathered[0].get(key), theirs.get(key)
            if ours != other:
                raise UserError(
                    f"{key} is {other!r} on rank {number} and {ours!r} on rank 0; the processes of a training must "
                    "be started by the same command, with the same data and version"
                )


def _flat(facts: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in facts.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value
    return found
