"""A million damaged and hostile files to all readers: each is an error in one line, or a right answer.

    python benchmarks/fuzz.py [--share 1] [--only NAME ...] [--seed 0] [--findings FOLDER]

Every reader runs in a process of its own under a limit on memory; the file at hand when such a process dies,
hangs, takes long, or answers anything but UserError or what a second, slow reader finds is kept in
`--findings`. Inputs are structure-aware mutations of sound files; where atheris is installed
(`pip install "genome-lm[fuzz]"`), a tenth more of those for readers in Python are guided by coverage.
`--share 0.01` runs a hundredth.
"""

import argparse
import contextlib
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

from fuzz_mutations import mutate
from fuzz_reader import Reader, Wrong

# Inputs a reader, in thousands.
PLAN = {
    "BED": 260,
    "BED to predict": 130,
    "FASTA": 220,
    "manifest": 110,
    "word vectors": 70,
    "training.json": 40,
    "summary.json": 15,
    "config.yaml": 12,
    "tasks.tsv": 40,
    "metrics.csv": 30,
    "checkpoint, archive": 25,
    "checkpoint, pickle": 20,
    "checkpoint, description": 12,
    "safetensors": 20,
    "HDF5 dataset": 12,
    "HDF5 predictions": 12,
    "MATLAB 5": 12,
    "MATLAB 7.3": 10,
    "journal of a study": 3,
}
GUIDED = {*list(PLAN)[:10], "checkpoint, pickle"}
"""Readers in Python; coverage tells nothing of C."""
GUIDED_SHARE = 0.1
"""So many inputs more are guided by coverage, each of which takes several times as long."""
CONTAINED = {"HDF5 dataset", "HDF5 predictions"}
"""Read in this process here and in one of their own by the program, where a crash or a hang is an error."""
COLUMNS = ("inputs", "guided", "refused", "answered", "contained", "findings", "cpu")
SLOW = 10.0
"""Seconds of CPU for one input, from which on it is a finding."""
SILENT = 90.0
"""Seconds on the clock without a sign of life, after which a process counts as hung."""
MEMORY = 2 << 30
"""Bytes of address space beyond what a process has before the first input."""


def reader_of(name: str) -> Reader:
    """The reader of that name; imported late, since those of text need no PyTorch."""
    from fuzz_text import text_readers

    if (make := text_readers().get(name)) is None:
        from fuzz_binary import binary_readers

        make = binary_readers()[name]
    return make()


class Run:
    """One reader's inputs in this process."""

    def __init__(self, reader: Reader, folder: Path) -> None:
        from genome_lm.errors import UserError

        self.reader, self.folder, self.refusal = reader, folder, UserError
        self.path = folder / reader.file
        reader.prepare(folder)
        self.seeds = reader.seeds()
        self.told = time.monotonic()
        self.counts: Counter[str] = Counter()
        self.slowest = 0.0
        for seed in self.seeds:
            self.one(seed)
        assert self.counts["refused"] < len(self.seeds), "no seed is sound"
        assert not self.counts["findings"], "a seed itself is read wrongly"
        self.counts.clear()

    def one(self, data: bytes) -> None:
        """Read one input and note what came of it."""
        self.path.write_bytes(self.reader.wrap(data))
        began = time.process_time()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self.reader.read(self.path, data)
            self.counts["answered"] += 1
        except self.refusal as error:
            self.counts["refused"] += 1
            if "\n" in str(error):
                self.found("an error of several lines")
        except Wrong as fault:
            self.found(str(fault))
        except BaseException:
            self.found(traceback.format_exc())
        took = time.process_time() - began
        self.slowest = max(self.slowest, took)
        if took > SLOW:
            self.found(f"took {took:.0f} s of CPU")
        self.counts["inputs"] += 1
        if time.monotonic() > self.told + 1:
            self.tell()

    def found(self, fault: str) -> None:
        self.counts["findings"] += 1
        if self.counts["findings"] <= 5:
            name = self.folder / f"finding_{self.counts['findings']}"
            name.write_bytes(self.path.read_bytes())
            name.with_suffix(".txt").write_text(f"{self.reader.name}: {fault}\n")
            print(f"{self.reader.name}: {fault}", file=sys.stderr)

    def tell(self) -> None:
        self.told = time.monotonic()
        usage = resource.getrusage(resource.RUSAGE_SELF)
        state = dict(self.counts) | {
            "slowest": self.slowest,
            "cpu": usage.ru_utime + usage.ru_stime + sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2]),
            "peak": usage.ru_maxrss << 10,
        }
        temporary = self.folder / "state.tmp"
        temporary.write_text(json.dumps(state))
        temporary.replace(self.folder / "state.json")


def fuzz_here(name: str, folder: Path, inputs: int, seed: int, guided: bool) -> None:
    """Run one reader's inputs in this process."""
    if guided:
        import atheris

        # Parsers of the package and of PyYAML; NumPy and PyTorch are C and slow to instrument.
        with atheris.instrument_imports(include=["genome_lm", "yaml"]):
            reader = reader_of(name)
    else:
        reader = reader_of(name)
    run = Run(reader, folder)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    run.tell()
    draw = random.Random(seed)
    if not guided:
        while run.counts["inputs"] < inputs:
            run.one(mutate(draw.choice(run.seeds), draw, run.seeds, reader.words))
        run.tell()
        return
    corpus = folder / "corpus"
    corpus.mkdir()
    for number, each in enumerate(run.seeds):
        (corpus / f"seed_{number}").write_bytes(each)

    def custom(data: bytes, most: int, number: int) -> bytes:
        chosen = random.Random(number)
        if chosen.random() < 0.3:
            return atheris.Mutate(data, most)[:most]
        return mutate(data, chosen, run.seeds, reader.words)[:most]

    def one(data: bytes) -> None:
        run.one(data)
        if run.counts["inputs"] >= inputs:
            run.tell()
            os._exit(0)  # libFuzzer's own count includes what it replays

    arguments = [sys.argv[0], f"-seed={seed + 1}", "-verbosity=0", "-print_final_stats=0", "-max_len=20000"]
    arguments += [f"-artifact_prefix={folder}/", "-timeout=240", "-rss_limit_mb=0", "-close_fd_mask=0"]
    atheris.Setup([*arguments, str(corpus)], one, custom_mutator=custom)
    atheris.Fuzz()


def fuzz_apart(name: str, inputs: int, seed: int, guided: bool, findings: Path) -> dict[str, float]:
    """Run one reader's inputs in processes of their own; a new one goes on where one has died."""
    total: Counter[str] = Counter()
    slowest = peak = 0.0
    while total["inputs"] < inputs and total["deaths"] < 20:
        with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as place:
            folder, left = Path(place), inputs - total["inputs"]
            more = [name, str(folder), str(left), str(seed + total["deaths"]), str(int(guided))]
            environment = os.environ | {"OMP_NUM_THREADS": "1", "GENOME_LM_VERIFY": "here"}
            with (folder / "log").open("wb") as log:
                process = subprocess.Popen(
                    [sys.executable, __file__, "--here", *more], env=environment, stdout=log, stderr=log
                )
                died = _wait(process, folder)
            state = (
                json.loads((folder / "state.json").read_text()) if (folder / "state.json").exists() else {}
            )
            slowest, peak = max(slowest, state.pop("slowest", 0)), max(peak, state.pop("peak", 0))
            total.update(state)
            kept = list(folder.glob("finding_*"))
            if died and not state:
                raise SystemExit(
                    f"{name} cannot begin: {died}\n{(folder / 'log').read_text(errors='replace')}"
                )
            if died and name in CONTAINED and _refused_in_a_child(name, folder):
                total.update(deaths=1, contained=1, inputs=1)
            elif died:
                total.update(deaths=1, findings=1, inputs=1)
                kept += [path for path in [*folder.glob("input"), folder / "log"] if path.exists()]
                print(
                    f"{name}: {died}\n{(folder / 'log').read_text(errors='replace')[-1500:]}", file=sys.stderr
                )
            for path in kept:
                findings.mkdir(parents=True, exist_ok=True)
                target = (
                    findings
                    / f"{name.replace(' ', '_').replace(',', '')}_{seed + total['deaths']}_{path.name}"
                )
                target.write_bytes(path.read_bytes())
                if path.suffix == ".txt":
                    print(path.read_text(), file=sys.stderr)
    return dict(total) | {"slowest": slowest, "peak": peak}


def _refused_in_a_child(name: str, folder: Path) -> bool:
    """Whether the file that ended the process is refused, or read rightly, as the program does it."""
    environment = os.environ | {"GENOME_LM_VERIFY": "always"}
    arguments = [sys.executable, __file__, "--again", name, str(folder)]
    return subprocess.run(arguments, env=environment, timeout=3 * SILENT).returncode == 0


def read_again(name: str, folder: Path) -> None:
    """Read the file that is there once more."""
    from genome_lm.errors import UserError

    reader = reader_of(name)
    reader.seeds()
    with contextlib.suppress(UserError):
        reader.read(folder / reader.file, b"")


def _wait(process: subprocess.Popen, folder: Path) -> str:
    """Why the process did not come to its end; empty if it did."""
    state, began = folder / "state.json", time.time()
    while process.poll() is None:
        time.sleep(0.2)
        last = state.stat().st_mtime if state.exists() else began
        if time.time() - last > SILENT:
            process.send_signal(signal.SIGKILL)
            process.wait()
            return "hung"
    return "" if process.returncode == 0 else f"died with {process.returncode}"


def main() -> int:
    """Fuzz all readers and print a table; 1 if there is a finding."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--only", nargs="+", choices=list(PLAN), default=list(PLAN))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--findings", type=Path, default=Path("fuzz_findings"))
    parser.add_argument("--here", nargs=5, help=argparse.SUPPRESS)
    parser.add_argument("--again", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.again:
        read_again(given.again[0], Path(given.again[1]))
        return 0
    if given.here:
        name, folder, inputs, seed, guided = given.here
        fuzz_here(name, Path(folder), int(inputs), int(seed), guided == "1")
        return 0
    try:
        import atheris  # noqa: F401

        coverage = True
    except ImportError:
        coverage = False
        print("atheris is not installed: mutations are not guided by coverage\n")
    print(f"| reader | {' | '.join(COLUMNS)} | slowest, s | peak, MB |\n|---|{'---:|' * (len(COLUMNS) + 2)}")
    sums: Counter[str] = Counter()
    for name in given.only:
        row: Counter[str] = Counter()
        slowest = peak = 0.0
        parts = (1.0, GUIDED_SHARE if coverage and name in GUIDED else 0.0)
        for guided, part in enumerate(parts):
            inputs = round(1000 * PLAN[name] * given.share * part)
            if not inputs:
                continue
            found = fuzz_apart(name, inputs, given.seed, bool(guided), given.findings)
            slowest, peak = max(slowest, found.pop("slowest")), max(peak, found.pop("peak"))
            row.update(found)
            row["guided"] += int(found["inputs"]) if guided else 0
        shown = " | ".join(f"{row[key]:,.0f}" for key in COLUMNS)
        print(f"| {name} | {shown} | {slowest:.2f} | {peak / 1e6:.0f} |", flush=True)
        sums.update(row)
    print(f"| all | {' | '.join(f'{sums[key]:,.0f}' for key in COLUMNS)} | | |")
    return 1 if sums["findings"] else 0


if __name__ == "__main__":
    sys.exit(main())
