"""A start that was trained on what is held out now is found, whatever stands between."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_run import SLICE, TINY, run_command, run_folders

from genome_lm.checkpoint import Content, read_checkpoint
from genome_lm.held_out import Seen, seen_before, with_start

NOW: dict[str, Any] = {
    "checksum": "sha256:now",
    "genome_build": "hg19",
    "regions": {"valid": ["chr1:0-100"], "test": ["chr2"]},
}


def start(held_out: dict[str, list[str]] | None, build: str = "hg19", **more: Any) -> Content:
    sequence = {"checksum": "sha256:then", "genome_build": build} | more
    if held_out is not None:
        sequence["regions"] = held_out
    return Content(Path("start.ckpt"), "language_model", {"sequence": sequence}, {}, 1)


@pytest.mark.parametrize(
    ("held_out", "leak"),
    [
        ({"valid": ["chr1:0-100"], "test": ["chr2"]}, None),
        ({"valid": ["chr2"], "test": ["chr1"]}, None),  # sides may change
        ({"valid": ["1:0-40", "1:30-100"], "test": ["2"]}, None),  # in parts, and named without chr
        ({"valid": ["chr1:0-100"], "test": ["chr3"]}, "chr2, from base 0 "),
        ({"valid": ["chr1:10-1,000"], "test": ["chr2"]}, "chr1:0-100, its bases 0 to 10 "),
        ({"valid": ["chr1"], "test": ["chr2:0-5,000"]}, "chr2, from base 5,000 "),
    ],
)
def test_held_out_regions_must_cover_ours(held_out, leak):
    seen = seen_before(start(held_out), NOW)
    assert not seen.doubts
    assert seen.leak is None if leak is None else seen.leak.startswith(leak)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(1, 15)), max_size=6),
    st.tuples(st.integers(0, 40), st.integers(1, 15)),
)
def test_a_leak_is_a_base_that_nothing_covers(kept, ours):
    def text(each: tuple[int, int]) -> str:
        return f"chr1:{each[0]}-{each[0] + each[1]}"

    now = {**NOW, "regions": {"valid": [], "test": [text(ours)]}}
    # A region elsewhere, so that something is held out always.
    seen = seen_before(start({"valid": ["chr9"], "test": [text(each) for each in kept]}), now)
    covered = {base for first, length in kept for base in range(first, first + length)}
    assert (seen.leak is not None) == bool(set(range(ours[0], sum(ours))) - covered)


def test_the_same_fasta_in_other_regions_is_a_leak():
    elsewhere = {"valid": ["chr5"], "test": ["chr6"]}
    assert seen_before(start(elsewhere, checksum=NOW["checksum"]), NOW).leak
    assert seen_before(start(None, checksum=NOW["checksum"]), NOW) == Seen(None, ())


def test_what_cannot_be_compared_is_said():
    for doubtful, words in (
        (start(None), "it names no regions"),
        (start({"valid": [], "test": []}), "it names no regions"),
        (start({"valid": ["chr5"], "test": []}, "mm10"), "it was trained on mm10, and the data are of hg19"),
    ):
        seen = seen_before(doubtful, NOW)
        assert seen.leak is None
        assert [words in doubt for doubt in seen.doubts] == [True]
    nowhere = {**NOW, "regions": {"valid": [], "test": []}}
    assert seen_before(start({"valid": ["chr5"], "test": []}), nowhere).doubts
    # An assembly without a name is taken for the same.
    assert seen_before(start({"valid": ["chr5"], "test": []}, ""), NOW).leak


@pytest.mark.parametrize(
    ("buffer_bp", "flank_bp", "doubtful"), [(400, 400, False), (0, 400, True), (0, 0, False)]
)
def test_a_buffer_shorter_than_the_flank_of_a_window_is_said(buffer_bp, flank_bp, doubtful):
    kept = {**NOW["regions"], "buffer_bp": buffer_bp}
    seen = seen_before(start(kept), {**NOW, "flank_bp": flank_bp})
    assert seen.leak is None
    assert [f"reach {flank_bp} bp beyond" in each for each in seen.doubts] == [True] * doubtful


def test_the_start_of_a_start_counts():
    leaky = start({"valid": ["chr5"], "test": []}, checksum="sha256:first")
    between = start(NOW["regions"])
    assert seen_before(between, NOW).leak is None
    behind = {"sequence": with_start(between.description["sequence"], leaky.description["sequence"])}
    again = Content(Path("start.ckpt"), "language_model", behind, {}, 1)
    assert seen_before(again, NOW).leak.startswith("chr1:0-100")
    # The same data have the same splits, but what came before them may not.
    assert seen_before(again, {**NOW, "checksum": "sha256:then"}).leak


def test_a_leaky_start_is_refused_and_recorded_where_it_is_wanted(small_file, tmp_path, capsys):
    fasta = f"task.fasta={SLICE / 'chr20_47Mb_49Mb.fa.gz'}"
    regions = (
        "task.regions.valid=['chr20:500,000-900,000']",
        "task.regions.test=['chr20:0-400,000']",  # the dataset's goes on to 500,000
    )
    short = ("task.markov_order=1", "trainer.limit_train_batches=2", "trainer.max_epochs=1")
    runs = tmp_path / "language"
    assert (
        run_command("train", *TINY, "task=language_model", fasta, *regions, *short, f"runs_dir={runs}") == 0
    )
    (folder,) = run_folders(runs)
    leaky = folder / "checkpoints" / "best.ckpt"
    arguments = (*TINY, *short[1:], f"model.init_from={leaky}", f"data.path={small_file}")
    assert run_command("train", *arguments, f"runs_dir={tmp_path / 'refused'}") == 2
    message = capsys.readouterr().err
    assert "chr20:0-500,000, its bases 400,000 to 500,000" in message
    runs = tmp_path / "warned"
    assert run_command("train", *arguments, f"runs_dir={runs}", "model.init_leak=warn") == 0
    assert "was trained on sequence that is held out now: chr20:0-500,000" in capsys.readouterr().out
    (folder,) = run_folders(runs)
    dataset = read_checkpoint(folder / "checkpoints" / "best.ckpt").description.dataset
    assert dataset["started_from"]["regions"]["test"] == ["chr20:0-400,000"]
    assert dataset["regions"] == {"valid": ["chr20:500,000-900,000"], "test": ["chr20:0-500,000"]}
