"""Base codes of windows in batches, cut from a FASTA that is read record by record."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from genome_lm.dna import N_CODE, reverse_complement
from genome_lm.prediction.intervals import Intervals
from genome_lm.prediction.windows import Windows


@dataclass
class Tally:
    """What was met while cutting, filled in as the batches are taken."""

    windows: int = 0
    padded: int = 0  # reach beyond an end of their sequence
    mostly_n: int = 0  # more than half N
    only_n: int = 0


def cut(codes: np.ndarray, starts: np.ndarray, length: int) -> np.ndarray:
    """Base codes of `length` bp from each of `starts`, uint8 [len(starts), length]; N outside the sequence.

    Args:
        codes: base codes of the sequence, uint8 [sequence length].
        starts: int64; windows may reach beyond both ends.
    """
    out = np.full((len(starts), length), N_CODE, dtype=np.uint8)
    inside = (starts >= 0) & (starts + length <= len(codes))
    if inside.any():
        out[inside] = np.lib.stride_tricks.sliding_window_view(codes, length)[starts[inside]]
    for row in np.flatnonzero(~inside):
        left, right = max(0, int(starts[row])), min(len(codes), int(starts[row]) + length)
        if left < right:
            out[row, left - starts[row] : right - starts[row]] = codes[left:right]
    return out


def window_batches(
    records: Iterable[tuple[str, np.ndarray]],
    intervals: Intervals,
    windows: Windows,
    batch_size: int,
    tally: Tally,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (numbers of windows int64 [batch], base codes uint8 [batch, context_bp]).

    Windows of a '-' interval are reverse complements. The order is that of the records, and within one that
    of the intervals. Batches run over the ends of records, so that many short records make full ones.

    Args:
        records: name and base codes, uint8 [length], of each record that has intervals; one is held at a
            time.
    """
    of_record = intervals.by_record()
    numbers = np.empty(batch_size, dtype=np.int64)
    batch = np.empty((batch_size, windows.context_bp), dtype=np.uint8)
    filled = 0
    for name, codes in records:
        for some in windows.of_intervals(of_record[name], batch_size):
            cut_out = _oriented(codes, some, intervals, windows, tally)
            taken = 0
            while taken < len(some):
                count = min(len(some) - taken, batch_size - filled)
                numbers[filled : filled + count] = some[taken : taken + count]
                batch[filled : filled + count] = cut_out[taken : taken + count]
                taken, filled = taken + count, filled + count
                if filled == batch_size:
                    yield numbers.copy(), batch.copy()
                    filled = 0
        del codes  # or the next record would be read beside it
    if filled:
        yield numbers[:filled], batch[:filled]


def _oriented(
    codes: np.ndarray, numbers: np.ndarray, intervals: Intervals, windows: Windows, tally: Tally
) -> np.ndarray:
    interval, starts = windows.locate(numbers)
    out = cut(codes, starts, windows.context_bp)
    unknown = np.count_nonzero(out == N_CODE, axis=1)
    tally.windows += len(numbers)
    tally.padded += int(np.count_nonzero((starts < 0) | (starts + windows.context_bp > len(codes))))
    tally.mostly_n += int(np.count_nonzero(2 * unknown > windows.context_bp))
    tally.only_n += int(np.count_nonzero(unknown == windows.context_bp))
    reverse = intervals.strand[interval] == b"-"
    if reverse.any():
        out[reverse] = reverse_complement(out[reverse])
    return out
