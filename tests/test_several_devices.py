"""Training and evaluation by two processes that speak gloo, beside one process on the same batches."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_run import TINY, files, run_command, run_folders

from genome_lm.build import network_with_weights
from genome_lm.checkpoint import read_checkpoint
from genome_lm.commands.several import plain, typed
from genome_lm.config import TrainConfig
from genome_lm.dataset.contents import Dataset
from genome_lm.evaluation.aligned import align
from genome_lm.evaluation.compare import compare
from genome_lm.evaluation.predict import predict_windows
from genome_lm.evaluation.predictions import read_predictions

WAIT_SECONDS = 240

# Batch norm in the stem and before the head, averaged weights, and shares that are never equal.
EXACT = (
    *TINY,
    "trainer.max_epochs=3",
    "head.norm=batch",
    "head.dropout=0",
    "head.input_dropout=0",
    "stem=conv",
    "stem.channels=4",
    "stem.kernel_size=3",
    "stem.pool=2",
    "data.batch_size=125",
    "data.eval_batch_size=51",
    "data.max_shift_bp=5",
    "callbacks.ema_decay=0.9",
    "callbacks.norm_windows=101",
    "task.weighting=root_inverse_entropy",
)


@pytest.fixture(scope="module")
def one(small_file, tmp_path_factory) -> Path:
    """A run of one process."""
    runs = tmp_path_factory.mktemp("one")
    assert run_command("train", *EXACT, f"data.path={small_file}", f"runs_dir={runs}") == 0
    (folder,) = run_folders(runs)
    return folder


@pytest.fixture(scope="module")
def sweep(small_file, tmp_path_factory) -> Path:
    """A sweep by two processes: in the first job one of them fails, the second is the run of `one`."""
    runs = tmp_path_factory.mktemp("two")
    settings = (f"data.path={small_file}", f"runs_dir={runs}", "trainer=ddp", "trainer.devices=2")
    encoders = "failing_rank.FailingEncoder,genome_lm.encoders.recurrent.RecurrentEncoder"
    allowed = "allowed_packages=[genome_lm,failing_rank]"
    assert run_command("train", "-m", *EXACT, *settings, allowed, f"model.encoder._target_={encoders}") == 2
    (folder,) = runs.iterdir()
    return folder


@pytest.fixture(scope="module")
def two(sweep) -> Path:
    """The run of `one` by two processes."""
    return sweep / "1_bigru"


def rows_of(path: Path, delimiter: str) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def check_same_figures(first: Path, second: Path) -> None:
    """Every figure of `metrics.csv` but speed."""
    ours, theirs = (rows_of(folder / "metrics.csv", ",") for folder in (first, second))
    assert len(ours) == len(theirs) > 3
    for left, right in zip(ours, theirs, strict=True):
        assert left.keys() == right.keys()
        for name in left.keys() - {"train/windows_per_second", "train/data_wait_share"}:
            assert bool(left[name]) == bool(right[name])
            if left[name]:
                assert float(left[name]) == pytest.approx(float(right[name]), abs=1e-5), name


def check_same_weights(first: Path, second: Path) -> None:
    """Of the best epoch and the last, averaged and not, with the statistics of the normalisations."""
    for name in ("best", "last"):
        ours, theirs = (
            torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True)
            for folder in (first, second)
        )
        for part in ("state_dict", "current_model_state"):
            assert ours[part].keys() == theirs[part].keys()
            for key, value in ours[part].items():
                torch.testing.assert_close(
                    value, theirs[part][key], rtol=1e-5, atol=1e-5, msg=f"{name} {key}"
                )


def test_two_processes_train_the_same_as_one(one, two):
    check_same_figures(one, two)
    check_same_weights(one, two)
    ours, theirs = (json.loads((folder / "training.json").read_text()) for folder in (one, two))
    for name in ("valid_perplexity", "valid_prior_perplexity", "valid_auroc", "valid_ap", "valid_f1"):
        assert ours[name] == pytest.approx(theirs[name], abs=1e-5)
    assert ours["best_epoch"] == theirs["best_epoch"]


def test_one_set_of_files(one, two):
    assert files(two) == files(one)


def test_a_failing_rank_does_not_spoil_the_next_job_of_a_sweep(sweep, two):
    first = sweep / "0_bigru"
    folders = {path.name for path in sweep.iterdir() if path.is_dir() and not path.name.startswith(".")}
    assert folders == {first.name, two.name}
    log = first / "rank_1.txt"
    reason = (first / "error.txt").read_text()
    assert reason.startswith("rank 1 of 2 failed: ZeroDivisionError: this rank fails; ")
    assert reason.rstrip().endswith(str(log))
    assert "failing_rank.py" in log.read_text()
    assert not (first / "training.json").exists()
    rows = {row["job"]: row["valid_perplexity"] for row in rows_of(sweep / "sweep.tsv", "\t")}
    perplexity = json.loads((two / "training.json").read_text())["valid_perplexity"]
    assert rows[first.name] == "failed"
    assert float(rows[two.name]) == pytest.approx(perplexity, abs=1e-5)


@pytest.fixture(scope="module")
def evaluated(two, tmp_path_factory) -> Path:
    """The evaluation of the run of two processes by two processes."""
    folder = tmp_path_factory.mktemp("evaluated")
    quick = ("baseline.contexts_bp=[100]", "bootstrap.resamples=0", "evaluate.batch_size=51")
    where = (f"ckpt_path={two}", f"output_dir={folder}", f"runs_dir={folder}/runs")
    how = ("evaluate.devices=2", "evaluate.accelerator=cpu", "evaluate.threads=1")
    assert run_command("evaluate", *where, *how, *quick) == 0
    return folder


def predicted(run: Path, small: Dataset) -> np.ndarray:
    """Logits by this process alone."""
    saved = read_checkpoint(run / "checkpoints" / "best.ckpt")
    network = network_with_weights(saved, ["genome_lm", "failing_rank"])
    windows = np.flatnonzero(small.split > 0)
    return predict_windows(
        network, small, windows, 60, batch_size=51, average_strands=True, device=torch.device("cpu")
    )


def test_two_processes_predict_what_one_does(evaluated, two, small):
    """Each window once, in the order of the dataset, and nothing is left of the shares."""
    found = read_predictions(evaluated / "predictions" / "model.h5")
    np.testing.assert_array_equal(found.window, np.flatnonzero(small.split > 0))
    np.testing.assert_allclose(found.logits, predicted(two, small), atol=1e-6)
    names = {path.name for path in (evaluated / "predictions").iterdir()}
    assert names - {"baseline_best_context.h5"} == {"model.h5", "baseline.h5", "prior.h5"}


def test_thresholds_and_scores_of_every_task_are_those_of_one_process(evaluated, one, small):
    names = ("model", "baseline", "prior")
    files = {name: read_predictions(evaluated / "predictions" / f"{name}.h5") for name in names}
    tasks = np.array([small.tasks.id.index(task) for task in files["model"].task_ids])
    theirs = compare(align(small, files, tasks), "")
    alone = replace(files["model"], logits=predicted(one, small))
    ours = compare(align(small, files | {"model": alone}, tasks), "")
    np.testing.assert_allclose(ours.thresholds["model"], theirs.thresholds["model"], atol=1e-5)
    for split in ("valid", "test"):
        positives = small.labels(small.windows_of(split), tasks).sum(axis=0, dtype=np.int64)
        left, right = ours.scores[split]["model"], theirs.scores[split]["model"]
        for field in fields(left):
            # Weights differ by 1e-7, which turns round some pairs of windows whose logits are that close.
            pairs = np.maximum(1, positives * (len(small.windows_of(split)) - positives))
            close = {"auroc": 3 / pairs, "ap": 1e-3}.get(field.name, 1e-5)
            first, second = getattr(left, field.name), getattr(right, field.name)
            assert np.isfinite(first).sum() > 10
            np.testing.assert_array_equal(np.isnan(first), np.isnan(second))
            assert (np.abs(first - second) <= close)[~np.isnan(first)].all(), (split, field.name)


def test_torchrun_trains_the_same(one, small_file, tmp_path):
    """Two processes that somebody else has started."""
    command = (sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone")
    settings = ("trainer=torchrun", f"data.path={small_file}", f"runs_dir={tmp_path}/runs")
    train = Path(__file__).parent.parent / "train.py"
    overrides = [each for each in EXACT if not each.startswith("trainer.threads")]
    result = subprocess.run(
        [*command, str(train), *overrides, *settings], capture_output=True, text=True, timeout=WAIT_SECONDS
    )
    assert result.returncode == 0, result.stderr
    (folder,) = run_folders(tmp_path / "runs")
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    assert files(folder) == files(one)
    check_same_weights(one, folder)
    assert result.stdout.count("model   bigru") == 1


def test_a_killed_rank_ends_the_command(small_file, tmp_path):
    arguments = (*TINY, f"data.path={small_file}", f"runs_dir={tmp_path}", "trainer=ddp", "trainer.devices=2")
    train = Path(__file__).parent.parent / "train.py"
    endless = ("trainer.max_epochs=1000000", "callbacks.early_stopping=false")
    command = subprocess.Popen(
        [sys.executable, str(train), *arguments, *endless],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert command.stdout is not None
    for line in command.stdout:  # the checkpoint of the first epoch is there then
        if line.startswith("epoch  2"):
            break
    ranks = children(command.pid)
    assert sorted(ranks) == [0, 1]
    os.kill(ranks[1], signal.SIGKILL)
    _, errors = command.communicate(timeout=WAIT_SECONDS)
    assert command.returncode == 2
    assert errors.splitlines()[-1].startswith("genome-lm: error: rank 1 of 2 was killed by SIGKILL")
    assert "Traceback" not in errors
    end = time.monotonic() + WAIT_SECONDS
    while any(Path(f"/proc/{pid}").exists() for pid in ranks.values()) and time.monotonic() < end:
        time.sleep(0.1)
    assert not any(Path(f"/proc/{pid}").exists() for pid in ranks.values())
    (folder,) = run_folders(tmp_path)
    torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)


def children(parent: int) -> dict[int, int]:
    """Process ids of the ranks that a process has started, by their number."""
    found = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            if int((folder / "stat").read_text().rpartition(")")[2].split()[1]) != parent:
                continue
            environment = (folder / "environ").read_text().split("\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        number = next(each for each in environment if each.startswith("RANK="))
        found[int(number.removeprefix("RANK="))] = int(folder.name)
    return found


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        (["trainer=ddp"], {}, "trainer.devices must be given where there is no GPU"),
        (["trainer.num_nodes=2"], {}, "trainer.num_nodes is 2, and this command starts processes on its own"),
        (["trainer.devices=0"], {}, "trainer.devices is 0; expected at least 1"),
        (["trainer=torchrun"], {}, "RANK is not set in the environment; start the processes by `torchrun"),
        (["trainer=slurm"], {}, "SLURM_NTASKS is not set in the environment; start the processes by `srun"),
        (
            [],
            {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "2"},
            "use trainer=torchrun",
        ),
        (
            ["-m", "seed=0,1"],
            {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "2"},
            "use trainer=ddp with it",
        ),
        (
            ["trainer=torchrun", "trainer.devices=3"],
            {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "2"},
            "trainer.devices is 3, but torchrun has started 2 processes, 2 on each of 1 nodes, so it is 2",
        ),
    ],
)
def test_refused(arguments, environment, message, tmp_path, monkeypatch, capsys):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    tiny = [each for each in TINY if not each.startswith("trainer.threads")]
    assert run_command("train", *tiny, f"runs_dir={tmp_path}", *arguments) == 2
    assert message in capsys.readouterr().err
    assert run_folders(tmp_path) == []


def test_only_training_runs_as_a_rank(monkeypatch, capsys):
    for name, value in {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    assert run_command("evaluate") == 2
    assert "evaluate was started several times over by torchrun; start it once" in capsys.readouterr().err


def test_the_configuration_survives_the_way_to_the_ranks(monkeypatch):
    from hydra import compose, initialize_config_dir
    from hydra.core.config_store import ConfigStore
    from omegaconf import OmegaConf

    from genome_lm.config_files import config_dir

    ConfigStore.instance().store(name="train_schema", node=TrainConfig)
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        composed = compose(
            "train", overrides=["trainer.precision=bf16", "logger=wandb", "data.tasks.ids=[a,b]"]
        )
    config = OmegaConf.to_object(composed)
    assert typed(json.loads(json.dumps(plain(config)))) == config
