"""The manifest: what it may hold, and each way to get it wrong."""

import math

import pytest

from genome_lm.dataset.manifest import read_manifest
from genome_lm.errors import UserError


@pytest.fixture
def folder(tmp_path):
    for name in ("a.bed", "b.bed"):
        (tmp_path / name).write_text("")
    return tmp_path


def write(folder, text):
    path = folder / "tracks.tsv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_all_columns(folder):
    path = write(
        folder,
        "\ufefftask_id\tfile\tcell\ttarget\ttreatment\tgroup\tselects_bins\tn_peaks\tsource\taccession\tdanq_auroc\tnote\r\n"
        "A\ta.bed\tK562\tCTCF\t\ttf\t1\t7\tENCODE\tGSE1\t0.91\thello\r\n"
        "# a comment\r\n\r\n"
        "B\tb.bed\tliver\tDNase\tIFNa\taccessibility\t0\t9\tENCODE\t\tNA (no positives)\t3\r\n",
    )
    manifest = read_manifest(path)
    first, second = manifest.tracks
    assert (first.id, first.cell, first.target, first.group, first.accession) == (
        "A",
        "K562",
        "CTCF",
        "tf",
        "GSE1",
    )
    assert first.selects_bins
    assert not second.selects_bins
    assert second.treatment == "IFNa"
    assert second.file == folder / "b.bed"
    assert list(manifest.reference) == ["danq_auroc"]
    assert manifest.reference["danq_auroc"][0] == 0.91
    assert math.isnan(manifest.reference["danq_auroc"][1])


def test_two_columns_are_enough(folder):
    manifest = read_manifest(write(folder, "id\tfile\nA\ta.bed\nB\tb.bed"))
    assert [track.id for track in manifest.tracks] == ["A", "B"]
    assert all(track.selects_bins for track in manifest.tracks)
    assert manifest.reference == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no tracks"),
        ("task_id\tfile\n", "no tracks"),
        ("file\tcell\na.bed\tK562\n", r"no column 'task_id'; found file, cell"),
        ("task_id\tcell\nA\tK562\n", r"no column 'file'"),
        ("task_id,file\nA,a.bed\n", r"no column 'task_id'.*by tabs"),
        ("id\tfile\tfile\nA\ta.bed\tb.bed\n", "column 'file' appears twice"),
        ("id\tfile\nA\ta.bed\nA\tb.bed\n", r"line 3: task id 'A' was used on line 2"),
        ("id\tfile\nA\ta.bed\nB\tno.bed\n", r"line 3: file no\.bed does not exist"),
        ("id\tfile\nA\t\n", r"line 2: no file for task 'A'"),
        ("id\tfile\n\ta.bed\n", r"line 2: task id ''"),
        ("id\tfile\nx/y\ta.bed\n", r"line 2: task id 'x/y'"),
        ("id\tfile\nA\ta.bed\textra\n", r"line 2: 3 columns, the header has 2"),
        ("id\tfile\tcell\nA\ta.bed\n", r"line 2: 2 columns, the header has 3"),
        ("id\tfile\tselects_bins\nA\ta.bed\t2\n", r"line 2: selects_bins is '2'"),
        ("id\tfile\tselects_bins\nA\ta.bed\t0\n", "no track has selects_bins = 1"),
        (b"\x89HDF\r\n\x1a\n\xff\xff", "not a text table"),
    ],
)
def test_bad_manifests(folder, text, message):
    path = write(folder, text)
    with pytest.raises(UserError, match=message) as caught:
        read_manifest(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_missing_manifest(tmp_path):
    with pytest.raises(UserError, match=r"cannot read .*tracks\.tsv: No such file"):
        read_manifest(tmp_path / "tracks.tsv")
