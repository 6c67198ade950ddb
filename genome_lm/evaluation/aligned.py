"""Predictions of several predictors, checked once to be of the same windows, tasks and dataset."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from genome_lm.dataset.contents import SPLITS, Dataset
from genome_lm.errors import UserError
from genome_lm.evaluation.predictions import Predictions, check_same

MODEL, BASELINE, PRIOR = "model", "baseline", "prior"
SCORED_SPLITS = ("valid", "test")


@dataclass(frozen=True)
class Aligned:
    """Predictors with the same windows, tasks and dataset; made by `align`."""

    dataset: Dataset
    tasks: np.ndarray  # int64 [n_scored], dataset indices of the tasks to score
    predictions: dict[str, Predictions]  # model, baseline and prior first, then further rivals as given
    columns: np.ndarray  # int64 [n_scored], where these tasks stand in the predictions

    def rows(self, split: str) -> np.ndarray:
        """Rows of the predictions that belong to `split`, int64."""
        return np.flatnonzero(self.predictions[MODEL].split == SPLITS.index(split))

    def windows(self, split: str) -> np.ndarray:
        """Dataset indices of the windows predicted in `split`, int64 [n_windows], ascending."""
        return self.predictions[MODEL].window[self.rows(split)]

    def labels(self, split: str) -> np.ndarray:
        """uint8 [n_windows, n_scored]."""
        return self.dataset.labels(self.windows(split), self.tasks)

    def logits(self, split: str, name: str) -> np.ndarray:
        """Of one predictor, float32 [n_windows, n_scored]."""
        return self.predictions[name].logits[np.ix_(self.rows(split), self.columns)]


def align(dataset: Dataset, predictions: Mapping[str, Predictions], tasks: np.ndarray) -> Aligned:
    """Check that predictions can be compared on a dataset.

    Args:
        predictions: by the name shown: "model", "baseline" and "prior", and any further rivals (such as the
            baseline at its best context).
        tasks: int64 [n_scored], dataset indices of the tasks to score.

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
        check_same(reference, other)
    _check_dataset(dataset, reference)
    if not len(tasks):
        raise UserError("no task to score; lower evaluate.min_positive_rate or name other tasks")
    aligned = Aligned(
        dataset, tasks, ordered, _columns(reference, [dataset.tasks.id[task] for task in tasks])
    )
    for split in SCORED_SPLITS:
        if not len(aligned.rows(split)):
            raise UserError(f"{reference} hold no {split} windows; predict validation and test")
    return aligned


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
