"""Features of whole windows, computed once a window and kept."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from genome_lm.dataset.contents import Dataset


class FeatureRows:
    """Rows of features by window, for features that training does not change.

    A row is of the window's middle without shift, whichever way training shifts it, so that it is the same in
    every epoch and after a resumption. Rows are computed when first asked for.

    Args:
        dataset: the open dataset.
        context_bp: the middle of each window that the features are of.
        compute: features, float32 [batch, width], of base codes, uint8 [batch, context_bp], on the CPU; the
            same for both strands.
        width: features of a window.
    """

    def __init__(
        self, dataset: Dataset, context_bp: int, compute: Callable[[Tensor], Tensor], width: int
    ) -> None:
        self.dataset = dataset
        self.context_bp = context_bp
        self.compute = compute
        self.known = np.zeros(dataset.n_windows, dtype=bool)
        self.rows = np.empty(
            (dataset.n_windows, width), dtype=np.float32
        )  # pages are taken as they are written

    def __call__(self, windows: np.ndarray) -> Tensor:
        """Features of `windows`, dataset indices int64 [n]: float32 [n, width]."""
        missing = np.unique(windows[~self.known[windows]])
        if len(missing):
            codes = torch.from_numpy(self.dataset.bases(missing, self.context_bp))
            with torch.no_grad():
                self.rows[missing] = self.compute(codes).numpy()
            self.known[missing] = True
        return torch.from_numpy(self.rows[windows])


def rows_bytes(dataset: Dataset, width: int) -> int:
    """Memory that the rows of all windows take, bytes."""
    return dataset.n_windows * width * np.dtype(np.float32).itemsize
