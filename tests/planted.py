"""Small dataset files with a given genome, windows, splits and labels, for the tests of the doctor."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from genome_lm.dataset.contents import SPLITS, Dataset, TaskTable
from genome_lm.dataset.reading import open_dataset
from genome_lm.dataset.windows import merge_windows
from genome_lm.dataset.writing import Header, Piece, write_dataset

WINDOW_BP, BIN_BP = 40, 8


@dataclass
class Chromosome:
    """Windows end to end from `first`, unless starts are given."""

    name: str
    split: list[str]
    first: int = 1_000
    starts: list[int] = field(default_factory=list)


def random_codes(n_bases: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 4, n_bases, dtype=np.uint8)


def planted(
    path: Path,
    chromosomes: list[Chromosome],
    labels: np.ndarray,
    build: str = "hg19",
    edit: dict[int, np.ndarray] | None = None,
) -> Dataset:
    """Write and open a dataset.

    Args:
        labels: uint8 [n_windows, n_tasks], of the windows in the order of the chromosomes.
        edit: base codes by window, written over the random ones; for windows that share no base.
    """
    pieces, at = [], 0
    for number, each in enumerate(chromosomes):
        n = len(each.split)
        start = np.array(
            each.starts or [each.first + place * WINDOW_BP for place in range(n)], dtype=np.int64
        )
        genome = random_codes(int(start[-1] - start[0]) + WINDOW_BP, number)
        codes, offset = merge_windows(genome, start - start[0], WINDOW_BP)
        for window, written in (edit or {}).items():
            if at <= window < at + n:
                codes[offset[window - at] : offset[window - at] + WINDOW_BP] = written
        split = np.array([SPLITS.index(name) for name in each.split], dtype=np.uint8)
        packed = np.packbits(labels[at : at + n], axis=1, bitorder="little")
        pieces.append(Piece(each.name, codes, offset, start, split, packed))
        at += n
    header = Header(build, WINDOW_BP, BIN_BP, {"valid": [], "test": []})
    write_dataset(path, header, task_table(labels.shape[1]), pieces)
    return open_dataset(path)


def task_table(n_tasks: int) -> TaskTable:
    names = tuple(f"task{number}" for number in range(n_tasks))
    empty = ("",) * n_tasks
    return TaskTable(
        names, empty, empty, empty, ("tf",) * n_tasks, empty, empty,
        np.ones(n_tasks, dtype=bool), np.full(n_tasks, 9),
    )  # fmt: skip


def spread(n_train: int, n_valid: int, n_test: int) -> list[str]:
    """Splits of that many windows, one after the other."""
    return ["train"] * n_train + ["valid"] * n_valid + ["test"] * n_test
