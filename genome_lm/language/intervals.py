"""Sorted disjoint intervals of one sequence: what is left when others are cut out."""

from collections.abc import Sequence

import numpy as np

from genome_lm.dna import N_CODE

Interval = tuple[int, int]
"""Start and end, 0-based half-open."""


def without(intervals: Sequence[Interval], holes: Sequence[Interval]) -> list[Interval]:
    """What the intervals cover and the holes do not; ascending and disjoint.

    Args:
        intervals: ascending and disjoint.
        holes: in any order; they may overlap each other and reach beyond the intervals.
    """
    left = []
    ordered = sorted(hole for hole in holes if hole[0] < hole[1])
    first = 0
    for start, end in intervals:
        while first < len(ordered) and ordered[first][1] <= start:
            first += 1
        for hole_start, hole_end in ordered[first:]:
            if hole_start >= end:
                break
            if hole_start > start:
                left.append((start, hole_start))
            start = max(start, hole_end)
        if start < end:
            left.append((start, end))
    return left


def unknown_runs(codes: np.ndarray, least_bp: int) -> list[Interval]:
    """Runs of at least `least_bp` Ns in base codes, uint8 [length]."""
    steps = np.diff((codes == N_CODE).view(np.int8), prepend=np.int8(0), append=np.int8(0))
    starts, ends = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)
    long = ends - starts >= least_bp
    return list(zip(starts[long].tolist(), ends[long].tolist(), strict=True))
