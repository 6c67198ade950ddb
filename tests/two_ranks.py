"""A streaming metric fed by two processes that speak gloo; imports little, so that it starts soon."""

import multiprocessing
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed
from torch import Tensor

from genome_lm.metrics import TaskHistograms


def own_share(rank: int, logits: Tensor, labels: Tensor) -> TaskHistograms:
    """The histograms of the first third of the windows, or of the others."""
    third = len(logits) // 3
    part = slice(third) if rank == 0 else slice(third, None)
    metric = TaskHistograms(logits.shape[1])
    metric.update(logits[part], labels[part])
    return metric


def figures(metric: TaskHistograms) -> tuple[dict[str, Tensor] | Tensor, ...]:
    """What a metric says over all ranks."""
    scores = metric.per_task()
    calls = metric.calls_at(torch.full((metric.n_tasks,), -2.0))
    return metric.compute(), scores.auroc.low, scores.ece, scores.windows, calls.hits


def take_part(rank: int, folder: Path, logits: Tensor, labels: Tensor) -> None:
    """Meet the other rank and save `figures` and the rank's own counts as `RANK.pt`."""
    torch.distributed.init_process_group(
        "gloo", f"file://{folder}/meeting", rank=rank, world_size=2, timeout=timedelta(seconds=60)
    )
    try:
        metric = own_share(rank, logits, labels)
        torch.save((figures(metric), metric.counts), folder / f"{rank}.pt")
    finally:
        torch.distributed.destroy_process_group()


def run_two_ranks(folder: Path, logits: Tensor, labels: Tensor) -> None:
    """Rank 0 in this process, rank 1 in a fresh one."""
    other = multiprocessing.get_context("spawn").Process(target=take_part, args=(1, folder, logits, labels))
    other.start()
    take_part(0, folder, logits, labels)
    other.join(60)
    assert other.exitcode == 0
