"""Intervals of a comparison: those of the resampled means, paired, for every set of tasks."""

import csv
import json
import math

import numpy as np
import pytest
from small_comparison import N_TASKS, SILENT_IN_VALID, small_dataset, small_predictions, small_rivals

from genome_lm.evaluation.aligned import Aligned, align
from genome_lm.evaluation.blocks import genome_blocks
from genome_lm.evaluation.bootstrap import draw_weights
from genome_lm.evaluation.calibration import calibration
from genome_lm.evaluation.compare import Comparison, compare, score
from genome_lm.evaluation.report import write_evaluation
from genome_lm.evaluation.summary import Details, summarise, to_json
from genome_lm.evaluation.task_sets import task_sets
from genome_lm.evaluation.uncertainty import BootstrapSettings, Uncertainty, estimate_uncertainty

SETTINGS = BootstrapSettings(block_bp=(50, 100), resamples=60, test_resamples=99, level=0.9, seed=3)


@pytest.fixture(scope="module")
def aligned() -> Aligned:
    dataset = small_dataset()
    return align(dataset, small_rivals(dataset), np.arange(N_TASKS))


@pytest.fixture(scope="module")
def comparison(aligned: Aligned) -> Comparison:
    return compare(aligned, "all")


@pytest.fixture(scope="module")
def uncertainty(aligned: Aligned, comparison: Comparison) -> Uncertainty:
    return estimate_uncertainty(aligned, comparison, task_sets(comparison), SETTINGS)


def repeated(aligned: Aligned, comparison: Comparison, block_bp: int) -> list[dict]:
    """Scores of each resample, by predictor, from windows that are really repeated."""
    blocks = genome_blocks(aligned.dataset, aligned.windows("test"), block_bp)
    weights = draw_weights(blocks.n_blocks, SETTINGS.resamples, SETTINGS.seed).astype(int)
    labels = aligned.labels("test")
    resamples = []
    for row in weights:
        windows = np.repeat(np.arange(len(labels)), row[blocks.of_window])
        resamples.append(
            {
                name: score(
                    aligned.logits("test", name)[windows], labels[windows], comparison.thresholds[name]
                )
                for name in aligned.predictions
            }
        )
    return resamples


def quantiles(values: np.ndarray) -> tuple[float, float]:
    low, high = np.quantile(values[~np.isnan(values)], (0.05, 0.95))
    return low, high


def mean(values: np.ndarray) -> float:
    defined = values[~np.isnan(values)]
    return defined.mean() if len(defined) else math.nan


@pytest.mark.parametrize("block_bp", [50, 100])
def test_intervals_are_those_of_repeated_windows(aligned, comparison, uncertainty, block_bp):
    resamples = repeated(aligned, comparison, block_bp)
    sets = task_sets(comparison)
    for place, mask in enumerate(sets.masks):
        found = uncertainty.splits["test"].intervals[block_bp][place]
        for measure in ("f1", "recall", "auroc", "ap", "brier"):
            means = {
                name: np.array([mean(getattr(each[name], measure)[mask]) for each in resamples])
                for name in ("model", "baseline")
            }
            difference = means["model"] - means["baseline"]
            assert found.by_measure[measure]["model"] == pytest.approx(quantiles(means["model"]))
            assert found.by_measure[measure]["difference"] == pytest.approx(quantiles(difference))
        errors = np.array([each["model"].ece[mask].mean() for each in resamples])
        observed = comparison.scores["test"]["model"].ece[mask].mean()
        unbiased = np.maximum(errors - errors.mean() + observed, 0)
        assert found.by_measure["ece"]["model"] == pytest.approx(quantiles(unbiased))
        loss = {
            name: np.array([each[name].cross_entropy[mask].mean() for each in resamples])
            for name in ("model", "prior")
        }
        assert found.by_measure["perplexity"]["model"] == pytest.approx(quantiles(np.exp(loss["model"])))
        assert found.by_measure["skill"]["model"] == pytest.approx(
            quantiles(1 - loss["model"] / loss["prior"])
        )
        assert found.by_measure["skill"]["prior"] == pytest.approx((0, 0))
        own = [
            mean(1 - each["model"].cross_entropy[mask] / each["prior"].cross_entropy[mask])
            for each in resamples
        ]
        assert found.by_measure["task_skill"]["model"] == pytest.approx(quantiles(np.array(own)))
        assert found.by_measure["bits"]["model"] == pytest.approx(quantiles(loss["model"] / math.log(2)))
        wins = [np.sum(each["model"].f1[mask] > each["baseline"].f1[mask]) for each in resamples]
        point = np.sum(comparison.f1_difference("test")[mask] > 0)
        low, high = found.wins
        assert low <= point <= high
        if low > 0 and high < np.count_nonzero(~np.isnan(comparison.f1_difference("test")[mask])):
            assert (high - low) / 2 == pytest.approx(1.6448536 * np.std(wins, ddof=1), rel=1e-6)


def test_precision_is_over_tasks_that_model_and_baseline_call(aligned, comparison, uncertainty):
    means = []
    for each in repeated(aligned, comparison, 50):
        called = ~np.isnan(each["model"].precision) & ~np.isnan(each["baseline"].precision)
        means.append(mean(each["model"].precision[called]))
    found = uncertainty.splits["test"].intervals[50][0].by_measure["precision"]
    assert found["model"] == pytest.approx(quantiles(np.array(means)))


def test_undefined_resamples_are_counted(aligned, comparison, uncertainty):
    resamples = repeated(aligned, comparison, 100)
    defined = [task for task in range(N_TASKS) if task != SILENT_IN_VALID]
    missing = sum(int(np.isnan(each["model"].f1[defined]).sum()) for each in resamples)
    assert uncertainty.splits["test"].intervals[100][0].undefined_resamples == missing


def test_validation_has_the_first_length_only(uncertainty):
    assert list(uncertainty.splits["valid"].intervals) == [50]
    assert list(uncertainty.splits["test"].intervals) == [50, 100]


def test_the_same_seed_gives_the_same_intervals(aligned, comparison, uncertainty):
    again = estimate_uncertainty(aligned, comparison, task_sets(comparison), SETTINGS)
    assert again.splits["test"].intervals == uncertainty.splits["test"].intervals
    np.testing.assert_array_equal(again.splits["test"].test.p, uncertainty.splits["test"].test.p)


def test_a_rival_equal_to_the_model_differs_by_nothing():
    dataset = small_dataset()
    rivals = small_rivals(dataset)
    aligned = align(dataset, rivals | {"baseline": rivals["model"]}, np.arange(N_TASKS))
    comparison = compare(aligned, "all")
    found = estimate_uncertainty(aligned, comparison, task_sets(comparison), SETTINGS).splits["test"]
    for measure, values in found.intervals[50][0].by_measure.items():
        assert values["difference"] == (0, 0), measure
    assert found.intervals[50][0].wins == (0, 0)
    assert np.nanmin(found.test.p) == 1


def test_what_is_written_tells_the_same(tmp_path, aligned, comparison, uncertainty):
    sets = task_sets(comparison)
    details = Details(
        uncertainty=uncertainty,
        calibration={split: calibration(aligned, split, sets) for split in ("valid", "test")},
    )
    write_evaluation(tmp_path, comparison, details)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["bootstrap"]["block_bp"] == [50, 100]
    assert summary["bootstrap"]["level"] == 0.9
    intervals = summary["test"]["intervals"]
    assert list(intervals) == ["50", "100"]
    expected = uncertainty.splits["test"].intervals[100][0].by_measure["ap"]["baseline"]
    assert intervals["100"]["ap"]["baseline"] == pytest.approx(expected)
    group = uncertainty.splits["test"].intervals[50][2].by_measure["f1"]["difference"]
    assert summary["test"]["groups"]["TF"]["intervals"]["50"]["f1"]["difference"] == pytest.approx(group)
    with (tmp_path / "tasks.tsv").open(newline="") as file:
        table = list(csv.DictReader(file, delimiter="\t"))
    test = uncertainty.splits["test"].test
    for task, row in enumerate(table):
        for column, values in (("low", test.low), ("high", test.high), ("p", test.p), ("q", test.q)):
            shown = row[f"test_f1_difference_{column}"]
            assert (shown == "") == math.isnan(values[task])
            if shown:
                assert float(shown) == pytest.approx(values[task], rel=1e-5)
        assert row["few_valid_positives"] == str(int(comparison.counts["valid"].positives[task] < 30))
    significant = [row["test_significance"] for row in table]
    assert significant.count("win") == summary["test"]["significant_wins"]
    assert significant.count("loss") == summary["test"]["significant_losses"]
    page = (tmp_path / "summary.md").read_text()
    assert "bootstrap over" in page
    assert "nan" not in page.lower().split()


def test_few_blocks_give_no_intervals(aligned, comparison):
    settings = BootstrapSettings(block_bp=(10**9,), resamples=60, test_resamples=99)
    found = estimate_uncertainty(aligned, comparison, task_sets(comparison), settings)
    assert found.splits["test"].n_blocks == {10**9: 1}
    test = summarise(comparison, Details(uncertainty=found)).test
    assert test.overall.interval("f1", "difference") is None
    assert test.overall.interval("wins", "") is None
    assert [each.interval for each in test.by_positives] == [None]
    assert test.overall.untested == 4
    text = to_json(summarise(comparison, Details(uncertainty=found)))
    assert json.loads(text)["test"]["intervals"]["1000000000"]["ap"]["model"] == [None, None]


def test_the_level_is_said(tmp_path, comparison, uncertainty):
    write_evaluation(tmp_path, comparison, Details(uncertainty=uncertainty))
    page = (tmp_path / "summary.md").read_text()
    assert "90% interval" in page
    assert "Intervals (90%)" in page
    assert "95% interval" not in page


def test_nothing_is_tested_where_the_thresholds_were_chosen(comparison, uncertainty):
    summary = summarise(comparison, Details(uncertainty=uncertainty))
    assert summary.valid.overall.significant_wins is summary.valid.overall.untested is None
    assert summary.test.overall.significant_wins is not None


def test_calibration_pools_the_tasks_of_a_set(aligned, comparison):
    found = calibration(aligned, "test", task_sets(comparison))
    labels = aligned.labels("test")
    probability = 1 / (1 + np.exp(-aligned.logits("test", "model").astype(np.float64)))
    for group, columns in (("all", slice(None)), ("DNase", [1, 4])):
        inside = probability[:, columns].ravel()
        bins = found["model"][group]
        assert sum(each.windows for each in bins) == len(inside)
        for each in bins:
            chosen = (inside >= each.low) & (inside < each.high)
            assert each.windows == chosen.sum() > 0
            assert each.predicted == pytest.approx(inside[chosen].mean())
            assert each.observed == pytest.approx(labels[:, columns].ravel()[chosen].mean())
    assert len(found["prior"]["all"]) <= N_TASKS


def test_a_summary_with_everything_is_strict_json(aligned, comparison, uncertainty):
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    text = to_json(summarise(comparison, Details(uncertainty=uncertainty)))
    assert json.loads(text, parse_constant=refuse)["test"]["n_tasks"] == N_TASKS


def test_further_rivals_have_intervals_too(aligned, comparison):
    further = small_predictions(aligned.dataset, "best", 1.5, 9)
    more = align(aligned.dataset, {**aligned.predictions, "best": further}, aligned.tasks)
    scored = compare(more, "all")
    found = estimate_uncertainty(more, scored, task_sets(scored), SETTINGS).splits["test"]
    assert set(found.intervals[50][0].by_measure["f1"]) == {
        "model",
        "baseline",
        "prior",
        "best",
        "difference",
    }
