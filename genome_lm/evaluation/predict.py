"""A network's logits for windows of a dataset."""

import numpy as np
import torch

from genome_lm.dataset.contents import Dataset
from genome_lm.network import Network
from genome_lm.network import average_strands as mean_of_strands


def predict_windows(
    network: Network,
    dataset: Dataset,
    windows: np.ndarray,
    context_bp: int,
    *,
    batch_size: int,
    average_strands: bool,
    device: torch.device,
) -> np.ndarray:
    """Logits, float32 [len(windows), n_tasks], in the order of `windows`.

    Args:
        network: is moved to `device` and set to evaluation.
        dataset: the open dataset.
        windows: dataset indices, int64.
        context_bp: bases that the network reads.
        batch_size: windows at once.
        average_strands: whether the logits of a window and of its reverse complement are averaged.
        device: where to compute.
    """
    network = network.to(device).eval()
    logits = np.empty((len(windows), network.head.n_tasks), dtype=np.float32)
    with torch.inference_mode():
        for first in range(0, len(windows), batch_size):
            rows = slice(first, first + batch_size)
            codes = torch.from_numpy(dataset.bases(windows[rows], context_bp)).to(device)
            predicted = mean_of_strands(network, codes) if average_strands else network(codes)
            logits[rows] = predicted.float().cpu().numpy()
    return logits
