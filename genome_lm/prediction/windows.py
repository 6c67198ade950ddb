"""From intervals to windows of the network's context: centred, or tiled where an interval is longer."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from genome_lm.choices import LongPolicy
from genome_lm.errors import UserError


@dataclass(frozen=True)
class Windows:
    """Windows of `context_bp` by number: those of the first interval from left to right, then the next one's.

    Only the number of windows of each interval is stored; coordinates are worked out when asked for.

    Attributes:
        start, end: of the intervals, int64 [n_intervals].
        first: number of each interval's first window, and last the number of all, int64 [n_intervals + 1].
    """

    start: np.ndarray
    end: np.ndarray
    first: np.ndarray
    context_bp: int
    stride_bp: int
    long: LongPolicy

    def __len__(self) -> int:
        return int(self.first[-1])

    def locate(self, windows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Interval and first base of windows by number, int64 [n] each.

        A start is negative where a window reaches beyond the beginning of its sequence.
        """
        interval = np.searchsorted(self.first, windows, side="right") - 1
        room = self.end[interval] - self.start[interval] - self.context_bp
        shift = room // 2  # also of an interval that is shorter: half the flanks, the odd base on the left
        if self.long is LongPolicy.tile:
            step = (windows - self.first[interval]) * self.stride_bp
            shift = np.where(room > 0, np.minimum(step, room), shift)
        return interval, self.start[interval] + shift

    def of_intervals(self, intervals: np.ndarray, size: int) -> Iterator[np.ndarray]:
        """Numbers of the windows of some intervals, in their order, int64, `size` at a time."""
        counts = np.diff(self.first)[intervals]
        before = np.concatenate(([0], np.cumsum(counts)))
        for at in range(0, int(before[-1]), size):
            place = np.arange(at, min(at + size, int(before[-1])))
            which = np.searchsorted(before, place, side="right") - 1
            yield self.first[intervals[which]] + place - before[which]

    def bins(self, starts: np.ndarray, bin_bp: int) -> tuple[np.ndarray, np.ndarray]:
        """First base and end of the bins that windows starting at `starts` were labelled by in training.

        The bin is in the middle; where it cannot be, it is one base to the right, as in a dataset.
        """
        first = starts - (bin_bp - self.context_bp) // 2
        return first, first + bin_bp


def lay_windows(
    start: np.ndarray, end: np.ndarray, *, context_bp: int, stride_bp: int, long: LongPolicy
) -> Windows:
    """Windows over intervals `start` to `end`, int64 [n_intervals].

    An interval no longer than the context has one window, in the middle of which it lies. A longer one has,
    with `tile`, windows at its start and every `stride_bp` from there, the last one moved back to end where
    the interval ends, so that every base is covered; with `centre`, the one in its middle.

    Raises:
        UserError: a stride below 1, or above the context, which would leave bases uncovered.
    """
    if not 1 <= stride_bp <= context_bp:
        raise UserError(
            f"stride_bp is {stride_bp}; expected 1 to {context_bp}, the network's context: a longer stride "
            "would leave bases out (give a BED file of the places to predict instead)"
        )
    room = end - start - context_bp
    counts = np.ones(len(start), dtype=np.int64)
    if long is LongPolicy.tile:
        counts += np.maximum(-(-room // stride_bp), 0)
    first = np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(counts)))
    return Windows(start, end, first, context_bp, stride_bp, long)
