"""A study that is killed again and again ends with the trials of one that was not, and repeats none.

    python benchmarks/tune_killed.py               # three kills, about two minutes on two cores
    python benchmarks/tune_killed.py 10

Runs `genome-lm tune` with trials of a second on a part of the embedded data, and sends SIGKILL to its whole
process group at a random moment after each call's first trial, until the kills are used up; then the same
command goes on to the end. Values drawn, number of finished trials and every perplexity must be those of a
study without an interruption, and no result may have been written twice. Exit code 1 otherwise.
"""

import csv
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
COMMAND = [sys.executable, "-c", "from genome_lm.cli import main; main()", "tune"]
N_TRIALS = 8
SHARED = (
    "tune=command_line", f"n_trials={N_TRIALS}", "optimizer.learning_rate=tag(log,interval(1e-4,1e-2))",
    "sampler.startup_trials=3", "pruner.name=none", "model=gru", "tokenizer=kmer", "window_features=none",
    "head.norm=none", "data.context_bp=60", "data.train_fraction=0.02", "trainer.max_epochs=1",
    "trainer.limit_val_batches=1", "trainer.threads=1", "trainer.accelerator=cpu",
)  # fmt: skip


def start(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*COMMAND, *SHARED, f"study_dir={folder}"],
        cwd=ROOT,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def results(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.glob("*/training.json")}


def values(folder: Path) -> list[tuple[str, str, str]]:
    """State, learning rate and perplexity of every trial, by the latter."""
    with (folder / "tuning.tsv").open(newline="") as file:
        return [
            (row["state"], row["optimizer.learning_rate"], row["valid_perplexity"])
            for row in csv.DictReader(file, delimiter="\t")
        ]


def main(arguments: list[str]) -> int:
    kills = int(arguments[0]) if arguments else 3
    draw = random.Random()
    with tempfile.TemporaryDirectory() as temporary:
        whole, cut = Path(temporary) / "whole", Path(temporary) / "cut"
        start(whole).wait()
        repeated = 0
        seen: dict[Path, int] = {}
        for number in range(1, kills + 1):
            process = start(cut)
            known = len(seen)
            while len(results(cut)) == known and process.poll() is None:
                time.sleep(0.01)
            time.sleep(2 * draw.random())
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            now = results(cut)
            repeated += sum(now.get(path) != when for path, when in seen.items())
            seen = now
            print(f"kill {number}: {len(seen)} of {N_TRIALS} trials have results", flush=True)
        code = start(cut).wait()
        now = results(cut)
        repeated += sum(now.get(path) != when for path, when in seen.items())
        same = values(cut) == values(whole)
        print(f"at the end: exit code {code}, {repeated} repeated, the same trials as without a kill: {same}")
        return 0 if code == 0 and same and not repeated else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
