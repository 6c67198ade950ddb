"""Samples of a MATLAB 7.3 file, which is HDF5, such as train.mat."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from genome_lm.dataset.contents import SPLITS
from genome_lm.dataset.deepsea.onehot import pack, to_codes
from genome_lm.dataset.deepsea.samples import Samples, variables
from genome_lm.dataset.source import unreadable
from genome_lm.errors import UserError
from genome_lm.isolation.checked import ensure_checked

_SLAB_BYTES = 1 << 26  # of the file's values at once
_BLOCK_BYTES = 1 << 27  # of a block's codes and label bits
_LARGEST_CHUNK = 1 << 28
_LARGEST_EXPANSION = 1100  # of zlib: at most 1,032-fold


class StoredSamples(Samples):
    """Samples of an open HDF5 file, read a block at a time.

    A chunk is unpacked whole whatever part of it is asked for, and may span few samples or all of them. So
    blocks are whole columns of chunks where memory allows, and are read in slabs of whole rows of chunks:
    no chunk is then unpacked twice but those at the ends of blocks. Where one column of chunks is larger than
    a block, its chunks are unpacked once for each block in it.
    """

    def __init__(self, path: Path, onehot: h5py.Dataset, labels: h5py.Dataset, where: str) -> None:
        self.where = where
        self._path, self._onehot, self._labels = path, onehot, labels
        self.take_shape(onehot.shape, labels.shape)
        most = max(1, _BLOCK_BYTES // (self.window_bp + -(-self.n_tasks // 8)))
        self.block = min(self.n_samples, *(_samples_of(dataset, most) for dataset in (onehot, labels)))

    def codes(self, first: int, last: int) -> np.ndarray:
        codes = np.empty((self.window_bp, last - first), dtype=np.uint8)
        rows = _rows_of(self._onehot, last - first)
        for row in range(0, self.window_bp, rows):
            with _mishaps(self._path):
                slab = self._onehot[row : row + rows, :, first:last]
            codes[row : row + rows] = to_codes(slab, row, first, self.where)
        return codes

    def labels(self, first: int, last: int) -> np.ndarray:
        packed = np.zeros((-(-self.n_tasks // 8), last - first), dtype=np.uint8)
        rows = _rows_of(self._labels, last - first)
        for row in range(0, self.n_tasks, rows):
            with _mishaps(self._path):
                slab = self._labels[row : row + rows, first:last]
            pack(slab, row, first, packed, self.where)
        return packed


def _chunk(dataset: h5py.Dataset) -> tuple[int, ...]:
    """Shape of what is unpacked together; a row of samples in a file without chunks."""
    return dataset.chunks or (*(1,) * (dataset.ndim - 1), 1)


def _samples_of(dataset: h5py.Dataset, most: int) -> int:
    """How many samples to read at once: whole columns of chunks, `most` at most."""
    chunk = _chunk(dataset)
    row = (
        chunk[0] * math.prod(dataset.shape[1:-1]) * dataset.dtype.itemsize
    )  # bytes a sample, one row of chunks
    most = max(1, min(most, _SLAB_BYTES // row))
    return most // chunk[-1] * chunk[-1] or most


def _rows_of(dataset: h5py.Dataset, n_samples: int) -> int:
    """How many rows to read at once of so many samples: whole rows of chunks."""
    row = math.prod(dataset.shape[1:-1]) * n_samples * dataset.dtype.itemsize
    rows = max(1, _SLAB_BYTES // row)
    return rows // _chunk(dataset)[0] * _chunk(dataset)[0] or _chunk(dataset)[0]


def is_hdf5(path: Path) -> bool:
    return bool(h5py.is_hdf5(path))


def check_here(path: Path) -> None:
    """Look at all that libhdf5 must understand before it can find a value, in this process.

    Damage in the tree of a file's chunks was seen to make libhdf5 hang, so `open_stored` has this done in a
    process of its own. The values themselves are checked as they are read.

    Raises:
        UserError: see `open_stored`.
    """
    with _mishaps(path), h5py.File(path, "r") as file:
        for name in {name for split in SPLITS for name in variables(split)} & set(file):
            dataset = _variable(file, path, name)
            if dataset.chunks:
                dataset.id.get_num_chunks()  # walks the whole tree


@contextmanager
def open_stored(path: Path, split: str) -> Iterator[StoredSamples]:
    """Open a MATLAB 7.3 file.

    Raises:
        UserError: it is damaged, a variable is missing, stored in a way that MATLAB does not use, or claims
            more than the file can hold.
    """
    names = variables(split)
    try:
        ensure_checked(path, check_here)
    except OSError as error:
        raise unreadable(path, error) from error
    with _mishaps(path):
        file = h5py.File(path, "r")
    with file:
        with _mishaps(path):
            onehot, labels = (_variable(file, path, name) for name in names)
        yield StoredSamples(path, onehot, labels, f"{path} ({', '.join(names)})")


@contextmanager
def _mishaps(path: Path) -> Iterator[None]:
    """Whatever libhdf5 stumbles over: h5py hands on its errors under all of these types."""
    try:
        yield
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        cause = str(error).strip("'\"").partition("\n")[0] or type(error).__name__
        raise UserError(
            f"{path}: damaged or truncated MATLAB 7.3 file ({cause}); copy or download it again"
        ) from error


def _variable(file: h5py.File, path: Path, name: str) -> h5py.Dataset:
    """A variable, checked without reading it."""
    link = file.get(name, getlink=True)
    dataset = file[name] if isinstance(link, h5py.HardLink) else None
    if not isinstance(dataset, h5py.Dataset):
        found = ", ".join(ascii(each)[1:-1] for each in list(file)[:5])
        raise UserError(f"{path}: no variable {name}; it has {found or 'none'}")
    if dataset.dtype.kind not in "biuf" or dataset.shape is None:
        raise UserError(f"{path}: {name} has type {dataset.dtype}; expected a full array of real numbers")
    stored = dataset.id.get_storage_size()
    if dataset.external or dataset.is_virtual or dataset.compression not in (None, "gzip"):
        raise UserError(f"{path}: {name} is stored in a way that MATLAB does not use; save it again")
    claimed = math.prod(dataset.shape) * dataset.dtype.itemsize
    if claimed > _LARGEST_EXPANSION * min(stored, path.stat().st_size):
        raise UserError(
            f"{path}: {name} claims {claimed:,} bytes and stores {stored:,}; the file is truncated or damaged"
        )
    if dataset.chunks and math.prod(dataset.chunks) * dataset.dtype.itemsize > _LARGEST_CHUNK:
        raise UserError(f"{path}: {name} is stored in chunks of more than {_LARGEST_CHUNK:,} bytes")
    return dataset
