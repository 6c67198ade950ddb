"""Splits by region: who belongs where, and no base in two splits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genome_lm.dataset.regions import (
    DROPPED,
    TEST,
    TRAIN,
    VALID,
    Region,
    assign_splits,
    parse_region,
    parse_regions,
)
from genome_lm.errors import UserError

LENGTHS = {"20": 63_025_520, "chrX": 1_000, "HLA:A*01": 500}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("chr20:40,000,000-48,000,000", ("20", 40_000_000, 48_000_000)),
        ("20:0-63025520", ("20", 0, 63_025_520)),
        ("X", ("chrX", 0, 1_000)),
        ("HLA:A*01", ("HLA:A*01", 0, 500)),
        ("HLA:A*01:5-10", ("HLA:A*01", 5, 10)),
    ],
)
def test_parse(text, expected):
    assert parse_region(text, TEST, LENGTHS) == Region(*expected, TEST)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("chr21", "no such chromosome.*20, chrX"),
        ("chr21:5-10", "no such chromosome"),
        ("chr20:x-10", "no such chromosome"),
        ("chr20:10-10", "is empty"),
        ("chr20:10-5", "is empty"),
        ("chrX:0-1,001", "ends past chrX, which has 1,000 bp"),
        ("", "no such chromosome"),
    ],
)
def test_bad_regions(text, message):
    with pytest.raises(UserError, match=message):
        parse_region(text, VALID, LENGTHS)


def test_overlapping_regions_are_refused_and_touching_ones_are_not():
    assert len(parse_regions(("chr20:0-100",), ("20:100-200", "X"), LENGTHS)) == 3
    for valid, test in ((("20:0-101",), ("20:100-200",)), (("20",), ("20:5-10",)), (("X", "X"), ())):
        with pytest.raises(UserError, match=r"split regions overlap: .* and "):
            parse_regions(valid, test, LENGTHS)


def test_the_buffer_counts_from_the_window_and_held_out_windows_do_not_yield_to_training():
    starts = np.arange(0, 6_000, 200)
    regions = [Region("a", 2_000, 3_000, TEST), Region("a", 3_000, 4_000, VALID)]
    split = assign_splits(starts, 200, 400, regions, 1_000)
    # Window of the bin at 400 ends at 1,000, one buffer away from the region; that of 600 is too near.
    assert starts[split == TRAIN].tolist() == [0, 200, 400, 5_400, 5_600, 5_800]
    assert not np.any(split == VALID)  # the two regions are shorter than the buffer asks for
    assert not np.any(split == TEST)
    split = assign_splits(starts, 200, 400, regions[:1], 1_000)
    assert starts[split == TEST].tolist() == [2_000, 2_200, 2_400, 2_600, 2_800]


def test_a_bin_across_an_edge_belongs_nowhere():
    split = assign_splits(np.array([0, 200, 400, 600]), 200, 0, [Region("a", 300, 600, TEST)], 0)
    assert split.tolist() == [TRAIN, DROPPED, TEST, TRAIN]


def test_without_a_buffer_windows_still_share_no_base():
    starts = np.arange(0, 8_000, 200)
    regions = [Region("a", 2_000, 4_000, TEST), Region("a", 4_000, 6_000, VALID)]
    split = assign_splits(starts, 200, 400, regions, 0)
    assert starts[split == TEST].tolist() == list(range(2_000, 3_600, 200))
    assert starts[split == VALID].tolist() == list(range(4_400, 6_000, 200))
    assert starts[split == TRAIN].tolist() == [*range(0, 1_200, 200), *range(6_800, 8_000, 200)]


@given(
    bins=st.sets(st.integers(0, 60), min_size=1),
    edges=st.lists(st.integers(0, 600), min_size=2, max_size=6, unique=True),
    kinds=st.lists(st.sampled_from([VALID, TEST]), min_size=3, max_size=3),
    flank=st.integers(0, 40),
    buffer=st.integers(0, 60),
)
def test_no_base_is_shared_between_splits(bins, edges, kinds, flank, buffer):
    edges = sorted(edges)[: len(edges) // 2 * 2]
    regions = [
        Region("a", left, right, kind)
        for left, right, kind in zip(edges[::2], edges[1::2], kinds, strict=False)
    ]
    starts = np.array(sorted(bins)) * 10
    split = assign_splits(starts, 10, flank, regions, buffer)
    used: dict[int, set[int]] = {code: set() for code in (TRAIN, VALID, TEST)}
    for start, code in zip(starts.tolist(), split.tolist(), strict=True):
        if code != DROPPED:
            used[code] |= set(range(start - flank, start + 10 + flank))
        homes = {region.split for region in regions if region.start <= start and start + 10 <= region.end}
        assert code in ({DROPPED} | homes if homes else {DROPPED, TRAIN})
    assert not used[TRAIN] & used[VALID]
    assert not used[TRAIN] & used[TEST]
    assert not used[VALID] & used[TEST]
