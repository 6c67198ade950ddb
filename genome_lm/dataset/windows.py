"""From kept bins of one chromosome to the piece of the dataset that holds them."""

from collections.abc import Mapping

import numpy as np

from genome_lm.dna import N_CODE

_BLOCK = 1 << 14  # windows looked at together: 16 MB at 1,000 bp


def has_unknown(codes: np.ndarray, starts: np.ndarray, length: int) -> np.ndarray:
    """Whether the `length` bases from each of `starts` (ascending) hold an N, bool [n].

    Positions outside `codes` do not count.
    """
    found = np.zeros(len(starts), dtype=bool)
    unknown = codes == N_CODE
    for first in range(0, len(starts), _BLOCK):
        some = starts[first : first + _BLOCK]
        if some[0] < 0 or some[-1] + length > len(codes):
            found[first : first + _BLOCK] = [unknown[max(0, at) : at + length].any() for at in some]
        else:
            view = np.lib.stride_tricks.sliding_window_view(unknown, length)
            found[first : first + _BLOCK] = view[some].any(axis=1)
    return found


def merge_windows(codes: np.ndarray, starts: np.ndarray, window_bp: int) -> tuple[np.ndarray, np.ndarray]:
    """Lay the bases that windows cover end to end, each once.

    Args:
        codes: base codes of the chromosome, uint8 [length].
        starts: genome start of each window, int64, ascending; N is filled in outside the chromosome.

    Returns:
        the bases, uint8 [n_bases], and the position of each window's first base in them, int64 [n].
    """
    opens = np.flatnonzero(np.concatenate(([True], np.diff(starts) > window_bp)))
    closes = np.append(opens[1:], len(starts)) - 1
    first, end = starts[opens], starts[closes] + window_bp
    lengths = end - first
    base = np.cumsum(lengths) - lengths
    sequence = np.full(lengths.sum(), N_CODE, dtype=np.uint8)
    for left, right, at in zip(first.tolist(), end.tolist(), base.tolist(), strict=True):
        inside, stop = max(0, left), min(len(codes), right)
        sequence[at + inside - left : at + stop - left] = codes[inside:stop]
    group = np.searchsorted(opens, np.arange(len(starts)), side="right") - 1
    return sequence, base[group] + starts - first[group]


def pack_labels(positive: Mapping[int, np.ndarray], n_windows: int, n_tasks: int) -> np.ndarray:
    """Labels, uint8 [n_windows, ceil(n_tasks / 8)], from the rows of the positive windows by task index."""
    packed = np.zeros((n_windows, -(-n_tasks // 8)), dtype=np.uint8)
    for task, rows in positive.items():
        packed[rows, task >> 3] |= np.uint8(1 << (task & 7))
    return packed
