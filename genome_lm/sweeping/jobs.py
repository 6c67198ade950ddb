"""Jobs of a sweep by their folders: new, finished, cut off or in other hands; and running one only once."""

import json
import logging
import math
import shutil
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml

from genome_lm.errors import UserError
from genome_lm.incidental import INCIDENTAL
from genome_lm.leaderboard.fields import Damaged
from genome_lm.leaderboard.training import ERROR_FILE, TRAINING_FILE, read_training
from genome_lm.locks import FileLock

logger = logging.getLogger(__name__)

CONFIG_FILE = "config.yaml"
LOCKS = ".locks"
CHECKPOINTS = "checkpoints"
LEFT_BY_A_RUN = (
    CHECKPOINTS,
    "tensorboard",
    "wandb",
    "metrics.csv",
    "hparams.yaml",
    "tracking.json",
    TRAINING_FILE,
    ERROR_FILE,
)


class JobState(StrEnum):
    """What a job's folder tells of it."""

    new = "new"
    finished = "finished"
    cut_off = "cut off"
    running = "running"


def job_state(run_dir: Path, settings: Mapping[str, Any]) -> JobState:
    """What became of a job with these settings in an earlier call.

    Args:
        run_dir: the job's folder.
        settings: its resolved configuration, nested plain values.

    Raises:
        UserError: the folder holds a run of other settings.
    """
    _refuse_other_settings(run_dir, settings)
    return JobState.running if runs_elsewhere(run_dir) else _state_unlocked(run_dir)


def runs_elsewhere(run_dir: Path) -> bool:
    """Whether another process is running the job of this folder now."""
    if not (run_dir.parent / LOCKS / run_dir.name).exists():
        return False
    lock = job_lock(run_dir)
    free = lock.acquire(wait=False)
    lock.release()
    return not free


def run_once(
    run_dir: Path, settings: Mapping[str, Any], train: Callable[[], float], resumes: bool = False
) -> float:
    """Run a job of a sweep, unless it has finished before or another process has it in hand.

    Args:
        run_dir: the job's folder.
        settings: as for `job_state`.
        train: trains into that folder and returns the validation perplexity.
        resumes: whether `train` goes on with what a job that was cut off has left, if that has a checkpoint;
            otherwise it is removed before.

    Returns:
        The validation perplexity; NaN for a job that another process is running.

    Raises:
        UserError: the folder holds a run of other settings; or as `train`.
    """
    lock = job_lock(run_dir)
    if not lock.acquire(wait=False):
        logger.warning("job %s is running in another process", run_dir.name)
        return math.nan
    try:
        _refuse_other_settings(run_dir, settings)
        if _state_unlocked(run_dir) is JobState.finished:
            logger.info("job %s has finished before", run_dir.name)
            found = read_training(run_dir).valid_perplexity
            return math.nan if found is None else found
        if resumes and any((run_dir / CHECKPOINTS).glob("*.ckpt")):
            for name in (ERROR_FILE, TRAINING_FILE):  # the latter is damaged, or the job had finished
                (run_dir / name).unlink(missing_ok=True)
        else:
            start_over(run_dir)
        return train()
    finally:
        lock.release()


def start_over(run_dir: Path) -> None:
    """Remove what a run that was cut off or failed has left in its folder."""
    for name in LEFT_BY_A_RUN:
        path = run_dir / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def job_lock(run_dir: Path) -> FileLock:
    """Held by the process that runs the job, and by nobody once that has ended in whatever way."""
    return FileLock(run_dir.parent / LOCKS / run_dir.name)


def sweep_lock(folder: Path) -> FileLock:
    """Held by the command that runs the sweep in `folder`."""
    return FileLock(folder / LOCKS / ".sweep")


def _state_unlocked(run_dir: Path) -> JobState:
    try:
        read_training(run_dir)
    except Damaged:
        return JobState.cut_off if (run_dir / CONFIG_FILE).is_file() else JobState.new
    return JobState.finished


def _refuse_other_settings(run_dir: Path, settings: Mapping[str, Any]) -> None:
    path = run_dir / CONFIG_FILE
    if not path.is_file():
        return
    try:
        before = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        raise UserError(f"{path} cannot be read; remove the job's folder to run it again") from error
    then = dict(_flat(before)) if isinstance(before, dict) else {}
    now = dict(_flat(settings))
    for key in sorted(then.keys() | now.keys()):
        if _is_incidental(key):
            continue
        if then.get(key, _ABSENT) != now.get(key, _ABSENT):
            raise UserError(
                f"{run_dir} holds a job of other settings: {key} was {then.get(key, _ABSENT)}, now "
                f"{now.get(key, _ABSENT)}; repeat the sweep's command, or give another hydra.sweep.dir"
            )


_ABSENT = "absent"


def _is_incidental(key: str) -> bool:
    section, _, rest = key.partition(".")
    return section in INCIDENTAL[""] or rest.partition(".")[0] in INCIDENTAL.get(section, ())


def _flat(settings: Mapping[str, Any], parent: str = "") -> Iterator[tuple[str, str]]:
    """Dotted keys with their values as JSON."""
    for name, value in settings.items():
        key = f"{parent}{name}"
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{key}.")
        else:
            yield key, json.dumps(value, default=str)
