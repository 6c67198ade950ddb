"""What a finished run says of itself, read from training.json."""

import math
import re
from dataclasses import dataclass
from pathlib import Path, PurePath

from genome_lm.leaderboard.fields import Damaged, read_fields

TRAINING_FILE = "training.json"
ERROR_FILE = "error.txt"

_LONGEST_ERROR = 1 << 20


@dataclass(frozen=True)
class Training:
    """The figures of `training.json`; None where a number is undefined or an older version did not write it.

    Perplexities run over the tasks that `task_set` names, on the validation split. `valid_auroc`, `valid_ap`
    and `valid_f1` are estimates from the streaming histograms of training.
    """

    model: str
    seed: int
    parameters: int
    epochs: int
    best_epoch: int
    seconds: float | None  # wall time of the whole fit
    windows_per_second: float | None
    tokens_per_second: float | None
    valid_perplexity: float | None
    valid_prior_perplexity: float | None
    valid_auroc: float | None
    valid_ap: float | None
    valid_f1: float | None
    task_set: str
    n_tasks: int | None
    task_ids_sha256: str | None
    dataset_checksum: str
    best_checkpoint: str  # relative to the run folder


def read_training(run_dir: Path) -> Training:
    """Read `training.json` of a run folder.

    Raises:
        Damaged: the file cannot be read, or an entry is missing or of another type.
    """
    fields = read_fields(run_dir / TRAINING_FILE)
    return Training(
        model=fields.text("model"),
        seed=fields.whole("seed"),
        parameters=fields.whole("parameters"),
        epochs=fields.whole("epochs"),
        best_epoch=fields.whole("best_epoch"),
        seconds=fields.number("seconds", 0),
        windows_per_second=fields.number("windows_per_second", 0),
        tokens_per_second=fields.number_if_there("tokens_per_second", 0),
        valid_perplexity=fields.number("valid_perplexity", 1),
        valid_prior_perplexity=fields.number("valid_prior_perplexity", 1),
        valid_auroc=fields.number_if_there("valid_auroc", 0, 1),
        valid_ap=fields.number_if_there("valid_ap", 0, 1),
        valid_f1=fields.number_if_there("valid_f1", 0, 1),
        task_set=fields.text("task_set"),
        n_tasks=fields.whole("n_tasks") if fields.has("n_tasks") else _number_in(fields.text("task_set")),
        task_ids_sha256=fields.text("task_ids_sha256") if fields.has("task_ids_sha256") else None,
        dataset_checksum=fields.text("dataset_checksum"),
        best_checkpoint=_inside(fields.text("best_checkpoint")),
    )


def _inside(path: str) -> str:
    """A path that stays below the run folder."""
    if PurePath(path).is_absolute() or ".." in PurePath(path).parts:
        raise Damaged(f"{TRAINING_FILE}: best_checkpoint is {ascii(path)[:60]}; expected a file of the run")
    return path


def _number_in(task_set: str) -> int | None:
    """The number of tasks in words such as "374 of 560 tasks", for runs of versions without `n_tasks`."""
    found = re.match(r"(\d{1,9}) of ", task_set)
    return int(found.group(1)) if found else None


def perplexity_order(valid_perplexity: float | None) -> float:
    """Sort key: the lowest perplexity first, an undefined one last."""
    return math.inf if valid_perplexity is None else valid_perplexity


def failure(run_dir: Path) -> str | None:
    """Why a job of a sweep failed, the last line of `error.txt`; None where there is no such file."""
    path = run_dir / ERROR_FILE
    if not path.is_file():
        return None
    with path.open(encoding="utf-8", errors="replace") as file:
        lines = file.read(_LONGEST_ERROR).split("\n")
    written = [" ".join(line.split()) for line in lines if line.strip()]
    return written[-1][:300] if written else f"{ERROR_FILE} is empty"
