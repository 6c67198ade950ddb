"""The file under HDF5 while a dataset is written."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py


class Sink(io.RawIOBase):
    """A file that remembers the first failed write instead of handing it to libhdf5.

    libhdf5 cannot cope with a full disk: it fails again while it closes the file, and crashes the process
    when that ends. So it is told that all went well, and the writer calls `check` between its steps.
    """

    def __init__(self, path: Path) -> None:
        self._file = open(path, "w+b", buffering=0)  # noqa: SIM115 - closed by close()
        self.failure: OSError | None = None

    def check(self) -> None:
        """Raise the OSError of the first write that failed, if any did."""
        if self.failure is not None:
            raise self.failure

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        done = 0
        while done < len(view) and self.failure is None:
            try:
                done += self._file.write(view[done:])
            except OSError as error:
                self.failure = error
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        try:
            return self._file.truncate(size)
        except OSError as error:
            self.failure = self.failure or error
            return size or 0

    def readinto(self, buffer: Any) -> int | None:
        return self._file.readinto(buffer)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        self._file.close()
        super().close()


@contextmanager
def new_hdf5(path: Path, cache_bytes: int = 1 << 20) -> Iterator[h5py.File]:
    """A new HDF5 file to be written.

    Args:
        cache_bytes: of the chunks of a dataset that are kept in memory.

    Raises:
        OSError: a write failed, as on a full disk. It is raised at the end, or earlier by `Sink.check`.
    """
    with Sink(path) as sink:
        try:
            with h5py.File(sink, "w", rdcc_nbytes=cache_bytes) as file:
                yield file
        except Exception:
            sink.check()  # what libhdf5 trips over later is of no interest
            raise
        sink.check()
