"""What a dataset holds once it is open: bases, windows, labels and the task table, with batch access."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from genome_lm.dataset.bits import count_bits
from genome_lm.errors import UserError
from genome_lm.hdf5.mapping import MappedArray

SPLITS = ("train", "valid", "test")
"""Names of the splits; the code of a split in `Dataset.split` is its position here."""


@dataclass(frozen=True)
class TaskTable:
    """One entry a task in every column, in the order of the label bits.

    `n_peaks` counts the peaks of the source on the chromosomes of the genome used. `reference` holds
    published scores and the like by name: float64 [n_tasks], NaN where unknown.
    """

    id: tuple[str, ...]
    cell: tuple[str, ...]
    target: tuple[str, ...]
    treatment: tuple[str, ...]
    group: tuple[str, ...]
    source_file: tuple[str, ...]
    accession: tuple[str, ...]
    selects_bins: np.ndarray  # bool [n_tasks]
    n_peaks: np.ndarray  # int64 [n_tasks]
    reference: dict[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.id)

    def subset(self, indices: np.ndarray | Sequence[int]) -> "TaskTable":
        """The table of the tasks at `indices`, in that order."""
        chosen = np.asarray(indices, dtype=np.int64)

        def pick(column: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(column[index] for index in chosen)

        return TaskTable(
            id=pick(self.id),
            cell=pick(self.cell),
            target=pick(self.target),
            treatment=pick(self.treatment),
            group=pick(self.group),
            source_file=pick(self.source_file),
            accession=pick(self.accession),
            selects_bins=self.selects_bins[chosen],
            n_peaks=self.n_peaks[chosen],
            reference={name: scores[chosen] for name, scores in self.reference.items()},
        )


@dataclass(frozen=True)
class Dataset:
    """An open dataset. Windows are in genome order: by chromosome, then by start.

    Window `i` is `sequence[offset[i] : offset[i] + window_bp]` and covers
    `chromosomes[chromosome[i]]`, `start[i]` to `start[i] + window_bp` (0-based, half-open; negative where the
    window was padded with N before the chromosome's first base).
    """

    path: Path
    genome_build: str
    checksum: str  # "sha256:..." over all contents
    window_bp: int
    bin_bp: int
    recipe: dict
    sequence: np.ndarray  # uint8 [n_bases], base codes
    offset: np.ndarray  # int64 [n_windows]
    chromosome: np.ndarray  # uint16 [n_windows]
    chromosomes: tuple[str, ...]
    start: np.ndarray  # int64 [n_windows]
    split: np.ndarray  # uint8 [n_windows], codes as in SPLITS
    packed_labels: np.ndarray  # uint8 [n_windows, ceil(n_tasks / 8)], lowest bit first
    tasks: TaskTable
    mapped: dict[str, MappedArray] = field(default_factory=dict)  # by field: arrays that stay in the file

    def is_mapped(self, name: str) -> bool:
        """Whether the array of that field stays in its file."""
        return name in self.mapped and getattr(self, name) is self.mapped[name].array

    def __getstate__(self) -> dict[str, object]:
        """What a pickle holds: of mapped arrays their place alone."""
        mapped = {name: each for name, each in self.mapped.items() if self.is_mapped(name)}
        rest = {name: value for name, value in vars(self).items() if name not in mapped}
        return rest | {"mapped": mapped}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        vars(self).update({name: each.array for name, each in self.mapped.items()})

    @property
    def n_windows(self) -> int:
        return len(self.offset)

    @property
    def origin(self) -> dict[str, Any]:
        """What a checkpoint says of the data that it was trained on, plain values."""
        return {
            "checksum": self.checksum,
            "genome_build": self.genome_build,
            "regions": {name: list(self.recipe.get(name) or []) for name in ("valid", "test")},
        }

    def windows_of(self, split: str) -> np.ndarray:
        """Indices of the windows of `split`, int64, in dataset order.

        Raises:
            UserError: `split` is none of `SPLITS`.
        """
        if split not in SPLITS:
            raise UserError(f"split {split!r} does not exist; choose one of {', '.join(SPLITS)}")
        return np.flatnonzero(self.split == SPLITS.index(split))

    def labels(self, windows: np.ndarray, tasks: np.ndarray | None = None) -> np.ndarray:
        """Labels of `windows` for the tasks at indices `tasks` (default: all), uint8 [windows, tasks]."""
        rows = self.packed_labels[windows]
        if tasks is None:
            return np.unpackbits(rows, axis=1, count=len(self.tasks), bitorder="little")
        bit = (tasks & 7).astype(np.uint8)
        return (rows[:, tasks >> 3] >> bit) & np.uint8(1)

    def bases(self, windows: np.ndarray, context_bp: int, shift: np.ndarray | int = 0) -> np.ndarray:
        """Base codes of the middle `context_bp` of `windows`, uint8 [windows, context_bp].

        Where as many bases cannot be left out on both sides, one more is left out on the right.

        Args:
            shift: bp by which the slice moves to the right, one for all or one a window, int [windows].

        Raises:
            UserError: the context does not fit the window, or the shift leaves it.
        """
        room = self.window_bp - context_bp
        if not 1 <= context_bp <= self.window_bp:
            raise UserError(
                f"context of {context_bp} bp does not fit the stored windows of {self.window_bp} bp; "
                f"choose 1 to {self.window_bp}, or prepare a dataset with longer windows"
            )
        if np.size(shift) and np.max(np.abs(shift)) > room // 2:
            raise UserError(
                f"shift of {np.max(np.abs(shift))} bp leaves the stored windows of {self.window_bp} bp "
                f"at a context of {context_bp} bp; choose at most {room // 2}"
            )
        starts = self.offset[windows] + (room // 2) + shift
        return np.lib.stride_tricks.sliding_window_view(self.sequence, context_bp)[starts]

    def positive_rate(self, split: str = "train") -> np.ndarray:
        """Share of positive windows of each task in `split`, float64 [n_tasks]; NaN for an empty split."""
        windows = self.windows_of(split)
        return self.positives(windows) / len(windows) if len(windows) else np.full(len(self.tasks), np.nan)

    def positives(self, windows: np.ndarray) -> np.ndarray:
        """How many of `windows` (dataset indices) are positive for each task, int64 [n_tasks]."""
        return count_bits(self.packed_labels, windows)[: len(self.tasks)]
