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


def nearest_folder(path: Path) -> Path:
    """The folder itself, or the nearest above it that exists."""
    return next(each for each in (path.absolute(), *path.absolute().parents) if each.exists())
