"""What a prediction file says it holds, and whether its bytes are those written; without PyTorch.

HDF5, format version 2:

    /          attributes: format, format_version, name, description, dataset_checksum
    /logits    float32 [n_windows, n_tasks], log odds of a positive, finite
    /window    int64 [n_windows], window indices of the dataset, ascending
    /split     uint8 [n_windows], codes as in genome_lm.dataset.contents.SPLITS
    /task_ids  string [n_tasks], UTF-8 of fixed length

Every dataset is stored uncompressed, so that the size of a file says how much it can hold, with a checksum a
chunk and an attribute `sha256` over its bytes (C order, little-endian). Version 1 had no `sha256`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from genome_lm.errors import UserError
from genome_lm.hdf5.columns import StoredColumn, open_column
from genome_lm.hdf5.opening import descriptor, fail, number_attribute, opened, text_attribute
from genome_lm.isolation.identity import FileIdentity

FORMAT = "genome_lm predictions"
FORMAT_VERSION = 2

NUMBERS: dict[str, tuple[np.dtype, int]] = {
    "logits": (np.dtype("<f4"), 2),
    "window": (np.dtype("<i8"), 1),
    "split": (np.dtype("u1"), 1),
}
"""Type and number of dimensions of the columns of numbers."""

REMEDY = "write it again with `genome-lm evaluate`"


@dataclass(frozen=True)
class StoredPredictions:
    """An open prediction file; types and sizes are checked, contents are not."""

    name: str
    description: str
    dataset_checksum: str
    columns: dict[str, StoredColumn]
    digested: bool  # whether the columns carry a SHA-256
    identity: FileIdentity

    def array(self, name: str) -> np.ndarray:
        """A column, read and checked."""
        return self.columns[name].read(digested=self.digested)


@contextmanager
def stored_predictions(path: Path) -> Iterator[StoredPredictions]:
    """A prediction file, open.

    Raises:
        UserError: missing, no HDF5, truncated, no prediction file, of a newer format, or larger than it is.
    """
    if not path.is_file():
        raise UserError(f"{path} is no file, expected predictions; write them with `genome-lm evaluate`")
    with opened(path, "prediction file", REMEDY) as file:
        yield _header(file, path)


def check_here(path: Path) -> None:
    """Read a prediction file once, in blocks, and compare its digests: whether it can be read without harm.

    Raises:
        UserError: see `stored_predictions`; or the contents do not agree with their digests.
    """
    with stored_predictions(path) as stored:
        for column in stored.columns.values():
            column.verify(digested=stored.digested)


def _header(file: h5py.File, path: Path) -> StoredPredictions:
    if "format" not in file.attrs or text_attribute(file, "format") != FORMAT:
        raise UserError(f"{path} is an HDF5 file but holds no {FORMAT}; choose a prediction file")
    version = number_attribute(file, "format_version")
    if not 1 <= version <= FORMAT_VERSION:
        raise UserError(
            f"{path}: format version {version}, this program reads 1 to {FORMAT_VERSION}; "
            + ("install a newer genome_lm" if version > FORMAT_VERSION else "predict again")
        )
    columns = {name: open_column(file, name, dtype, ndim) for name, (dtype, ndim) in NUMBERS.items()}
    columns["task_ids"] = open_column(file, "task_ids", None, 1)
    identity = FileIdentity.of(descriptor(file))
    if sum(column.n_bytes for column in columns.values()) > identity.size:
        fail("it holds less than it claims")
    return StoredPredictions(
        text_attribute(file, "name"),
        text_attribute(file, "description"),
        text_attribute(file, "dataset_checksum"),
        columns,
        version > 1,
        identity,
    )
