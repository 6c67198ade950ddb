"""The flat figures that dashboards show, and what is read of an evaluation's files."""

import json
import math
import subprocess
import sys

import pytest
from small_tracking import N_TASKS, figures, trained_copy, write_small_evaluation

from genome_lm.errors import UserError
from genome_lm.tracking.evaluation import log_evaluation
from genome_lm.tracking.keys import evaluation_facts, evaluation_figures, training_figures
from genome_lm.tracking.outputs import read_outputs
from genome_lm.tracking.record import (
    FILE,
    TensorBoardRecord,
    WandbRecord,
    read_record,
    with_next_step,
    write_record,
)

SUMMARY = {
    "protocol": "tuned",
    "task_set": "5 of 21 tasks",
    "dataset": {"checksum": "sha256:1"},
    "bootstrap": {"block_bp": [100000, 500000]},
    "valid": figures(),
    "test": figures() | {"groups": {"a/b.c": figures()}},
}


def test_the_best_epoch_is_told_apart_from_the_whole_run():
    result = {
        "model": "bigru", "valid_perplexity": 1.2, "valid_skill": math.nan, "best_epoch": 2, "epochs": 3,
        "seed": 0, "versions": {"numpy": "2"},
    }  # fmt: skip
    assert training_figures(result) == {"best/epoch": 2.0, "best/valid_perplexity": 1.2, "epochs": 3}


def test_figures_of_an_evaluation_are_flat_numbers():
    flat = evaluation_figures(SUMMARY)
    assert all(isinstance(value, int | float) and math.isfinite(value) for value in flat.values())
    assert flat["test/f1/model"] == 0.5
    assert (flat["test/wins"], flat["test/counted"], flat["test/win_share"]) == (3, 4, 0.75)
    assert flat["valid/skill/difference"] == 0.03
    assert flat["test/perplexity/prior"] == 1.21
    assert flat["test/untested"] == 1
    assert flat["test/task_skill/model"] == 0.15


def test_intervals_are_those_of_the_first_block_length():
    flat = evaluation_figures(SUMMARY)
    assert (flat["test/f1/difference_low"], flat["test/f1/difference_high"]) == (0.05, 0.15)
    assert (flat["test/wins_low"], flat["test/wins_high"]) == (2, 5)
    assert evaluation_facts(SUMMARY)["evaluation/interval_block_bp"] == 100000
    without = {name: value for name, value in SUMMARY.items() if name != "bootstrap"}
    assert not [key for key in evaluation_figures(without) if key.endswith(("_low", "_high"))]


def test_what_is_undefined_is_left_out():
    flat = evaluation_figures(SUMMARY)
    assert "test/auroc/prior" not in flat
    assert "test/auroc/model" in flat
    assert "test/f1/model_low" in flat
    assert "test/f1/model_high" not in flat
    empty = figures() | {"wins": 0, "ties": 0, "losses": 0}
    assert "test/win_share" not in evaluation_figures(SUMMARY | {"test": empty})


def test_a_group_s_name_stays_one_level_of_a_key():
    flat = evaluation_figures(SUMMARY)
    assert flat["test/groups/a_b_c/f1/difference"] == 0.1
    assert "test/groups/a_b_c/f1/prior" not in flat
    assert not [key for key in flat if key.startswith("valid/groups")]


def test_columns_are_numbers_or_text(run, tmp_path):
    folder = trained_copy(run, tmp_path / "run")
    outputs = read_outputs(folder, folder / "evaluation")
    assert outputs.columns == ["id", "target", "test_f1_model", "test_f1_difference", "test_outcome"]
    assert outputs.rows[0] == ["task0", "GA|TA", 0.0, 0.25, ""]
    assert outputs.rows[2] == ["task2", "GA|TA", 0.2, None, "win"]
    assert len(outputs.rows) == N_TASKS
    assert list(outputs.pictures) == ["differences", "wins"]
    assert outputs.page == folder / "evaluation" / "report.html"


@pytest.mark.parametrize(("protocol", "prefix"), [("tuned", ""), ("poster", "poster/")])
def test_another_protocol_has_keys_of_its_own(run, tmp_path, protocol, prefix):
    folder = trained_copy(run, tmp_path / "run", evaluated=False)
    assert read_outputs(folder, write_small_evaluation(folder, protocol=protocol)).prefix == prefix


def test_an_evaluation_on_other_data_is_refused(run, tmp_path):
    folder = trained_copy(run, tmp_path / "run", evaluated=False)
    other = write_small_evaluation(folder, dataset={"checksum": "sha256:other"})
    with pytest.raises(UserError, match="another dataset than the run was trained on"):
        read_outputs(folder, other)


@pytest.mark.parametrize(
    "record",
    [
        TensorBoardRecord("tensorboard"),
        WandbRecord("id", None, "p", "p/runs/id", None, True, 7, {"seed": 1, "tags": ["a"]}),
    ],
)
def test_a_record_is_read_back(tmp_path, record):
    assert read_record(tmp_path) is None
    write_record(tmp_path, record)
    assert read_record(tmp_path) == record


def test_steps_never_go_back():
    record = WandbRecord("id", None, "p", "p/runs/id", None, True, 7, {})
    assert with_next_step(record, 9).next_step == 9
    assert with_next_step(record, 2).next_step == 7


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"logger": "mlflow"}', '{"logger": "tensorboard", "folder": "a", "x": 1}']
)
def test_a_record_of_another_make_is_one_line_and_no_loss(run, tmp_path, text, caplog):
    folder = trained_copy(run, tmp_path / "run")
    (folder / FILE).write_text(text)
    with pytest.raises(UserError, match=FILE):
        read_record(folder)
    log_evaluation(folder, folder / "evaluation")
    (line,) = [entry.getMessage() for entry in caplog.records]
    assert "the evaluation is complete" in line
    assert "\n" not in line


def test_a_run_logged_to_csv_alone_is_left_as_it_is(run, tmp_path):
    """And neither W&B nor TensorBoard is imported for it."""
    folder = trained_copy(run, tmp_path / "run")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    code = f"""
import sys
from pathlib import Path
from genome_lm.tracking.evaluation import log_evaluation
log_evaluation(Path({str(folder)!r}), Path({str(folder / "evaluation")!r}))
print({{"wandb", "tensorboard", "torch"}} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "set()"
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert "logger" not in json.loads((folder / "training.json").read_text())
