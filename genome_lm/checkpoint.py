"""Checkpoints that describe themselves, and reading them without trusting them.

A checkpoint is Lightning's, plus the plain dict `genome_lm`: what is needed to build the network, the tasks
with their training rates, and where the data came from. It loads with `weights_only=True`, which runs none of
its code. Without `kind` it is one of a multitask model; `genome_lm.language.checkpoint` has the other kind.
"""

import pickle
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genome_lm.choices import StrandEncoding, TaskKind
from genome_lm.errors import UserError

KEY = "genome_lm"
VERSION = 2
"""1: without stem, strand_encoding and window_features, which were not to be had then."""


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
    """Read a checkpoint of any kind.

    Raises:
        UserError: the file is missing, damaged, not a checkpoint of genome_lm, holds objects other than plain
            values and tensors, or was written by a newer version.
    """
    if not path.is_file():
        raise UserError(
            f"checkpoint {path} does not exist; give the path of a file such as runs/.../best.ckpt"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's hints on foreign pickles: the error below says enough
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"checkpoint {path} is refused: it is damaged or holds objects that could run code; "
            "expected a checkpoint written by genome_lm"
        ) from error
    except (
        OSError,
        RuntimeError,
        ValueError,
        EOFError,
        KeyError,
        AttributeError,
        IndexError,
        TypeError,
    ) as error:
        raise UserError(
            f"checkpoint {path} cannot be read; it is damaged or no checkpoint: copy it again or train anew"
        ) from error
    if not isinstance(content, dict) or not isinstance(content.get(KEY), dict):
        raise UserError(f"{path} is not a checkpoint of genome_lm; give one written by `genome-lm train`")
    epoch = content.get("epoch")
    if not isinstance(epoch, int):
        raise UserError(f"checkpoint {path} is damaged: it names no epoch; copy it again or train anew")
    description = content[KEY]
    version = description.get("version")
    if isinstance(version, int) and version > VERSION:
        raise UserError(
            f"checkpoint {path} has layout version {version}; this genome_lm reads up to {VERSION}: "
            "upgrade genome_lm"
        )
    return Content(
        path=path,
        kind=str(description.get("kind", TaskKind.multitask.value)),
        description=description,
        weights=_weights(content.get("state_dict"), path),
        epochs=epoch + 1,
    )


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
        if lengths != {len(raw["positive_rate"])}:
            wrong = ["tasks"]
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


def _head_is_valid(head: dict[str, Any]) -> bool:
    return (
        isinstance(head["pooling"], list)
        and all(isinstance(head[name], float | int) for name in ("dropout", "input_dropout"))
        and isinstance(head.get("centre", 1.0), float | int)
        and all(isinstance(name, str) for name in [*head["pooling"], head["norm"], head["kind"]])
    )


def _weights(state: object, path: Path) -> dict[str, Tensor]:
    prefix = "network."
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise UserError(f"checkpoint {path} is damaged: it holds no weights; copy it again or train anew")
    return {name.removeprefix(prefix): value for name, value in state.items() if str(name).startswith(prefix)}
