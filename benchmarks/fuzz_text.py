"""Readers of text for the fuzzer: what each is given, and what it must answer."""

import gzip
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import fuzz_oracles
import numpy as np
import yaml
from fuzz_reader import Reader, expect

from genome_lm.dataset.fasta import read_fasta, scan_fasta
from genome_lm.dataset.manifest import read_manifest
from genome_lm.dataset.peaks import read_peaks
from genome_lm.errors import UserError
from genome_lm.leaderboard.configuration import read_configuration
from genome_lm.leaderboard.evaluated import read_evaluation
from genome_lm.leaderboard.fields import Damaged
from genome_lm.leaderboard.training import read_training
from genome_lm.prediction.intervals import read_intervals
from genome_lm.report.inputs import read_epochs, read_overrides, read_tasks
from genome_lm.word_vectors import read_word_vectors

LENGTHS = {"chr1": 5000, "chr2": 900, "X": 100}
BED = b"""track name=peaks
chr1\t10\t20\tone\t0\t+\t1.5\t2\t3\t4
chr1\t15\t400\ttwo\t0\t-
2\t0\t900\t.\t5\t.
# a comment
chrX\t5\t6
chrUn\t5\t6000
"""
FASTA = b">one a description\nACGTNacgtn\nRYSWKM\n>two\nTTGACA\n\n>3\r\nAC\r\nGT\r\n"
MANIFEST = (
    b"task_id\tfile\tcell\ttarget\ttreatment\tgroup\tselects_bins\tdeepsea_auroc\n"
    b"t1\ta.bed\tK562\tCTCF\tNone\ttf\t1\t0.95\n# note\nt2\tb.bed\tHepG2\tDNase\t\tdnase\t0\tNA\n"
)
VECTORS = b"4 3\nACG 0.1 0.2 0.3\naca 1 -2e-3 3\n</s> 0 0 0\nACGT 1 2 3\n"
TRAINING = {
    "model": "bigru",
    "seed": 0,
    "parameters": 1000,
    "epochs": 8,
    "best_epoch": 7,
    "seconds": 12.5,
    "windows_per_second": 1500.0,
    "valid_perplexity": 1.2,
    "valid_prior_perplexity": 1.25,
    "n_tasks": 3,
    "task_set": "3 of 5 tasks",
    "dataset_checksum": "sha256:1",
    "best_checkpoint": "checkpoints/best.ckpt",
}
CONFIG = {
    "data": {"min_positive_rate": 0.01, "tasks": {"ids": [], "groups": ["tf"]}, "context_bp": 500},
    "trainer": {"limit_val_batches": None, "max_time": "00:00:10:00"},
    "average_strands": True,
    "seed": 0,
    "model": {"name": "bigru", "encoder": {"_target_": "genome_lm.encoders.recurrent.Recurrent"}},
}
FIGURES = {
    "perplexity": {"model": 1.2, "baseline": 1.21, "prior": 1.25},
    "auroc": {"model": 0.7},
    "ap": {"model": 0.3},
    "f1": {"model": 0.4, "difference": 0.1},
    "wins": 2,
    "ties": 0,
    "losses": 1,
    "intervals": {"100000": {"f1": {"difference": [0.05, 0.15]}, "wins": [1.2, 2.8]}},
}
SUMMARY = {
    "n_tasks": 3,
    "dataset": {"checksum": "sha256:1"},
    "protocol": "tuned",
    "valid": FIGURES,
    "test": FIGURES,
    "bootstrap": {"block_bp": [100_000], "level": 0.95},
    "baseline": {"same_context": {"strands": "summed"}},
    "checkpoints": [{"name": "a", "path": "checkpoints/best.ckpt", "sha256": "ab"}],
}
TASKS = (
    b'id\tgroup\tvalid_positives\ttest_f1_model\tthreshold_model\nt1\ttf\t40\t0.5\t-1.5\n"a\tb"\tx\t\t\t\n'
)
EPOCHS = b"epoch,step,train/perplexity,valid/perplexity\n0,10,,1.23\n0,20,1.21,\n1,40,1.2,1.22\n"


class Bed(Reader):
    """Peak files: the same intervals as a slow reader finds, or both refuse."""

    name, words = (
        "BED",
        (b"chr1", b"\t", b" ", b"track", b"browser", b"#", b"\r\n", b"chromStart", b"X", b"\x00"),
    )

    def seeds(self) -> list[bytes]:
        spaced = BED.replace(b"\t", b" ")
        return [
            BED,
            spaced,
            gzip.compress(BED, mtime=0),
            b"chrom\tstart\tend\n" + BED[17:],
            b"chr1\t1\t2\n" * 30,
        ]

    def read(self, path: Path, data: bytes) -> None:
        expected = fuzz_oracles.bed(data, LENGTHS)
        try:
            peaks = read_peaks(path, LENGTHS)
        except UserError:
            expect(expected is None, "refused what is sound")
            raise
        expect(expected is not None, "accepted what is not sound")
        rows = sorted(
            (name, s, e) for name, pair in peaks.intervals.items() for s, e in zip(*pair, strict=True)
        )
        renamed = {name: peaks.renamed.get(name, name) for name, *_ in expected}
        known = sorted((renamed[name], s, e) for name, s, e, _ in expected if renamed[name] in LENGTHS)
        expect(rows == known, "other intervals")
        expect(sum(peaks.elsewhere.values()) == len(expected) - len(known), "another number elsewhere")


class Intervals(Reader):
    """Intervals to predict, with names and strands."""

    name, words = "BED to predict", (*Bed.words, b"+", b"-", b".")

    def seeds(self) -> list[bytes]:
        known = b"\n".join(line for line in BED.split(b"\n") if not line.startswith(b"chrUn"))
        return [known, known.replace(b"\t", b" "), gzip.compress(known, mtime=0)]

    def read(self, path: Path, data: bytes) -> None:
        found = read_intervals(path, LENGTHS)
        expected = fuzz_oracles.bed(data, LENGTHS)
        expect(expected is not None, "accepted what is not sound")
        names = [found.sequences[index] for index in found.sequence.tolist()]
        rows = list(zip(names, found.start.tolist(), found.end.tolist(), strict=True))
        expect(rows == [row[:3] for row in expected], "other intervals")


class Fasta(Reader):
    """Genomes: the same codes as a slow reader finds, or both refuse."""

    name, words = "FASTA", (b">", b"\n>", b"\r\n", b"N" * 70, b"acgt", b" ", b"\x00", b">one\n")

    def seeds(self) -> list[bytes]:
        return [FASTA, gzip.compress(FASTA, mtime=0), b">x\nA", b">a\n" + b"ACGTN" * 40 + b"\n"]

    def read(self, path: Path, data: bytes) -> None:
        expected = fuzz_oracles.fasta(data)
        try:
            lengths = scan_fasta(path)
            found = {name: codes.tolist() for name, codes in read_fasta(path, lengths)}
        except UserError:
            expect(expected is None, "refused what is sound")
            raise
        expect(found == expected, "other bases")


class Manifest(Reader):
    """Tables of peak files."""

    name, words = (
        "manifest",
        (b"\t", b"task_id", b"file", b"selects_bins", b"a.bed", b"b.bed", b"../", b"#", b"\r\n"),
    )

    def seeds(self) -> list[bytes]:
        return [
            MANIFEST,
            b"\xef\xbb\xbf" + MANIFEST,
            b"id\tfile\nx\ta.bed\n",
            MANIFEST.replace(b"\n", b"\r\n"),
        ]

    def prepare(self, folder: Path) -> None:
        for name in ("a.bed", "b.bed"):
            (folder / name).write_bytes(BED)

    def read(self, path: Path, data: bytes) -> None:
        found = read_manifest(path)
        rows = fuzz_oracles.table(data)
        expect(len(rows) == len(found.tracks), "another number of tracks")
        for row, track in zip(rows, found.tracks, strict=True):
            expect(track.id == row.get("task_id", row.get("id")), "another id")
            expect(track.file == path.parent / row["file"] and track.file.is_file(), "another file")
            expect(track.cell == row.get("cell", ""), "another cell")
        expect(len({track.id for track in found.tracks}) == len(rows), "an id twice")
        expect(
            all(len(scores) == len(rows) for scores in found.reference.values()), "scores of another length"
        )


class Vectors(Reader):
    """Word vectors: the same numbers as a slow reader finds."""

    name, words = "word vectors", (b"\n", b" ", b"ACG", b"</s>", b"nan", b"1e39", b"NNN", b"4 3\n", b"acu")

    def seeds(self) -> list[bytes]:
        return [VECTORS, b"1 3\nTTT 1 2 3\n"]

    def read(self, path: Path, data: bytes) -> None:
        values, vectors = read_word_vectors(path, 3, 3)
        expected = fuzz_oracles.word_vectors(data, 3)
        expect(set(values.tolist()) <= set(expected), "other words")
        expect(bool(np.isfinite(vectors).all()), "a number that is none")
        for value, vector in zip(values.tolist(), vectors, strict=True):
            expect(np.array_equal(vector, expected[value]), "other numbers")


class RunFiles(Reader):
    """A file of a run folder, as `compare` reads it: left out with a reason, or figures within bounds."""

    words = (
        b'"',
        b"{",
        b"}",
        b"[",
        b"]",
        b"null",
        b"NaN",
        b"Infinity",
        b"\\ud800",
        b"\\u0000",
        b"true",
        b"..",
        b"*a",
        b"&a ",
    )

    def __init__(self, name: str, file: str, seed: bytes) -> None:
        self.name, self.file, self._seed = name, file, seed

    def seeds(self) -> list[bytes]:
        return [self._seed]

    def prepare(self, folder: Path) -> None:
        (folder / "evaluation").mkdir()
        (folder / "evaluation" / "tasks.tsv").write_bytes(TASKS)
        (folder / "training.json").write_text(json.dumps(TRAINING))
        (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))
        (folder / "evaluation" / "summary.json").write_text(json.dumps(SUMMARY))

    def read(self, path: Path, data: bytes) -> None:
        folder = path.parent.parent if path.parent.name == "evaluation" else path.parent
        try:
            training, configuration = read_training(folder), read_configuration(folder)
            evaluation = read_evaluation(folder, training, configuration)
        except Damaged as reason:
            expect(str(reason).isprintable(), "a reason that is no line of text")
            raise UserError(str(reason)) from reason
        expect(training.valid_perplexity is None or training.valid_perplexity >= 1, "a perplexity below 1")
        expect(".." not in Path(training.best_checkpoint).parts, "a checkpoint elsewhere")
        expect(
            evaluation is None or 0 <= evaluation.test.wins <= evaluation.test.counted, "wins out of bounds"
        )


class Tasks(Reader):
    """The task table of an evaluation, as the report reads it."""

    name, words = "tasks.tsv", (b"\t", b'"', b"id", b"\r\n", b"\x00", b"nan", b"'", b"=1+1", b"1e999")

    def seeds(self) -> list[bytes]:
        return [TASKS]

    def read(self, path: Path, data: bytes) -> None:
        tasks = read_tasks(path)
        for task in tasks:
            expect(all(np.isfinite(value) for value in task.values.values()), "a number that is none")


class Epochs(Reader):
    """The curve of a training and the overrides of its command line: nothing, or numbers."""

    name, words = "metrics.csv", (b",", b'"', b"epoch", b"\r\n", b"\x00", b"nan", b"- ", b"1e300", b"'")

    def seeds(self) -> list[bytes]:
        return [EPOCHS, b"- seed=1\n- 'it''s'\n"]

    def read(self, path: Path, data: bytes) -> None:
        for epoch in read_epochs(path):
            expect(
                all(value is None or np.isfinite(value) for value in (epoch.train, epoch.valid)), "no number"
            )
        for override in read_overrides(path) or []:
            expect("\n" not in override, "an override of several lines")


def text_readers() -> dict[str, Callable[[], Reader]]:
    """How each is made, by name."""
    run_files = {
        "training.json": ("training.json", json.dumps(TRAINING, indent=2)),
        "summary.json": ("evaluation/summary.json", json.dumps(SUMMARY)),
        "config.yaml": ("config.yaml", yaml.safe_dump(CONFIG)),
    }
    return {reader.name: reader for reader in (Bed, Intervals, Fasta, Manifest, Vectors, Tasks, Epochs)} | {
        name: partial(RunFiles, name, file, seed.encode()) for name, (file, seed) in run_files.items()
    }
