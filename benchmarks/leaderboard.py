"""Seconds of `genome-lm compare` over fifty runs, against a loop that opens every checkpoint.

    python benchmarks/leaderboard.py [RUN_FOLDER]

RUN_FOLDER is an evaluated run (default: the newest below runs/). Fifty copies of it, with other perplexities
and seeds, are ranked from the shell to the last file: tables, strict JSON and the page with the chosen run's
report. The rival is what one writes first: `torch.load` of each best.ckpt for its configuration and tasks,
PyYAML and json for the rest, and a sorted table on the screen. Both must find the same order (checked).
"""

import argparse
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import yaml

RUNS = 50
REPEATS = 3
BAR_SECONDS = 5.0

RIVAL = """
import json, sys
from pathlib import Path
import torch, yaml
rows = []
for run in sorted(Path(sys.argv[1]).iterdir()):
    saved = torch.load(run / "checkpoints" / "best.ckpt", map_location="cpu", weights_only=True)["genome_lm"]
    config = yaml.safe_load((run / "config.yaml").read_text())
    training = json.loads((run / "training.json").read_text())
    summary = json.loads((run / "evaluation" / "summary.json").read_text())
    rows.append((training["valid_perplexity"], run.name, saved["model_name"], config["seed"],
                 len(saved["tasks"]["id"]), summary["valid"]["auroc"]["model"]))
for row in sorted(rows):
    print(*row)
"""

TABLES = """
import sys
from pathlib import Path
from genome_lm.leaderboard.board import read_leaderboard
from genome_lm.leaderboard.text import leaderboard_print
print(leaderboard_print(read_leaderboard([Path(sys.argv[1])])))
"""


def copies(run: Path, folder: Path) -> None:
    """Write `RUNS` copies of an evaluated run with perplexities and seeds of their own."""
    training = json.loads((run / "training.json").read_text(encoding="utf-8"))
    config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    for number in range(RUNS):
        copy = folder / f"{number:02d}"
        shutil.copytree(run / "evaluation", copy / "evaluation")
        shutil.copy(run / "metrics.csv", copy)
        (copy / "checkpoints").mkdir()
        (copy / "checkpoints" / "best.ckpt").symlink_to((run / "checkpoints" / "best.ckpt").resolve())
        # Apart by less than what tells that an evaluation is of other weights.
        perplexity = training["valid_perplexity"] + (number * 37 % RUNS) / 1_000_000
        figures = training | {"valid_perplexity": perplexity, "seed": number}
        (copy / "training.json").write_text(json.dumps(figures), encoding="utf-8")
        (copy / "config.yaml").write_text(yaml.safe_dump(config | {"seed": number}), encoding="utf-8")


def cpu_seconds() -> float:
    """Of all processes started so far that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


class Measured(NamedTuple):
    """Medians in seconds, and what was printed."""

    wall: float
    cpu: float
    printed: str


def seconds(command: Sequence[str]) -> Measured:
    """Time a command in a process of its own."""
    wall, cpu = [], []
    for _ in range(REPEATS):
        began, used = time.perf_counter(), cpu_seconds()
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        wall.append(time.perf_counter() - began)
        cpu.append(cpu_seconds() - used)
    return Measured(statistics.median(wall), statistics.median(cpu), done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, nargs="?")
    run = parser.parse_args().run
    if run is None:
        evaluated = [
            *Path("runs").glob("*/evaluation/tasks.tsv"),
            *Path("runs").glob("*/*/evaluation/tasks.tsv"),
        ]
        runs = [path.parents[1] for path in evaluated if (path.parents[1] / "training.json").is_file()]
        if not runs:
            parser.error("no evaluated run below runs; train and evaluate one, or give a folder")
        run = max(runs, key=lambda path: path.stat().st_mtime)
    with tempfile.TemporaryDirectory() as temporary:
        folder, output = Path(temporary) / "runs", Path(temporary) / "output"
        copies(run, folder)
        compare = "from genome_lm.cli import main; main()"
        whole = seconds([sys.executable, "-c", compare, "compare", str(folder), "--output", str(output)])
        tables = seconds([sys.executable, "-c", TABLES, str(folder)])
        rival = seconds([sys.executable, "-c", RIVAL, str(folder)])
        rows = json.loads((output / "leaderboard.json").read_text())["runs"]
        assert all(row["evaluated"] for row in rows)
        assert rows[0]["test"] is not None
        order = [row["run"] for row in rows]
        assert order == [line.split()[1] for line in rival.printed.splitlines()]
        assert tables.printed.strip() in whole.printed
        size = sum(path.stat().st_size for path in folder.rglob("best.ckpt")) / RUNS
    print(f"| {RUNS} runs, checkpoints of {size / 1e6:.1f} MB | seconds | CPU seconds | CPU, of the loop |")
    print("|---|---:|---:|---:|")
    for name, measured in (
        ("genome-lm compare: table, files and page", whole),
        ("the same without files and page", tables),
        ("loop with torch.load, PyYAML and json", rival),
    ):
        share = measured.cpu / rival.cpu
        print(f"| {name} | {measured.wall:.1f} | {measured.cpu:.1f} | {share:.2f} |")
    print(f"bar: under {BAR_SECONDS:g} s: {'met' if whole.wall < BAR_SECONDS else 'MISSED'}")


if __name__ == "__main__":
    main()
