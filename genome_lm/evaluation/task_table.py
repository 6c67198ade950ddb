"""The table of all tasks: one row a task, tab-separated."""

import csv
import io
import math
from collections.abc import Sequence

import numpy as np

from genome_lm.dataset.contents import SPLITS
from genome_lm.evaluation.aligned import SCORED_SPLITS
from genome_lm.evaluation.compare import Comparison
from genome_lm.evaluation.figures import SIGNIFICANT_Q
from genome_lm.evaluation.significance import PairedTest
from genome_lm.tables import guarded

MEASURES = ("f1", "precision", "recall", "auroc", "ap", "cross_entropy", "brier", "ece")


def task_columns(
    comparison: Comparison, test: PairedTest | None = None
) -> dict[str, Sequence[str | int | float]]:
    """Columns of the task table by name, [n_tasks] each.

    What the task is; its counts by split (`train_positives`, ...) and whether validation has few; the
    threshold of each predictor, a logit (`threshold_model`, ...); then for test and validation the outcome of
    model against baseline and the scores (`test_f1_model`, ...); published scores last (`reference_...`).

    Args:
        test: of the test split's F1 differences: adds their intervals, t, p, q and `test_significance`.
    """
    tasks = comparison.tasks
    columns: dict[str, Sequence[str | int | float]] = {
        "id": tasks.id,
        "cell": tasks.cell,
        "target": tasks.target,
        "treatment": tasks.treatment,
        "group": tasks.group,
    }
    for split in SPLITS:
        counts = comparison.counts[split]
        columns[f"{split}_positives"] = counts.positives.tolist()
        columns[f"{split}_windows"] = [counts.windows] * len(tasks)
        columns[f"{split}_positive_rate"] = counts.positive_rate.tolist()
    columns["few_valid_positives"] = comparison.few_valid_positives.astype(int).tolist()
    for name in comparison.predictors:
        columns[f"threshold_{name}"] = comparison.thresholds[name].tolist()
    for split in reversed(SCORED_SPLITS):
        difference = comparison.f1_difference(split)
        columns[f"{split}_outcome"] = [outcome(value) for value in difference]
        columns[f"{split}_f1_difference"] = difference.tolist()
        if split == "test" and test is not None:
            columns |= _tested(difference, test)
        for measure in MEASURES:
            for name in comparison.predictors:
                columns[f"{split}_{measure}_{name}"] = getattr(
                    comparison.scores[split][name], measure
                ).tolist()
        for name in comparison.predictors:
            columns[f"{split}_skill_{name}"] = comparison.skill(split, name).tolist()
    for name, values in tasks.reference.items():
        columns[f"reference_{name}"] = values.tolist()
    return columns


def _tested(difference: np.ndarray, test: PairedTest) -> dict[str, Sequence[str | int | float]]:
    significant = test.q <= SIGNIFICANT_Q
    return {
        "test_f1_difference_low": test.low.tolist(),
        "test_f1_difference_high": test.high.tolist(),
        "test_f1_difference_t": test.t.tolist(),
        "test_f1_difference_p": test.p.tolist(),
        "test_f1_difference_q": test.q.tolist(),
        "test_hit_blocks": test.hit_blocks.tolist(),
        "test_undefined_resamples": test.undefined_resamples.tolist(),
        "test_significance": [
            outcome(value) if found else "" for value, found in zip(difference, significant, strict=True)
        ],
    }


def outcome(f1_difference: float) -> str:
    """Model against baseline: "win" if its F1 is strictly higher, "tie", "loss"; empty where undefined."""
    if math.isnan(f1_difference):
        return ""
    if f1_difference == 0:
        return "tie"
    return "win" if f1_difference > 0 else "loss"


def to_tsv(comparison: Comparison, test: PairedTest | None = None) -> str:
    """The task table with a header; an undefined number is an empty field.

    Thresholds have all their digits, so that they can be applied again, and other floats six.
    """
    columns = task_columns(comparison, test)
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    writer.writerow(map(guarded, columns))
    formatted = [
        [_field(value, exact=name.startswith("threshold_")) for value in values]
        for name, values in columns.items()
    ]
    writer.writerows(zip(*formatted, strict=True))
    return text.getvalue()


def _field(value: str | int | float, exact: bool) -> str:
    if not isinstance(value, float):
        return guarded(str(value))
    if math.isnan(value):
        return ""
    return repr(value) if exact else f"{value:.6g}"
