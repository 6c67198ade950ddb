"""MATLAB 5 files, read as a stream: a variable is never held whole, and nothing claimed is believed.

Layout after "MAT-File Format" (MathWorks): a header of 128 bytes, then elements, each with a tag of type and
number of bytes. A variable is a miMATRIX element (flags, dimensions, name, values), usually inside a
miCOMPRESSED one, a zlib stream. Values are in Fortran order. `scipy.io.loadmat` would hold whole variables:
1.8 GB and a copy for test.mat.
"""

import io
import math
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from genome_lm.dataset.source import unreadable
from genome_lm.errors import UserError

_HEADER_BYTES = 128
_READ_BYTES = 1 << 20
_MATRIX, _COMPRESSED, _INT8, _INT32, _UINT32 = 14, 15, 1, 5, 6
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
"""NumPy types of the element types that hold numbers."""
_NUMERIC_CLASSES = range(6, 16)  # double, single, and signed and unsigned integers of 8 to 64 bits
_COMPLEX = 0x08
_LONGEST_NAME, _MOST_DIMENSIONS = 63, 8  # names: MATLAB's own limit
_LARGEST_EXPANSION = 1100  # of zlib: at most 1,032-fold


class _Damaged(Exception):
    """Why a file is no MATLAB 5 file; the caller adds its name and the remedy."""


class _Plain:
    """Bytes of an element that stand in the file as they are."""

    def __init__(self, file: BinaryIO, n_bytes: int) -> None:
        self._file, self.left = file, n_bytes

    def read(self, n_bytes: int) -> bytes:
        """Exactly so many bytes."""
        if n_bytes > self.left:
            raise _Damaged(f"an element of {self.left:,} bytes left should hold {n_bytes:,}")
        found = self._file.read(n_bytes)
        if len(found) != n_bytes:
            raise _Damaged("the file ends inside an element")
        self.left -= n_bytes
        return found

    def finish(self) -> None:
        """Nothing else vouches for plain bytes."""

    @property
    def most(self) -> int:
        """Bytes that may still come, at most."""
        return self.left


class _Inflated:
    """Bytes of a compressed element, inflated as they are asked for."""

    def __init__(self, file: BinaryIO, n_bytes: int) -> None:
        self._source = _Plain(file, n_bytes)
        self._inflater = zlib.decompressobj()
        self.most = n_bytes * _LARGEST_EXPANSION

    def read(self, n_bytes: int) -> bytes:
        """Exactly so many bytes."""
        parts, missing = [], n_bytes
        while missing:
            part = self._some(missing)
            if not part and self._inflater.eof:
                raise _Damaged("the compressed data end too early")
            parts.append(part)
            missing -= len(part)
        self.most -= n_bytes
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def finish(self) -> None:
        """Read on to the checksum at the end, which zlib compares; only padding may come before it."""
        extra = 0
        while not self._inflater.eof:
            extra += len(self._some(_READ_BYTES))
            if extra > 8:
                raise _Damaged("values go on after the end of their array")

    def _some(self, most: int) -> bytes:
        """At most so many bytes; perhaps none, while there is more to come."""
        held = self._inflater.unconsumed_tail
        if not held:
            if not self._source.left and not self._inflater.eof:
                # What zlib still holds back; it says so by itself where the stream is cut.
                found = self._inflater.decompress(b"", most)
                if not found and not self._inflater.eof:
                    raise _Damaged("the compressed data end too early")
                return found
            held = self._source.read(min(_READ_BYTES, self._source.left))
        return self._inflater.decompress(held, most)


@dataclass
class Array:
    """A numeric variable whose values are read in turn, in Fortran order."""

    name: str
    shape: tuple[int, ...]
    stored: np.dtype  # type in the file, byte order included
    _stream: _Plain | _Inflated

    def read(self, count: int) -> np.ndarray:
        """The next `count` values, [count]."""
        return np.frombuffer(self._stream.read(count * self.stored.itemsize), dtype=self.stored)

    def finish(self) -> None:
        """Check what stands behind the last value. To be called once all are read."""
        self._stream.finish()


def is_mat5(path: Path) -> bool:
    """Whether the file begins as a MATLAB 5 file does.

    Raises:
        UserError: it is missing or cannot be read.
    """
    try:
        with open(path, "rb") as file:
            header = file.read(_HEADER_BYTES)
    except OSError as error:
        raise unreadable(path, error) from error
    return header[126:128] in (b"IM", b"MI") and _version(header) == 0x0100


@contextmanager
def arrays(path: Path, names: tuple[str, ...]) -> Iterator[Iterator[Array]]:
    """The variables of these names in the order of the file; read the values of one, then ask for the next.

    Raises:
        UserError: while they are read: the file is truncated or damaged, a variable claims more than the
            file can hold, or one of those named is no full array of real numbers.
    """
    try:
        with open(path, "rb") as file:
            size = file.seek(0, 2)
            yield _arrays(file, size, names)
    except (_Damaged, zlib.error, struct.error) as error:
        raise UserError(
            f"{path}: damaged or truncated MATLAB 5 file ({error}); copy or download it again"
        ) from error
    except OSError as error:
        raise unreadable(path, error) from error


def _version(header: bytes) -> int:
    return int.from_bytes(header[124:126], "little" if header[126:128] == b"IM" else "big")


def _arrays(file: BinaryIO, size: int, names: tuple[str, ...]) -> Iterator[Array]:
    file.seek(0)
    header = file.read(_HEADER_BYTES)
    order = "<" if header[126:128] == b"IM" else ">"
    at = _HEADER_BYTES
    while at < size:
        file.seek(at)
        tag = file.read(8)
        if len(tag) < 8:
            raise _Damaged("the file ends inside a tag")
        kind, n_bytes = struct.unpack(f"{order}II", tag)
        if n_bytes > size - at - 8:
            raise _Damaged(f"an element claims {n_bytes:,} bytes, the file has {size - at - 8:,} left")
        stream: _Plain | _Inflated
        if kind == _COMPRESSED:
            stream = _Inflated(file, n_bytes)
            kind, _ = struct.unpack(f"{order}II", stream.read(8))
        else:
            stream = _Plain(file, n_bytes)
        if kind == _MATRIX:
            array = _matrix(stream, order, names)
            if array is not None:
                yield array
        at += 8 + n_bytes


def _matrix(stream: _Plain | _Inflated, order: str, names: tuple[str, ...]) -> Array | None:
    """The array that begins here; None if it is none of those named."""
    flags = _element(stream, order, _UINT32, 8, "flags")
    if len(flags) != 8:
        raise _Damaged(f"flags of {len(flags)} bytes")
    word, _ = struct.unpack(f"{order}II", flags)
    dimensions = _element(stream, order, _INT32, 4 * _MOST_DIMENSIONS, "dimensions")
    if len(dimensions) % 4:
        raise _Damaged(f"dimensions of {len(dimensions)} bytes")
    shape = tuple(int(n) for n in np.frombuffer(dimensions, dtype=f"{order}i4"))
    name = _element(stream, order, _INT8, _LONGEST_NAME, "a name").decode("latin-1")
    if name not in names:
        return None
    if word & 0xFF not in _NUMERIC_CLASSES or word >> 8 & _COMPLEX:
        raise _Damaged(f"{name} is no full array of real numbers")
    kind, n_bytes, short = _tag(stream, order)
    if kind not in _NUMBERS:
        raise _Damaged(f"{name} has values of type {kind}")
    stored = np.dtype(f"{order}{_NUMBERS[kind]}")
    if min(shape, default=0) < 1 or math.prod(shape) * stored.itemsize != n_bytes:
        raise _Damaged(f"{name} has shape {shape} and {n_bytes:,} bytes of {stored.name}")
    if short is not None:
        return Array(name, shape, stored, _Plain(io.BytesIO(short), n_bytes))
    if n_bytes > stream.most:
        raise _Damaged(f"{name} claims {n_bytes:,} bytes, more than the file can hold")
    return Array(name, shape, stored, stream)


def _element(stream: _Plain | _Inflated, order: str, expected: int, most: int, what: str) -> bytes:
    """Contents of a small element inside a matrix."""
    kind, n_bytes, short = _tag(stream, order)
    if kind != expected or n_bytes > most:
        raise _Damaged(f"{what} of type {kind} and {n_bytes:,} bytes")
    if short is not None:
        return short[:n_bytes]
    return stream.read(n_bytes + -n_bytes % 8)[:n_bytes]


def _tag(stream: _Plain | _Inflated, order: str) -> tuple[int, int, bytes | None]:
    """Type, number of bytes, and the contents if they stand inside the tag (4 bytes at most)."""
    raw = stream.read(8)
    first, second = struct.unpack(f"{order}II", raw)
    if first >> 16:
        if first >> 16 > 4:
            raise _Damaged(f"a short element of {first >> 16} bytes")
        return first & 0xFFFF, first >> 16, raw[4:]
    return first, second, None
