"""Counts of the words of a genome: what a Markov chain learns from, and what it is judged by."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from genome_lm.dna import N_CODE
from genome_lm.language.sequence import Segments

Block = tuple[np.ndarray, np.ndarray]
"""Base codes, uint8 [length], and which of them are to be predicted, bool [length]."""

_BLOCK_BP = 1 << 20


@dataclass(frozen=True)
class WordCounts:
    """How often each base followed each context, for contexts of 0 to `max_order` bases.

    A word of order k is a base and the k known bases before it, in reading order; its number is its base-4
    value. Bases are told apart by how many known bases stand before them, within what is read.

    Attributes:
        at_least: for each k int64 [4 ** (k + 1)], counts of the words of bases with k or more known bases
            before them.
        exactly: for each k below the longest int64 [n], the words themselves of the bases with exactly k.
    """

    at_least: tuple[np.ndarray, ...]
    exactly: tuple[np.ndarray, ...]

    @property
    def max_order(self) -> int:
        """The longest context."""
        return len(self.at_least) - 1

    @property
    def n_bases(self) -> int:
        """Bases counted."""
        return int(self.at_least[0].sum())

    def with_other_strand(self) -> tuple[np.ndarray, ...]:
        """`at_least` with all words' reverse complements added, as if the other strand were read too."""
        return tuple(
            counts + counts[_reverse_complements(order + 1)] for order, counts in enumerate(self.at_least)
        )


def count_words(blocks: Iterable[Block], max_order: int) -> WordCounts:
    """Count the words that end in the bases to be predicted. Unknown bases (N) are no part of any word."""
    at_least = [np.zeros(4 ** (order + 1), dtype=np.int64) for order in range(max_order + 1)]
    exactly: list[list[np.ndarray]] = [[] for _ in range(max_order)]
    for codes, wanted in blocks:
        known = codes != N_CODE
        place = np.arange(len(codes))
        last_unknown = np.maximum.accumulate(np.where(known, -1, place))
        # How many known bases stand right before each base that is itself known.
        before = place - last_unknown - 1
        chosen = wanted & known
        letters = np.where(known, codes, 0).astype(np.int64)
        words = np.zeros(len(codes), dtype=np.int64)
        for order in range(max_order + 1):
            # words[i] is the base-4 value of the `order` + 1 bases that end in i.
            words[order:] += letters[: len(letters) - order] * 4**order
            np.add.at(at_least[order], words[chosen & (before >= order)], 1)
            if order < max_order:
                exactly[order].append(words[chosen & (before == order)])
    return WordCounts(
        tuple(at_least), tuple(np.concatenate([np.empty(0, np.int64), *each]) for each in exactly)
    )


def segment_blocks(segments: Segments, max_order: int) -> Iterator[Block]:
    """Every base of the segments, to be predicted from what stands before it in its segment."""
    pieces: list[np.ndarray] = []
    wanted: list[np.ndarray] = []
    size = 0
    for start, end in zip(segments.start.tolist(), segments.end.tolist(), strict=True):
        for at in range(start, end, _BLOCK_BP):
            before = max(start, at - max_order)  # a long segment's next part is read from its own context on
            stop = min(end, at + _BLOCK_BP)
            pieces += [segments.codes[before:stop], np.array([N_CODE], dtype=np.uint8)]
            wanted += [np.arange(before, stop) >= at, np.zeros(1, dtype=bool)]
            size += stop - before
            if size >= _BLOCK_BP:
                yield np.concatenate(pieces), np.concatenate(wanted)
                pieces, wanted, size = [], [], 0
    if pieces:
        yield np.concatenate(pieces), np.concatenate(wanted)


def stretch_blocks(
    codes: np.ndarray, starts: np.ndarray, stretch_bp: int, targets: np.ndarray
) -> Iterator[Block]:
    """The bases at `targets` of each stretch, to be predicted from what stands before them in the stretch.

    Args:
        codes: uint8 [n_bases].
        starts: where stretches of `stretch_bp` begin, int64 [n_stretches].
        targets: places in a stretch, int64 [n_targets].
    """
    wanted = np.zeros(stretch_bp + 1, dtype=bool)
    wanted[targets] = True
    all_stretches = np.lib.stride_tricks.sliding_window_view(codes, stretch_bp)
    at_once = max(1, _BLOCK_BP // stretch_bp)
    for first in range(0, len(starts), at_once):
        chosen = all_stretches[starts[first : first + at_once]]
        separated = np.pad(chosen, ((0, 0), (0, 1)), constant_values=N_CODE)
        yield separated.ravel(), np.tile(wanted, len(chosen))


def _reverse_complements(length: int) -> np.ndarray:
    """Number of the reverse complement of each word of `length` bases, int64 [4 ** length]."""
    rest = np.arange(4**length)
    reverse = np.zeros_like(rest)
    for _ in range(length):
        reverse = reverse * 4 + (3 - rest % 4)
        rest = rest // 4
    return reverse
