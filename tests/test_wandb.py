"""W&B without a network: what training and evaluation write into one run, read back from its files."""

import json
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import wandb
from small_run import TINY, run_command, run_folders
from small_tracking import N_TASKS, finished_run, png, trained_copy, write_small_evaluation

from genome_lm.config import LoggerConfig, LoggerName
from genome_lm.loggers import loggers_from
from genome_lm.module import MultitaskModule
from genome_lm.tracking.evaluation import log_evaluation
from genome_lm.tracking.record import WandbRecord, read_record, write_record
from genome_lm.tracking.wandb_run import _mode_after, mode, note_step

OFFLINE = ("logger=wandb", "trainer.max_epochs=1", "logger.project=tests", "logger.tags=[tiny]")


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")


@pytest.fixture(scope="module")
def sweep(small_file, tmp_path_factory) -> list[Path]:
    """Two jobs of a sweep with logger=wandb; the first is evaluated, twice."""
    runs = tmp_path_factory.mktemp("wandb")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "offline")
        patch.setenv("WANDB_SILENT", "true")
        arguments = (*TINY, *OFFLINE, "trainer.max_epochs=2", f"data.path={small_file}", f"runs_dir={runs}")
        assert run_command("train", "-m", *arguments, "model=gru,lstm") == 0
        assert wandb.run is None
        folders = run_folders(runs)
        for _ in range(2):
            log_evaluation(folders[0], write_small_evaluation(folders[0]))
    return folders


def test_two_jobs_of_a_sweep_are_two_finished_runs(sweep):
    first, second = map(finished_run, sweep)
    assert first.id != second.id
    assert (first.exit_codes, second.exit_codes) == ([0, 0, 0], [0])
    for run, folder in ((first, sweep[0]), (second, sweep[1])):
        assert (run.project, run.tags, run.job_type) == ("tests", ["tiny"], "train")
        result = json.loads((folder / "training.json").read_text())
        values = [value for _, value in run.curve("valid/perplexity", over="epoch")]
        assert min(values) == pytest.approx(result["valid_perplexity"])
        assert len(values) == 2
        assert (folder / "metrics.csv").is_file()


def test_a_sweep_is_a_group_and_its_runs_have_names_of_their_own(sweep):
    first, second = map(finished_run, sweep)
    assert first.group == second.group == sweep[0].parent.name
    assert (first.name, second.name) == ("0_gru", "1_lstm")


def test_the_configuration_tells_data_code_and_versions(sweep):
    result = json.loads((sweep[1] / "training.json").read_text())
    config = finished_run(sweep[1]).config
    assert config["dataset"]["checksum"] == result["dataset_checksum"]
    for name in ("command", "started", "code_version", "versions", "task_set"):
        assert config[name] == result[name]
    assert config["model"]["name"] == "lstm"


def test_curves_run_over_epochs_and_the_best_is_kept(sweep):
    run = finished_run(sweep[1])
    result = json.loads((sweep[1] / "training.json").read_text())
    assert run.axes["valid/perplexity"] == run.axes["valid/*"] == run.axes["train/perplexity"] == "epoch"
    assert run.axes["train/loss"] == "trainer/global_step"
    assert run.kept["valid/perplexity"] == {"min"}
    assert run.summary["valid/perplexity"]["min"] == pytest.approx(result["valid_perplexity"])
    assert run.summary["best/valid_perplexity"] == result["valid_perplexity"]
    assert run.summary["best/valid_prior_perplexity"] == result["valid_prior_perplexity"]
    assert run.summary["best/epoch"] == result["best_epoch"]


def test_the_record_names_the_run(sweep):
    record = read_record(sweep[1])
    run = finished_run(sweep[1])
    assert isinstance(record, WandbRecord)
    assert (record.id, record.path, record.offline) == (run.id, f"tests/runs/{run.id}", True)
    assert record.next_step == len(run.history)


def test_evaluations_go_into_the_run_of_the_training(sweep):
    run = finished_run(sweep[0])
    assert run.parts == 3
    record = read_record(sweep[0])
    assert isinstance(record, WandbRecord)
    assert record.id == run.id
    steps = [row["_step"] for row in run.history]
    assert steps == list(range(len(steps)))
    assert record.next_step == len(steps)


def test_an_evaluation_s_part_stands_alone(sweep, tmp_path):
    """`wandb sync` writes configuration, axes and summary of the last part over those before it."""
    *_, part = sorted(sweep[0].glob("wandb/offline-run-*"))
    (tmp_path / "wandb").mkdir()
    (tmp_path / "wandb" / part.name).symlink_to(part)
    whole, last = finished_run(sweep[0]), finished_run(tmp_path)
    assert {**last.config, "_wandb": {}} == {**whole.config, "_wandb": {}}
    assert last.kept["valid/perplexity"] == {"min"}
    for name in ("best/valid_perplexity", "best/epoch", "parameters", "test/f1/model"):
        assert last.summary[name] == whole.summary[name]
    result = json.loads((sweep[0] / "training.json").read_text())
    assert last.summary["valid/perplexity"] == {"min": result["valid_perplexity"]}


def test_the_summary_holds_the_evaluation_s_figures(sweep):
    summary = finished_run(sweep[0]).summary
    assert summary["test/f1/difference"] == 0.1
    assert (summary["test/f1/difference_low"], summary["test/f1/difference_high"]) == (0.05, 0.15)
    assert (summary["test/wins"], summary["test/counted"]) == (3, 4)
    assert summary["test/groups/TF/skill/model"] == 0.13
    checksum = json.loads((sweep[0] / "training.json").read_text())["dataset_checksum"]
    assert summary["evaluation/dataset_checksum"] == checksum


def test_all_tasks_are_one_table(sweep):
    run = finished_run(sweep[0])
    assert run.latest("tasks")["nrows"] == N_TASKS
    table = json.loads(run.file("tasks").read_text())
    assert table["columns"] == ["id", "target", "test_f1_model", "test_f1_difference", "test_outcome"]
    assert table["data"][0] == ["task0", "GA|TA", 0.0, 0.25, ""]
    assert len(table["data"]) == N_TASKS


def test_no_task_has_a_chart(sweep):
    history = set().union(*finished_run(sweep[0]).history)
    media = {"tasks", "report", "figures/differences", "figures/wins"}
    curves = {name for name in history - media if not name.startswith("_")}
    assert {name.partition("/")[0] for name in curves} <= {"train", "valid", "epoch", "trainer"}
    assert not [name for name in history - {"tasks"} if "task" in name]


def test_figures_and_page_are_there(sweep):
    run = finished_run(sweep[0])
    assert run.file("figures/wins").read_bytes()[:8] == png(3, 2)[:8]
    assert struct.unpack(">II", run.file("figures/wins").read_bytes()[16:24]) == (3, 2)
    assert run.file("report").read_text() == "<!doctype html><title>Report</title>"


def test_w_and_b_prints_nothing_after_an_evaluation(sweep, tmp_path, monkeypatch):
    """In a process of its own: W&B reads its settings of the environment once."""
    monkeypatch.delenv("WANDB_SILENT")
    folder = trained_copy(sweep[1], tmp_path / "run")
    code = f"""
from pathlib import Path
from genome_lm.tracking.evaluation import log_evaluation
log_evaluation(Path({str(folder)!r}), Path({str(folder / "evaluation")!r}))
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("", "")
    assert finished_run(folder).parts == 2


def refused(*_: object, **__: object) -> None:
    raise wandb.errors.CommError("no\nnetwork")


@pytest.mark.parametrize("where", ["init", "Table"])
def test_what_w_and_b_refuses_does_not_fail_the_evaluation(sweep, tmp_path, monkeypatch, caplog, where):
    folder = trained_copy(sweep[1], tmp_path / "run")
    before = {path.name: path.read_bytes() for path in (folder / "evaluation").iterdir() if path.is_file()}
    monkeypatch.setattr(wandb, where, refused)
    log_evaluation(folder, folder / "evaluation")
    (line,) = [entry.getMessage() for entry in caplog.records if entry.levelname == "WARNING"]
    assert "is complete" in line
    assert "was not added to the W&B run: no network" in line
    assert wandb.run is None
    after = {path.name: path.read_bytes() for path in (folder / "evaluation").iterdir() if path.is_file()}
    assert after == before


def test_disabled_is_disabled(sweep, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    monkeypatch.setattr(wandb, "init", refused)
    folder = trained_copy(sweep[1], tmp_path / "run")
    log_evaluation(folder, folder / "evaluation")
    assert finished_run(folder).parts == 1


def test_an_evaluation_follows_its_training_until_that_is_uploaded(sweep, tmp_path, monkeypatch):
    """Logged in meanwhile: the figures would be in the way of the training's upload."""
    folder = trained_copy(sweep[1], tmp_path / "run")
    record = read_record(folder)
    assert isinstance(record, WandbRecord)
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.setattr(wandb, "login", lambda prompt: True)
    assert _mode_after(folder, record) == "offline"
    (part,) = folder.glob("wandb/offline-run-*/run-*.wandb")
    part.with_name(f"{part.name}.synced").touch()  # as `wandb sync` marks it
    assert _mode_after(folder, record) == "online"
    assert _mode_after(tmp_path, replace(record, offline=False)) == "online"
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert _mode_after(tmp_path, replace(record, offline=False)) == "offline"


def test_a_run_that_fails_is_finished_as_failed(small_file, tmp_path, monkeypatch):
    plain = MultitaskModule.training_step
    monkeypatch.setattr(MultitaskModule, "training_step", lambda *a: plain(*a) * float("nan"))
    assert run_command("train", *TINY, *OFFLINE, f"data.path={small_file}", f"runs_dir={tmp_path}") == 2
    assert wandb.run is None
    (folder,) = run_folders(tmp_path)
    assert finished_run(folder).exit_codes == [1]
    assert finished_run(folder).name == folder.name


@pytest.mark.parametrize(("logged_in", "mode"), [(False, "offline"), (True, "online")])
def test_it_is_online_only_for_those_logged_in(logged_in, mode, monkeypatch, tmp_path):
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.setattr(wandb, "login", lambda prompt: logged_in)
    config = LoggerConfig(LoggerName.wandb, project="tests")
    csv_logger, wandb_logger = loggers_from(config, tmp_path)
    assert type(csv_logger).__name__ == "CurveLogger"
    assert wandb_logger._wandb_init["mode"] == mode


def test_without_an_answer_it_is_offline(monkeypatch, caplog):
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.setattr(wandb, "login", refused)
    assert mode() == "offline"
    assert "no network" in caplog.text


def test_a_record_of_another_run_is_left_alone(tmp_path):
    """Two trainings may not share a folder; note_step would else mix them."""
    record = WandbRecord("mine", None, "p", "p/runs/mine", None, True, 3, {})
    write_record(tmp_path, record)
    note_step(SimpleNamespace(id="other", step=9), tmp_path)
    assert read_record(tmp_path) == record


def test_a_disabled_w_and_b_leaves_no_record(small_file, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert run_command("train", *TINY, *OFFLINE, f"data.path={small_file}", f"runs_dir={tmp_path}") == 0
    (folder,) = run_folders(tmp_path)
    assert read_record(folder) is None
    assert (folder / "training.json").is_file()
