"""When a training loop began and ended, on the clock and in processor seconds; for either program."""

import json
import resource
import time
from pathlib import Path


def cpu_seconds() -> float:
    """Of this process and of its ended children."""
    usage = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in usage)


class Marks:
    """The first beginning of a training batch, and the last end; validation between epochs is taken out."""

    def __init__(self) -> None:
        self.wall = self.cpu = 0.0
        self.windows = 0
        self._at = (0.0, 0.0)

    def begin(self) -> None:
        """A stretch of batches begins."""
        self._at = (time.perf_counter(), cpu_seconds())

    def batch(self, windows: int) -> None:
        """A batch is trained on: the time since the last mark counts."""
        now = (time.perf_counter(), cpu_seconds())
        self.wall += now[0] - self._at[0]
        self.cpu += now[1] - self._at[1]
        self.windows += windows
        self._at = now

    def write(self, path: Path) -> None:
        """Leave the figures behind."""
        path.write_text(json.dumps({"wall": self.wall, "cpu": self.cpu, "windows": self.windows}) + "\n")
