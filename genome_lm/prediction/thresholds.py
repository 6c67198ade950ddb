"""Thresholds of calls: from the checkpoint's own evaluation, from its validation split, or one given."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genome_lm.choices import Protocol
from genome_lm.dataset.contents import Dataset
from genome_lm.errors import UserError
from genome_lm.evaluation.compare import choose_thresholds
from genome_lm.evaluation.predict import predict_windows
from genome_lm.network import Network
from genome_lm.plain import plain_json, plain_text
from genome_lm.tables import read_tsv

AUTO, NONE = "auto", "none"


@dataclass(frozen=True)
class Thresholds:
    """A window is called where its logit is at least the threshold; NaN for a task without one."""

    logit: np.ndarray  # float64 [n_tasks]
    source: str  # in words

    @property
    def probability(self) -> np.ndarray:
        """float64 [n_tasks]."""
        return sigmoid(self.logit)


class NotApplicable(Exception):
    """Why an evaluation's thresholds do not fit the checkpoint and its settings, in words."""


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Probabilities of logits in their own precision; no overflow at either end."""
    small = np.exp(-np.abs(logits))
    return np.where(logits >= 0, 1, small) / (1 + small)


def fixed_threshold(text: str, n_tasks: int) -> Thresholds | None:
    """The thresholds that `thresholds=` names by itself; None for "auto", which has to look for them.

    Raises:
        UserError: neither "auto", "none" nor a probability.
    """
    if text == AUTO:
        return None
    if text == NONE:
        return Thresholds(np.full(n_tasks, np.nan), "none")
    try:
        probability = float(text)
    except ValueError:
        probability = math.nan
    if not 0 < probability < 1:
        raise UserError(
            f"thresholds is {text}; expected auto, none, or a probability above 0 and below 1 such as 0.5"
        )
    logit = math.log(probability / (1 - probability))
    return Thresholds(np.full(n_tasks, logit), f"probability {probability:g} for every task")


def thresholds_of_evaluation(
    folder: Path, checkpoint_sha256: str, dataset_checksum: object, strands: bool, task_ids: Sequence[str]
) -> Thresholds:
    """The model's thresholds in the `tasks.tsv` of an evaluation made from this very checkpoint.

    Args:
        folder: holds `summary.json` and `tasks.tsv`.
        dataset_checksum: of the dataset that the checkpoint was trained on.
        strands: whether the logits of both strands are averaged now.

    Raises:
        NotApplicable: there is no evaluation; it is of another checkpoint, dataset or protocol, or of several
            checkpoints; strands were treated otherwise; or it did not score all of `task_ids`.
    """
    try:
        summary: Any = plain_json(plain_text(folder / "summary.json"))
        made_from = [str(each["sha256"]) for each in summary.get("checkpoints", [])]
        protocol, checksum = summary["protocol"], summary["dataset"]["checksum"]
        # The regression sums both strands exactly when the network averages them.
        averaged = summary["baseline"]["same_context"]["strands"] == "summed"
        field_of = {row["id"]: row["threshold_model"] for row in read_tsv(folder / "tasks.tsv")}
    except FileNotFoundError as error:
        raise NotApplicable(f"there is no evaluation in {folder}") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise NotApplicable(f"the evaluation in {folder} cannot be read") from error
    if made_from != [checkpoint_sha256]:
        of_what = {0: "does not say of which checkpoint it is", 1: "is of another checkpoint"}
        raise NotApplicable(
            f"the evaluation in {folder} {of_what.get(len(made_from), 'is of several checkpoints')}"
        )
    if protocol != Protocol.tuned.value:
        raise NotApplicable(f"the evaluation in {folder} followed protocol={protocol}")
    if checksum != dataset_checksum:
        raise NotApplicable(f"the evaluation in {folder} is on another dataset")
    if averaged != strands:
        raise NotApplicable(f"the evaluation in {folder} has average_strands={str(averaged).lower()}")
    absent = [task for task in task_ids if task not in field_of]
    if absent:
        raise NotApplicable(f"the evaluation in {folder} lacks {len(absent)} tasks, such as {absent[0]}")
    try:
        logit = [float(field_of[task]) if field_of[task] else math.nan for task in task_ids]
    except (ValueError, TypeError) as error:
        raise NotApplicable(f"the evaluation in {folder} cannot be read") from error
    folder = folder.resolve()
    # Without the folders above the run: the words go into files that are shared.
    place = f"{folder.parent.name}/{folder.name}/tasks.tsv"
    return Thresholds(np.array(logit), f"highest F1 on validation, from {place}")


def thresholds_on_validation(
    network: Network,
    dataset: Dataset,
    context_bp: int,
    task_ids: Sequence[str],
    columns: np.ndarray,
    *,
    batch_size: int,
    average_strands: bool,
    device: torch.device,
) -> Thresholds:
    """Thresholds of the highest F1 on the validation windows of a dataset, by the functions of `evaluate`.

    Args:
        task_ids: tasks wanted; all are in the dataset.
        columns: their outputs of the network, int64 [n_tasks].

    Raises:
        UserError: the dataset has no validation windows.
    """
    windows = dataset.windows_of("valid")
    if not len(windows):
        raise UserError(
            f"dataset {dataset.path} has no validation windows to choose thresholds on; use thresholds=none "
            "or a probability such as thresholds=0.5"
        )
    logits = predict_windows(
        network,
        dataset,
        windows,
        context_bp,
        batch_size=batch_size,
        average_strands=average_strands,
        device=device,
    )
    index_of = {task: index for index, task in enumerate(dataset.tasks.id)}
    tasks = np.array([index_of[task] for task in task_ids], dtype=np.int64)
    chosen = choose_thresholds(Protocol.tuned, logits[:, columns], dataset.labels(windows, tasks))
    return Thresholds(
        chosen, f"highest F1 on validation, computed on {len(windows):,} windows of {dataset.path.name}"
    )
