"""The sets of tasks that figures are given for: all, each group, and bins by number of training positives."""

from dataclasses import dataclass

import numpy as np

from genome_lm.evaluation.compare import Comparison

MOST_BINS = 8
TASKS_A_BIN = 15
"""Fewer tasks than this on average would make the share of wins in a bin mere noise."""


@dataclass(frozen=True)
class PositivesBin:
    """Tasks with `low` to `high` positives in train, both included and both occurring."""

    low: int
    high: int
    tasks: np.ndarray  # bool [n_tasks]


@dataclass(frozen=True)
class TaskSets:
    """Sets of the tasks of a comparison, as masks: bool [n_tasks]."""

    overall: np.ndarray
    groups: dict[str, np.ndarray]
    by_positives: tuple[PositivesBin, ...]  # ascending; together all tasks

    @property
    def masks(self) -> list[np.ndarray]:
        """All sets: overall, then the groups, then the bins."""
        return [self.overall, *self.groups.values(), *(each.tasks for each in self.by_positives)]


def task_sets(comparison: Comparison) -> TaskSets:
    """The sets of a comparison's tasks."""
    groups = np.array(comparison.tasks.group)
    return TaskSets(
        overall=np.ones(len(groups), dtype=bool),
        groups={str(group): groups == group for group in np.unique(groups)},
        by_positives=positives_bins(comparison.counts["train"].positives),
    )


def positives_bins(positives: np.ndarray) -> tuple[PositivesBin, ...]:
    """Bins of about as many tasks each, up to `MOST_BINS`; tasks with equally many positives stay together.

    Args:
        positives: int64 [n_tasks].
    """
    n_bins = int(np.clip(len(positives) // TASKS_A_BIN, 1, MOST_BINS))
    inner = np.quantile(positives, np.arange(1, n_bins) / n_bins)
    place = np.searchsorted(np.unique(inner), positives, side="right")
    return tuple(
        PositivesBin(int(positives[tasks].min()), int(positives[tasks].max()), tasks)
        for tasks in (place == number for number in np.unique(place))
    )
