"""`prepare` and training at the scale of DeepSEA: 3.1 Gb of FASTA and 919 peak files, simulated.

    python benchmarks/whole_genome.py [--sizes 0.125 0.25 0.5 1] [--folder FOLDER] [--results FILE]

For each share of the whole it writes the sources (12 GB of disk for the whole, with the dataset), prepares them
in a process of its own, trains a small network for some batches with no and with two loader workers and as two
processes at once, and deletes everything. Figures are added to `--results` (JSON), so that sizes can be measured
one at a time; table and plot are of all that are there. Seconds of CPU are those of process and children.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import altair
import process_memory
import simulated_assembly
import vl_convert

ROOT = Path(__file__).parent.parent
PICTURE = ROOT / "docs" / "images" / "whole_genomes.png"
BATCHES = 200

FIRST_BATCH = """
import json, sys, time
began = time.perf_counter()
from pathlib import Path
import lightning, torch
from genome_lm.dataset.datamodule import GenomeDataModule
from genome_lm.dataset.format import open_dataset
from genome_lm.dataset.tasks import choose_tasks
imported = time.perf_counter()
dataset = open_dataset(Path(sys.argv[1]))
opened = time.perf_counter()
tasks = choose_tasks(dataset, 0.01)
data = GenomeDataModule(dataset, tasks, context_bp=920, batch_size=256, eval_batch_size=512, max_shift_bp=40,
                        reverse_complement=True, num_workers=int(sys.argv[2]))
batch = next(iter(data.train_dataloader()))
first = time.perf_counter()
print(json.dumps({"import": imported - began, "open": opened - imported, "batch": first - opened}))
"""


def prepare(folder: Path, scale: float) -> dict[str, Any]:
    """Write the sources, prepare them, delete them; sizes, seconds and peak memory."""
    lengths = simulated_assembly.chromosome_lengths(scale)
    fasta_bytes = simulated_assembly.write_assembly(folder / "genome.fa", lengths)
    _, n_peaks = simulated_assembly.write_tracks(folder, lengths, scale)
    arguments = ["fasta=genome.fa", "manifest=tracks.tsv", "output=data.h5", "genome_build=simulated"]
    if scale < 1:  # DeepSEA's region of chr7 lies beyond a shorter one
        arguments.append("splits.valid=[chr7:1,000,000-2,000,000]")
    began = time.perf_counter()
    process = subprocess.Popen([*genome_lm("prepare"), *arguments], cwd=folder)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - began
    if process.returncode:
        raise SystemExit("prepare failed")
    for path in [folder / "genome.fa", *folder.glob("*.narrowPeak.gz")]:
        path.unlink()
    return {
        "bases": sum(lengths.values()),
        "fasta_bytes": fasta_bytes,
        "peaks": n_peaks,
        "file_bytes": (folder / "data.h5").stat().st_size,
        "prepare_wall": wall,
        "prepare_cpu": used.ru_utime + used.ru_stime,
        "prepare_peak": used.ru_maxrss * 1024,
    }


def contents(path: Path) -> dict[str, Any]:
    """Windows and bases of the dataset, and what checking all of it costs (the file in the page cache)."""
    from genome_lm.dataset.checking import check_here
    from genome_lm.dataset.format import open_dataset
    from genome_lm.dataset.memory import memory_of

    began = time.process_time()
    check_here(path)
    checked = time.process_time() - began
    dataset = open_dataset(path)
    memory = memory_of(dataset)
    return {
        "windows": dataset.n_windows,
        "stored_bases": len(dataset.sequence),
        "check_cpu": checked,
        "mapped": memory.mapped,
        "held": memory.held,
    }


def first_batch(path: Path, workers: int) -> dict[str, float]:
    """Seconds of a fresh process until its first batch: imports, opening, the rest."""
    command = [sys.executable, "-c", FIRST_BATCH, str(path), str(workers)]
    found: dict[str, float] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return found


def training(folder: Path, workers: int, processes: int) -> dict[str, Any]:
    """Train a small convolutional network for some batches, and sample its memory."""
    arguments = [
        f"data.path={folder / 'data.h5'}",
        f"runs_dir={folder / 'runs'}",
        "model=deepbind",
        f"data.num_workers={workers}",
        f"trainer.limit_train_batches={BATCHES}",
        "trainer.limit_val_batches=2",
        "trainer.max_epochs=1",
        "trainer.threads=1",
    ]
    commands = [[*genome_lm("train"), *arguments, f"run_name=r{number}"] for number in range(processes)]
    ran = process_memory.run(commands)
    return {
        "workers": workers,
        "processes": processes,
        "seen": ran.processes,
        "resident": ran.memory.resident,
        "proportional": ran.memory.proportional,
        "anonymous": ran.memory.anonymous,
        "largest_anonymous": ran.largest_process,
        "seconds": ran.seconds,
    }


def genome_lm(command: str) -> list[str]:
    return [sys.executable, "-c", "from genome_lm.cli import main; main()", command]


def measure(folder: Path, scale: float, with_training: bool) -> dict[str, Any]:
    """All figures of one size; `folder` is empty, and is left with the dataset and the runs."""
    os.environ["GENOME_LM_CACHE"] = str(folder / "cache")
    found: dict[str, Any] = {"scale": scale, **prepare(folder, scale)}
    time.sleep(2.5)  # a file just changed is not remembered as checked
    path = folder / "data.h5"
    found["first_time"] = first_batch(path, 0)
    found["again"] = first_batch(path, 0)
    found["again_2_workers"] = first_batch(path, 2)
    found |= contents(path)
    if with_training:
        found["training"] = [training(folder, *how) for how in ((0, 1), (2, 1), (0, 2), (2, 2))]
    return found


def show(results: list[dict[str, Any]]) -> None:
    print(
        "| size | FASTA, Gb | peaks, M | windows, M | stored bases, Gb | file, GB | prepare, s of CPU | s | peak, GB |"
    )
    print("|---|" + "---:|" * 8)
    for each in results:
        print(
            f"| {each['scale']:g} | {each['bases'] / 1e9:.2f} | {each['peaks'] / 1e6:.1f} "
            f"| {each['windows'] / 1e6:.2f} | {each['stored_bases'] / 1e9:.2f} | {each['file_bytes'] / 1e9:.2f} "
            f"| {each['prepare_cpu']:.0f} | {each['prepare_wall']:.0f} | {each['prepare_peak'] / 1e9:.2f} |"
        )
    print(
        "\n| size | whole check, s of CPU | open, first time, s | open again, s | then first batch, s | with 2 workers, s |"
    )
    print("|---|" + "---:|" * 5)
    for each in results:
        print(
            f"| {each['scale']:g} | {each['check_cpu']:.1f} | {each['first_time']['open']:.1f} "
            f"| {each['again']['open']:.2f} | {each['again']['batch']:.2f} | {each['again_2_workers']['batch']:.2f} |"
        )
    for each in results:
        if "training" not in each:
            continue
        print(
            f"\nTraining at size {each['scale']:g}: {each['mapped'] / 1e9:.2f} GB mapped, {each['held'] / 1e6:.0f} MB held\n"
        )
        print(
            "| processes | workers each | RSS, GB | PSS, GB | anonymous, GB | largest process's anonymous, GB |"
        )
        print("|---:|---:|---:|---:|---:|---:|")
        for row in each["training"]:
            values = [
                row[name] / 1e9 for name in ("resident", "proportional", "anonymous", "largest_anonymous")
            ]
            print(
                f"| {row['processes']} | {row['workers']} | "
                + " | ".join(f"{value:.2f}" for value in values)
                + " |"
            )


def plot(results: list[dict[str, Any]], path: Path) -> None:
    """CPU seconds and peak memory of `prepare` against the size."""
    rows = [
        {
            "gigabases": each["bases"] / 1e9,
            "seconds": each["prepare_cpu"],
            "gigabytes": each["prepare_peak"] / 1e9,
        }
        for each in results
    ]
    base = altair.Chart(altair.Data(values=rows)).encode(
        x=altair.X("gigabases:Q", title="bases of the FASTA, Gb (peaks in proportion)")
    )
    panels = [
        base.mark_line(point=True)
        .encode(y=altair.Y(f"{name}:Q", title=title))
        .properties(width=300, height=220)
        for name, title in (("seconds", "prepare, s of CPU"), ("gigabytes", "peak memory, GB"))
    ]
    spec = altair.hconcat(*panels).to_dict()
    path.write_bytes(vl_convert.vegalite_to_png(spec, scale=2))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=float, nargs="*", default=[0.125, 0.25, 0.5, 1.0])
    parser.add_argument("--folder", type=Path, help="where to write; default: the folder for temporary files")
    parser.add_argument("--results", type=Path, help="JSON file to read and to add to")
    arguments = parser.parse_args()
    results: list[dict[str, Any]] = []
    if arguments.results and arguments.results.exists():
        results = json.loads(arguments.results.read_text())
    for scale in arguments.sizes:
        folder = Path(tempfile.mkdtemp(prefix="whole_genome_", dir=arguments.folder))
        try:
            results.append(measure(folder, scale, with_training=scale == max(arguments.sizes)))
        finally:
            shutil.rmtree(folder)
        if arguments.results:
            arguments.results.write_text(json.dumps(results, indent=1))
    results.sort(key=lambda each: each["scale"])
    show(results)
    if len(results) > 1:
        plot(results, PICTURE)


if __name__ == "__main__":
    main()
