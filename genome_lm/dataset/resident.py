"""A dataset on the training device: batches are cut there by index, and no step waits for the host."""

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from genome_lm.choices import Resident
from genome_lm.dataset.batch import Batch, Plan
from genome_lm.dataset.contents import Dataset
from genome_lm.dna import N_CODE
from genome_lm.errors import UserError

RESERVED_SHARE = 0.5
"""Of a GPU's free memory, left to weights, gradients and states under `Resident.auto`: at 1,000 bp these
take more than the data."""

_BLOCK_BYTES = 1 << 26  # copied at once: an array that is mapped from its file is never whole in memory


class ResidentWindows:
    """The bases, label bits and window offsets of a dataset, copied to a device once.

    A base takes a byte there as in the file: the 2.2 M windows of 1,000 bp of DeepSEA, laid end to end, take
    2.2 GB, their labels of 919 tasks 0.25 GB. Two bits a base and a mask of the Ns would save 1.7 GB of that
    and cost shifts and masks at every batch.

    Args:
        dataset: the open dataset.
        device: where the copies lie.

    Raises:
        UserError: a GPU has not enough free memory.
    """

    def __init__(self, dataset: Dataset, device: torch.device) -> None:
        needed = resident_bytes(dataset)
        if device.type == "cuda" and needed > (free := torch.cuda.mem_get_info(device)[0]):
            raise UserError(
                f"data.resident is always, but dataset {dataset.path} takes {needed / 2**20:,.0f} MiB and "
                f"{device} has {free / 2**20:,.0f} MiB free; use data.resident=auto"
            )
        self.dataset = dataset
        self.device = device
        self.sequence = _copied(dataset.sequence, device)  # uint8 [n_bases]
        self.packed_labels = _copied(dataset.packed_labels, device)  # uint8 [n_windows, ceil(n_tasks / 8)]
        self.offset = _copied(dataset.offset, device)  # int64 [n_windows]

    def bases(self, windows: Tensor, context_bp: int, shift: Tensor | int = 0) -> Tensor:
        """`Dataset.bases` of windows, int64 [n] on the device: uint8 [n, context_bp].

        The device would have to be asked whether a slice exists, so nothing is checked here; the data module
        checks its context and its largest shift when it is made.
        """
        starts = self.offset[windows] + (self.dataset.window_bp - context_bp) // 2 + shift
        return self.sequence.unfold(0, context_bp, 1)[starts]

    def labels(self, windows: Tensor, tasks: Tensor) -> Tensor:
        """`Dataset.labels` of windows and of tasks, int64 on the device: uint8 [windows, tasks]."""
        bits = self.packed_labels[windows][:, tasks >> 3] >> (tasks & 7).to(torch.uint8)
        return bits & 1


class Plans(Protocol):
    """Batch plans of one epoch, such as `EpochSampler` draws."""

    def __len__(self) -> int:
        """How many."""

    def __iter__(self) -> Iterator[Plan]:
        """One after the other."""


class ResidentBatches:
    """Takes the place of a `DataLoader`: the same batches, cut on the device.

    The plans of a whole epoch are drawn and moved at once; a batch is then a slice of them and a few
    operations on the device, none of which the host waits for.

    Args:
        windows: the data.
        sampler: draws the plans; Lightning tells it the epoch.
        tasks: indices of the tasks whose labels are given, int64.
        context_bp: the middle of each window that is given.
        augmented: whether windows may be shifted or read from the other strand.
    """

    def __init__(
        self,
        windows: ResidentWindows,
        sampler: Plans,
        tasks: np.ndarray,
        context_bp: int,
        *,
        augmented: bool,
    ) -> None:
        self.windows = windows
        self.sampler = sampler
        self.batch_sampler = None  # Lightning asks both of a loader
        self.tasks = torch.from_numpy(tasks).to(windows.device)
        self.context_bp = context_bp
        self.augmented = augmented

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[Batch]:
        plans = list(self.sampler)
        if not plans:
            return
        window = self._moved([plan.window for plan in plans])
        shift = self._moved([plan.shift for plan in plans]) if self.augmented else None
        flip = self._moved([plan.flip for plan in plans]) if self.augmented else None
        first = 0
        for plan in plans:
            rows = slice(first, first + len(plan.window))
            first = rows.stop
            yield Batch(
                self._codes(
                    window[rows],
                    None if shift is None else shift[rows],
                    None if flip is None else flip[rows],
                ),
                self.windows.labels(window[rows], self.tasks),
                window[rows],
            )

    def _codes(self, window: Tensor, shift: Tensor | None, flip: Tensor | None) -> Tensor:
        codes = self.windows.bases(window, self.context_bp, 0 if shift is None else shift)
        if flip is None:
            return codes
        reverse = codes.flip(1)
        return torch.where(flip[:, None], torch.where(reverse == N_CODE, reverse, 3 - reverse), codes)

    def _moved(self, parts: list[np.ndarray]) -> Tensor:
        return torch.from_numpy(np.concatenate(parts)).to(self.windows.device)


def resident_bytes(dataset: Dataset) -> int:
    """Memory that `ResidentWindows` takes, bytes."""
    return dataset.sequence.nbytes + dataset.packed_labels.nbytes + dataset.offset.nbytes


def stays_resident(choice: Resident, dataset: Dataset, device: torch.device) -> bool:
    """Whether the dataset is to lie on the device: under `auto` on a GPU that has room."""
    if choice is not Resident.auto:
        return choice is Resident.always
    if device.type != "cuda":
        return False
    return resident_bytes(dataset) <= (1 - RESERVED_SHARE) * torch.cuda.mem_get_info(device)[0]


def _copied(array: np.ndarray, device: torch.device) -> Tensor:
    """A copy of an array, block by block."""
    whole = torch.empty(array.shape, dtype=torch.from_numpy(array[:0].copy()).dtype, device=device)
    rows = max(1, _BLOCK_BYTES // max(1, array[:1].nbytes))
    for first in range(0, len(array), rows):
        whole[first : first + rows] = torch.from_numpy(np.array(array[first : first + rows]))
    return whole
