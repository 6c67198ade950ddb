"""FASTA in all its wrappings, and what is refused."""

import functools
import gzip
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_genome import bgzip, fasta_text

from genome_lm.dataset import fasta
from genome_lm.dataset.fasta import read_fasta, scan_fasta
from genome_lm.dataset.source import blocks
from genome_lm.dna import IUPAC, encode
from genome_lm.errors import UserError

RECORDS = {"chr1": "ACGTNacgtnRYSWKM" * 9, "2": "TTGACA", "contig_3.1": "N" * 130}


def codes_of(path: Path) -> dict[str, list[int]]:
    lengths = scan_fasta(path)
    read = {name: codes.tolist() for name, codes in read_fasta(path, lengths)}
    assert {name: len(codes) for name, codes in read.items()} == lengths
    return read


@pytest.mark.parametrize("wrap", [bytes, gzip.compress, bgzip], ids=["plain", "gzip", "bgzip"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_reads_every_wrapping_by_content(tmp_path, wrap, newline):
    path = tmp_path / "name_says_nothing.dat"
    path.write_bytes(wrap(fasta_text(RECORDS, newline=newline).encode()))
    assert codes_of(path) == {name: encode(letters).tolist() for name, letters in RECORDS.items()}


names = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=5)
letters = st.text(st.sampled_from(IUPAC + IUPAC.lower()), min_size=1, max_size=60)


@given(
    records=st.dictionaries(names, letters, min_size=1, max_size=4),
    width=st.integers(1, 25),
    block=st.integers(1, 40),
    end=st.sampled_from(["", "\n", "\n\n"]),
)
def test_block_boundaries_do_not_matter(records, width, block, end):
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        path = Path(folder) / "genome.fa"
        path.write_text(fasta_text(records, width).rstrip("\n") + end)
        patch.setattr(fasta, "blocks", functools.partial(blocks, size=block))
        assert codes_of(path) == {name: encode(text).tolist() for name, text in records.items()}


def test_reads_only_the_records_asked_for(tmp_path):
    path = tmp_path / "genome.fa"
    path.write_text(fasta_text(RECORDS))
    ((name, codes),) = read_fasta(path, {"2": 6})
    assert name == "2"
    np.testing.assert_array_equal(codes, encode("TTGACA"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("\n\n", "empty"),
        ("ACGT\n", r"line 1: not FASTA.*begins with '>'.*'ACGT'"),
        ("\n\n@read\nACGT\n", "line 3: not FASTA"),
        (">a\nACGT\nAC!GT\n", r"line 3: character '!' is no IUPAC"),
        (">a\nACGT\nAC GT\n", r"line 3: character ' '"),
        (">a\nAC>b\n", r"line 2: character '>'"),
        (">a\nACGT\n>b\nAC-T\n", r"line 4: character '-'"),
        (">a\nAC\n>b\nAC\n>a\nGT\n", r"line 5: second record named 'a'"),
        (">a\n>b\nACGT\n", "record 'a' has no sequence"),
        (">\nACGT\n", "line 1: record without a name"),
        (">" + "x" * 100_000 + "\nA\n", "header longer than"),
    ],
)
def test_bad_fasta_names_line_and_reason(tmp_path, text, message):
    path = tmp_path / "genome.fa"
    path.write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        scan_fasta(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_missing_folder_and_damaged_files(tmp_path):
    with pytest.raises(UserError, match=r"cannot read .*nothing\.fa: No such file"):
        scan_fasta(tmp_path / "nothing.fa")
    with pytest.raises(UserError, match="no ordinary file"):
        scan_fasta(tmp_path)
    whole = gzip.compress(fasta_text(RECORDS).encode())
    (tmp_path / "cut.fa.gz").write_bytes(whole[:-20])
    with pytest.raises(UserError, match="damaged or truncated gzip"):
        scan_fasta(tmp_path / "cut.fa.gz")
    (tmp_path / "bit.fa.gz").write_bytes(whole[:40] + bytes([whole[40] ^ 255]) + whole[41:])
    with pytest.raises(UserError, match=r"damaged or truncated gzip|no IUPAC"):
        scan_fasta(tmp_path / "bit.fa.gz")


def test_a_file_changed_between_the_passes_is_noticed(tmp_path):
    path = tmp_path / "genome.fa"
    path.write_text(">a\nACGT\n")
    lengths = scan_fasta(path)
    for changed in (">a\nACG\n", ">a\nACGTA\n"):
        path.write_text(changed)
        with pytest.raises(UserError, match="a moment ago"):
            list(read_fasta(path, lengths))
