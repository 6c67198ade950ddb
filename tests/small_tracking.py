"""An evaluation folder by the layout of docs/configuration.md, and the reader of offline W&B runs."""

import importlib.util
import json
import shutil
import struct
import sys
import time
import zlib
from pathlib import Path
from types import ModuleType
from typing import Any

DASHBOARDS = Path(__file__).parents[1] / "docs" / "dashboards"
N_TASKS = 5
SCORES = {"model": 0.5, "baseline": 0.4, "prior": 0.1}


def script(name: str) -> ModuleType:
    """A module of docs/dashboards, where the scripts import each other by their bare names."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, DASHBOARDS / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def finished_run(folder: Path, seconds: float = 60) -> Any:
    """The offline W&B run of a folder, once W&B's own process has written its end."""
    read_run, until = script("offline_runs").read_run, time.monotonic() + seconds
    while True:
        try:
            run = read_run(folder)
            if len(run.exit_codes) >= run.parts or time.monotonic() > until:
                return run
        except ValueError:
            if not list(folder.glob("wandb/offline-run-*")) or time.monotonic() > until:
                raise
        time.sleep(0.2)


def trained_copy(run: Path, folder: Path, *, evaluated: bool = True) -> Path:
    """A copy of a run folder with an evaluation in it."""
    shutil.copytree(run, folder)
    if evaluated:
        write_small_evaluation(folder)
    return folder


def write_small_evaluation(run_dir: Path, **changes: Any) -> Path:
    """summary.json (with `changes` at its top), tasks.tsv, report.html and two figures; values made up."""
    training = json.loads((run_dir / "training.json").read_text())
    folder = run_dir / "evaluation"
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    checksum = training["dataset_checksum"]
    summary = {
        "n_tasks": N_TASKS,
        "task_set": "5 of 21 tasks",
        "dataset": {"genome_build": "hg19", "checksum": checksum, "train_windows": 10},
        "protocol": "tuned",
        "bootstrap": {"block_bp": [100000, 500000], "n_blocks": {"100000": 80, "500000": 16}},
        "valid": figures() | {"groups": {"TF": figures()}},
        "test": figures() | {"groups": {"TF": figures(), "a/b.c": figures()}},
    }
    (folder / "summary.json").write_text(json.dumps(summary | changes))
    lines = ["id\ttarget\ttest_f1_model\ttest_f1_difference\ttest_outcome\n"]
    lines += [f"task{number}\tGA|TA\t0.{number}\t\t{'win' if number else ''}\n" for number in range(N_TASKS)]
    lines[1] = lines[1].replace("\t\t", "\t0.25\t", 1)
    (folder / "tasks.tsv").write_text("".join(lines))
    (folder / "report.html").write_text("<!doctype html><title>Report</title>")
    for name, width in (("differences", 1), ("wins", 3)):
        (folder / "figures" / f"{name}.png").write_bytes(png(width, 2))
    return folder


def figures() -> dict[str, Any]:
    """The figures of one split, one of them undefined."""
    means: dict[str, Any] = {"difference": 0.1} | SCORES
    intervals = {"f1": {"difference": [0.05, 0.15], "model": [0.4, None]}, "wins": [2, 5]}
    return {
        "n_tasks": N_TASKS,
        "wins": 3,
        "ties": 0,
        "losses": 1,
        "significant_wins": 2,
        "untested": 1,
        "f1": means,
        "auroc": SCORES | {"prior": None},
        "perplexity": {"model": 1.18, "baseline": 1.19, "prior": 1.21},
        "skill": {"model": 0.13, "baseline": 0.1, "prior": 0.0, "difference": 0.03},
        "task_skill": {"model": 0.15, "baseline": 0.12, "prior": 0.0, "difference": 0.03},
        "undefined": {"f1": 1},
        "intervals": {"100000": intervals, "500000": {"f1": {"difference": [-9, 9]}}},
    }


def png(width: int, height: int) -> bytes:
    """A red picture (PNG, RGB, 8 bits a channel)."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = (b"\0" + b"\xff\0\0" * width) * height
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
