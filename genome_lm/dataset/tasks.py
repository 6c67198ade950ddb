"""Which tasks to train on or to score."""

import difflib
from collections.abc import Sequence

import numpy as np

from genome_lm.dataset.contents import Dataset
from genome_lm.errors import UserError


def choose_tasks(
    dataset: Dataset, min_positive_rate: float, ids: Sequence[str] = (), groups: Sequence[str] = ()
) -> np.ndarray:
    """Indices of the chosen tasks, int64, ascending.

    Tasks of at least `min_positive_rate` positives in train are chosen from `groups`, or from all when
    neither `groups` nor `ids` is given. Tasks named in `ids` are chosen whatever their rate.

    Raises:
        UserError: the rate is no share, an id or a group does not exist (close matches are named), or no
        task is left.
    """
    if not 0 <= min_positive_rate <= 1:
        raise UserError(
            f"min_positive_rate={min_positive_rate}: expected a share from 0 to 1, such as 0.01 for 1%"
        )
    tasks = dataset.tasks
    index_of = {task: index for index, task in enumerate(tasks.id)}
    for task in ids:
        if task not in index_of:
            raise UserError(not_found("task id", task, tasks.id, str(dataset.path)))
    for group in groups:
        if group not in tasks.group:
            raise UserError(not_found("group", group, sorted(set(tasks.group)), str(dataset.path)))
    candidates = np.array([(not ids and not groups) or group in groups for group in tasks.group], dtype=bool)
    # An empty training split has no rates: only a threshold of 0 lets its tasks through.
    chosen = candidates & (np.nan_to_num(dataset.positive_rate("train")) >= min_positive_rate)
    chosen[[index_of[task] for task in ids]] = True
    if not chosen.any():
        raise UserError(
            f"no task has {min_positive_rate:.2%} positives in train ({np.count_nonzero(candidates)} "
            "looked at); "
            "lower min_positive_rate"
        )
    return np.flatnonzero(chosen)


def not_found(kind: str, name: str, known: Sequence[str], where: str) -> str:
    """Message on a task id or group that is not among those `known` in the file `where`; names close ones."""
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(close)}" if close else f"it has {', '.join(known[:5])} and so on"
    return f"{kind} {name!r} does not exist in {where}; {hint}"
