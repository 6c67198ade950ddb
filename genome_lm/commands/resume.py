"""Going on with a training: from which checkpoint, as the same run or not, and whether it is done."""

import fcntl
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genome_lm.atomic import remove_abandoned
from genome_lm.callbacks.run_checkpoints import BEST, LAST
from genome_lm.callbacks.run_state import KEY
from genome_lm.checkpoint import read_content
from genome_lm.checkpoint_file import load_training
from genome_lm.checkpoint_io import is_intact
from genome_lm.config import TrainConfig
from genome_lm.errors import UserError
from genome_lm.held_out import STARTED_FROM, origin_of
from genome_lm.incidental import INCIDENTAL
from genome_lm.plain import plain_json, plain_text
from genome_lm.plain_yaml import plain_yaml
from genome_lm.runs import find_runs

NEWEST = "last"
"""The value of `ckpt_path` for the last checkpoint of the newest run."""

RESULT = "training.json"
CHECKPOINTS = "checkpoints"

LOCK_SECONDS = 20.0
"""Loader processes of a killed training may outlive it for some seconds, and its lock with them."""

# What the trainer is told that a training's outcome depends on; machine and messages may change.
_TRAINER = ("max_epochs", "precision", "gradient_clip_norm", "limit_train_batches", "limit_val_batches")
_FREE = INCIDENTAL[""] | {"ckpt_path", "trainer"}
_FREE_BELOW = INCIDENTAL | {"data": INCIDENTAL["data"] | {"path"}}  # the dataset is known by its checksum


@dataclass(frozen=True)
class ResumePoint:
    """The checkpoint that a training goes on from.

    Attributes:
        path: of the file.
        exact: whether the same command goes on (`resume=auto`), so that a run ends as if undisturbed.
        in_place: whether it lies in the run folder, whose best checkpoint and curve then go on too.
        step: optimiser steps behind it.
        epochs: behind it, those that are trained and validated.
        rows: of `metrics.csv` then; 0 if the checkpoint does not know.
        started: when the run began; None if the checkpoint does not know.
        config: the whole resolved configuration then.
        started_from: origin of the weights that the run started from, see `genome_lm.held_out`; None for
            fresh ones.
    """

    path: Path
    exact: bool
    in_place: bool
    step: int
    epochs: int
    rows: int
    started: str | None
    config: Mapping[str, Any]
    started_from: Mapping[str, Any] | None


def resume_point(config: TrainConfig, run_dir: Path) -> ResumePoint | None:
    """Where a training goes on, as `resume` and `ckpt_path` say; None if it begins.

    Raises:
        UserError: both are given, there is no such checkpoint, or none is intact.
    """
    if config.resume is not None:
        if config.ckpt_path is not None:
            raise UserError(
                f"resume={config.resume.value} goes on with what is in the run folder, and ckpt_path is "
                f"{config.ckpt_path}; give one of the two"
            )
        path = newest_intact(run_dir)
        return None if path is None else resume_point_of(path, run_dir, exact=True)
    if config.ckpt_path is None:
        return None
    return resume_point_of(_named(config.ckpt_path, Path(config.runs_dir), run_dir), run_dir, exact=False)


def newest_intact(run_dir: Path) -> Path | None:
    """The checkpoint of a run folder that has most steps behind it, damaged ones left out; None without any.

    Raises:
        UserError: there are checkpoints, and all are damaged.
    """
    files = [run_dir / CHECKPOINTS / name for name in (LAST, BEST)]
    found = [path for path in files if path.is_file()]
    intact = [path for path in found if is_intact(path)]
    if found and not intact:
        raise UserError(
            f"the checkpoints in {run_dir / CHECKPOINTS} are damaged; copy them again, or remove the folder "
            "to train anew"
        )
    return max(intact, key=_steps, default=None)  # of two with the same, the last


def is_finished(run_dir: Path) -> bool:
    """Whether a training in this folder came to its end: its training.json is written last, and whole."""
    return (run_dir / RESULT).is_file()


def finished_result(run_dir: Path, settings: Mapping[str, Any]) -> dict[str, Any] | None:
    """The contents of training.json of a run that is done; None if it is not.

    Args:
        settings: of the command that asks, plain values.

    Raises:
        UserError: the run had other settings, or a file of it is damaged.
    """
    if not is_finished(run_dir):
        return None
    try:
        config = plain_yaml(plain_text(run_dir / "config.yaml"))
        result = plain_json(plain_text(run_dir / RESULT))
    except (OSError, ValueError) as error:
        raise UserError(
            f"the finished run in {run_dir} cannot be read ({' '.join(str(error).split())}); give another "
            "run_dir"
        ) from error
    if not isinstance(config, dict) or not isinstance(result, dict):
        raise UserError(f"the finished run in {run_dir} is damaged; give another run_dir")
    check_same_settings(config, settings, run_dir)
    return result


def check_same_settings(then: Mapping[str, Any], now: Mapping[str, Any], run_dir: Path) -> None:
    """Hold the settings that an outcome depends on against those of the run that is to go on.

    Raises:
        UserError: the first that differs.
    """
    before, present = _decisive(then), _decisive(now)
    for key in sorted({*before, *present}):
        if key in before and key in present and before[key] != present[key]:
            raise UserError(
                f"resume=auto goes on with the run in {run_dir}, whose {key} was {before[key]}, now "
                f"{present[key]}; repeat its settings, give another run_dir, or go on with other settings by "
                f"ckpt_path={run_dir / CHECKPOINTS / LAST}"
            )


@contextmanager
def sole_owner(run_dir: Path) -> Iterator[None]:
    """Hold the run folder, so that a requeued job and the one that it replaces do not both write there.

    The lock ends with the process, however that ends. Where folders cannot be locked (some network file
    systems) nothing is held. Temporary files that an earlier process left behind are removed.

    Raises:
        UserError: another process trains in the folder.
    """
    new = not run_dir.exists()
    run_dir.mkdir(parents=True, exist_ok=True)
    handle = os.open(run_dir, os.O_RDONLY)
    try:
        until = time.monotonic() + LOCK_SECONDS
        while not _locked(handle):
            if time.monotonic() > until:
                raise UserError(
                    f"another process trains in {run_dir}; wait for its end, or give another run_dir"
                )
            time.sleep(0.2)
        for folder in (run_dir, run_dir / CHECKPOINTS):
            if folder.is_dir():
                remove_abandoned(folder)
        yield
    finally:
        os.close(handle)
        if new:
            with suppress(OSError):  # it holds something
                run_dir.rmdir()


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _named(ckpt_path: str, runs_dir: Path, run_dir: Path) -> Path:
    """The file that `ckpt_path` names."""
    path = Path(ckpt_path)
    if path.is_dir():
        found = newest_intact(path)
        if found is None:
            raise UserError(f"ckpt_path {path} is a folder without {CHECKPOINTS}/{LAST}; give a run folder")
        return found
    if ckpt_path != NEWEST:
        return path  # a file, or the reader says that there is none
    if (found := newest_intact(run_dir)) is not None:
        return found
    runs = find_runs(runs_dir) if runs_dir.is_dir() else []
    files = [run / CHECKPOINTS / name for run in runs for name in (LAST, BEST)]
    dated = [path for path in files if path.is_file()]
    if not dated:
        raise UserError(f"no run with a checkpoint in {runs_dir}, as ckpt_path=last asks for; give its path")
    newest = max(dated, key=lambda each: each.stat().st_mtime)
    return newest_intact(newest.parents[1]) or newest


def resume_point_of(path: Path, run_dir: Path, *, exact: bool) -> ResumePoint:
    """What a checkpoint says of the point that a run in `run_dir` would go on from.

    Raises:
        UserError: see `genome_lm.checkpoint.read_content`.
    """
    raw = load_training(path)
    content = read_content(path)
    state = raw.get(KEY, {})
    try:
        epochs = int(raw["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"])
        rows, started = int(state.get("rows", 0)), state.get("started")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"checkpoint {path} is damaged: it lacks the progress of its training; copy it again, or start "
            "from its weights with model.init_from"
        ) from error
    return ResumePoint(
        path=path,
        exact=exact,
        in_place=path.resolve().parent == (run_dir / CHECKPOINTS).resolve(),
        step=int(raw["global_step"]),
        epochs=epochs,
        rows=rows,
        started=started,
        config=content.description.get("config", {}),
        started_from=origin_of(content).get(STARTED_FROM),
    )


def _steps(path: Path) -> tuple[int, int]:
    return int(load_training(path)["global_step"]), int(path.name == LAST)


def _decisive(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that an outcome depends on, by dotted key."""
    flat: dict[str, Any] = {
        f"trainer.{name}": value
        for name, value in dict(settings.get("trainer", {})).items()
        if name in _TRAINER
    }
    for name, value in settings.items():
        if name in _FREE:
            continue
        if isinstance(value, Mapping):
            free = _FREE_BELOW.get(name, ())
            flat |= {f"{name}.{key}": each for key, each in value.items() if key not in free}
        else:
            flat[name] = value
    return flat
