"""How much memory a piece of work takes at its peak, on the processor or on a GPU."""

import ctypes
import gc
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch

STATUS = Path("/proc/self/status")
CLEAR = Path("/proc/self/clear_refs")


def peak_growth(work: Callable[[], object], device: torch.device) -> int | None:
    """Bytes by which memory grows at most while `work` runs; None where the system does not tell.

    On a GPU that is what torch allocates. On the processor it is the resident memory of the process, whose
    high-water mark Linux resets on request; memory that earlier work freed is handed back before, so that it
    is counted again.
    """
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        work()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    if not _reset_peak():
        work()
        return None
    resident = _status("VmRSS")
    work()
    peak = _status("VmHWM")
    return None if peak is None or resident is None else max(0, peak - resident)


def _reset_peak() -> bool:
    """Hand freed memory back and set the high-water mark to what is resident; whether that was possible."""
    if not sys.platform.startswith("linux"):
        return False
    with suppress(OSError, AttributeError):  # another C library: what is free stays, and is not counted
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    try:
        CLEAR.write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


def _status(name: str) -> int | None:
    try:
        lines = STATUS.read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))
    except (OSError, StopIteration, ValueError, IndexError):
        return None
