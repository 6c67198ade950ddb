"""A study whose process is killed goes on, and repeats no trial that has finished."""

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from small_run import TINY, run_command

ROOT = Path(__file__).parents[1]
COMMAND = [sys.executable, "-c", "from genome_lm.cli import main; main()"]


def test_a_study_that_is_killed_at_a_random_moment_goes_on(small_file, tmp_path):
    arguments = (
        "tune=command_line", *TINY, f"data.path={small_file}", f"runs_dir={tmp_path}", "n_trials=4",
        "trainer.max_epochs=1", "optimizer.learning_rate=tag(log,interval(1e-4,1e-2))", "sampler.name=random",
    )  # fmt: skip
    folder = tmp_path / "tune_command_line"
    process = subprocess.Popen(
        [*COMMAND, "tune", *arguments],
        cwd=ROOT,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 240
        while not list(folder.glob("*/training.json")) and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(random.random() / 2)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*/training.json")}
    assert before
    assert run_command("tune", *arguments) == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before
    with (folder / "tuning.tsv").open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert [row["state"] for row in rows] == ["finished"] * 4
    rates = {row["optimizer.learning_rate"] for row in rows}
    assert len(rates) == 4
    for row in rows:  # each is of the run in its folder
        command = json.loads((folder / row["folder"] / "training.json").read_text())["command"]
        key, _, rate = command.rpartition("=")
        assert key.endswith(" optimizer.learning_rate")
        assert float(rate) == pytest.approx(float(row["optimizer.learning_rate"]), rel=1e-2)  # shown in short
