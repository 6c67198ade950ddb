"""A network's logits for windows of a dataset, computed by one process or shared by several."""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genome_lm.build import dataset_from, network_with_weights
from genome_lm.checkpoint import Checkpoint, read_checkpoint
from genome_lm.config import ScoringConfig
from genome_lm.dataset.contents import Dataset
from genome_lm.evaluation.predict import predict_windows
from genome_lm.network import Network
from genome_lm.ranks.launch import run_together
from genome_lm.ranks.started import Rank
from genome_lm.ranks.working import work

RANK_COMMAND = (sys.executable, "-P", "-m", "genome_lm.commands.shared_prediction")

WINDOWS = "windows.npy"


def predict_on_devices(
    checkpoint: Checkpoint,
    dataset: Dataset,
    windows: np.ndarray,
    columns: np.ndarray,
    settings: ScoringConfig,
    *,
    strands: bool,
    device: torch.device,
    allowed_packages: Sequence[str],
    folder: Path,
) -> np.ndarray:
    """Logits, float32 [len(windows), len(columns)], in the order of `windows`.

    Several processes take consecutive batches, the same ones as a single process would compute, so no window is
    computed twice and the result is the same.

    Args:
        windows: dataset indices, int64.
        columns: of the network's outputs, int64.
        settings: batch size, and the number of devices and threads.
        strands: whether the logits of a window and of its reverse complement are averaged.
        device: the kind to compute on.
        folder: where the shares are kept until they are put together.

    Raises:
        UserError: a process failed.
    """
    if settings.devices == 1:
        network = network_with_weights(checkpoint, allowed_packages)
        return _logits(network, dataset, windows, checkpoint, settings.batch_size, strands, device)[
            :, columns
        ]
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".shares_", dir=folder) as shared:
        np.save(Path(shared) / WINDOWS, windows)
        order = {
            "checkpoint": str(checkpoint.path.absolute()),
            "dataset": str(dataset.path.absolute()),
            "columns": columns.tolist(),
            "batch_size": settings.batch_size,
            "strands": strands,
            "device": device.type,
            "allowed_packages": list(allowed_packages),
        }
        run_together(
            RANK_COMMAND, order, settings.devices, Path(shared), log_dir=folder, threads=settings.threads
        )
        return np.concatenate([np.load(_share(Path(shared), each)) for each in range(settings.devices)])


def _predict(rank: Rank, shared: Path, order: dict[str, Any]) -> None:
    """What each process does: a share of the batches."""
    windows, size = np.load(shared / WINDOWS), order["batch_size"]
    n_batches = -(-len(windows) // size)
    first, end = (n_batches * each // rank.world * size for each in (rank.number, rank.number + 1))
    checkpoint = read_checkpoint(Path(order["checkpoint"]))
    logits = _logits(
        network_with_weights(checkpoint, order["allowed_packages"]),
        dataset_from(order["dataset"]),
        windows[first:end],
        checkpoint,
        size,
        order["strands"],
        torch.device("cuda", rank.local) if order["device"] == "cuda" else torch.device("cpu"),
    )
    np.save(_share(shared, rank.number), logits[:, order["columns"]])


def _logits(
    network: Network,
    dataset: Dataset,
    windows: np.ndarray,
    checkpoint: Checkpoint,
    batch_size: int,
    strands: bool,
    device: torch.device,
) -> np.ndarray:
    return predict_windows(
        network,
        dataset,
        windows,
        checkpoint.description.context_bp,
        batch_size=batch_size,
        average_strands=strands,
        device=device,
    )


def _share(folder: Path, number: int) -> Path:
    return folder / f"share_{number}.npy"


if __name__ == "__main__":
    work(_predict)
