"""Model, baseline and prior on the same windows and tasks, scored by the same rule."""

from dataclasses import dataclass

import numpy as np

from genome_lm.choices import Protocol
from genome_lm.dataset.contents import TaskTable
from genome_lm.evaluation.aligned import BASELINE, MODEL, PRIOR, SCORED_SPLITS, Aligned
from genome_lm.evaluation.blocks import positions_of
from genome_lm.metrics.calibration import brier_score_per_task, expected_calibration_error
from genome_lm.metrics.cross_entropy import binary_cross_entropy_per_task, skill
from genome_lm.metrics.ranking import auroc_and_average_precision
from genome_lm.metrics.thresholds import FEW_POSITIVES, best_f1_thresholds, confusion_at


@dataclass(frozen=True)
class Scores:
    """Scores of one predictor on one split, float64 [n_tasks] each; NaN where undefined."""

    f1: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    auroc: np.ndarray
    ap: np.ndarray
    cross_entropy: np.ndarray  # nats
    brier: np.ndarray
    ece: np.ndarray


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
    positions: str  # of the windows, in words, see `genome_lm.evaluation.blocks.positions_of`
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
        return self.difference("f1", split, rival)

    def difference(self, measure: str, split: str, rival: str = BASELINE) -> np.ndarray:
        """Model minus rival in any measure of `Scores`, float64 [n_tasks]."""
        scores = self.scores[split]
        difference: np.ndarray = getattr(scores[MODEL], measure) - getattr(scores[rival], measure)
        return difference

    def skill(self, split: str, name: str) -> np.ndarray:
        """Of a predictor on each task, float64 [n_tasks]; see `genome_lm.metrics.cross_entropy.skill`.

        NaN where `has_prior` is false.
        """
        scores = self.scores[split]
        prior = np.where(self.has_prior, scores[PRIOR].cross_entropy, np.nan)
        return skill(scores[name].cross_entropy, prior)

    @property
    def has_prior(self) -> np.ndarray:
        """Tasks with positives and negatives in train, bool [n_tasks].

        Elsewhere the prior is but held off 0 and 1 (`genome_lm.metrics.cross_entropy.LEAST_RATE`): how much
        of its cross-entropy is removed says nothing, and can be thousands of times as much, either way.
        """
        counts = self.counts["train"]
        both: np.ndarray = (counts.positives > 0) & (counts.positives < counts.windows)
        return both

    @property
    def few_valid_positives(self) -> np.ndarray:
        """Tasks with fewer than `FEW_POSITIVES` positives in validation, bool [n_tasks]."""
        few: np.ndarray = self.counts["valid"].positives < FEW_POSITIVES
        return few


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
        brier=brier_score_per_task(logits, labels),
        ece=expected_calibration_error(logits, labels),
    )


def compare(aligned: Aligned, task_set: str, protocol: Protocol = Protocol.tuned) -> Comparison:
    """Score every predictor by the same rule on the same windows and tasks.

    Args:
        aligned: model, baseline, prior and further rivals.
        task_set: the tasks in words, see `genome_lm.naming.task_set_name`.
        protocol: where the thresholds come from.
    """
    dataset, tasks = aligned.dataset, aligned.tasks
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
        labels = aligned.labels(split)
        counts[split] = SplitCounts(
            len(labels), len(dataset.windows_of(split)), labels.sum(axis=0, dtype=np.int64)
        )
        scores[split] = {}
        for name in aligned.predictions:
            logits = aligned.logits(split, name)
            if split == "valid":
                thresholds[name] = choose_thresholds(protocol, logits, labels)
            scores[split][name] = score(logits, labels, thresholds[name])
    return Comparison(
        tasks=dataset.tasks.subset(tasks),
        task_set=task_set,
        protocol=protocol,
        genome_build=dataset.genome_build,
        dataset_checksum=dataset.checksum,
        positions=positions_of(dataset),
        descriptions={name: predictor.description for name, predictor in aligned.predictions.items()},
        thresholds=thresholds,
        counts=counts,
        scores=scores,
    )
