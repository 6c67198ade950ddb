"""Blocks of the genome: what a bootstrap draws instead of windows, which resemble their neighbours.

A dataset made from DeepSEA's files has no coordinates. Its windows stand on invented chromosomes, a bin apart
in the order of the files, so that a block holds `block_bp / bin_bp` windows in a row (fewer of a subset, as
windows keep their places). The files are in genome order and leave out bins, so such a block covers at least
`block_bp` of the genome, but for the few that go on from one chromosome to the next.
"""

from dataclasses import dataclass

import numpy as np

from genome_lm.dataset.contents import Dataset
from genome_lm.errors import UserError


@dataclass(frozen=True)
class Blocks:
    """Which block each window lies in.

    Raises:
        ValueError: the indices are no vector of integers from 0 to n_blocks - 1, or a block has no window.
    """

    block_bp: int
    n_blocks: int  # blocks that hold windows; the others are left out
    of_window: np.ndarray  # int64 [n_windows], 0 to n_blocks - 1

    def __post_init__(self) -> None:
        block = self.of_window
        if block.ndim != 1 or not np.issubdtype(block.dtype, np.integer):
            raise ValueError(f"blocks must be integers [n_windows], got {block.dtype} {list(block.shape)}")
        if len(block) and (block.min() < 0 or block.max() >= self.n_blocks):
            raise ValueError(f"blocks {block.min()} to {block.max()} must lie in 0 to {self.n_blocks - 1}")
        empty = np.flatnonzero(np.bincount(block, minlength=self.n_blocks) == 0)
        if len(empty):
            raise ValueError(
                f"{len(empty)} of {self.n_blocks} blocks hold no window, such as block {empty[0]}"
            )

    @property
    def windows(self) -> np.ndarray:
        """int64 [n_blocks], windows in each block, at least 1."""
        return np.bincount(self.of_window, minlength=self.n_blocks)

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Sum of each column over the windows of each block, float64 [n_blocks, n_columns].

        Args:
            values: [n_windows, n_columns].
        """
        block = self.of_window
        if not len(block):
            return np.zeros((0, values.shape[1]))
        if (block[1:] < block[:-1]).any():  # windows in genome order come block by block already
            order = np.argsort(block, kind="stable")
            block, values = block[order], values[order]
        first = np.searchsorted(block, np.arange(self.n_blocks))
        return np.add.reduceat(values, first, axis=0, dtype=np.float64)


def positions_of(dataset: Dataset) -> str:
    """What the windows' positions are, in words: of the genome, or invented."""
    return (
        "invented: " + str(dataset.recipe["positions"]) if "positions" in dataset.recipe else "of the genome"
    )


def genome_blocks(dataset: Dataset, windows: np.ndarray, block_bp: int) -> Blocks:
    """Cut each chromosome into stretches of `block_bp`; a window lies where its centre does.

    Only stretches that hold a window count, in genome order.

    Args:
        windows: int64 [n_windows], dataset window indices.
        block_bp: length of a block in bp.

    Raises:
        UserError: `block_bp` is less than 1.
    """
    if block_bp < 1:
        raise UserError(f"blocks of {block_bp} bp cannot hold a window; choose at least 1, such as 100000")
    if not len(windows):
        return Blocks(block_bp, 0, np.zeros(0, dtype=np.int64))
    stretch = (dataset.start[windows] + dataset.window_bp // 2) // block_bp
    stretch -= stretch.min()  # a centre may lie before the first base
    key = dataset.chromosome[windows].astype(np.int64) * (stretch.max() + 1) + stretch
    occupied, block = np.unique(key, return_inverse=True)
    return Blocks(block_bp, len(occupied), block.astype(np.int64))
