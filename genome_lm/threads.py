"""One thread for every numerical library, while the program shares out the work itself or not at all."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]


@contextmanager
def single_threaded_libraries() -> Iterator[int]:
    """Keep torch and BLAS to one thread each, then put things back; yields the threads torch had before.

    A library's own threads wait for each other in every single operation, and the pools of torch and of
    numpy's BLAS keep a core each while they wait: where other programs wanted the cores too, small operations
    took ten times as long. The number yielded, from OMP_NUM_THREADS or the number of cores, is how many
    threads may share out larger pieces of work.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(limits=1, user_api="blas"):
            yield threads
    finally:
        torch.set_num_threads(threads)
