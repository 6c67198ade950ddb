"""Which checkpoints a command works on: files, run folders or whole sweeps."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from genome_lm.checkpoint import Checkpoint, read_checkpoint
from genome_lm.dataset.source import identify
from genome_lm.errors import UserError
from genome_lm.runs import BEST_CHECKPOINT, newest_checkpoint, run_folder

ENSEMBLE = "ensemble"
"""Folder for the evaluation of several checkpoints, beside their runs."""


@dataclass(frozen=True)
class Member:
    """A checkpoint with a name that no other one of the command has."""

    name: str
    checkpoint: Checkpoint
    sha256: str

    @property
    def seed(self) -> int | None:
        """The seed of its run."""
        seed = self.checkpoint.description.config.get("seed")
        return seed if isinstance(seed, int) else None


def checkpoint_paths(ckpt_path: object, runs_dir: Path) -> list[Path]:
    """The checkpoint files that a setting names.

    Args:
        ckpt_path: None for the newest run's best checkpoint below `runs_dir`; or one path or a list of paths,
            each of a checkpoint file, of a run folder (its best checkpoint), or of a folder of runs such as a
            sweep's (the best checkpoint of each).

    Raises:
        UserError: there is no checkpoint at a path, one is named twice, or the setting is something else.
    """
    if ckpt_path is None:
        return [newest_checkpoint(runs_dir)]
    given = ckpt_path if isinstance(ckpt_path, list) else [ckpt_path]
    entries = [entry for entry in given if isinstance(entry, str)]
    if not entries or len(entries) < len(given):
        raise UserError(
            f"ckpt_path is {ckpt_path!r}; expected a path, or a list of them such as "
            "ckpt_path=[first.ckpt,second.ckpt]"
        )
    paths = [path for entry in entries for path in _expanded(Path(entry))]
    for place, path in enumerate(paths):
        if path.resolve() in [other.resolve() for other in paths[:place]]:
            raise UserError(f"ckpt_path names {path} twice; give every checkpoint once")
    return paths


def _expanded(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]  # a file, or the reader says that there is none
    if (path / BEST_CHECKPOINT).is_file():
        return [path / BEST_CHECKPOINT]
    found = sorted(path.glob(f"*/{BEST_CHECKPOINT}"))
    if not found:
        raise UserError(
            f"ckpt_path {path} is a folder without {BEST_CHECKPOINT}, and so are those in it; "
            "give a run folder, a sweep folder or a checkpoint"
        )
    return found


def read_members(paths: Sequence[Path], average_strands: bool | None = None) -> list[Member]:
    """Read checkpoints that can be compared and averaged.

    Args:
        average_strands: whether all will average both strands; None if each is to do as in training.

    Raises:
        UserError: one cannot be read, two are copies of one, or two differ in dataset, tasks or context, or
            in what they do with strands where that is left to them (both are named).
    """
    members = [
        Member(name, read_checkpoint(path), identify(path).sha256)
        for name, path in zip(member_names(paths), paths, strict=True)
    ]
    seen: dict[str, Path] = {}
    for member in members:
        path = member.checkpoint.path
        if member.sha256 in seen:
            raise UserError(
                f"checkpoints {seen[member.sha256]} and {path} are copies of one; give every checkpoint once"
            )
        seen[member.sha256] = path
    first = members[0].checkpoint
    for member in members[1:]:
        other = member.checkpoint
        for what, ours, theirs in (
            (
                "datasets",
                first.description.dataset.get("checksum"),
                other.description.dataset.get("checksum"),
            ),
            ("sets of tasks", first.description.tasks["id"], other.description.tasks["id"]),
            ("contexts", first.description.context_bp, other.description.context_bp),
            (
                "average_strands",
                first.description.both_strands(average_strands),
                other.description.both_strands(average_strands),
            ),
        ):
            if ours != theirs:
                shown = f" ({ours} and {theirs})" if not isinstance(ours, list) else ""
                raise UserError(
                    f"checkpoints {first.path} and {other.path} have different {what}{shown}; "
                    "evaluate them one by one"
                )
    return members


def member_names(paths: Sequence[Path]) -> list[str]:
    """Names of the run folders; with their parents' where two are the same, and numbered where all fails."""
    folders = [run_folder(path) for path in paths]
    both = list(zip(folders, paths, strict=True))
    for names in (
        [folder.name for folder in folders],
        [f"{folder.parent.name}/{folder.name}" for folder in folders],
        [f"{folder.parent.name}/{folder.name}/{path.stem}" for folder, path in both],
    ):
        if len(set(names)) == len(names):
            return names
    return [f"{number} {folder.name}" for number, folder in enumerate(folders)]


def output_folder(output_dir: str | None, paths: Sequence[Path]) -> Path:
    """Where results about checkpoints go: the run folder of one; `ensemble` beside the runs of several."""
    if output_dir:
        return Path(output_dir)
    folders = [run_folder(path) for path in paths]
    if len(folders) == 1:
        return folders[0]
    if len(set(folders)) == 1:  # several checkpoints of one run
        return folders[0] / ENSEMBLE
    return Path(os.path.commonpath(folders)) / ENSEMBLE
