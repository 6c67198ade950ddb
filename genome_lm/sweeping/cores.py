"""A fair share of the cores for each of the jobs that run side by side on one machine."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

THREADS = "OMP_NUM_THREADS"
"""What torch, oneDNN and the BLAS libraries take as their number of threads when they start."""


def jobs_at_once(launcher: str, settings: dict[str, Any], n_jobs: int) -> int | None:
    """How many jobs a launcher runs side by side on this machine.

    Args:
        launcher: the choice of `hydra/launcher`.
        settings: its configuration.
        n_jobs: jobs of the sweep.

    Returns:
        None where the launcher, or what is behind it, gives each job its cores: one job at a time, Ray
        (`num_cpus`) and SLURM (`cpus_per_task`).
    """
    if launcher == "joblib":
        # As joblib counts: -1 is a job a core, -2 one less.
        asked = int(settings["n_jobs"])
        return min(n_jobs, asked if asked > 0 else max(1, cores() + 1 + asked))
    if launcher == "submitit_local":
        return n_jobs  # it has no queue: all start at once
    return None


def cores() -> int:
    """Cores that this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def shared_cores(at_once: int | None) -> Iterator[None]:
    """Let processes started meanwhile take an equal share of the cores, where the user has not said how many.

    Threads of several jobs that share a core wait for each other in every operation.
    """
    if at_once is None or THREADS in os.environ:
        yield
        return
    os.environ[THREADS] = str(max(1, cores() // at_once))
    try:
        yield
    finally:
        del os.environ[THREADS]
