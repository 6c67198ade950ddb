"""Tasks that cannot be learned or scored, tasks that are the same, and how dense the labels are."""

from collections.abc import Sequence

import numpy as np

from genome_lm.dataset.contents import SPLITS, Dataset
from genome_lm.doctor.finding import Finding, advice, ok, some
from genome_lm.metrics.thresholds import FEW_POSITIVES

_BLOCK = 1 << 13


def check_tasks(dataset: Dataset, tasks: np.ndarray, min_positive_rate: float) -> list[Finding]:
    """Positives and negatives of the chosen tasks in every split, and tasks of equal labels.

    Args:
        tasks: indices of the chosen tasks, int64.
        min_positive_rate: that they were chosen by, share of positives in train.
    """
    n_windows = {split: len(dataset.windows_of(split)) for split in SPLITS}
    positives = {split: _positives(dataset, split) for split in SPLITS}
    findings = [_rare(dataset, tasks, positives["train"], n_windows["train"], min_positive_rate)]
    names = np.array(dataset.tasks.id, dtype=object)[tasks]
    for split in SPLITS:
        n = n_windows[split]
        if not n:
            continue
        mine = positives[split][tasks]
        findings.append(_constant(split, list(names[mine == 0]), list(names[mine == n]), len(tasks)))
    few = list(names[(positives["valid"][tasks] > 0) & (positives["valid"][tasks] < FEW_POSITIVES)])
    if few and n_windows["valid"]:
        findings.append(
            advice(
                "thresholds",
                f"{len(few):,} tasks have fewer than {FEW_POSITIVES} positives in valid, too few to choose a "
                f"threshold by: {some(few)}",
                "more validation windows (splits.valid), or a higher data.min_positive_rate",
            )
        )
    findings.append(_equal(dataset, tasks))
    findings.append(_density(dataset, tasks, positives, n_windows))
    return findings


def _positives(dataset: Dataset, split: str) -> np.ndarray:
    return dataset.positives(dataset.windows_of(split))


def _rare(
    dataset: Dataset, tasks: np.ndarray, positives: np.ndarray, n_train: int, min_positive_rate: float
) -> Finding:
    below = int(np.count_nonzero(positives < min_positive_rate * n_train))
    without = int(np.count_nonzero(positives == 0))
    text = (
        f"{len(tasks):,} of {len(dataset.tasks):,} are trained on; {below:,} have fewer than "
        f"{min_positive_rate:.2%} positives in train, {without:,} of them none at all"
    )
    if below > len(dataset.tasks) / 2:
        return advice(
            "rare tasks",
            f"{text}: more than half are left out",
            "lower data.min_positive_rate, or prepare it with peaks of this genome and more background",
        )
    return ok("rare tasks", text)


def _constant(split: str, no_positives: Sequence[str], no_negatives: Sequence[str], n_tasks: int) -> Finding:
    name = f"tasks in {split}"
    parts = [
        f"{len(found):,} without {what} ({some(found)})"
        for what, found in (("positives", no_positives), ("negatives", no_negatives))
        if found
    ]
    if not parts:
        return ok(name, f"all {n_tasks:,} have positives and negatives")
    if split == "train":
        return advice(
            name,
            f"{', '.join(parts)}: there is nothing to learn, and they flatter the mean perplexity",
            "choose the others: data.tasks.ids, or data.min_positive_rate above 0",
        )
    return advice(
        name,
        f"{', '.join(parts)}: they have no AUROC, AP or F1 there and are left out of the means",
        f"other regions as splits.{split}, or tasks chosen by data.tasks.ids",
    )


def _equal(dataset: Dataset, tasks: np.ndarray) -> Finding:
    groups = equal_columns(dataset, tasks)
    if not groups:
        return ok("equal tasks", "no two have the same labels")
    names = [" = ".join(dataset.tasks.id[task] for task in group) for group in groups]
    return advice(
        "equal tasks",
        f"{sum(len(group) - 1 for group in groups):,} repeat the labels of another: {some(names)}",
        "take one of each into the manifest; the others count twice in every mean",
    )


def equal_columns(dataset: Dataset, tasks: np.ndarray) -> list[list[int]]:
    """Groups of tasks, by index, that have the same label in every window and at least one positive."""
    multiples = np.random.default_rng(0).integers(0, 2**63, size=dataset.n_windows, dtype=np.uint64) * 2 + 1
    sums = np.zeros(len(tasks), dtype=np.uint64)
    for first in range(0, dataset.n_windows, _BLOCK):
        windows = np.arange(first, min(first + _BLOCK, dataset.n_windows))
        sums += multiples[windows] @ dataset.labels(windows, tasks).astype(np.uint64)
    groups: dict[int, list[int]] = {}
    for task, value in zip(tasks.tolist(), sums.tolist(), strict=True):
        if value:  # of tasks without positives there may be many
            groups.setdefault(value, []).append(task)
    return [group for group in groups.values() if len(group) > 1]


def _density(
    dataset: Dataset, tasks: np.ndarray, positives: dict[str, np.ndarray], n_windows: dict[str, int]
) -> Finding:
    empty = 0
    for first in range(0, dataset.n_windows, _BLOCK):
        windows = np.arange(first, min(first + _BLOCK, dataset.n_windows))
        empty += int(np.count_nonzero(~dataset.labels(windows, tasks).any(axis=1)))
    rates = {
        split: float(positives[split][tasks].sum() / (n * len(tasks))) for split, n in n_windows.items() if n
    }
    text = (
        f"{', '.join(f'{rate:.2%} of {split}' for split, rate in rates.items())} labels are positive; "
        f"{empty / dataset.n_windows:.1%} of the windows have none"
    )
    if max(rates.values()) > 2 * min(rates.values()):
        return advice(
            "labels",
            f"{text}: the splits differ more than twofold, and with them the constant prior's perplexity",
            "choose regions that are alike, or compare by skill and not by perplexity",
        )
    return ok("labels", text)
