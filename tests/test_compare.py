"""The comparison: fair, by hand where it is small, and honest in what it writes."""

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score
from small_comparison import N_TASKS, SILENT_IN_VALID, small_dataset, small_predictions, small_rivals

from genome_lm.choices import Protocol
from genome_lm.dataset.contents import Dataset
from genome_lm.evaluation import compare as comparing
from genome_lm.evaluation.aligned import align
from genome_lm.evaluation.compare import Comparison
from genome_lm.evaluation.markdown import to_markdown
from genome_lm.evaluation.predictions import Predictions, prior_predictions
from genome_lm.evaluation.report import write_evaluation
from genome_lm.evaluation.summary import OPTIMISTIC, Details, summarise, to_json
from genome_lm.evaluation.task_table import to_tsv
from genome_lm.naming import task_set_name

TASKS = np.arange(N_TASKS)


def compare(
    dataset: Dataset,
    rivals: dict[str, Predictions],
    tasks: np.ndarray,
    task_set: str,
    protocol: Protocol = Protocol.tuned,
) -> Comparison:
    return comparing.compare(align(dataset, rivals, tasks), task_set, protocol)


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return small_dataset()


@pytest.fixture(scope="module")
def rivals(dataset: Dataset) -> dict[str, Predictions]:
    return small_rivals(dataset)


@pytest.fixture(scope="module")
def comparison(dataset: Dataset, rivals: dict[str, Predictions]) -> Comparison:
    return compare(dataset, rivals, TASKS, task_set_name(5, 8, 0.01))


def strict(text: str) -> dict:
    """JSON without NaN and Infinity, which Python's parser would take."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


def rows(comparison: Comparison) -> list[dict[str, str]]:
    return list(csv.DictReader(to_tsv(comparison).splitlines(), delimiter="\t"))


def test_thresholds_come_from_validation_alone(dataset, rivals):
    before = compare(dataset, rivals, TASKS, "all")
    labels = np.unpackbits(dataset.packed_labels, axis=1, count=N_TASKS, bitorder="little")
    labels[dataset.split == 2] ^= 1
    other_test = replace(dataset, packed_labels=np.packbits(labels, axis=1, bitorder="little"))
    after = compare(other_test, rivals, TASKS, "all")
    for name in rivals:
        np.testing.assert_array_equal(before.thresholds[name], after.thresholds[name])
    assert not np.allclose(before.scores["test"]["model"].auroc, after.scores["test"]["model"].auroc)


def test_scores_equal_sklearn(dataset, rivals, comparison):
    window = dataset.windows_of("test")
    labels = dataset.labels(window)
    for name, predictions in rivals.items():
        logits = predictions.logits[np.isin(predictions.window, window)]
        scores, thresholds = comparison.scores["test"][name], comparison.thresholds[name]
        for task in range(N_TASKS):
            x, y = logits[:, task].astype(np.float64), labels[:, task]
            assert math.isclose(scores.auroc[task], roc_auc_score(y, x))
            assert math.isclose(scores.ap[task], average_precision_score(y, x))
            expected = np.mean(np.log1p(np.exp(x)) - y * x)
            assert math.isclose(scores.cross_entropy[task], expected, rel_tol=1e-9)
            if task == SILENT_IN_VALID:
                assert np.isnan([thresholds[task], scores.f1[task]]).all()
            else:
                assert math.isclose(scores.f1[task], f1_score(y, x >= thresholds[task]))


def test_every_predictor_is_treated_alike(dataset, rivals):
    """Swap the files of model and baseline, and every figure is swapped."""
    plain = compare(dataset, rivals, TASKS, "all")
    swapped = compare(
        dataset, rivals | {"model": rivals["baseline"], "baseline": rivals["model"]}, TASKS, "all"
    )
    for split in ("valid", "test"):
        np.testing.assert_array_equal(plain.f1_difference(split), -swapped.f1_difference(split))
    one, other = summarise(plain).test.overall, summarise(swapped).test.overall
    assert (one.wins, one.ties, one.losses) == (other.losses, other.ties, other.wins)
    assert one.perplexity["model"] == other.perplexity["baseline"]
    assert one.auroc["baseline"] == other.auroc["model"]


def test_poster_thresholds_are_one_half(dataset, rivals):
    comparison = compare(dataset, rivals, TASKS, "all", Protocol.poster)
    assert all((thresholds == 0).all() for thresholds in comparison.thresholds.values())
    predictions, window = rivals["model"], dataset.windows_of("test")
    probability = 1 / (1 + np.exp(-predictions.logits[np.isin(predictions.window, window)].astype(float)))
    labels = dataset.labels(window)
    for task in range(N_TASKS):
        expected = f1_score(labels[:, task], probability[:, task] >= 0.5)
        assert math.isclose(comparison.scores["test"]["model"].f1[task], expected)
    assert summarise(comparison).valid.note == "optimistic (training was stopped by this split)"


def test_tasks_are_matched_by_id(dataset, rivals, comparison):
    order = np.array([3, 1, 4, 0, 2])
    reordered = {
        name: replace(
            predictions,
            logits=predictions.logits[:, order],
            task_ids=tuple(predictions.task_ids[task] for task in order),
        )
        for name, predictions in rivals.items()
    }
    after = compare(dataset, reordered, TASKS, "all")
    for name in rivals:
        np.testing.assert_array_equal(after.thresholds[name], comparison.thresholds[name])
    some = compare(dataset, reordered, np.array([4, 1]), "two")
    assert some.tasks.id == ("task4", "task1")
    np.testing.assert_array_equal(
        some.scores["test"]["model"].auroc, comparison.scores["test"]["model"].auroc[[4, 1]]
    )


def test_counts(dataset, comparison):
    for split in ("train", "valid", "test"):
        labels = dataset.labels(dataset.windows_of(split))
        np.testing.assert_array_equal(comparison.counts[split].positives, labels.sum(axis=0))
        assert comparison.counts[split].windows == len(labels)
        np.testing.assert_allclose(comparison.counts[split].positive_rate, labels.mean(axis=0))


def drop_window(predictions: Predictions) -> Predictions:
    return replace(
        predictions,
        logits=predictions.logits[1:],
        window=predictions.window[1:],
        split=predictions.split[1:],
    )


# What is written


def test_summary_is_nested_as_promised(comparison):
    details = Details(baseline={"context_bp": 100, "gradient_norm": np.float32(0.5)}, command="how")
    summary = strict(to_json(summarise(comparison, details)))
    assert summary["command"] == "how"
    assert summary["n_tasks"] == 5
    assert summary["task_set"] == "5 of 8 tasks with >= 1% positives in train"
    assert summary["dataset"]["checksum"] == "sha256:1"
    assert summary["baseline"] == {"context_bp": 100, "gradient_norm": 0.5}
    assert summary["valid"]["note"] == OPTIMISTIC
    test = summary["test"]
    assert "note" not in test
    assert test["wins"] + test["ties"] + test["losses"] == 4
    assert test["undefined"] == {"f1": 1, "auroc": 0, "ap": 0, "precision": 1, "task_skill": 0}
    scores = comparison.scores["test"]
    for name in ("model", "baseline", "prior"):
        assert math.isclose(test["f1"][name], np.nanmean(scores[name].f1))
        assert math.isclose(test["perplexity"][name], math.exp(scores[name].cross_entropy.mean()))
        assert math.isclose(test["auroc"][name], scores[name].auroc.mean())
        assert math.isclose(test["ap"][name], scores[name].ap.mean())
        assert math.isclose(test["brier"][name], scores[name].brier.mean())
        assert math.isclose(test["ece"][name], scores[name].ece.mean())
        loss, prior = scores[name].cross_entropy.mean(), scores["prior"].cross_entropy.mean()
        assert math.isclose(test["bits"][name], loss / math.log(2))
        assert math.isclose(test["skill"][name], 1 - loss / prior, abs_tol=1e-12)
        own = 1 - scores[name].cross_entropy / scores["prior"].cross_entropy
        assert math.isclose(test["task_skill"][name], own.mean(), abs_tol=1e-12)
    assert (test["significant_wins"], test["intervals"], summary["bootstrap"]) == (None, {}, None)
    assert math.isclose(test["f1"]["difference"], test["f1"]["model"] - test["f1"]["baseline"])
    assert {group: figures["n_tasks"] for group, figures in test["groups"].items()} == {"DNase": 2, "TF": 3}
    for outcome in ("wins", "ties", "losses"):
        assert sum(figures[outcome] for figures in test["groups"].values()) == test[outcome]
    assert summary["report"]["wins"] == 408


def test_undefined_is_null_and_blank(dataset, rivals):
    """One task that nobody can score: JSON has null, the table a blank, the page a dash."""
    comparison = compare(dataset, rivals, np.array([SILENT_IN_VALID]), "one task")
    text = to_json(summarise(comparison, Details(baseline={"gradient_norm": math.inf})))
    summary = strict(text)
    assert summary["test"]["f1"] == dict.fromkeys(("model", "baseline", "prior", "difference"))
    assert summary["baseline"]["gradient_norm"] is None
    (row,) = rows(comparison)
    for column in ("threshold_model", "test_f1_model", "test_outcome", "valid_auroc_model"):
        assert row[column] == ""
    assert row["test_auroc_model"] != ""


def test_outcomes_by_hand(dataset, rivals):
    """A model equal to its baseline ties; one that knows the labels wins."""
    tie = compare(dataset, rivals | {"baseline": rivals["model"]}, TASKS, "all")
    assert [row["test_outcome"] for row in rows(tie)] == ["tie"] * 4 + [""]
    oracle = replace(
        rivals["model"], logits=(2.0 * dataset.labels(rivals["model"].window) - 1).astype(np.float32)
    )
    best = compare(dataset, rivals | {"model": oracle}, TASKS, "all")
    overall = summarise(best).test.overall
    assert (overall.wins, overall.ties, overall.losses) == (4, 0, 0)
    assert overall.f1["model"] == overall.auroc["model"] == overall.ap["model"] == 1
    worst = compare(dataset, rivals | {"baseline": oracle}, TASKS, "all")
    assert [row["test_outcome"] for row in rows(worst)] == ["loss"] * 4 + [""]


def test_a_task_without_a_prior_has_no_skill_of_its_own(dataset, rivals):
    """No positive in train: the prior's rate is held off 0 by hand, and a share of its loss says nothing."""
    labels = dataset.labels(np.arange(dataset.n_windows))
    labels[dataset.split == 0, 0] = 0
    empty = replace(dataset, packed_labels=np.packbits(labels, axis=1, bitorder="little"))
    prior = prior_predictions(empty, rivals["model"].window, TASKS)
    comparison = compare(empty, rivals | {"prior": prior}, TASKS, "all")
    assert np.isnan(comparison.skill("test", "model")).tolist() == [True, False, False, False, False]
    test = summarise(comparison).test.overall
    assert test.undefined["task_skill"] == 1
    assert abs(test.task_skill["model"]) < 5
    assert "1 tasks have no skill of their own" in to_markdown(summarise(comparison))


def test_a_further_rival_stands_beside_the_three(dataset, rivals):
    further = small_predictions(dataset, "baseline at 200 bp", 1.5, 9)
    comparison = compare(dataset, rivals | {"best_baseline": further}, TASKS, "all")
    assert comparison.predictors == ("model", "baseline", "prior", "best_baseline")
    test = strict(to_json(summarise(comparison)))["test"]
    assert set(test["against"]) == {"prior", "best_baseline"}
    difference = comparison.f1_difference("test", "best_baseline")
    assert test["against"]["best_baseline"]["wins"] == (difference > 0).sum()
    assert "test_f1_best_baseline" in rows(comparison)[0]


def test_table_has_one_row_a_task(comparison):
    table = rows(comparison)
    assert [row["id"] for row in table] == list(comparison.tasks.id)
    assert table[3]["target"] == "with\ttab"
    assert table[0]["reference_deepsea_auroc"] == "0.9"
    assert table[1]["reference_deepsea_auroc"] == ""
    for row, threshold in zip(table[:4], comparison.thresholds["model"], strict=False):
        assert float(row["threshold_model"]) == threshold
    for split in ("train", "valid", "test"):
        for row in table:
            rate = int(row[f"{split}_positives"]) / int(row[f"{split}_windows"])
            assert math.isclose(rate, float(row[f"{split}_positive_rate"]), rel_tol=1e-5)


def test_files_of_an_evaluation(tmp_path: Path, comparison):
    write_evaluation(tmp_path / "evaluation", comparison, Details(baseline={"context": "100 bp"}))
    folder = tmp_path / "evaluation"
    assert sorted(path.name for path in folder.iterdir()) == ["summary.json", "summary.md", "tasks.tsv"]
    summary = strict((folder / "summary.json").read_text())
    page = (folder / "summary.md").read_text()
    test = summary["test"]
    assert f"**{test['wins']} of 4 tasks**" in page
    for name in ("model", "baseline", "prior"):
        assert f"{test['perplexity'][name]:.4f}" in page
    assert OPTIMISTIC in page
    assert "408 wins of 498" in page
    assert "baseline, context: 100 bp" in page
    assert "nan" not in page.lower().split()
    tables = [block.splitlines() for block in page.split("\n\n") if block.startswith("| ")]
    assert len(tables) == 4
    for table in tables:
        assert len({line.count("|") for line in table}) == 1


def test_a_partial_prediction_is_said(dataset, rivals):
    partial = {name: drop_window(predictions) for name, predictions in rivals.items()}
    summary = summarise(compare(dataset, partial, TASKS, "all"))
    short = summary.valid if rivals["model"].split[0] == 1 else summary.test
    assert (short.windows, short.windows_in_dataset) == (29, 30)


@pytest.mark.parametrize(
    ("rate", "name"),
    [(0.01, "374 of 560 tasks with >= 1% positives in train"), (0, "374 of 560 tasks")],
)
def test_task_sets_are_named(rate, name):
    assert task_set_name(374, 560, rate) == name
