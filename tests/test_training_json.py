"""What training.json says of a run: the figures of its best epoch, and its speed."""

import csv
import json
from pathlib import Path

import pytest
from small_run import TINY, run_command, run_folders

from genome_lm.checkpoint import read_checkpoint

FIGURES = ("perplexity", "prior_perplexity", "skill", "auroc", "ap", "f1")


def validations(run: Path) -> list[dict[str, str]]:
    """The rows of metrics.csv that hold a validation, one an epoch."""
    with (run / "metrics.csv").open(newline="") as file:
        return [row for row in csv.DictReader(file) if row["valid/perplexity"]]


def check_best_epoch(run: Path) -> dict:
    result = json.loads((run / "training.json").read_text())
    epochs = validations(run)
    assert len(epochs) == result["epochs"]
    best = min(range(len(epochs)), key=lambda epoch: float(epochs[epoch]["valid/perplexity"]))
    assert result["best_epoch"] == best + 1
    for name in FIGURES:
        assert result[f"valid_{name}"] == pytest.approx(float(epochs[best][f"valid/{name}"])), name
    return result


def test_the_figures_of_a_run(run):
    result = check_best_epoch(run)
    assert 0 < result["valid_auroc"] < 1
    assert 0 < result["valid_ap"] < 1
    assert 0 < result["valid_f1"] < 1
    assert result["tokens_per_window"] == 20  # 60 bp in words of three
    assert result["tokens_per_second"] == pytest.approx(20 * result["windows_per_second"])


def test_the_figures_are_of_the_best_epoch_and_not_of_the_last(small_file, tmp_path):
    """A learning rate that is too high; training stops at the first epoch that is no better."""
    more = (
        "optimizer.learning_rate=0.03",
        "optimizer.schedule=constant",
        "optimizer.warmup_fraction=0",
        "trainer.max_epochs=30",
        "callbacks.patience=1",
    )
    assert run_command("train", *TINY, f"data.path={small_file}", f"runs_dir={tmp_path}", *more) == 0
    (folder,) = run_folders(tmp_path)
    result = check_best_epoch(folder)
    assert result["best_epoch"] < result["epochs"]
    assert read_checkpoint(folder / "checkpoints" / "best.ckpt").epochs == result["best_epoch"]
    assert read_checkpoint(folder / "checkpoints" / "last.ckpt").epochs == result["epochs"]
    last = validations(folder)[-1]
    for name in ("skill", "auroc", "ap"):
        assert result[f"valid_{name}"] != pytest.approx(float(last[f"valid/{name}"])), name


def test_a_run_resumed_in_place_knows_a_best_epoch_that_lies_behind_it(small_file, tmp_path):
    more = (
        f"data.path={small_file}",
        f"runs_dir={tmp_path}",
        "optimizer=adamw",
        "optimizer.learning_rate=0.03",
        "optimizer.schedule=constant",
        "optimizer.warmup_fraction=0",
        "callbacks.early_stopping=false",
    )
    assert run_command("train", *TINY, *more, "trainer.max_epochs=8") == 0
    (folder,) = run_folders(tmp_path)
    before = json.loads((folder / "training.json").read_text())
    assert before["best_epoch"] < 8
    resumed = (f"hydra.run.dir={folder}", f"ckpt_path={folder}/checkpoints/last.ckpt")
    assert run_command("train", *TINY, *more, *resumed, "trainer.max_epochs=9") == 0
    after = json.loads((folder / "training.json").read_text())
    assert after["epochs"] == 9
    assert after["valid_perplexity"] == before["valid_perplexity"]
    for name in ("best_epoch", *(f"valid_{figure}" for figure in FIGURES)):
        assert after[name] == before[name], name


def test_what_no_task_defines_is_null(small_file, tmp_path):
    """Validation cut to one window, where every task is of one class."""
    more = ("trainer.max_epochs=1", "trainer.limit_val_batches=1", "data.eval_batch_size=1")
    assert run_command("train", *TINY, f"data.path={small_file}", f"runs_dir={tmp_path}", *more) == 0
    (folder,) = run_folders(tmp_path)
    result = json.loads((folder / "training.json").read_text())
    assert result["valid_auroc"] is result["valid_ap"] is result["valid_f1"] is None
    assert result["valid_perplexity"] > 1
