"""Counts of all k-mers, k = 1 to 5, in windows of base codes; also summed over the two strands.

Feature order: by k, then lexicographic by letter code (A, C, G, T), so that a k-mer's place is
`(4**k - 4) / 3 + its base-4 number`: A, C, G, T, AA, AC, ..., TTTTT. Strand-summed features keep that order
over the canonical k-mers, a canonical k-mer being the first of itself and its reverse complement.
"""

from enum import StrEnum

import numpy as np

from genome_lm.errors import UserError

LONGEST_K = 5
N_FEATURES = sum(4**k for k in range(1, LONGEST_K + 1))

POSITIONS_PER_BLOCK = 1_000_000


class Strands(StrEnum):
    """Which strands are counted."""

    FORWARD = "forward"
    """The window as stored: 1,364 features."""
    SUMMED = "summed"
    """Both strands, folded onto canonical k-mers: 692 features, the same for a window and its reverse
    complement."""


def n_features(strands: Strands) -> int:
    """Number of features: 1,364 for one strand, 692 for the strand sum."""
    return N_FEATURES if strands is Strands.FORWARD else len(_canonical_kmers())


def feature_names(strands: Strands = Strands.FORWARD) -> tuple[str, ...]:
    """The k-mer of each feature, in the order of `count_kmers`' columns."""
    names = [_letters(number, k) for k in range(1, LONGEST_K + 1) for number in range(4**k)]
    if strands is Strands.SUMMED:
        return tuple(names[feature] for feature in _canonical_kmers())
    return tuple(names)


def count_kmers(bases: np.ndarray, strands: Strands = Strands.FORWARD) -> np.ndarray:
    """Occurrences, overlapping ones included, of every k-mer of 1 to 5 bases.

    A k-mer that holds an N counts nowhere. With `Strands.SUMMED` a feature is the occurrences of the k-mer
    plus those of its reverse complement; a k-mer that is its own reverse complement therefore counts twice.

    Only 5-mers are counted at every position. A shorter k-mer occurs once for each (k+1)-mer that starts with
    it, and once more wherever the (k+1)-mer would pass the window's end or take in an N.

    Args:
        bases: base codes (A0 C1 G2 T3 N4), uint8 [n_windows, context_bp].

    Returns:
        int16 [n_windows, 1364 or 692]; int32 where twice the context does not fit into int16.

    Raises:
        UserError: `bases` is no two-dimensional uint8 array, or holds a code above 4.
    """
    if bases.ndim != 2 or bases.dtype != np.uint8:
        raise UserError(
            f"base codes of type {bases.dtype}, shape {bases.shape}; expected uint8 [n_windows, context_bp]"
        )
    if bases.size and bases.max() > 4:
        raise UserError(f"base code {bases.max()}; expected 0 to 4 (A, C, G, T, N)")
    n_windows, context_bp = bases.shape
    dtype = np.int16 if 2 * context_bp <= np.iinfo(np.int16).max else np.int32
    counts = np.empty((n_windows, n_features(strands)), dtype=dtype)
    rows = max(1, POSITIONS_PER_BLOCK // max(context_bp, 1))
    for start in range(0, n_windows, rows):
        block = _count_block(bases[start : start + rows]).astype(dtype)
        counts[start : start + rows] = _sum_strands(block) if strands is Strands.SUMMED else block
    return counts


def _count_block(bases: np.ndarray) -> np.ndarray:
    """int64 [n_windows, 1364]."""
    n_windows = len(bases)
    code, valid = bases.astype(np.int64), bases < 4  # of the k-mer that starts at each position
    codes, valids = [code], [valid]
    for k in range(2, LONGEST_K + 1):
        code = code[:, :-1] * 4 + bases[:, k - 1 :]
        valid = valid[:, :-1] & (bases[:, k - 1 :] < 4)
        codes.append(code)
        valids.append(valid)
    row = np.arange(n_windows)[:, None]
    per_k: list[np.ndarray] = []
    for k in range(LONGEST_K, 0, -1):
        uncovered = valids[k - 1].copy()
        if k < LONGEST_K:
            uncovered[:, : valids[k].shape[1]] &= ~valids[k]
        key = (codes[k - 1] + row * 4**k)[uncovered]
        counts = np.bincount(key, minlength=n_windows * 4**k).reshape(n_windows, 4**k)
        if k < LONGEST_K:
            counts += per_k[0].reshape(n_windows, 4**k, 4).sum(axis=2)
        per_k.insert(0, counts)
    return np.concatenate(per_k, axis=1)


def _sum_strands(counts: np.ndarray) -> np.ndarray:
    canonical = _canonical_kmers()
    return counts[:, canonical] + counts[:, _reverse_complement_of()[canonical]]


def _canonical_kmers() -> np.ndarray:
    """Forward features that come no later than their reverse complement, int64 [692]."""
    return np.flatnonzero(np.arange(N_FEATURES) <= _reverse_complement_of())


def _reverse_complement_of() -> np.ndarray:
    """Feature of the reverse complement of each forward feature, int64 [1364]."""
    partner = []
    for k in range(1, LONGEST_K + 1):
        number = np.arange(4**k)
        reverse = np.zeros_like(number)
        for _ in range(k):
            reverse = reverse * 4 + (3 - number % 4)
            number //= 4
        partner.append(reverse + (4**k - 4) // 3)
    return np.concatenate(partner)


def _letters(number: int, k: int) -> str:
    return "".join("ACGT"[number >> (2 * place) & 3] for place in range(k - 1, -1, -1))
