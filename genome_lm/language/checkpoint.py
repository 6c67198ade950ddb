"""Checkpoints of language models: what they say about themselves."""

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from torch import Tensor

from genome_lm.checkpoint import read_content, refuse_wrong
from genome_lm.choices import TaskKind
from genome_lm.errors import UserError


@dataclass(frozen=True)
class LanguageDescription:
    """What a checkpoint of a language model says about itself; plain values only.

    Attributes:
        kind: `language_model`.
        version: of the layout of checkpoints, see `genome_lm.checkpoint`.
        genome_lm_version: of the program that wrote it.
        model_name: the choice made by `model=`.
        tokenizer, stem, encoder: `_target_` and constructor arguments.
        context_bp: bases of the stretches that it was trained on.
        sequence: path, checksum, genome_build and regions of what it was trained on.
        config: the whole resolved configuration of the run.
    """

    kind: str
    version: int
    genome_lm_version: str
    model_name: str
    tokenizer: dict[str, Any]
    stem: dict[str, Any]
    encoder: dict[str, Any]
    context_bp: int
    sequence: dict[str, Any]
    config: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Plain dict for the checkpoint."""
        return asdict(self)


@dataclass(frozen=True)
class LanguageCheckpoint:
    """What was read of a language model's checkpoint file."""

    path: Path
    description: LanguageDescription
    weights: dict[str, Tensor]  # of the network
    epochs: int  # trained, the last one perhaps in part


_TYPES: dict[str, type] = {
    "kind": str,
    "version": int,
    "genome_lm_version": str,
    "model_name": str,
    "tokenizer": dict,
    "stem": dict,
    "encoder": dict,
    "context_bp": int,
    "sequence": dict,
    "config": dict,
}


def is_language_model(path: Path) -> bool:
    """Whether a checkpoint is one of a language model.

    Raises:
        UserError: see `genome_lm.checkpoint.read_content`.
    """
    return read_content(path).kind == TaskKind.language_model


def read_language_checkpoint(path: Path) -> LanguageCheckpoint:
    """Read and check a checkpoint of a language model.

    Raises:
        UserError: see `genome_lm.checkpoint.read_content`; or it is of another kind, or its description is
            damaged.
    """
    content = read_content(path)
    if content.kind != TaskKind.language_model:
        raise UserError(
            f"checkpoint {path} is one of a {content.kind.replace('_', ' ')} model; expected one of a "
            "language model, which `genome-lm train task=language_model` writes"
        )
    names = [item.name for item in fields(LanguageDescription)]
    refuse_wrong(
        [name for name in names if not isinstance(content.description.get(name), _TYPES[name])], path
    )
    description = LanguageDescription(**{name: content.description[name] for name in names})
    return LanguageCheckpoint(path, description, content.weights, content.epochs)
