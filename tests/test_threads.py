"""Libraries are kept to one thread, and get theirs back."""

import contextlib

import numpy as np  # noqa: F401  (its BLAS is what is counted)
import torch
from threadpoolctl import threadpool_info

from genome_lm.threads import single_threaded_libraries


def blas_threads() -> list[int]:
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


def test_one_thread_inside_and_as_before_afterwards():
    threads, blas = torch.get_num_threads(), blas_threads()
    torch.set_num_threads(3)
    try:
        with contextlib.suppress(InterruptedError), single_threaded_libraries() as offered:
            assert offered == 3
            assert torch.get_num_threads() == 1
            assert set(blas_threads()) == {1}
            raise InterruptedError  # things are put back after a failure, too
        assert torch.get_num_threads() == 3
        assert blas_threads() == blas
    finally:
        torch.set_num_threads(threads)
