"""Sequence to learn from: no base in two splits, and stretches that lie where they should."""

import gzip
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_genome import random_letters, write_fasta
from small_run import SLICE

from genome_lm.dataset.batch import Plan
from genome_lm.dna import decode, encode, reverse_complement
from genome_lm.errors import UserError
from genome_lm.language.datamodule import LanguageDataModule, Stretches, spread, tiled
from genome_lm.language.intervals import unknown_runs, without
from genome_lm.language.sequence import Segments, SplitSequence, sequence_of_dataset, sequence_of_fasta

intervals = st.lists(st.tuples(st.integers(-5, 45), st.integers(-5, 45)), max_size=6)


def covered(pairs) -> set[int]:
    return {base for start, end in pairs for base in range(start, end)}


@settings(max_examples=200, deadline=None)
@given(st.sets(st.integers(0, 40)), intervals)
def test_what_is_left_is_the_difference_of_the_sets(edges, holes):
    edges = sorted(edges)
    pairs = list(zip(edges[::2], edges[1::2], strict=False))
    left = without(pairs, holes)
    assert covered(left) == covered(pairs) - covered(holes)
    assert all(start < end for start, end in left)
    assert left == sorted(left)


@settings(max_examples=100, deadline=None)
@given(st.text("AN", max_size=30), st.integers(1, 5))
def test_runs_of_unknown_bases(text, least_bp):
    runs = unknown_runs(encode(text), least_bp)
    for start, end in runs:
        assert text[start:end] == "N" * (end - start)
        assert "N" not in text[max(0, start - 1) : start] + text[end : end + 1]
    assert covered(runs) == {
        place
        for place in range(len(text))
        if any(
            text[start : start + least_bp] == "N" * least_bp and start <= place < start + least_bp
            for start in range(len(text) - least_bp + 1)
        )
    }


def bases(sequence: SplitSequence, split: str) -> list[str]:
    part = sequence.splits[split]
    return [
        decode(part.codes[start:end])
        for start, end in zip(part.start.tolist(), part.end.tolist(), strict=True)
    ]


def test_a_fasta_is_split_by_region_with_a_buffer(tmp_path):
    one, two, short = random_letters(1000, 1), random_letters(300, 2), random_letters(30, 3)
    one = one[:100] + "N" * 60 + one[160:]
    path = write_fasta(tmp_path / "g.fa", {"20": one, "21": two, "un": short})
    sequence = sequence_of_fasta(path, ["chr20:400-500"], ["20:500-600", "chr21"], 50, 40)
    assert bases(sequence, "train") == [one[:100], one[160:350], one[650:]]
    assert bases(sequence, "valid") == [one[400:450]]  # what is near the test region is nobody's
    assert bases(sequence, "test") == [one[500:600], two]
    assert sequence.splits["train"].n_bases == 100 + 190 + 350
    assert sequence.origin["regions"] == {
        "valid": ["chr20:400-500"],
        "test": ["20:500-600", "chr21"],
        "buffer_bp": 50,
    }
    assert sequence.origin["checksum"].startswith("sha256:")


@pytest.mark.parametrize(
    ("valid", "test", "buffer_bp", "stretch_bp", "message"),
    [
        (
            ["chr9"],
            [],
            0,
            10,
            r"valid region 'chr9': no such chromosome .*task\.regions\.valid .*dataset",
        ),
        ([], ["20:0-10"], 0, 10, r"has no valid sequence of 10 bp in one piece; lower data\.context_bp"),
        (["20"], [], 0, 10, r"has no train sequence of 10 bp"),
        (["20:0-50"], [], 0, 60, r"has no valid sequence of 60 bp"),
        (["20:0-50"], ["20:40-60"], 0, 10, r"split regions overlap"),
        (["20:0-50"], [], -1, 10, r"task\.regions\.buffer_bp is -1; expected 0 or more"),
    ],
)
def test_regions_that_leave_nothing(tmp_path, valid, test, buffer_bp, stretch_bp, message):
    path = write_fasta(tmp_path / "g.fa", {"20": random_letters(200)})
    with pytest.raises(UserError, match=message):
        sequence_of_fasta(path, valid, test, buffer_bp, stretch_bp)


def test_the_sequence_of_a_dataset_is_that_of_its_windows(small):
    """Every segment is the chromosome's own letters, and each base is in one split only."""
    letters = "".join(
        line for line in _lines(SLICE / "chr20_47Mb_49Mb.fa.gz") if not line.startswith(">")
    ).upper()
    sequence = sequence_of_dataset(small, 500)
    seen: set[int] = set()
    for name in ("train", "valid", "test"):
        windows = small.windows_of(name)
        expected: set[int] = set()
        for start in small.start[windows].tolist():
            expected |= set(range(start, start + small.window_bp))
        part = sequence.splits[name]
        assert part.n_bases == len(expected)
        assert not seen & expected
        seen |= expected
        texts = bases(sequence, name)
        assert len(texts) < len(windows)  # those that overlap are one
        assert all(text in letters for text in texts[:20])
        stored = set(range(len(small.sequence)))
        assert covered(zip(part.start.tolist(), part.end.tolist(), strict=True)) <= stored
    assert sequence.origin["regions"] == {"valid": ["chr20:500,000-900,000"], "test": ["chr20:0-500,000"]}


def _lines(path: Path) -> list[str]:
    with gzip.open(path, "rt") as file:
        return file.read().splitlines()


def test_windows_that_only_touch_or_lie_on_other_chromosomes_are_apart(small):
    three = replace(
        small,
        window_bp=10,
        sequence=encode(random_letters(35)),
        offset=np.array([0, 5, 15, 25]),
        start=np.array([100, 105, 115, 115]),
        chromosome=np.array([0, 0, 0, 1], dtype=np.uint16),
        split=np.array([0, 0, 0, 1], dtype=np.uint8),
    )
    sequence = sequence_of_dataset(three, 10)
    part = sequence.splits["train"]
    assert part.start.tolist() == [0, 15]
    assert part.end.tolist() == [15, 25]
    assert sequence.splits["test"].n_bases == 0
    with pytest.raises(UserError, match=r"has no train sequence of 16 bp in one piece"):
        sequence_of_dataset(three, 16)


lengths = st.lists(st.integers(7, 60), min_size=1, max_size=6)


@settings(max_examples=100, deadline=None)
@given(lengths, st.integers(1, 7))
def test_stretches_tile_or_cover_their_segments(sizes, stretch_bp):
    ends = np.cumsum(sizes)
    part = Segments(np.zeros(ends[-1], dtype=np.uint8), ends - sizes, ends)
    side_by_side = tiled(part, stretch_bp)
    assert (
        len(covered([(start, start + stretch_bp) for start in side_by_side]))
        == len(side_by_side) * stretch_bp
    )
    assert len(side_by_side) == sum(size // stretch_bp for size in sizes)
    everywhere = spread(part, stretch_bp)
    assert covered([(start, start + stretch_bp) for start in everywhere]) == set(range(ends[-1]))
    assert len(everywhere) == sum(-(-size // stretch_bp) for size in sizes)
    for starts in (side_by_side, everywhere):
        holder = np.searchsorted(part.start, starts, side="right") - 1
        assert np.all(starts + stretch_bp <= part.end[holder])


def test_a_stretch_is_moved_within_its_segment_and_may_be_read_from_the_other_strand():
    codes = np.arange(40, dtype=np.uint8) % 4
    part = Segments(codes, np.array([0, 20]), np.array([20, 40]))
    stretches = Stretches(part, np.array([0, 10, 30]), 10)
    plan = Plan(np.array([0, 0, 1, 2]), np.array([3, -3, 5, 5]), np.array([False, False, True, False]))
    found = stretches[plan].codes.numpy()
    np.testing.assert_array_equal(found[0], codes[3:13])
    np.testing.assert_array_equal(found[1], codes[:10])
    np.testing.assert_array_equal(found[2], reverse_complement(codes[10:20]))
    np.testing.assert_array_equal(found[3], codes[30:40])


def test_epochs_are_other_cuts_of_the_same_sequence_and_the_seed_repeats_them(small):
    sequence = sequence_of_dataset(small, 100)

    def epoch(number: int, seed: int = 0) -> list[np.ndarray]:
        data = LanguageDataModule(
            sequence, 100, batch_size=64, eval_batch_size=64, reverse_complement=True, seed=seed
        )
        loader = data.train_dataloader()
        loader.sampler.set_epoch(number)
        return [batch.codes.numpy() for batch in loader]

    first, second = epoch(0), epoch(1)
    assert sum(map(len, first)) == sum(-(-part // 100) for part in _lengths(sequence, "train"))
    assert {len(batch) for batch in first[:-1]} == {64}
    np.testing.assert_array_equal(np.concatenate(first), np.concatenate(epoch(0)))
    assert not np.array_equal(np.concatenate(first), np.concatenate(second))
    assert not np.array_equal(np.concatenate(first), np.concatenate(epoch(0, seed=1)))


def _lengths(sequence: SplitSequence, split: str) -> list[int]:
    part = sequence.splits[split]
    return (part.end - part.start).tolist()


def test_validation_is_the_same_every_time(small):
    sequence = sequence_of_dataset(small, 100)
    data = LanguageDataModule(sequence, 100, batch_size=64, eval_batch_size=50)
    read = np.concatenate([batch.codes.numpy() for batch in data.val_dataloader()])
    part = sequence.splits["valid"]
    expected = [part.codes[start : start + 100] for start in tiled(part, 100)]
    np.testing.assert_array_equal(read, expected)
