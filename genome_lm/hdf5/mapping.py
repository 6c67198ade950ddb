"""Arrays that stay in their file: mapped into memory, shared by all processes that read it."""

import mmap
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genome_lm.errors import UserError
from genome_lm.isolation.identity import FileIdentity


@dataclass(frozen=True)
class Place:
    """Where the bytes of an array lie: in which file, from which byte on, of which type and shape."""

    path: Path  # absolute
    identity: FileIdentity
    offset: int
    dtype: np.dtype
    shape: tuple[int, ...]


class MappedArray:
    """A read-only array whose pages the system loads when they are looked at, and drops when memory is short.

    All processes share them through the page cache. A pickle holds the place alone: another process maps the
    file by itself. The file must not be written to meanwhile; replacing it by another is safe.

    Raises:
        UserError: the file is gone or is another one by now.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        try:
            with open(place.path, "rb") as file:
                found = FileIdentity.of(file.fileno())
                if not found.same_contents(place.identity):
                    raise UserError(f"{place.path} was changed since it was opened; start again")
                self.array = _map(file.fileno(), place)
        except OSError as error:
            raise UserError(
                f"cannot read {place.path}: {error.strerror or error}; was it moved since it was opened?"
            ) from error

    def __reduce__(self) -> tuple[type["MappedArray"], tuple[Place]]:
        return MappedArray, (self.place,)


def _map(descriptor: int, place: Place) -> np.ndarray:
    n_elements = int(np.prod(place.shape, dtype=np.int64))
    if not n_elements:
        return np.empty(place.shape, dtype=place.dtype)
    before = place.offset % mmap.ALLOCATIONGRANULARITY
    pages = mmap.mmap(
        descriptor,
        before + n_elements * place.dtype.itemsize,
        access=mmap.ACCESS_READ,
        offset=place.offset - before,
    )
    return np.frombuffer(pages, dtype=place.dtype, count=n_elements, offset=before).reshape(place.shape)
