"""What an evaluation scores: the dataset, and the tasks that the checkpoint was trained on."""

import logging
from pathlib import Path

import numpy as np

from genome_lm.build import dataset_from
from genome_lm.checkpoint import Description
from genome_lm.config import EvaluateConfig
from genome_lm.dataset.contents import Dataset
from genome_lm.dataset.tasks import choose_tasks
from genome_lm.errors import UserError
from genome_lm.evaluation.aligned import SCORED_SPLITS
from genome_lm.naming import task_set_name

logger = logging.getLogger(__name__)


def dataset_to_score(config: EvaluateConfig, description: Description, checkpoint: Path) -> Dataset:
    """The dataset that a checkpoint names, or that of `data.path`.

    Raises:
        UserError: it is not there, has changed since the checkpoint was trained, or has no validation or no
            test windows.
    """
    recorded = description.dataset.get("path")
    if recorded is not None and config.data.path is None and not Path(recorded).is_file():
        raise UserError(
            f"checkpoint {checkpoint} was trained on {recorded}, which is not there; "
            "give its place as data.path"
        )
    dataset = dataset_from(config.data.path or recorded)
    if dataset.checksum != description.dataset.get("checksum"):
        if config.data.path is None:
            raise UserError(
                f"dataset {dataset.path} has changed since checkpoint {checkpoint} was trained on it; "
                "give the right one as data.path, or this one if you mean it"
            )
        logger.warning("data      %s is not the dataset that the checkpoint was trained on", dataset.path)
    for split in SCORED_SPLITS:
        if not len(dataset.windows_of(split)):
            raise UserError(
                f"dataset {dataset.path} has no {split} windows to score; prepare it with such a split"
            )
    return dataset


def trained_tasks(description: Description, dataset: Dataset, checkpoint: Path) -> np.ndarray:
    """Dataset indices, int64, of the checkpoint's tasks, in their order there.

    Raises:
        UserError: the dataset lacks some of them, or holds them in another order.
    """
    index_of = {task: index for index, task in enumerate(dataset.tasks.id)}
    ids = description.tasks["id"]
    unknown = [task for task in ids if task not in index_of]
    if unknown:
        raise UserError(
            f"checkpoint {checkpoint} was trained on other tasks: {len(unknown)} of its {len(ids)} tasks, "
            f"such as {unknown[0]}, are not in {dataset.path}; give the dataset that it was trained on "
            "as data.path"
        )
    indices = np.array([index_of[task] for task in ids], dtype=np.int64)
    if (np.diff(indices) <= 0).any():
        raise UserError(
            f"checkpoint {checkpoint} has its tasks in another order than {dataset.path}; "
            "give the dataset that it was trained on as data.path"
        )
    return indices


def tasks_to_score(config: EvaluateConfig, dataset: Dataset, trained: np.ndarray) -> tuple[np.ndarray, str]:
    """The tasks common enough in train and trained on: dataset indices, int64, and the set in words.

    Raises:
        UserError: there is none.
    """
    wanted = choose_tasks(dataset, config.evaluate.min_positive_rate)
    tasks = np.intersect1d(wanted, trained)
    if not len(tasks):
        raise UserError(
            f"none of the checkpoint's {len(trained)} tasks has a positive rate of at least "
            f"{config.evaluate.min_positive_rate:g} in train; lower evaluate.min_positive_rate"
        )
    if len(tasks) < len(wanted):
        logger.info(
            "          %d more tasks have that rate but were not trained on, and are left out",
            len(wanted) - len(tasks),
        )
    words = task_set_name(
        len(tasks),
        len(dataset.tasks),
        config.evaluate.min_positive_rate,
        "as far as trained on" if len(tasks) < len(wanted) else "",
    )
    return tasks, words
