"""Splits that leak: bases that two of them share, and windows of equal sequence on either side."""

from itertools import combinations

import numpy as np

from genome_lm.dataset.contents import SPLITS, Dataset
from genome_lm.dna import COMPLEMENT
from genome_lm.doctor.finding import Finding, advice, ok, problem

MUCH = 0.01
"""Share of a split's windows that repeat a training window from which on this is a problem. Genomes repeat
themselves: of held-out chromosomes some windows in a thousand do."""

_BLOCK_BASES = 1 << 24


def check_splits(dataset: Dataset, context_bp: int) -> list[Finding]:
    """Shared bases and repeated windows, of the middle `context_bp` of each window."""
    sizes = {split: len(dataset.windows_of(split)) for split in SPLITS}
    text = ", ".join(f"{n:,} {split}" for split, n in sizes.items())
    missing = [split for split in ("train", "valid") if not sizes[split]]
    findings = []
    if missing:
        findings.append(
            problem("windows", f"{text}: none to {missing[0]} on", "prepare it with regions for each split")
        )
    elif not sizes["test"]:
        findings.append(
            advice("windows", f"{text}: no figure can be reported", "prepare it with splits.test")
        )
    else:
        findings.append(ok("windows", text))
    shared = [
        f"{n:,} bp of {first} and {second}"
        for first, second in combinations(SPLITS, 2)
        if (n := shared_bases(dataset, first, second))
    ]
    if shared:
        findings.append(
            problem(
                "shared bases",
                f"{', '.join(shared)} are the same: scores on them are of sequence that was trained on",
                "prepare it with regions that do not overlap, and splits.buffer_bp of a window's length",
            )
        )
    else:
        findings.append(ok("shared bases", "none between splits"))
    return [*findings, *_repeats(dataset, context_bp)]


def shared_bases(dataset: Dataset, first: str, second: str) -> int:
    """Bases of the genome that windows of both splits cover, flanks included."""
    # Chromosomes are laid end to end, further apart than any is long.
    apart = int(dataset.start.max(initial=0)) + 2 * dataset.window_bp + int(-dataset.start.min(initial=0))
    place = dataset.chromosome.astype(np.int64) * apart + dataset.start
    left = _union(place[dataset.windows_of(first)], dataset.window_bp)
    right = _union(place[dataset.windows_of(second)], dataset.window_bp)
    return int((_covered_below(right, left[1]) - _covered_below(right, left[0])).sum())


def _union(starts: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Starts and ends of the disjoint intervals that windows from `starts` cover."""
    starts = np.sort(starts)
    opens = np.ones(len(starts), dtype=bool)
    opens[1:] = np.diff(starts) > length
    closes = np.append(opens[1:], True)[: len(starts)]
    return starts[opens], starts[closes] + length


def _covered_below(intervals: tuple[np.ndarray, np.ndarray], at: np.ndarray) -> np.ndarray:
    """Bases of disjoint ascending intervals that lie below each of `at`."""
    starts, ends = intervals
    if not len(starts):
        return np.zeros(len(at), dtype=np.int64)
    before = np.concatenate(([0], np.cumsum(ends - starts)))
    number = np.searchsorted(starts, at, side="right")
    inside = np.clip(at - starts[np.maximum(number - 1, 0)], 0, (ends - starts)[np.maximum(number - 1, 0)])
    return np.where(number > 0, before[np.maximum(number - 1, 0)] + inside, 0)


def _repeats(dataset: Dataset, context_bp: int) -> list[Finding]:
    findings = []
    train = dataset.windows_of("train")
    if not len(train):
        return []
    known = np.unique(fingerprints(dataset, train, context_bp))
    for split in ("valid", "test"):
        windows = dataset.windows_of(split)
        if not len(windows):
            continue
        repeated = np.isin(fingerprints(dataset, windows, context_bp), known)
        n, name = int(repeated.sum()), f"{split} windows in train"
        share = n / len(windows)
        text = (
            f"{n:,} of {len(windows):,} ({share:.2%}) have the {context_bp:,} bp of a training window, read "
            "from either strand"
        )
        if not n:
            findings.append(ok(name, f"none of {len(windows):,} has the sequence of a training window"))
        elif share > MUCH:
            findings.append(
                problem(
                    name,
                    f"{text}: its scores are partly remembered",
                    "split by chromosome, and keep both strands of a window in one split",
                )
            )
        else:
            findings.append(
                advice(
                    name,
                    f"{text}, as copies in a genome do",
                    "drop them with a blacklist of segmental duplications, if scores must be of new sequence",
                )
            )
    return findings


def fingerprints(dataset: Dataset, windows: np.ndarray, context_bp: int) -> np.ndarray:
    """64 bits of the middle of each window, the same for both strands, uint64 [n].

    A sum of random odd multiples modulo 2^64 for each strand, both mixed into one: two windows of different
    sequence agree by chance about once in 2^60 pairs.
    """
    multiples = np.random.default_rng(0).integers(0, 2**63, size=context_bp, dtype=np.uint64) * 2 + 1
    found = np.empty(len(windows), dtype=np.uint64)
    block = max(1, _BLOCK_BASES // context_bp)
    for first in range(0, len(windows), block):
        codes = dataset.bases(windows[first : first + block], context_bp)
        forward = codes.astype(np.uint64) @ multiples
        backward = COMPLEMENT[codes].astype(np.uint64) @ multiples[::-1]
        low, high = np.minimum(forward, backward), np.maximum(forward, backward)
        found[first : first + block] = _mixed(_mixed(low) ^ high)
    return found


def _mixed(values: np.ndarray) -> np.ndarray:
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014): every bit depends on every bit."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(values ^ (values >> np.uint64(31)))
