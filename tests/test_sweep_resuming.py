"""Sweeps that were cut off: the same command runs what is left, and nothing twice."""

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
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from small_run import TINY, files, run_command, run_folders

from genome_lm.errors import UserError
from genome_lm.sweeping.cores import THREADS, cores, jobs_at_once, shared_cores
from genome_lm.sweeping.jobs import JobState, job_lock, job_state, run_once, sweep_lock
from genome_lm.sweeping.sweeper import Job

ROOT = Path(__file__).parents[1]
COMMAND = [sys.executable, "-c", "from genome_lm.cli import main; main()"]


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "sweep"


@pytest.fixture
def arguments(small_file, folder) -> tuple[str, ...]:
    return ("-m", *TINY, f"data.path={small_file}", f"hydra.sweep.dir={folder}", "trainer.max_epochs=1")


def written(folder: Path) -> dict[str, int]:
    """When each job wrote its result, ns."""
    return {path.name: (path / "training.json").stat().st_mtime_ns for path in finished(folder)}


def finished(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.glob("*/training.json"))


def states(folder: Path) -> dict[str, str]:
    with (folder / "sweep.tsv").open(newline="") as file:
        rows = csv.DictReader(file, delimiter="\t")
        return {row["job"]: row["valid_perplexity"].strip("0123456789.") for row in rows}


def test_a_sweep_that_is_killed_at_a_random_moment_goes_on(arguments, folder):
    """The whole process group, by SIGKILL, once at least one job has finished."""
    jobs = ("seed=0,1,2,3", "run_name=tiny")
    process = subprocess.Popen(
        [*COMMAND, "train", *arguments, *jobs],
        cwd=ROOT,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 240
        while not finished(folder) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(random.random() / 2)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    before = written(folder)
    assert before
    assert run_command("train", *arguments, *jobs) == 0
    assert [path.name for path in finished(folder)] == ["0_tiny", "1_tiny", "2_tiny", "3_tiny"]
    after = written(folder)
    assert {name: after[name] for name in before} == before
    for seed, path in enumerate(finished(folder)):
        assert json.loads((path / "training.json").read_text())["seed"] == seed
        assert {"checkpoints/best.ckpt", "checkpoints/last.ckpt", "metrics.csv"} <= files(path)
        header, *rows = (path / "metrics.csv").read_text().splitlines()
        assert header not in rows  # nothing is left of what was killed
    assert set(states(folder).values()) == {""}


def test_further_values_are_added_and_keep_their_numbers(arguments, folder, capsys):
    jobs = ("seed=${hydra:job.num}", "run_name=tiny")
    assert run_command("train", *arguments, *jobs, "head.dropout=0,0.1") == 0
    before = written(folder)
    assert "the same command with hydra.sweep.dir=" in capsys.readouterr().out
    assert run_command("train", *arguments, *jobs, "head.dropout=0,0.1,0.2") == 0
    assert "2 of 3 jobs have finished" in capsys.readouterr().out
    after = written(folder)
    assert {name: after[name] for name in before} == before
    assert after["2_tiny"] > max(before.values())
    seeds = [json.loads((path / "training.json").read_text())["seed"] for path in finished(folder)]
    assert seeds == [0, 1, 2]
    assert (folder / "2_tiny/.hydra/overrides.yaml").read_text().endswith("- head.dropout=0.2\n")


def test_other_settings_and_another_sweep_are_refused_before_anything_is_written(arguments, folder, capsys):
    assert run_command("train", *arguments, "seed=0", "run_name=tiny") == 0
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    capsys.readouterr()
    for changed, message in (
        ("seed=1", "0_tiny holds a job of other settings: seed was 0, now 1"),
        ("run_name=large", "holds 0_tiny, no job of this sweep"),
    ):
        assert run_command("train", *arguments, "seed=0", "run_name=tiny", changed) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert message in line
        assert "give another hydra.sweep.dir" in line
    assert run_command("train", *arguments, "seed=0,1", "hydra.sweep.subdir=same") == 2
    assert "two jobs of the sweep have the folder same" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()} == before
    # How fast it goes, and where it is logged, is no other setting.
    assert run_command("train", *arguments, "seed=0", "run_name=tiny", "trainer.threads=2") == 0


def test_a_failed_job_is_tried_again(arguments, folder, monkeypatch):
    def broken(*_, **__):
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr("genome_lm.commands.train.describe", broken)
        assert run_command("train", *arguments, "run_name=tiny") == 2
    assert states(folder) == {"0_tiny": "failed"}
    assert (folder / "0_tiny/error.txt").is_file()
    assert run_command("train", *arguments, "run_name=tiny") == 0
    assert states(folder) == {"0_tiny": ""}
    assert not (folder / "0_tiny/error.txt").exists()


def test_what_another_process_has_in_hand_is_left_alone(arguments, folder, capsys):
    sweep = sweep_lock(folder)
    assert sweep.acquire(wait=False)
    assert run_command("train", *arguments, "run_name=tiny") == 2
    assert "another command runs the sweep in" in capsys.readouterr().err
    assert run_folders(folder) == []
    sweep.release()
    job = job_lock(folder / "0_tiny")
    assert job.acquire(wait=False)
    assert run_command("train", *arguments, "seed=0,1", "run_name=tiny") == 0
    assert states(folder) == {"1_tiny": "", "0_tiny": "running"}
    job.release()
    assert [path.name for path in finished(folder)] == ["1_tiny"]
    assert "job 0_tiny is running in another process" in capsys.readouterr().out


def test_a_launcher_that_gives_up_is_one_line_and_leaves_the_table(arguments, folder, monkeypatch, capsys):
    Plugins.instance()  # which executes Hydra's own plugins anew
    from hydra._internal.core_plugins.basic_launcher import BasicLauncher

    original = BasicLauncher.launch

    def dying(self, job_overrides, initial_job_idx):
        original(self, job_overrides[:1], initial_job_idx)
        raise RuntimeError("a worker was killed\nby the kernel")

    with monkeypatch.context() as patch:
        patch.setattr(BasicLauncher, "launch", dying)
        assert run_command("train", *arguments, "seed=0,1", "run_name=tiny") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "hydra/launcher=basic gave up (RuntimeError: a worker was killed), see" in line
    assert "Traceback" in (folder / "launcher_error.txt").read_text()
    assert states(folder) == {"0_tiny": ""}
    assert run_command("train", *arguments, "seed=0,1", "run_name=tiny") == 0
    assert states(folder) == {"0_tiny": "", "1_tiny": ""}


@pytest.mark.parametrize(
    "name", ["0_gru", "a b", "it's", "x=1,y={2}", "back\\slash", "trail\\", "a/b", "é", "[1"]
)
def test_a_folder_of_any_name_is_handed_on_as_it_is(name):
    _, subdir, number = Job(7, ("seed=1",), name, JobState.new).told()
    parsed = OverridesParser.create().parse_overrides([subdir, number])
    assert [each.value() for each in parsed] == [name, "7"]


SETTINGS = {
    "seed": 0,
    "data": {"path": None, "ids": []},
    "trainer": {"threads": 1},
    "logger": {"name": "csv"},
}
TRAINING = {
    "model": "gru", "seed": 0, "parameters": 1, "epochs": 1, "best_epoch": 1, "seconds": 1.0,
    "windows_per_second": 1.0, "valid_perplexity": 1.25, "valid_prior_perplexity": 1.5,
    "task_set": "1 of 1 tasks", "dataset_checksum": "sha256:0", "best_checkpoint": "checkpoints/best.ckpt",
}  # fmt: skip


def test_what_a_folder_tells_of_a_job(tmp_path):
    job = tmp_path / "0_gru"
    assert job_state(job, SETTINGS) is JobState.new
    job.mkdir()
    (job / "config.yaml").write_text(json.dumps(SETTINGS))
    assert job_state(job, SETTINGS) is JobState.cut_off
    (job / "training.json").write_text(json.dumps(TRAINING)[:-20])
    assert job_state(job, SETTINGS) is JobState.cut_off
    (job / "training.json").write_text(json.dumps(TRAINING))
    assert job_state(job, SETTINGS) is JobState.finished
    lock = job_lock(job)
    lock.acquire(wait=True)
    assert job_state(job, SETTINGS) is JobState.running
    lock.release()
    elsewhere = SETTINGS | {"trainer": {"threads": 8}, "logger": {"name": "wandb", "group": "a"}}
    assert job_state(job, elsewhere) is JobState.finished
    with pytest.raises(UserError, match=r"data\.ids was \[\], now \[\"a\"\]"):
        job_state(job, SETTINGS | {"data": {"path": None, "ids": ["a"]}})
    with pytest.raises(UserError, match=r"data\.more was absent, now 1"):
        job_state(job, SETTINGS | {"data": {"path": None, "ids": [], "more": 1}})
    (job / "config.yaml").write_text("{")
    with pytest.raises(UserError, match="cannot be read"):
        job_state(job, SETTINGS)


def test_a_finished_job_gives_its_result_and_a_cut_off_one_starts_clean(tmp_path):
    job, calls = tmp_path / "0_gru", []

    def train() -> float:
        calls.append(files(job))
        return 1.5

    job.mkdir()
    (job / "config.yaml").write_text(json.dumps(SETTINGS))
    (job / "error.txt").touch()  # of an earlier call: no longer true
    (job / "notes.txt").touch()
    (job / "checkpoints").mkdir()
    (job / "checkpoints/last.ckpt").touch()
    assert run_once(job, SETTINGS, train, resumes=True) == 1.5
    assert run_once(job, SETTINGS, train) == 1.5
    kept = {"config.yaml", "notes.txt"}
    assert calls == [kept | {"checkpoints/last.ckpt"}, kept]
    (job / "training.json").write_text(json.dumps(TRAINING))
    assert run_once(job, SETTINGS, train) == 1.25
    assert len(calls) == 2


@pytest.mark.parametrize(
    ("launcher", "settings", "n_jobs", "expected"),
    [
        ("basic", {}, 9, None),
        ("ray", {"remote": {"num_cpus": 2}}, 9, None),
        ("submitit_slurm", {}, 9, None),
        ("submitit_local", {}, 9, 9),
        ("joblib", {"n_jobs": 2}, 9, 2),
        ("joblib", {"n_jobs": 8}, 3, 3),
        ("joblib", {"n_jobs": -1}, 10_000, cores()),
        ("joblib", {"n_jobs": -10_000}, 3, 1),
    ],
)
def test_jobs_side_by_side(launcher, settings, n_jobs, expected):
    assert jobs_at_once(launcher, settings, n_jobs) == expected


def test_jobs_side_by_side_share_the_cores_unless_told_otherwise(monkeypatch):
    monkeypatch.delenv(THREADS, raising=False)
    for at_once, share in ((1, cores()), (cores(), 1), (10 * cores(), 1)):
        with shared_cores(at_once):
            assert os.environ[THREADS] == str(share)
        assert THREADS not in os.environ
    with shared_cores(None):
        assert THREADS not in os.environ
    monkeypatch.setenv(THREADS, "3")
    with shared_cores(2):
        assert os.environ[THREADS] == "3"
