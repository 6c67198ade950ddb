"""The computer: instructions and memory, as the system tells them."""

from pathlib import Path

FAST_FORMATS = {"avx512_bf16": "AVX-512 BF16", "amx_bf16": "AMX BF16"}
"""Instructions, as Linux names them, that compute in bf16."""


def cpu_flags(path: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """Names of the processor's instruction sets; empty where the system does not tell."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return frozenset()
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return frozenset(value.split())
    return frozenset()


def available_memory(root: Path = Path("/")) -> int | None:
    """Bytes that a process may still take, under the limits of its control group; None where unknown."""
    try:
        lines = (root / "proc/meminfo").read_text(encoding="utf-8").splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError, IndexError):
        return None
    group = root / "sys/fs/cgroup"
    try:
        limit = int((group / "memory.max").read_text())
        used = int((group / "memory.current").read_text())
        statistics = (group / "memory.stat").read_text().split()
        cache = int(statistics[statistics.index("file") + 1])  # given back when it is needed
    except (OSError, ValueError, IndexError):  # no such group, or "max"
        return free
    return min(free, max(0, limit - used + cache))


def nearest_folder(path: Path) -> Path:
    """The folder itself, or the nearest above it that exists."""
    return next(each for each in (path.absolute(), *path.absolute().parents) if each.exists())
