"""Which of a checkpoint's tasks to write, and what is known of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from genome_lm.dataset.tasks import not_found
from genome_lm.errors import UserError


@dataclass(frozen=True)
class PredictedTasks:
    """The tasks written, in the order of the checkpoint. `columns` are their outputs of the network."""

    columns: np.ndarray  # int64 [n_tasks], ascending
    table: dict[str, tuple[str, ...]]  # id, cell, target, treatment, group: [n_tasks] each
    positive_rate: np.ndarray  # float64 [n_tasks], in training

    @property
    def ids(self) -> tuple[str, ...]:
        return self.table["id"]

    def __len__(self) -> int:
        return len(self.columns)


def choose_predicted(
    table: dict[str, list[str]],
    positive_rate: Sequence[float],
    ids: Sequence[str],
    groups: Sequence[str],
    where: str,
) -> PredictedTasks:
    """Tasks named in `ids` or in one of `groups`; all when neither is given.

    Args:
        table: columns of the checkpoint's task table.
        where: the checkpoint, for messages.

    Raises:
        UserError: an id or a group does not exist; close matches are named.
    """
    for task in ids:
        if task not in table["id"]:
            raise UserError(not_found("task id", task, table["id"], where))
    for group in groups:
        if group not in table["group"]:
            raise UserError(not_found("group", group, sorted(set(table["group"])), where))
    chosen = np.array(
        [
            (not ids and not groups) or task in ids or group in groups
            for task, group in zip(table["id"], table["group"], strict=True)
        ],
        dtype=bool,
    )
    columns = np.flatnonzero(chosen)
    return PredictedTasks(
        columns=columns,
        table={name: tuple(values[column] for column in columns) for name, values in table.items()},
        positive_rate=np.array(positive_rate, dtype=np.float64)[columns],
    )
