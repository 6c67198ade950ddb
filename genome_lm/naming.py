"""Words for sets of tasks, so that every perplexity can name the one it runs over."""

import hashlib
from collections.abc import Sequence


def task_set_name(n_tasks: int, n_all: int, min_positive_rate: float = 0.0, restriction: str = "") -> str:
    """Such as "374 of 560 tasks with >= 1% positives in train".

    Args:
        n_tasks: tasks in the set.
        n_all: tasks in the dataset.
        min_positive_rate: least rate of positives in train; 0 asks for none.
        restriction: what else restricts the set, such as "chosen by id or group".
    """
    rate = f" with >= {100 * min_positive_rate:g}% positives in train" if min_positive_rate > 0 else ""
    return f"{n_tasks} of {n_all} tasks{rate}{f', {restriction}' if restriction else ''}"


def task_ids_sha256(ids: Sequence[str]) -> str:
    """Hexadecimal SHA-256 of task ids in their order, a line each: equal for equal sets from one dataset."""
    return hashlib.sha256("".join(f"{task}\n" for task in ids).encode()).hexdigest()
