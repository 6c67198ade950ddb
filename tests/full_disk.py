"""A small disk of its own for a test, which it can fill and empty."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class SmallDisk:
    """A tmpfs.

    Args:
        path: where it is mounted.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._filler = path / "filler"

    def fill(self, room: int = 0) -> None:
        """Leave no more than `room` bytes."""
        status = os.statvfs(self.path)
        free = status.f_bavail * status.f_frsize
        with self._filler.open("ab") as file:
            file.write(bytes(max(0, free - room)))

    def empty(self) -> None:
        """Give back what `fill` took."""
        self._filler.unlink(missing_ok=True)


@contextmanager
def small_disk(path: Path, n_bytes: int) -> Iterator[SmallDisk]:
    """A disk of `n_bytes` mounted on a new folder; the test is skipped where mounting is not allowed."""
    path.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", f"size={n_bytes}", "tmpfs", str(path)]
    try:
        mounted = subprocess.run(mounting, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("a small disk needs the mount command")
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)
