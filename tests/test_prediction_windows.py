"""Intervals, windows, cutting, order and text of predictions: known answers and properties."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genome_lm.choices import LongPolicy
from genome_lm.dna import N_CODE, encode, reverse_complement
from genome_lm.errors import UserError
from genome_lm.prediction.batches import Tally, cut, window_batches
from genome_lm.prediction.digits import format_probabilities
from genome_lm.prediction.intervals import Intervals, read_intervals, whole_records
from genome_lm.prediction.order import in_window_order
from genome_lm.prediction.windows import Windows, lay_windows

LENGTHS = {"chr1": 1000, "2": 50, "short": 7}


def laid(pairs, context, stride=None, long=LongPolicy.tile) -> Windows:
    start, end = np.array(pairs, dtype=np.int64).T
    return lay_windows(start, end, context_bp=context, stride_bp=stride or context, long=long)


def spans(windows: Windows) -> list[tuple[int, int]]:
    interval, starts = windows.locate(np.arange(len(windows)))
    return list(zip(interval.tolist(), starts.tolist(), strict=True))


@pytest.mark.parametrize(
    ("pair", "long", "expected"),
    [
        ((0, 10), "tile", [0]),
        ((0, 20), "tile", [0, 10]),
        ((0, 21), "tile", [0, 10, 11]),
        ((5, 30), "tile", [5, 15, 20]),
        ((0, 21), "centre", [5]),
        ((100, 101), "tile", [95]),  # nine flanking bases: five on the left
        ((100, 104), "centre", [97]),
        ((0, 2), "tile", [-4]),
    ],
)
def test_known_windows_of_ten_bases(pair, long, expected):
    assert [start for _, start in spans(laid([pair], 10, long=LongPolicy(long)))] == expected


pairs = st.lists(
    st.tuples(st.integers(0, 300), st.integers(1, 120)).map(lambda pair: (pair[0], sum(pair))), min_size=1
)


@given(pairs, st.integers(1, 40), st.data(), st.sampled_from(LongPolicy))
def test_windows_cover_their_intervals(intervals, context, data, long):
    stride = data.draw(st.integers(1, context))
    windows = laid(intervals, context, stride, long)
    found = spans(windows)
    assert [interval for interval, _ in found] == sorted(interval for interval, _ in found)
    for number, (start, end) in enumerate(intervals):
        starts = [at for interval, at in found if interval == number]
        covered = {base for at in starts for base in range(at, at + context)}
        if end - start <= context:
            assert len(starts) == 1
            assert covered >= set(range(start, end))
            left, right = start - starts[0], starts[0] + context - end
            assert left - right in (0, 1)
        elif long is LongPolicy.centre:
            assert len(starts) == 1
            assert (end - starts[0] - context) - (starts[0] - start) in (0, 1)
        else:
            assert covered == set(range(start, end))
            assert starts[0] == start
            assert starts[-1] + context == end
            steps = np.diff(starts)
            assert (steps[:-1] == stride).all()
            assert (steps[-1:] <= stride).all()
            assert (steps > 0).all()


@given(pairs, st.integers(1, 40), st.integers(1, 50), st.randoms())
def test_windows_of_some_intervals_come_in_their_order(intervals, context, size, random):
    windows = laid(intervals, context, max(1, context // 2))
    chosen = np.array(random.sample(range(len(intervals)), random.randint(0, len(intervals))), dtype=np.int64)
    parts = list(windows.of_intervals(chosen, size))
    assert all(len(part) == size for part in parts[:-1])
    expected = [n for interval in chosen for n in range(windows.first[interval], windows.first[interval + 1])]
    assert [number for part in parts for number in part.tolist()] == expected


@given(st.integers(1, 60), st.integers(1, 60).map(lambda half: 2 * half), st.integers(0, 60))
def test_the_bin_is_that_of_a_dataset(context, bin_bp, flank):
    """A dataset's window has its bin in the middle, and the network reads the middle of the window."""
    window_bp = bin_bp + 2 * flank
    if context > window_bp:
        return
    bin_start = 1000
    read_from = bin_start - flank + (window_bp - context) // 2
    windows = laid([(bin_start, bin_start + bin_bp)], context, long=LongPolicy.centre)
    (_, starts) = windows.locate(np.array([0]))
    assert starts.tolist() == [read_from]
    assert [side.tolist() for side in windows.bins(starts, bin_bp)] == [[bin_start], [bin_start + bin_bp]]


@pytest.mark.parametrize("stride", [0, -1, 11])
def test_a_stride_that_leaves_bases_out_is_refused(stride):
    with pytest.raises(UserError, match=f"stride_bp is {stride}; expected 1 to 10"):
        lay_windows(np.array([0]), np.array([99]), context_bp=10, stride_bp=stride, long=LongPolicy.tile)


@given(st.integers(1, 30), st.lists(st.integers(-40, 60), min_size=1), st.integers(1, 35))
def test_cutting_fills_up_with_n(length, starts, width):
    codes = np.random.default_rng(0).integers(0, 4, length).astype(np.uint8)
    found = cut(codes, np.array(starts), width)
    for start, row in zip(starts, found, strict=True):
        assert row.tolist() == [
            codes[at] if 0 <= at < length else N_CODE for at in range(start, start + width)
        ]


def test_batches_run_over_records_and_minus_is_the_reverse_complement():
    records = {"a": encode("ACGTACGTAC"), "b": encode("GG"), "c": encode("TTTTNNNNNN")}
    whole = whole_records({name: len(codes) for name, codes in records.items()})
    strand = np.array([b"-", b".", b"+"], dtype="S1")
    intervals = Intervals(
        whole.sequences, whole.records, whole.sequence, whole.start, whole.end, strand, whole.names
    )
    windows = lay_windows(intervals.start, intervals.end, context_bp=4, stride_bp=4, long=LongPolicy.tile)
    tally = Tally()
    batches = list(window_batches(records.items(), intervals, windows, 3, tally))
    assert [len(numbers) for numbers, _ in batches] == [3, 3, 1]
    codes = np.concatenate([codes for _, codes in batches])
    assert np.concatenate([numbers for numbers, _ in batches]).tolist() == list(range(7))
    forward = [encode(text) for text in ("ACGT", "ACGT", "GTAC")]
    np.testing.assert_array_equal(codes[:3], [reverse_complement(each) for each in forward])
    np.testing.assert_array_equal(codes[3:], [encode(text) for text in ("NGGN", "TTTT", "NNNN", "NNNN")])
    assert tally == Tally(windows=7, padded=1, mostly_n=2, only_n=2)


@given(st.permutations(list(range(12))), st.integers(1, 5))
def test_any_order_becomes_that_of_the_windows(tmp_path_factory, order, size):
    logits = np.arange(24, dtype=np.float32).reshape(12, 2)
    blocks = [(np.array(order[at : at + size]), logits[order[at : at + size]]) for at in range(0, 12, size)]
    folder = tmp_path_factory.getbasetemp()
    before = set(folder.iterdir())
    found = list(in_window_order(blocks, 2, folder))
    assert [first for first, _ in found] == np.cumsum([0, *(len(each) for _, each in found)])[:-1].tolist()
    np.testing.assert_array_equal(np.concatenate([each for _, each in found]), logits)
    assert set(folder.iterdir()) == before


@given(st.lists(st.floats(0, 1), min_size=1))
def test_probabilities_have_six_decimals(values):
    found = format_probabilities(np.array(values))
    for value, digits in zip(values, found, strict=True):
        assert abs(float(digits.tobytes()) - value) <= 0.5000001e-6
        assert len(digits.tobytes()) == 8
    np.testing.assert_array_equal(found, format_probabilities(np.array(values).reshape(1, -1))[0])


def bed(folder: Path, text: str) -> Path:
    path = folder / "some.bed"
    path.write_text(text)
    return path


def test_intervals_keep_their_order_names_and_strands(tmp_path):
    minus = "2\t5\t9\tsecond\t0\t-\n"
    text = f"# note\n{minus}chr1\t0\t1000\nchr2\t0\t50\t\t0\t+\n1\t3\t4\tx\n{minus}"
    found = read_intervals(bed(tmp_path, text), LENGTHS)
    assert found.sequences == ("2", "chr1", "chr2", "1")
    assert found.records == ("2", "chr1", "2", "chr1")
    assert found.sequence.tolist() == [0, 1, 2, 3, 0]
    assert found.start.tolist() == [5, 0, 0, 3, 5]
    assert found.end.tolist() == [9, 1000, 50, 4, 9]
    assert found.strand.tolist() == [b"-", b".", b"+", b".", b"-"]
    assert found.names == ("second", ".", ".", "x", "second")
    assert {name: rows.tolist() for name, rows in found.by_record().items()} == {
        "2": [0, 2, 4],
        "chr1": [1, 3],
    }


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("chr1\t5\t1001", "line 2: chr1:5-1001: past the chromosome's end at 1,000"),
        ("chr1\t5\t5", "line 2: chr1:5-5: end is not after start"),
        ("chr3\t5\t9", "line 2: chromosome 'chr3' is not in the FASTA, which has chr1, 2, short"),
        ("chr1\t5", "line 2: 2 columns"),
        ("chr1\t-5\t9", "line 2: start '-5' is negative"),
        ("chr1\t5\tx", "line 2: end 'x' is no whole number"),
        ("chr1\t5\t9\tn\t0\t0.3", "line 2: strand '0.3' in column 6; expected"),
    ],
)
def test_wrong_lines_are_named(tmp_path, line, answer):
    path = bed(tmp_path, f"chr1\t1\t2\n{line}\n")
    with pytest.raises(UserError) as error:
        read_intervals(path, LENGTHS)
    assert f"{path}: {answer}" in str(error.value)


def test_a_file_without_intervals(tmp_path):
    with pytest.raises(UserError, match="no intervals"):
        read_intervals(bed(tmp_path, "# nothing\n\n"), LENGTHS)
