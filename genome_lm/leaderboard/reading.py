"""The runs in some folders: those that finished, and the others with the reason why they are left out."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from genome_lm.errors import UserError
from genome_lm.leaderboard.configuration import Configuration, read_configuration
from genome_lm.leaderboard.evaluated import EVALUATION, SUMMARY_FILE, Evaluation, read_evaluation
from genome_lm.leaderboard.fields import Damaged
from genome_lm.leaderboard.training import TRAINING_FILE, Training, failure, read_training
from genome_lm.runs import find_runs


@dataclass(frozen=True)
class Run:
    """A finished run."""

    name: str  # its path below the folder that all runs of the table share
    path: Path
    training: Training
    configuration: Configuration
    evaluation: Evaluation | None

    @property
    def checkpoint(self) -> Path:
        """Of the epoch with the lowest validation perplexity."""
        return self.path / self.training.best_checkpoint


@dataclass(frozen=True)
class Skipped:
    """What was found and left out."""

    path: Path
    reason: str


def read_runs(folders: Sequence[Path], exclude: Sequence[Path] = ()) -> tuple[list[Run], list[Skipped]]:
    """Read every run in `folders`: run folders, sweeps, or folders of both; each run once, by name.

    A run whose evaluation cannot be used is there without it, and the evaluation is among those left out.

    Args:
        exclude: runs or folders of runs to leave out unread.

    Raises:
        UserError: a folder does not exist, or there is no finished run.
    """
    for path in exclude:
        if not path.exists():
            raise UserError(f"--exclude {shown(path)} does not exist; give a run or a folder of runs")
    found, skipped = _find(folders, {path.resolve() for path in exclude})
    names = _names(list(found))
    runs = []
    for resolved, path in found.items():
        try:
            if not (path / TRAINING_FILE).exists():
                skipped.append(Skipped(path, _unfinished(path)))
                continue
            training, configuration = read_training(path), read_configuration(path)
        except Damaged as error:
            skipped.append(Skipped(path, str(error)))
            continue
        evaluation = None
        try:
            evaluation = read_evaluation(path, training, configuration)
        except Damaged as error:
            skipped.append(not_used(path, str(error)))
        runs.append(Run(names[resolved], path, training, configuration, evaluation))
    if not runs:
        raise UserError(_no_run(folders, skipped))
    return runs, skipped


def not_used(run_dir: Path, reason: str) -> Skipped:
    """The evaluation of a run that is ranked without it."""
    return Skipped(run_dir / EVALUATION / SUMMARY_FILE, f"{reason}; the run is ranked without it")


def shown(path: Path) -> str:
    """A path as text that can be written as UTF-8."""
    return str(path).encode("utf-8", "replace").decode("utf-8")


def _find(folders: Sequence[Path], exclude: set[Path]) -> tuple[dict[Path, Path], list[Skipped]]:
    """Run folders, as they were reached, by their resolved paths."""
    found: dict[Path, Path] = {}
    skipped = []
    for folder in folders:
        if not folder.exists():
            raise UserError(f"{shown(folder)} does not exist; give folders of runs or sweeps, such as runs")
        runs = find_runs(folder) if folder.is_dir() else []
        if not runs:
            skipped.append(Skipped(folder, "no run in it" if folder.is_dir() else "no folder"))
        for path in runs:
            resolved = path.resolve()
            if exclude & {resolved, *resolved.parents}:
                skipped.append(Skipped(path, "left out by --exclude"))
            else:
                found.setdefault(resolved, path)
    return found, skipped


def _names(resolved: list[Path]) -> dict[Path, str]:
    """Short unique names: paths below the folder that all have in common."""
    if not resolved:
        return {}
    common = Path(os.path.commonpath([path.parent for path in resolved]))
    return {path: shown(path.relative_to(common)) for path in resolved}


def _unfinished(path: Path) -> str:
    reason = failure(path)
    if reason is not None:
        return f"failed: {reason}"
    if not (path / "metrics.csv").exists():
        return f"no {TRAINING_FILE}: it stopped before training began, or is about to start"
    written = time.strftime("%Y-%m-%d %H:%M", time.localtime((path / "metrics.csv").stat().st_mtime))
    return f"no {TRAINING_FILE}: still running, or ended early; metrics.csv last written {written}"


def _no_run(folders: Sequence[Path], skipped: Sequence[Skipped]) -> str:
    where = ", ".join(shown(folder) for folder in folders)
    reasons = "; ".join(f"{shown(each.path)}: {each.reason}" for each in skipped[:3])
    more = f" and {len(skipped) - 3} more" if len(skipped) > 3 else ""
    return f"no finished run in {where} ({reasons}{more}); run `genome-lm train` first"
