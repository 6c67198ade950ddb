"""Splits by region: which bin goes to training, validation or test, without a shared base."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from genome_lm.dataset.contents import SPLITS
from genome_lm.dataset.names import listed, match_name
from genome_lm.errors import UserError

TRAIN, VALID, TEST = range(len(SPLITS))
DROPPED = 255
"""Split code of a bin that belongs nowhere: across a region's edge, in the buffer, or sharing bases."""

_DEFAULTS = {
    "splits": "the defaults are DeepSEA's, for a whole human genome",
    "task.regions": "the defaults are those of the dataset",
}
"""Where the regions of a section come from when the user gives none."""

_REGION = re.compile(r"(?P<chromosome>.+):(?P<start>\d[\d,_]*)-(?P<end>\d[\d,_]*)")


@dataclass(frozen=True)
class Region:
    """Bases `start` to `end` (0-based, half-open) of a chromosome of the genome, and the split's code."""

    chromosome: str
    start: int
    end: int
    split: int

    def __str__(self) -> str:
        return f"{SPLITS[self.split]} {self.chromosome}:{self.start:,}-{self.end:,}"


def interval_of(text: str) -> tuple[str, int, int | None]:
    """Chromosome, start and end of a region's text without its genome; None for the end of a whole one."""
    match = _REGION.fullmatch(text)
    if match is None:
        return text, 0, None
    start, end = (int(re.sub("[,_]", "", match[side])) for side in ("start", "end"))
    return match["chromosome"], start, end


def parse_region(text: str, split: int, lengths: Mapping[str, int], section: str = "splits") -> Region:
    """Parse "chr20:40,000,000-48,000,000" (0-based, half-open) or a bare chromosome name.

    Args:
        split: code of the split that the region belongs to.
        lengths: of the chromosomes, bp.
        section: of the configuration that holds the regions, for messages.

    Raises:
        UserError: the chromosome is unknown, or the interval is empty or leaves the chromosome.
    """
    whole = match_name(text, lengths)
    if whole is not None:
        return Region(whole, 0, lengths[whole], split)
    match = _REGION.fullmatch(text)
    chromosome = match_name(match["chromosome"] if match else text, lengths)
    if chromosome is None:
        raise UserError(
            f"{SPLITS[split]} region {text!r}: no such chromosome in the FASTA, which has {listed(lengths)}; "
            f"set {section}.{SPLITS[split]} to chromosomes or regions of it, such as "
            f"'chr20:40,000,000-48,000,000' ({_DEFAULTS[section]})"
        )
    _, start, end = interval_of(text)
    if end is None or start >= end:
        raise UserError(
            f"{SPLITS[split]} region {text!r} is empty; expected start < end (0-based, half-open)"
        )
    if end > lengths[chromosome]:
        raise UserError(
            f"{SPLITS[split]} region {text!r} ends past {chromosome}, which has {lengths[chromosome]:,} bp; "
            "give the chromosome's name alone for the whole of it"
        )
    return Region(chromosome, start, end, split)


def parse_regions(
    valid: Sequence[str], test: Sequence[str], lengths: Mapping[str, int], section: str = "splits"
) -> tuple[Region, ...]:
    """Parse the regions of both splits.

    Raises:
        UserError: a region is wrong (see `parse_region`) or two regions overlap.
    """
    regions = [parse_region(text, VALID, lengths, section) for text in valid]
    regions += [parse_region(text, TEST, lengths, section) for text in test]
    ordered = sorted(regions, key=lambda region: (region.chromosome, region.start))
    for left, right in pairwise(ordered):
        if left.chromosome == right.chromosome and right.start < left.end:
            raise UserError(f"split regions overlap: {left} and {right}; each base may be in one region only")
    return tuple(ordered)


def assign_splits(
    bin_starts: np.ndarray, bin_bp: int, flank_bp: int, regions: Sequence[Region], buffer_bp: int
) -> np.ndarray:
    """Split code of each bin of one chromosome, uint8 [n_bins]; `DROPPED` for bins that belong nowhere.

    A bin belongs to the region that holds all of it, to training outside of all, and nowhere across an edge.
    It is dropped when its window comes closer than `buffer_bp` to a region of another split; held-out
    windows so yield to the other held-out split, and training windows to both, but no held-out window
    yields to training. Should the buffer be shorter than the flank, windows could still share bases:
    validation then yields to test and training to both.

    Args:
        bin_starts: genome start of each bin's own bases, int64, ascending.
        regions: those of this chromosome, disjoint.
    """
    window_bp = bin_bp + 2 * flank_bp
    ends = bin_starts + bin_bp
    split = np.full(len(bin_starts), TRAIN, dtype=np.uint8)
    for region in regions:
        split[(ends > region.start) & (bin_starts < region.end)] = DROPPED  # across the edge, unless:
        split[(bin_starts >= region.start) & (ends <= region.end)] = region.split
    home = split.copy()
    for region in regions:
        near = (ends + flank_bp > region.start - buffer_bp) & (bin_starts - flank_bp < region.end + buffer_bp)
        split[near & (home != region.split)] = DROPPED
    _drop_shared(split, bin_starts, window_bp, VALID, (TEST,))
    _drop_shared(split, bin_starts, window_bp, TRAIN, (TEST, VALID))
    return split


def _drop_shared(
    split: np.ndarray, starts: np.ndarray, window_bp: int, yielding: int, others: tuple[int, ...]
) -> None:
    """Drop the windows of split `yielding` that share a base with a window of one of `others`, in place."""
    fixed = starts[np.isin(split, others)]
    if not len(fixed):
        return
    mine = np.flatnonzero(split == yielding)
    right = np.searchsorted(fixed, starts[mine])
    next_start = fixed[np.minimum(right, len(fixed) - 1)]
    previous = fixed[np.maximum(right - 1, 0)]
    distance = np.minimum(np.abs(next_start - starts[mine]), np.abs(starts[mine] - previous))
    split[mine[distance < window_bp]] = DROPPED
