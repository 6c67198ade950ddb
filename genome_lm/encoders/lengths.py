"""Lengths after convolutions without padding, each followed by a max pooling without overlap."""

from collections.abc import Sequence


def length_after(length: int, stages: Sequence[tuple[int, int]]) -> int:
    """Positions left of `length` after stages of (kernel, pool); positions that fill no pool are dropped."""
    for kernel, pool in stages:
        length = (length - kernel + 1) // pool
    return length


def least_length(stages: Sequence[tuple[int, int]]) -> int:
    """The shortest length of which `length_after` leaves one position."""
    length = 1
    for kernel, pool in reversed(stages):
        length = length * pool + kernel - 1
    return length
