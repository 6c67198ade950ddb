"""Sweeps with every launcher: the same results, failures that stay where they are, and going on after a kill.

    python benchmarks/launchers.py                 # all four; about five minutes on two cores
    python benchmarks/launchers.py joblib ray

Trains five networks of a second a sweep on a part of the embedded data; one of them fails. Each launcher must
give the perplexities of Hydra's own to the bit, exit code 2, a table of all five jobs, and `error.txt` in the
folder of the one that fails and in no other. Then the sweep runs again and is killed (SIGKILL to its whole
process group) once two jobs have finished; the same command goes on and must leave alone what had finished.
Needs genome-lm[sweeps]. Exit code 1 if anything is not as it must be.
"""

import csv
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
LAUNCHERS = {
    "basic": (),
    "joblib": ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2"),
    "submitit_local": ("hydra/launcher=submitit_local",),
    "ray": ("hydra/launcher=ray", "hydra.launcher.init.num_cpus=2"),
}
SHARED = (
    "model=gru", "run_name=tiny", "tokenizer=kmer", "window_features=none", "head.norm=none",
    "trainer.threads=1", "data.train_fraction=0.02", "trainer.max_epochs=1", "trainer.limit_val_batches=1",
    "trainer.accelerator=cpu",
)  # fmt: skip
JOBS = "data.context_bp=60,90,2000,120,150"  # the third does not fit the windows
FAILS = "2_tiny"
NAMES = [f"{number}_tiny" for number in range(5)]
PATIENCE = 600


@dataclass(frozen=True)
class Sweep:
    """One launcher in a folder."""

    launcher: str
    folder: Path

    @property
    def command(self) -> list[str]:
        return [
            sys.executable, "train.py", "-m", *SHARED, JOBS, *LAUNCHERS[self.launcher],
            f"hydra.sweep.dir={self.folder}",
        ]  # fmt: skip

    def start(self) -> subprocess.Popen[str]:
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        log = (self.folder.parent / f"{self.folder.name}.log").open("a")
        with log:
            return subprocess.Popen(
                self.command, cwd=ROOT, start_new_session=True, stdout=log, stderr=log, text=True
            )

    def finished(self) -> dict[str, int]:
        """When each finished job wrote its result, ns."""
        return {path.parent.name: path.stat().st_mtime_ns for path in self.folder.glob("*/training.json")}

    def perplexities(self) -> dict[str, float]:
        return {
            name: json.loads((self.folder / name / "training.json").read_text())["valid_perplexity"]
            for name in sorted(self.finished())
        }

    def table(self) -> dict[str, str]:
        with (self.folder / "sweep.tsv").open(newline="") as file:
            return {row["job"]: row["valid_perplexity"] for row in csv.DictReader(file, delimiter="\t")}

    def faults(self, code: int, expected: dict[str, float] | None) -> list[str]:
        """What is not as it must be after a sweep that went through."""
        found = []
        if code != 2:
            found.append(f"exit code {code}")
        if expected is not None and self.perplexities() != expected:
            found.append(f"perplexities {self.perplexities()}")
        if sorted(self.table()) != NAMES or self.table()[FAILS] != "failed":
            found.append(f"table {self.table()}")
        if [path.parent.name for path in self.folder.glob("*/error.txt")] != [FAILS]:
            found.append("error.txt")
        return found


def killed_and_continued(sweep: Sweep, expected: dict[str, float]) -> tuple[int, list[str]]:
    """Jobs that had finished when the sweep was killed, and what is wrong after it went on."""
    process = sweep.start()
    deadline = time.monotonic() + PATIENCE
    while len(sweep.finished()) < 2 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    before = sweep.finished()
    while True:  # jobs that outlive the command, as on a cluster, are left to end
        code = sweep.start().wait(PATIENCE)
        if "running" not in sweep.table().values():
            break
        time.sleep(1)
    found = sweep.faults(code, expected)
    after = sweep.finished()
    if any(after.get(name) != when for name, when in before.items()):
        found.append("finished jobs were repeated")
    return len(before), found


def main(chosen: list[str]) -> int:
    print(f"{'launcher':<15} {'s':>6} {'CPU s':>6} {'finished when killed':>21}  as it must be")
    wrong = 0
    expected: dict[str, float] | None = None
    with tempfile.TemporaryDirectory() as temporary:
        for launcher in ["basic", *(each for each in chosen if each != "basic")]:
            whole = Sweep(launcher, Path(temporary) / launcher / "whole")
            started, used = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
            code = whole.start().wait(PATIENCE)
            seconds, now = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
            cpu = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime
            found = whole.faults(code, expected)
            expected = expected or whole.perplexities()
            before, more = killed_and_continued(
                Sweep(launcher, Path(temporary) / launcher / "killed"), expected
            )
            found += [f"after the kill: {each}" for each in more]
            wrong += bool(found)
            print(
                f"{launcher:<15} {seconds:>6.1f} {cpu:>6.1f} {before:>21}  {'; '.join(found) or 'yes'}",
                flush=True,
            )
            if found:
                for path in sorted((Path(temporary) / launcher).glob("*.log")):
                    print(path.read_text()[-2_000:])
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or list(LAUNCHERS)))
