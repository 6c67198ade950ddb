"""What a dataset file says it holds: attributes, shapes and types, before any of its contents is read."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from genome_lm.dataset.layout import (
    FORMAT,
    FORMAT_VERSION,
    NUMBERS,
    REFERENCE_GROUP,
    TEXTS,
    WINDOW_COLUMNS,
    content_digest,
)
from genome_lm.errors import UserError
from genome_lm.hdf5.columns import StoredColumn, open_column
from genome_lm.hdf5.opening import descriptor, fail, names_in, number_attribute, opened, text_attribute
from genome_lm.isolation.identity import FileIdentity

LARGE = ("sequence", "labels", *WINDOW_COLUMNS)
"""Columns that grow with the windows. The others, of tasks and sources, are small in any honest file."""

_LARGEST_SMALL = 1 << 26
_MOST_REFERENCES = 1000


@dataclass(frozen=True)
class StoredDataset:
    """An open dataset file whose header, types, shapes and content digest agree."""

    genome_build: str
    window_bp: int
    bin_bp: int
    recipe: dict
    checksum: str
    references: tuple[str, ...]
    columns: dict[str, StoredColumn]
    identity: FileIdentity

    @property
    def n_windows(self) -> int:
        return len(self.columns["windows/offset"])

    @property
    def n_tasks(self) -> int:
        return len(self.columns["tasks/id"])


@contextmanager
def stored_dataset(path: Path) -> Iterator[StoredDataset]:
    """A dataset file, open.

    Raises:
        UserError: missing, no HDF5, truncated, no dataset, of a newer format, or its header is not sound; or
            the block raised what `genome_lm.hdf5.opening.opened` translates.
    """
    if not path.is_file():
        raise UserError(f"dataset {path} does not exist; give a file made by `genome-lm prepare`")
    with opened(path, "dataset", "make or copy it again") as file:
        yield _header(file, path)


def _header(file: h5py.File, path: Path) -> StoredDataset:
    version = _version(file, path)
    genome_build, recipe_text = text_attribute(file, "genome_build"), text_attribute(file, "recipe")
    window_bp, bin_bp = number_attribute(file, "window_bp"), number_attribute(file, "bin_bp")
    recipe = json.loads(recipe_text)
    if not 1 <= bin_bp <= window_bp or not isinstance(recipe, dict):
        fail(f"bins of {bin_bp} bp in windows of {window_bp} bp, recipe of type {type(recipe).__name__}")
    references = names_in(file, REFERENCE_GROUP, _MOST_REFERENCES)
    columns = {
        name: open_column(file, name, dtype, 2 if name == "labels" else 1) for name, dtype in NUMBERS.items()
    }
    columns |= {name: open_column(file, name, None, 1) for name in TEXTS}
    for reference in references:
        name = f"{REFERENCE_GROUP}/{reference}"
        columns[name] = open_column(file, name, np.dtype("<f8"), 1)
    _check_shapes(columns, window_bp)
    described = (
        (name, column.dtype, column.shape, column.recorded_digest()) for name, column in columns.items()
    )
    checksum = content_digest(genome_build, window_bp, bin_bp, recipe_text, described)
    if checksum != text_attribute(file, "content_digest"):
        fail(f"the contents do not agree with the content digest (format version {version})")
    identity = FileIdentity.of(descriptor(file))
    return StoredDataset(genome_build, window_bp, bin_bp, recipe, checksum, references, columns, identity)


def _version(file: h5py.File, path: Path) -> int:
    if "format" not in file.attrs or text_attribute(file, "format") != FORMAT:
        raise UserError(
            f"{path} is an HDF5 file but no dataset of ours; give a file made by `genome-lm prepare`"
        )
    version = number_attribute(file, "format_version")
    if version > FORMAT_VERSION:
        raise UserError(
            f"dataset {path} has format version {version}, this program reads up to {FORMAT_VERSION}; "
            "upgrade genome-lm or prepare the dataset again"
        )
    if version < 1:
        fail(f"format version {version}")
    return version


def _check_shapes(columns: dict[str, StoredColumn], window_bp: int) -> None:
    n_windows, n_tasks = len(columns["windows/offset"]), len(columns["tasks/id"])
    n_sources = len(columns["sources/name"])
    if not n_windows or not n_tasks:
        fail(f"{n_windows} windows and {n_tasks} tasks")
    for name, column in columns.items():
        if name not in LARGE and column.n_bytes > _LARGEST_SMALL:
            fail(f"{name} claims {column.n_bytes:,} bytes; expected at most {_LARGEST_SMALL:,}")
        if name in WINDOW_COLUMNS:
            expected: tuple[int, ...] = (n_windows,)
        elif name == "labels":
            expected = (n_windows, -(-n_tasks // 8))
        elif name.startswith("tasks/"):
            expected = (n_tasks,)
        elif name.startswith("sources/"):
            expected = (n_sources,)
        else:
            continue
        if column.shape != expected:
            fail(f"{name} has shape {column.shape}, expected {expected}")
    n_bases = len(columns["sequence"])
    if not window_bp <= n_bases <= n_windows * window_bp:
        fail(f"{n_bases:,} bases for {n_windows:,} windows of {window_bp:,} bp")


def texts_of(column: StoredColumn) -> tuple[str, ...]:
    """The strings of a column of text, its digest checked."""
    try:
        return tuple(value.decode("utf-8") for value in column.read().tolist())
    except UnicodeDecodeError:
        fail(f"{column.name} holds text that is not UTF-8")
