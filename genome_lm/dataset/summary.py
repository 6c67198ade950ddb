"""What `prepare` made, as numbers and as text."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genome_lm.dataset.contents import SPLITS


@dataclass(frozen=True)
class BinCounts:
    """Bins on their way to windows, over all chromosomes."""

    selected: int = 0  # with enough positives in the tasks that select bins
    background: int = 0  # drawn beside them, without a peak
    unknown_bases: int = 0  # dropped by the N policy
    blacklisted: int = 0
    past_end: int = 0  # window past the chromosome's end
    at_boundary: int = 0  # in a buffer, across a region's edge, or sharing bases with another split

    def __add__(self, other: "BinCounts") -> "BinCounts":
        return BinCounts(
            self.selected + other.selected,
            self.background + other.background,
            self.unknown_bases + other.unknown_bases,
            self.blacklisted + other.blacklisted,
            self.past_end + other.past_end,
            self.at_boundary + other.at_boundary,
        )


@dataclass(frozen=True)
class PrepareSummary:
    """Result of `prepare`. `positives` counts windows by split and task, int64 [splits, n_tasks]."""

    path: Path
    checksum: str
    file_bytes: int
    genome_build: str
    chromosomes: tuple[str, ...]
    task_ids: tuple[str, ...]
    windows: tuple[int, ...]  # by split
    positives: np.ndarray
    bins: BinCounts
    tracks_without_peaks: tuple[str, ...]
    peaks_elsewhere: int  # on chromosomes that the FASTA does not have
    n_bases: int

    @property
    def n_windows(self) -> int:
        return sum(self.windows)

    def tasks_with_rate(self, min_positive_rate: float, split: str = "train") -> int:
        """Tasks of which at least that share of the split's windows is positive."""
        return tasks_with_rate(self.windows, self.positives, min_positive_rate, split)

    def tasks_without_positives(self, split: str) -> tuple[str, ...]:
        absent = self.positives[SPLITS.index(split)] == 0
        return tuple(task for task, none in zip(self.task_ids, absent, strict=True) if none)

    def text(self) -> str:
        """A few lines for people."""
        bins = self.bins
        lost = (
            (bins.unknown_bases, "unknown bases"),
            (bins.blacklisted, "blacklist"),
            (bins.past_end, "past a chromosome's end"),
            (bins.at_boundary, "at split boundaries"),
        )
        dropped = ", ".join(f"{count:,} {why}" for count, why in lost if count) or "none"
        background = f", {bins.background:,} background" if bins.background else ""
        lines = [
            f"{self.path} ({self.file_bytes / 1e6:.1f} MB, {self.checksum[:19]})",
            f"genome {self.genome_build}: {self.n_windows:,} windows over {self.n_bases:,} bases of "
            f"{len(self.chromosomes)} chromosome{'s' * (len(self.chromosomes) != 1)}",
            f"bins with peaks {bins.selected:,}{background}; dropped: {dropped}",
            f"tasks {len(self.task_ids):,}, of which {self.tasks_with_rate(0.01):,} have >= 1% "
            "positives in train; "
            f"{len(self.tracks_without_peaks)} without a peak on this genome",
            *split_lines(self.windows, self.positives),
        ]
        if self.peaks_elsewhere:
            lines.append(f"{self.peaks_elsewhere:,} peaks lie on chromosomes that the FASTA does not have")
        return "\n".join(lines)


def tasks_with_rate(
    windows: tuple[int, ...], positives: np.ndarray, min_positive_rate: float, split: str = "train"
) -> int:
    """Tasks of which at least that share of the split's windows is positive.

    Args:
        windows: by split.
        positives: int64 [splits, n_tasks].
    """
    code = SPLITS.index(split)
    return int(np.count_nonzero(positives[code] >= min_positive_rate * max(1, windows[code])))


def split_lines(windows: tuple[int, ...], positives: np.ndarray) -> list[str]:
    """A table of the splits; arguments as of `tasks_with_rate`."""
    lines = [
        f"{'split':<6} {'windows':>10}   {'positives per task: min':>23} {'median':>10} {'max':>10} "
        "  without positives"
    ]
    for split, n_windows, counts in zip(SPLITS, windows, positives, strict=True):
        lines.append(
            f"{split:<6} {n_windows:>10,}   {counts.min():>23,} {np.median(counts):>10,.0f} "
            f"{counts.max():>10,}   {np.count_nonzero(counts == 0):,}"
        )
    return lines
