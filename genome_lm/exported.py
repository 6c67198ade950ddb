"""Exported models: weights as safetensors, the description as JSON in its header, one digest over both.

The format (https://huggingface.co/docs/safetensors) is a length, a JSON header and numbers: nothing in it can
be code. `__metadata__` holds `format` ("pt"), `genome_lm` (the description), `epochs`, and `digest`, by which
damage to the weights is noticed.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from genome_lm.atomic import replacing
from genome_lm.errors import UserError
from genome_lm.plain import NotPlain, plain_json

SUFFIX = ".safetensors"
LONGEST_HEADER = 1 << 25
"""Bytes; that of a model of 919 tasks has some 200,000."""

_DESCRIPTION, _EPOCHS, _DIGEST = "genome_lm", "epochs", "digest"


@dataclass(frozen=True)
class Stored:
    """What a file holds of a network.

    Attributes:
        description: what it says of itself, not yet checked.
        weights: of the network, by name.
        epochs: trained, the last one perhaps in part.
    """

    description: dict[str, Any]
    weights: dict[str, Tensor]
    epochs: int


def is_exported(path: Path) -> bool:
    """Whether a file begins as one of safetensors does: the length of its header, and a brace."""
    try:
        with path.open("rb") as file:
            start = file.read(9)
    except OSError:
        return False
    return len(start) == 9 and start[8:] == b"{" and int.from_bytes(start[:8], "little") < 1 << 48


def write_exported(path: Path, stored: Stored) -> None:
    """Write a model, whole or not at all.

    Raises:
        UserError: the file cannot be written.
    """
    # One that shares memory with another would be refused.
    weights = {name: value.detach().cpu().contiguous().clone() for name, value in stored.weights.items()}
    metadata = {
        "format": "pt",
        _DESCRIPTION: json.dumps(stored.description, ensure_ascii=False, separators=(",", ":")),
        _EPOCHS: str(stored.epochs),
    }
    with replacing(path) as temporary:
        # Its save_file would put a file of its own in the place of this one, which nobody else may read.
        temporary.write_bytes(save(weights, metadata | {_DIGEST: digest_of(metadata, weights)}))


def read_exported(path: Path) -> Stored:
    """Read what `write_exported` wrote.

    Raises:
        UserError: the file is damaged, or is one of safetensors that genome_lm did not write.
    """
    try:
        _check_header(path)
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, TypeError, RuntimeError, OverflowError) as error:
        raise UserError(
            f"checkpoint {path} cannot be read ({error}); it is damaged or no exported model: copy it again"
        ) from error
    if not {_DESCRIPTION, _EPOCHS, _DIGEST} <= set(metadata):
        raise UserError(f"{path} is not a model of genome_lm; give one written by `genome-lm export`")
    digest = metadata.pop(_DIGEST)
    if digest != digest_of(metadata, weights):
        raise UserError(f"checkpoint {path} is damaged: it does not agree with its digest; copy it again")
    try:
        description = plain_json(metadata[_DESCRIPTION])
    except NotPlain as error:
        raise UserError(f"checkpoint {path} is damaged: its description is {error}; copy it again") from error
    epochs = metadata[_EPOCHS]
    if not isinstance(description, dict) or not (epochs.isascii() and epochs.isdigit() and len(epochs) < 10):
        raise UserError(f"checkpoint {path} is damaged: it lacks a description or its epochs; copy it again")
    return Stored(description, weights, int(epochs))


def _check_header(path: Path) -> None:
    """Refuse a header that is too long, is no plain JSON, or names something twice.

    Raises:
        ValueError: it is such.
    """
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > LONGEST_HEADER:
            raise ValueError(f"a header of {length:,} bytes")
        text = file.read(length).decode("utf-8")
    plain_json(text)


def digest_of(metadata: Mapping[str, str], weights: Mapping[str, Tensor]) -> str:
    """SHA-256 over the metadata and over name, type, shape and bytes of each tensor."""
    digest = hashlib.sha256(json.dumps(sorted(metadata.items())).encode())
    for name in sorted(weights):
        value = weights[name]
        digest.update(json.dumps([name, str(value.dtype), list(value.shape)]).encode())
        digest.update(value.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return "sha256:" + digest.hexdigest()
