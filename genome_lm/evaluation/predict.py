"""A network's logits for windows of a dataset, or for base codes."""

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
    for first in range(0, len(windows), batch_size):
        rows = slice(first, first + batch_size)
        codes = dataset.bases(windows[rows], context_bp)
        logits[rows] = predict_codes(network, codes, average_strands=average_strands, device=device)
    return logits


def predict_codes(
    network: Network, codes: np.ndarray, *, average_strands: bool, device: torch.device
) -> np.ndarray:
    """Logits, float32 [batch, n_tasks], of base codes, uint8 [batch, context_bp].

    Args:
        network: on `device` and set to evaluation.
        average_strands, device: as for `predict_windows`.
    """
    with torch.inference_mode():
        bases = torch.from_numpy(codes).to(device)
        logits = mean_of_strands(network, bases) if average_strands else network(bases)
        predicted: np.ndarray = logits.float().cpu().numpy()
    return predicted
