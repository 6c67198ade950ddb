"""What was made of DeepSEA's files, as numbers and as text."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genome_lm.choices import PairPolicy
from genome_lm.dataset.summary import split_lines, tasks_with_rate


@dataclass(frozen=True)
class DeepseaSummary:
    """Result of `prepare_deepsea`. Tuples are by split; `positives` is int64 [splits, n_tasks]."""

    path: Path
    checksum: str
    file_bytes: int
    window_bp: int
    samples: tuple[int, ...]  # in the files
    pairs: PairPolicy
    mismatched: tuple[int, ...]  # pairs that are no mirror images
    windows: tuple[int, ...]
    positives: np.ndarray
    task_ids: tuple[str, ...]

    def text(self) -> str:
        """A few lines for people."""
        counts = " + ".join(f"{n:,}" for n in self.samples)
        if self.pairs is PairPolicy.all:
            paired = "every sample a window, pairs not looked for"
        else:
            paired = f"pairs folded, all verified, {sum(self.mismatched):,} no mirror images"
        frequent = tasks_with_rate(self.windows, self.positives, 0.01)
        return "\n".join(
            [
                f"{self.path} ({self.file_bytes / 1e6:.1f} MB, {self.checksum[:19]})",
                f"samples in the files {counts}; {paired}",
                f"{sum(self.windows):,} windows of {self.window_bp:,} bp without coordinates, in file order",
                f"tasks {len(self.task_ids):,}, of which {frequent:,} have >= 1% positives in train",
                *split_lines(self.windows, self.positives),
            ]
        )
