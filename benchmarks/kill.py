"""SIGKILL at random moments, and the same command again: does a run end as an undisturbed one?

    python benchmarks/kill.py [--kills 20] [--seed 0] [--what train|language|prepare] [--folder D] [SETTINGS]

train, language: an undisturbed training on the small dataset of the tests, and one that is killed and
started again by the same command (resume=auto) until it has ended. Of three kills one comes at a time drawn
from the seed, after the start of the process and at the latest when it writes its first checkpoint; one at a
time drawn from then on; one up to 20 ms after its first or second checkpoint has begun to be written. After
each kill every file with a checkpoint's name must be whole. At the end the run folders are compared value by
value, times left out.

prepare: a genome of 12 Mb and ten peak files; after each kill the output must be missing or whole.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from same_run import n_weights, run_differences

from genome_lm.checkpoint_io import is_intact
from genome_lm.commands.resume import newest_intact, resume_point_of
from genome_lm.dataset.prepare import prepare
from genome_lm.dataset.reading import open_dataset
from genome_lm.dataset.settings import PrepareSettings

SLICE = Path(__file__).parents[1] / "tests" / "data" / "slice"
PROGRAM = (sys.executable, "-c", "from genome_lm.cli import main; main()")
CHANCE, TRAINING, WRITE = "from start", "in training", "at a write"


@dataclass(frozen=True)
class Kill:
    """One kill: what it waited for, after how long, and what was left."""

    number: int
    kind: str
    seconds: float
    left: str


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--what", choices=["train", "language", "prepare"], default="train")
    parser.add_argument("--folder", type=Path, help="kept; a temporary one by default")
    parser.add_argument("overrides", nargs="*", help="of the training")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        draw = random.Random(given.seed)
        if given.what == "prepare":
            same = kill_prepare(folder, given.kills, draw)
        else:
            same = kill_training(folder, given.kills, draw, given.what == "language", given.overrides)
    sys.exit(0 if same else 1)


def kill_training(folder: Path, kills: int, draw: random.Random, language: bool, more: list[str]) -> bool:
    """Whether a killed and an undisturbed training end alike; prints a table."""
    dataset = folder / "small.h5"
    if not dataset.exists():
        how = PrepareSettings("hg19", test=("chr20:0-500,000",), valid=("chr20:500,000-900,000",))
        prepare(SLICE / "chr20_47Mb_49Mb.fa.gz", SLICE / "tracks.tsv", dataset, how)
    kind = ("task=language_model", "task.markov_order=4") if language else ()
    arguments = (
        "train", "resume=auto", f"data.path={dataset}", "data.batch_size=16", "trainer.max_epochs=6",
        "data.context_bp=200", "trainer.accelerator=cpu", "trainer.threads=1", "trainer.log_every_n_steps=5",
        "callbacks.save_every_steps=8", "trainer.progress_bar=false", *kind, *more,
    )  # fmt: skip
    plain, killed = folder / "undisturbed", folder / "killed"
    whole = run_to_its_end((*arguments, f"run_dir={plain}"), folder / "undisturbed.log")
    fit = json.loads((plain / "training.json").read_text())["seconds"]
    print(f"undisturbed: {whole:.0f} s, of which {fit:.0f} s in training\n", flush=True)
    command = (*arguments, f"run_dir={killed}")
    checkpoints = killed / "checkpoints"

    def left() -> str:
        broken = [path.name for path in checkpoints.glob("*.ckpt") if not is_intact(path)]
        parts = "a half-written file" if list(checkpoints.glob(".*.tmp")) else ""
        assert not broken, f"half-written under a checkpoint's name: {broken}"
        if not (checkpoints / "last.ckpt").exists():
            return parts or "no checkpoint yet"
        newest = newest_intact(killed)
        assert newest is not None
        steps = resume_point_of(newest, killed, exact=True).step
        return f"step {steps}" + (f", {parts}" if parts else "")

    done = kill_repeatedly(
        command,
        kills,
        draw,
        {CHANCE: whole - fit, TRAINING: fit / kills, WRITE: 0.02},
        lambda: any(checkpoints.glob(".*.tmp")),
        left,
    )
    run_to_its_end(command, folder / "killed.log")
    differences = run_differences(plain, killed)
    print(f"\n{len(done)} kills; {n_weights(killed):,} weights; differences to the undisturbed run: "
          f"{len(differences) or 'none'}")  # fmt: skip
    for line in differences[:20]:
        print(f"  {line}")
    stale = list(killed.rglob(".*.tmp"))
    print(f"temporary files left: {len(stale)}")
    return not differences and not stale and len(done) == kills


def kill_prepare(folder: Path, kills: int, draw: random.Random) -> bool:
    """Whether a killed `prepare` leaves no file or a whole one; prints a table."""
    generator = np.random.default_rng(0)
    length = 12_000_000
    letters = np.frombuffer(b"ACGT", dtype="S1")[generator.integers(0, 4, length)].tobytes().decode()
    (folder / "genome.fa").write_text(
        ">chr1\n" + "\n".join(letters[at : at + 60] for at in range(0, length, 60)) + "\n"
    )
    lines = ["task_id\tfile"]
    for track in range(10):
        starts = np.sort(generator.integers(0, length - 1000, 2000))
        (folder / f"{track}.bed").write_text("".join(f"chr1\t{at}\t{at + 600}\n" for at in starts))
        lines.append(f"task{track}\t{track}.bed")
    (folder / "tracks.tsv").write_text("\n".join(lines) + "\n")
    output = folder / "out" / "dataset.h5"
    command = (
        "prepare", f"fasta={folder / 'genome.fa'}", f"manifest={folder / 'tracks.tsv'}", f"output={output}",
        "genome_build=simulated", "splits.valid=[chr1:0-1000000]", "splits.test=[chr1:1000000-2000000]",
        "overwrite=true", "progress_bar=false",
    )  # fmt: skip
    whole = run_to_its_end(command, folder / "prepare.log")
    expected = open_dataset(output).checksum
    print(f"undisturbed: {whole:.1f} s\n", flush=True)
    output.unlink()
    temporary = output.parent.glob

    def left() -> str:
        parts = len(list(temporary(".*.tmp")))
        if not output.exists():
            return "no file" + (f", {parts} temporary" if parts else "")
        assert open_dataset(output).checksum == expected
        output.unlink()
        return "the whole file"

    longest = {CHANCE: 1.1 * whole, WRITE: whole / 5}
    done = kill_repeatedly(command, kills, draw, longest, lambda: any(temporary(".*.tmp")), left, ends=True)
    run_to_its_end(command, folder / "prepare.log")
    stale = list(temporary(".*.tmp"))
    same = open_dataset(output).checksum == expected
    print(f"\n{len(done)} kills; the next one has {'the same' if same else 'ANOTHER'} checksum; "
          f"temporary files left: {len(stale)}")  # fmt: skip
    return same and not stale


def kill_repeatedly(
    command: tuple[str, ...],
    kills: int,
    draw: random.Random,
    longest: dict[str, float],
    writing: Callable[[], bool],
    left: Callable[[], str],
    *,
    ends: bool = False,
) -> list[Kill]:
    """Start a command and kill it, again and again.

    Args:
        longest: seconds to each kind of kill: from the start, from the first write, from a write.
        writing: whether a file is being written just now.
        left: what lies in the folder after a kill; fails if that must not be.
        ends: whether the command writes one file and may end before its kill, so that it is tried again.
    """
    done: list[Kill] = []
    print(f"{'kill':>4}  {'when':<12}  {'after':>7}  what was left", flush=True)
    while len(done) < kills:
        kind = list(longest)[len(done) % len(longest)]
        delay, skipped = draw.uniform(0, longest[kind]), draw.randrange(2)
        began = time.monotonic()
        stale = writing()
        with subprocess.Popen(
            [*PROGRAM, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        ) as process:
            if kind == CHANCE and not ends:
                # At the latest once it has trained a little: a quicker start than before would end the run.
                until = began + delay
                while process.poll() is None and time.monotonic() < until and (stale or not writing()):
                    time.sleep(0.0005)
                delay = 0.0
            elif kind != CHANCE:
                if stale:  # of the kill before; removed when the command starts
                    _until(lambda: not writing(), process)
                for _ in range(0 if ends or kind != WRITE else skipped):
                    _until(writing, process)
                    _until(lambda: not writing(), process)
                _until(writing, process)
            _sleep(delay, process)
            if process.poll() is not None:
                if ends and process.returncode == 0 and left():
                    continue
                print(f"the command ended with {process.returncode} before its kill", flush=True)
                return done
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        seconds = time.monotonic() - began
        done.append(Kill(len(done) + 1, kind, seconds, left()))
        print(f"{done[-1].number:>4}  {kind:<12}  {seconds:5.1f} s  {done[-1].left}", flush=True)
    return done


def _sleep(seconds: float, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + seconds
    _until(lambda: time.monotonic() > until, process)


def _until(holds: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None and not holds():
        time.sleep(0.0005)


def run_to_its_end(command: tuple[str, ...], log: Path) -> float:
    """Run a command that must succeed; how long it took, seconds."""
    began = time.monotonic()
    with log.open("wb") as file:
        subprocess.run([*PROGRAM, *command], stdout=file, stderr=subprocess.STDOUT, check=True)
    return time.monotonic() - began


if __name__ == "__main__":
    main()
