"""A column that waits on disk until its length is known."""

import hashlib
import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import numpy as np

_BLOCK = 1 << 24  # bytes read at once


class Spool:
    """Rows appended to a nameless file, and read again in their order.

    Args:
        folder: on whose disk the file lies. It has no name, so that nothing is left of it however this
            process ends.
        dtype: of the rows.
        width: numbers in a row; None for a column of one dimension.
    """

    def __init__(self, folder: Path, dtype: np.dtype, width: int | None) -> None:
        self.dtype = dtype
        self._tail = () if width is None else (width,)
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by __exit__
        self._digest = hashlib.sha256()
        self._n_rows = 0

    def __enter__(self) -> "Spool":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._file.close()
        except OSError:
            if error is None:
                raise  # else the disk was full before, and what it could not hold is given up

    def __len__(self) -> int:
        return self._n_rows

    @property
    def shape(self) -> tuple[int, ...]:
        return (self._n_rows, *self._tail)

    @property
    def n_bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    def append(self, rows: np.ndarray) -> None:
        """Raises OSError when the disk is full."""
        rows = np.ascontiguousarray(rows, dtype=self.dtype)
        self._file.write(rows.data.cast("B") if rows.size else b"")
        self._digest.update(rows.data)
        self._n_rows += len(rows)

    def digest(self) -> str:
        """SHA-256 of all rows, hexadecimal."""
        return self._digest.hexdigest()

    def blocks(self) -> Iterator[np.ndarray]:
        """All rows, in blocks of whole megabytes of rows."""
        self._file.seek(0)
        step = max(1, _BLOCK // (self.dtype.itemsize * math.prod(self._tail)))
        for first in range(0, self._n_rows, step):
            shape = (min(step, self._n_rows - first), *self._tail)
            raw = self._file.read(math.prod(shape) * self.dtype.itemsize)
            yield np.frombuffer(raw, dtype=self.dtype).reshape(shape)
