"""Windows per second of the data module against a plain per-item PyTorch dataset, and the wait for data.

    python benchmarks/loader.py

The rival is what one writes first: a `Dataset` whose `__getitem__` slices one window and unpacks one row of
labels, collated by torch's `DataLoader`, with and without worker processes. Both give the same batches
(checked), uint8 codes [256, 1000] and labels [256, 374], from the same arrays in memory.
"""

import time
from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from genome_lm.dataset.datamodule import GenomeDataModule
from genome_lm.dataset.format import Dataset as GenomeDataset
from genome_lm.dataset.format import embedded_dataset_path, open_dataset
from genome_lm.dataset.tasks import choose_tasks
from genome_lm.dna import reverse_complement

BATCH = 256
CONTEXT_BP = 1000


class PerItem(Dataset[tuple[Tensor, Tensor]]):
    """One window at a time."""

    def __init__(self, data: GenomeDataset, tasks: np.ndarray, windows: np.ndarray, flip: bool) -> None:
        self.data, self.tasks, self.windows, self.flip = data, tasks, windows, flip

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        window = self.windows[index]
        start = self.data.offset[window] + (self.data.window_bp - CONTEXT_BP) // 2
        codes = self.data.sequence[start : start + CONTEXT_BP]
        if self.flip and torch.rand(()) < 0.5:
            codes = reverse_complement(codes)
        row = np.unpackbits(self.data.packed_labels[window], count=len(self.data.tasks), bitorder="little")
        return torch.from_numpy(codes.copy()), torch.from_numpy(row[self.tasks])


def speed(loader: Callable[[], Iterable], n_windows: int, repeats: int) -> float:
    """Median windows per second of passes over a loader."""
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        seen = sum(len(batch[0]) for batch in loader())
        seconds.append(time.perf_counter() - began)
        assert seen == n_windows
    return n_windows / float(np.median(seconds))


def main() -> None:
    data = open_dataset(embedded_dataset_path())
    tasks = choose_tasks(data, 0.01)
    windows = data.windows_of("train")
    n = len(windows)

    plain = PerItem(data, tasks, windows[:BATCH], flip=False)
    module = GenomeDataModule(data, tasks, context_bp=CONTEXT_BP, batch_size=BATCH, eval_batch_size=BATCH)
    ours = next(iter(module.val_dataloader()))
    theirs = next(iter(DataLoader(PerItem(data, tasks, data.windows_of("valid"), flip=False), BATCH)))
    assert torch.equal(ours.codes, theirs[0])
    assert torch.equal(ours.labels, theirs[1])
    assert len(plain) == BATCH

    rows = []
    for flip in (False, True):
        module = GenomeDataModule(
            data,
            tasks,
            context_bp=CONTEXT_BP,
            batch_size=BATCH,
            eval_batch_size=BATCH,
            reverse_complement=flip,
        )
        rate = speed(module.train_dataloader, n, repeats=5)
        name = "either strand" if flip else "one strand"
        rows.append((f"genome_lm, {name}", rate, 1.0))
        for workers in (0, 2):
            item = DataLoader(PerItem(data, tasks, windows, flip), BATCH, shuffle=True, num_workers=workers)
            other = speed(lambda item=item: item, n, repeats=3)
            rows.append((f"per item, {name}, {workers} workers", other, rate / other))
    print(f"| loader, {CONTEXT_BP:,} bp, batches of {BATCH} | windows/s | ours is faster by |")
    print("|---|---:|---:|")
    for name, rate, ratio in rows:
        print(f"| {name} | {rate:,.0f} | {ratio:.1f}x |")


if __name__ == "__main__":
    main()
