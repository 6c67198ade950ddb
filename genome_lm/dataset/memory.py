"""How much memory a dataset takes, and how much there is."""

from dataclasses import dataclass
from pathlib import Path

from genome_lm.dataset.contents import Dataset

_ARRAYS = ("sequence", "packed_labels", "offset", "chromosome", "start", "split")
_SAMPLER_BYTES = 8 + 8 + 8 + 8 + 1
"""A window of an epoch: its index, place in the order, draw of the strand, shift and strand."""


@dataclass(frozen=True)
class DatasetMemory:
    """Bytes of an open dataset.

    Attributes:
        mapped: left in the file. They count as resident where they were looked at, are shared by all
            processes, and dropped by the system when memory is short.
        held: in this process's memory, and once more in every other process that opens the file (ranks;
            loader workers share those of the process that forked them).
        sampling: at most, in each rank, while an epoch over the training split is drawn.
    """

    mapped: int
    held: int
    sampling: int


def memory_of(dataset: Dataset) -> DatasetMemory:
    """What `dataset` takes; the task table, some kilobytes, is not counted."""
    mapped = sum(dataset.mapped[name].array.nbytes for name in _ARRAYS if dataset.is_mapped(name))
    held = sum(getattr(dataset, name).nbytes for name in _ARRAYS if not dataset.is_mapped(name))
    return DatasetMemory(mapped, held, len(dataset.windows_of("train")) * _SAMPLER_BYTES)


def available_bytes(root: Path = Path("/")) -> int | None:
    """Bytes that a process may still take, under the limits of its control group; None where unknown."""
    try:
        lines = (root / "proc/meminfo").read_text(encoding="utf-8").splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError, IndexError):
        return None
    group = root / "sys/fs/cgroup"
    try:
        limit = int((group / "memory.max").read_text())
        used = int((group / "memory.current").read_text())
        statistics = (group / "memory.stat").read_text().split()
        cache = int(statistics[statistics.index("file") + 1])  # given back when it is needed
    except (OSError, ValueError, IndexError):  # no such group, or "max"
        return free
    return min(free, max(0, limit - used + cache))
