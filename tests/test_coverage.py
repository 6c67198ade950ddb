"""Intervals, coverage and windows against a plain count base by base."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from genome_lm.dataset.coverage import count_over_bins, covered_bins, members, overlapped_bins, unite
from genome_lm.dataset.windows import has_unknown, merge_windows, pack_labels
from genome_lm.dna import N_CODE

LENGTH = 300

intervals = st.lists(
    st.tuples(st.integers(0, LENGTH - 1), st.integers(1, 60)).map(
        lambda pair: (pair[0], min(LENGTH, pair[0] + pair[1]))
    ),
    max_size=15,
)


def arrays(pairs):
    table = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def painted(pairs, length=LENGTH):
    covered = np.zeros(length, dtype=bool)
    for start, end in pairs:
        covered[start:end] = True
    return covered


def runs_of(mask):
    """First and one past the last position of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], mask.astype(int), [0]))))
    return edges[::2].tolist(), edges[1::2].tolist()


@given(intervals)
def test_unite_is_the_union(pairs):
    starts, ends = unite(*arrays(pairs))
    assert (starts.tolist(), ends.tolist()) == runs_of(painted(pairs))


@given(intervals, st.integers(1, 40), st.data())
def test_covered_bins_count_every_base_once(pairs, bin_bp, data):
    min_bp = data.draw(st.integers(1, bin_bp))
    n_bins = -(-LENGTH // bin_bp)
    per_bin = painted(pairs, n_bins * bin_bp).reshape(n_bins, bin_bp).sum(axis=1)
    starts, ends = covered_bins(*unite(*arrays(pairs)), bin_bp, min_bp)
    assert (starts.tolist(), ends.tolist()) == runs_of(per_bin >= min_bp)
    starts, ends = overlapped_bins(*arrays(pairs), bin_bp)
    assert (starts.tolist(), ends.tolist()) == runs_of(per_bin > 0)


@given(st.lists(intervals, max_size=4), st.integers(0, LENGTH))
def test_count_over_bins(tracks, n_bins):
    united = [unite(*arrays(pairs)) for pairs in tracks]
    starts, ends = (
        np.concatenate([np.empty(0, np.int64), *(pair[side] for pair in united)]) for side in (0, 1)
    )
    expected = sum((painted(pairs).astype(int) for pairs in tracks), np.zeros(LENGTH, dtype=int))
    np.testing.assert_array_equal(count_over_bins(starts, ends, n_bins), expected[:n_bins])


@given(intervals, st.sets(st.integers(0, LENGTH - 1)))
def test_members(pairs, chosen):
    bins = np.array(sorted(chosen), dtype=np.int64)
    expected = np.flatnonzero(painted(pairs)[bins])
    np.testing.assert_array_equal(members(*unite(*arrays(pairs)), bins), expected)


@given(
    st.sets(st.integers(-9, LENGTH - 1), min_size=1), st.integers(1, 30), st.randoms(use_true_random=False)
)
def test_merged_bases_give_back_every_window(chosen, window_bp, random):
    # A window holds at least one base of its chromosome, because its bin does.
    starts = np.array(sorted({max(start, 1 - window_bp) for start in chosen}), dtype=np.int64)
    codes = np.array(random.choices(range(5), k=LENGTH), dtype=np.uint8)
    padded = np.concatenate((np.full(10, N_CODE), codes, np.full(30, N_CODE)))
    sequence, offset = merge_windows(codes, starts, window_bp)
    for start, at in zip(starts, offset, strict=True):
        np.testing.assert_array_equal(
            sequence[at : at + window_bp], padded[start + 10 : start + 10 + window_bp]
        )
    covered = painted([(start + 10, start + 10 + window_bp) for start in starts], LENGTH + 40)
    assert len(sequence) == covered.sum()  # every base once

    unknown = has_unknown(codes, starts, window_bp)
    inside = [codes[max(0, start) : max(0, start + window_bp)] for start in starts]
    assert unknown.tolist() == [bool((part == N_CODE).any()) for part in inside]


@given(st.integers(1, 20), st.integers(1, 12), st.data())
def test_label_bits_round_trip(n_tasks, n_windows, data):
    labels = np.array(
        data.draw(
            st.lists(
                st.lists(st.booleans(), min_size=n_tasks, max_size=n_tasks),
                min_size=n_windows,
                max_size=n_windows,
            )
        ),
        dtype=np.uint8,
    )
    packed = pack_labels(
        {task: np.flatnonzero(labels[:, task]) for task in range(n_tasks)}, n_windows, n_tasks
    )
    np.testing.assert_array_equal(packed, np.packbits(labels, axis=1, bitorder="little"))
