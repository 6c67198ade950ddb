"""`prepare` and training at the scale of DeepSEA: 3.1 Gb of FASTA and 919 peak files, simulated.

    python benchmarks/whole_genome.py [--sizes 0.0625 0.125 0.25 1] [--folder FOLDER] [--training]

For each share of the whole it writes the sources (8 GB of disk for the whole, with the dataset), prepares
them in a process of its own, and deletes everything. With `--training` it also reads 400 training batches,
with no and with two loader workers, in one process and in two at once (imports alone stand as 0 processes).
Figures are added to `--results` (JSON), so that sizes can be measured one at a time; table and plot are of
all that are there.
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

LOADING = (
    FIRST_BATCH
    + """
for number, batch in enumerate(data.train_dataloader()):
    if number == 400:
        break
time.sleep(2)
"""
)


def prepare(folder: Path, scale: float) -> dict[str, Any]:
    """Write the sources, prepare them, delete them; sizes, seconds and peak memory."""
    lengths = simulated_assembly.chromosome_lengths(scale)
    fasta_bytes = simulated_assembly.write_assembly(folder / "genome.fa", lengths)
    _, n_peaks = simulated_assembly.write_tracks(folder, lengths, scale)
    arguments = ["fasta=genome.fa", "manifest=tracks.tsv", "output=data.h5", "genome_build=simulated"]
    arguments.append("storage=mapped")  # as the whole is by default, whatever the size
    if scale < 1:  # DeepSEA's region of chr7 lies beyond a shorter one
        arguments.append("splits.valid=[chr7:1000000-2000000]")
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


def loading(path: Path | None, workers: int, processes: int) -> dict[str, Any]:
    """Read batches in fresh processes at once and sample their memory; without a path, import only."""
    script = LOADING if path is not None else "import time, lightning, torch, numpy; time.sleep(2)"
    command = [sys.executable, "-c", script, str(path), str(workers)]
    ran = process_memory.run([command] * processes)
    return {
        "workers": workers,
        "processes": processes if path is not None else 0,
        "resident": ran.memory.resident,
        "proportional": ran.memory.proportional,
        "anonymous": ran.memory.anonymous,
        "largest_anonymous": ran.largest_process,
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
        found["training"] = [
            loading(None, 0, 1),
            *(loading(path, *how) for how in ((0, 1), (2, 1), (0, 2), (2, 2))),
        ]
    return found


def show(results: list[dict[str, Any]]) -> None:
    """Print the tables."""
    table(
        (
            *("size", "FASTA, Gb", "peaks, M", "windows, M", "bases stored, Gb", "file, GB"),
            *("prepare, s of CPU", "s on the clock", "peak memory, GB"),
        ),
        [
            (
                f"{each['scale']:g}",
                *(f"{each[name] / 1e9:.2f}" for name in ("bases",)),
                *(f"{each[name] / 1e6:.2f}" for name in ("peaks", "windows")),
                *(f"{each[name] / 1e9:.2f}" for name in ("stored_bases", "file_bytes")),
                *(f"{each[name]:.0f}" for name in ("prepare_cpu", "prepare_wall")),
                f"{each['prepare_peak'] / 1e9:.2f}",
            )
            for each in results
        ],
    )
    table(
        (
            *("size", "check of every byte, s of CPU", "opening the first time, s", "opening again, s"),
            *("and then the first batch, s", "with 2 workers, s"),
        ),
        [
            (
                f"{each['scale']:g}",
                f"{each['check_cpu']:.1f}",
                f"{each['first_time']['open']:.1f}",
                f"{each['again']['open']:.2f}",
                f"{each['again']['batch']:.2f}",
                f"{each['again_2_workers']['batch']:.2f}",
            )
            for each in results
        ],
    )
    for each in results:
        if "training" in each:
            print(
                f"Size {each['scale']:g}: {each['mapped'] / 1e9:.2f} GB mapped, {each['held']:,} bytes held\n"
            )
            table(
                ("processes", "workers each", "RSS, GB", "PSS, GB", "anonymous, GB", "most in one process"),
                [
                    (
                        str(row["processes"]),
                        str(row["workers"]),
                        *(
                            f"{row[name] / 1e9:.2f}"
                            for name in ("resident", "proportional", "anonymous", "largest_anonymous")
                        ),
                    )
                    for row in each["training"]
                ],
            )


def table(heading: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    print("| " + " | ".join(heading) + " |\n|" + "---:|" * len(heading))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print()


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
    parser.add_argument("--sizes", type=float, nargs="*", default=[0.0625, 0.125, 0.25, 1.0])
    parser.add_argument("--folder", type=Path, help="where to write; default: the folder for temporary files")
    parser.add_argument("--results", type=Path, help="JSON file to read and to add to")
    parser.add_argument("--training", action="store_true", help="also read batches, and sample memory")
    arguments = parser.parse_args()
    results: list[dict[str, Any]] = []
    if arguments.results and arguments.results.exists():
        results = json.loads(arguments.results.read_text())
    for scale in arguments.sizes:
        folder = Path(tempfile.mkdtemp(prefix="whole_genome_", dir=arguments.folder))
        try:
            results.append(measure(folder, scale, arguments.training))
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
