"""`model.init_from` starts from other weights, and `data.train_fraction` takes a part of the labels."""

import csv
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_comparison import small_dataset
from small_run import TINY, run_command, run_folders

from genome_lm.build import network_with_weights
from genome_lm.checkpoint import read_checkpoint
from genome_lm.dataset.fraction import rate_among, training_windows
from genome_lm.errors import UserError
from genome_lm.language.checkpoint import read_language_checkpoint
from genome_lm.metrics import prior_cross_entropy

BODY = ("tokenizer.", "stem.", "encoder.")
# So slow that the weights of the first epoch are those that training began with.
STILL = ("optimizer.learning_rate=1e-30", "optimizer.weight_decay=0", "optimizer.embedding_decay=0")
STEADY = ("callbacks.ema_decay=0", "trainer.max_epochs=1", "trainer.limit_train_batches=1")


@pytest.fixture(scope="module")
def pretrained(small_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of a tiny language model of the same parts as the tiny multitask run."""
    runs = tmp_path_factory.mktemp("pretrained")
    arguments = ("task=language_model", "task.markov_order=1", "trainer.limit_train_batches=3")
    assert run_command("train", *TINY, *arguments, f"data.path={small_file}", f"runs_dir={runs}") == 0
    (folder,) = run_folders(runs)
    return folder / "checkpoints" / "best.ckpt"


def started_from(source: Path | None, small_file: Path, runs: Path, *more: str) -> Path:
    """Best checkpoint of a multitask training that hardly moves."""
    start = () if source is None else (f"model.init_from={source}",)
    arguments = (*TINY, *STILL, *STEADY, *start, *more, f"data.path={small_file}", f"runs_dir={runs}")
    assert run_command("train", *arguments) == 0
    (folder,) = run_folders(runs)
    return folder / "checkpoints" / "best.ckpt"


def test_tokenizer_and_encoder_come_from_the_language_model_and_the_head_does_not(
    pretrained, small_file, tmp_path
):
    scratch = read_checkpoint(started_from(None, small_file, tmp_path / "scratch")).weights
    copy = tmp_path / "moved.ckpt"
    copy.write_bytes(pretrained.read_bytes())
    path = started_from(copy, small_file, tmp_path / "tuned")
    tuned = read_checkpoint(path)
    source = read_language_checkpoint(pretrained).weights
    body = {name for name in tuned.weights if name.startswith(BODY)}
    assert body == {name for name in source if name.startswith(BODY)}
    for name in body:
        torch.testing.assert_close(tuned.weights[name], source[name], rtol=0, atol=1e-6)
    assert any(not torch.allclose(scratch[name], source[name], atol=1e-3) for name in body)
    for name in ("head.linear.weight", "head.linear.bias"):
        torch.testing.assert_close(tuned.weights[name], scratch[name], rtol=0, atol=1e-6)
    assert tuned.description.config["model"]["init_from"] == str(copy)
    copy.unlink()  # not needed any more, also to go on
    network_with_weights(tuned, ["genome_lm"])
    more = (
        f"ckpt_path={path}",
        f"model.init_from={copy}",
        f"data.path={small_file}",
        f"runs_dir={tmp_path}/more",
    )
    assert run_command("train", *TINY, *STILL, *STEADY, *more, "trainer.max_epochs=2") == 0


def test_a_multitask_model_is_a_start_too(run, small_file, tmp_path):
    source = run / "checkpoints" / "best.ckpt"
    # What training alone is told may be another. A run's folder stands for its best checkpoint.
    other = ("model.encoder.hidden_size=4", "tokenizer.freeze_embedding=true")
    tuned = read_checkpoint(started_from(run, small_file, tmp_path, *other))
    for name, value in read_checkpoint(source).weights.items():
        if name.startswith(BODY):
            torch.testing.assert_close(tuned.weights[name], value, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (("tokenizer.stride=2",), r"has tokenizer\.stride 3 and this configuration 2"),
        (("model.encoder.hidden_size=5",), r"has model\.encoder\.hidden_size 4 and this configuration 5"),
        (("stem=conv",), r"has stem\._target_ 'genome_lm\.stems\.NoStem' and this configuration"),
        (("model=lstm", "model.encoder.hidden_size=4"), r"has model\.encoder\.bidirectional True .* False"),
    ],
)
def test_other_parts_are_refused_by_the_first_difference(
    pretrained, small_file, tmp_path, capsys, changed, message
):
    arguments = (f"model.init_from={pretrained}", f"data.path={small_file}", f"runs_dir={tmp_path}")
    assert run_command("train", *TINY, *changed, *arguments) == 2
    assert re.search(message, capsys.readouterr().err)


def test_a_start_that_does_not_exist(small_file, tmp_path, capsys):
    arguments = (f"data.path={small_file}", f"runs_dir={tmp_path}", "model.init_from=none.ckpt")
    assert run_command("train", *TINY, *arguments) == 2
    assert "checkpoint none.ckpt does not exist" in capsys.readouterr().err


@settings(max_examples=50, deadline=None)
@given(st.floats(0.001, 1), st.floats(0.001, 1), st.integers(0, 5))
def test_fractions_are_nested(first, second, seed):
    dataset = small_dataset()
    low, high = sorted([first, second])
    few, many = (training_windows(dataset, each, seed) for each in (low, high))
    whole = dataset.windows_of("train")
    assert set(few) <= set(many) <= set(whole)
    assert len(few) == math.ceil(low * len(whole))
    assert np.all(np.diff(few) > 0)


def test_the_whole_split_and_other_seeds(small):
    whole = small.windows_of("train")
    np.testing.assert_array_equal(training_windows(small), whole)
    tenth = [training_windows(small, 0.1, seed) for seed in (0, 1)]
    assert not np.array_equal(*tenth)
    for fraction in (0.0, 1.1, -0.1, math.nan):
        with pytest.raises(UserError, match=rf"data\.train_fraction is {fraction}; expected more than 0"):
            training_windows(small, fraction)


def test_rates_of_few_windows_are_never_impossible(small):
    windows = training_windows(small, 0.02)
    rates, positives = rate_among(small, windows), small.labels(windows).sum(axis=0)
    assert (positives == 0).any()
    seen = (positives > 0) & (positives < len(windows))
    np.testing.assert_allclose(rates[seen], positives[seen] / len(windows))
    np.testing.assert_allclose(rates[positives == 0], 0.5 / len(windows))


def test_a_run_on_a_fraction(small, small_file, tmp_path):
    """Only its windows are read; the tasks and the prior beside it are those of the whole training split."""
    arguments = ("data.train_fraction=0.1", "data.batch_size=16", f"data.path={small_file}")
    assert run_command("train", *TINY, *arguments, f"runs_dir={tmp_path}") == 0
    (folder,) = run_folders(tmp_path)
    description = read_checkpoint(folder / "checkpoints" / "best.ckpt").description
    result = json.loads((folder / "training.json").read_text())
    assert description.dataset["train_fraction"] == 0.1
    assert result["task_set"] == "19 of 21 tasks with >= 1% positives in train"
    tasks = [small.tasks.id.index(task) for task in description.tasks["id"]]
    windows = training_windows(small, 0.1, 0)
    np.testing.assert_allclose(description.positive_rate, rate_among(small, windows)[tasks])
    prior = prior_cross_entropy(small.positive_rate("train")[tasks], small.positive_rate("valid")[tasks])
    assert result["valid_prior_perplexity"] == pytest.approx(math.exp(prior.mean()), rel=1e-5)
    arguments = ("baseline.contexts_bp=[60]", "bootstrap.resamples=0", f"runs_dir={tmp_path}")
    assert run_command("evaluate", f"ckpt_path={folder}", "evaluate.accelerator=cpu", *arguments) == 0
    summary = json.loads((folder / "evaluation" / "summary.json").read_text())
    assert "trained on 0.1 of the training windows" in summary["predictors"]["model"]
    with (folder / "metrics.csv").open(newline="") as file:
        steps = {int(row["step"]) for row in csv.DictReader(file)}
    assert max(steps) == 2 * math.ceil(len(windows) / 16) - 1
