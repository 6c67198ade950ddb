"""Opening a dataset file: everything is checked before it is believed; large columns stay in the file."""

from pathlib import Path

import numpy as np

from genome_lm.dataset.checking import check_here
from genome_lm.dataset.contents import Dataset, TaskTable
from genome_lm.dataset.layout import REFERENCE_GROUP, TASK_TEXT, TEXTS
from genome_lm.dataset.memory import available_bytes
from genome_lm.dataset.stored import LARGE, StoredDataset, stored_dataset, texts_of
from genome_lm.errors import UserError
from genome_lm.hdf5.mapping import MappedArray
from genome_lm.hdf5.opening import fail
from genome_lm.isolation.checked import ensure_checked
from genome_lm.isolation.identity import FileIdentity

FIELDS = {
    "sequence": "sequence",
    "labels": "packed_labels",
    "windows/offset": "offset",
    "windows/chromosome": "chromosome",
    "windows/start": "start",
    "windows/split": "split",
}
"""The field of `Dataset` that each large column becomes."""


def embedded_dataset_path() -> Path:
    """Path of the dataset shipped with the package: 560 tracks over chromosome 20 of hg19."""
    return Path(__file__).parent.parent / "assets" / "hg19_chr20.h5"


def open_dataset(path: Path) -> Dataset:
    """Open a dataset file.

    Columns stored in one piece (`storage=mapped`) are mapped: their memory is the system's page cache, shared
    by all processes. Others are read into this process's memory, and their digests checked each time. A file
    that has not passed before is checked first, every byte of it, by `check_here` in a process of its own;
    `genome_lm.isolation.checked` says when. The embedded dataset is part of the program and excepted.

    Raises:
        UserError: missing, no HDF5, truncated, not a dataset, written in a newer format, its contents do not
            agree with each other or with their digest, it is too large for the memory there is, or it changes
            meanwhile.
    """
    if not path.is_file():
        raise UserError(f"dataset {path} does not exist; give a file made by `genome-lm prepare`")
    embedded = embedded_dataset_path()
    trusted = embedded.exists() and path.samefile(embedded)
    try:
        identity = FileIdentity.of(path) if trusted else ensure_checked(path, check_here)
    except OSError as error:
        raise UserError(f"cannot read dataset {path}: {error.strerror or error}") from error
    with stored_dataset(path) as stored:
        if stored.identity != identity:
            fail("it changed while it was opened")
        return _dataset(stored, path)


def _dataset(stored: StoredDataset, path: Path) -> Dataset:
    columns = stored.columns
    mapped: dict[str, MappedArray] = {}
    for name in LARGE:
        found = columns[name].mapped(path)
        if found is not None:
            mapped[FIELDS[name]] = found
    read = [name for name in LARGE if FIELDS[name] not in mapped]
    needed, available = sum(columns[name].n_bytes for name in read), available_bytes()
    if available is not None and needed > available:
        raise UserError(
            f"dataset {path} takes {needed / 1e9:.1f} GB of memory and {available / 1e9:.1f} GB are free; "
            "prepare it with storage=mapped, which leaves it on disk"
        )
    arrays: dict[str, np.ndarray] = {field: each.array for field, each in mapped.items()}
    arrays |= {FIELDS[name]: columns[name].read() for name in read}
    texts = {name: texts_of(columns[name]) for name in TEXTS}
    tasks = TaskTable(
        **{column: texts[f"tasks/{column}"] for column in TASK_TEXT},
        selects_bins=columns["tasks/selects_bins"].read().astype(bool),
        n_peaks=columns["tasks/n_peaks"].read(),
        reference={name: columns[f"{REFERENCE_GROUP}/{name}"].read() for name in stored.references},
    )
    return Dataset(
        path=path,
        genome_build=stored.genome_build,
        checksum=stored.checksum,
        window_bp=stored.window_bp,
        bin_bp=stored.bin_bp,
        recipe=stored.recipe,
        sequence=arrays["sequence"],
        offset=arrays["offset"],
        chromosome=arrays["chromosome"],
        chromosomes=texts["chromosomes"],
        start=arrays["start"],
        split=arrays["split"],
        packed_labels=arrays["packed_labels"],
        tasks=tasks,
        mapped=mapped,
    )
