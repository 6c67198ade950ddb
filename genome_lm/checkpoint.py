"""Checkpoints that describe themselves, and reading them without trusting them.

A checkpoint is Lightning's, plus the plain dict `genome_lm`: what is needed to build the network, the tasks
with their training rates, and where the data came from. `genome_lm.checkpoint_file` reads the file, which
runs no code of it. Without `kind` it is one of a multitask model; `genome_lm.language.checkpoint` has the
other kind.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from types import UnionType
from typing import Any

from torch import Tensor

from genome_lm.checkpoint_file import KEY as KEY
from genome_lm.checkpoint_file import read_stored
from genome_lm.choices import StrandEncoding, TaskKind
from genome_lm.errors import UserError
from genome_lm.plain import holds, one_line

VERSION = 2
"""1: without stem, strand_encoding and window_features, which were not to be had then."""

LONGEST_CONTEXT_BP = 1 << 20
"""Far beyond the contexts that networks read; more in a file is a mistake or meant to exhaust memory."""


@dataclass(frozen=True)
class Description:
    """What a checkpoint says about itself; plain values only.

    Attributes:
        version: of this layout.
        genome_lm_version: of the program that wrote it.
        model_name: the choice made by `model=`.
        tokenizer, encoder: `_target_` and constructor arguments.
        head: pooling, kind, dropout and input_dropout.
        context_bp: bases that the network reads.
        average_strands: whether evaluation averages the logits of both strands.
        tasks: columns id, cell, target, treatment and group, one entry a task.
        positive_rate: training rate of positives of each task.
        task_set: the tasks in words, such as "374 of 560 tasks with >= 1% positives in train".
        dataset: path, checksum, genome_build, window_bp and bin_bp (older checkpoints: not) of the dataset.
        config: the whole resolved configuration of the run.
        stem: `_target_` and constructor arguments.
        strand_encoding: which strands the network reads.
        window_features: `_target_` and constructor arguments.
    """

    version: int
    genome_lm_version: str
    model_name: str
    tokenizer: dict[str, Any]
    encoder: dict[str, Any]
    head: dict[str, Any]
    context_bp: int
    average_strands: bool
    tasks: dict[str, list[str]]
    positive_rate: list[float]
    task_set: str
    dataset: dict[str, Any]
    config: dict[str, Any]
    stem: dict[str, Any] = field(default_factory=lambda: {"_target_": "genome_lm.stems.NoStem"})
    strand_encoding: str = StrandEncoding.single.value
    window_features: dict[str, Any] = field(
        default_factory=lambda: {"_target_": "genome_lm.window_features.NoFeatures"}
    )

    def both_strands(self, average_strands: bool | None = None) -> bool:
        """Whether a prediction rests on both strands: always with shared strands, else if they are averaged.

        Args:
            average_strands: whether that is done now; None for as in training.
        """
        averaged = self.average_strands if average_strands is None else average_strands
        return averaged or self.strand_encoding == StrandEncoding.shared

    def as_dict(self) -> dict[str, Any]:
        """Plain dict for the checkpoint."""
        return asdict(self)


@dataclass(frozen=True)
class Content:
    """A checkpoint of any kind, its description not yet checked."""

    path: Path
    kind: str  # a TaskKind, in files that this version knows
    description: dict[str, Any]
    weights: dict[str, Tensor]  # of the network
    epochs: int  # trained, the last one perhaps in part


@dataclass(frozen=True)
class Checkpoint:
    """What was read of a multitask model's checkpoint file."""

    path: Path
    description: Description
    weights: dict[str, Tensor]  # of the network
    epochs: int  # trained, the last one perhaps in part


_TYPES: dict[str, type] = {
    "version": int,
    "genome_lm_version": str,
    "model_name": str,
    "tokenizer": dict,
    "encoder": dict,
    "head": dict,
    "context_bp": int,
    "average_strands": bool,
    "tasks": dict,
    "positive_rate": list,
    "task_set": str,
    "dataset": dict,
    "config": dict,
    "stem": dict,
    "strand_encoding": str,
    "window_features": dict,
}
_DATASET: dict[str, type | UnionType] = {
    "path": str | None,
    "checksum": str,
    "genome_build": str,
    "window_bp": int,
    "bin_bp": int,
    "train_fraction": int | float,
}
_SINCE_2 = ("stem", "strand_encoding", "window_features")
_TASK_COLUMNS = ("id", "cell", "target", "treatment", "group")
_HEAD_KEYS = {"pooling", "centre", "norm", "kind", "dropout", "input_dropout"}


def read_checkpoint(path: Path) -> Checkpoint:
    """Read and check a checkpoint of a multitask model.

    Raises:
        UserError: as `read_content`; or it is of another kind, or its description is damaged.
    """
    content = read_content(path)
    if content.kind != TaskKind.multitask:
        raise UserError(
            f"checkpoint {path} is one of a {content.kind.replace('_', ' ')}; expected one of a multitask "
            f"model: train it from this one with `genome-lm train model.init_from={path}`"
        )
    return Checkpoint(path, _description(content.description, path), content.weights, content.epochs)


def read_content(path: Path) -> Content:
    """Read a checkpoint of any kind, or an exported model.

    Raises:
        UserError: the file is missing, damaged, not a checkpoint of genome_lm, holds objects other than plain
            values and tensors, was written by a newer version, or is of an unknown kind.
    """
    stored = read_stored(path)
    description = stored.description
    version = description.get("version")
    if isinstance(version, int) and version > VERSION:
        raise UserError(
            f"checkpoint {path} has layout version {version}; this genome_lm reads up to {VERSION}: "
            "upgrade genome_lm"
        )
    kind = description.get("kind", TaskKind.multitask.value)
    if not isinstance(kind, str) or kind not in set(TaskKind):
        raise UserError(
            f"checkpoint {path} is of a kind that this genome_lm does not know; expected one of "
            f"{', '.join(TaskKind)}: upgrade genome_lm"
        )
    # A configuration is stored resolved. What is not would be resolved here: with the reader's environment.
    if holds(description, lambda text: "${" in text):
        raise UserError(f"checkpoint {path} is refused: its description refers to values outside of it (${{)")
    return Content(path, kind, description, stored.weights, stored.epochs)


def _description(raw: dict[str, Any], path: Path) -> Description:
    names = [item.name for item in fields(Description)]
    if raw.get("version") == 1:
        names = [name for name in names if name not in _SINCE_2]
    wrong = [name for name in names if not isinstance(raw.get(name), _TYPES[name])]
    tasks = raw.get("tasks")
    if not wrong and set(raw["head"]) | {"centre"} != _HEAD_KEYS:  # older ones have no centre
        wrong = ["head"]
    if not wrong and not _head_is_valid(raw["head"]):
        wrong = ["head"]
    if not wrong and raw.get("strand_encoding", StrandEncoding.single) not in set(StrandEncoding):
        wrong = ["strand_encoding"]
    if not wrong and not all(isinstance(rate, float) and 0 <= rate <= 1 for rate in raw["positive_rate"]):
        wrong = ["positive_rate"]
    if not wrong and isinstance(tasks, dict):
        lengths = {
            len(tasks[column]) if isinstance(tasks.get(column), list) else -1 for column in _TASK_COLUMNS
        }
        if lengths != {len(raw["positive_rate"])} or not _tasks_are_valid(tasks):
            wrong = ["tasks"]
    if not wrong:
        texts = ("genome_lm_version", "model_name", "task_set")
        wrong = [name for name in texts if not one_line(raw[name])]
        wrong += [name for name in ("dataset",) if not _dataset_is_valid(raw[name])]
        wrong += [] if 1 <= raw["context_bp"] <= LONGEST_CONTEXT_BP else ["context_bp"]
    refuse_wrong(wrong, path)
    return Description(**{name: raw[name] for name in names})


def refuse_wrong(names: Sequence[str], path: Path) -> None:
    """Refuse a description whose entries `names` are missing or cannot be right.

    Raises:
        UserError: there is such an entry.
    """
    if names:
        raise UserError(
            f"checkpoint {path} is damaged: its description lacks a valid {', '.join(names)}; "
            "copy it again or train anew"
        )


def _tasks_are_valid(tasks: dict[str, Any]) -> bool:
    columns = [tasks[column] for column in _TASK_COLUMNS]
    if not all(isinstance(text, str) and one_line(text) for column in columns for text in column):
        return False
    return len(tasks["id"]) == len(set(tasks["id"])) > 0 and "" not in tasks["id"]


def _dataset_is_valid(dataset: dict[str, Any]) -> bool:
    """Whether what is there of a dataset's identity is of the right type; older ones have less of it."""
    return all(isinstance(dataset.get(name), kind) for name, kind in _DATASET.items() if name in dataset)


def _head_is_valid(head: dict[str, Any]) -> bool:
    return (
        isinstance(head["pooling"], list)
        and all(isinstance(head[name], float | int) for name in ("dropout", "input_dropout"))
        and isinstance(head.get("centre", 1.0), float | int)
        and all(isinstance(name, str) for name in [*head["pooling"], head["norm"], head["kind"]])
    )
