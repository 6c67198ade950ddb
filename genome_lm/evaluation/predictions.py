"""The prediction file: one format for the model, the baseline and the prior.

HDF5, format version 1:

    /          attributes: format, format_version, name, description, dataset_checksum
    /logits    float32 [n_windows, n_tasks], log odds of a positive, finite
    /window    int64 [n_windows], window indices of the dataset, ascending
    /split     uint8 [n_windows], codes as in genome_lm.dataset.contents.SPLITS
    /task_ids  string [n_tasks], UTF-8 of fixed length

Every dataset is stored uncompressed with a checksum a chunk, so that damage is found and the size of a file
says how much it can hold.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np

from genome_lm.atomic import replacing
from genome_lm.dataset.contents import SPLITS, Dataset
from genome_lm.dataset.layout import to_fixed
from genome_lm.errors import UserError
from genome_lm.evaluation.prediction_file import FORMAT, FORMAT_VERSION, check_here, columns_of, opened
from genome_lm.isolation.checked import ensure_checked
from genome_lm.metrics.cross_entropy import prior_logits

_BLOCK_ELEMENTS = 2**20


@dataclass(frozen=True)
class Predictions:
    """Logits of one predictor for windows of a dataset; checked when made.

    Raises:
        UserError: shapes or types do not fit each other, a logit is NaN or infinite (the message names window
            and task), windows are negative or not in ascending order, a split code is unknown, or a task id
            is repeated.
    """

    name: str  # "model", "baseline", "prior", or that of a further rival
    description: str  # for people, such as "bigru 2x128, 1000 bp"
    logits: np.ndarray  # float32 [n_windows, n_tasks]
    window: np.ndarray  # int64 [n_windows], dataset window indices, ascending
    split: np.ndarray  # uint8 [n_windows], codes as SPLITS
    task_ids: tuple[str, ...]
    dataset_checksum: str

    def __post_init__(self) -> None:
        n_windows, n_tasks = len(self.window), len(self.task_ids)
        expected = {
            "logits": (np.float32, (n_windows, n_tasks)),
            "window": (np.int64, (n_windows,)),
            "split": (np.uint8, (n_windows,)),
        }
        for column, (dtype, shape) in expected.items():
            array = getattr(self, column)
            if array.dtype != dtype or array.shape != shape:
                raise UserError(
                    f"{self}: {column} is {array.dtype} {list(array.shape)}, expected {np.dtype(dtype)} "
                    f"{list(shape)} for {n_windows} windows and {n_tasks} tasks; predict again"
                )
        if len(set(self.task_ids)) != n_tasks:
            repeated = next(task for task in self.task_ids if self.task_ids.count(task) > 1)
            raise UserError(f"{self}: task id {repeated!r} stands twice; give every task an id of its own")
        if n_windows and (self.window[0] < 0 or (np.diff(self.window) <= 0).any()):
            raise UserError(f"{self}: window indices must be ascending, each once; sort and deduplicate them")
        if n_windows and self.split.max() >= len(SPLITS):
            raise UserError(
                f"{self}: split code {self.split.max()} is unknown, expected 0 to {len(SPLITS) - 1} "
                f"({', '.join(SPLITS)}); predict again"
            )
        step = max(1, _BLOCK_ELEMENTS // max(n_tasks, 1))
        for first in range(0, n_windows, step):
            finite = np.isfinite(self.logits[first : first + step])
            if not finite.all():
                row, column = np.argwhere(~finite)[0]
                raise UserError(
                    f"{self}: the logit of window {self.window[first + row]} and task "
                    f"{self.task_ids[column]!r} is {self.logits[first + row, column]}, expected a finite "
                    "number; look for a diverged training run and predict again"
                )

    def __str__(self) -> str:
        return f"{self.name} predictions ({self.description})"


def prior_predictions(dataset: Dataset, window: np.ndarray, tasks: np.ndarray) -> Predictions:
    """The prior: each task's positive rate in the training split, as the same logit for every window.

    Args:
        window: int64 [n_windows], dataset window indices, ascending.
        tasks: int64 [n_tasks], dataset task indices.

    Raises:
        UserError: the dataset has no training windows.
    """
    rate = dataset.positive_rate("train")[tasks]
    if np.isnan(rate).any():
        raise UserError(
            f"{dataset.path} has no training windows, so there is no prior; prepare it with a training split"
        )
    constant = prior_logits(rate).astype(np.float32)
    return Predictions(
        name="prior",
        description="positive rate in train, the same for every window",
        logits=np.tile(constant, (len(window), 1)),
        window=window,
        split=dataset.split[window],
        task_ids=tuple(dataset.tasks.id[task] for task in tasks),
        dataset_checksum=dataset.checksum,
    )


def mean_predictions(name: str, files: Sequence[Path]) -> Predictions:
    """The ensemble of several prediction files of this program: their mean logits, one in memory at a time.

    Raises:
        UserError: see `read_predictions`; or the files differ in dataset, tasks or windows.
    """
    first = read_predictions(files[0], own=True)
    total = first.logits.astype(np.float64)
    descriptions = [first.description]
    for path in files[1:]:
        other = read_predictions(path, own=True)
        check_same(first, other)
        total += other.logits
        descriptions.append(other.description)
    words = ", ".join(f"{descriptions.count(words)} x {words}" for words in dict.fromkeys(descriptions))
    return replace(
        first,
        name=name,
        description=f"mean logits of {len(files)} networks ({words})",
        logits=(total / len(files)).astype(np.float32),
    )


def check_same(reference: Predictions, other: Predictions) -> None:
    """Check that two sets of predictions are of the same dataset, tasks and windows.

    Raises:
        UserError: they are not; both are named.
    """
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


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Write a prediction file, whole or not at all.

    Raises:
        UserError: the folder cannot be written.
    """
    with replacing(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs["format"] = FORMAT
        file.attrs["format_version"] = FORMAT_VERSION
        file.attrs["name"] = predictions.name
        file.attrs["description"] = predictions.description
        file.attrs["dataset_checksum"] = predictions.dataset_checksum
        columns = {
            "logits": predictions.logits,
            "window": predictions.window,
            "split": predictions.split,
            "task_ids": to_fixed(predictions.task_ids),
        }
        for column, array in columns.items():
            # HDF5 has no checksum for a dataset that is empty.
            file.create_dataset(column, data=array, fletcher32=array.size > 0)


def read_predictions(path: Path, own: bool = False) -> Predictions:
    """Open and check a prediction file, in a process of its own first (`genome_lm.isolation.checked`).

    Args:
        own: this program wrote the file a moment ago, so that it is not checked apart.

    Raises:
        UserError: the file is missing, unreadable, truncated, damaged, not a prediction file, of a newer
            format, or its contents are not those of valid `Predictions`.
    """
    if path.is_file() and not own:
        ensure_checked(path, check_here)
    with opened(path) as file:
        columns = columns_of(file, path)
        return Predictions(
            name=file.attrs["name"],
            description=file.attrs["description"],
            logits=columns["logits"][()],
            window=columns["window"][()],
            split=columns["split"][()],
            task_ids=tuple(task.decode() for task in columns["task_ids"][()]),
            dataset_checksum=file.attrs["dataset_checksum"],
        )
