"""From data to table: a run's folder, its evaluation, resuming, and the loggers."""

import csv
import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from small_run import SLICE, TINY, files, run_command, run_folders

from genome_lm.build import network_with_weights
from genome_lm.checkpoint import read_checkpoint
from genome_lm.commands.scope import trained_tasks
from genome_lm.dataset.contents import SPLITS
from genome_lm.dataset.prepare import prepare
from genome_lm.dataset.reading import embedded_dataset_path
from genome_lm.dataset.settings import PrepareSettings
from genome_lm.evaluation.predict import predict_windows
from genome_lm.evaluation.predictions import read_predictions
from genome_lm.metrics import binary_cross_entropy_per_task, perplexity

RIVALS = ("model", "baseline", "prior")
QUICK_BASELINE = ("baseline.contexts_bp=[100]", "evaluate.threads=1", "evaluate.accelerator=cpu")


def rows_of(path: Path, delimiter: str) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


@pytest.fixture(scope="module")
def evaluated(run, tmp_path_factory) -> Path:
    """An output folder of `evaluate`, given nothing but the checkpoint."""
    folder = tmp_path_factory.mktemp("evaluated")
    arguments = (f"ckpt_path={run}/checkpoints/best.ckpt", f"output_dir={folder}", f"runs_dir={folder}/runs")
    assert run_command("evaluate", *arguments, *QUICK_BASELINE) == 0
    return folder


def test_a_run_folder(run):
    assert files(run) == {
        "config.yaml",
        "hparams.yaml",
        "metrics.csv",
        "training.json",
        "checkpoints/best.ckpt",
        "checkpoints/last.ckpt",
    }
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["model"]["encoder"]["hidden_size"] == 4
    result = json.loads((run / "training.json").read_text())
    epochs = [row for row in rows_of(run / "metrics.csv", ",") if row["valid/perplexity"]]
    assert len(epochs) == result["epochs"] == 2
    best = min(range(2), key=lambda epoch: float(epochs[epoch]["valid/perplexity"]))
    assert result["best_epoch"] == best + 1 == read_checkpoint(run / result["best_checkpoint"]).epochs
    assert result["valid_perplexity"] == pytest.approx(float(epochs[best]["valid/perplexity"]))
    assert 0 <= float(epochs[0]["train/data_wait_share"]) < 1
    assert result["task_set"] == "19 of 21 tasks with >= 1% positives in train"
    assert result["valid_prior_perplexity"] > 1


def test_the_same_seed_gives_the_same_run(run, small_file, tmp_path):
    assert run_command("train", *TINY, f"data.path={small_file}", f"runs_dir={tmp_path}") == 0
    (again,) = run_folders(tmp_path)
    first, second = (read_checkpoint(each / "checkpoints" / "last.ckpt").weights for each in (run, again))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_an_evaluation_folder(evaluated):
    cache = {name for name in files(evaluated) if "baseline_cache" in name}
    assert len(cache) == 2  # the network's context, 60 bp, and 100 bp
    figures = {name for name in files(evaluated) if name.startswith("evaluation/figures/")}
    assert {name.rpartition(".")[2] for name in figures} == {"png", "svg"}
    written = files(evaluated) - cache - figures - {"predictions/baseline_best_context.h5"}
    assert written == {f"predictions/{name}.h5" for name in RIVALS} | {
        f"evaluation/{name}" for name in ("tasks.tsv", "summary.json", "summary.md", "report.html")
    }


def test_predictions_agree_with_the_checkpoint_and_the_dataset(evaluated, checkpoint, small):
    saved = read_checkpoint(checkpoint)
    network = network_with_weights(saved, ["genome_lm"])
    windows = np.flatnonzero(small.split > 0)
    expected = predict_windows(
        network, small, windows, 60, batch_size=100, average_strands=True, device=torch.device("cpu")
    )
    for name in RIVALS:
        predictions = read_predictions(evaluated / "predictions" / f"{name}.h5")
        np.testing.assert_array_equal(predictions.window, windows)
        np.testing.assert_array_equal(predictions.split, small.split[windows])
        assert predictions.task_ids == tuple(saved.description.tasks["id"])
        assert predictions.dataset_checksum == small.checksum
        if name == "model":
            np.testing.assert_allclose(predictions.logits, expected, atol=1e-5)
        if name == "prior":
            rates = 1 / (1 + np.exp(-predictions.logits[0].astype(float)))
            np.testing.assert_allclose(rates, saved.description.positive_rate, atol=1e-6)


def test_summary_table_and_predictions_tell_the_same(evaluated, small):
    summary = json.loads((evaluated / "evaluation" / "summary.json").read_text())
    table = rows_of(evaluated / "evaluation" / "tasks.tsv", "\t")
    markdown = (evaluated / "evaluation" / "summary.md").read_text()
    assert summary["n_tasks"] == len(table) == 19
    assert summary["task_set"] == "19 of 21 tasks with >= 1% positives in train"
    assert summary["protocol"] == "tuned"
    for split in ("valid", "test"):
        figures = summary[split]
        outcomes = [row[f"{split}_outcome"] for row in table]
        assert (figures["wins"], figures["ties"], figures["losses"]) == tuple(
            outcomes.count(name) for name in ("win", "tie", "loss")
        )
        for name in RIVALS:
            f1 = [float(row[f"{split}_f1_{name}"]) for row in table if row[f"{split}_f1_{name}"]]
            assert figures["f1"][name] == pytest.approx(np.mean(f1), abs=1e-5)
            predictions = read_predictions(evaluated / "predictions" / f"{name}.h5")
            rows = predictions.split == SPLITS.index(split)
            tasks = [small.tasks.id.index(task) for task in predictions.task_ids]
            losses = binary_cross_entropy_per_task(
                predictions.logits[rows], small.labels(predictions.window[rows], np.array(tasks))
            )
            assert figures["perplexity"][name] == pytest.approx(perplexity(losses.mean()), rel=1e-6)
        difference = figures["f1"]["model"] - figures["f1"]["baseline"]
        assert figures["f1"]["difference"] == pytest.approx(difference, abs=1e-9)
        assert sum(group["n_tasks"] for group in figures["groups"].values()) == 19
    assert summary["baseline"]["same_context"]["context_bp"] == 60
    assert summary["baseline"]["same_context"]["strands"] == "summed"
    assert f"{summary['test']['perplexity']['model']:.4f}" in markdown


def test_the_validation_perplexity_is_that_of_training(evaluated, run):
    summary = json.loads((evaluated / "evaluation" / "summary.json").read_text())
    result = json.loads((run / "training.json").read_text())
    assert summary["valid"]["perplexity"]["model"] == pytest.approx(result["valid_perplexity"], rel=1e-5)
    assert summary["valid"]["perplexity"]["prior"] == pytest.approx(
        result["valid_prior_perplexity"], rel=1e-5
    )


def test_a_second_evaluation_takes_the_baseline_from_the_cache(evaluated, run, tmp_path, monkeypatch):
    def refused(*_, **__):
        raise AssertionError("fitted again")

    monkeypatch.setattr("genome_lm.baseline.fit._fit", refused)
    arguments = (
        f"ckpt_path={run}/checkpoints/best.ckpt",
        f"output_dir={tmp_path}",
        f"runs_dir={evaluated}/runs",
    )
    assert run_command("evaluate", *arguments, *QUICK_BASELINE) == 0
    before, after = evaluated / "evaluation", tmp_path / "evaluation"
    assert (after / "tasks.tsv").read_text() == (before / "tasks.tsv").read_text()
    summaries = [json.loads((folder / "summary.json").read_text()) for folder in (before, after)]
    commands = [summary.pop("command") for summary in summaries]
    assert summaries[0] == summaries[1]
    assert f"output_dir={evaluated}" in commands[0]
    assert commands[1].startswith("genome-lm evaluate ckpt_path=")


def test_the_newest_run_is_evaluated_by_default_under_the_reports_rules(run, tmp_path):
    """`protocol=poster`: thresholds 0.5, C = 1e6, one strand of the middle 100 bp; a folder of its own."""
    folder = tmp_path / "runs" / "2026-01-31_12-00-00_bigru"
    shutil.copytree(run, folder)
    assert run_command("evaluate", f"runs_dir={tmp_path}/runs", "protocol=poster", *QUICK_BASELINE) == 0
    assert not (folder / "evaluation").exists()  # the tuned one's place
    folder = folder / "poster"
    summary = json.loads((folder / "evaluation" / "summary.json").read_text())
    assert summary["protocol"] == "poster"
    baseline = summary["baseline"]["same_context"]
    assert (baseline["C_min"], baseline["C_max"], baseline["context_bp"]) == (1e6, 1e6, 100)
    assert baseline["strands"] == "forward"
    assert summary["tuned"] is None
    assert summary["baseline"]["best_context"] == baseline
    for row in rows_of(folder / "evaluation" / "tasks.tsv", "\t"):
        assert {float(row[f"threshold_{name}"]) for name in RIVALS} == {0.0}
    assert not (folder / "predictions" / "baseline_best_context.h5").exists()


def test_only_what_was_trained_on_is_scored_and_said(small, small_file, tmp_path, capsys):
    tasks = [small.tasks.id[index] for index in (3, 13)]
    arguments = (f"data.tasks.ids=[{','.join(tasks)}]", "trainer.max_epochs=1", "average_strands=false")
    assert run_command("train", *TINY, f"data.path={small_file}", f"runs_dir={tmp_path}", *arguments) == 0
    assert "tasks   2 of 21 tasks, chosen by id or group" in capsys.readouterr().out
    assert run_command("evaluate", f"runs_dir={tmp_path}", *QUICK_BASELINE) == 0
    shown = capsys.readouterr().out
    assert "17 more tasks have that rate but were not trained on" in shown
    (folder,) = run_folders(tmp_path)
    summary = json.loads((folder / "evaluation" / "summary.json").read_text())
    assert summary["task_set"] == "2 of 21 tasks with >= 1% positives in train, as far as trained on"
    assert summary["baseline"]["same_context"]["strands"] == "forward"
    assert run_command("evaluate", f"runs_dir={tmp_path}", "evaluate.min_positive_rate=0.5") == 2
    assert "none of the checkpoint's 2 tasks has a positive rate of at least 0.5" in capsys.readouterr().err


@pytest.fixture(scope="module")
def moved(small_file, tmp_path_factory) -> tuple[Path, Path]:
    """A checkpoint whose dataset was moved, and its new place."""
    folder = tmp_path_factory.mktemp("moved")
    before, after = folder / "before.h5", folder / "after.h5"
    shutil.copy(small_file, before)
    more = ("trainer.max_epochs=1", f"runs_dir={folder / 'runs'}")
    assert run_command("train", *TINY, f"data.path={before}", *more) == 0
    before.rename(after)
    (run,) = run_folders(folder)
    return run / "checkpoints" / "best.ckpt", after


def test_a_moved_dataset_is_asked_for_and_found(moved, tmp_path, capsys):
    checkpoint, after = moved
    arguments = (f"ckpt_path={checkpoint}", f"output_dir={tmp_path / 'out'}", f"runs_dir={tmp_path}")
    assert run_command("evaluate", *arguments) == 2
    error = capsys.readouterr().err
    assert "before.h5, which is not there; give its place as data.path" in error
    assert list(tmp_path.iterdir()) == []
    assert run_command("evaluate", *arguments, f"data.path={after}", *QUICK_BASELINE) == 0
    assert (tmp_path / "out" / "evaluation" / "summary.json").is_file()


def test_a_dataset_that_does_not_belong_to_the_checkpoint(checkpoint, tmp_path, capsys):
    lacking = tmp_path / "lacking.h5"
    source = SLICE / "chr20_47Mb_49Mb.fa.gz", SLICE / "tracks.tsv"
    prepare(*source, lacking, PrepareSettings("hg19", test=(), valid=("chr20:0-900,000",)))
    for path, answer in (
        (lacking, "lacking.h5 has no test windows to score; prepare it with such a split"),
        (embedded_dataset_path(), "has its tasks in another order"),
        (checkpoint, "best.ckpt"),
    ):
        arguments = (f"ckpt_path={checkpoint}", f"data.path={path}", f"output_dir={tmp_path / 'out'}")
        assert run_command("evaluate", *arguments) == 2
        error = capsys.readouterr().err
        assert answer in error
        assert len(error.splitlines()) == 1
    assert list(tmp_path.iterdir()) == [lacking]


def test_going_on_from_a_checkpoint(run, small_file, tmp_path):
    """Two epochs and one more: the third alone is trained, with the learning rate's course of three."""
    arguments = (
        *TINY,
        f"data.path={small_file}",
        f"runs_dir={tmp_path}",
        f"ckpt_path={run}/checkpoints/last.ckpt",
    )
    assert run_command("train", *arguments, "trainer.max_epochs=3") == 0
    (folder,) = run_folders(tmp_path)
    epochs = [row for row in rows_of(folder / "metrics.csv", ",") if row["valid/perplexity"]]
    assert [int(row["epoch"]) for row in epochs] == [2]
    assert read_checkpoint(folder / "checkpoints" / "best.ckpt").epochs == 3
    assert json.loads((folder / "training.json").read_text())["epochs"] == 3
    before, after = (
        read_checkpoint(each / "checkpoints" / "last.ckpt").weights["head.linear.weight"]
        for each in (run, folder)
    )
    assert 0 < (before - after).abs().max() < 0.1


def test_going_on_with_another_dataset(run, tmp_path, capsys):
    """The same tasks over other windows: what was tested on could be trained on now."""
    other = tmp_path / "other.h5"
    source = SLICE / "chr20_47Mb_49Mb.fa.gz", SLICE / "tracks.tsv"
    prepare(
        *source, other, PrepareSettings("hg19", valid=("chr20:0-300,000",), test=("chr20:300,000-600,000",))
    )
    arguments = (*TINY, f"data.path={other}", f"runs_dir={tmp_path}", "trainer.max_epochs=3")
    assert run_command("train", *arguments, f"ckpt_path={run}/checkpoints/last.ckpt") == 2
    assert f"was trained on another dataset than {other}; " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("override", "answer"),
    [
        ("trainer.max_epochs=2", "has 2 epochs behind it and trainer.max_epochs is 2; give more to go on"),
        ("data.min_positive_rate=0.2", "was trained with other tasks than this configuration"),
        ("model.encoder.hidden_size=5", "was trained with another encoder than"),
        ("data.context_bp=62", "was trained with another context_bp than"),
    ],
)
def test_going_on_from_what_does_not_fit(run, small_file, tmp_path, capsys, override, answer):
    arguments = (
        *TINY,
        f"data.path={small_file}",
        f"runs_dir={tmp_path}",
        f"ckpt_path={run}/checkpoints/last.ckpt",
    )
    assert run_command("train", *arguments, override) == 2
    assert answer in capsys.readouterr().err
    assert files(tmp_path) == set()


def test_early_stopping_and_no_last_checkpoint(small_file, tmp_path):
    """With a learning rate of next to nothing the first epoch stays the best: two more and it stops."""
    more = (
        "optimizer.learning_rate=1e-30",
        "trainer.max_epochs=9",
        "callbacks.patience=2",
        "callbacks.save_last=false",
    )
    assert (
        run_command(
            "train", *TINY, f"data.path={small_file}", f"runs_dir={tmp_path}", *more, "head.norm=none"
        )
        == 0
    )
    (folder,) = run_folders(tmp_path)
    result = json.loads((folder / "training.json").read_text())
    assert (result["epochs"], result["best_epoch"]) == (3, 1)
    assert not (folder / "checkpoints" / "last.ckpt").exists()


def test_the_averaged_weights_are_validated_and_saved(small_file, small, tmp_path):
    """The checkpoint's network has the perplexity that was logged, and is not the last weights."""
    more = ("trainer.max_epochs=1", "callbacks.ema_decay=0.99", "optimizer.learning_rate=0.1")
    assert run_command("train", *TINY, f"data.path={small_file}", f"runs_dir={tmp_path}", *more) == 0
    (folder,) = run_folders(tmp_path)
    file = folder / "checkpoints" / "best.ckpt"
    content = torch.load(file, weights_only=True)
    averaged, last = content["state_dict"], content["current_model_state"]
    assert not torch.allclose(
        averaged["network.head.linear.bias"], last["network.head.linear.bias"], atol=1e-3
    )
    network = network_with_weights(read_checkpoint(file), ["genome_lm"])
    windows = small.windows_of("valid")
    context_bp = read_checkpoint(file).description.context_bp
    logits = predict_windows(
        network, small, windows, context_bp, batch_size=64, average_strands=True, device=torch.device("cpu")
    )
    tasks = trained_tasks(read_checkpoint(file).description, small, file)
    loss = binary_cross_entropy_per_task(logits, small.labels(windows, tasks)).mean()
    logged = json.loads((folder / "training.json").read_text())["valid_perplexity"]
    assert np.exp(loss) == pytest.approx(logged, rel=1e-5)


def test_tensorboard_holds_the_same_figures(small_file, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    more = ("logger=tensorboard", "trainer.max_epochs=1")
    assert run_command("train", *TINY, f"data.path={small_file}", f"runs_dir={tmp_path}", *more) == 0
    (folder,) = run_folders(tmp_path)
    events = EventAccumulator(str(folder / "tensorboard")).Reload()
    (scalar,) = events.Scalars("valid/perplexity")
    result = json.loads((folder / "training.json").read_text())
    assert math.isclose(scalar.value, result["valid_perplexity"], rel_tol=1e-6)
    assert len(events.Scalars("train/loss")) == 6
    assert (folder / "metrics.csv").is_file()
