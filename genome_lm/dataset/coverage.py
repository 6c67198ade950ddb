"""From peaks to bins: union of intervals, coverage, runs of positive bins. All linear after one sort."""

import numpy as np

Runs = tuple[np.ndarray, np.ndarray]
"""First and one past the last bin of runs of bins, int32 [n] each."""


def unite(starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Union of half-open intervals, sorted and disjoint; touching ones are joined. int64 [n] -> int64 [m]."""
    if not len(starts):
        return starts, ends
    order = np.argsort(starts, kind="stable")
    starts, reach = starts[order], np.maximum.accumulate(ends[order])
    first = np.concatenate(([True], starts[1:] > reach[:-1]))
    last = np.concatenate((first[1:], [True]))
    return starts[first], reach[last]


def covered_bins(
    starts: np.ndarray, ends: np.ndarray, bin_bp: int, min_bp: int
) -> tuple[np.ndarray, np.ndarray]:
    """Runs of bins of which united intervals cover at least `min_bp` bases.

    Bin `b` is the bases `b * bin_bp` to `(b + 1) * bin_bp`.

    Args:
        starts, ends: int64 [n], sorted and disjoint, as `unite` returns them.

    Returns:
        first and one past the last bin of each run, int64 [m], sorted and disjoint.
    """
    first, last = starts // bin_bp, (ends - 1) // bin_bp
    # Bases in the first and in the last bin of an interval; what lies between is covered whole.
    head = np.minimum(ends, (first + 1) * bin_bp) - starts
    spans = last > first
    tail = (ends - last * bin_bp)[spans]
    bins = np.concatenate((first, last[spans]))
    order = np.argsort(bins, kind="stable")
    bins, bases = bins[order], np.concatenate((head, tail))[order]
    edges = np.flatnonzero(np.concatenate(([True], bins[1:] != bins[:-1]))) if len(bins) else bins
    partial = bins[edges][np.add.reduceat(bases, edges) >= min_bp] if len(bins) else bins
    whole = last > first + 1
    return unite(
        np.concatenate((partial, first[whole] + 1)),
        np.concatenate((partial + 1, last[whole])),
    )


def overlapped_bins(starts: np.ndarray, ends: np.ndarray, bin_bp: int) -> tuple[np.ndarray, np.ndarray]:
    """Runs of bins that share at least one base with an interval, sorted and disjoint."""
    return unite(starts // bin_bp, (ends - 1) // bin_bp + 1)


def count_over_bins(starts: np.ndarray, ends: np.ndarray, n_bins: int) -> np.ndarray:
    """How many runs lie over each bin, int32 [n_bins]; runs may overlap and reach past the last bin."""
    steps = np.bincount(np.minimum(starts, n_bins), minlength=n_bins + 1).astype(np.int32)
    steps -= np.bincount(np.minimum(ends, n_bins), minlength=n_bins + 1).astype(np.int32)
    return np.cumsum(steps[:n_bins], dtype=np.int32)


def members(starts: np.ndarray, ends: np.ndarray, bins: np.ndarray) -> np.ndarray:
    """Positions in `bins` (int64, ascending) of those that lie in disjoint runs, int64, ascending."""
    low, high = np.searchsorted(bins, starts), np.searchsorted(bins, ends)
    counts = high - low
    before = np.cumsum(counts) - counts
    return np.arange(counts.sum()) + np.repeat(low - before, counts)
