"""Model, baseline and prior on the same windows and tasks, scored by the same rule."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from genome_lm.choices import Protocol
from genome_lm.dataset.contents import SPLITS, Dataset, TaskTable
from genome_lm.errors import UserError
from genome_lm.evaluation.predictions import Predictions
from genome_lm.metrics.cross_entropy import binary_cross_entropy_per_task
from genome_lm.metrics.ranking import auroc_and_average_precision
from genome_lm.metrics.thresholds import best_f1_thresholds, confusion_at

MODEL, BASELINE, PRIOR = "model", "baseline", "prior"
SCORED_SPLITS = ("valid", "test")


@dataclass(frozen=True)
class Scores:
    """Scores of one predictor on one split, float64 [n_tasks] each; NaN where undefined."""

    f1: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    auroc: np.ndarray
    ap: np.ndarray
    cross_entropy: np.ndarray  # nats


@dataclass(frozen=True)
class SplitCounts:
    """What a split holds of the tasks scored."""

    windows: int  # windows scored (for train: all)
    windows_in_dataset: int
    positives: np.ndarray  # int64 [n_tasks], among the windows scored

    @property
    def positive_rate(self) -> np.ndarray:
        """float64 [n_tasks]; NaN if there are no windows."""
        if not self.windows:
            return np.full(len(self.positives), np.nan)
        return self.positives / self.windows


@dataclass(frozen=True)
class Comparison:
    """Per-task scores of every predictor on validation and test."""

    tasks: TaskTable  # the tasks scored
    task_set: str  # in words, see `genome_lm.naming.task_set_name`
    protocol: Protocol
    genome_build: str
    dataset_checksum: str
    descriptions: dict[str, str]  # by predictor
    thresholds: dict[str, np.ndarray]  # by predictor, float64 [n_tasks], logits; NaN where there is none
    counts: dict[str, SplitCounts]  # by split, train included
    scores: dict[str, dict[str, Scores]]  # by split (valid, test), then by predictor

    @property
    def predictors(self) -> tuple[str, ...]:
        """Names in order: model, baseline, prior, then further rivals as given."""
        return tuple(self.thresholds)

    @property
    def rivals(self) -> tuple[str, ...]:
        """Every predictor but the model."""
        return tuple(name for name in self.predictors if name != MODEL)

    def f1_difference(self, split: str, rival: str = BASELINE) -> np.ndarray:
        """Model minus rival, float64 [n_tasks]: above 0 a win, 0 a tie, below 0 a loss, NaN not counted."""
        return self.scores[split][MODEL].f1 - self.scores[split][rival].f1


def choose_thresholds(protocol: Protocol, logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Thresholds on the logits, float64 [n_tasks], from validation logits and labels [n_windows, n_tasks]."""
    if protocol is Protocol.poster:
        return np.zeros(logits.shape[1])
    return best_f1_thresholds(logits, labels)


def score(logits: np.ndarray, labels: np.ndarray, thresholds: np.ndarray) -> Scores:
    """Every per-task score of logits [n_windows, n_tasks] at thresholds [n_tasks].

    Raises:
        ValueError: see `genome_lm.metrics.ranking.check_pair`.
    """
    confusion = confusion_at(logits, labels, thresholds)
    auroc, ap = auroc_and_average_precision(logits, labels)
    return Scores(
        f1=confusion.f1,
        precision=confusion.precision,
        recall=confusion.recall,
        auroc=auroc,
        ap=ap,
        cross_entropy=binary_cross_entropy_per_task(logits, labels),
    )


def compare(
    dataset: Dataset,
    predictions: Mapping[str, Predictions],
    tasks: np.ndarray,
    task_set: str,
    protocol: Protocol = Protocol.tuned,
) -> Comparison:
    """Score every predictor by the same rule on the same windows and tasks.

    Args:
        predictions: by the name shown: "model", "baseline" and "prior", and any further rivals (such as the
            baseline at its best context).
        tasks: int64 [n_scored], dataset indices of the tasks to score.
        task_set: those tasks in words, see `genome_lm.naming.task_set_name`.
        protocol: where the thresholds come from.

    Raises:
        UserError: a predictor is missing; predictions come from another dataset, differ in windows or tasks
            (both are named), lack a task to be scored, or hold no validation or no test windows; there is no
            task to score.
    """
    missing = [name for name in (MODEL, BASELINE, PRIOR) if name not in predictions]
    if missing:
        raise UserError(
            f"no predictions of {' and '.join(missing)}, only of {', '.join(predictions) or 'nothing'}; "
            f"give those of {MODEL}, {BASELINE} and {PRIOR}"
        )
    ordered = {name: predictions[name] for name in (MODEL, BASELINE, PRIOR)} | dict(predictions)
    reference = ordered[MODEL]
    for other in ordered.values():
        _check_against(reference, other)
    _check_dataset(dataset, reference)
    if not len(tasks):
        raise UserError("no task to score; lower evaluate.min_positive_rate or name other tasks")
    columns = _columns(reference, [dataset.tasks.id[task] for task in tasks])

    train_windows = len(dataset.windows_of("train"))
    train_rate = dataset.positive_rate("train")[tasks] if train_windows else np.zeros(len(tasks))
    counts = {
        "train": SplitCounts(
            train_windows, train_windows, np.rint(train_rate * train_windows).astype(np.int64)
        )
    }
    thresholds: dict[str, np.ndarray] = {}
    scores: dict[str, dict[str, Scores]] = {}
    for split in SCORED_SPLITS:  # validation first: its thresholds serve the test split
        rows = np.flatnonzero(reference.split == SPLITS.index(split))
        if not len(rows):
            raise UserError(f"{reference} hold no {split} windows; predict validation and test")
        labels = dataset.labels(reference.window[rows], tasks)
        counts[split] = SplitCounts(
            len(rows), len(dataset.windows_of(split)), labels.sum(axis=0, dtype=np.int64)
        )
        scores[split] = {}
        for name, predictor in ordered.items():
            logits = predictor.logits[np.ix_(rows, columns)]
            if split == "valid":
                thresholds[name] = choose_thresholds(protocol, logits, labels)
            scores[split][name] = score(logits, labels, thresholds[name])
    return Comparison(
        tasks=dataset.tasks.subset(tasks),
        task_set=task_set,
        protocol=protocol,
        genome_build=dataset.genome_build,
        dataset_checksum=dataset.checksum,
        descriptions={name: predictor.description for name, predictor in ordered.items()},
        thresholds=thresholds,
        counts=counts,
        scores=scores,
    )


def _check_against(reference: Predictions, other: Predictions) -> None:
    both = f"{reference} and {other}"
    if reference.dataset_checksum != other.dataset_checksum:
        raise UserError(
            f"{both} come from different datasets, {reference.dataset_checksum} and "
            f"{other.dataset_checksum}; predict both on one dataset"
        )
    if reference.task_ids != other.task_ids:
        raise UserError(
            f"{both} differ in tasks, {_difference(reference.task_ids, other.task_ids)}; "
            "predict both for the same tasks in the same order"
        )
    if not np.array_equal(reference.window, other.window) or not np.array_equal(reference.split, other.split):
        raise UserError(
            f"{both} differ in windows or splits, {len(reference.window)} and {len(other.window)} windows; "
            "predict both on the same windows"
        )


def _difference(first: tuple[str, ...], second: tuple[str, ...]) -> str:
    odd = sorted(set(first) ^ set(second))
    if not odd:
        return "the same ones in another order"
    return f"{len(first)} and {len(second)}, {len(odd)} not shared, such as {odd[0]!r}"


def _check_dataset(dataset: Dataset, predictions: Predictions) -> None:
    if predictions.dataset_checksum != dataset.checksum:
        raise UserError(
            f"{predictions} come from dataset {predictions.dataset_checksum}, {dataset.path} is "
            f"{dataset.checksum}; give the dataset predicted on (data.path=)"
        )
    window = predictions.window
    if len(window) and window[-1] >= dataset.n_windows:
        raise UserError(
            f"{predictions} name window {window[-1]}, {dataset.path} has {dataset.n_windows}; predict again"
        )
    if not np.array_equal(predictions.split, dataset.split[window]):
        raise UserError(f"{predictions} and {dataset.path} differ in the split of a window; predict again")


def _columns(predictions: Predictions, wanted: list[str]) -> np.ndarray:
    place = {task: column for column, task in enumerate(predictions.task_ids)}
    absent = [task for task in wanted if task not in place]
    if absent:
        raise UserError(
            f"{predictions} lack {len(absent)} of the {len(wanted)} tasks to score, such as {absent[0]!r}; "
            "raise evaluate.min_positive_rate to what was trained on, or train on these tasks too"
        )
    return np.array([place[task] for task in wanted], dtype=np.int64)
