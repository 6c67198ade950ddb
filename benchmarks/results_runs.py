"""Trainings and evaluations of a contest: each a command of genome-lm, skipped once it is done."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from results_plan import Plan, Recipe, Speed
from results_table import PLAN_FILE

from genome_lm.atomic import write_text
from genome_lm.leaderboard.evaluated import EVALUATION, SUMMARY_FILE
from genome_lm.leaderboard.training import TRAINING_FILE

SPEEDS = "speeds.json"
COMMAND = [sys.executable, "-c", "from genome_lm.cli import main; main()"]


def train_run(folder: Path, recipe: Recipe, its_plan: Plan, record: Mapping[str, Any]) -> str | None:
    """Train into a run folder, afresh if it was begun before; what went wrong, or None.

    Args:
        record: what the folder's plan.json says; has `seed` and `threads`.
    """
    if folder.exists():  # begun and not finished; it has a plan of ours, as is_trained made sure
        shutil.rmtree(folder)
    write_text(folder / PLAN_FILE, json.dumps(record, indent=2) + "\n")
    return _call(
        folder.parent / "logs" / f"{folder.name}.train.log",
        [
            "train",
            *recipe.overrides,
            *its_plan.overrides(),
            f"seed={record['seed']}",
            f"trainer.threads={record['threads']}",
            "trainer.progress_bar=false",
            f"run_name={recipe.name}",
            f"hydra.run.dir={folder}",
        ],
    )


def evaluate_runs(results: Path, folder: Path, runs: Sequence[Path], threads: int) -> str | None:
    """Evaluate a run, or several as an ensemble, into `folder` unless that is done; what went wrong."""
    summary = folder / EVALUATION / SUMMARY_FILE
    trained = [run / TRAINING_FILE for run in runs]
    if not all(path.is_file() for path in trained):
        return f"{folder.name} is not evaluated: its training is missing"
    if summary.is_file() and summary.stat().st_mtime > max(path.stat().st_mtime for path in trained):
        return None
    return _call(
        results / "logs" / f"{folder.name}.evaluate.log",
        [
            "evaluate",
            f"ckpt_path=[{','.join(map(str, runs))}]",
            f"output_dir={folder}",
            f"baseline.cache_dir={results / 'baseline_cache'}",
            f"evaluate.threads={threads}",
        ],
    )


def is_trained(folder: Path, record: Mapping[str, Any]) -> bool:
    """Whether a run is finished.

    Raises:
        SystemExit: there is a run by another plan, or something else.
    """
    if not folder.exists():
        return False
    try:
        found = json.loads((folder / PLAN_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = None
    if found != record:
        raise SystemExit(f"{folder} is of another plan or none; remove it, or give another --folder")
    return (folder / TRAINING_FILE).is_file()


def _call(log: Path, arguments: Sequence[str]) -> str | None:
    """Run a command of genome-lm with its output in `log`; what went wrong, or None."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") as output:
        done = subprocess.run([*COMMAND, *arguments], stdout=output, stderr=subprocess.STDOUT, check=False)
    lines = log.read_text(encoding="utf-8").strip().splitlines()
    print(f"{log.name}: {lines[-1] if lines else 'no output'}", flush=True)
    return f"{log}: {lines[-1] if lines else 'no output'}" if done.returncode else None


def share_out(
    jobs: Sequence[Callable[[], str | None]], at_once: int, threads: int, failed: list[str]
) -> None:
    """Run jobs side by side with so many threads each; what went wrong is added to `failed`."""
    os.environ |= {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "passive"}
    with ThreadPoolExecutor(at_once) as pool:
        failed += [each for each in pool.map(lambda job: job(), jobs) if each is not None]


def keep_speed(folder: Path, name: str, threads: int, speed: Speed) -> None:
    """Remember a speed for this number of threads."""
    speeds = _speeds(folder)
    speeds.setdefault(str(threads), {})[name] = dataclasses.asdict(speed)
    write_text(folder / SPEEDS, json.dumps(speeds, indent=2) + "\n")


def _speeds(folder: Path) -> dict:
    path = folder / SPEEDS
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def known_speed(folder: Path, recipe: Recipe, threads: int) -> Speed | None:
    """The measured speed of a recipe, unless its overrides have changed since."""
    found = _speeds(folder).get(str(threads), {}).get(recipe.name)
    if found is None or tuple(found["overrides"]) != recipe.overrides:
        return None
    return Speed(**found | {"overrides": recipe.overrides})
