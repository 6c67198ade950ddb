"""Whether an evaluation that is to be shown is of the checkpoint that lies in the run folder."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from genome_lm.errors import UserError
from genome_lm.leaderboard.evaluated import EVALUATION, SUMMARY_FILE, TASKS_FILE, Evaluation
from genome_lm.leaderboard.reading import Run, Skipped, not_used
from genome_lm.leaderboard.rows import chosen_of, ranked
from genome_lm.report.inputs import read_tasks


def verified_order(runs: Sequence[Run], all_test: bool) -> tuple[list[Run], list[Skipped]]:
    """Runs as ranked, with those evaluations left out that cannot be shown; and these with the reason.

    Checked are the evaluations whose test figures are shown: the chosen run's, or with `all_test` all. That
    reads their checkpoints and their tables of tasks, unlike all else.
    """
    order, skipped = ranked(runs), []
    checked: set[str] = set()
    while open_ := [run for run in _shown(order, all_test) if run.name not in checked]:
        for run in open_:
            checked.add(run.name)
            reason = _fault(run, run.evaluation) if run.evaluation is not None else None
            if reason is not None:
                skipped.append(not_used(run.path, reason))
                order[order.index(run)] = replace(run, evaluation=None)
        order = ranked(order)  # of equal runs an evaluated one comes first
    return order, skipped


def _shown(order: Sequence[Run], all_test: bool) -> list[Run]:
    chosen = chosen_of(order)
    return list(order) if all_test else [chosen] if chosen else []


def _fault(run: Run, evaluation: Evaluation) -> str | None:
    if evaluation.checkpoint_sha256 is not None and run.checkpoint.is_file():  # a device may never end
        try:
            with run.checkpoint.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:
            found = evaluation.checkpoint_sha256  # figures without their checkpoint: nothing to hold against
        if found != evaluation.checkpoint_sha256:
            return (
                f"{EVALUATION}/{SUMMARY_FILE} is of other weights than {run.training.best_checkpoint} "
                "(by SHA-256); run `genome-lm evaluate` again"
            )
    try:
        read_tasks(evaluation.folder / TASKS_FILE)  # as the page does
    except UserError:
        return f"{EVALUATION}/{TASKS_FILE} is damaged"
    return None
