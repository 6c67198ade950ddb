"""Numbers too small for float32's full precision, taken as zeros: on CPUs they are dealt with very slowly."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def subnormals_as_zeros() -> Iterator[None]:
    """Have the CPU take numbers below 1.2e-38 in size as zeros, and put things back.

    Gradients that vanish over many steps of a plain recurrence end there. Arithmetic with such numbers takes
    some hundred cycles each, so that a training slowed down to a seventh; the gradients of the weights, sums
    over all steps, were the same to the bit. It holds for this thread and those that it starts meanwhile,
    which keep it: begin before torch has started its own. Where the processor has no such switch nothing is
    done.
    """
    before = _taken_as_zeros()
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


def _taken_as_zeros() -> bool:
    smallest = torch.finfo(torch.float32).tiny
    return not bool((torch.tensor([smallest]) / 2).count_nonzero())
