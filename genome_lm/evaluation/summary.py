"""The comparison in figures: means and counts over all tasks and over each group, and strict JSON of them."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from genome_lm.choices import Protocol
from genome_lm.evaluation.compare import BASELINE, MODEL, SCORED_SPLITS, Comparison
from genome_lm.metrics.cross_entropy import perplexity

OPTIMISTIC = "optimistic (thresholds chosen here)"


@dataclass(frozen=True)
class Report:
    """The figures of Zhang and Kamath (2016), shown beside ours: other data and rules, so no target."""

    source: str = "Zhang and Kamath (2016), Learning the Language of the Genome Using RNNs"
    data: str = "DeepSEA, 498 of 919 tasks with >= 1% positives"
    rules: str = "thresholds at probability 0.5, baseline with C = 1e6 on 100 bp"
    n_tasks: int = 498
    wins: int = 408
    wins_share: float = 0.819
    f1_model: float = 0.135
    f1_baseline: float = 0.044
    f1_difference: float = 0.091
    perplexity_model: float = 1.084
    perplexity_prior: float = 1.092
    note: str = "the prior's perplexity is not in the report: it was computed later, on DeepSEA's test set"


REPORT = Report()


@dataclass(frozen=True)
class Figures:
    """Means and counts over a set of tasks; dictionaries are by predictor.

    Means are over the tasks for which a score is defined, and NaN if there are none. Whether it is depends on
    the labels alone, so every predictor's mean is over the same tasks.
    """

    n_tasks: int
    wins: int  # tasks on which the model's F1 is strictly higher than the baseline's
    ties: int
    losses: int
    f1: dict[str, float]  # and "difference", model minus baseline
    perplexity: dict[str, float]  # exp of the mean cross-entropy over all tasks and windows
    auroc: dict[str, float]
    ap: dict[str, float]
    undefined: dict[str, int]  # by measure, tasks left out of its mean and of the counts above
    against: dict[
        str, dict[str, float]
    ]  # by rival other than the baseline: wins, ties, losses, f1_difference

    @property
    def counted(self) -> int:
        """Tasks with an outcome."""
        return self.wins + self.ties + self.losses


@dataclass(frozen=True)
class SplitSummary:
    """Figures of one split."""

    windows: int
    windows_in_dataset: int
    note: str  # empty, or why the figures are optimistic
    overall: Figures
    groups: dict[str, Figures]

    def as_dict(self) -> dict[str, object]:
        """`overall` at the top level, the groups nested under "groups"."""
        head: dict[str, object] = {"windows": self.windows, "windows_in_dataset": self.windows_in_dataset}
        if self.note:
            head["note"] = self.note
        groups = {group: asdict(figures) for group, figures in self.groups.items()}
        return head | asdict(self.overall) | {"groups": groups}


@dataclass(frozen=True)
class Summary:
    """What summary.json holds."""

    comparison: Comparison
    valid: SplitSummary
    test: SplitSummary
    baseline: Mapping[str, object]  # how the baseline was fitted

    def as_dict(self) -> dict[str, object]:
        """Nested: n_tasks, task_set, ..., valid, test, baseline, report. Undefined floats are NaN."""
        comparison = self.comparison
        return {
            "n_tasks": len(comparison.tasks),
            "task_set": comparison.task_set,
            "dataset": {
                "genome_build": comparison.genome_build,
                "checksum": comparison.dataset_checksum,
                "train_windows": comparison.counts["train"].windows,
            },
            "protocol": comparison.protocol.value,
            "thresholds": comparison.protocol.rule,
            "predictors": dict(comparison.descriptions),
            "valid": self.valid.as_dict(),
            "test": self.test.as_dict(),
            "baseline": dict(self.baseline),
            "report": asdict(REPORT),
        }


def summarise(comparison: Comparison, baseline: Mapping[str, object] | None = None) -> Summary:
    """The comparison in figures.

    Args:
        baseline: how the baseline was fitted, such as context, penalties and gradient norm: numbers, strings,
            lists and dictionaries of them, shown as they are.
    """
    valid, test = (_summarise_split(comparison, split) for split in SCORED_SPLITS)
    return Summary(comparison, valid, test, dict(baseline or {}))


def _summarise_split(comparison: Comparison, split: str) -> SplitSummary:
    groups = np.array(comparison.tasks.group)
    counts = comparison.counts[split]
    return SplitSummary(
        windows=counts.windows,
        windows_in_dataset=counts.windows_in_dataset,
        note=OPTIMISTIC if split == "valid" and comparison.protocol is Protocol.tuned else "",
        overall=_figures(comparison, split, np.ones(len(groups), dtype=bool)),
        groups={str(group): _figures(comparison, split, groups == group) for group in np.unique(groups)},
    )


def _figures(comparison: Comparison, split: str, chosen: np.ndarray) -> Figures:
    """Figures of one split over the tasks chosen, bool [n_tasks]."""
    scores = comparison.scores[split]
    f1, auroc, ap, cross_entropy = (
        {name: getattr(values, measure)[chosen] for name, values in scores.items()}
        for measure in ("f1", "auroc", "ap", "cross_entropy")
    )
    differences = {rival: comparison.f1_difference(split, rival)[chosen] for rival in comparison.rivals}
    outcomes = {rival: _outcomes(difference) for rival, difference in differences.items()}
    return Figures(
        n_tasks=int(chosen.sum()),
        wins=outcomes[BASELINE]["wins"],
        ties=outcomes[BASELINE]["ties"],
        losses=outcomes[BASELINE]["losses"],
        f1=_means(f1) | {"difference": _mean(differences[BASELINE])},
        perplexity={name: perplexity(_mean(values)) for name, values in cross_entropy.items()},
        auroc=_means(auroc),
        ap=_means(ap),
        undefined={
            "f1": int(np.isnan(f1[MODEL]).sum()),
            "auroc": int(np.isnan(auroc[MODEL]).sum()),
            "ap": int(np.isnan(ap[MODEL]).sum()),
        },
        against={
            rival: outcomes[rival] | {"f1_difference": _mean(differences[rival])}
            for rival in comparison.rivals
            if rival != BASELINE
        },
    )


def _outcomes(difference: np.ndarray) -> dict[str, int]:
    return {
        "wins": int((difference > 0).sum()),
        "ties": int((difference == 0).sum()),
        "losses": int((difference < 0).sum()),
    }


def _means(values: Mapping[str, np.ndarray]) -> dict[str, float]:
    return {name: _mean(array) for name, array in values.items()}


def _mean(values: np.ndarray) -> float:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else math.nan


def to_json(summary: Summary) -> str:
    """Strict JSON (RFC 8259): a float that is no finite number becomes null.

    Raises:
        TypeError: the baseline's details hold something that JSON has no form for.
    """
    return json.dumps(_strict(summary.as_dict()), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _strict(value: object) -> object:
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): _strict(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
