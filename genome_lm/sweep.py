"""The table at the end of a sweep."""

import logging
from pathlib import Path
from typing import Any, ClassVar

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from genome_lm.atomic import write_text
from genome_lm.leaderboard.fields import Damaged
from genome_lm.leaderboard.training import Training, perplexity_order, read_training
from genome_lm.sweeping.jobs import runs_elsewhere
from genome_lm.tables import to_markdown, to_tsv

logger = logging.getLogger(__name__)

COLUMNS = (
    "job",
    "valid_perplexity",
    "prior",
    "model",
    "parameters",
    "epochs",
    "best_epoch",
    "minutes",
    "windows_per_second",
    "overrides",
)


class SweepTable(Callback):
    """Hydra callback: one table of a sweep's jobs, best validation perplexity first.

    The table is read from the jobs' folders, so it does not matter which launcher or process ran them. It is
    printed and written as `sweep.tsv` and `sweep.md` into the sweep's folder. Jobs that failed come last.
    """

    failed: ClassVar[int] = 0
    """Jobs of the latest sweep that failed."""

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        SweepTable.failed = write_sweep_table(Path(config.hydra.sweep.dir))


def write_sweep_table(folder: Path) -> int:
    """Print and write the table of the jobs in `folder`, if there are any; returns how many failed."""
    rows = sweep_rows(folder)
    if not rows:
        return 0
    table = [list(COLUMNS), *([row[column] for column in COLUMNS] for row in rows)]
    write_text(folder / "sweep.tsv", to_tsv(table))
    markdown = to_markdown(table, left=(COLUMNS.index("job"), COLUMNS.index("model"), len(COLUMNS) - 1))
    task_sets = sorted({row["task_set"] for row in rows if row["task_set"]})
    note = f"Validation perplexity over {'; '.join(task_sets) or 'nothing: no job has a result'}."
    write_text(folder / "sweep.md", f"{markdown}\n\n{note}\n")
    logger.info("\n%s\n\n%s\n%s", markdown, note, folder / "sweep.tsv")
    return sum(1 for row in rows if row["valid_perplexity"] == "failed")


def sweep_rows(folder: Path) -> list[dict[str, str]]:
    """One row a job folder in `folder`, ranked; values as they are shown.

    Instead of its perplexity a job without a result has "running", where another process has it in hand, or
    "failed", also if that was killed.

    Jobs are listed with what they were told and need not have the same data or tasks, unlike the runs of a
    leaderboard.
    """
    jobs = []
    for job in folder.iterdir():
        overrides_file = job / ".hydra" / "overrides.yaml"
        if not overrides_file.is_file():
            continue
        overrides = " ".join(str(each) for each in OmegaConf.load(overrides_file))
        try:
            training = read_training(job)
        except Damaged:
            training = None
        score = perplexity_order(training.valid_perplexity if training else None)
        row = _row(job.name, overrides, training)
        if training is None:
            row["valid_perplexity"] = "running" if runs_elsewhere(job) else "failed"
        jobs.append((training is None, score, job.name, row))
    return [row for *_, row in sorted(jobs, key=lambda entry: entry[:3])]


def _row(job: str, overrides: str, training: Training | None) -> dict[str, str]:
    row = dict.fromkeys([*COLUMNS, "task_set"], "") | {"job": job, "overrides": overrides}
    if training is None:
        return row
    return row | {
        "valid_perplexity": _shown(training.valid_perplexity, 5),
        "prior": _shown(training.valid_prior_perplexity, 5),
        "model": training.model,
        "parameters": str(training.parameters),
        "epochs": str(training.epochs),
        "best_epoch": str(training.best_epoch),
        "minutes": _shown(None if training.seconds is None else training.seconds / 60, 1),
        "windows_per_second": _shown(training.windows_per_second, 0),
        "task_set": training.task_set,
    }


def _shown(value: float | None, digits: int) -> str:
    return "nan" if value is None else f"{value:.{digits}f}"
