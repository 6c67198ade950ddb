"""`prepare` against a plain reimplementation base by base, and what it refuses."""

import logging
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_genome import bed_text, bgzip, contents, random_letters, write_fasta, write_manifest

from genome_lm.choices import EndPolicy, NPolicy
from genome_lm.dataset.format import SPLITS, open_dataset
from genome_lm.dataset.prepare import prepare
from genome_lm.dataset.settings import PrepareSettings
from genome_lm.dna import decode
from genome_lm.errors import UserError

SMALL = PrepareSettings("toy", bin_bp=10, window_bp=30, buffer_bp=20)


def made(folder: Path, how: PrepareSettings = SMALL):
    summary = prepare(folder / "genome.fa", folder / "tracks.tsv", folder / "out.h5", how)
    return summary, open_dataset(folder / "out.h5")


def windows_of(dataset):
    """(chromosome, bin start, split, letters, labels) of every window."""
    every = np.arange(dataset.n_windows)
    flank = (dataset.window_bp - dataset.bin_bp) // 2
    return [
        (
            dataset.chromosomes[chromosome],
            int(start) + flank,
            SPLITS[split],
            decode(bases),
            tuple(labels.tolist()),
        )
        for chromosome, start, split, bases, labels in zip(
            dataset.chromosome,
            dataset.start,
            dataset.split,
            dataset.bases(every, dataset.window_bp),
            dataset.labels(every),
            strict=True,
        )
    ]


def expected_windows(genome, tracks, selects, how: PrepareSettings, blacklist=()):
    """The recipe without a split, written the slow and obvious way."""
    found = []
    for name, letters in genome.items():
        covered = np.zeros((len(tracks), len(letters)), dtype=bool)
        for row, peaks in enumerate(tracks.values()):
            for chromosome, start, end in peaks:
                if chromosome == name:
                    covered[row, start:end] = True
        for start in range(0, len(letters) - how.bin_bp + 1, how.bin_bp):
            labels = covered[:, start : start + how.bin_bp].sum(axis=1) >= how.min_coverage * how.bin_bp
            left, right = start - how.flank_bp, start + how.bin_bp + how.flank_bp
            window = "".join(
                letters[at].upper() if 0 <= at < len(letters) else "N" for at in range(left, right)
            )
            core = letters[start : start + how.bin_bp].upper()
            inside = letters[max(0, left) : right].upper()
            keep = sum(label for label, selecting in zip(labels, selects.values(), strict=True) if selecting)
            if (
                keep >= how.min_positives
                and (how.end_policy is EndPolicy.pad or (left >= 0 and right <= len(letters)))
                and not (how.n_policy is NPolicy.core and "N" in core)
                and not (how.n_policy is NPolicy.window and "N" in inside)
                and not any(
                    chromosome == name and first < start + how.bin_bp and end > start
                    for chromosome, first, end in blacklist
                )
            ):
                found.append((name, start, "train", window, tuple(int(label) for label in labels)))
    return found


peaks = st.lists(
    st.tuples(st.sampled_from("ab"), st.integers(0, 140), st.integers(1, 60)).map(
        lambda peak: (peak[0], peak[1], min(peak[1] + peak[2], 157))
    ),
    max_size=5,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    tracks=st.lists(peaks, min_size=1, max_size=9),
    selecting=st.lists(st.booleans(), min_size=9, max_size=9),
    min_coverage=st.sampled_from([0.05, 0.3, 0.5, 0.55, 1.0]),
    min_positives=st.integers(1, 2),
    n_policy=st.sampled_from(NPolicy),
    end_policy=st.sampled_from(EndPolicy),
    blacklist=st.one_of(st.none(), peaks),
    seed=st.integers(0, 9),
)
def test_equals_the_slow_way(
    tracks, selecting, min_coverage, min_positives, n_policy, end_policy, blacklist, seed
):
    genome = {"a": random_letters(157, seed, "ACGTacgtACGTacgtACGTN"), "b": random_letters(203, seed + 1)}
    named = {f"t{index}": track for index, track in enumerate(tracks)}
    selects = {name: int(choice) for name, choice in zip(named, [True, *selecting[1:]], strict=False)}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_fasta(folder / "genome.fa", genome)
        write_manifest(folder, named, selects)
        if blacklist is not None:
            (folder / "blacklist.bed").write_text(bed_text(blacklist))
        how = PrepareSettings(
            "toy",
            bin_bp=10,
            window_bp=30,
            min_coverage=min_coverage,
            min_positives=min_positives,
            n_policy=n_policy,
            end_policy=end_policy,
            blacklist=None if blacklist is None else folder / "blacklist.bed",
        )
        expected = expected_windows(genome, named, selects, how, blacklist or ())
        if not expected:
            with pytest.raises(UserError, match="no window could be made"):
                made(folder, how)
            return
        summary, dataset = made(folder, how)
        assert windows_of(dataset) == expected
        assert dataset.tasks.n_peaks.tolist() == [len(track) for track in tracks]
        assert summary.n_windows == len(expected)
        np.testing.assert_array_equal(
            summary.positives.sum(axis=0), dataset.labels(np.arange(len(expected))).sum(axis=0)
        )


GENOME = {"chr1": random_letters(4_000, 1), "chr2": random_letters(3_000, 2)}
TRACKS = {
    "first": [("chr1", 100, 3_900), ("chr2", 0, 3_000)],
    "second": [("chr1", 150, 190), ("chr1", 3_000, 3_500)],
}


@pytest.fixture
def folder(tmp_path):
    write_fasta(tmp_path / "genome.fa", GENOME)
    write_manifest(tmp_path, TRACKS)
    return tmp_path


def test_splits_by_region_and_chromosome(folder):
    how = PrepareSettings(
        "toy", bin_bp=10, window_bp=30, buffer_bp=20, test=("chr1:1,000-2,000",), valid=("2",)
    )
    summary, dataset = made(folder, how)
    bases = {split: set() for split in SPLITS}
    for chromosome, start, split, letters, _ in windows_of(dataset):
        assert letters == GENOME[chromosome][start - 10 : start + 20]
        home = "valid" if chromosome == "chr2" else "test" if 1_000 <= start < 2_000 else "train"
        assert split == home
        bases[split] |= {(chromosome, at) for at in range(start - 10, start + 20)}
    assert not bases["train"] & bases["test"]
    # Of the 280 training bins with a peak the three at either edge have windows closer than 20 bp; chr2 loses
    # its first and last bin, whose windows leave the chromosome.
    assert summary.windows == (274, 298, 100)
    assert summary.bins.at_boundary == 6
    assert dataset.recipe["test"] == ["chr1:1,000-2,000"]
    assert "train" in summary.text()
    assert f"{summary.windows[0]:,}" in summary.text()


def test_same_inputs_same_file(folder):
    first = prepare(folder / "genome.fa", folder / "tracks.tsv", folder / "one.h5", SMALL)
    second = prepare(folder / "genome.fa", folder / "tracks.tsv", folder / "two.h5", SMALL)
    assert first.checksum == second.checksum == open_dataset(folder / "two.h5").checksum
    assert (folder / "one.h5").read_bytes() == (folder / "two.h5").read_bytes()


def test_wrapping_of_the_fasta_changes_only_its_recorded_digest(folder):
    _, plain = made(folder)
    (folder / "genome.fa").write_bytes(bgzip((folder / "genome.fa").read_bytes(), 3_000))
    _, wrapped = made(folder)
    assert windows_of(plain) == windows_of(wrapped)
    assert plain.checksum != wrapped.checksum


@pytest.mark.parametrize(("ours", "theirs"), [("20", "chr20"), ("chr20", "20")])
def test_chr_is_reconciled_and_said(tmp_path, caplog, ours, theirs):
    write_fasta(tmp_path / "genome.fa", {ours: random_letters(500)})
    write_manifest(tmp_path, {"track": [(theirs, 100, 200)]})
    with caplog.at_level(logging.INFO):
        _, dataset = made(tmp_path)
    assert dataset.chromosomes == (ours,)
    assert dataset.n_windows == 10
    assert f"read {theirs} as {ours} of the FASTA" in caplog.text


def test_peaks_beyond_a_one_chromosome_fasta_are_counted_and_said(folder, caplog):
    write_fasta(folder / "genome.fa", {"2": GENOME["chr2"]})
    with caplog.at_level(logging.INFO):
        summary, dataset = made(folder)
    assert dataset.chromosomes == ("2",)
    assert summary.peaks_elsewhere == 3
    assert summary.tracks_without_peaks == ("second",)  # all of its peaks lie on chr1
    assert "3 peaks lie on 1 chromosomes that the FASTA does not have" in caplog.text
    assert "3 peaks lie on chromosomes" in summary.text()


def test_a_track_without_peaks_is_kept_and_named_or_refused(folder, caplog):
    write_manifest(folder, {**TRACKS, "silent": []})
    summary, dataset = made(folder)
    assert summary.tracks_without_peaks == ("silent",)
    assert "1 of 3 tracks have no peak on this genome and become all-negative tasks: silent" in caplog.text
    assert dataset.labels(np.arange(dataset.n_windows))[:, 2].sum() == 0
    (folder / "out.h5").unlink()
    with pytest.raises(
        UserError, match=r"1 tracks have no peak on this genome: silent; remove .* strict=false"
    ):
        made(folder, PrepareSettings("toy", bin_bp=10, window_bp=30, strict=True))
    assert "out.h5" not in contents(folder)


def test_background(folder):
    write_manifest(
        folder,
        {"track": [("chr1", 100, 300), ("chr2", 100, 200)], "broad": [("chr1", 0, 3_000)]},
        {"track": 1, "broad": 0},
    )
    how = PrepareSettings("toy", bin_bp=10, window_bp=30, background_per_positive=2.0, seed=5)
    summary, dataset = made(folder, how)
    rows = windows_of(dataset)
    negative = [row for row in rows if not any(row[4])]
    # chr1 has 20 bins with a peak and 99 bins outside both tracks, chr2 has 10 and enough.
    assert summary.bins.background == len(negative) == 40 + 20
    assert len(rows) == 30 + 60
    assert all(start >= 3_000 for name, start, *_ in negative if name == "chr1")
    assert rows == sorted(rows, key=lambda row: row[:2])
    assert made(folder, how)[0].checksum == summary.checksum
    other = PrepareSettings("toy", bin_bp=10, window_bp=30, background_per_positive=2.0, seed=6)
    assert made(folder, other)[0].checksum != summary.checksum


def test_the_progress_bar_goes_to_standard_error(folder, capsys):
    prepare(folder / "genome.fa", folder / "tracks.tsv", folder / "out.h5", SMALL, progress=True)
    assert capsys.readouterr().out == ""


def test_an_empty_split_is_warned_about(folder, caplog):
    made(folder, PrepareSettings("toy", bin_bp=10, window_bp=30, valid=("chr1:0-20",)))
    assert "no window falls into the valid split" in caplog.text
    caplog.clear()
    made(folder, PrepareSettings("toy", bin_bp=10, window_bp=30, valid=("1",), test=("2",)))
    assert "no window falls into the train split" in caplog.text


def broken_fasta(folder):
    (folder / "genome.fa").write_text(">chr1\nACGT!\n")


def broken_bed(folder):
    (folder / "second.bed").write_text("chr1\t5\t10\nchr1\t9\t9\n")


def past_the_end(folder):
    (folder / "second.bed").write_text("chr1\t5\t4001\n")


def missing_bed(folder):
    (folder / "second.bed").unlink()


def repeated_id(folder):
    (folder / "tracks.tsv").write_text("id\tfile\nx\tfirst.bed\nx\tsecond.bed\n")


def foreign_names(folder):
    write_manifest(folder, {"track": [("NC_000001.10", 100, 200)]})


def no_peaks(folder):
    write_manifest(folder, {"track": []})


def no_fasta(folder):
    (folder / "genome.fa").unlink()


def bad_blacklist(folder):
    (folder / "blacklist.bed").write_text("chr1\t5\tx\n")


@pytest.mark.parametrize(
    ("damage", "how", "message"),
    [
        (broken_fasta, {}, r"genome\.fa: line 2: character '!'"),
        (broken_bed, {}, r"second\.bed: line 2: chr1:9-9: end is not after start"),
        (past_the_end, {}, r"second\.bed: line 1: .* past the chromosome's end at 4,000"),
        (missing_bed, {}, r"tracks\.tsv: line 3: file second\.bed does not exist"),
        (repeated_id, {}, r"tracks\.tsv: line 3: task id 'x' was used on line 2"),
        (
            foreign_names,
            {},
            r"track\.bed names no chromosome of the FASTA: it has NC_000001\.10, the FASTA has chr1, chr2",
        ),
        (no_peaks, {}, "no window could be made: 0 bins with peaks"),
        (no_fasta, {}, r"cannot read .*genome\.fa"),
        (bad_blacklist, {"blacklist": "blacklist.bed"}, r"blacklist\.bed: line 1: end 'x'"),
        (None, {"blacklist": "none.bed"}, r"cannot read .*none\.bed"),
        (
            None,
            {"valid": ("chr1:0-500",), "test": ("chr1:400-900",)},
            "split regions overlap: valid chr1:0-500 and test",
        ),
        (None, {"valid": ("chr3",)}, "valid region 'chr3': no such chromosome"),
        (None, {"test": ("chr1:0-5000",)}, "ends past chr1, which has 4,000 bp"),
        (None, {"min_positives": 3}, "no window could be made: 0 bins with peaks"),
        (
            None,
            {"window_bp": 9_000, "bin_bp": 200},
            "no window could be made: 35 bins with peaks, all dropped",
        ),
    ],
)
def test_bad_input_leaves_nothing_behind(folder, damage, how, message):
    if damage is not None:
        damage(folder)
    if "blacklist" in how:
        how = {**how, "blacklist": folder / how["blacklist"]}
    before = contents(folder)
    with pytest.raises(UserError, match=message) as caught:
        made(folder, PrepareSettings(**{"genome_build": "toy", "bin_bp": 10, "window_bp": 30, **how}))
    assert "\n" not in str(caught.value)
    assert contents(folder) == before


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"genome_build": " "}, "genome_build=' ': expected the name of the assembly"),
        ({"bin_bp": 0}, "bin_bp=0: expected at least 1"),
        ({"min_coverage": 0.0}, "min_coverage=0.0: expected more than 0 and at most 1"),
        ({"min_coverage": 1.5}, "min_coverage=1.5"),
        ({"min_positives": 0}, "min_positives=0"),
        ({"window_bp": 199}, "window_bp=199: expected at least bin_bp = 200"),
        ({"window_bp": 1001}, "window_bp=1001: expected bin_bp = 200 and an even number"),
        ({"buffer_bp": -1}, "buffer_bp=-1"),
        ({"background_per_positive": -0.5}, "background_per_positive=-0.5"),
        ({"background_per_positive": float("nan")}, "background_per_positive=nan"),
        ({"seed": -1}, "seed=-1"),
        ({"compression_level": 10}, "compression_level=10: expected 0 to 9"),
    ],
)
def test_settings_out_of_range(setting, message):
    with pytest.raises(UserError, match=message):
        PrepareSettings(**{"genome_build": "toy", **setting})


def test_bad_output(folder):
    source, manifest = folder / "genome.fa", folder / "tracks.tsv"
    with pytest.raises(UserError, match="is a folder; give a file name"):
        prepare(source, manifest, folder, SMALL)
    with pytest.raises(UserError, match="is one of the inputs"):
        prepare(source, manifest, source, SMALL)
    with pytest.raises(UserError, match="is not a folder that you may write to"):
        prepare(source, manifest, source / "out.h5", SMALL)
    assert prepare(source, manifest, folder / "new" / "out.h5", SMALL).path.is_file()


RUN = """
import resource, sys
from pathlib import Path
from genome_lm.dataset.prepare import prepare
from genome_lm.dataset.settings import PrepareSettings
from genome_lm.errors import UserError
if len(sys.argv) > 2:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
folder = Path(sys.argv[1])
settings = PrepareSettings("toy", bin_bp=10, window_bp=30, compression_level=9)
try:
    prepare(folder / "genome.fa", folder / "tracks.tsv", folder / "out.h5", settings)
except UserError as error:
    sys.exit(str(error))
"""


@pytest.mark.parametrize("room", [0, 4_000, 12_000])
def test_a_full_disk_gives_one_line_and_leaves_nothing(folder, room):
    before = contents(folder)
    ran = subprocess.run(
        [sys.executable, "-c", RUN, str(folder), str(room)], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 1
    assert ran.stderr.startswith("cannot write ")
    assert ran.stderr.count("\n") == 1
    assert contents(folder) == before


def test_killed_while_writing_leaves_no_file(folder):
    write_fasta(folder / "genome.fa", {"chr1": random_letters(1_000_000)})
    write_manifest(folder, {"track": [("chr1", 100, 999_000)]})
    with subprocess.Popen([sys.executable, "-c", RUN, str(folder)]) as running:
        deadline = time.monotonic() + 60
        while not any(name.endswith(".tmp") for name in contents(folder)) and time.monotonic() < deadline:
            time.sleep(0.005)
        running.send_signal(signal.SIGKILL)
    assert running.returncode == -signal.SIGKILL
    assert not (folder / "out.h5").exists()
    _, dataset = made(folder)
    assert dataset.n_windows == 99_890
