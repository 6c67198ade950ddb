"""Every byte of a dataset file, checked in blocks: digests, ranges and order. Memory is that of a block."""

import hashlib
import tempfile
from pathlib import Path

import numpy as np

from genome_lm.dataset.contents import SPLITS
from genome_lm.dataset.layout import WINDOW_COLUMNS
from genome_lm.dataset.stored import LARGE, StoredDataset, stored_dataset, texts_of
from genome_lm.dna import N_CODE
from genome_lm.hdf5.columns import StoredColumn
from genome_lm.hdf5.opening import fail

_WINDOWS = 1 << 20  # looked at together


def check_here(path: Path) -> None:
    """Check a dataset file in this process: whether `open_dataset` may believe it.

    A file made to do harm can hang libhdf5 or crash it, and this process with it:
    `genome_lm.isolation.client.check_in_child(check_here, path)` runs it where that does no harm.

    Raises:
        UserError: missing, no HDF5, truncated, not a dataset, written in a newer format, or its contents
            do not agree with each other or with their digests.
    """
    with stored_dataset(path) as stored:
        _check_contents(stored)


def check_bytes(contents: bytes) -> None:
    """`check_here` for the contents of a file, by way of a temporary one.

    Raises:
        UserError: see `check_here`.
    """
    memory = Path("/dev/shm")
    with tempfile.NamedTemporaryFile(suffix=".h5", dir=memory if memory.is_dir() else None) as file:
        file.write(contents)
        file.flush()
        check_here(Path(file.name))


def _check_contents(stored: StoredDataset) -> None:
    columns = stored.columns
    for name, column in columns.items():
        if name not in LARGE:
            column.read()
    for name, kind in (("tasks/id", "task ids"), ("chromosomes", "chromosome names")):
        values = texts_of(columns[name])
        if len(set(values)) != len(values) or "" in values:
            fail(f"{kind} are empty or not unique")
    for name in LARGE:
        _check_large(columns[name], stored)
    _check_windows(stored)


def _check_large(column: StoredColumn, stored: StoredDataset) -> None:
    digest = hashlib.sha256()
    padding = -stored.n_tasks % 8
    for block in column.blocks():
        digest.update(np.ascontiguousarray(block).data)
        if column.name == "sequence" and int(block.max()) > N_CODE:
            fail(f"base code {int(block.max())}; 0 to {N_CODE} exist")
        if column.name == "labels" and padding and int(block[:, -1].max()) >> (8 - padding):
            fail("label bits beyond the last task")
    column.check_digest(digest.hexdigest())


def _check_windows(stored: StoredDataset) -> None:
    """Ranges of the columns of windows, and that windows are in genome order, across blocks, too."""
    columns, last_offset = stored.columns, len(stored.columns["sequence"]) - stored.window_bp
    before: tuple[int, int] | None = None  # chromosome and start of the window before
    for first in range(0, stored.n_windows, _WINDOWS):
        offset, chromosome, start, split = (
            columns[name].rows(first, first + _WINDOWS) for name in WINDOW_COLUMNS
        )
        if int(offset.min()) < 0 or int(offset.max()) > last_offset:
            fail("a window lies outside the stored bases")
        if int(chromosome.max()) >= len(columns["chromosomes"]):
            fail("a window lies on a chromosome that is not named")
        if int(split.max()) >= len(SPLITS):
            fail(f"split code {int(split.max())}; 0 to {len(SPLITS) - 1} exist")
        here = int(chromosome[0]), int(start[0])
        same = chromosome[1:] == chromosome[:-1]
        if (
            (before is not None and here <= before)
            or np.any(chromosome[1:] < chromosome[:-1])
            or np.any(same & (start[1:] <= start[:-1]))
        ):
            fail("windows are not in genome order")
        before = int(chromosome[-1]), int(start[-1])
