"""Forward and reverse-complement samples: folded into one window each, cut into pieces, and drawn by seed."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from genome_lm.choices import PairPolicy
from genome_lm.dataset.deepsea.samples import Samples
from genome_lm.dna import COMPLEMENT
from genome_lm.errors import UserError

PIECE_WINDOWS = 20_000
"""Windows of a file that become one piece of the dataset: at bins of 200 bp, 4 Mb of invented chromosome."""


class Windows(NamedTuple):
    """Windows in the order of the file.

    `sample` is the number in the file (of the forward one, where pairs are folded), int64 [n],
    ascending; codes uint8 [n, window_bp]; labels uint8 [n, ceil(n_tasks / 8)].
    """

    sample: np.ndarray
    codes: np.ndarray
    labels: np.ndarray


class PairedWindows:
    """Windows of one file, of which the second half should mirror the first.

    Sample i and sample i + n / 2 should be reverse complements with the same labels. `n_windows` is how many
    windows there are to draw from, `mismatched` how many pairs were no mirror images once all are read.

    Raises:
        UserError: the number of samples is odd although pairs are asked for.
    """

    def __init__(self, samples: Samples, policy: PairPolicy) -> None:
        self._samples, self._policy = samples, policy
        self.mismatched = 0
        self.n_windows = samples.n_samples
        if policy is not PairPolicy.all:
            if samples.n_samples % 2:
                raise UserError(
                    f"{samples.where}: {samples.n_samples:,} samples make no pairs; expected as many forward "
                    "as reverse-complement ones, or use source.pairs=all to keep every sample by itself"
                )
            self.n_windows //= 2

    def pieces(self, chosen: np.ndarray | None = None) -> Iterator[Windows]:
        """All windows, or those of indices `chosen` (int64, ascending), cut at multiples of PIECE_WINDOWS.

        Every pair is verified, chosen or not. The cuts do not depend on the blocks that are read.

        Raises:
            UserError: see `Samples`; and, under PairPolicy.fold, at the first pair that is no mirror image.
        """
        held: list[Windows] = []
        for windows in self._blocks(chosen):
            for part in _cut(windows):
                if held and held[0].sample[0] // PIECE_WINDOWS != part.sample[0] // PIECE_WINDOWS:
                    yield _joined(held)
                    held = []
                held.append(part)
        if held:
            yield _joined(held)

    def _blocks(self, chosen: np.ndarray | None) -> Iterator[Windows]:
        samples, half = self._samples, self.n_windows
        for first in range(0, half, samples.block):
            last = min(first + samples.block, half)
            codes, labels = samples.codes(first, last), samples.labels(first, last)
            if self._policy is not PairPolicy.all:
                self._verify(first, codes, labels)
            index = np.arange(first, last)
            if chosen is not None:
                index = chosen[slice(*np.searchsorted(chosen, (first, last)))]
                codes, labels = codes[:, index - first], labels[:, index - first]
            yield Windows(index, np.ascontiguousarray(codes.T), np.ascontiguousarray(labels.T))

    def _verify(self, first: int, codes: np.ndarray, labels: np.ndarray) -> None:
        """Compare samples from `first` on with those half a file later."""
        samples, half = self._samples, self.n_windows
        last = first + codes.shape[1]
        mirror = samples.codes(half + first, half + last)
        differ = np.zeros(last - first, dtype=bool)
        for row, mirrored in zip(codes, mirror[::-1], strict=True):
            differ |= row != COMPLEMENT[mirrored]
        unlike = np.zeros(last - first, dtype=bool)
        for row, other in zip(labels, samples.labels(half + first, half + last), strict=True):
            unlike |= row != other
        wrong = np.flatnonzero(differ | unlike)
        if len(wrong) and self._policy is PairPolicy.fold:
            at = int(wrong[0])
            what = "sequences are no reverse complements" if differ[at] else "labels differ"
            raise UserError(
                f"{samples.where}: samples {first + at} and {half + first + at} are no pair: their {what}; "
                "expected the second half to mirror the first. Use source.pairs=forward to keep the first "
                "half all the same, or source.pairs=all to keep every sample by itself"
            )
        self.mismatched += len(wrong)


def _cut(windows: Windows) -> Iterator[Windows]:
    """`windows` cut where a new piece begins; nothing if there are none."""
    if not len(windows.sample):
        return
    piece = windows.sample // PIECE_WINDOWS
    for number in range(int(piece[0]), int(piece[-1]) + 1):
        low, high = np.searchsorted(piece, (number, number + 1))
        if high > low:
            yield Windows(*(column[low:high] for column in windows))


def _joined(parts: list[Windows]) -> Windows:
    if len(parts) == 1:
        return parts[0]
    return Windows(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def draw(n_windows: int, size: int, seed: int, split: int) -> np.ndarray:
    """Indices of `size` of `n_windows` windows drawn without replacement, int64, ascending.

    They are those with the smallest of `n_windows` random 64-bit numbers of PCG64, whose stream NumPy
    promises never to change (NEP 19); that of `Generator.choice` may.

    Args:
        seed, split: the stream; another split draws independently.

    Raises:
        ValueError: `size` is more than `n_windows`.
    """
    if size > n_windows:
        raise ValueError(f"{size} of {n_windows} windows")
    numbers = np.random.PCG64(np.random.SeedSequence([seed, split])).random_raw(n_windows)
    return np.sort(np.argsort(numbers, kind="stable")[:size])
