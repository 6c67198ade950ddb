"""Peak files: the three columns that count, and every wrong line named."""

import functools
import gzip
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_genome import bed_text

from genome_lm.dataset import bed
from genome_lm.dataset.names import check_shared_names, match_name
from genome_lm.dataset.peaks import read_peaks
from genome_lm.dataset.source import blocks
from genome_lm.errors import UserError

LENGTHS = {"chr1": 10_000, "2": 5_000}

NARROW = "chr1\t100\t300\tp1\t960\t.\t25.1\t-1\t4.01\t185\n"
BROAD = "chr1\t100\t300\tp1\t571\t.\t6.16\t15.2\t-1\n"


def intervals(path: Path) -> dict[str, list[tuple[int, int]]]:
    found = read_peaks(path, LENGTHS).intervals
    return {name: list(zip(*map(list, pair), strict=True)) for name, pair in found.items()}


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "track.bed"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    "text",
    [
        "chr1\t100\t300\n",
        "chr1\t100\t300",
        "chr1 100  300 name\n",
        "chr1\t100\t300\r\n",
        NARROW,
        BROAD,
        gzip.compress(NARROW.encode(), mtime=0),
        "# note\ntrack name=x\nbrowser position chr1\n\n" + NARROW,
        "chrom\tstart\tend\n" + NARROW,
        "#chrom\tchromStart\tchromEnd\n" + NARROW,
        "1\t100\t300\n",
    ],
)
def test_all_kinds_of_files(tmp_path, text):
    assert intervals(written(tmp_path, text)) == {"chr1": [(100, 300)]}


def test_names_that_begin_like_a_header_are_chromosomes(tmp_path):
    path = written(tmp_path, "track1\t5\t9\nbrowser_x\t5\t9\n")
    assert read_peaks(path, LENGTHS).elsewhere == {"track1": 1, "browser_x": 1}


def test_chr_is_reconciled_both_ways_and_recorded(tmp_path):
    found = read_peaks(written(tmp_path, "1\t0\t10\nchr2\t5\t6\n2\t7\t9\nchrM\t1\t2\n"), LENGTHS)
    assert found.renamed == {"1": "chr1", "chr2": "2"}
    assert found.elsewhere == {"chrM": 1}
    assert found.n_peaks == 3
    assert [list(part) for part in found.intervals["2"]] == [[5, 7], [6, 9]]


def test_an_empty_file_has_no_peaks(tmp_path):
    assert read_peaks(written(tmp_path, ""), LENGTHS).n_peaks == 0
    assert read_peaks(written(tmp_path, "# only a note\n"), LENGTHS).n_peaks == 0


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("chr1\t300\t300", r"chr1:300-300: end is not after start"),
        ("chr1\t300\t200", r"chr1:300-200: end is not after start"),
        ("chr1\t-5\t200", r"start '-5' is negative"),
        ("chr1\t5\t-200", r"end '-200' is negative"),
        ("chr1\t5\t10001", r"chr1:5-10001: past the chromosome's end at 10,000"),
        ("chr2\t5\t5001", r"past the chromosome's end at 5,000"),
        ("chr1\t5.0\t200", r"start '5.0' is no whole number"),
        ("chr1\t5\t1e3", r"end '1e3' is no whole number"),
        ("chr1\t5\t1_0", r"end '1_0' is no whole number"),
        ("chr1\t+5\t10", r"start '\+5' is no whole number"),
        ("chr1\t\t10", r"start '' is no whole number"),
        ("chr1\t5\t99999999999999999999999", r"is no whole number of bases"),
        ("elsewhere\t9\t3", r"elsewhere:9-3: end is not after start"),
        ("chr1\t5", r"2 columns"),
        ("chr1", r"1 column \("),
        ("\t5\t10", r"empty chromosome name"),
        ("chrom\tstart\tend", r"start 'start' is no whole number"),
        (b"\xff\xfe\x00", r"1 column"),
    ],
)
@pytest.mark.parametrize("before", ["", "# note\n"])
def test_bad_lines_are_named(tmp_path, line, message, before):
    raw = line if isinstance(line, bytes) else line.encode()
    path = written(tmp_path, before.encode() + NARROW.encode() * 2 + raw + b"\n" + NARROW.encode())
    number = 3 + before.count("\n")
    with pytest.raises(UserError, match=message) as caught:
        read_peaks(path, LENGTHS)
    assert str(caught.value).startswith(f"{path}: line {number}: ")
    assert "\n" not in str(caught.value)


def test_endless_line_is_refused_without_reading_it_all(tmp_path):
    path = written(tmp_path, gzip.compress(NARROW.encode() + b"x" * 20_000_000))
    with pytest.raises(UserError, match="line 2: longer than"):
        read_peaks(path, LENGTHS)


rows = st.lists(
    st.tuples(st.sampled_from(["chr1", "2", "elsewhere"]), st.integers(0, 4_000), st.integers(1, 900)).map(
        lambda row: (row[0], row[1], row[1] + row[2])
    ),
    max_size=12,
)


@given(rows=rows, block=st.integers(1, 60), notes=st.booleans())
def test_the_sweep_and_the_careful_way_agree(rows, block, notes):
    """A comment forces the line-by-line way; blocks of any size give the same."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        text = bed_text(rows)
        path = written(Path(folder), text.replace("\n", "\n# note\n") if notes else text)
        patch.setattr(bed, "blocks", functools.partial(blocks, size=block))
        found = intervals(path)
        for name in LENGTHS:
            assert found.get(name, []) == [row[1:] for row in rows if row[0] == name]


def test_match_name():
    assert match_name("20", {"20", "chr20"}) == "20"
    assert match_name("20", {"chr20"}) == "chr20"
    assert match_name("chr20", {"20"}) == "20"
    assert match_name("chrM", {"MT"}) is None


def test_shared_names():
    genome = ("20",)
    check_shared_names({"a.bed": ["chr20", "chr1"], "b.bed": ["chr1"], "empty.bed": []}, genome, genome)
    with pytest.raises(UserError, match=r"b\.bed.*it has NC_000020\.10, the FASTA has 20"):
        check_shared_names({"a.bed": ["chr20"], "b.bed": ["NC_000020.10"]}, genome, genome)
    with pytest.raises(UserError, match=r"a\.bed.*it has chr1.*the FASTA has 20"):
        check_shared_names({"a.bed": ["chr1"], "b.bed": ["chr1"]}, genome, genome)
