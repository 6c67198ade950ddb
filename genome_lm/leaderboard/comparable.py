"""Whether runs can be ranked in one table: the same data, tasks and validation windows."""

import math
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path

from genome_lm.errors import UserError
from genome_lm.leaderboard.reading import Run, Skipped, shown

PRIOR_TOLERANCE = 1e-6
"""Relative; the prior's perplexity on the same labels differs by rounding only."""


def whole_validation(runs: Sequence[Run]) -> tuple[list[Run], list[Skipped]]:
    """Leave out runs that saw a part of the validation windows, unless no run saw them all."""
    if all(run.configuration.limit_val_batches is not None for run in runs):
        return list(runs), []
    kept, skipped = [], []
    for run in runs:
        if (limit := run.configuration.limit_val_batches) is None:
            kept.append(run)
        else:
            reason = f"validated on {limit} batches only (trainer.limit_val_batches)"
            skipped.append(Skipped(run.path, reason))
    return kept, skipped


def refuse_unlike(runs: Sequence[Run]) -> None:
    """Refuse runs whose validation perplexities do not belong in one ranking.

    Raises:
        UserError: two of them differ in the dataset, the tasks, or the validation windows; both are named.
    """
    _same(
        runs, lambda run: run.training.dataset_checksum, "datasets", lambda run: run.training.dataset_checksum
    )
    tasks = _task_sets(runs)
    _same(runs, lambda run: tasks[run.path], "tasks", lambda run: run.training.task_set)
    first = next((run for run in runs if run.training.valid_prior_perplexity is not None), None)
    if first is None:
        return
    reference = first.training.valid_prior_perplexity or math.nan

    def windows(run: Run) -> Hashable:
        prior = run.training.valid_prior_perplexity
        return prior is None or math.isclose(prior, reference, rel_tol=PRIOR_TOLERANCE)

    _same(runs, windows, "validation windows", lambda run: f"prior {run.training.valid_prior_perplexity}")


def _task_sets(runs: Sequence[Run]) -> dict[Path, Hashable]:
    """Equal values for equal tasks, by run folder.

    The digest of the task ids decides. Runs of versions that did not write it have the tasks of any run with
    the same choice of tasks, since that choice and the dataset decide on them.
    """
    digest_of = {
        run.configuration.task_choice: run.training.task_ids_sha256
        for run in runs
        if run.training.task_ids_sha256 is not None
    }
    return {
        run.path: run.training.task_ids_sha256
        or digest_of.get(run.configuration.task_choice, run.configuration.task_choice)
        for run in runs
    }


def _same(
    runs: Sequence[Run], value: Callable[[Run], Hashable], what: str, words: Callable[[Run], str]
) -> None:
    by_value: dict[Hashable, list[Run]] = {}
    for run in runs:
        by_value.setdefault(value(run), []).append(run)
    if len(by_value) < 2:
        return
    most, other, *_ = sorted(by_value.values(), key=len, reverse=True)
    first, second = most[0], other[0]
    apart = len(runs) - len(most)
    raise UserError(
        f"{shown(first.path)} ({words(first)}) and {shown(second.path)} ({words(second)}) "
        f"have different {what}, so their perplexities cannot be ranked; compare them apart, or leave out "
        f"the {apart} of {len(runs)} runs that differ, such as with --exclude {shown(second.path)}"
    )
