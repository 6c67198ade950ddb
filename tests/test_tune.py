"""`genome-lm tune` on tiny runs: what it leaves, going on, giving up, and trials that fail."""

import csv
import json
import shlex
from functools import partial
from pathlib import Path

import optuna
import pytest
from small_run import TINY, files, run_command, run_folders

from genome_lm.commands import tune as command
from genome_lm.leaderboard.board import read_leaderboard

LEARNING_RATE = "optimizer.learning_rate=choice(1e-7,0.02)"


@pytest.fixture
def tune(small_file, tmp_path):
    """Runs the command with tiny trainings; a study of its own for each test."""
    shared = ("tune=command_line", *TINY, f"data.path={small_file}", f"runs_dir={tmp_path}")
    return partial(run_command, "tune", *shared)


def study_of(tmp_path: Path) -> Path:
    return tmp_path / "tune_command_line"


def rows_of(tmp_path: Path) -> list[dict[str, str]]:
    with (study_of(tmp_path) / "tuning.tsv").open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_the_better_of_two_is_found_and_its_command_repeats_it(tune, small_file, tmp_path, capsys):
    assert tune(LEARNING_RATE, "n_trials=5") == 0  # there are only two
    shown = capsys.readouterr().out
    assert "finds no values that were not tried" in shown
    best, worse = rows_of(tmp_path)
    assert (best["optimizer.learning_rate"], worse["optimizer.learning_rate"]) == ("0.02", "1e-07")
    assert float(best["valid_perplexity"]) < float(worse["valid_perplexity"])
    folders = run_folders(study_of(tmp_path))
    assert {folder.name for folder in folders} == {best["folder"], worse["folder"]}
    for folder in folders:
        assert {"checkpoints/best.ckpt", "config.yaml", "metrics.csv", "training.json"} <= files(folder)
        assert (folder / ".hydra" / "overrides.yaml").is_file()
    training = json.loads((study_of(tmp_path) / best["folder"] / "training.json").read_text())
    page = (study_of(tmp_path) / "tuning.md").read_text()
    assert f"    {training['command']}\n" in page
    assert "19 of 21 tasks with >= 1% positives in train" in page
    repeat = shlex.split(training["command"])[1:]
    assert run_command(*repeat, f"runs_dir={tmp_path / 'repeat'}") == 0
    (folder,) = run_folders(tmp_path / "repeat")
    repeated = json.loads((folder / "training.json").read_text())
    assert repeated["valid_perplexity"] == training["valid_perplexity"]
    board = read_leaderboard([study_of(tmp_path)], False, ())
    assert [row.run for row in board.rows] == [best["folder"], worse["folder"]]


def test_an_interrupted_study_goes_on_and_repeats_nothing(tune, tmp_path, monkeypatch, capsys):
    original, calls = command.train, []

    def interrupted(*arguments, **more):
        calls.append(arguments[1].name)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(*arguments, **more)

    monkeypatch.setattr(command, "train", interrupted)
    arguments = ("head.dropout=interval(0, 0.5)", "n_trials=2", "trainer.max_epochs=1")
    assert tune(*arguments) == 130
    assert [row["state"] for row in rows_of(tmp_path)] == ["finished"]
    assert tune(*arguments) == 0
    assert calls == ["000_bigru", "001_bigru", "002_bigru"]
    assert [row["state"] for row in rows_of(tmp_path)] == ["finished"] * 2
    capsys.readouterr()
    assert tune(*arguments) == 0  # nothing is left to do
    assert len(calls) == 3
    assert "Trials: 2 finished." in capsys.readouterr().out
    assert tune("head.dropout=interval(0, 0.4)", "n_trials=9", "trainer.max_epochs=1") == 2
    assert "another space: head.dropout was interval(0, 0.5)" in capsys.readouterr().err


class AllButTheFirst(optuna.pruners.BasePruner):
    def prune(self, study, trial) -> bool:
        return trial.number > 0


def test_a_trial_given_up_ends_early_with_all_its_files(tune, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "pruner_from", lambda config: AllButTheFirst())
    assert tune("head.dropout=interval(0, 0.5)", "n_trials=2", "trainer.max_epochs=3") == 0
    first, second = rows_of(tmp_path)
    assert (first["state"], first["epochs"]) == ("finished", "3")
    assert (second["state"], second["epochs"]) == ("pruned", "1")
    assert {"checkpoints/best.ckpt", "training.json"} <= files(study_of(tmp_path) / second["folder"])
    assert "trial 1 pruned after 1 epochs" in capsys.readouterr().out


def test_a_trial_that_fails_is_noted_and_the_study_goes_on(tune, tmp_path, capsys):
    assert tune("data.context_bp=choice(60, 2000)", "n_trials=2", "trainer.max_epochs=1") == 0
    finished, failed = rows_of(tmp_path)
    assert (finished["state"], failed["state"]) == ("finished", "failed")
    assert "does not fit the stored windows" in failed["reason"]
    reason = (study_of(tmp_path) / failed["folder"] / "error.txt").read_text()
    assert "does not fit the stored windows" in reason
    assert f"trial {failed['trial']} failed: {failed['reason']}" in capsys.readouterr().out


def test_a_programming_error_in_a_trial_is_kept_whole(tune, tmp_path, monkeypatch, capsys):
    def broken(*_, **__):
        raise ZeroDivisionError("not the user's fault")

    monkeypatch.setattr(command, "train", broken)
    assert tune("seed=range(0, 2)", "n_trials=2") == 2
    assert "no trial of" in capsys.readouterr().err
    for path in study_of(tmp_path).glob("*/error.txt"):
        assert path.read_text().startswith("Traceback")
    assert {row["reason"] for row in rows_of(tmp_path)} == {"ZeroDivisionError: not the user's fault"}


def test_language_models_that_predict_other_bases_are_not_compared(tune, tmp_path):
    """Which bases a tokenizer leaves to predict only the network tells."""
    shared = ("task=language_model", "n_trials=2", "trainer.max_epochs=1", "data.context_bp=60")
    few = ("trainer.limit_train_batches=1", "trainer.limit_val_batches=1", "task.markov_order=1")
    assert tune("tokenizer.k=choice(3, 4)", *shared, *few) == 0
    states = sorted((row["state"], row["reason"][:26]) for row in rows_of(tmp_path))
    assert states == [("failed", "its prior's perplexity is "), ("finished", "")]
