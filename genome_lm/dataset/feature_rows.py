"""Features of whole windows, computed once a window and kept."""

import numpy as np
import torch
from torch import Tensor, nn

from genome_lm.dataset.contents import Dataset
from genome_lm.dataset.resident import ResidentWindows

_WINDOWS_AT_ONCE = 512


class FeatureRows:
    """Rows of features by window, for features that training does not change.

    A row is of the window's middle without shift, whichever way training shifts it, so that it is the same in
    every epoch, after a resumption, and whether rows are kept or not. Copies share the rows: an average of
    weights copies the whole module.

    Rows are kept in the host's memory as they are asked for, until `reside` moves the work to a device.

    Args:
        dataset: the open dataset.
        context_bp: the middle of each window that the features are of.
        compute: features, float32 [batch, width], of base codes, uint8 [batch, context_bp]; the same for both
            strands. Buffers say where it computes.
        width: features of a window.
        keep: whether rows are kept, once computed; else they are computed each time.
    """

    def __init__(
        self, dataset: Dataset, context_bp: int, compute: nn.Module, width: int, *, keep: bool
    ) -> None:
        self.dataset = dataset
        self.context_bp = context_bp
        self.compute = compute
        self.known = np.zeros(dataset.n_windows, dtype=bool)
        self.rows = np.empty(
            (dataset.n_windows if keep else 0, width), dtype=np.float32
        )  # taken page by page
        self.keep = keep
        self.resident: ResidentWindows | None = None
        self.resident_rows: Tensor | None = None

    def __deepcopy__(self, memo: dict[int, object]) -> "FeatureRows":
        return self

    def reside(self, resident: ResidentWindows, windows: np.ndarray) -> None:
        """Take bases from a device, and keep rows there: those of `windows`, int64, are computed now.

        Which rows are missing is then no question that a step would have to ask the device.
        """
        self.resident = resident
        if not self.keep:
            return
        rows = torch.empty(self.dataset.n_windows, self.rows.shape[1], device=resident.device)
        for part in torch.from_numpy(windows).split(_WINDOWS_AT_ONCE):
            there = part.to(resident.device)
            rows[there] = self._computed_there(resident, there)
        self.resident_rows = rows

    def of(self, windows: Tensor) -> Tensor:
        """Features of `windows`, dataset indices int64 [n]: float32 [n, width] on the same device.

        After `reside`, of windows on that device, and where rows are kept of those that it was given.
        """
        if self.resident is None:
            return self(windows.numpy(force=True)).to(windows.device)
        if self.resident_rows is None:
            return self._computed_there(self.resident, windows)
        return self.resident_rows[windows]

    def __call__(self, windows: np.ndarray) -> Tensor:
        """Features of `windows`, dataset indices int64 [n]: float32 [n, width], by the host."""
        if not self.keep:
            return self._computed(windows)
        missing = np.unique(windows[~self.known[windows]])
        if len(missing):
            self.rows[missing] = self._computed(missing).cpu().numpy()
            self.known[missing] = True
        return torch.from_numpy(self.rows[windows])

    def _computed_there(self, resident: ResidentWindows, windows: Tensor) -> Tensor:
        with torch.no_grad():
            found: Tensor = self.compute(resident.bases(windows, self.context_bp))
        return found

    def _computed(self, windows: np.ndarray) -> Tensor:
        device = next(iter(self.compute.buffers())).device
        with torch.no_grad():
            found: Tensor = self.compute(
                torch.from_numpy(self.dataset.bases(windows, self.context_bp)).to(device)
            )
        return found


def rows_bytes(dataset: Dataset, width: int) -> int:
    """Memory that the rows of all windows take, bytes."""
    return dataset.n_windows * width * np.dtype(np.float32).itemsize
