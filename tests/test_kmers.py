"""K-mer counts against counting by hand, and the identities they must satisfy."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from genome_lm.baseline import kmers
from genome_lm.baseline.kmers import Strands, count_kmers, feature_names, n_features
from genome_lm.dna import decode, encode, reverse_complement
from genome_lm.errors import UserError

BASES_WITH_N = hnp.arrays(
    np.uint8,
    st.tuples(st.integers(1, 4), st.integers(1, 30)),
    # Mostly bases: with a fifth of N's few 5-mers would be left.
    elements=st.sampled_from([0, 1, 2, 3] * 6 + [4]),
)


def naive_counts(letters: str) -> Counter:
    pieces = (letters[i : i + k] for k in range(1, 6) for i in range(len(letters) - k + 1))
    return Counter(piece for piece in pieces if "N" not in piece)


def first_feature(k: int) -> int:
    return (4**k - 4) // 3


@given(BASES_WITH_N)
def test_counts_are_those_of_a_naive_counter(bases: np.ndarray) -> None:
    counts = count_kmers(bases)
    names = feature_names()
    for row, window in zip(counts, bases, strict=True):
        expected = naive_counts(decode(window))
        assert {names[i]: row[i] for i in np.flatnonzero(row)} == expected


@given(BASES_WITH_N)
def test_strand_sum_adds_each_kmer_and_its_reverse_complement(bases: np.ndarray) -> None:
    counts = count_kmers(bases, Strands.SUMMED)
    for row, window in zip(counts, bases, strict=True):
        both = naive_counts(decode(window)) + naive_counts(decode(reverse_complement(window)))
        assert dict(zip(feature_names(Strands.SUMMED), row, strict=True)) == {
            name: both[name] for name in feature_names(Strands.SUMMED)
        }


@given(BASES_WITH_N)
def test_strand_sum_does_not_see_the_strand(bases: np.ndarray) -> None:
    forward, reverse = (count_kmers(b, Strands.SUMMED) for b in (bases, reverse_complement(bases)))
    np.testing.assert_array_equal(forward, reverse)


def test_without_n_each_k_counts_every_position() -> None:
    bases = np.random.default_rng(0).integers(0, 4, (7, 200), dtype=np.uint8)
    counts = count_kmers(bases)
    for k in range(1, 6):
        part = counts[:, first_feature(k) : first_feature(k + 1)]
        np.testing.assert_array_equal(part.sum(axis=1), 200 - k + 1)


def test_blocks_do_not_change_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    bases = np.random.default_rng(1).integers(0, 5, (23, 40), dtype=np.uint8)
    whole = count_kmers(bases)
    monkeypatch.setattr(kmers, "POSITIONS_PER_BLOCK", 80)
    np.testing.assert_array_equal(count_kmers(bases), whole)


def test_names_order_and_numbers_of_features() -> None:
    names = feature_names()
    assert len(names) == len(set(names)) == n_features(Strands.FORWARD) == 1364
    assert list(names) == sorted(names, key=lambda name: (len(name), name))
    assert names[first_feature(5) + int("03210", 4)] == "ATGCA"
    summed = feature_names(Strands.SUMMED)
    assert len(summed) == n_features(Strands.SUMMED) == 692
    assert [sum(len(name) == k for name in summed) for k in range(1, 6)] == [2, 10, 32, 136, 512]
    assert all(name <= decode(reverse_complement(encode(name))) for name in summed)


def test_long_windows_do_not_overflow() -> None:
    counts = count_kmers(np.zeros((1, 70_000), dtype=np.uint8), Strands.SUMMED)
    assert counts.dtype == np.int32
    assert counts[0, feature_names(Strands.SUMMED).index("AAAAA")] == 70_000 - 4


def test_no_windows_give_no_rows() -> None:
    assert count_kmers(np.zeros((0, 100), dtype=np.uint8)).shape == (0, 1364)


def test_unusable_bases_are_refused() -> None:
    with pytest.raises(UserError, match="expected uint8"):
        count_kmers(np.zeros((2, 10), dtype=np.int64))
    with pytest.raises(UserError, match="base code 9"):
        count_kmers(np.full((2, 10), 9, dtype=np.uint8))
