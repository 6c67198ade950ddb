"""One array of an HDF5 file: how it is stored, checked before a byte of it is read, and read in blocks."""

import hashlib
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from genome_lm.hdf5.mapping import MappedArray, Place
from genome_lm.hdf5.opening import descriptor, fail, member, text_attribute
from genome_lm.isolation.identity import FileIdentity

_LARGEST_CHUNK = 1 << 26
# zlib expands at most 1,032-fold; a claim beyond that would only be filled up with zeros.
_LARGEST_EXPANSION = 1100
_LONGEST_TEXT = 1 << 16
_BLOCK = 1 << 24  # bytes read at once

_FILTERS = (h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32)
_LAYOUTS = (h5py.h5d.COMPACT, h5py.h5d.CONTIGUOUS, h5py.h5d.CHUNKED)


@dataclass(frozen=True)
class StoredColumn:
    """An array in an open file. `offset` is its first byte where it lies in one piece, else None."""

    name: str
    dtype: np.dtype
    shape: tuple[int, ...]
    offset: int | None
    _dataset: h5py.Dataset
    _descriptor: int

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def n_bytes(self) -> int:
        """Bytes of the whole array in memory."""
        return math.prod(self.shape) * self.dtype.itemsize

    def rows(self, first: int, end: int) -> np.ndarray:
        """Rows `first` to `end`, read now."""
        end = min(end, len(self))
        if self.offset is None:
            block: np.ndarray = self._dataset[first:end]
            return block
        block = np.empty((max(0, end - first), *self.shape[1:]), dtype=self.dtype)
        target = block.reshape(-1).view(np.uint8).data
        done, at = 0, self.offset + first * self._row_bytes()
        while done < len(target):
            got = os.preadv(self._descriptor, [target[done:]], at + done)
            if not got:
                fail(f"{self.name} is cut off")
            done += got
        return block

    def blocks(self) -> Iterator[np.ndarray]:
        """The array in blocks of rows, about 16 MB each and whole chunks."""
        step = max(1, _BLOCK // self._row_bytes())
        if self._dataset.chunks:
            chunk = self._dataset.chunks[0]
            step = max(1, step // chunk) * chunk
        for first in range(0, len(self), step):
            yield self.rows(first, first + step)

    def recorded_digest(self) -> str:
        """The SHA-256 that the file says, hexadecimal."""
        return text_attribute(self._dataset, "sha256")

    def check_digest(self, digest: str) -> None:
        """Raises Damaged where `digest` is not the recorded one."""
        if digest != self.recorded_digest():
            fail(f"the contents of {self.name} do not agree with their digest")

    def read(self, digested: bool = True) -> np.ndarray:
        """The whole array in memory.

        Args:
            digested: whether the file records a digest, which is then checked.
        """
        values = np.empty(self.shape, dtype=self.dtype)
        digest, at = hashlib.sha256(), 0
        for block in self.blocks():
            values[at : at + len(block)] = block
            if digested:
                digest.update(np.ascontiguousarray(block).data)
            at += len(block)
        if digested:
            self.check_digest(digest.hexdigest())
        return values

    def mapped(self, path: Path) -> MappedArray | None:
        """The array left in the file, where it lies in one piece; its digest is not looked at."""
        if self.offset is None:
            return None
        identity = FileIdentity.of(self._descriptor)
        return MappedArray(Place(path.resolve(), identity, self.offset, self.dtype, self.shape))

    def _row_bytes(self) -> int:
        return max(1, math.prod(self.shape[1:]) * self.dtype.itemsize)


def open_column(file: h5py.File, name: str, dtype: np.dtype | None, ndim: int) -> StoredColumn:
    """The dataset of that name, checked without reading it: type, place, filters and size.

    Args:
        dtype: the type expected; None for text of fixed length.

    Raises:
        Damaged: it is missing, of another type, stored in a way that the formats here do not use, or claims
            more than the file can hold.
    """
    dataset = member(file, name)
    if not isinstance(dataset, h5py.Dataset):
        fail(f"{name} is missing")
    plan = dataset.id.get_create_plist()
    filters = [plan.get_filter(number)[0] for number in range(plan.get_nfilters())]
    if (
        plan.get_layout() not in _LAYOUTS
        or plan.get_external_count()
        or len(filters) > len(_FILTERS)
        or not set(filters) <= set(_FILTERS)
    ):
        fail(f"{name} is stored in a way that this format does not use")
    kind = dataset.id.get_type()
    if dtype is None:
        if (
            not isinstance(kind, h5py.h5t.TypeStringID)
            or kind.is_variable_str()
            or not 1 <= kind.get_size() <= _LONGEST_TEXT
        ):
            fail(f"{name} has type {_type_name(kind)}, expected text of fixed length")
    elif not isinstance(kind, (h5py.h5t.TypeIntegerID, h5py.h5t.TypeFloatID)) or kind.dtype != dtype:
        fail(f"{name} has type {_type_name(kind)}, expected {dtype}")
    shape = dataset.shape
    if shape is None or len(shape) != ndim:
        fail(f"{name} has {'no' if shape is None else len(shape)} dimensions, expected {ndim}")
    claimed, stored = math.prod(shape) * kind.get_size(), dataset.id.get_storage_size()
    if dataset.chunks and math.prod(dataset.chunks) * kind.get_size() > _LARGEST_CHUNK:
        fail(f"{name} is stored in blocks of more than {_LARGEST_CHUNK:,} bytes")
    packed = h5py.h5z.FILTER_DEFLATE in filters
    if claimed > stored * (_LARGEST_EXPANSION if packed else 1) or stored > _size(file):
        fail(f"{name} claims {claimed:,} bytes and stores {stored:,}")
    offset = None
    if plan.get_layout() == h5py.h5d.CONTIGUOUS and claimed:
        offset = dataset.id.get_offset()
        if offset is None or offset + claimed > _size(file):
            fail(f"{name} claims {claimed:,} bytes past the end of the file")
    return StoredColumn(name, kind.dtype, shape, offset, dataset, descriptor(file))


def _size(file: h5py.File) -> int:
    return os.fstat(descriptor(file)).st_size


def _type_name(kind: h5py.h5t.TypeID) -> str:
    names = {
        h5py.h5t.TypeIntegerID: "whole number",
        h5py.h5t.TypeFloatID: "number",
        h5py.h5t.TypeStringID: "text",
    }
    try:
        return str(kind.dtype) if type(kind) in names else type(kind).__name__
    except (TypeError, ValueError):
        return type(kind).__name__
