"""Blocks of the genome: where a window belongs, which blocks count, and sums within them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_comparison import small_dataset

from genome_lm.errors import UserError
from genome_lm.evaluation.blocks import Blocks, genome_blocks


def dataset_at(starts, chromosomes=None):
    """Windows of 10 bp at these starts; only what places them is as given."""
    chromosomes = [0] * len(starts) if chromosomes is None else chromosomes
    return replace(
        small_dataset(),
        start=np.array(starts, dtype=np.int64),
        chromosome=np.array(chromosomes, dtype=np.uint16),
        chromosomes=("chr1", "chr2"),
    )


def test_a_window_lies_where_its_centre_does():
    # Centres 94, 95, 99, 100, 1099: 5 bp after the start.
    dataset = dataset_at([89, 90, 94, 95, 1094])
    blocks = genome_blocks(dataset, np.arange(5), 100)
    assert blocks.block_bp == 100
    np.testing.assert_array_equal(blocks.of_window, [0, 0, 0, 1, 2])  # the nine between hold nothing
    assert blocks.n_blocks == 3
    np.testing.assert_array_equal(blocks.windows, [3, 1, 1])


def test_blocks_end_with_their_chromosome():
    dataset = dataset_at([0, 10, 0, 10, 500], [0, 0, 1, 1, 1])
    np.testing.assert_array_equal(genome_blocks(dataset, np.arange(5), 100).of_window, [0, 0, 1, 1, 2])


def test_only_the_windows_named_count():
    dataset = dataset_at([0, 100, 200, 300, 310])
    blocks = genome_blocks(dataset, np.array([1, 3, 4]), 100)
    np.testing.assert_array_equal(blocks.of_window, [0, 1, 1])
    assert blocks.n_blocks == 2


def test_a_centre_before_the_first_base_is_a_block_of_its_own():
    dataset = dataset_at([-8, 0, 0], [0, 0, 1])
    np.testing.assert_array_equal(genome_blocks(dataset, np.arange(3), 100).of_window, [0, 1, 2])


def test_no_windows_no_blocks():
    blocks = genome_blocks(dataset_at([0]), np.zeros(0, dtype=np.int64), 100)
    assert blocks.n_blocks == 0
    assert blocks.sums(np.zeros((0, 3))).shape == (0, 3)


def test_a_length_below_one_is_refused():
    with pytest.raises(UserError, match=r"blocks of 0 bp .* at least 1"):
        genome_blocks(dataset_at([0]), np.arange(1), 0)


def test_the_real_slice(small):
    windows = small.windows_of("test")
    blocks = genome_blocks(small, windows, 100_000)
    assert blocks.n_blocks == 5  # 500 kb
    centre = small.start[windows] + 500
    edges = np.flatnonzero(np.diff(blocks.of_window)) + 1
    assert (centre[edges] // 100_000 != centre[edges - 1] // 100_000).all()
    for block in range(5):
        assert np.ptp(centre[blocks.of_window == block]) < 100_000


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.tuples(st.integers(-20, 2_000), st.integers(0, 1)), min_size=1, max_size=30),
    st.integers(1, 300),
)
def test_two_windows_share_a_block_if_and_only_if_they_share_a_stretch(places, block_bp):
    starts, chromosomes = zip(*places, strict=True)
    blocks = genome_blocks(dataset_at(starts, chromosomes), np.arange(len(places)), block_bp)
    stretch = [(chromosome, (start + 5) // block_bp) for start, chromosome in places]
    for one in range(len(places)):
        for other in range(len(places)):
            assert (blocks.of_window[one] == blocks.of_window[other]) == (stretch[one] == stretch[other])
    assert blocks.n_blocks == len(set(stretch))


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=20), st.booleans())
def test_sums_add_up_whatever_the_order(places, ascending):
    block = np.unique(sorted(places) if ascending else places, return_inverse=True)[1]
    values = np.arange(2 * len(block), dtype=np.uint8).reshape(-1, 2) * 6  # sums beyond 255
    blocks = Blocks(1, block.max() + 1, block)
    expected = [values[block == index].astype(int).sum(axis=0) for index in range(blocks.n_blocks)]
    np.testing.assert_array_equal(blocks.sums(values), expected)
    assert blocks.sums(values).dtype == np.float64
    np.testing.assert_array_equal(blocks.sums(values > 12), blocks.sums((values > 12).astype(np.float32)))


@pytest.mark.parametrize(
    ("n_blocks", "of_window", "message"),
    [
        (2, [0, 2], r"0 to 2 must lie in 0 to 1"),
        (2, [-1, 0], r"-1 to 0 must lie"),
        (3, [0, 2], r"1 of 3 blocks hold no window, such as block 1"),
        (1, [0.0], r"integers"),
        (1, [[0]], r"\[1, 1\]"),
    ],
)
def test_blocks_that_make_no_sense_are_refused(n_blocks, of_window, message):
    with pytest.raises(ValueError, match=message):
        Blocks(1, n_blocks, np.array(of_window))
