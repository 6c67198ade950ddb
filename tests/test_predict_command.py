"""`genome-lm predict` from outside: against `evaluate` on the same bases, and table against HDF5."""

import csv
import gzip
import hashlib
import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from small_genome import random_letters, write_fasta
from small_run import SLICE, run_command

from genome_lm.checkpoint import read_checkpoint
from genome_lm.dataset.source import identify
from genome_lm.evaluation.predictions import read_predictions

FASTA = f"fasta={SLICE / 'chr20_47Mb_49Mb.fa.gz'}"
CPU = ("predict.threads=1", "predict.accelerator=cpu")
CONTEXT = 60


def rows_of(path: Path) -> list[dict[str, str]]:
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()
    return list(csv.DictReader(text.splitlines(), delimiter="\t"))


def logit(probability: np.ndarray) -> np.ndarray:
    wide = np.asarray(probability, dtype=np.float64)
    return np.log(wide) - np.log1p(-wide)


def predicted(checkpoint: Path, output: Path, *arguments: str) -> Path:
    assert run_command("predict", f"ckpt_path={checkpoint}", f"output={output}", *CPU, *arguments) == 0
    return output


@pytest.fixture(scope="module")
def evaluated(run, tmp_path_factory) -> Path:
    """A copy of the run, with its evaluation."""
    folder = tmp_path_factory.mktemp("evaluated") / "run"
    shutil.copytree(run, folder)
    arguments = (f"ckpt_path={folder}/checkpoints/best.ckpt", "baseline.contexts_bp=[]", "evaluate.threads=1")
    arguments += ("bootstrap.resamples=0",)
    assert run_command("evaluate", *arguments, f"runs_dir={folder.parent}", "evaluate.accelerator=cpu") == 0
    return folder


@pytest.fixture(scope="module")
def ckpt(evaluated) -> Path:
    return evaluated / "checkpoints" / "best.ckpt"


@pytest.fixture(scope="module")
def test_bins(small, tmp_path_factory) -> Path:
    """The bins of the test windows as a BED file, in a shuffled order, on both strands."""
    windows = small.windows_of("test")
    order = np.random.default_rng(3).permutation(len(windows))
    flank = (small.window_bp - small.bin_bp) // 2
    path = tmp_path_factory.mktemp("bed") / "test.bed"
    starts = small.start[windows[order]] + flank
    lines = [
        f"chr20\t{start}\t{start + small.bin_bp}\tbin{row}\t0\t{'+-.'[row % 3]}\n"
        for row, start in zip(order.tolist(), starts.tolist(), strict=True)
    ]
    path.write_text("".join(lines))
    return path


@pytest.fixture(scope="module")
def as_hdf5(ckpt, test_bins, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("h5") / "test.h5"
    return predicted(ckpt, output, FASTA, f"bed={test_bins}", "long=centre")


def test_the_logits_and_calls_are_those_of_evaluate(as_hdf5, evaluated, small, test_bins):
    model = read_predictions(evaluated / "predictions" / "model.h5")
    row_of = {window: row for row, window in enumerate(model.window.tolist())}
    windows = small.windows_of("test")
    order = [int(line.split("\t")[3][3:]) for line in test_bins.read_text().splitlines()]
    expected = model.logits[[row_of[windows[row]] for row in order]]
    table = {row["id"]: row for row in rows_of(evaluated / "evaluation" / "tasks.tsv")}
    thresholds = np.array([float(table[task]["threshold_model"] or "nan") for task in model.task_ids])
    assert np.count_nonzero(np.isnan(thresholds)) == 2  # tasks without positives in validation
    with h5py.File(as_hdf5) as file:
        probability = file["probability"][:]
        np.testing.assert_allclose(probability, 1 / (1 + np.exp(-expected.astype(float))), atol=1e-6)
        exact = expected < 4  # nearer to 1 a float32 has too few digits to tell the logit
        assert exact.mean() > 0.8
        np.testing.assert_allclose(logit(probability[exact]), expected[exact], atol=1e-5)
        np.testing.assert_array_equal(file["threshold_logit"][:], thresholds)
        np.testing.assert_allclose(logit(file["threshold"][:]), thresholds, atol=1e-12)
        calls = np.where(np.isnan(thresholds), 255, expected >= thresholds)
        np.testing.assert_array_equal(file["call"][:], calls)
        assert [task.decode() for task in file["tasks/id"][:]] == list(model.task_ids)
        assert file["windows/interval"][:].tolist() == list(range(len(order)))
        flank = (small.window_bp - CONTEXT) // 2
        np.testing.assert_array_equal(file["windows/start"][:], small.start[windows[order]] + flank)


def test_every_dataset_of_an_hdf5_file_has_its_digest(as_hdf5):
    seen = []

    def check(name: str, member: h5py.HLObject) -> None:
        if isinstance(member, h5py.Dataset):
            assert member.attrs["sha256"] == hashlib.sha256(member[...].tobytes()).hexdigest(), name
            seen.append(name)

    with h5py.File(as_hdf5) as file:
        file.visititems(check)
    assert len(seen) == 19


def test_what_an_hdf5_file_says_of_itself(as_hdf5, ckpt, small, evaluated):
    description = read_checkpoint(ckpt).description
    with h5py.File(as_hdf5) as file:
        assert dict(file.attrs) | {"genome_lm_version": ""} == {
            "format": "genome_lm sequence predictions",
            "format_version": 1,
            "genome_lm_version": "",
            "checkpoint": "run/checkpoints/best.ckpt",  # no folder of the machine
            "checkpoint_sha256": identify(ckpt).sha256,
            "model": description.model_name,
            "dataset_checksum": small.checksum,
            "genome_build": "hg19",
            "context_bp": CONTEXT,
            "bin_bp": 200,
            "average_strands": True,
            "thresholds": "highest F1 on validation, from run/evaluation/tasks.tsv",
            "fasta": "chr20_47Mb_49Mb.fa.gz",
            "bed": "test.bed",
        }
        assert file["probability"].dtype == np.float32
        assert file["probability"].compression == "gzip"
        assert file["sequences"][:].tolist() == [b"chr20"]
        bins = file["windows/bin_start"][:]
        np.testing.assert_array_equal(file["windows/bin_end"][:] - bins, 200)
        np.testing.assert_array_equal(bins + 70, file["windows/start"][:])
        for column in ("cell", "target", "treatment", "group"):
            assert [text.decode() for text in file[f"tasks/{column}"][:]] == description.tasks[column]
        np.testing.assert_array_equal(file["tasks/positive_rate"][:], description.positive_rate)


@pytest.mark.parametrize("name", ["out.tsv", "out.tsv.gz"])
def test_the_table_says_what_the_hdf5_file_says(as_hdf5, ckpt, test_bins, tmp_path, name):
    output = predicted(ckpt, tmp_path / name, FASTA, f"bed={test_bins}", "long=centre")
    rows = rows_of(output)
    with h5py.File(as_hdf5) as file:
        probability, called = file["probability"][:], file["call"][:]
        shape = probability.shape
        values = np.array([float(row["probability"]) for row in rows]).reshape(shape)
        np.testing.assert_allclose(values, probability, atol=6e-7)
        np.testing.assert_array_equal([int(row["call"] or 255) for row in rows], called.ravel())
        for column in ("start", "end", "bin_start", "bin_end"):
            found = np.array([int(row[column]) for row in rows]).reshape(shape)
            np.testing.assert_array_equal(found, np.tile(file[f"windows/{column}"][:], (shape[1], 1)).T)
        texts = [task.decode() for task in file["tasks/id"][:]]
        assert [row["task_id"] for row in rows] == texts * shape[0]
        texts = ["" if np.isnan(value) else f"{value:.6f}" for value in file["threshold"][:]]
        assert [row["threshold"] for row in rows] == texts * shape[0]
    assert {row["sequence"] for row in rows} == {"chr20"}
    assert [row["name"] for row in rows[:: shape[1]]] == [
        line.split("\t")[3] for line in test_bins.read_text().splitlines()
    ]
    only = predicted(
        ckpt, tmp_path / f"calls_{name}", FASTA, f"bed={test_bins}", "long=centre", "only_calls=true"
    )
    assert rows_of(only) == [row for row in rows if row["call"] == "1"]


def test_a_wide_table_of_some_tasks(as_hdf5, ckpt, test_bins, tmp_path):
    ids = read_checkpoint(ckpt).description.tasks["id"]
    some = f"tasks.ids=[{ids[5]},{ids[2]}]"
    output = predicted(
        ckpt, tmp_path / "wide.tsv", FASTA, f"bed={test_bins}", "long=centre", "layout=wide", some
    )
    rows = rows_of(output)
    assert list(rows[0])[-3:] == ["name", ids[2], ids[5]]
    with h5py.File(as_hdf5) as file:
        for task in (2, 5):
            values = np.array([float(row[ids[task]]) for row in rows])
            np.testing.assert_allclose(values, file["probability"][:, task], atol=6e-7)


def test_records_of_a_fasta_are_tiled_and_padded(ckpt, tmp_path, capsys):
    letters = random_letters(150)
    fasta = write_fasta(tmp_path / "some.fa", {"long": letters, "short": letters[:10], "none": "N" * 60})
    output = predicted(ckpt, tmp_path / "out.tsv", f"fasta={fasta}", "thresholds=none")
    rows = rows_of(output)[:: len(read_checkpoint(ckpt).description.tasks["id"])]
    assert [(row["sequence"], row["start"], row["end"]) for row in rows] == [
        ("long", "0", "60"),
        ("long", "60", "120"),
        ("long", "90", "150"),
        ("short", "-25", "35"),
        ("none", "0", "60"),
    ]
    assert all(row["call"] == row["threshold"] == "" for row in rows)
    assert all(0 < float(row["probability"]) < 1 for row in rows)
    said = capsys.readouterr()
    assert "1 window reaches beyond an end of its sequence" in said.out + said.err
    assert "2 windows are more than half N (1 nothing but N)" in said.out + said.err
    # The same windows as records of their own
    apart = {f"w{at}": letters[at : at + 60] for at in (0, 60, 90)}
    apart["padded"] = "N" * 25 + letters[:10] + "N" * 25
    fasta = write_fasta(tmp_path / "apart.fa", apart)
    packed = tmp_path / "apart.fa.gz"
    packed.write_bytes(gzip.compress(fasta.read_bytes()))
    again = rows_of(predicted(ckpt, tmp_path / "again.tsv", f"fasta={packed}", "thresholds=none"))
    values = [[float(row["probability"]) for row in found] for found in (rows_of(output), again)]
    np.testing.assert_allclose(values[0][: len(values[1])], values[1], atol=2e-6)


def test_a_minus_strand_is_the_reverse_complement(ckpt, tmp_path):
    """Seen only where the strands are not averaged."""
    letters = random_letters(60, seed=4)
    complement = letters[::-1].translate(str.maketrans("ACGT", "TGCA"))
    fasta = write_fasta(tmp_path / "some.fa", {"a": letters, "b": complement})
    bed = tmp_path / "some.bed"
    # Not in the order of the FASTA, but the output is in this one.
    bed.write_text("b\t0\t60\na\t0\t60\tx\t0\t+\nb\t0\t60\tx\t0\t-\na\t0\t60\tx\t0\t-\n")
    found = {}
    for average in (False, True):
        output = tmp_path / f"{average}.h5"
        arguments = (f"fasta={fasta}", f"bed={bed}", "thresholds=0.5", f"predict.average_strands={average}")
        with h5py.File(predicted(ckpt, output, *arguments)) as file:
            found[average] = file["probability"][:]
            assert (file["threshold"][:] == 0.5).all()
            np.testing.assert_array_equal(file["call"][:], file["probability"][:] >= 0.5)
    again_minus, plus, again_plus, minus = found[False]
    np.testing.assert_allclose(again_plus, plus, atol=1e-6)
    np.testing.assert_allclose(again_minus, minus, atol=1e-6)
    assert np.abs(plus - minus).max() > 1e-4
    np.testing.assert_allclose(found[True], np.tile(found[True][0], (4, 1)), atol=1e-6)


def test_thresholds_are_computed_where_the_evaluation_does_not_fit(
    ckpt, evaluated, checkpoint, tmp_path, capsys
):
    """Without an evaluation, and with one of other strands; both from validation as `evaluate` does."""
    fasta = write_fasta(tmp_path / "some.fa", {"a": random_letters(60)})
    thresholds = {}
    for name, path, extra in (
        ("evaluation", ckpt, ()),
        ("no evaluation", checkpoint, ()),
        ("one strand", ckpt, ("predict.average_strands=false",)),
    ):
        with h5py.File(predicted(path, tmp_path / f"{name}.h5", f"fasta={fasta}", *extra)) as file:
            thresholds[name] = file["threshold_logit"][:]
            assert ("computed on 144 windows" in file.attrs["thresholds"]) == (name != "evaluation")
    np.testing.assert_allclose(thresholds["no evaluation"], thresholds["evaluation"], atol=1e-5)
    assert np.nanmax(np.abs(thresholds["one strand"] - thresholds["evaluation"])) > 1e-4
    said = capsys.readouterr()
    assert "there is no evaluation in" in said.out + said.err
    assert "has average_strands=true" in said.out + said.err


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda summary: summary["checkpoints"][0].update(sha256="0"), "is of another checkpoint"),
        (lambda summary: summary["checkpoints"].append({"sha256": "0"}), "is of several checkpoints"),
        (lambda summary: summary.pop("checkpoints"), "does not say of which checkpoint it is"),
        (lambda summary: summary.update(protocol="poster"), "followed protocol=poster"),
        (lambda summary: summary["dataset"].update(checksum="0"), "is on another dataset"),
        (lambda summary: summary.pop("baseline"), "cannot be read"),
    ],
)
def test_an_evaluation_that_does_not_fit_is_not_used(evaluated, small_file, tmp_path, change, reason, capsys):
    folder = tmp_path / "run"
    shutil.copytree(evaluated, folder)
    path = folder / "evaluation" / "summary.json"
    summary = json.loads(path.read_text())
    change(summary)
    path.write_text(json.dumps(summary))
    fasta = write_fasta(tmp_path / "some.fa", {"a": random_letters(60)})
    arguments = (f"fasta={fasta}", f"data.path={small_file}", f"output={tmp_path / 'out.tsv'}", *CPU)
    assert run_command("predict", f"ckpt_path={folder}/checkpoints/best.ckpt", *arguments) == 0
    said = capsys.readouterr()
    assert reason in said.out + said.err
    assert "computed on 144 windows" in said.out + said.err
